"""What a file's ids look like, in words, so that a reader sees how they differ from the ids of the customer base."""

import re
from collections.abc import Sequence

IDS_LOOKED_AT = 1_000
KINDS_SHOWN = 6

_NUMBERS = {
    "whole numbers with .0 behind, as pandas writes them if a cell is empty": re.compile(r"[0-9]+[.,]0+"),
    "numbers that a spreadsheet has shortened, such as 1.5E+03": re.compile(r"[0-9]([.,][0-9]+)?[eE][+]?[0-9]+"),
}
"""Ids that a program has taken for numbers."""


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
