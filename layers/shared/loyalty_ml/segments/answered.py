"""Columns of answers for customers, block by block, by the scorers of every other mode."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.customers.population import Block, Population
from loyalty_ml.customers.table import FeatureTable
from loyalty_ml.scoring.scored import scoring
from loyalty_ml.scoring.scorers import Scorer, Scores


class Answered(NamedTuple):
    """Some customers with columns of answers, and the numbers of those who have none, int64, both ascending."""

    customers: Block
    scores: Scores
    failed: NDArray[np.int64]


class Kept(NamedTuple):
    """The members in a block, and what they are answered, by the types that deciding it needed."""

    customers: Block
    answered: Mapping[str, Answered]


def whole(block: Block) -> Kept:
    """A block whose customers are all members."""
    return Kept(block, {})


def answering(scorer: Scorer, population: Population) -> Callable[[Kept], Answered]:
    """How members are scored: each customer by the same scorer, from the same features, as in a single prediction."""
    score = scoring([scorer], population.features, most_rows=population.block_rows)
    name = scorer.info["name"]

    def answer(kept: Kept) -> Answered:
        if name in kept.answered:
            return kept.answered[name]
        block = kept.customers
        table = FeatureTable((), population.features, block.values, absent=None, found=None, as_of=None)
        scored = score(table, lambda rows: population.ids(block.numbers[rows].tolist()))
        if scored.answered is None:
            return Answered(block, scored.scores[0], np.empty(0, np.int64))
        customers = Block(block.numbers[scored.answered], block.values[scored.answered])
        return Answered(customers, scored.scores[0], block.numbers[~scored.answered])

    return answer


def rows_of(answered: Answered, block: Block) -> NDArray[np.intp]:
    """The rows of a block that have an answer, ascending."""
    return np.searchsorted(block.numbers, answered.customers.numbers)


def narrowed(answered: Answered, before: Block, mask: NDArray[np.bool_], after: Block) -> Answered:
    """The same of fewer customers: of the block `before` those of a bool (n,), who are the block `after`."""
    of_kind = type(answered.scores)
    if not len(answered.failed):
        return Answered(after, of_kind(*(column[mask] for column in answered.scores)), answered.failed)
    chosen = mask[rows_of(answered, before)]
    numbers = answered.customers.numbers[chosen]
    customers = Block(numbers, after.values[np.searchsorted(after.numbers, numbers)])
    failed = answered.failed[mask[np.searchsorted(before.numbers, answered.failed)]]
    return Answered(customers, of_kind(*(column[chosen] for column in answered.scores)), failed)
