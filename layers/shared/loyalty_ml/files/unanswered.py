"""Why no row of a file has an answer, as likely as its errors tell: a sentence for whoever sent it."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from loyalty_ml.customers.population import Population
from loyalty_ml.errors import CustomerNotFound, NoPurchases

if TYPE_CHECKING:
    from loyalty_ml.files.pipeline import Counts

IDS_LOOKED_AT = 1_000
KINDS_SHOWN = 6

_NUMBERS = {
    "whole numbers with .0 behind, as pandas writes them if a cell is empty": re.compile(r"[0-9]+[.,]0+"),
    "numbers that a spreadsheet has shortened, such as 1.5E+03": re.compile(r"[0-9]([.,][0-9]+)?[eE][+]?[0-9]+"),
}
"""Ids that a program has taken for numbers."""


def likely_reason(counts: "Counts", population: Population | None) -> str:
    """counts: of a file without a prediction. population: the customers whom its ids were looked up among, if any."""
    if not counts.rows:
        return "The file has columns and no rows, so nobody is answered: export it with its rows."
    (code, count), *others = counts.errors.most_common()
    also = "" if not others else f" ({', '.join(f'{other:,} {name}' for name, other in others)} besides)"
    nobody = f"None of the {counts.rows:,} rows has an answer. {count:,} {'is' if count == 1 else 'are'} {code}{also}"
    if counts.rows == 1:
        nobody = f"The only row has no answer. It is {code}"
    if code == CustomerNotFound.code and population is not None:
        some = np.unique(np.linspace(0, population.customers - 1, IDS_LOOKED_AT).astype(np.int64)).tolist()
        return (
            f"{nobody}: the file's ids have {counts.unknown_ids}, and those of the feature snapshot of "
            f"{population.as_of:%Y-%m-%d} have {look_of(population.ids(some))}. Write the ids as the snapshot has them."
        )
    if code == NoPurchases.code:
        return f"{nobody}: these customers are known and have bought nothing yet. Score customers with purchases."
    first = counts.first[code].removesuffix(".")
    return f"{nobody}, {'' if count == 1 else 'the first '}in {first}. Correct that, then upload the file again."


def look_of(customer_ids: Sequence[str]) -> str:
    """How long ids are and of what kinds of characters, such as "6 digits, with zeros in front"; no id is shown.

    Empty for no ids.
    """
    if not customer_ids:
        return ""
    sizes = [len(customer_id) for customer_id in customer_ids]
    least, most = min(sizes), max(sizes)
    length = f"{most}" if least == most else f"{least} to {most}"
    for numbers, pattern in _NUMBERS.items():
        if all(pattern.fullmatch(customer_id) for customer_id in customer_ids):
            return f"{length} characters: {numbers}"
    kinds = _kinds("".join(customer_ids))
    if kinds == ["digits"]:
        padded = sum(customer_id.startswith("0") and len(customer_id) > 1 for customer_id in customer_ids)
        return f"{length} digits{', with zeros in front' if 2 * padded > len(sizes) else ''}"
    more = ", ..." if len(kinds) > KINDS_SHOWN else ""
    return f"{length} characters: {', '.join(kinds[:KINDS_SHOWN])}{more}"


def _kinds(text: str) -> list[str]:
    named = {"letters": r"[^\W\d_]", "digits": r"\d", "blanks": r"\s"}
    kinds = [name for name, pattern in named.items() if re.search(pattern, text)]
    return [*kinds, *dict.fromkeys(re.sub(r"[^\W_]|\s", "", text))]
