"""Feature names and the table that every prediction is made from."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray

from loyalty_ml.errors import CustomerNotFound, InvalidFeatures, LoyaltyError, MissingFeatures, NoPurchases

DEFAULT_FEATURES = (
    "revenue",
    "transaction_count",
    "days_since_last",
    "avg_transaction_value",
    "lifetime_value",
    "customer_age_days",
    "monthly_revenue",
    "product_count",
    "service_count",
    "engagement_score",
)
"""The order that the project's own training uses. A model's card says what that model wants; nothing else does."""

AS_OF = "features_as_of"
"""The attribute of the customers table that says when a customer's features were computed."""

LIFETIME_TRANSACTION_COUNT = "lifetime_transaction_count"
"""Purchases ever, which RFM reads: 0 for a customer who is known and has bought nothing. Nothing else makes it up."""

NO_NUMBER = "The customer has no plain number, such as 1234.5, for"
"""What is said of a value that is none, beside names; one that is infinite, or too large for float32, is not finite."""


@dataclass(slots=True)
class FeatureTable:
    """n customers by f features, as they were read: nothing filled in, nothing left out.

    values:     float64 (n, f); NaN where there is no number.
    absent:     bool (n, f), True where nothing is stored, so that missing is told from unusable; None for nowhere.
    found:      bool (n,), False for an id that the source does not know (its `values` are NaN); None if it knows all.
    as_of:      the moment that the features were computed for (RFC 3339); the oldest where they differ;
                None where no customer was found.
    purchases:  the stored LIFETIME_TRANSACTION_COUNT, float64 (n,), NaN where there is none; None if the source
                has no such column or nobody lacks a feature. It only says why a row has no answer.
    undated:    bool (n,), True where what is stored as the moment of the features is none; None for nowhere. Such
                values may be of any day, so the row has no answer.
    """

    customer_ids: Sequence[str]
    names: tuple[str, ...]
    values: NDArray[np.float64]
    absent: NDArray[np.bool_] | None
    found: NDArray[np.bool_] | None
    as_of: str | None
    purchases: NDArray[np.float64] | None = None
    undated: NDArray[np.bool_] | None = None

    @property
    def usable(self) -> NDArray[np.bool_] | None:
        """The rows that are found and dated, bool (n,), whatever their values are; None for all of them."""
        usable = self.found
        if self.undated is not None and self.undated.any():
            usable = ~self.undated if usable is None else usable & ~self.undated
        return None if usable is None or usable.all() else usable

    def problem(self, row: int, dtype: DTypeLike = np.float64) -> LoyaltyError:
        """Why this row cannot be scored, for a row that is not usable or not finite as `dtype`."""
        if self.found is not None and not self.found[row]:
            return CustomerNotFound()
        if self.undated is not None and self.undated[row]:
            return InvalidFeatures(
                [AS_OF], "The customer's record does not say when its features were computed (run materialize)"
            )
        if self.absent is not None and self.absent[row].any():
            if self.purchases is not None and self.purchases[row] == 0:
                return NoPurchases()
            return MissingFeatures([self.names[column] for column in np.flatnonzero(self.absent[row])])
        with np.errstate(over="ignore"):
            finite = np.isfinite(self.values[row].astype(dtype))
        wrong = np.flatnonzero(~finite)
        names = [self.names[column] for column in wrong]
        if np.isnan(self.values[row, wrong]).all():  # of a file a text, such as "$1,234.50", "60%" or a date
            return InvalidFeatures(names, NO_NUMBER)
        return InvalidFeatures(names)


def problem_codes(values: NDArray[np.float64], purchases: NDArray[np.float64] | None) -> Counter[str]:
    """How many of n customers who are known cannot be scored for which reason, by the code of what `problem` gives.

    values: float64 (n, f), NaN where nothing is stored; purchases: as in FeatureTable, of the same rows.
    """
    missing = np.isnan(values).any(axis=1)
    nothing_bought = 0 if purchases is None else int(np.count_nonzero(missing & (purchases == 0)))
    lacking = int(np.count_nonzero(missing))
    counted = Counter(
        {
            NoPurchases.code: nothing_bought,
            MissingFeatures.code: lacking - nothing_bought,
            InvalidFeatures.code: len(values) - lacking,
        }
    )
    return +counted


def purchases_in(names: Sequence[str], values: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The `purchases` of a table whose source gives them as a column of its `values`; a view of that column."""
    return values[:, names.index(LIFETIME_TRANSACTION_COUNT)] if LIFETIME_TRANSACTION_COUNT in names else None


def model_matrix(values: NDArray[np.float64], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """The float32 matrix that a network reads, in `out` where that is given: of the shape of `values`.

    What is too large for float32 becomes infinite, and so unusable.
    """
    matrix = np.empty(values.shape, np.float32) if out is None else out
    with np.errstate(over="ignore"):
        np.copyto(matrix, values, casting="same_kind")
    return matrix


def taking(wanted: Sequence[str], features: Sequence[str]) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """From (n, features) to (n, wanted); NaN, as for a customer without a value, for what is not among the features."""
    if tuple(wanted) == tuple(features):
        return lambda values: values
    places = [features.index(name) if name in features else len(features) for name in wanted]
    if len(features) not in places:
        return lambda values: values[:, places]
    return lambda values: np.column_stack([values, np.full(len(values), np.nan)])[:, places]
