"""A definition before it is stored: who would be in the segment, and how their risk is spread."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import TypedDict

from loyalty_ml.customers.population import Block, Population
from loyalty_ml.models.store import ModelSet
from loyalty_ml.progress import Progress, no_progress
from loyalty_ml.scoring.rfm import RfmScores, segment_name
from loyalty_ml.scoring.scorers import scorer_for
from loyalty_ml.segments.answered import answering
from loyalty_ml.segments.contracts import SegmentAnswer
from loyalty_ml.segments.definition import Segment, SegmentDefinition
from loyalty_ml.segments.membership import select
from loyalty_ml.segments.predictions import predict_segment
from loyalty_ml.vocabulary import MockMode

SCORES = 5
"""Of recency and of frequency: 1 to 5."""
CELLS = SCORES * SCORES
BINS = 20
"""Of probabilities: each is 5 points wide, and the last one has 1 in it too."""


class RiskBin(TypedDict):
    begins: Annotated[float, Field(description="The least probability in the bin")]
    ends: Annotated[float, Field(description="The bin ends before this probability; the last one has 1 in it too")]
    by_risk: Annotated[dict[str, int], Field(description="The number of members by risk band")]
    expected: Annotated[
        float,
        Field(description="How many of them will leave: the sum of the probabilities of those who have not lapsed"),
    ]


class RfmCell(TypedDict):
    r_score: int
    f_score: int
    segment: str
    members: int
    bins: Annotated[
        list[RiskBin],
        Field(description="How the risk of those of them who have a probability is spread: the bins with members"),
    ]


class SegmentPreviewAnswer(TypedDict):
    """What the segment's answer would be, how the risk of its members is spread, and where they are on the RFM map."""

    answer: SegmentAnswer
    bins: Annotated[list[RiskBin], Field(description="20 bins of the churn probability, the lowest first")]
    rfm: Annotated[list[RfmCell], Field(description="25 cells, by recency and frequency score")]


def preview(
    definition: SegmentDefinition,
    population: Population,
    models: ModelSet,
    mock_mode: MockMode,
    progress: Progress = no_progress,
) -> SegmentPreviewAnswer:
    """The churn answer of a segment of this definition, with the spread of all its members' probabilities.

    Raises what predict_segment raises.
    """
    segment = Segment("preview", 1, population.as_of, definition)
    answer = predict_segment(segment, "churn", population, models, mock_mode, progress=progress)
    members, keep, _ = select(definition, population, models, mock_mode)
    churn, rfm = (scorer_for(each, models, mock_mode) for each in ("churn", "rfm"))
    score, rank = answering(churn, population), answering(rfm, population)
    groups = list(churn.answers.groups)

    def measure(block: Block) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
        kept = keep(block)
        numbers = kept.customers.numbers
        ranked = rank(kept)
        assert isinstance(ranked.scores, RfmScores)
        # The last cell is of those who have no RFM scores.
        cell = np.full(len(numbers), CELLS)
        cell[np.searchsorted(numbers, ranked.customers.numbers)] = (
            SCORES * (ranked.scores.r_score.astype(np.int64) - 1) + ranked.scores.f_score - 1
        )
        answered = score(kept)
        probability, group = churn.answers.value(answered.scores), churn.answers.group_of(answered.scores)
        assert probability is not None
        place = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
        cell_of = cell[np.searchsorted(numbers, answered.customers.numbers)]
        counted = np.bincount(
            (cell_of * len(groups) + group) * BINS + place, minlength=(CELLS + 1) * len(groups) * BINS
        )
        active = np.ones(len(place), np.bool_) if churn.answers.inactive is None else group != churn.answers.inactive
        expected = np.bincount(
            (cell_of * BINS + place)[active], probability[active].astype(np.float64), (CELLS + 1) * BINS
        )
        return (
            counted.reshape(CELLS + 1, len(groups), BINS),
            expected.reshape(CELLS + 1, BINS),
            np.bincount(cell, minlength=CELLS + 1),
        )

    counts, expected = np.zeros((CELLS + 1, len(groups), BINS), np.int64), np.zeros((CELLS + 1, BINS))
    in_cell = np.zeros(CELLS + 1, np.int64)
    for some, sums, ranks in members.measure(measure, progress):
        counts += some
        expected += sums
        in_cell += ranks

    def bins(by_risk: NDArray[np.int64], sums: NDArray[np.float64], *, with_empty: bool) -> list[RiskBin]:
        return [
            {
                "begins": place / BINS,
                "ends": (place + 1) / BINS,
                "by_risk": dict(zip(groups, by_risk[:, place].tolist(), strict=True)),
                "expected": float(sums[place]),
            }
            for place in range(BINS)
            if with_empty or by_risk[:, place].any()
        ]

    return {
        "answer": answer,
        "bins": bins(counts.sum(axis=0), expected.sum(axis=0), with_empty=True),
        "rfm": [
            {
                "r_score": 1 + number // SCORES,
                "f_score": 1 + number % SCORES,
                "segment": segment_name(1 + number // SCORES, 1 + number % SCORES),
                "members": int(in_cell[number]),
                "bins": bins(counts[number], expected[number], with_empty=False),
            }
            for number in range(CELLS)
        ],
    }
