"""Segments' statistics in DynamoDB: written once, read back to the bit, deleted whole, and never quietly lost."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError

from loyalty_ml.errors import StoreUnavailable
from loyalty_ml.segments.history import Point
from loyalty_ml.segments.statistics_store import DELETE_TRIES, StatisticsStore
from tests.clients import answering
from tests.service import Service

pytestmark = pytest.mark.moto

START = datetime(2026, 1, 1, tzinfo=UTC)
MODELS = {"churn": "v1", "nbo": "mock", "rfm": "fixed"}


def point(segment_id: str | None = "vip", day: int = 0, definition: int = 1, **changes: Any) -> Point:
    """The statistics of some members at the snapshot of a day."""
    as_of = START + timedelta(days=day)
    fields: dict[str, Any] = {
        "segment_id": segment_id,
        "snapshot": f"{as_of:%Y%m%dT%H%M%SZ}-ab12cd34",
        "as_of": as_of,
        "models": MODELS,
        "definition": definition,
        "computed": as_of + timedelta(hours=1),
        "member_count": 3,
        "stats": {
            "churn": {
                "high": 1, "medium": 0, "low": 2, "count": 3, "failed": 0, "avg_probability": 0.1 + 0.2,
                "high_percentage": 100 / 3, "medium_percentage": 0.0, "low_percentage": 200 / 3,
            },
            "nbo": {"count": 3, "failed": 0, "top_offers": [("10% Discount", 3)], "distribution": {"10% Discount": 3}},
            "rfm": {"count": 3, "failed": 0, "distribution": {"At Risk": 3}, "top_segments": [("At Risk", 3)]},
        },
        "drift": {
            "churn": {
                "features": {"revenue": {"psi": 1 / 7, "band": "moderate", "count": 3}},
                "score": {"psi": None, "band": "too_few", "count": 3},
            }
        },
        "infos": {"churn": {"name": "churn", "version": "v1", "placeholder": False}},
        "mock": True,
    }  # fmt: skip
    return Point(**{**fields, **changes})


def get(store: StatisticsStore, wanted: Point) -> Point | None:
    return store.get(wanted.segment_id, wanted.snapshot, wanted.models, wanted.definition)


@pytest.fixture
def table(new_service: Callable[[], Service]) -> str:
    """The template's own table, empty."""
    return new_service().ids["SegmentStatisticsTable"]


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def store(table: str, pauses: list[float]) -> StatisticsStore:
    return StatisticsStore(boto3.client("dynamodb"), table, sleep=pauses.append)


def test_a_point_is_read_back_to_the_bit(store: StatisticsStore) -> None:
    stored = point()
    store.put(stored)
    assert get(store, stored) == stored
    assert store.points("vip") == [stored]


def test_a_point_is_found_by_all_that_it_was_measured_at_and_by_nothing_less(store: StatisticsStore) -> None:
    stored = point()
    store.put(stored)
    assert store.get("vip", stored.snapshot, dict(reversed(MODELS.items())), 1) == stored
    for other in (
        point("other"), point(None), point(day=1), point(definition=2), point(models={**MODELS, "nbo": "v1"})
    ):  # fmt: skip
        assert get(store, other) is None


def test_who_comes_first_wins(store: StatisticsStore) -> None:
    first, second = point(member_count=3), point(member_count=4)
    store.put(first)
    store.put(second)
    assert store.points("vip") == [first]


def test_points_come_oldest_first_however_they_were_written(store: StatisticsStore) -> None:
    late = point(day=1, definition=2, computed=START + timedelta(days=9))
    points = [point(day=0), point(day=1), late, point(day=2), point(day=10)]
    for stored in reversed(points):
        store.put(stored)
    assert store.points("vip") == points


def test_all_customers_have_points_of_their_own(store: StatisticsStore) -> None:
    base, segment = point(None, definition=0), point("vip")
    store.put(base)
    store.put(segment)
    assert store.points(None) == [base]
    assert store.points("vip") == [segment]
    assert store.points("nobody") == []


def test_more_points_than_a_page_holds_are_all_read(store: StatisticsStore) -> None:
    """DynamoDB's pages are of 1 MB."""
    names = {f"An offer with quite a long name, number {number}": number for number in range(2000)}
    stats: Any = {**point().stats, "nbo": {"count": 1, "failed": 0, "top_offers": [], "distribution": names}}
    points = [point(day=day, stats=stats) for day in range(20)]
    assert sum(len(stored.model_dump_json()) for stored in points) > 1_500_000
    for stored in points:
        store.put(stored)
    assert store.points("vip") == points


