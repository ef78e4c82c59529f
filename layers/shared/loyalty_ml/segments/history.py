"""How a segment's statistics moved from snapshot to snapshot, and what moved them.

A point is what was measured at one snapshot with one set of models under one definition. Between two points up to three
of these differ, and each is a cause: another snapshot means that customers moved, another model or another definition
says what it says. Points that differ in one of them show what that one did, so a change with several causes is told
apart by walking from point to point, one cause a step, wherever the points between were stored too.
"""

import itertools
import operator
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import reduce
from typing import Annotated, Any, Literal, NamedTuple, NotRequired

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator
from typing_extensions import TypedDict

from loyalty_ml.models.card import ModelInfo
from loyalty_ml.segments.aggregates import Drivers, Statistics
from loyalty_ml.segments.drift import ModelDrift
from loyalty_ml.vocabulary import rfc3339


class StatisticsChange(TypedDict):
    """Differences: percentages in percentage points. Null if one of the two is null: no member had an answer, or the
    statistics were stored before there was such a figure."""

    member_count: int
    avg_probability: float | None
    high_percentage: float | None
    medium_percentage: float | None
    low_percentage: float | None
    lapsed_percentage: float | None
    avg_probability_active: float | None


class HistoryChange(TypedDict):
    """How the statistics moved since the entry before, in all and by cause; the causes add up to `total`.

    `inseparable` is what several causes did together where the statistics to tell them apart were not stored.
    If a cause is null, `total` is the difference of the two entries.
    """

    since: str
    total: StatisticsChange
    customers: NotRequired[StatisticsChange]
    model: NotRequired[StatisticsChange]
    definition: NotRequired[StatisticsChange]
    inseparable: NotRequired[StatisticsChange]


class HistoryEntry(TypedDict):
    features_as_of: str
    snapshot: str
    models: Annotated[dict[str, str], Field(description="The version of each model, and of RFM's cut points")]
    definition: Annotated[int, Field(description="The version of the segment's definition; 0 for the whole base")]
    member_count: int
    stats: Statistics
    change: Annotated[HistoryChange | None, Field(description="Null if there is no entry before")]


Cause = Literal["customers", "model", "definition"]


class Coordinates(NamedTuple):
    """What a point was measured at; `coordinates` makes them."""

    snapshot: str
    models: tuple[tuple[str, str], ...]
    definition: int


MAX_ENTRIES = 1_000
"""Of a history: 1.6 MB of an answer, of which Lambda sends 6 at most."""

# In the order in which a walk takes them where it can.
_CAUSES: Mapping[str, Cause] = {"snapshot": "customers", "models": "model", "definition": "definition"}


def coordinates(snapshot: str, models: Mapping[str, str], definition: int) -> Coordinates:
    """Equal and hashable for the same models in any order; dict(coordinates.models) gives the models back."""
    return Coordinates(snapshot, tuple(sorted(models.items())), definition)


