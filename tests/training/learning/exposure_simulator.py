"""Offer exposures whose truth is known: who would convert, shown what.

Ten features, eight offers. Each offer suits customers of a direction of its own in the standardised logarithms of the
features; which offer a customer is shown is drawn uniformly, or by a rule that follows other directions and has
favourites. So what was shown, what was taken and what works are three things. The strengths are such that an offer
drawn at random loses .62 of what the oracle reaches, the best single offer .49, and a softmax over converted exposures
alone .06 if what was shown was drawn, and .27 under the biased rule.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.models.card import DEFAULT_OFFERS
from training.warehouse.examples import Examples

Policy = Literal["uniform", "biased"]
Matrix = NDArray[np.float64]

FEATURES, OFFERS = 10, 8
MEAN_LOG, SPREAD_LOG = 2.0, 1.0
LOG_ODDS = -1.5
SUITS = 1.95
RULE = 1.0
FAVOUR = 0.5


@dataclass(frozen=True, slots=True)
class World:
    """One company: what works on whom, and by which rule offers were shown.

    suits, rule:    (10, 8), log-odds a standardised feature, of converting and of being shown.
    appeal, favour: (8,), the same for everyone; favour is -inf for an offer that is never shown.
    """

    seed: int
    suits: Matrix
    appeal: Matrix
    rule: Matrix
    favour: Matrix

    def customers(self, count: int, seed: int) -> Matrix:
        """(count, 10): raw features, lognormal, as money and counts are."""
        drawn: Matrix = np.exp(np.random.default_rng([self.seed, seed]).normal(MEAN_LOG, SPREAD_LOG, (count, FEATURES)))
        return drawn

    def conversion(self, features: Matrix) -> Matrix:
        """(n, 8): the probability that each customer converts, were each offer shown."""
        truth: Matrix = 1 / (1 + np.exp(-(self.appeal + _standing(features) @ self.suits)))
        return truth

    def propensities(self, features: Matrix) -> Matrix:
        """(n, 8), summing to 1: the probability that each offer is shown."""
        weight = np.exp(self.favour + _standing(features) @ self.rule)
        share: Matrix = weight / weight.sum(axis=1, keepdims=True)
        return share

    def exposures(self, count: int) -> Examples:
        """`count` exposures, two a customer."""
        features = np.repeat(self.customers(-(-count // 2), 0), 2, axis=0)[:count]
        draw = np.random.default_rng([self.seed, 1])
        cumulative = self.propensities(features).cumsum(axis=1)
        shown = (draw.random((count, 1)) > cumulative).sum(axis=1).clip(max=OFFERS - 1)
        days = draw.integers(0, 300, count).astype("timedelta64[D]")
        return Examples(
            customer_ids=np.array([f"c{number // 2}" for number in range(count)], dtype=object),
            moments=np.datetime64("2025-01-01", "us") + days,
            names=tuple(f"feature_{number}" for number in range(FEATURES)),
            features=features,
            happened=draw.random(count) < self.conversion(features)[np.arange(count), shown],
            offers=shown,
            purchases=None,
            horizon_days=None,
            left_out={},
            catalogue=DEFAULT_OFFERS,
        )

    def value(self, features: Matrix, sent: NDArray[np.int64]) -> float:
        """Conversions a customer, if each were sent the offer in `sent`, int64 (n,)."""
        return float(self.conversion(features)[np.arange(len(sent)), sent].mean())

    def regret(self, features: Matrix, sent: NDArray[np.int64]) -> float:
        """The share of the oracle's conversions that is lost; the oracle sends everyone what suits best."""
        return 1 - self.value(features, sent) / float(self.conversion(features).max(axis=1).mean())


def world(seed: int, policy: Policy, never_shown: int | None = None) -> World:
    draw = np.random.default_rng(seed)
    suits = draw.normal(0, SUITS / np.sqrt(FEATURES), (FEATURES, OFFERS))
    appeal = LOG_ODDS + draw.normal(0, 0.5, OFFERS)
    rule = draw.normal(0, RULE / np.sqrt(FEATURES) * (policy == "biased"), (FEATURES, OFFERS))
    favour = draw.normal(0, FAVOUR * (policy == "biased"), OFFERS)
    if never_shown is not None:
        favour[never_shown] = -np.inf
    return World(seed, suits, appeal, rule, favour)


def _standing(features: Matrix) -> Matrix:
    standing: Matrix = (np.log(features) - MEAN_LOG) / SPREAD_LOG
    return standing
