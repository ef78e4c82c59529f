"""Columns of answers for customers, block by block, by the scorers of every other mode."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.customers.population import Block, Population
from loyalty_ml.customers.table import FeatureTable, problem_codes, purchases_in, taking
from loyalty_ml.scoring.scored import scoring
from loyalty_ml.scoring.scorers import Scorer, Scores


class Scored(NamedTuple):
    """Some customers with columns of answers, and the numbers of those who have none, int64, both ascending."""

    customers: Block
    scores: Scores
    failed: NDArray[np.int64]


class Answered(NamedTuple):
    """The same, and how many of them have no answer for which reason, by error code."""

    customers: Block
    scores: Scores
    failed: NDArray[np.int64]
    reasons: Counter[str]


class Kept(NamedTuple):
    """The members in a block, and what they are answered, by the types that deciding it needed."""

    customers: Block
    scored: Mapping[str, Scored]


def whole(block: Block) -> Kept:
    """A block whose customers are all members."""
    return Kept(block, {})


def scoring_by(scorer: Scorer, population: Population) -> Callable[[Block], Scored]:
    """How a block is scored: each customer by the same scorer, from the same features, as in a single prediction."""
    score = scoring([scorer], population.features, most_rows=population.block_rows)

    def scored_of(block: Block) -> Scored:
        table = FeatureTable((), population.features, block.values, absent=None, found=None, as_of=None)
        scored = score(table, lambda rows: population.ids(block.numbers[rows].tolist()))
        if scored.answered is None:
            return Scored(block, scored.scores[0], np.empty(0, np.int64))
        customers = Block(block.numbers[scored.answered], block.values[scored.answered])
        return Scored(customers, scored.scores[0], block.numbers[~scored.answered])

    return scored_of


def answering(scorer: Scorer, population: Population) -> Callable[[Kept], Answered]:
    """How members are answered; those who were scored to know that they are members are not scored again."""
    score = scoring_by(scorer, population)
    wanted = taking(scorer.features, population.features)
    name = scorer.info["name"]

    def answer(kept: Kept) -> Answered:
        found = kept.scored[name] if name in kept.scored else score(kept.customers)
        if not len(found.failed):
            return Answered(*found, Counter())
        values = kept.customers.values[np.searchsorted(kept.customers.numbers, found.failed)]
        return Answered(*found, problem_codes(wanted(values), purchases_in(population.features, values)))

    return answer


def rows_of(scored: Scored, block: Block) -> NDArray[np.intp]:
    """The rows of a block that have an answer, ascending."""
    return np.searchsorted(block.numbers, scored.customers.numbers)


def narrowed(scored: Scored, before: Block, mask: NDArray[np.bool_], after: Block) -> Scored:
    """The same of fewer customers: of the block `before` those of a bool (n,), who are the block `after`."""
    of_kind = type(scored.scores)
    if not len(scored.failed):
        return Scored(after, of_kind(*(column[mask] for column in scored.scores)), scored.failed)
    chosen = mask[rows_of(scored, before)]
    numbers = scored.customers.numbers[chosen]
    customers = Block(numbers, after.values[np.searchsorted(after.numbers, numbers)])
    failed = scored.failed[mask[np.searchsorted(before.numbers, scored.failed)]]
    return Scored(customers, of_kind(*(column[chosen] for column in scored.scores)), failed)
