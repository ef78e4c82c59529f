"""Segments' definitions over HTTP: written, read, listed, deleted; two writers at once; each wrong request."""

import hashlib
import io
import json
import zlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from moto.core.models import botocore_stubber
from pydantic import TypeAdapter
from urllib3 import HTTPResponse

from local import template
from loyalty_ml.customers.snapshot import CURRENT_KEY, SnapshotCard, SnapshotPart
from loyalty_ml.scoring.rfm import SEGMENT_NAMES
from loyalty_ml.segments.contracts import SegmentDefinitionAnswer, SegmentListAnswer
from loyalty_ml.segments.definition import SEGMENT_KINDS, SegmentDefinition
from loyalty_ml.segments.store import MAX_DEFINITION_BYTES, SegmentStore
from tests import sample_set
from tests.clients import answering
from tests.functions.test_api import assert_error
from tests.service import SNAPSHOT_FEATURES, Answer, Service, new_process, process, put_in_place

pytestmark = pytest.mark.moto

HIGH_VALUE = {"segment_name": "High Value", "rule": {">=": [{"var": "revenue"}, 1000]}}
CHAMPIONS = {"segment_name": "Champions", "rfm_segment": "Champions"}
EVERYONE: dict[str, Any] = {"segment_name": "Everyone", "rule": {}}


@pytest.fixture
def service(service: Service) -> Service:
    """With a snapshot's card: a definition is checked against its columns, and no part is read."""
    part = SnapshotPart(
        key="snapshots/20180102T000000Z-ab12cd34/part-00000.parquet",
        customers=2,
        size=1,
        sha256=hashlib.sha256(b"x").hexdigest(),
    )
    as_of = datetime.fromisoformat(sample_set.AS_OF)
    card = SnapshotCard(as_of=as_of, customers=2, features=SNAPSHOT_FEATURES, parts=(part,))
    service.s3.put_object(Bucket=service.ids["DataBucket"], Key=CURRENT_KEY, Body=card.model_dump_json().encode())
    return service


def store_of(service: Service, **answers: Callable[..., Any]) -> SegmentStore:
    """The service's segments by a client that answers these calls so."""
    return SegmentStore(
        answering(service.dynamodb, **answers), service.ids["SegmentsTable"], process().segment.segment_lists
    )


def put(service: Service, segment_id: str, definition: Any, **headers: str) -> Answer:
    return call(service, "PUT", segment_id, definition, **headers)


def get(service: Service, segment_id: str, **headers: str) -> Answer:
    return call(service, "GET", segment_id, None, **headers)


def delete(service: Service, segment_id: str, **headers: str) -> Answer:
    return call(service, "DELETE", segment_id, None, **headers)


def call(service: Service, method: str, segment_id: str, body: Any, **headers: str) -> Answer:
    """`if_match='"3"'` is the header If-Match."""
    sent = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return service.call(method, f"/segments/{segment_id}", body, headers=sent)


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("rule", {"and": [{">": [{"var": "revenue"}, 0.1]}, {"!=": [{"var": "customer_id"}, "Zoë"]}]}),
        ("rule", {}),
        ("customer_ids", ["2", "顧客-1", " a "]),
        ("rfm_segment", "Can't Lose Them"),
        ("churn_risk", "high"),
        ("recommended_offer", 3),
    ],
)
def test_a_definition_is_made_and_read_as_it_was_sent(service: Service, kind: str, value: Any) -> None:
    made = put(service, "some", {"segment_name": "Ségment", kind: value})
    assert (made.status, made.headers["ETag"]) == (201, '"1"')
    body = TypeAdapter(SegmentDefinitionAnswer).validate_python(made.body)
    assert body == {
        "segment_id": "some", "segment_name": "Ségment", "version": 1, "updated": body["updated"], kind: value
    }  # fmt: skip
    assert body["updated"].endswith("Z")
    read = get(service, "some")
    assert (read.status, read.body, read.headers["ETag"]) == (200, made.body, '"1"')


