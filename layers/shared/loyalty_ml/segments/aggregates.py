"""What a segment's members are as a whole: tallies of columns of answers, which add up over blocks of any size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import TypedDict

from loyalty_ml.models.card import Offer
from loyalty_ml.scoring.rfm import SEGMENT_NAMES, RfmScores, segment_codes
from loyalty_ml.scoring.scores import RISKS, ChurnScores, OfferScores


class ChurnAggregate(TypedDict):
    high: int
    medium: int
    low: int
    avg_probability: Annotated[
        float, Field(description="The mean over the members with an answer; 0 if there are none")
    ]


class ChurnStatistics(ChurnAggregate):
    count: Annotated[int, Field(description="The number of members with an answer; the percentages are of these")]
    failed: int
    high_percentage: float
    medium_percentage: float
    low_percentage: float


class NboStatistics(TypedDict):
    count: int
    failed: int
    top_offers: Annotated[
        list[tuple[str, int]], Field(description="The three offers that are best for the most members, most first")
    ]
    distribution: Annotated[dict[str, int], Field(description="The number of members by their best offer")]


class RfmStatistics(TypedDict):
    count: int
    failed: int
    distribution: Annotated[dict[str, int], Field(description="The number of members by RFM segment")]
    top_segments: Annotated[list[tuple[str, int]], Field(description="The three largest RFM segments, largest first")]


class Statistics(TypedDict):
    churn: ChurnStatistics
    nbo: NboStatistics
    rfm: RfmStatistics


TOP = 3
"""How many of the largest groups are named apart."""


@dataclass(slots=True)
class Tally:
    """n customers counted for one type.

    counts:           int64; for churn by place in RISKS, for nbo by offer id, for rfm by place in SEGMENT_NAMES.
    failed:           those without an answer; they are in no other figure.
    probability_sum:  of churn, in float64.
    """

    counts: NDArray[np.int64]
    failed: int
    probability_sum: float

    @property
    def answered(self) -> int:
        return int(self.counts.sum())

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.counts + other.counts, self.failed + other.failed, self.probability_sum + other.probability_sum
        )


def tally(scores: ChurnScores | OfferScores | RfmScores, failed: int) -> Tally:
    """Counts columns of n answers; `failed` customers had none."""
    match scores:
        case ChurnScores(probability, risk):
            return Tally(_counts(risk, len(RISKS)), failed, float(probability.sum(dtype=np.float64)))
        case OfferScores(probabilities, best):
            return Tally(_counts(best, probabilities.shape[1]), failed, 0.0)
        case RfmScores():
            return Tally(_counts(segment_codes(scores), len(SEGMENT_NAMES)), failed, 0.0)


def churn_aggregate(tally: Tally) -> ChurnAggregate:
    low, medium, high = tally.counts.tolist()
    return {
        "high": high,
        "medium": medium,
        "low": low,
        "avg_probability": tally.probability_sum / tally.answered if tally.answered else 0.0,
    }


def churn_statistics(tally: Tally) -> ChurnStatistics:
    aggregate = churn_aggregate(tally)
    count = tally.answered or 1  # of nobody nothing is a share
    return {
        **aggregate,
        "count": tally.answered,
        "failed": tally.failed,
        "high_percentage": 100 * aggregate["high"] / count,
        "medium_percentage": 100 * aggregate["medium"] / count,
        "low_percentage": 100 * aggregate["low"] / count,
    }


def nbo_statistics(tally: Tally, catalogue: Sequence[Offer]) -> NboStatistics:
    distribution = offers_by_name(tally, catalogue)
    return {
        "count": tally.answered,
        "failed": tally.failed,
        "top_offers": _largest(distribution),
        "distribution": distribution,
    }


def rfm_statistics(tally: Tally) -> RfmStatistics:
    distribution = segments_by_name(tally)
    return {
        "count": tally.answered,
        "failed": tally.failed,
        "distribution": distribution,
        "top_segments": _largest(distribution),
    }


def offers_by_name(tally: Tally, catalogue: Sequence[Offer]) -> dict[str, int]:
    """Customers by the name of the offer that is best for them; offers of one name together."""
    counted: dict[str, int] = {}
    for offer, count in zip(catalogue, tally.counts.tolist(), strict=True):
        counted[offer.offer_name] = counted.get(offer.offer_name, 0) + count
    return counted


def segments_by_name(tally: Tally) -> dict[str, int]:
    return dict(zip(SEGMENT_NAMES, tally.counts.tolist(), strict=True))


def _counts(places: NDArray[np.int8], groups: int) -> NDArray[np.int64]:
    # bincount would first make an int64 of each: for a few groups this takes a tenth of the time.
    return np.array([np.count_nonzero(places == group) for group in range(groups)], np.int64)


def _largest(distribution: Mapping[str, int]) -> list[tuple[str, int]]:
    """The largest groups, of equal ones the first named first; an empty group is not large."""
    groups = sorted(distribution.items(), key=lambda group: -group[1])
    return [group for group in groups[:TOP] if group[1]]
