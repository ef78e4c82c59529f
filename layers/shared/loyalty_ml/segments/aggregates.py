"""What a segment's members are as a whole: tallies of columns of answers, which add up over blocks of any size."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NotRequired

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import TypedDict

from loyalty_ml.errors import CustomerNotFound
from loyalty_ml.scoring.answers import Answers
from loyalty_ml.scoring.scorers import Scores

AvgProbability = Annotated[
    float | None, Field(description="The mean over the members with an answer; null if no member has one")
]


FailedByCode = Annotated[
    dict[str, int],
    Field(
        description="The members without an answer, by error code: together `failed`; statistics that were stored "
        "before this was counted have none",
        examples=[{"NO_PURCHASES": 12, "CUSTOMER_NOT_FOUND": 3}],
    ),
]


class ChurnAggregate(TypedDict):
    high: int
    medium: int
    low: int
    lapsed: Annotated[int, Field(description="The members who have left already by the model's own rule")]
    avg_probability: AvgProbability
    avg_probability_active: Annotated[
        float | None, Field(description="The mean over those who have not lapsed; null if there is nobody")
    ]


class ChurnStatistics(TypedDict):
    high: int
    medium: int
    low: int
    lapsed: Annotated[
        int | None,
        Field(
            description="The members who have left already by the model's own rule; this and its two companions are "
            "null in statistics that were stored before there was such a rule"
        ),
    ]
    avg_probability: AvgProbability
    avg_probability_active: Annotated[
        float | None, Field(description="The mean over those who have not lapsed; null if there is nobody")
    ]
    count: Annotated[
        int,
        Field(description="The number of members with an answer; the percentages are of these, and null if it is 0"),
    ]
    failed: int
    failed_by_code: NotRequired[FailedByCode]
    high_percentage: float | None
    medium_percentage: float | None
    low_percentage: float | None
    lapsed_percentage: float | None


class NboStatistics(TypedDict):
    count: int
    failed: int
    failed_by_code: NotRequired[FailedByCode]
    top_offers: Annotated[
        list[tuple[str, int]],
        Field(description="The three offers that are recommended to the most members, most first"),
    ]
    distribution: Annotated[
        dict[str, int], Field(description="The number of members by name of the offer that is recommended")
    ]
    by_code: NotRequired[
        Annotated[
            dict[str, int],
            Field(
                description="The same by the offer's code, which stays when an offer gets another name: entries of the "
                "history are compared by it. Statistics that were stored before offers had codes have none"
            ),
        ]
    ]


class RfmStatistics(TypedDict):
    count: int
    failed: int
    failed_by_code: NotRequired[FailedByCode]
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

    counts:     int64, by place in the groups of the type's answers.
    reasons:    those without an answer, by error code; they are in no other figure.
    value_sum:  of the type's value, in float64; 0 if it has none.
    active_sum: the same of those who are not in the inactive group.
    """

    counts: NDArray[np.int64]
    reasons: Counter[str]
    value_sum: float
    active_sum: float

    @property
    def answered(self) -> int:
        return int(self.counts.sum())

    @property
    def failed(self) -> int:
        return self.reasons.total()

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.counts + other.counts,
            self.reasons + other.reasons,
            self.value_sum + other.value_sum,
            self.active_sum + other.active_sum,
        )


def tally(answers: Answers[Any], scores: Scores, reasons: Counter[str]) -> Tally:
    """Counts columns of n answers; other customers had none, for these `reasons`."""
    value, group = answers.value(scores), answers.group_of(scores)
    counts = _counts(group, len(answers.groups))
    value_sum = active_sum = 0.0 if value is None else float(value.sum(dtype=np.float64))
    if value is not None and answers.inactive is not None and counts[answers.inactive]:
        active_sum = float(value[group != answers.inactive].sum(dtype=np.float64))
    return Tally(counts, reasons, value_sum, active_sum)


def by_group(answers: Answers[Any], tally: Tally) -> dict[str, int]:
    """Customers by the name of their group; groups of one name together."""
    counted: dict[str, int] = {}
    for name, count in zip(answers.groups, tally.counts.tolist(), strict=True):
        counted[name] = counted.get(name, 0) + count
    return counted


def not_found(unknown: Sequence[str]) -> Counter[str]:
    """The reasons of ids that are no customers."""
    return Counter({CustomerNotFound.code: len(unknown)} if unknown else {})


def by_code(reasons: Counter[str]) -> dict[str, int]:
    """The most frequent code first."""
    return dict(sorted(reasons.items(), key=lambda reason: (-reason[1], reason[0])))


def aggregate(answers: Answers[Any], tally: Tally) -> Any:
    """Customers by group, and the mean of the value if there is one, of all and of the active: None for no customer."""
    if answers.value_name is None:
        return by_group(answers, tally)
    means = {f"avg_{answers.value_name}": tally.value_sum / tally.answered if tally.answered else None}
    if answers.inactive is not None:
        active = tally.answered - int(tally.counts[answers.inactive])
        means[f"avg_{answers.value_name}_active"] = tally.active_sum / active if active else None
    return {**by_group(answers, tally), **means}


def statistics(answers: Answers[Any], tally: Tally) -> Any:
    """How many were answered, and in which groups: each with its percentage, or the largest and all of them."""
    counted: dict[str, Any] = {
        "count": tally.answered,
        "failed": tally.failed,
        "failed_by_code": by_code(tally.reasons),
    }
    if answers.summary is None:
        count = tally.answered
        groups = by_group(answers, tally)
        shares = {f"{name}_percentage": 100 * group / count if count else None for name, group in groups.items()}
        return {**aggregate(answers, tally), **counted, **shares}
    distribution = by_group(answers, tally)
    parts = {name: distribution if name == "distribution" else _largest(distribution) for name in answers.summary}
    if answers.codes is not None:
        parts["by_code"] = dict(zip(answers.codes, tally.counts.tolist(), strict=True))
    return {**counted, **parts}


def _counts(places: NDArray[np.signedinteger], groups: int) -> NDArray[np.int64]:
    # bincount would first make an int64 of each: for a few groups this takes a tenth of the time.
    return np.array([np.count_nonzero(places == group) for group in range(groups)], np.int64)


def _largest(distribution: Mapping[str, int]) -> list[tuple[str, int]]:
    """The largest groups, of equal ones the first named first; an empty group is not large."""
    groups = sorted(distribution.items(), key=lambda group: -group[1])
    return [group for group in groups[:TOP] if group[1]]


SAMPLE = 500
"""Members that are explained for the drivers, at most: each takes some 0.1 ms, and the error of a mean is below a
twentieth of its spread."""


class Driver(TypedDict):
    """What one feature, or a group of features, adds to the scores of the members or takes from them."""

    feature: NotRequired[str]
    group: NotRequired[str]
    mean_absolute_contribution: float


class Drivers(TypedDict):
    """Of one type."""

    customers: Annotated[
        int,
        Field(
            description=f"The members that this is the mean of: those with an answer, of churn who have not lapsed; of "
            f"more than {SAMPLE} a sample, always the same of the same snapshot"
        ),
    ]
    features: Annotated[list[Driver], Field(description="The largest first")]


DriversByType = Annotated[
    dict[str, Drivers],
    Field(
        description="What drives the scores: the mean absolute contribution of each feature, as in `reasons`. A type "
        "whose model has no baseline is left out"
    ),
]