class Point(BaseModel):
    """The statistics of a segment, None for all customers, as they were measured once. It never changes.

    snapshot:    the feature snapshot's version; as_of: the moment that its features were computed for.
    models:      the version of each model, `mock` where none answered, and of RFM's cut points.
    definition:  the version of the segment's definition; 0 for all customers.
    computed:    when it was measured.
    drift:       by model that has its training distribution in its card.
    drivers:     by type; empty in points that were stored before there were reasons.
    infos, mock: what the answers say of the models.
    bridge:      measured only to tell causes apart (see needed_bridge), with models that were no longer active.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    segment_id: str | None
    snapshot: str
    as_of: AwareDatetime
    models: dict[str, str]
    definition: int = Field(ge=0)
    computed: AwareDatetime
    member_count: int = Field(ge=0)
    stats: Statistics
    drift: dict[str, ModelDrift]
    drivers: dict[str, Drivers] = {}
    infos: dict[str, ModelInfo]
    mock: bool
    bridge: bool = False

    @field_validator("stats", mode="before")
    @classmethod
    def _without_the_lapsed(cls, stats: Any) -> Any:
        """Points that were stored before there was a band of the lapsed do not know who had lapsed."""
        if not isinstance(stats, dict) or not isinstance(stats.get("churn"), dict):
            return stats
        unknown = dict.fromkeys(("lapsed", "avg_probability_active", "lapsed_percentage"))
        return {**stats, "churn": {**unknown, **stats["churn"]}}

    @field_validator("drift", mode="before")
    @classmethod
    def _without_alarms(cls, drift: Any) -> Any:
        """Points that were stored before there were alarms do not say whether one was on."""
        if not isinstance(drift, dict):
            return drift
        return {model: _with_unknown_alarms(found) for model, found in drift.items()}

    @field_validator("stats")
    @classmethod
    def _without_averages_of_nobody(cls, stats: Statistics) -> Statistics:
        """Points that were stored before averages of nobody were null have 0 there."""
        if stats["churn"]["count"]:
            return stats
        nobody: Any = {name: None for name in stats["churn"] if name.startswith("avg_") or name.endswith("_percentage")}
        return {**stats, "churn": {**stats["churn"], **nobody}}

    @property
    def key(self) -> Coordinates:
        return coordinates(self.snapshot, self.models, self.definition)


def _with_unknown_alarms(found: Any) -> Any:
    unknown: dict[str, Any] = dict.fromkeys(("p_value", "weight", "alarm"))
    try:
        features = {name: {**unknown, **each} for name, each in found["features"].items()}
        return {"features": features, "score": {**unknown, **found["score"]}}
    except (TypeError, KeyError, AttributeError):
        return found  # which is no drift: the point is refused for it


def history(points: Iterable[Point], current: Point, max_entries: int = MAX_ENTRIES) -> list[HistoryEntry]:
    """One entry a snapshot, oldest first, up to the snapshot of `current`, which its entry shows; the last max_entries.

    points: of one segment, in any order, with or without `current`. An earlier snapshot shows the point of it that was
    computed last. A change is since the entry before; in the first entry since the point that was computed before the
    shown one at the same snapshot, where there is one.

    The causes add up to the total to the bit, added in the order customers, model, definition. So where there are
    several, the total may differ in its last bits from the difference of the two entries.
    """
    stored = {point.key: point for point in points} | {current.key: current}
    entries: list[HistoryEntry] = []
    before: Point | None = None
    for group in _by_snapshot(stored.values()):
        shown = current if group[0].snapshot == current.snapshot else _shown(group)
        if not entries:
            before = _computed_before(shown, group)
        entries.append(
            {
                "features_as_of": rfc3339(shown.as_of),
                "snapshot": shown.snapshot,
                "models": shown.models,
                "definition": shown.definition,
                "member_count": shown.member_count,
                "stats": shown.stats,
                "change": _change(before, shown, stored) if before else None,
            }
        )
        if shown is current:
            break
        before = shown
    return entries[-max_entries:]


def needed_bridge(points: Iterable[Point], new: Coordinates) -> Coordinates | None:
    """Where to measure as well, so that what `new` changes since the entry before it can be told apart by cause.

    points: of one segment, as stored, with or without that of `new`; a snapshot that has none is taken for the newest.
    The answer has `new`'s snapshot and definition and the models of the entry before, and its point is stored with
    `bridge` set. None where the causes can be told apart already, or where this would not be enough.
    """
    groups = _by_snapshot(points)
    earlier = list(itertools.takewhile(lambda group: group[0].snapshot != new.snapshot, groups))
    if not earlier:
        return None
    before = _shown(earlier[-1]).key
    stored = {point.key for group in groups for point in group} | {new}
    bridge = before._replace(snapshot=new.snapshot, definition=new.definition)
    if _walk(before, new, stored) or not _walk(before, new, stored | {bridge}):
        return None
    return bridge


def _by_snapshot(points: Iterable[Point]) -> list[list[Point]]:
    """The points of each snapshot, oldest first; of snapshots as of the same moment the one that was seen first."""
    groups: dict[str, list[Point]] = {}
    for point in sorted(points, key=lambda point: (point.as_of, point.computed, point.key)):
        groups.setdefault(point.snapshot, []).append(point)
    return list(groups.values())


def _shown(group: Sequence[Point]) -> Point:
    """A snapshot's point that was computed last. A bridge may be written late, so it counts only where it is alone."""
    return max(group, key=lambda point: (not point.bridge, point.computed, point.key))


