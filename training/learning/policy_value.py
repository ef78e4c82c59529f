"""What a recommendation is worth, estimated from exposures that somebody else's rule has chosen.

The doubly robust estimator (Dudik, Langford & Li 2011, "Doubly Robust Policy Evaluation and Learning", equation 1): the
model's probability of the offer that would be sent, corrected where that offer was shown by what the model was wrong
by, divided by the propensity, which is the chance that it was shown. It is right if either the probabilities or the
propensities are. Both must come from fits that have not seen the rows.

Rows are exposures, n of them, of k offers: probabilities, propensities and scores are float64 (n, k), `shown` int64
(n,) in 0..k-1, `converted` bool (n,), `customers` (n,) of anything that sorts. Intervals are of 95 %, from the sums of
each customer's rows, as these resemble one another.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from loyalty_ml.models.quality import GroupQuality, Ranged
from training.learning import metrics
from training.learning.baselines import signed_log

Matrix = NDArray[np.float64]
Offers = NDArray[np.int64]
Flags = NDArray[np.bool_]

LEAST_PROPENSITY = 0.01
"""A propensity counts as at least this: else one exposure that nobody expected would decide the value of thousands."""
TENTHS = 10


@dataclass(frozen=True, slots=True)
class Exposures:
    """Exposures that were held out; the propensities are by fits that have not seen them."""

    customers: NDArray[Any]
    shown: Offers
    converted: Flags
    propensities: Matrix

    def __len__(self) -> int:
        return len(self.shown)

    @property
    def clipped(self) -> int:
        """Of how many the propensity of the offer that was shown is below the least that is used."""
        return int((self.propensities[np.arange(len(self)), self.shown] < LEAST_PROPENSITY).sum())


@dataclass(frozen=True, slots=True)
class Values:
    """Conversions an exposure, by the doubly robust estimator.

    recommended:      if each customer were sent what a model recommends.
    shown:            of what was sent.
    best_single:      if everyone were sent the best single offer, best_offer. It is chosen on these rows too, so its
                      luck is in its value: a comparison with it is strict.
    everyone:         by offer, if everyone were sent it; None of offers that are not learnt.
    over_shown, over_best_single: how much more than these is recommended.
    agree:            the share of exposures for which best_offer is what is recommended.
    """

    recommended: Ranged
    shown: Ranged
    best_single: Ranged
    best_offer: int
    everyone: tuple[Ranged | None, ...]
    over_shown: Ranged
    over_best_single: Ranged
    agree: float


def fit_propensities(features: Matrix, shown: Offers, offers: int) -> Callable[[Matrix], Matrix]:
    """Which offer is shown to whom: multinomial logistic regression on sign*log1p and standardised features.

    features: (n, f), raw. Returns a function from features (m, f) to propensities (m, offers), which sum to 1; those of
    an offer that is never shown are 0.
    """
    ever_shown = np.unique(shown)
    if len(ever_shown) == 1:
        certain = np.eye(offers)[ever_shown[0]]
        return lambda rows: np.tile(certain, (len(rows), 1))
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(signed_log(features), shown)

    def predict(rows: Matrix) -> Matrix:
        propensities = np.zeros((len(rows), offers))
        propensities[:, ever_shown] = model.predict_proba(signed_log(rows))
        return propensities

    return predict


def recommended(probabilities: NDArray[np.floating], learnt: Flags) -> Offers:
    """int64 (n,): of each row the learnt offer with the highest probability, the first of those equal, as serving does.

    learnt: bool (k,), which offers may be recommended; at least one.
    """
    best: Offers = np.where(learnt, probabilities, -np.inf).argmax(axis=1)
    return best


def doubly_robust(probabilities: NDArray[np.floating], exposures: Exposures) -> Matrix:
    """(n, k): what a row says of the conversions if each offer were sent; an offer's value is the mean over rows."""
    scores = probabilities.astype(np.float64)
    rows = np.arange(len(exposures))
    was_shown = rows, exposures.shown
    wrong_by = exposures.converted - scores[was_shown]
    scores[was_shown] += wrong_by / np.maximum(exposures.propensities[was_shown], LEAST_PROPENSITY)
    return scores