def test_each_change_is_a_version_and_the_same_again_is_none(service: Service) -> None:
    versions = []
    for definition in (HIGH_VALUE, HIGH_VALUE, EVERYONE, EVERYONE, HIGH_VALUE):
        answer = put(service, "some", definition)
        versions.append((answer.status, answer.body["version"], answer.headers["ETag"]))
    assert versions == [(201, 1, '"1"'), (200, 1, '"1"'), (200, 2, '"2"'), (200, 2, '"2"'), (200, 3, '"3"')]
    assert put(service, "some", HIGH_VALUE | {"segment_name": "Another name"}).body["version"] == 4


def test_of_two_writers_of_one_version_the_second_is_told(service: Service) -> None:
    put(service, "some", HIGH_VALUE)
    first = put(service, "some", EVERYONE, if_match='"1"')
    assert (first.status, first.body["version"]) == (200, 2)
    second = put(service, "some", CHAMPIONS, if_match='"1"')
    assert_error(second, 412, "VERSION_CONFLICT", "version 2")
    assert second.body["details"] == {"version": 2}
    assert get(service, "some").body == first.body
    assert put(service, "some", CHAMPIONS, if_match='"2"').body["version"] == 3


def test_of_two_writers_at_one_moment_one_wins(service: Service) -> None:
    put(service, "some", HIGH_VALUE)
    first = process().segment.segments

    def write_second(**request: Any) -> Any:
        put_in_place(process().segment, segments=first)
        assert put(service, "some", EVERYONE, if_match='"1"').status == 200
        return service.dynamodb.update_item(**request)

    put_in_place(process().segment, segments=store_of(service, update_item=write_second))
    assert_error(put(service, "some", CHAMPIONS, if_match='"1"'), 412, "VERSION_CONFLICT", "version 2")
    assert get(service, "some").body["segment_name"] == "Everyone"


def test_without_a_condition_the_last_writer_wins(service: Service) -> None:
    for definition in (HIGH_VALUE, EVERYONE, CHAMPIONS):
        put(service, "some", definition)
    assert (get(service, "some").body["segment_name"], get(service, "some").body["version"]) == ("Champions", 3)


def test_if_none_match_makes_and_never_changes(service: Service) -> None:
    assert put(service, "some", HIGH_VALUE, if_none_match="*").status == 201
    for definition in (HIGH_VALUE, EVERYONE):
        again = put(service, "some", definition, if_none_match="*")
        assert_error(again, 412, "VERSION_CONFLICT", "version 1")
    delete(service, "some")
    assert put(service, "some", EVERYONE, if_none_match="*").status == 201


def test_if_match_changes_and_never_makes(service: Service) -> None:
    answer = put(service, "some", HIGH_VALUE, if_match='"1"')
    assert_error(answer, 412, "VERSION_CONFLICT", "does not exist")
    assert answer.body["details"] == {"version": None}
    assert get(service, "some").status == 404


def test_the_same_definition_over_the_wrong_version_is_a_conflict(service: Service) -> None:
    put(service, "some", HIGH_VALUE)
    assert put(service, "some", HIGH_VALUE, if_match='"1"').status == 200
    assert_error(put(service, "some", HIGH_VALUE, if_match='"2"'), 412, "VERSION_CONFLICT", "version 1")


def test_no_version_comes_twice_though_the_segment_is_deleted_between(service: Service) -> None:
    put(service, "some", HIGH_VALUE)
    put(service, "some", EVERYONE)
    assert delete(service, "some").status == 204
    assert_error(put(service, "some", EVERYONE, if_match='"2"'), 412, "VERSION_CONFLICT", "does not exist")
    again = put(service, "some", EVERYONE)
    assert (again.status, again.body["version"]) == (201, 3)


@pytest.mark.smoke
def test_what_is_deleted_is_gone(service: Service) -> None:
    put(service, "some", HIGH_VALUE)
    deleted = delete(service, "some")
    assert deleted.status == 204
    assert not deleted.body
    assert "Content-Type" not in deleted.headers
    assert_error(get(service, "some"), 404, "SEGMENT_NOT_FOUND")
    assert_error(delete(service, "some"), 404, "SEGMENT_NOT_FOUND")
    assert service.call("GET", "/segments").body == {"segments": []}


