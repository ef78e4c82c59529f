"""History: how a segment's statistics moved, and what moved them, against points whose causes are known."""

import itertools
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from loyalty_ml.segments.drift import alarming_psi
from loyalty_ml.segments.history import (
    Coordinates,
    HistoryChange,
    Point,
    StatisticsChange,
    coordinates,
    history,
    needed_bridge,
)

pytestmark = pytest.mark.unit

START = datetime(2026, 1, 1, tzinfo=UTC)
JANUARY, FEBRUARY, MARCH = SNAPSHOTS = ("20260101T000000Z-aa", "20260201T000000Z-bb", "20260301T000000Z-cc")
AS_OF = dict(zip(SNAPSHOTS, (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2, 3)), strict=True))
OLD, NEW, MOCK = MODELS = (
    {"churn": "v1", "nbo": "v1", "rfm": "fixed"},
    {"churn": "v2", "nbo": "v1", "rfm": "fixed"},
    {"churn": "mock", "nbo": "mock", "rfm": "cuts-1"},
)
CAUSES: tuple[Literal["customers", "model", "definition"], ...] = ("customers", "model", "definition")

# What each coordinate adds to the members. Sums of powers of two: no two sets of causes add up to the same.
EFFECTS = (dict(zip(SNAPSHOTS, (1, 2, 4), strict=True)), (8, 16, 32), {1: 64, 2: 128, 3: 256})


def point(
    snapshot: str,
    models: Mapping[str, str],
    definition: int = 1,
    computed: int = 0,
    members: int | None = None,
    churn: tuple[float, float, float, float] = (0, 0, 0, 0),
    bridge: bool = False,  # noqa: FBT001
    answered: int = 1,
) -> Point:
    """A point computed so many minutes after the first one could be; its members are the sum of its EFFECTS."""
    average, high, medium, low = churn
    by_snapshot, by_models, by_definition = EFFECTS
    if members is None:
        members = by_snapshot[snapshot] + by_models[MODELS.index(dict(models))] + by_definition[definition]
    return Point(
        segment_id="vip",
        snapshot=snapshot,
        as_of=AS_OF[snapshot],
        models=dict(models),
        definition=definition,
        computed=START + timedelta(minutes=computed),
        member_count=members,
        stats={
            "churn": {
                "high": 0, "medium": 0, "low": 0, "lapsed": 0, "count": answered, "failed": 0,
                "avg_probability": average, "avg_probability_active": average,
                "high_percentage": high, "medium_percentage": medium, "low_percentage": low, "lapsed_percentage": 0,
            },
            "nbo": {"count": 0, "failed": 0, "top_offers": [], "distribution": {}},
            "rfm": {"count": 0, "failed": 0, "distribution": {}, "top_segments": []},
        },
        drift={},
        infos={},
        mock=False,
        bridge=bridge,
    )  # fmt: skip


def last_change(points: Sequence[Point], current: Point) -> HistoryChange:
    change = history(points, current)[-1]["change"]
    assert change
    return change


def members_moved(change: HistoryChange) -> dict[str, int]:
    parts: dict[str, StatisticsChange] = {name: part for name, part in change.items() if name != "since"}  # type: ignore[misc]
    return {name: part["member_count"] for name, part in parts.items()}


# What an entry shows.


def test_the_first_entry_has_no_change_and_each_snapshot_is_one_entry() -> None:
    points = [point(JANUARY, OLD, members=100), point(FEBRUARY, OLD, members=90), point(MARCH, OLD, members=95)]
    entries = history(points, points[-1])
    assert [entry["snapshot"] for entry in entries] == list(SNAPSHOTS)
    assert [entry["features_as_of"] for entry in entries] == [
        "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z",
    ]  # fmt: skip
    assert [entry["member_count"] for entry in entries] == [100, 90, 95]
    assert entries[0]["change"] is None
    assert [members_moved(entry["change"]) for entry in entries[1:] if entry["change"]] == [
        {"total": -10, "customers": -10},
        {"total": 5, "customers": 5},
    ]


