"""Who converts, shown what: logistic regression with effects common to all offers, and how each offer departs.

    log-odds(customer, offer) = intercept(offer) + features * (common + departure(offer))

The departures have a normal prior around 0, so that an offer that was rarely shown stays near what all offers have in
common and one that was shown often has its own (partial pooling; Gelman & Hill 2007, "Data Analysis Using Regression
and Multilevel/Hierarchical Models", chapter 13). Without it each offer's luck is in its coefficients, and of eight
offers the luckiest is recommended. How far offers depart is a number, the spread, to be chosen on other rows.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from threadpoolctl import threadpool_limits

Matrix = NDArray[np.float64]

COMMON_SPREAD = 0.3
"""The prior's standard deviation of the common effects and of the intercepts around their mean, in log-odds. It matters
for what is rare, as rows outweigh it: of 5,000 the effect of a feature is kept smaller by a hundredth."""
MOST_STEPS = 1000


@dataclass(frozen=True, slots=True)
class OfferEffects:
    """kernel: float64 (f, offers), the coefficients of standardised features; bias: float64 (offers,)."""

    kernel: Matrix
    bias: Matrix

    def probabilities(self, features: Matrix) -> Matrix:
        """(n, offers), for standardised features (n, f)."""
        found: Matrix = expit(features @ self.kernel + self.bias)
        return found


def fit(
    features: Matrix, shown: NDArray[np.int64], converted: NDArray[np.bool_], offers: int, spread: float
) -> OfferEffects:
    """The posterior's mode, by L-BFGS: the loss is convex, so every start ends there. Some .1 s for 10,000 rows.

    features: (n, f), standardised; shown: (n,), 0..offers-1; spread: the prior's standard deviation of the departures,
    above 0; the smaller, the more alike the offers.
    """
    width = features.shape[1]
    taken = converted.astype(np.float64)
    rows = [np.flatnonzero(shown == offer) for offer in range(offers)]
    of_offer = [features[its] for its in rows]
    # Of a common effect and a departure with variances a and b, the sum is what counts; scaled, all have variance 1.
    scales = np.concatenate([[1.0], np.full(width, COMMON_SPREAD), np.full(offers, COMMON_SPREAD)])

    def unpacked(parameters: Matrix) -> tuple[Matrix, Matrix]:
        mean, common, intercepts = np.split(parameters[: 1 + width + offers] * scales, [1, 1 + width])
        departures = parameters[1 + width + offers :].reshape(width, offers) * spread
        return mean + intercepts, common[:, np.newaxis] + departures

    def loss(parameters: Matrix) -> tuple[float, Matrix]:
        bias, kernel = unpacked(parameters)
        total = float(parameters[1:] @ parameters[1:]) / 2
        of_bias, of_kernel = np.zeros(offers), np.zeros((width, offers))
        for offer, (its, its_features) in enumerate(zip(rows, of_offer, strict=True)):
            log_odds = its_features @ kernel[:, offer] + bias[offer]
            total += float(np.logaddexp(0, log_odds).sum() - taken[its] @ log_odds)
            wrong_by = expit(log_odds) - taken[its]
            of_bias[offer] = wrong_by.sum()
            of_kernel[:, offer] = its_features.T @ wrong_by
        gradient = np.concatenate([[of_bias.sum()], of_kernel.sum(axis=1), of_bias]) * scales
        gradient[1:] += parameters[1 : 1 + width + offers]
        of_departures = of_kernel.ravel() * spread + parameters[1 + width + offers :]
        return total, np.concatenate([gradient, of_departures])

    start = np.zeros(1 + width + offers + width * offers)
    rate = np.clip(taken.mean(), 1e-6, 1 - 1e-6)
    start[0] = np.log(rate / (1 - rate))
    with threadpool_limits(1):  # so that sums are rounded alike on every machine
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": MOST_STEPS})
    bias, kernel = unpacked(found.x)
    return OfferEffects(kernel, bias)