def test_a_delete_of_another_version_is_a_conflict(service: Service) -> None:
    put(service, "some", HIGH_VALUE)
    put(service, "some", EVERYONE)
    assert_error(delete(service, "some", if_match='"1"'), 412, "VERSION_CONFLICT", "version 2")
    assert delete(service, "some", if_match='"2"').status == 204
    assert_error(delete(service, "some", if_match='"2"'), 404, "SEGMENT_NOT_FOUND")


@pytest.mark.parametrize("known", ['"2"', 'W/"2"', '"1", "2"', "*"])
def test_who_has_this_version_gets_it_not_again(service: Service, known: str) -> None:
    put(service, "some", HIGH_VALUE)
    put(service, "some", EVERYONE)
    answer = get(service, "some", if_none_match=known)
    assert (answer.status, answer.headers["ETag"]) == (304, '"2"')
    assert not answer.body


@pytest.mark.parametrize("known", ['"1"', "2", "", '"1", "3"'])
def test_who_has_another_version_gets_this_one(service: Service, known: str) -> None:
    put(service, "some", HIGH_VALUE)
    put(service, "some", EVERYONE)
    assert get(service, "some", if_none_match=known).body["version"] == 2


def test_the_list_has_every_segment_in_order_without_rules_and_ids(service: Service) -> None:
    put(service, "b", {"segment_name": "Listed", "customer_ids": ["1"]})
    put(service, "B", CHAMPIONS)
    put(service, "a", HIGH_VALUE)
    body = TypeAdapter(SegmentListAnswer).validate_python(service.call("GET", "/segments").body)
    assert [(segment["segment_id"], segment["kind"]) for segment in body["segments"]] == [
        ("B", "rfm_segment"),
        ("a", "rule"),
        ("b", "customer_ids"),
    ]
    assert body["segments"][1].keys() == {"segment_id", "segment_name", "kind", "version", "updated"}


@pytest.mark.smoke
def test_the_list_can_be_had_in_parts(service: Service) -> None:
    for segment_id in ("b", "B", "a", "c"):
        put(service, segment_id, CHAMPIONS)
    whole = service.call("GET", "/segments").body["segments"]
    parts = []
    following: dict[str, str] | None = {}
    while following is not None:
        part = service.call("GET", "/segments", queryStringParameters={"limit": "3", **following}).body
        parts.append(part["segments"])
        following = {"next": part["next"]} if "next" in part else None
    assert [len(part) for part in parts] == [3, 1]
    assert [*parts[0], *parts[1]] == whole
    exact = service.call("GET", "/segments", queryStringParameters={"limit": "4"}).body
    assert exact == {"segments": whole}
    refused = service.call("GET", "/segments", queryStringParameters={"limit": "0"})
    assert_error(refused, 400, "INVALID_REQUEST", "limit")


def test_each_page_of_the_list_reads_a_page_of_summaries_and_no_definition(service: Service) -> None:
    """A definition may have 380 kB: a page that reads them all costs a thousand times what it shows."""
    definitions = [HIGH_VALUE, CHAMPIONS, EVERYONE, {"segment_name": "Listed", "customer_ids": ["1"]}]
    for number in range(23):
        put(service, f"s{number:02}", definitions[number % 4])
    delete(service, "s05")
    requests: list[str] = []
    answers: list[dict[str, Any]] = []
    client: Any = process().segment.segments._dynamodb
    client.meta.events.register("before-call.dynamodb", lambda model, **_: requests.append(model.name))
    client.meta.events.register("after-call.dynamodb", lambda parsed, **_: answers.append(parsed))
    seen: list[str] = []
    following: dict[str, str] = {}
    for _ in range(5):
        body = service.call("GET", "/segments", queryStringParameters={"limit": "5", **following}).body
        seen += [segment["segment_id"] for segment in body["segments"]]
        following = {"next": body["next"]} if "next" in body else {}
    assert (seen, following) == ([f"s{number:02}" for number in range(23) if number != 5], {})
    assert set(requests) == {"Query"}
    assert all("definition" not in item for answer in answers for item in answer["Items"])
    assert max(len(answer["Items"]) for answer in answers) <= 6