def test_a_long_history_is_its_latest_entries_each_with_its_change() -> None:
    points = [point(JANUARY, OLD, members=100), point(FEBRUARY, OLD, members=90), point(MARCH, OLD, members=95)]
    entries = history(points, points[-1], max_entries=2)
    assert [entry["snapshot"] for entry in entries] == [FEBRUARY, MARCH]
    assert [entry["change"] and entry["change"]["total"]["member_count"] for entry in entries] == [-10, 5]


def test_a_change_is_of_members_probability_and_percentages() -> None:
    before = point(JANUARY, OLD, members=8, churn=(0.5, 50, 25, 25))
    after = point(FEBRUARY, OLD, members=4, churn=(0.75, 75, 25, 0))
    moved: StatisticsChange = {
        "member_count": -4, "avg_probability": 0.25, "avg_probability_active": 0.25,
        "high_percentage": 25, "medium_percentage": 0, "low_percentage": -25, "lapsed_percentage": 0,
    }  # fmt: skip
    assert last_change([before], after) == {"since": "2026-01-01T00:00:00Z", "total": moved, "customers": moved}


NO_AVERAGES = dict.fromkeys(
    (
        "avg_probability",
        "avg_probability_active",
        "high_percentage",
        "medium_percentage",
        "low_percentage",
        "lapsed_percentage",
    )
)


def test_a_change_from_or_to_nobody_is_no_number() -> None:
    """Points of nobody that were stored with 0 for averages are read as points of nobody."""
    nobody = point(JANUARY, OLD, members=2, answered=0)
    somebody = point(FEBRUARY, OLD, members=5, churn=(0.5, 50, 25, 25))
    entries = history([nobody, somebody], point(MARCH, OLD, members=1, answered=0))
    assert [entry["stats"]["churn"]["avg_probability"] for entry in entries] == [None, 0.5, None]
    assert [entry["change"] and entry["change"]["total"] for entry in entries] == [
        None, {"member_count": 3, **NO_AVERAGES}, {"member_count": -4, **NO_AVERAGES},
    ]  # fmt: skip


def test_a_point_of_nobody_that_was_stored_with_zeros_has_no_averages() -> None:
    stored = point(JANUARY, OLD).model_dump(mode="json")
    stored["stats"]["churn"]["count"] = 0
    churn = Point.model_validate_json(json.dumps(stored)).stats["churn"]
    assert churn.items() >= {"high": 0, "count": 0, **NO_AVERAGES}.items()


LAPSED = ("lapsed", "avg_probability_active", "lapsed_percentage")


def without_the_lapsed(written: Point) -> Point:
    """The point as it was stored before there was a band of the lapsed, read today."""
    stored = written.model_dump(mode="json")
    for name in LAPSED:
        del stored["stats"]["churn"][name]
    return Point.model_validate_json(json.dumps(stored))


def test_of_a_point_that_was_stored_before_there_was_a_band_of_the_lapsed_nobody_knows_who_had() -> None:
    before = without_the_lapsed(point(JANUARY, OLD, members=8, churn=(0.5, 50, 25, 25)))
    assert {name: before.stats["churn"][name] for name in LAPSED} == dict.fromkeys(LAPSED)  # type: ignore[literal-required]
    assert Point.model_validate_json(before.model_dump_json()) == before
    change = last_change([before], point(FEBRUARY, OLD, members=4, churn=(0.75, 75, 25, 0)))
    assert change["total"] == change["customers"] == {
        "member_count": -4, "avg_probability": 0.25, "avg_probability_active": None,
        "high_percentage": 25, "medium_percentage": 0, "low_percentage": -25, "lapsed_percentage": None,
    }  # fmt: skip


