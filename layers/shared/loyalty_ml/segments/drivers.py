"""What drives the scores of a segment: the mean absolute contribution of each feature, over a sample of its members."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.customers.table import FeatureTable
from loyalty_ml.errors import NoBaseline
from loyalty_ml.scoring.scored import scoring
from loyalty_ml.scoring.scorers import Scorer, Scores
from loyalty_ml.segments.aggregates import SAMPLE, Driver, Drivers
from loyalty_ml.vocabulary import PredictionType


def explained(scorers: Mapping[PredictionType, Scorer]) -> list[PredictionType]:
    """The types that have reasons."""
    found: list[PredictionType] = []
    for name, scorer in scorers.items():
        try:
            scorer.explainer()
        except NoBaseline:
            continue
        found.append(name)
    return found


def candidates(scorer: Scorer, numbers: NDArray[np.int64], scores: Scores) -> NDArray[np.int64]:
    """Of the customers with these numbers and columns, those that a sample may have: at most SAMPLE."""
    if scorer.answers.inactive is not None:
        numbers = numbers[scorer.answers.group_of(scores) != scorer.answers.inactive]
    return sampled(numbers)


def sampled(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """SAMPLE of these customers, or all if they are fewer; a sample of samples is that of all together.

    They are those with the least hashes, so that it does not matter in which blocks they come.
    """
    if len(numbers) <= SAMPLE:
        return numbers.copy()
    return numbers[np.argpartition(_hashes(numbers), SAMPLE)[:SAMPLE]]


def _hashes(numbers: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Uint64 (n,), a different one for each number (splitmix64's finalizer, of Steele, Lea and Flood, 2014)."""
    mixed = numbers.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def drivers(scorer: Scorer, table: FeatureTable) -> Drivers:
    """Of the customers of a table."""
    if not len(table.customer_ids):
        return {"customers": 0, "features": []}

    def ids_of(rows: NDArray[np.intp]) -> Sequence[str]:
        return [table.customer_ids[row] for row in rows.tolist()]

    (explanations,) = scoring([scorer], table.names, most_reasons=None)(table, ids_of).explanations
    sums: dict[tuple[str, bool], float] = {}
    for explanation in explanations:
        for reason in explanation.reasons:
            key = (reason["group"], True) if "group" in reason else (reason["feature"], False)
            sums[key] = sums.get(key, 0.0) + abs(reason["contribution"])
    found: list[Driver] = []
    for (name, is_group), total in sorted(sums.items(), key=lambda each: (-each[1], each[0])):
        mean = total / len(explanations)
        driver: Driver = (
            {"group": name, "mean_absolute_contribution": mean}
            if is_group
            else {"feature": name, "mean_absolute_contribution": mean}
        )
        found.append(driver)
    return {"customers": len(explanations), "features": found}