def _computed_before(shown: Point, group: Sequence[Point]) -> Point | None:
    earlier = [point for point in group if point.computed < shown.computed and not point.bridge]
    return _shown(earlier) if earlier else None


def _walk(start: Coordinates, end: Coordinates, stored: Collection[Coordinates]) -> list[tuple[Cause, Coordinates]]:
    """The causes that lead from start to end, each with where it leads; empty where no such walk is stored."""
    differing = [name for name in _CAUSES if getattr(start, name) != getattr(end, name)]
    for order in itertools.permutations(differing):
        steps: list[tuple[Cause, Coordinates]] = []
        corner = start
        for name in order:
            corner = corner._replace(**{name: getattr(end, name)})
            steps.append((_CAUSES[name], corner))
        if all(corner in stored for _, corner in steps):
            return steps
    return []


def _change(before: Point, after: Point, stored: Mapping[Coordinates, Point]) -> HistoryChange:
    since = rfc3339(before.as_of)
    steps = _walk(before.key, after.key, stored)
    if not steps:
        whole = _each(_or_null(operator.sub), _measures(after), _measures(before))
        return {"since": since, "total": whole, "inseparable": whole}
    by_cause: dict[Cause, StatisticsChange] = {}
    reached = before
    for cause, corner in steps:
        by_cause[cause] = _each(_or_null(operator.sub), _measures(stored[corner]), _measures(reached))
        reached = stored[corner]
    in_order = {cause: by_cause[cause] for cause in _CAUSES.values() if cause in by_cause}
    # sum() rounds otherwise from Python 3.12 on, and a reader adds one by one.
    added = reduce(lambda total, step: _each(_or_null(operator.add), total, step), in_order.values())
    difference = _each(_or_null(operator.sub), _measures(after), _measures(before))
    change: HistoryChange = {"since": since, "total": _each(_first_number, added, difference)}
    for cause, step in in_order.items():
        change[cause] = step
    return change


def _measures(point: Point) -> StatisticsChange:
    """What changes are taken of."""
    churn = point.stats["churn"]
    return {
        "member_count": point.member_count,
        "avg_probability": churn["avg_probability"],
        "high_percentage": churn["high_percentage"],
        "medium_percentage": churn["medium_percentage"],
        "low_percentage": churn["low_percentage"],
        "lapsed_percentage": churn["lapsed_percentage"],
        "avg_probability_active": churn["avg_probability_active"],
    }


def _or_null(operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda left, right: None if left is None or right is None else operation(left, right)


def _first_number(first: Any, second: Any) -> Any:
    return second if first is None else first


def _each(operation: Callable[[Any, Any], Any], left: StatisticsChange, right: StatisticsChange) -> StatisticsChange:
    return {
        "member_count": operation(left["member_count"], right["member_count"]),
        "avg_probability": operation(left["avg_probability"], right["avg_probability"]),
        "high_percentage": operation(left["high_percentage"], right["high_percentage"]),
        "medium_percentage": operation(left["medium_percentage"], right["medium_percentage"]),
        "low_percentage": operation(left["low_percentage"], right["low_percentage"]),
        "lapsed_percentage": operation(left["lapsed_percentage"], right["lapsed_percentage"]),
        "avg_probability_active": operation(left["avg_probability_active"], right["avg_probability_active"]),
    }