def test_of_drift_that_was_stored_before_there_were_alarms_nobody_knows_whether_one_was_on() -> None:
    stored = point(JANUARY, OLD).model_dump(mode="json")
    old = {"psi": 0.3, "band": "significant", "count": 500}
    stored["drift"] = {"churn": {"features": {"revenue": old}, "score": old}}
    read = Point.model_validate_json(json.dumps(stored))
    now = {**old, "p_value": None, "weight": None, "alarm": None}
    assert read.drift == {"churn": {"features": {"revenue": now}, "score": now}}
    assert alarming_psi(read.drift["churn"]) is None
    for broken in ({"churn": {"features": {"revenue": 3}, "score": old}}, {"churn": {"score": old}}, {"churn": 3}):
        with pytest.raises(ValidationError, match="drift"):
            Point.model_validate_json(json.dumps({**stored, "drift": broken}))


def test_a_total_whose_causes_are_no_numbers_is_the_difference_of_the_entries() -> None:
    points = [
        point(JANUARY, OLD, members=4, churn=(0.5, 50, 25, 25)),
        point(FEBRUARY, OLD, members=4, answered=0, bridge=True),
    ]
    change = last_change(points, point(FEBRUARY, NEW, members=4, churn=(0.75, 75, 25, 0)))
    assert change["customers"] == change["model"] == {"member_count": 0, **NO_AVERAGES}
    assert change["total"] == {
        "member_count": 0, "avg_probability": 0.25, "avg_probability_active": 0.25,
        "high_percentage": 25, "medium_percentage": 0, "low_percentage": -25, "lapsed_percentage": 0,
    }  # fmt: skip


def test_an_earlier_snapshot_shows_what_was_computed_last_and_the_current_one_what_is_current() -> None:
    rolled_back = point(FEBRUARY, OLD, computed=2)
    points = [
        point(JANUARY, NEW, computed=1), point(JANUARY, OLD, computed=0),
        rolled_back, point(FEBRUARY, NEW, computed=3),
    ]  # fmt: skip
    assert [entry["models"] for entry in history(points, rolled_back)] == [NEW, OLD]


def test_a_bridge_is_not_shown_however_late_it_was_written() -> None:
    points = [point(JANUARY, OLD), point(FEBRUARY, NEW, computed=1), point(FEBRUARY, OLD, computed=2, bridge=True)]
    assert [entry["models"] for entry in history(points, point(MARCH, NEW, computed=3))] == [OLD, NEW, NEW]


def test_what_is_newer_than_the_snapshot_that_answers_is_left_out() -> None:
    points = [point(snapshot, OLD, computed=minute) for minute, snapshot in enumerate(SNAPSHOTS)]
    assert [entry["snapshot"] for entry in history(points, points[1])] == [JANUARY, FEBRUARY]


def test_of_two_snapshots_as_of_the_same_moment_the_one_that_was_seen_first_comes_first() -> None:
    first = point(JANUARY, OLD, computed=0)
    corrected = first.model_copy(update={"snapshot": "20260101T000000Z-00", "computed": START + timedelta(minutes=1)})
    assert [entry["snapshot"] for entry in history([first], corrected)] == [JANUARY, "20260101T000000Z-00"]


# What moved it.


def test_a_new_model_on_the_same_snapshot_is_told_apart_from_the_customers_who_moved_before() -> None:
    points = [point(JANUARY, OLD, members=100), point(FEBRUARY, OLD, computed=1, members=110)]
    change = last_change(points, point(FEBRUARY, NEW, computed=2, members=107))
    assert members_moved(change) == {"total": 7, "customers": 10, "model": -3}


def test_in_the_first_entry_the_change_is_since_what_was_computed_before_at_the_same_snapshot() -> None:
    points = [point(JANUARY, MOCK, computed=0, members=1), point(JANUARY, OLD, computed=1, members=5)]
    change = last_change(points, point(JANUARY, NEW, computed=2, members=3))
    assert change["since"] == "2026-01-01T00:00:00Z"
    assert members_moved(change) == {"total": -2, "model": -2}


def test_after_a_rollback_in_the_first_entry_there_is_nothing_before() -> None:
    first = point(JANUARY, OLD, computed=0)
    assert history([first, point(JANUARY, NEW, computed=1)], first)[0]["change"] is None


