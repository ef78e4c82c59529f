"""What every contender said of rows that it has not learnt from: all that figures, gates and studies are computed from.

Pure arrays. A study that wants to know what the gates see may put other answers in place of a contender's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from training.learning.metrics import SMALLEST


class Said(NamedTuple):
    """Of m rows, what one contender said, and what happened.

    happened:    bool (m,): churned, converted; of choice, that the offer it recommends is the one taken.
    probability: float (m,), of that event.
    surprise:    float64 (m,), -ln(probability given to what happened), whose mean is the log-loss; of choice over the
                 offers.
    by_offer:    float (m, k), what it said of each of k offers, whichever was shown; None of churn.
    """

    happened: NDArray[np.bool_]
    probability: NDArray[np.floating]
    surprise: NDArray[np.float64]
    by_offer: NDArray[np.floating] | None = None

    def where(self, rows: NDArray[np.bool_]) -> "Said":
        by_offer = None if self.by_offer is None else self.by_offer[rows]
        return Said(self.happened[rows], self.probability[rows], self.surprise[rows], by_offer)


def said(
    happened: NDArray[np.bool_], probability: NDArray[np.floating], by_offer: NDArray[np.floating] | None = None
) -> Said:
    """Of an event that happens or not."""
    bounded = np.clip(probability.astype(np.float64), SMALLEST, 1 - SMALLEST)
    return Said(happened, probability, -np.log(np.where(happened, bounded, 1 - bounded)), by_offer)


def said_of_choice(taken: NDArray[np.int64], probabilities: NDArray[np.floating]) -> Said:
    """Of which offer is taken: taken (m,), probabilities (m, k), whose rows sum to 1."""
    bounded = np.maximum(probabilities.astype(np.float64), SMALLEST)
    bounded /= bounded.sum(axis=1, keepdims=True)
    surprise = -np.log(bounded[np.arange(len(taken)), taken])
    return Said(probabilities.argmax(axis=1) == taken, probabilities.max(axis=1), surprise, probabilities)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """m rows, those of the first fold first.

    rows:       int64 (m,), their places in the examples.
    customers:  int64 (m,), a number for each customer, who is in one fold only.
    folds:      int64 (m,).
    active:     bool (m,): whose customer had not lapsed; all True if there is no such rule.
    answers:    what each contender said, by its name.
    not_fitted: the contenders that could not be fitted in some fold, and why, a sentence.
    """

    rows: NDArray[np.int64]
    customers: NDArray[np.int64]
    folds: NDArray[np.int64]
    active: NDArray[np.bool_]
    answers: Mapping[str, Said]
    not_fitted: Mapping[str, str]

    def __len__(self) -> int:
        return len(self.rows)

    def where(self, rows: NDArray[np.bool_]) -> Self:
        """The rows for which `rows`, bool (m,), is True."""
        answers = {name: one.where(rows) for name, one in self.answers.items()}
        return type(self)(
            self.rows[rows], self.customers[rows], self.folds[rows], self.active[rows], answers, self.not_fitted
        )


def together(parts: Sequence[HeldOut]) -> HeldOut:
    """The folds one after the other, with the contenders that were fitted in each of them."""
    not_fitted = {name: why for part in parts for name, why in part.not_fitted.items()}
    names = [name for name in parts[0].answers if name not in not_fitted]
    return HeldOut(
        rows=np.concatenate([part.rows for part in parts]),
        customers=np.concatenate([part.customers for part in parts]),
        folds=np.concatenate([part.folds for part in parts]),
        active=np.concatenate([part.active for part in parts]),
        answers={name: _joined([part.answers[name] for part in parts]) for name in names},
        not_fitted=not_fitted,
    )


def _joined(parts: Sequence[Said]) -> Said:
    by_offer = [part.by_offer for part in parts if part.by_offer is not None]
    return Said(
        np.concatenate([part.happened for part in parts]),
        np.concatenate([part.probability for part in parts]),
        np.concatenate([part.surprise for part in parts]),
        np.concatenate(by_offer) if by_offer else None,
    )
