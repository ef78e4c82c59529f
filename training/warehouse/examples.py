"""What a model learns from and is measured on: customers as they were at a moment, and what came after it."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.models.card import Offer
from training.errors import Problem


class NothingToLearn(Problem):
    """A table has no example of one model, which says nothing of the other."""


@dataclass(frozen=True, slots=True)
class Examples:
    """n examples of f features.

    customer_ids:  str (n,), as objects; a customer may be there at several moments.
    moments:       datetime64[us] (n,), UTC: the moment that the features were computed for; what was known before it.
    names:         the f features.
    features:      float64 (n, f), raw values, all finite.
    happened:      bool (n,): whether the customer churned, or took the offer, after that moment.
    offers:        int64 (n,), which offer was shown, a place in the catalogue; None for churn.
    purchases:     float64 (n, 3) for BG/NBD: repeat purchase days, days from the first purchase to the last, and days
                   from the first purchase to the moment; None where the warehouse has no transactions.
    horizon_days:  how long after the moment `happened` looked; None where the warehouse does not say.
    left_out:      rows of the warehouse that are no example, by reason.
    days_since_last: float64 (n,), days from the last purchase to the moment; None where that is not known. Churn only.
    catalogue:     the offers, in the order of the model's output; empty for churn.
    """

    customer_ids: NDArray[np.object_]
    moments: NDArray[np.datetime64]
    names: tuple[str, ...]
    features: NDArray[np.float64]
    happened: NDArray[np.bool_]
    offers: NDArray[np.int64] | None
    purchases: NDArray[np.float64] | None
    horizon_days: float | None
    left_out: dict[str, int]
    catalogue: tuple[Offer, ...] = ()
    days_since_last: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.customer_ids)

    def where(self, rows: NDArray[np.bool_]) -> Self:
        """The examples for which rows, bool (n,), is True."""
        per_row = {"customer_ids", "moments", "features", "happened", "offers", "purchases", "days_since_last"}
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return type(self)(
            **{name: value[rows] if name in per_row and value is not None else value for name, value in values.items()}
        )


@dataclass(frozen=True, slots=True)
class Base:
    """The whole customer base as it is now, as materialize would write it: n customers of f features.

    customer_ids:    str (n,), as objects.
    names:           the f features.
    features:        float64 (n, f), raw values, NaN where a customer has none.
    days_since_last: float64 (n,), days from the last purchase, NaN where there is none; None where that is not known.
    """

    customer_ids: NDArray[np.object_]
    names: tuple[str, ...]
    features: NDArray[np.float64]
    days_since_last: NDArray[np.float64] | None