def test_where_the_corner_is_not_stored_the_causes_are_inseparable() -> None:
    change = last_change([point(JANUARY, OLD, members=100)], point(FEBRUARY, NEW, members=107))
    assert members_moved(change) == {"total": 7, "inseparable": 7}


def test_of_two_walks_that_are_stored_the_one_that_begins_with_the_customers_is_taken() -> None:
    points = [
        point(JANUARY, OLD, members=100),
        point(JANUARY, NEW, members=150, bridge=True),
        point(FEBRUARY, OLD, members=110, bridge=True),
    ]
    change = last_change(points, point(FEBRUARY, NEW, members=107))
    assert members_moved(change) == {"total": 7, "customers": 10, "model": -3}


def test_a_new_definition_is_a_cause_of_its_own() -> None:
    points = [point(JANUARY, OLD, 1, members=100), point(JANUARY, OLD, 2, computed=-1, members=40)]
    change = last_change(points, point(FEBRUARY, OLD, 2, members=41))
    assert members_moved(change) == {"total": -59, "customers": 1, "definition": -60}


# Where to measure as well.


def test_a_new_snapshot_together_with_a_new_model_needs_the_old_model_on_the_new_snapshot() -> None:
    january = point(JANUARY, OLD, members=100)
    february = point(FEBRUARY, NEW, computed=1, members=107)
    bridge = needed_bridge([january], february.key)
    assert bridge == coordinates(FEBRUARY, OLD, 1)
    assert dict(bridge.models) == OLD
    # Also where an answer stored the new point before the refresh came to it.
    assert needed_bridge([january, february], february.key) == bridge
    points = [january, february, point(FEBRUARY, OLD, computed=2, members=110, bridge=True)]
    assert members_moved(last_change(points, february)) == {"total": 7, "customers": 10, "model": -3}
    assert needed_bridge(points, february.key) is None


@pytest.mark.parametrize(
    ("stored", "new"),
    [
        ([], point(JANUARY, OLD)),
        ([point(JANUARY, OLD)], point(FEBRUARY, OLD)),
        ([point(JANUARY, OLD)], point(JANUARY, NEW)),
        ([point(JANUARY, OLD)], point(FEBRUARY, OLD, 2)),
        ([point(JANUARY, OLD), point(FEBRUARY, OLD)], point(FEBRUARY, NEW)),
        ([point(JANUARY, OLD, 1)], point(FEBRUARY, NEW, 2)),
        ([point(JANUARY, OLD), point(FEBRUARY, OLD)], point(JANUARY, NEW)),
    ],
    ids=["nothing", "customers", "model", "definition too", "seen before", "all three", "an older snapshot"],
)
def test_nothing_more_is_measured_where_it_is_not_needed_or_would_not_help(stored: list[Point], new: Point) -> None:
    assert needed_bridge(stored, new.key) is None


# Whatever is stored.


def one_apart(left: Coordinates, right: Coordinates) -> bool:
    return sum(a != b for a, b in zip(left, right, strict=True)) == 1


def connected(start: Coordinates, end: Coordinates, stored: set[Coordinates]) -> bool:
    """Whether steps of one cause each lead from start to end over what is stored, taking no third value on the way."""
    between = {key for key in stored if all(value in pair for value, *pair in zip(key, start, end, strict=True))}
    reached = {start}
    while new := {key for key in between - reached if any(one_apart(key, other) for other in reached)}:
        reached |= new
    return end in reached


@st.composite
def some_points(draw: st.DrawFn, /, **values: st.SearchStrategy[Any]) -> list[Point]:
    """Points at different coordinates, computed in any order, each at a moment of its own."""
    corners = list(itertools.product(SNAPSHOTS, MODELS, (1, 2, 3)))
    chosen = draw(st.lists(st.sampled_from(corners), unique_by=corners.index, min_size=1))
    minutes = draw(st.permutations(range(len(chosen))))
    return [
        point(*corner, computed=minute, bridge=draw(st.booleans()), **{name: draw(of) for name, of in values.items()})
        for corner, minute in zip(chosen, minutes, strict=True)
    ]


