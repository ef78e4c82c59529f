"""What the rows that a model learnt from look like, for its card: the service measures drift from it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.customers.table import model_matrix
from loyalty_ml.models.card import Distribution, Histogram, Thresholds
from loyalty_ml.models.interpreter import Network
from loyalty_ml.models.store import MODEL_OUTPUTS
from loyalty_ml.scoring.scores import score_churn, score_offers
from loyalty_ml.segments.drift import at_least, bins
from training.registry.model_set import check_numbers

BINS = 10


def distribution(name: str, network: Network, names: Sequence[str], features: NDArray[np.float64]) -> Distribution:
    """Of features, (n, f), raw and finite, and of what the model `name`, as the functions run it, says of those rows.

    Raises Refused where an answer is not a number.
    """
    return Distribution(
        rows=len(features),
        features={feature: histogram(features[:, column]) for column, feature in enumerate(names)},
        score=_score(name, network, model_matrix(features)),
    )


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


def _score(name: str, network: Network, matrix: NDArray[np.float32]) -> Histogram | tuple[float, ...]:
    if MODEL_OUTPUTS[name] == "churn_probability":
        # The thresholds decide the risk bands alone, which drift is not measured by.
        probability = score_churn(matrix, network, Thresholds()).probability
        check_numbers(name, probability)
        return histogram(probability)
    probabilities, best = score_offers(matrix, network)
    check_numbers(name, probabilities)
    return tuple((np.bincount(best, minlength=probabilities.shape[1]) / len(best)).tolist())
