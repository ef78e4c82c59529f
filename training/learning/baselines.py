"""What a network has to be measured against: the same customers, known models.

Each function fits on the rows it is given and returns the fitted model as a function from rows to probabilities.
scikit-learn and LightGBM are imported where they are used: together they take two seconds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import betaln, gammaln

from training.errors import Problem

Matrix = NDArray[np.float64]
Happened = NDArray[np.bool_]
Predict = Callable[[Matrix], Matrix]

BOOSTING_ROUNDS = 1000
PATIENCE_ROUNDS = 50
PRIOR_EXPOSURES = 20


class DidNotConverge(ValueError):
    """A baseline that could not be fitted to these customers; the message says which."""


@dataclass(frozen=True, slots=True)
class BgNbd:
    """The BG/NBD model (Fader, Hardie & Lee 2005, "Counting Your Customers" the Easy Way).

    Purchases come at a rate that is gamma distributed over the customers (shape r, rate alpha, in 1/days where time is
    in days), and after each purchase a customer leaves with a probability that is beta distributed (a, b).
    """

    r: float
    alpha: float
    a: float
    b: float

    def alive(self, purchases: Matrix) -> Matrix:
        """P(alive), (n,): purchases (n, 3) as in Examples. It is 1 for those who bought once: they had no repeat
        purchase to leave after. Hence it is no ranking of who will come back.
        """
        repeats, last, now = purchases.T
        log_odds_left = (
            np.log(self.a)
            - np.log(self.b + np.maximum(repeats, 1) - 1)
            + (self.r + repeats) * (np.log(self.alpha + now) - np.log(self.alpha + last))
        )
        with np.errstate(over="ignore"):
            alive: Matrix = np.where(repeats > 0, 1 / (1 + np.exp(log_odds_left)), 1.0)
        return alive

    def no_purchase(self, purchases: Matrix, horizon: float) -> Matrix:
        """P(no purchase in the next `horizon`), (n,), in the unit of time of `purchases`.

        The customer has left, or has not and the gamma posterior (r + x, alpha + T) gives no purchase:
        1 - P(alive) * (1 - ((alpha + T) / (alpha + T + horizon))^(r + x)).
        """
        repeats, _, now = purchases.T
        none_if_alive = np.exp((self.r + repeats) * -np.log1p(horizon / (self.alpha + now)))
        probability: Matrix = 1 - self.alive(purchases) * (1 - none_if_alive)
        return probability


def fit_bg_nbd(purchases: Matrix) -> BgNbd:
    """Maximum likelihood, without a penalty. purchases: (n, 3) as in Examples, in any unit of time.

    Raises DidNotConverge, as where nobody came back.
    """
    rows, weights = np.unique(purchases, axis=0, return_counts=True)
    # In units of the longest time observed all four parameters are of the order of 1.
    unit = float(np.max(rows[:, 2]))
    if unit <= 0 or not (rows[:, 0] > 0).any():
        raise DidNotConverge("BG/NBD cannot be fitted: no customer has bought on a second day.")
    scaled = rows / [1, unit, unit]

    def loss(log_parameters: Matrix) -> float:
        likelihood = _bg_nbd_log_likelihood(np.exp(log_parameters), scaled)
        return float(-(weights @ likelihood) / weights.sum())

    # exp(-12..12): the likelihood has no optimum inside where, say, nobody ever leaves; then the bound is the answer.
    found = minimize(loss, np.zeros(4), method="L-BFGS-B", bounds=[(-12, 12)] * 4, options={"maxiter": 500})
    if not np.isfinite(found.fun) or found.status == 1:
        raise DidNotConverge(f"BG/NBD cannot be fitted: {found.message}.")
    r, alpha, a, b = np.exp(found.x).tolist()
    return BgNbd(r, alpha * unit, a, b)


def _bg_nbd_log_likelihood(parameters: Matrix, purchases: Matrix) -> Matrix:
    """ln L of each customer, (n,): equation 6 of the article, with its ratios of gamma functions as beta functions."""
    r, alpha, a, b = parameters
    repeats, last, now = purchases.T
    shared = gammaln(r + repeats) - gammaln(r) + r * np.log(alpha) - betaln(a, b)
    stayed = betaln(a, b + repeats) - (r + repeats) * np.log(alpha + now)
    left = betaln(a + 1, b + np.maximum(repeats, 1) - 1) - (r + repeats) * np.log(alpha + last)
    total: Matrix = shared + np.where(repeats > 0, np.logaddexp(stayed, left), stayed)
    return total


def check_lightgbm() -> None:
    """Raises Problem if LightGBM is installed but cannot be loaded: better before the first fit than after."""
    try:
        import lightgbm  # noqa: F401, PLC0415
    except OSError as error:  # what its library is linked with is the system's
        raise Problem(
            f"LightGBM cannot be loaded ({error}): install what it names, such as 'apt-get install libgomp1'."
        ) from error


def fit_logistic_regression(features: Matrix, labels: NDArray[Any]) -> Predict:
    """On sign*log1p and standardised features, (n, f) raw; labels (n,). Predicts (n, k) for the k labels, sorted."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(signed_log(features), labels)
    return lambda rows: np.asarray(model.predict_proba(signed_log(rows)))