@given(some_points(), st.data())
def test_each_cause_is_its_own_effect_or_all_are_inseparable(points: list[Point], data: st.DataObject) -> None:
    current = data.draw(st.sampled_from(points))
    stored = {stored.key: stored for stored in points}
    entries = history(points, current)
    shown = [stored[coordinates(entry["snapshot"], entry["models"], entry["definition"])] for entry in entries]
    assert [entry.snapshot for entry in shown] == sorted(
        {point.snapshot for point in points if point.as_of <= current.as_of}
    )
    assert shown[-1] == current
    for before, after, entry in zip(shown, shown[1:], entries[1:], strict=False):
        change = entry["change"]
        assert change
        moved = members_moved(change)
        assert moved.pop("total") == after.member_count - before.member_count
        if not connected(before.key, after.key, set(stored)):
            assert moved == {"inseparable": after.member_count - before.member_count}
            continue
        effects = (
            EFFECTS[0][after.snapshot] - EFFECTS[0][before.snapshot],
            EFFECTS[1][MODELS.index(after.models)] - EFFECTS[1][MODELS.index(before.models)],
            EFFECTS[2][after.definition] - EFFECTS[2][before.definition],
        )
        assert moved == {cause: effect for cause, effect in zip(CAUSES, effects, strict=True) if effect}


@given(
    some_points(
        members=st.integers(0, 10**7),
        churn=st.tuples(st.floats(0, 1), st.floats(0, 100), st.floats(0, 100), st.floats(0, 100)),
    ),
    st.data(),
)
def test_the_causes_add_up_to_the_total_to_the_bit(points: list[Point], data: st.DataObject) -> None:
    for entry in history(points, data.draw(st.sampled_from(points))):
        if change := entry["change"]:
            parts = [change[cause] for cause in (*CAUSES, "inseparable") if cause in change]  # type: ignore[literal-required]
            for name, total in change["total"].items():
                added = parts[0][name]
                for part in parts[1:]:
                    added += part[name]
                assert added == total


@given(some_points(), st.data())
def test_the_order_of_the_points_does_not_matter_nor_whether_the_current_one_is_stored(
    points: list[Point], data: st.DataObject
) -> None:
    current = data.draw(st.sampled_from(points))
    shuffled = data.draw(st.permutations([point for point in points if point is not current]))
    assert history(shuffled, current) == history(points, current)


@given(some_points(), st.data())
def test_a_bridge_tells_apart_what_was_inseparable_and_moves_nothing_else(
    points: list[Point], data: st.DataObject
) -> None:
    current = data.draw(st.sampled_from(points))
    entries = history(points, current)
    bridge = needed_bridge(points, current.key)
    if bridge is None:
        return
    corner = point(bridge.snapshot, dict(bridge.models), bridge.definition, computed=99, bridge=True)
    with_bridge = history([*points, corner], current)
    assert with_bridge[:-1] == entries[:-1]
    before, after = entries[-1]["change"], with_bridge[-1]["change"]
    assert before
    assert after
    assert "inseparable" in before
    assert {"customers", "model"} <= after.keys()
    assert after["total"] == before["total"]


# What is stored of it.


def test_a_point_is_the_same_to_the_bit_after_it_was_written_and_read() -> None:
    written = point(JANUARY, OLD, members=3, churn=(1 / 3, 100 / 3, 0.1, 5e-100))
    assert Point.model_validate_json(written.model_dump_json()) == written


def test_a_number_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(ValidationError, match="finite"):
        point(JANUARY, OLD, churn=(float("nan"), 0, 0, 0))
    text = json.dumps({**json.loads(point(JANUARY, OLD).model_dump_json()), "member_count": -1})
    with pytest.raises(ValidationError, match="member_count"):
        Point.model_validate_json(text)