def test_a_deleted_segments_points_are_gone_and_no_others(store: StatisticsStore) -> None:
    kept = [point("vip-2"), point(None)]
    for stored in [*kept, *(point("vip", day) for day in range(60))]:
        store.put(stored)
    store.delete("vip")
    assert store.points("vip") == []
    assert [store.points("vip-2"), store.points(None)] == [[kept[0]], [kept[1]]]
    store.delete("vip")


@pytest.mark.parametrize("part", ["churn", "nbo", "rfm"])
def test_a_point_without_a_part_is_not_valid_and_is_named(store: StatisticsStore, table: str, part: str) -> None:
    store.put(point())
    dynamodb = boto3.client("dynamodb")
    (item,) = dynamodb.scan(TableName=table)["Items"]
    body = json.loads(item["body"]["S"])
    del body["stats"][part]
    dynamodb.put_item(TableName=table, Item={**item, "body": {"S": json.dumps(body)}})
    assert store.points("vip") == []
    with pytest.raises(StoreUnavailable, match=r"vip, .* cannot be read: delete that item"):
        get(store, point())


def test_deletes_that_dynamodb_leaves_undone_are_asked_for_again(
    store: StatisticsStore, table: str, pauses: list[float]
) -> None:
    for day in range(5):
        store.put(point(day=day))
    dynamodb: Any = boto3.client("dynamodb")

    def two_at_a_time(RequestItems: dict[str, Any]) -> Any:  # noqa: N803 (boto3's own)
        ((table, requests),) = RequestItems.items()
        answer = dynamodb.batch_write_item(RequestItems={table: requests[:2]})
        return {**answer, "UnprocessedItems": {table: requests[2:]} if requests[2:] else {}}

    hindered = answering(dynamodb, batch_write_item=two_at_a_time)
    StatisticsStore(hindered, table, sleep=pauses.append).delete("vip")
    assert store.points("vip") == []
    assert len(pauses) == 2
    assert all(0 <= pause <= limit for pause, limit in zip(pauses, (0.05, 0.1), strict=True))


def test_deletes_that_are_never_done_are_an_error_in_the_end(
    store: StatisticsStore, table: str, pauses: list[float]
) -> None:
    store.put(point())
    never = answering(
        boto3.client("dynamodb"), batch_write_item=lambda **request: {"UnprocessedItems": request["RequestItems"]}
    )
    with pytest.raises(StoreUnavailable, match=r"could not be deleted .*UnprocessedItems.*Try again"):
        StatisticsStore(never, table, sleep=pauses.append).delete("vip")
    assert len(pauses) == DELETE_TRIES - 1
    assert store.points("vip") == [point()]


@pytest.mark.parametrize(
    ("failure", "cause"),
    [
        (ClientError({"Error": {"Code": "ThrottlingException"}}, "any"), "ThrottlingException"),
        (ClientError({"Error": {"Code": "AccessDeniedException"}}, "any"), "AccessDeniedException"),
        (ConnectTimeoutError(endpoint_url="http://127.0.0.1"), "ConnectTimeoutError"),
    ],
    ids=["throttled", "refused", "unreachable"],
)
def test_what_dynamodb_does_not_do_is_an_error_that_names_the_table_and_the_cause(
    store: StatisticsStore, table: str, failure: Exception, cause: str
) -> None:
    def fail(**_: Any) -> None:
        raise failure

    store._dynamodb.meta.events.register("before-call.dynamodb", fail)
    for call in (
        lambda: store.put(point()),
        lambda: store.points("vip"),
        lambda: get(store, point()),
        lambda: store.delete("vip"),
    ):
        with pytest.raises(StoreUnavailable, match=rf"the table {table} \({cause}\)\. .*permissions") as raised:
            call()
        assert raised.value.code == "STORE_UNAVAILABLE"


@pytest.mark.parametrize(
    "body", [{}, {"body": {"N": "1"}}, {"body": {"S": "{"}}, {"body": {"S": '{"segment_id": "vip"}'}}]
)
def test_an_item_that_cannot_be_read_hides_no_other_and_is_named(
    store: StatisticsStore, table: str, body: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    store.put(point())
    store.put(point(definition=2))
    (key,) = [item for item in store._query("vip") if json.loads(item["body"]["S"])["definition"] == 2]
    store._dynamodb.put_item(TableName=table, Item={"segment_id": key["segment_id"], "point": key["point"], **body})
    assert store.points("vip") == [point()]
    assert [vars(record)["item"] for record in caplog.records] == [f"vip, {key['point']['S']}"]
    with pytest.raises(StoreUnavailable, match=f"in the table {table} .*delete that item"):
        get(store, point(definition=2))
