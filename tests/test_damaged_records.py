"""Whatever lies in a table, one item harms its own customer, job, segment or statistics, and no other."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from loyalty_ml.customers.online_store import FeatureStore
from loyalty_ml.customers.table import AS_OF, DEFAULT_FEATURES, LIFETIME_TRANSACTION_COUNT
from loyalty_ml.errors import StoreUnavailable
from loyalty_ml.jobs.lease import Leases
from loyalty_ml.jobs.record import LISTED
from loyalty_ml.jobs.store import JobStore
from loyalty_ml.segments.statistics_store import StatisticsStore
from tests import sample_set
from tests.functions.test_api import assert_error
from tests.segments.test_statistics_store import point
from tests.service import GOOD, Service, process

pytestmark = pytest.mark.moto

# One store for all examples of a test: each example puts the items that it reads in place of those before.
each_in_turn = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)

texts = st.text(max_size=8) | st.sampled_from(
    [
        "failed", "running", "succeeded", "file", "segment", "rule", "{}", "[]", "null", '{"files": 1}', '{"a": 1e999}',
        '{"files": {"a": 1}}', "[" * 500, '{"a":' * 300 + "1" + "}" * 300, "2026-11-23T00:00:00Z", "2026-11-23",
        "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-01:00", "yesterday", "a" * 32, "\n",
    ]
)  # fmt: skip
numbers = st.integers(-(10**37), 10**37).map(str) | st.sampled_from(["0", "-1", "1.5", "1e39", "-1e125", "9" * 20, "1"])
values = st.recursive(
    st.one_of(
        texts.map(lambda text: {"S": text}),
        numbers.map(lambda number: {"N": number}),
        st.binary(max_size=8).map(lambda content: {"B": content}),
        st.just({"NULL": True}),
        st.booleans().map(lambda truth: {"BOOL": truth}),
        st.just({"SS": ["a", "b"]}),
        st.just({"NS": ["1", "2"]}),
    ),
    lambda inner: (
        st.lists(inner, max_size=2).map(lambda items: {"L": items})
        | st.dictionaries(st.sampled_from("abS"), inner, max_size=2).map(lambda items: {"M": items})
    ),
    max_leaves=3,
)


def damaged(whole: dict[str, Any], keys: set[str]) -> st.SearchStrategy[dict[str, Any]]:
    """This item with some of its attributes, but for the keys, gone or of any shape."""
    others = sorted(whole.keys() - keys)
    return st.dictionaries(st.sampled_from(others), st.none() | values, min_size=1, max_size=3).map(
        lambda damage: {name: value for name, value in (whole | damage).items() if value is not None}
    )


CUSTOMER = {
    "customer_id": {"S": "odd"},
    AS_OF: {"S": sample_set.AS_OF},
    **{name: {"N": repr(value)} for name, value in GOOD.items()},
}


@each_in_turn
@example(item=CUSTOMER | {LIFETIME_TRANSACTION_COUNT: {"N": "9" * 38}})
@example(item=CUSTOMER | {LIFETIME_TRANSACTION_COUNT: {"N": str(2**64)}})
@given(item=damaged(CUSTOMER, {"customer_id"}))
def test_a_customer_of_any_shape_fails_alone(service: Service, item: dict[str, Any]) -> None:
    service.dynamodb.put_item(TableName=service.ids["CustomersTable"], Item=item)
    for prediction_type in ("churn", "nbo", "rfm"):
        body = service.predict_batch(["good", "odd", "lapsed"], prediction_type).body
        answered = [result["customer_id"] for result in body["results"]]
        assert body["total"] == body["successful"] + body["failed"] == 3
        assert [customer for customer in answered if customer != "odd"] == ["good", "lapsed"]
        assert {error["customer_id"] for error in body["errors"]} <= {"odd"}
        assert body["features_as_of"] <= sample_set.AS_OF
        single = service.predict("odd", prediction_type)
        assert single.status == (200 if "odd" in answered else 422)
        assert single.status == 422 or single.body["result"] == body["results"][1]["result"]


@pytest.mark.parametrize("mock_mode", ["auto", "true"])
@pytest.mark.parametrize(
    "moment",
    [
        {"N": "20260101"},
        {"NULL": True},
        {"S": ""},
        {"S": "yesterday"},
        {"S": "2026-11-23"},
        {"S": "2026-11-23T00:00:00"},
        {"S": "2026-13-01T00:00:00Z"},
        {"S": "0001-01-01T00:00:00+14:00"},
        {"M": {"S": {"S": sample_set.AS_OF}}},
    ],
)
def test_a_customer_whose_features_are_of_no_moment_fails_alone(
    service: Service, monkeypatch: pytest.MonkeyPatch, moment: dict[str, Any], mock_mode: str
) -> None:
    monkeypatch.setenv("ML_MOCK_MODE", mock_mode)
    service.dynamodb.put_item(TableName=service.ids["CustomersTable"], Item=CUSTOMER | {AS_OF: moment})
    body = service.predict_batch(["good", "odd"]).body
    assert [result["customer_id"] for result in body["results"]] == ["good"]
    assert [(error["customer_id"], error["code"]) for error in body["errors"]] == [("odd", "INVALID_FEATURES")]
    assert body["features_as_of"] == sample_set.AS_OF
    assert_error(service.predict("odd"), 422, "INVALID_FEATURES", "materialize", AS_OF)


def test_moments_are_compared_as_moments(service: Service) -> None:
    service.put_customer("east", GOOD, "2018-01-01T23:59:00+05:00")
    service.put_customer("west", GOOD, "2018-01-01T22:00:00Z")
    assert service.predict_batch(["west", "east"]).body["features_as_of"] == "2018-01-01T18:59:00Z"


def test_a_number_that_json_would_not_write_is_read_as_well() -> None:
    class Table:
        def batch_get_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803
            ((table, wanted),) = RequestItems.items()
            stored = {"a": "+5", "b": ".5", "c": "Infinity", "d": "1E+2"}
            items = [{**key, "revenue": {"N": stored[key["customer_id"]["S"]]}} for key in wanted["Keys"]]
            return {"Responses": {table: items}, "UnprocessedKeys": {}}

    table = FeatureStore(Table(), "customers").read(list("abcd"), ["revenue"])  # type: ignore[arg-type]
    assert table.values[:, 0].tolist() == [5, 0.5, float("inf"), 100]


JOB = {
    "kind": {"S": "file"},
    "status": {"S": "succeeded"},
    "updated": {"S": "2026-11-23T00:00:00.000Z"},
    "request": {"S": '{"type": "churn"}'},
    "processed": {"N": "5"},
    "total": {"N": "5"},
    "errors": {"N": "1"},
    "share": {"N": "1"},
    "claimed": {"N": "1.5"},
    "claimed_rows": {"N": "0"},
    "counted": {"N": "3.5"},
    "summary": {"S": '{"rows": 5, "files": {"predictions": "results/x/predictions.csv"}}'},
    "error": {"S": "An attempt failed."},
    "code": {"S": "INTERNAL"},
    "lease_owner": {"S": "owner"},
    "lease_until": {"N": "99999999999"},
}
created = st.sampled_from(["2026-11-23T00:00:00.000Z", "yesterday", "2026", "~", "0001-01-01T00:00:00.000+14:00"])


@each_in_turn
@given(
    items=st.lists(st.tuples(damaged(JOB, set()), created), min_size=1, max_size=4),
    limit=st.integers(1, 3),
    status=st.none() | st.just("succeeded"),
)
def test_a_job_of_any_shape_breaks_no_list(
    empty_service: Service, items: list[Any], limit: int, status: str | None
) -> None:
    service, table = empty_service, empty_service.ids["JobsTable"]
    for place in range(4):
        service.dynamodb.delete_item(TableName=table, Key={"job_id": {"S": f"{place:032x}"}})
    for place, (item, moment) in enumerate(items):
        keys = {"job_id": {"S": f"{place:032x}"}, "created": {"S": moment}, "listed": LISTED}
        service.dynamodb.put_item(TableName=table, Item=item | keys)
    whole = {"job_id": {"S": "f" * 32}, "created": {"S": "2026-11-22T00:00:00.000Z"}, "listed": LISTED}
    service.dynamodb.put_item(TableName=table, Item=JOB | whole)
    listed: list[str] = []
    query = {"limit": str(limit)} | ({"status": status} if status else {})
    for _ in range(20):
        answer = service.call("GET", "/ml/jobs", queryStringParameters=query)
        assert answer.status == 200, answer.body
        listed += [job["job_id"] for job in answer.body["jobs"]]
        if answer.body["next"] is None:
            break
        query["next"] = answer.body["next"]
    assert len(listed) == len(set(listed))
    assert "f" * 32 in listed
    for place in range(len(items)):
        answer = service.call("GET", f"/ml/jobs/{place:032x}")
        assert answer.status in (200, 503), answer.body
        assert answer.status == 200 or answer.body["code"] == "STORE_UNAVAILABLE"
        assert answer.status == 503 or status or f"{place:032x}" in listed


@each_in_turn
@given(item=damaged(JOB | {"created": {"S": "2026-11-23T00:00:00.000Z"}}, {"created"}))
def test_a_job_of_any_shape_is_claimed_or_refused_in_a_sentence(empty_service: Service, item: dict[str, Any]) -> None:
    table = empty_service.ids["JobsTable"]
    leases = Leases(empty_service.dynamodb, table)
    for method in ("claim", "give_up", "fail"):
        empty_service.dynamodb.put_item(TableName=table, Item=item | {"job_id": {"S": "0" * 32}})
        with suppress(StoreUnavailable):
            if method == "claim":
                assert leases.claim("0" * 32, "another").outcome in ("claimed", "running", "finished")
            elif method == "give_up":
                assert leases.give_up("0" * 32, "INTERNAL", "It was killed.") >= 0
            else:
                process().batch.jobs.fail("0" * 32, "INTERNAL", "It was killed.")


def test_a_damaged_job_says_what_to_do(empty_service: Service, caplog: pytest.LogCaptureFixture) -> None:
    store = process().batch.jobs
    job = store.record("segment", {"type": "churn"})
    empty_service.dynamodb.update_item(
        TableName=empty_service.ids["JobsTable"],
        Key={"job_id": {"S": job.job_id}},
        UpdateExpression="SET #request = :damage",
        ExpressionAttributeNames={"#request": "request"},
        ExpressionAttributeValues={":damage": {"N": "1"}},
    )
    answer = empty_service.call("GET", f"/ml/jobs/{job.job_id}")
    assert_error(answer, 503, "STORE_UNAVAILABLE", job.job_id, "damaged (request)", "start the job again")
    assert "Retry-After" not in answer.headers
    assert "A job's record is damaged" in caplog.text


def test_a_page_looks_past_the_damaged_for_as_many_as_were_asked_for(empty_service: Service) -> None:
    moments = (datetime(2026, 11, 23, tzinfo=UTC) - timedelta(minutes=minute) for minute in range(9))
    store = JobStore(
        empty_service.dynamodb,
        empty_service.s3,
        table=empty_service.ids["JobsTable"],
        bucket=empty_service.ids["DataBucket"],
        now=lambda: next(moments),
    )
    jobs = [store.record("segment", {"type": "churn"}) for _ in range(6)]
    for job in jobs[:3]:
        empty_service.dynamodb.update_item(
            TableName=empty_service.ids["JobsTable"],
            Key={"job_id": {"S": job.job_id}},
            UpdateExpression="SET #processed = :damage",
            ExpressionAttributeNames={"#processed": "processed"},
            ExpressionAttributeValues={":damage": {"S": "five"}},
        )
    first = empty_service.call("GET", "/ml/jobs", queryStringParameters={"limit": "2"}).body
    assert [job["job_id"] for job in first["jobs"]] == [job.job_id for job in jobs[3:5]]
    rest = empty_service.call("GET", "/ml/jobs", queryStringParameters={"limit": "2", "next": first["next"]}).body
    assert ([job["job_id"] for job in rest["jobs"]], rest["next"]) == ([jobs[5].job_id], None)


@each_in_turn
@given(data=st.data())
def test_a_segment_of_any_shape_breaks_no_list(empty_service: Service, data: st.DataObject) -> None:
    service, table = empty_service, empty_service.ids["SegmentsTable"]
    for segment_id in ("good", "odd"):
        service.dynamodb.delete_item(TableName=table, Key={"segment_id": {"S": segment_id}})
        body = {"segment_name": "All", "customer_ids": ["good"]}
        assert service.call("PUT", f"/segments/{segment_id}", body).status == 201
    whole = service.dynamodb.get_item(TableName=table, Key={"segment_id": {"S": "odd"}})["Item"]
    service.dynamodb.put_item(TableName=table, Item=data.draw(damaged(dict(whole), {"segment_id"})))
    answer = service.call("GET", "/segments")
    assert answer.status == 200, answer.body
    assert "good" in [segment["segment_id"] for segment in answer.body["segments"]]
    for path in ("/segments/odd", "/segments/good"):
        assert service.call("GET", path).status in (200, 404, 503)
    assert service.call("GET", "/segments/good").status == 200


VERSIONS = [{"N": "9" * 38}, {"N": "-1"}, {"N": "1.5"}, {"S": "1"}, {"NULL": True}, {"L": []}]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("is_deleted", [False, True], ids=["defined", "deleted"])
def test_a_segment_whose_version_is_damaged_is_not_written_over(
    empty_service: Service,
    version: dict[str, Any],
    is_deleted: bool,  # noqa: FBT001
) -> None:
    service, table = empty_service, empty_service.ids["SegmentsTable"]
    body = {"segment_name": "All", "customer_ids": ["good"]}
    assert service.call("PUT", "/segments/odd", body).status == 201
    if is_deleted:
        assert service.call("DELETE", "/segments/odd").status == 204
    item = dict(service.dynamodb.get_item(TableName=table, Key={"segment_id": {"S": "odd"}})["Item"])
    service.dynamodb.put_item(TableName=table, Item=item | {"version": version})
    answer = service.call("PUT", "/segments/odd", body | {"segment_name": "Other"})
    assert_error(answer, 503, "STORE_UNAVAILABLE", "odd", "is damaged", "delete the item there")
    service.dynamodb.delete_item(TableName=table, Key={"segment_id": {"S": "odd"}})
    assert service.call("PUT", "/segments/odd", body).status == 201


POINT = {"body": {"S": point().model_dump_json()}}


def changed(part: str, value: Any) -> dict[str, Any]:
    body = json.loads(POINT["body"]["S"])
    *folders, name = part.split(".")
    place = body
    for folder in folders:
        place = place[folder]
    place[name] = value
    return {"body": {"S": json.dumps(body)}}


@each_in_turn
@given(
    item=damaged(POINT, set())
    | st.builds(
        changed,
        st.sampled_from(["as_of", "computed", "member_count", "stats", "stats.churn.high", "drift", "drift.churn"]),
        st.none() | st.integers() | st.text(max_size=3) | st.just({}) | st.sampled_from(
            ["0001-01-01T00:00:00+14:00", 10**30, -1, "2026-11-23"]
        ),
    )
)  # fmt: skip
def test_statistics_of_any_shape_break_no_history(empty_service: Service, item: dict[str, Any]) -> None:
    table = empty_service.ids["SegmentStatisticsTable"]
    store = StatisticsStore(boto3.client("dynamodb"), table, sleep=lambda _: None)
    store.put(point())
    empty_service.dynamodb.put_item(
        TableName=table, Item=item | {"segment_id": {"S": "vip"}, "point": {"S": "by hand"}}
    )
    assert point() in store.points("vip")
    store.delete("vip")
    assert store.points("vip") == []


def test_the_names_that_are_damaged_are_those_of_a_record() -> None:
    """Or the properties above would damage nothing."""
    assert {AS_OF, LIFETIME_TRANSACTION_COUNT, *DEFAULT_FEATURES} < CUSTOMER.keys()
