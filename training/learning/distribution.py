"""What the customer base looks like as a model is trained, for its card: the service measures drift from it."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.customers.table import model_matrix
from loyalty_ml.models.card import Distribution, Histogram, Offer, Thresholds
from loyalty_ml.models.interpreter import Network
from loyalty_ml.models.store import MODEL_OUTPUTS
from loyalty_ml.scoring.scores import score_churn, score_offers
from loyalty_ml.segments.drift import at_least, bins
from training.errors import Problem
from training.registry.model_set import check_numbers, log_odds
from training.warehouse.examples import Base

BINS = 10
MOST_PERMUTED = 20_000
"""Customers whose features are permuted: of more, as many are drawn."""
MOVED_BY_TIME = "customer_age_days"
"""It grows by a day each day for everyone, so that it is far from where it was whatever customers do."""


def distribution(
    name: str,
    network: Network,
    names: tuple[str, ...],
    features: NDArray[np.float64],
    *,
    seed: int,
    offers: Sequence[Offer] = (),
    customer_ids: Sequence[str] = (),
) -> Distribution:
    """Of features, (n, f), raw and finite, and of what the model `name`, as the functions run it, says of those rows.

    offers, customer_ids: of an offer model, as the service recommends: what is learnt, and who may explore.
    Raises Refused where an answer is not a number.
    """
    return Distribution(
        rows=len(features),
        features={feature: histogram(features[:, column]) for column, feature in enumerate(names)},
        score=_score(name, network, model_matrix(features), offers, customer_ids),
        weights=weights(network, names, features, seed),
    )


def of_base(name: str, network: Network, base: Base, seed: int, offers: Sequence[Offer] = ()) -> Distribution | None:
    """The same of the customers of now whose features are all finite; None if too little is known of every offer.

    The service compares with it the customers of a later day: so it is of everyone who would be asked about, the lapsed
    too, and not of the rows that were learnt from. Raises Problem if there is no such customer.
    """
    if offers and all(offer.evidence == "too_few" for offer in offers):
        return None  # nothing is recommended to anyone
    known = np.isfinite(base.features).all(axis=1)
    if not known.any():
        raise Problem(
            f"No customer has all features of {name}, so there is nothing to measure drift from: complete the data, or "
            "leave the features that are missing out of [features]."
        )
    return distribution(
        name,
        network,
        base.names,
        base.features[known],
        seed=seed,
        offers=offers,
        customer_ids=base.customer_ids[known].tolist(),
    )


def weights(
    network: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    names: tuple[str, ...],
    features: NDArray[np.float64],
    seed: int,
) -> dict[str, float]:
    """By feature, 0..1: what it does to the score, beside the feature that does most.

    That is how far the score's log-odds move, as the mean over customers and outputs of the absolute difference, if the
    feature is permuted over the customers (Breiman, Random Forests, 2001, section 10, with the score itself in place of
    the error). features: (n, f), finite. All 0 if none does anything; 0 for what time alone moves.
    """
    random = np.random.default_rng(seed)
    if len(features) > MOST_PERMUTED:
        features = features[random.choice(len(features), MOST_PERMUTED, replace=False)]
    before = log_odds(network(model_matrix(features)))
    moved = {}
    for column, name in enumerate(names):
        permuted = features.copy()
        permuted[:, column] = random.permutation(permuted[:, column])
        moved[name] = float(np.abs(log_odds(network(model_matrix(permuted))) - before).mean())
    moved |= {MOVED_BY_TIME: 0.0} if MOVED_BY_TIME in moved else {}
    most = max(moved.values())
    return {name: value / most if most > 0 else 0.0 for name, value in moved.items()}


def histogram(values: NDArray[np.floating]) -> Histogram:
    """Deciles of (n,) finite values, n > 0; fewer bins where values tie.

    A bin begins at a value that occurs, the one whose rows begin nearest to the decile. So what many rows have in
    common, such as a revenue of 0, has a bin of its own between what is less and what is more. Where all rows have the
    same value, the bins are less, the same, and more.
    """
    ordered = np.sort(values)
    edges = _edges(ordered)
    shares = bins(at_least(ordered, edges), len(ordered)) / len(ordered)
    return Histogram(edges=edges, shares=tuple(shares.tolist()))


def _edges(ordered: NDArray[np.floating]) -> tuple[float, ...]:
    begins = 1 + np.flatnonzero(ordered[1:] > ordered[:-1])
    if not len(begins):
        the_same = ordered[0]
        return float(the_same), float(np.nextafter(the_same, ordered.dtype.type(np.inf)))
    deciles = len(ordered) * np.arange(1, BINS) / BINS
    after = np.searchsorted(begins, deciles).clip(max=len(begins) - 1)
    before = (after - 1).clip(min=0)
    nearest = np.where(deciles - begins[before] < begins[after] - deciles, begins[before], begins[after])
    return tuple(ordered[np.unique(nearest)].tolist())


def _score(
    name: str,
    network: Network,
    matrix: NDArray[np.float32],
    offers: Sequence[Offer],
    customer_ids: Sequence[str],
) -> Histogram | tuple[float, ...]:
    if MODEL_OUTPUTS[name] == "churn_probability":
        # The thresholds decide the risk bands alone, which drift is not measured by.
        probability = score_churn(matrix, network, Thresholds()).probability
        check_numbers(name, probability)
        return histogram(probability)
    probabilities, best = score_offers(matrix, network, offers, customer_ids)
    check_numbers(name, probabilities)
    return tuple((np.bincount(best, minlength=probabilities.shape[1]) / len(best)).tolist())
