"""What a segment is as a whole: statistics of all three types, and how far it is from what the models learnt from."""

import threading
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.customers.population import Block, Population
from loyalty_ml.models.card import Distribution, Histogram
from loyalty_ml.models.store import ModelSet
from loyalty_ml.progress import Progress, no_progress
from loyalty_ml.scoring.scorers import Scorer, scorer_for
from loyalty_ml.segments import drift
from loyalty_ml.segments.aggregates import Drivers, Tally, not_found, statistics, tally
from loyalty_ml.segments.answered import answering
from loyalty_ml.segments.definition import SegmentDefinition
from loyalty_ml.segments.drift import Drift, ModelDrift
from loyalty_ml.segments.drivers import candidates, drivers, explained, sampled
from loyalty_ml.segments.membership import select
from loyalty_ml.vocabulary import PREDICTION_TYPES, MockMode, PredictionType


@dataclass(frozen=True, slots=True)
class Measured:
    """A segment at one snapshot with one model set.

    drift:    by the models whose cards say what they learnt from.
    drivers:  by the types that have reasons.
    """

    member_count: int
    stats: dict[str, Any]
    drift: dict[str, ModelDrift]
    drivers: dict[str, Drivers]


class _Reach(NamedTuple):
    """How many values reach each edge of a histogram, int64 (k,), and how many values there are."""

    at_least: NDArray[np.int64]
    values: int


class _OfBlock(NamedTuple):
    """What a block of members came to; `sample`: numbers of those whose reasons may be looked at, int64."""

    tallies: dict[PredictionType, Tally]
    reaches: dict[tuple[str, str], _Reach]
    sample: dict[PredictionType, NDArray[np.int64]]


def scorers_of(models: ModelSet, mock_mode: MockMode) -> dict[PredictionType, Scorer]:
    """The scorer of every type. Raises ModelUnavailable where one has no model that may answer."""
    return {name: scorer_for(name, models, mock_mode) for name in PREDICTION_TYPES}


def measure_segment(
    definition: SegmentDefinition | None,
    population: Population,
    models: ModelSet,
    mock_mode: MockMode,
    progress: Progress = no_progress,
) -> Measured:
    """Measures every member, in one pass; all customers for None.

    Raises ModelUnavailable, InvalidRequest, FeatureStoreUnavailable, and what `progress` raises.
    """
    scorers = scorers_of(models, mock_mode)
    members, keep, unknown = select(definition, population, models, mock_mode)
    answer = {name: answering(scorer, population) for name, scorer in scorers.items()}
    learnt = {
        name: distribution
        for name, scorer in scorers.items()
        if not scorer.is_mock and (model := models.loaded.get(name)) and (distribution := model.card.distribution)
    }

    with_reasons = explained(scorers)
    of_thread = threading.local()

    def measure(block: Block) -> _OfBlock:
        kept = keep(block)
        block = kept.customers
        if not hasattr(of_thread, "columns"):
            of_thread.columns = np.empty((len(population.features), population.block_rows))
        transposed = of_thread.columns[:, : len(block.numbers)]
        np.copyto(transposed, block.values.T)
        columns = dict(zip(population.features, transposed, strict=True))
        tallies: dict[PredictionType, Tally] = {}
        reaches: dict[tuple[str, str], _Reach] = {}
        sample: dict[PredictionType, NDArray[np.int64]] = {}
        for name, scorer in scorers.items():
            answered = answer[name](kept)
            if name in with_reasons:
                sample[name] = candidates(scorer, answered.customers.numbers, answered.scores)
            tallies[name] = tally(scorer.answers, answered.scores, answered.reasons)
            if name in learnt:
                value = scorer.answers.value(answered.scores)
                reaches |= _reaches(name, learnt[name], columns, value)
        return _OfBlock(tallies, reaches, sample)

    tallies = {
        name: tally(scorer.answers, scorer.answers.nobody(), not_found(unknown)) for name, scorer in scorers.items()
    }
    reaches: dict[tuple[str, str], _Reach] = {}
    sample = dict.fromkeys(with_reasons, np.empty(0, np.int64))
    for counted, reached, candidates_of in members.measure(measure, progress):
        for name in scorers:
            tallies[name] += counted[name]
        for name in with_reasons:
            sample[name] = sampled(np.concatenate([sample[name], candidates_of[name]]))
        for place, (at_least, values) in reached.items():
            before = reaches.get(place, _Reach(np.zeros(len(at_least), np.int64), 0))
            reaches[place] = _Reach(before.at_least + at_least, before.values + values)
    return Measured(
        member_count=tallies["rfm"].answered + tallies["rfm"].failed,
        stats={name: statistics(scorer.answers, tallies[name]) for name, scorer in scorers.items()},
        drift={name: _drift(name, distribution, reaches, tallies[name]) for name, distribution in learnt.items()},
        drivers={
            name: drivers(scorers[name], population.read(np.sort(sample[name]).tolist())) for name in with_reasons
        },
    )


_SCORE = ""
"""The place of a model's score among its features: none has an empty name."""


def _reaches(
    name: PredictionType,
    learnt: Distribution,
    columns: dict[str, NDArray[np.float64]],
    value: NDArray[np.float32] | None,
) -> dict[tuple[str, str], _Reach]:
    """Of each feature that the snapshot has, and of a score that is a number; who has no value is in no count of it."""
    reaches: dict[tuple[str, str], _Reach] = {
        (name, feature): _Reach(
            # NaN is below every edge, and so is only to be left out of the count.
            drift.at_least(columns[feature], histogram.edges),
            int(np.count_nonzero(columns[feature] == columns[feature])),
        )
        for feature, histogram in learnt.features.items()
        if feature in columns
    }
    if value is not None and isinstance(learnt.score, Histogram):
        reaches[name, _SCORE] = _Reach(drift.at_least(value, learnt.score.edges), len(value))
    return reaches


def _drift(
    name: PredictionType, learnt: Distribution, reaches: dict[tuple[str, str], _Reach], counted: Tally
) -> ModelDrift:
    nothing = _Reach(np.zeros(0, np.int64), 0)

    def of(place: str, histogram: Histogram, weight: float | None) -> Drift:
        at_least, values = reaches.get((name, place), nothing)
        reached = at_least if values else np.zeros(len(histogram.edges), np.int64)
        return drift.drift(reached, values, histogram, learnt.rows, weight)

    weights = learnt.weights or {}
    return {
        "features": {
            feature: of(feature, histogram, weights.get(feature)) for feature, histogram in learnt.features.items()
        },
        "score": (
            of(_SCORE, learnt.score, 1.0)
            if isinstance(learnt.score, Histogram)
            else drift.drift_of_counts(counted.counts, learnt.score, learnt.rows, 1.0)
        ),
    }