def mean_with_interval(
    scores: NDArray[np.floating], customers: NDArray[Any], weights: NDArray[np.floating] | None = None
) -> Ranged:
    """The weighted mean of scores (n,), and its 95 % interval by the ratio estimator's variance over customers.

    sum over customers of (sum over their rows of weight * (score - mean))^2 / (sum of weights)^2, with the factor
    c / (c - 1) for c customers (Cochran 1977, "Sampling Techniques", section 6.4). Of a single customer nothing is
    known: from -1 to 1, as far as rates can differ.
    """
    weight = np.ones(len(scores)) if weights is None else weights
    total = float(weight.sum())
    mean = float(weight @ scores / total)
    _, customer = np.unique(customers, return_inverse=True)
    sums = np.bincount(customer, weight * (scores - mean))
    if len(sums) == 1:
        return Ranged(value=mean, low=-1, high=1)
    error = float(np.sqrt((sums**2).sum() * len(sums) / (len(sums) - 1)) / total)
    return Ranged(value=mean, low=mean - metrics.NORMAL_95 * error, high=mean + metrics.NORMAL_95 * error)


def values(probabilities: NDArray[np.floating], exposures: Exposures, learnt: Flags) -> Values:
    """Of a model with these probabilities of conversion, (n, k), that recommends only what is learnt, bool (k,)."""
    scores = doubly_robust(probabilities, exposures)
    return values_of(recommended(probabilities, learnt), scores, exposures, learnt)


def values_of(sent: Offers, scores: Matrix, exposures: Exposures, learnt: Flags) -> Values:
    """Of any rule that sends the offers `sent`, int64 (n,), by the scores of any model; see `doubly_robust`."""
    rows, customers = np.arange(len(exposures)), exposures.customers
    best_offer = _best(scores, learnt)
    ours, theirs = scores[rows, sent], scores[:, best_offer]
    return Values(
        recommended=mean_with_interval(ours, customers),
        shown=mean_with_interval(exposures.converted.astype(np.float64), customers),
        best_single=mean_with_interval(theirs, customers),
        best_offer=best_offer,
        everyone=tuple(
            mean_with_interval(scores[:, offer], customers) if learnt[offer] else None
            for offer in range(scores.shape[1])
        ),
        over_shown=mean_with_interval(ours - exposures.converted, customers),
        over_best_single=mean_with_interval(ours - theirs, customers),
        agree=float((sent == best_offer).mean()),
    )


def confidence(probabilities: NDArray[np.floating], exposures: Exposures, learnt: Flags) -> tuple[GroupQuality, ...]:
    """Tenths, by confidence, of the exposures that were shown what is recommended: the most confident first.

    They are weighed by the inverse of the propensity, so that they stand for all customers; hence a share is not
    `happened` of `customers`. Fewer than ten where there are fewer exposures.
    """
    match, weights, certain = _shown_as_recommended(probabilities, exposures, learnt)
    order = np.argsort(-certain, kind="stable")
    groups = []
    for number, tenth in enumerate((part for part in np.array_split(order, TENTHS) if len(part)), start=1):
        converted = exposures.converted[match][tenth]
        groups.append(
            GroupQuality(
                name=str(number),
                customers=len(tenth),
                happened=int(converted.sum()),
                predicted=float(np.average(certain[tenth], weights=weights[tenth])),
                share=_share_with_interval(converted, weights[tenth]),
            )
        )
    return tuple(groups)


def over_confidence(probabilities: NDArray[np.floating], exposures: Exposures, learnt: Flags) -> Ranged | None:
    """How far the confidence is above the share that converts, where what is recommended was shown; weighed as above.

    A model that is right on average is too confident of what it recommends, because what it is too confident of is
    what it recommends: the winner's curse. None where no exposure was shown what is recommended.
    """
    match, weights, certain = _shown_as_recommended(probabilities, exposures, learnt)
    if not match.any():
        return None
    return mean_with_interval(certain - exposures.converted[match], np.asarray(exposures.customers)[match], weights)


def _shown_as_recommended(
    probabilities: NDArray[np.floating], exposures: Exposures, learnt: Flags
) -> tuple[Flags, Matrix, Matrix]:
    """Which rows were shown what is recommended, bool (n,), and of these (m,) the weight and the confidence."""
    best = recommended(probabilities, learnt)
    match = best == exposures.shown
    cells = np.flatnonzero(match), best[match]
    weights: Matrix = 1 / np.maximum(exposures.propensities[cells], LEAST_PROPENSITY)
    return match, weights, probabilities[cells].astype(np.float64)


def _best(scores: Matrix, learnt: Flags) -> int:
    means: Matrix = scores.mean(axis=0)
    return int(np.argmax(np.where(learnt, means, -np.inf)))


def _share_with_interval(converted: Flags, weights: Matrix) -> Ranged:
    """Wilson's score interval (1927) of as many equal rows as the weighted ones are worth (Kish 1965, section 11.7)."""
    share = float(np.average(converted, weights=weights))
    rows = float(weights.sum() ** 2 / (weights**2).sum())
    low, high = metrics.wilson(share, rows)
    return Ranged(value=share, low=low, high=high)
