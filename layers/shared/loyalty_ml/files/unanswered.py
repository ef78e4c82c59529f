"""Why no row of a file has an answer, as likely as its errors tell: a sentence for whoever sent it."""

from typing import TYPE_CHECKING

import numpy as np

from loyalty_ml.customers.population import Population
from loyalty_ml.errors import CustomerNotFound, NoPurchases
from loyalty_ml.files.id_looks import IDS_LOOKED_AT, look_of

if TYPE_CHECKING:
    from loyalty_ml.files.pipeline import Counts


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