def fit_lightgbm(
    features: Matrix,
    labels: NDArray[Any],
    validation: Happened,
    seed: int,
    classes: int = 2,
) -> Predict:
    """Gradient boosting, stopped when the log-loss of the rows in `validation`, bool (n,), no longer falls.

    features: (n, f), raw; labels: (n,), in 0..classes-1. Predicts (n, classes).
    """
    import lightgbm  # noqa: PLC0415

    parameters = {
        "objective": "binary" if classes == 2 else "multiclass",
        **({} if classes == 2 else {"num_class": classes}),
        "learning_rate": 0.05,
        "num_leaves": 15,
        "min_data_in_leaf": 40,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,  # two wait for one another at every node, and for each other's core where it is busy
        "verbosity": -1,
    }
    model = lightgbm.train(
        parameters,
        lightgbm.Dataset(features[~validation], labels[~validation].astype(np.float64)),
        num_boost_round=BOOSTING_ROUNDS,
        valid_sets=[lightgbm.Dataset(features[validation], labels[validation].astype(np.float64))],
        callbacks=[lightgbm.early_stopping(PATIENCE_ROUNDS, verbose=False)],
    )

    def predict(rows: Matrix) -> Matrix:
        answers = np.asarray(model.predict(rows, num_threads=1))
        return np.column_stack([1 - answers, answers]) if classes == 2 else answers

    return predict


def offer_base_rate(shown: NDArray[np.int64], converted: Happened, offers: int) -> Matrix:
    """(offers,): how often each offer converts where it is shown, whoever it is shown to.

    shown: (n,), 0..offers-1. Each rate counts 20 more exposures at the rate of all, so that an offer that was hardly
    ever shown is neither hopeless nor a miracle.
    """
    exposures = np.bincount(shown, minlength=offers)
    conversions = np.bincount(shown[converted], minlength=offers)
    rate: Matrix = (conversions + PRIOR_EXPOSURES * float(converted.mean())) / (exposures + PRIOR_EXPOSURES)
    return rate


def offer_popularity(taken: NDArray[np.int64], offers: int) -> Matrix:
    """(offers,), summing to 1: each offer's share of those taken, whoever took it. taken: (n,), 0..offers-1.

    Each offer counts once more than it was taken, so that none is impossible.
    """
    counts = np.bincount(taken, minlength=offers) + 1
    share: Matrix = counts / int(counts.sum())
    return share


def with_offer(features: Matrix, offer_ids: NDArray[np.int64], offers: int) -> Matrix:
    """(n, f + offers): the features, and which offer was shown as a column of 0 and 1 for each."""
    return np.hstack([features, np.eye(offers)[offer_ids]])


def signed_log(values: Matrix) -> Matrix:
    """sign(x) * ln(1 + |x|), as in the networks' graph."""
    transformed: Matrix = np.sign(values) * np.log1p(np.abs(values))
    return transformed
