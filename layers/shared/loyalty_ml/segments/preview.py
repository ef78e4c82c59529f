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
BINS = 20
"""Of probabilities: each is 5 points wide, and the last one has 1 in it too."""
LAPSED = "lapsed"


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
        scores = score(kept).scores
        probability, group = churn.answers.value(scores), churn.answers.group_of(scores)
        assert probability is not None
        place = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
        counts = np.bincount(group.astype(np.int64) * BINS + place, minlength=len(groups) * BINS)
        active = np.ones(len(place), np.bool_) if LAPSED not in groups else group != groups.index(LAPSED)
        expected = np.bincount(place[active], probability[active].astype(np.float64), BINS)
        ranked = rank(kept).scores
        assert isinstance(ranked, RfmScores)
        cell = SCORES * (ranked.r_score.astype(np.int64) - 1) + (ranked.f_score - 1)
        cells = np.bincount(cell, minlength=SCORES * SCORES)
        return counts.reshape(len(groups), BINS), expected, cells

    counts, expected = np.zeros((len(groups), BINS), np.int64), np.zeros(BINS)
    cells = np.zeros(SCORES * SCORES, np.int64)
    for some, sums, ranks in members.measure(measure, progress):
        counts += some
        expected += sums
        cells += ranks
    return {
        "answer": answer,
        "bins": [
            {
                "begins": place / BINS,
                "ends": (place + 1) / BINS,
                "by_risk": dict(zip(groups, counts[:, place].tolist(), strict=True)),
                "expected": float(expected[place]),
            }
            for place in range(BINS)
        ],
        "rfm": [
            {
                "r_score": 1 + number // SCORES,
                "f_score": 1 + number % SCORES,
                "segment": segment_name(1 + number // SCORES, 1 + number % SCORES),
                "members": int(cells[number]),
            }
            for number in range(SCORES * SCORES)
        ],
    }
