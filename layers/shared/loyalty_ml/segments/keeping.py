"""Which customers of a block satisfy conditions over the snapshot's columns and over predictions."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.arrow import texts_of
from loyalty_ml.customers.population import Block, Population
from loyalty_ml.scoring.scorers import Scorer
from loyalty_ml.segments import conditions
from loyalty_ml.segments.answered import Kept, Scored, narrowed, rows_of, scoring_by, whole
from loyalty_ml.segments.conditions import Condition
from loyalty_ml.segments.variables import OFFER, PREDICTED
from loyalty_ml.vocabulary import CUSTOMER_ID, PredictionType

Fill = Callable[[Block, Mapping[str, Scored]], NDArray[np.float64]]
"""A variable's values for a block of n customers and what they are scored, float64 (n,)."""

_ANOTHER_ID = -1.0
"""What customer_id is for a customer whose id is no text of the conditions."""


class Test(NamedTuple):
    """A condition that is true of every member.

    columns:      the columns of the snapshot that it reads; predictions: the variables of PREDICTED, or customer_id.
    """

    condition: Condition
    columns: frozenset[str]
    predictions: frozenset[str]


class _Step(NamedTuple):
    """Conditions that are looked at together.

    types:  what must be predicted first; fills: where each variable's values come from.
    """

    condition: Condition
    types: Sequence[PredictionType]
    fills: Mapping[str, Fill]


def keeping(
    tests: Sequence[Test],
    codes: dict[str, float],
    population: Population,
    scorer_of: Callable[[PredictionType], Scorer],
) -> Callable[[Block], Kept]:
    """The function that keeps the members of a block, for `measure` of Members.

    codes:      of the texts in the conditions; it gets those of predictions too.
    scorer_of:  raises ModelUnavailable if a type cannot be scored; called for those that a condition reads.

    What needs no prediction is looked at first, and only those of whom it is true are scored.
    """
    predicted = {name for test in tests for name in test.predictions - {CUSTOMER_ID}}
    kinds = {PREDICTED[name].prediction_type for name in predicted}
    score = {kind: scoring_by(scorer_of(kind), population) for kind in kinds}
    sources: dict[str, Fill] = {name: _prediction(name, codes, scorer_of) for name in sorted(predicted)}
    if any(CUSTOMER_ID in test.predictions for test in tests):
        sources[CUSTOMER_ID] = _customer_ids(codes, population)
    steps = list(_steps(tests, sources, population.features))
    of_thread = threading.local()

    def keep(block: Block) -> Kept:
        kept = whole(block)
        for step in steps:
            scored = dict(kept.scored) | {
                kind: score[kind](kept.customers) for kind in step.types if kind not in kept.scored
            }
            columns = _columns(kept.customers, scored, step.fills)
            mask = np.broadcast_to(step.condition.true(columns), kept.customers.numbers.shape)
            kept = _those(Kept(kept.customers, scored), mask)
        return kept

    def _those(kept: Kept, mask: NDArray[np.bool_]) -> Kept:
        if mask.all():
            return kept
        if not hasattr(of_thread, "values"):
            # Used again for each block: see Population, whose memory the block is in.
            of_thread.values = np.empty((population.block_rows, len(population.features)))
        rows = np.flatnonzero(mask)
        values, wanted = kept.customers.values, of_thread.values[: len(rows)]
        if np.may_share_memory(values, wanted):
            narrow = values[rows]
        else:
            narrow = np.take(values, rows, axis=0, out=wanted, mode="clip")  # any other mode copies once more
        after = Block(kept.customers.numbers[rows], narrow)
        scored = {name: narrowed(each, kept.customers, mask, after) for name, each in kept.scored.items()}
        return Kept(after, scored)

    return keep


def _steps(tests: Sequence[Test], sources: Mapping[str, Fill], features: Sequence[str]) -> Iterator[_Step]:
    """Those that read the same predictions together, RFM before networks, one network before two."""

    def types(test: Test) -> list[PredictionType]:
        return sorted({PREDICTED[name].prediction_type for name in test.predictions - {CUSTOMER_ID}})

    def cost(test: Test) -> Any:
        # A column that has a prediction's name is not mixed up with it.
        return len({*types(test)} - {"rfm"}), types(test), bool(test.columns & PREDICTED.keys())

    for (_, needed, _), group in groupby(sorted(tests, key=cost), cost):
        together = list(group)
        fills = {name: sources[name] for test in together for name in test.predictions}
        fills |= {name: _feature(features.index(name)) for test in together for name in test.columns}
        yield _Step(conditions.every([test.condition for test in together]), needed, fills)


def _columns(block: Block, scored: Mapping[str, Scored], fills: Mapping[str, Fill]) -> conditions.Columns:
    """Each column is made when it is first read, and once."""
    made: dict[str, NDArray[np.float64]] = {}

    def column(name: str) -> NDArray[np.float64]:
        if name not in made:
            made[name] = fills[name](block, scored)
        return made[name]

    return column


def _feature(place: int) -> Fill:
    return lambda block, _: np.ascontiguousarray(block.values[:, place])


def _prediction(name: str, codes: dict[str, float], scorer_of: Callable[[PredictionType], Scorer]) -> Fill:
    """NaN for customers who have no answer."""
    prediction_type, values_of, texts = PREDICTED[name]
    if name == OFFER:
        texts = scorer_of(prediction_type).answers.codes or ()
    codes_of = None if texts is None else np.array([codes.setdefault(text, float(len(codes))) for text in texts])

    def fill(block: Block, scored: Mapping[str, Scored]) -> NDArray[np.float64]:
        found = scored[prediction_type]
        values = values_of(found.scores)
        numbers = values.astype(np.float64) if codes_of is None else codes_of[values]
        if not len(found.failed):
            return numbers
        column = np.full(len(block.numbers), np.nan)
        column[rows_of(found, block)] = numbers
        return column

    return fill


def _customer_ids(codes: Mapping[str, float], population: Population) -> Fill:
    """The codes of ids that the conditions name; the other customers are none of these."""
    found = population.numbers(texts_of(list(codes)))
    order = np.argsort(found)
    numbers, values = found[order], np.array(list(codes.values()))[order]

    def fill(block: Block, _: Mapping[str, Scored]) -> NDArray[np.float64]:
        if not len(numbers):
            return np.full(len(block.numbers), _ANOTHER_ID)
        places = np.searchsorted(numbers, block.numbers)
        is_named = numbers.take(places, mode="clip") == block.numbers
        return np.where(is_named, values.take(places, mode="clip"), _ANOTHER_ID)

    return fill