@pytest.mark.parametrize("token", ["", "a b", "x" * 65, "a/../b", "é", "a\nb"])
def test_what_no_page_gave_is_no_page_token(service: Service, token: str) -> None:
    answer = service.call("GET", "/segments", queryStringParameters={"next": token})
    assert_error(answer, 400, "INVALID_REQUEST", "next: this is no page token")


def test_segments_that_were_stored_before_the_index_are_in_the_list(service: Service) -> None:
    """The table as releases before the index made it; CloudFormation then adds the index, which DynamoDB fills."""
    put(service, "old", CHAMPIONS)
    old = service.dynamodb.get_item(TableName=service.ids["SegmentsTable"], Key={"segment_id": {"S": "old"}})["Item"]
    service.dynamodb.create_table(
        TableName="before",
        AttributeDefinitions=[{"AttributeName": "segment_id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "segment_id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    service.dynamodb.put_item(TableName="before", Item=old)
    gone = {"segment_id": {"S": "gone"}, "version": {"N": "2"}, "updated": old["updated"], "write": old["write"]}
    service.dynamodb.put_item(TableName="before", Item=gone)
    described = template.load()["Resources"]["SegmentsTable"]["Properties"]
    (index,) = described["GlobalSecondaryIndexes"]
    service.dynamodb.update_table(
        TableName="before",
        AttributeDefinitions=described["AttributeDefinitions"],
        GlobalSecondaryIndexUpdates=[{"Create": index}],
    )
    store = SegmentStore(service.dynamodb, "before", process().segment.segment_lists)
    summaries, following = store.page(10)
    assert ([summary.segment_id for summary in summaries], following) == (["old"], None)
    assert store.get("old").definition == SegmentDefinition(**CHAMPIONS)


@pytest.mark.long
def test_a_page_of_a_hundred_thousand_segments(service: Service) -> None:
    put(service, "one", HIGH_VALUE)
    table = service.ids["SegmentsTable"]
    item = service.dynamodb.get_item(TableName=table, Key={"segment_id": {"S": "one"}})["Item"]
    service.dynamodb.delete_item(TableName=table, Key={"segment_id": {"S": "one"}})
    expected = sorted(f"s{number}" for number in range(100_000))
    kinds = ("rule", "customer_ids", "combined")
    for first in range(0, len(expected), 25):
        entries: list[Any] = [
            {"PutRequest": {"Item": {**item, "segment_id": {"S": name}, "kind": {"S": kinds[len(name) % 3]}}}}
            for name in expected[first : first + 25]
        ]
        service.dynamodb.batch_write_item(RequestItems={table: entries})
    requests: list[str] = []
    client: Any = process().segment.segments._dynamodb
    client.meta.events.register("before-call.dynamodb", lambda model, **_: requests.append(model.name))
    for after in (None, expected[50_000], expected[-500]):
        query = {"next": after} if after else {}
        body = service.call("GET", "/segments", queryStringParameters=query).body
        start = expected.index(after) + 1 if after else 0
        shown = [segment["segment_id"] for segment in body["segments"]]
        assert shown == expected[start : start + 1000]
        assert body.get("next") == (expected[start + 999] if start + 1000 < len(expected) else None)
    assert len(requests) <= 3 * len(SEGMENT_KINDS) * 2


@pytest.mark.parametrize("path", ["/segments", "/segments/some"])
def test_a_trailing_slash_changes_nothing(service: Service, path: str) -> None:
    made = service.call("PUT", "/segments/some/", HIGH_VALUE)
    assert made.status == 201
    assert service.call("GET", path + "/") == service.call("GET", path)
    assert service.call("DELETE", "/segments/some/").status == 204


def test_a_rule_that_no_item_holds_is_413(service: Service) -> None:
    ids = [hashlib.sha512(b"%d" % number).hexdigest() for number in range(7_000)]
    answer = put(service, "long", {"segment_name": "Long", "rule": {"in": [{"var": "customer_id"}, ids]}})
    assert_error(answer, 413, "PAYLOAD_TOO_LARGE", f"{MAX_DEFINITION_BYTES:,}", "list of ids")


def test_an_id_that_comes_twice_is_kept_once(service: Service) -> None:
    made = put(service, "listed", {"segment_name": "Listed", "customer_ids": ["b", "a", "b"]})
    assert made.body["customer_ids"] == ["b", "a"]


@pytest.mark.parametrize(
    ("body", "code", "parts"),
    [
        (None, "INVALID_JSON", ["no body"]),
        ("{", "INVALID_JSON", ["line 1"]),
        ('{"segment_name": "x", "rule": ' + '{"!": [' * 10_000, "INVALID_JSON", ["nested too deeply"]),
        ("[]", "INVALID_REQUEST", ["object"]),
        ({"rule": {}}, "INVALID_REQUEST", ["segment_name"]),
        ({"segment_name": "x" * 201, "rule": {}}, "INVALID_REQUEST", ["segment_name", "200"]),
        ({"segment_name": "x"}, "INVALID_REQUEST", ["rule", "customer_ids", "rfm_segment", "recommended_offer"]),
        (EVERYONE | {"color": "red"}, "INVALID_REQUEST", ["color"]),
        ({"segment_name": "x", "customer_ids": []}, "INVALID_REQUEST", ["customer_ids"]),
        ({"segment_name": "x", "customer_ids": ["a", 2]}, "INVALID_REQUEST", ["customer_ids.1"]),
        ({"segment_name": "x", "customer_ids": [1] * 200_000}, "INVALID_REQUEST", ["customer_ids.0"]),
        ({"segment_name": "x", "rfm_segment": "Nobody"}, "INVALID_REQUEST", ["rfm_segment", *SEGMENT_NAMES]),
        ({"segment_name": "x", "churn_risk": "some"}, "INVALID_REQUEST", ["churn_risk", "medium"]),
        ({"segment_name": "x", "recommended_offer": 8}, "INVALID_REQUEST", ["7 (Loyalty Tier Upgrade)"]),
        ({"segment_name": "x", "recommended_offer": 10**30}, "INVALID_REQUEST", ["recommended_offer"]),
        ({"segment_name": "x", "rule": [1]}, "INVALID_REQUEST", ["rule"]),
        ({"segment_name": "x", "rule": {">": [{"var": "income"}, 1]}}, "INVALID_REQUEST", ["income", "revenue"]),
        ({"segment_name": "x", "rule": {"var": "revenue"}}, "INVALID_REQUEST", ["rule"]),
        ({"segment_name": "x", "rule": {">": [{"var": "revenue"}, "abc"]}}, "INVALID_REQUEST", ["abc"]),
        ({"segment_name": "x", "rule": {"%": [{"var": "revenue"}, 2]}}, "INVALID_REQUEST", ["%"]),
        ({"segment_name": "x", "rule": {"and": [], "or": []}}, "INVALID_REQUEST", ["and", "or"]),
        ('{"segment_name": "x", "rule": {">": [{"var": "revenue"}, NaN]}}', "INVALID_REQUEST", ["rule"]),
        ('{"segment_name": "x", "rule": {">": [{"var": "revenue"}, 1e400]}}', "INVALID_REQUEST", ["rule"]),
        ({"segment_name": "x", "rule": {">": [{"var": "'; DROP TABLE x; --"}, 1]}}, "INVALID_REQUEST", ["DROP TABLE"]),
    ],
)
def test_bad_definitions(service: Service, body: Any, code: str, parts: list[str]) -> None:
    answer = put(service, "some", body)
    assert_error(answer, 400, code, *parts)
    assert len(json.dumps(answer.body)) < 5_000
    assert get(service, "some").status == 404, "nothing is written"
    assert put(service, "some", EVERYONE).status == 201, "the next good request works"


def test_a_rule_too_deep_to_evaluate_is_named(service: Service) -> None:
    rule: dict[str, Any] = {"==": [{"var": "revenue"}, 1]}
    for _ in range(40):
        rule = {"!": [rule]}
    assert_error(put(service, "some", {"segment_name": "x", "rule": rule}), 400, "INVALID_REQUEST", "rule")


@pytest.mark.parametrize("number", [0.1, 2**53, -(2**63), 2**63, 1e20, 5e-324])
def test_a_number_is_kept_as_it_is(service: Service, number: float) -> None:
    definition = {"segment_name": "x", "rule": {">": [{"var": "revenue"}, number]}}
    assert put(service, "some", definition).status == 201
    assert get(service, "some").body["rule"] == definition["rule"]


@pytest.mark.parametrize("number", [2**53 + 1, 2**64, 10**22, 10**400])
def test_a_number_that_would_not_be_kept_is_refused(service: Service, number: int) -> None:
    definition = {"segment_name": "x", "rule": {">": [{"var": "revenue"}, number]}}
    assert_error(put(service, "some", definition), 400, "INVALID_REQUEST", "rule")


def test_a_text_of_sql_is_a_text(service: Service) -> None:
    definition = {"segment_name": "'; DROP TABLE x; --", "rule": {"==": [{"var": "customer_id"}, "' OR 1=1 --"]}}
    assert put(service, "some", definition).status == 201
    body = get(service, "some").body
    assert (body["segment_name"], body["rule"]) == tuple(definition.values())


def test_a_body_over_the_limit_is_413(service: Service) -> None:
    definition = {"segment_name": "x", "rule": {"in": [{"var": "customer_id"}, ["x" * 100] * 50_000]}}
    assert_error(put(service, "some", definition), 413, "PAYLOAD_TOO_LARGE", "1,048,576")


def test_of_a_body_full_of_unknown_fields_the_first_are_named(service: Service) -> None:
    body = EVERYONE | {f"x{number}": 0 for number in range(60_000)}
    answer = put(service, "some", body)
    assert_error(answer, 400, "INVALID_REQUEST", "x0", "x2")
    assert len(json.dumps(answer.body)) < 100_000


@pytest.mark.parametrize("segment_id", ["-a", "a.b", "a b", "x" * 65, "ü", "%2e%2e"])
def test_an_id_that_no_segment_can_have(service: Service, segment_id: str) -> None:
    answer = put(service, segment_id, EVERYONE)
    assert_error(answer, 400, "INVALID_REQUEST", "letters")
    assert answer.body["details"]["fields"][0]["field"] == "segment_id"
    assert_error(get(service, segment_id), 404, "SEGMENT_NOT_FOUND")
    assert_error(delete(service, segment_id), 404, "SEGMENT_NOT_FOUND")


@pytest.mark.parametrize("if_match", ["1", '""', '"0"', '"-1"', '"1.0"', '"x"', '"1", "2"', 'W/"1"', '"٣"', ""])
def test_an_if_match_that_is_no_version(service: Service, if_match: str) -> None:
    put(service, "some", EVERYONE)
    assert_error(put(service, "some", HIGH_VALUE, if_match=if_match), 400, "INVALID_REQUEST", "If-Match", '"3"')
    assert_error(delete(service, "some", if_match=if_match), 400, "INVALID_REQUEST", "If-Match", '"3"')
    assert get(service, "some").body["version"] == 1


def test_conditions_that_say_nothing_or_two_things(service: Service) -> None:
    for headers in ({"if_none_match": '"1"'}, {"if_none_match": "*", "if_match": '"1"'}):
        assert_error(put(service, "some", EVERYONE, **headers), 400, "INVALID_REQUEST", "If-None-Match")


def test_an_unknown_route_below_a_segment_is_404(service: Service) -> None:
    put(service, "some", EVERYONE)
    assert_error(service.call("GET", "/segments/some/rule"), 404, "ROUTE_NOT_FOUND")
    assert_error(service.call("PUT", "/segments/some/ml/stats", EVERYONE), 404, "ROUTE_NOT_FOUND")


def test_a_rule_needs_a_snapshot_and_a_list_does_not(service: Service) -> None:
    service.s3.delete_object(Bucket=service.ids["DataBucket"], Key=CURRENT_KEY)
    assert_error(put(service, "some", HIGH_VALUE), 503, "FEATURE_STORE_UNAVAILABLE", "snapshot")
    assert put(service, "listed", {"segment_name": "Listed", "customer_ids": ["1"]}).status == 201


def test_offers_are_the_served_models_or_an_error(empty_service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    definition = {"segment_name": "For offer 3", "recommended_offer": 3}
    assert put(empty_service, "some", definition).status == 201, "mock offers are answered too"
    monkeypatch.setenv("ML_MOCK_MODE", "false")
    new_process()
    assert_error(put(empty_service, "some", definition), 503, "MODEL_UNAVAILABLE", "nbo")


@pytest.mark.parametrize(
    "damage",
    [
        {"definition": {"B": b"not zlib"}},
        {"definition": {"B": zlib.compress(b"{}")}},
        {"definition": {"S": "text"}},
        {"version": {"S": "three"}},
        {"updated": {"S": "yesterday"}},
    ],
)
def test_a_damaged_item_is_said_and_does_not_stop_the_others(
    service: Service, damage: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    put(service, "good", EVERYONE)
    put(service, "odd", EVERYONE)
    table = service.ids["SegmentsTable"]
    item = service.dynamodb.get_item(TableName=table, Key={"segment_id": {"S": "odd"}})["Item"]
    service.dynamodb.put_item(TableName=table, Item={**item, **damage})
    assert_error(get(service, "odd"), 503, "STORE_UNAVAILABLE", "segment odd", "delete the item")
    assert "damaged" in caplog.text
    listed = [segment["segment_id"] for segment in service.call("GET", "/segments").body["segments"]]
    assert "good" in listed
    service.dynamodb.delete_item(TableName=table, Key={"segment_id": {"S": "odd"}})
    assert put(service, "odd", EVERYONE).status == 201, "what the sentence says helps"


@pytest.mark.parametrize(
    "request_",
    [
        lambda service: get(service, "some"),
        lambda service: put(service, "some", CHAMPIONS),
        lambda service: delete(service, "some"),
        lambda service: service.call("GET", "/segments"),
    ],
    ids=["get", "put", "delete", "list"],
)
def test_a_table_that_cannot_be_reached_is_503(service: Service, request_: Callable[[Service], Answer]) -> None:
    service.dynamodb.delete_table(TableName=service.ids["SegmentsTable"])
    assert_error(request_(service), 503, "STORE_UNAVAILABLE", "segments table", "ResourceNotFoundException")


@pytest.mark.usefixtures("no_pauses")
def test_a_throttled_table_is_asked_again(service: Service) -> None:
    put(service, "some", EVERYONE)
    tries = []

    def throttle(request: Any, **_: Any) -> AWSResponse | None:
        tries.append(request)
        return None if len(tries) == 3 else failure(request, 400, "ThrottlingException")

    client: Any = process().segment.segments._dynamodb
    client.meta.events.register_first("before-send.dynamodb.GetItem", throttle)
    assert get(service, "some").status == 200
    assert len(tries) == 3


@pytest.mark.usefixtures("no_pauses")
def test_a_write_whose_answer_is_lost_is_no_conflict_with_itself(service: Service) -> None:
    seen = set()

    def lose_the_first_answer(request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        if request.body in seen:
            return None
        seen.add(request.body)
        botocore_stubber(event_name, request)
        return failure(request, 500, "InternalServerError")

    client: Any = process().segment.segments._dynamodb
    client.meta.events.register_first("before-send.dynamodb.UpdateItem", lose_the_first_answer)
    made = put(service, "some", HIGH_VALUE, if_none_match="*")
    assert (made.status, made.body["version"]) == (201, 1)
    changed = put(service, "some", EVERYONE, if_match='"1"')
    assert (changed.status, changed.body["version"]) == (200, 2)
    assert delete(service, "some", if_match='"2"').status == 204
    assert len(seen) == 3


def failure(request: Any, status: int, code: str) -> AWSResponse:
    """DynamoDB's answer where it fails."""
    body = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "Not now"}).encode()
    return AWSResponse(request.url, status, HTTPHeaders(), HTTPResponse(io.BytesIO(body), preload_content=False))
