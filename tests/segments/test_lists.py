"""Lists of any size: in the body, or sent as a file; kept in S3, and the members are those of a short list."""

import gzip
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from loyalty_ml.segments.lists import LISTS, UPLOADS
from loyalty_ml.vocabulary import rfc3339
from tests.functions.test_api import assert_error
from tests.segments.test_segments import Deployment, serve_segments, some_customers
from tests.service import Service, process

pytestmark = pytest.mark.moto

MANY = [f"customer-{number * 7919 % 1_000_003}" for number in range(30_000)]


@pytest.fixture
def deployment(service: Service, tmp_path: Path) -> Deployment:
    deployed = Deployment(service, tmp_path)
    serve_segments(block_rows=64)
    deployed.write_customers(some_customers(customers=200))
    return deployed


def keys(service: Service, prefix: str = LISTS) -> list[str]:
    found = service.s3.list_objects_v2(Bucket=service.ids["DataBucket"], Prefix=prefix).get("Contents", [])
    return [each["Key"] for each in found]


def upload(service: Service, content: bytes) -> str:
    """Sends a file as the answer says, and gives the upload's id."""
    answer = service.call("POST", "/segments/lists")
    assert answer.status == 201
    form = answer.body["upload"]
    assert (form["method"], form["max_bytes"]) == ("POST", 32 * 1024**2)
    assert form["fields"]["key"] == f"{UPLOADS}{answer.body['upload_id']}"
    # moto checks no signature of a form: what S3 would have stored.
    service.s3.put_object(Bucket=service.ids["DataBucket"], Key=form["fields"]["key"], Body=content)
    upload_id: str = answer.body["upload_id"]
    return upload_id


def put(service: Service, segment_id: str, **definition: Any) -> Any:
    return service.call("PUT", f"/segments/{segment_id}", {"segment_name": "Listed", **definition})


def test_a_long_list_of_the_body_is_kept_apart_and_read_as_it_was_sent(service: Service) -> None:
    made = put(service, "listed", customer_ids=MANY)
    assert (made.status, made.body["customer_ids"]) == (201, MANY)
    assert len(keys(service, f"{LISTS}listed/")) == 1
    item = service.dynamodb.get_item(TableName=service.ids["SegmentsTable"], Key={"segment_id": {"S": "listed"}})
    assert len(item["Item"]["definition"]["B"]) < 1000
    assert service.call("GET", "/segments/listed").body["customer_ids"] == MANY
    assert put(service, "listed", customer_ids=MANY).body["version"] == 1, "the same list is no change"
    assert put(service, "listed", customer_ids=MANY[1:]).body["version"] == 2
    (summary,) = service.call("GET", "/segments").body["segments"]
    assert summary["kind"] == "customer_ids"


def test_a_short_list_stays_in_its_item(service: Service) -> None:
    put(service, "short", customer_ids=MANY[:100])
    assert keys(service) == []


def test_a_deleted_segment_takes_its_lists_with_it(service: Service) -> None:
    for segment_id in ("listed", "listed-2"):
        put(service, segment_id, customer_ids=MANY)
        put(service, segment_id, customer_ids=MANY[1:])
    assert service.call("DELETE", "/segments/listed").status == 204
    assert {key.split("/")[1] for key in keys(service)} == {"listed-2"}
    assert len(keys(service)) == 2


def test_a_deletion_that_was_interrupted_before_the_lists_is_ended_by_the_next(service: Service) -> None:
    put(service, "listed", customer_ids=MANY)
    bucket: Any = {"Bucket": service.ids["DataBucket"]}
    (key,) = keys(service)
    content = service.s3.get_object(**bucket, Key=key)["Body"].read()
    assert service.call("DELETE", "/segments/listed").status == 204
    # As it is where S3 did not answer, or the function was ended: the item says deleted, and the list is there.
    service.s3.put_object(**bucket, Key=key, Body=content)
    item: Any = {"TableName": service.ids["SegmentsTable"], "Key": {"segment_id": {"S": "listed"}}}
    deleted = service.s3.get_object(**bucket, Key=key)["LastModified"] + timedelta(seconds=1)
    names: Any = {"ExpressionAttributeNames": {"#updated": "updated"}, "UpdateExpression": "SET #updated = :at"}
    service.dynamodb.update_item(**item, **names, ExpressionAttributeValues={":at": {"S": rfc3339(deleted)}})
    assert_error(service.call("DELETE", "/segments/listed"), 404, "SEGMENT_NOT_FOUND")
    assert keys(service) == []
    # One that was stored since is of a PUT that is at work.
    service.s3.put_object(**bucket, Key=key, Body=content)
    earlier = {":at": {"S": rfc3339(deleted - timedelta(hours=1))}}
    service.dynamodb.update_item(**item, **names, ExpressionAttributeValues=earlier)
    assert_error(service.call("DELETE", "/segments/listed"), 404, "SEGMENT_NOT_FOUND")
    assert keys(service) == [key]


@pytest.mark.parametrize("headers", [{"if-match": '"1"'}, {"if-match": "*"}, {"if-none-match": "*"}])
def test_a_write_that_is_refused_stores_no_list(service: Service, headers: dict[str, str]) -> None:
    """No segment would have it, so nothing would ever delete it."""
    if "if-none-match" in headers:
        put(service, "listed", customer_ids=["c-1"])
    body = {"segment_name": "Listed", "customer_ids": MANY}
    sent = {"content-type": "application/json", **headers}
    assert_error(service.call("PUT", "/segments/listed", body, headers=sent), 412, "VERSION_CONFLICT")
    assert keys(service) == []


@pytest.mark.parametrize("many", [70_000, pytest.param(300_000, marks=pytest.mark.long)])
def test_a_file_of_many_ids_is_a_segment_of_its_customers(deployment: Deployment, many: int) -> None:
    ids = [*sorted(deployment.customers), *(f"stranger-{number}" for number in range(many - 200))]
    content = gzip.compress(("name;customer_id\r\n" + "\r\n".join(f"x;{each}" for each in ids)).encode())
    service = deployment.service
    upload_id = upload(service, content)
    preview = service.call("POST", "/segments/preview", {"segment_name": "X", "customer_list": upload_id}).body
    made = put(service, "many", customer_list=upload_id)
    assert made.status == 201
    list_id = made.body["customer_list"]
    assert (made.body["listed_customers"], len(list_id)) == (many, 64)
    assert "customer_ids" not in made.body
    shown = service.call("GET", "/segments/many").body
    assert shown["customer_list"] == list_id
    key = f"{LISTS}many/{list_id}"
    assert key in shown["list_url"]
    stored = service.s3.get_object(Bucket=service.ids["DataBucket"], Key=key)
    assert json.loads(gzip.decompress(stored["Body"].read())) == ids
    assert (stored["ContentType"], stored["ContentEncoding"]) == ("application/json", "gzip")

    answer = deployment.predict("many").body
    assert answer["total_customers"] == many
    good = [entry for entry in deployment.one_by_one("churn", ids[:200]).values() if "code" not in entry]
    assert answer["successful"] == len(good) == preview["answer"]["successful"]
    assert answer["failed"] == many - len(good)
    assert deployment.stats("many").body["member_count"] == many
    (summary,) = service.call("GET", "/segments").body["segments"]
    assert summary["kind"] == "customer_ids"


def test_a_list_may_be_combined_and_kept_while_the_rest_changes(deployment: Deployment) -> None:
    service = deployment.service
    ids = [*sorted(deployment.customers)[:120], *MANY, *(f"another-{number:09}" for number in range(60_000))]
    first = put(service, "pilot", customer_list=upload(service, "\n".join(ids).encode())).body
    list_id = first["customer_list"]
    second = put(service, "pilot", customer_list=list_id, churn_risk="high").body
    assert (second["version"], second["customer_list"]) == (2, list_id)
    assert second["churn_risk"] == "high"
    churn = deployment.one_by_one("churn", ids[:120])
    risky = {name for name, answer in churn.items() if answer.get("churn_risk") == "high"}
    answer = deployment.predict("pilot").body
    assert {entry["customer_id"] for entry in answer["results"]} == risky
    assert (answer["total_customers"], answer["failed"]) == (len(risky), 0)


def test_a_short_file_is_shown_as_its_ids(deployment: Deployment) -> None:
    ids = sorted(deployment.customers)[:10]
    made = put(deployment.service, "short", customer_list=upload(deployment.service, "\n".join(ids).encode()))
    assert made.body["customer_ids"] == ids
    assert put(deployment.service, "again", customer_ids=ids).body["customer_ids"] == ids


def test_what_is_sent_to_an_upload_later_changes_no_segment(deployment: Deployment) -> None:
    service = deployment.service
    upload_id = upload(service, b"c-1\nc-2\n")
    put(service, "fixed", customer_list=upload_id)
    service.s3.put_object(Bucket=service.ids["DataBucket"], Key=f"{UPLOADS}{upload_id}", Body=b"c-3\n")
    assert service.call("GET", "/segments/fixed").body["customer_ids"] == ["c-1", "c-2"]


@pytest.mark.parametrize(
    ("definition", "problem"),
    [
        ({"customer_list": "upload-" + "0" * 32}, "no file was sent for upload-0"),
        ({"customer_list": "f" * 64}, "segment some has no such list"),
        ({"customer_list": "../../models/manifest.json"}, "customer_list: give the upload_id of POST /segments/lists"),
        ({"customer_list": "upload-../" + "0" * 29}, "customer_list: give the upload_id of POST /segments/lists"),
        ({"customer_list": 5}, "customer_list: must be text"),
        ({"customer_list": "f" * 64, "customer_ids": ["1"]}, "give customer_ids or customer_list, not both"),
    ],
)
def test_what_is_no_list_of_this_segment_is_refused(service: Service, definition: Any, problem: str) -> None:
    assert_error(put(service, "some", **definition), 400, "INVALID_REQUEST", problem)


def test_a_file_that_is_no_list_is_refused_and_no_segment_is_made(service: Service) -> None:
    answer = put(service, "some", customer_list=upload(service, b"name,spend\nx,1\n"))
    assert_error(answer, 400, "INVALID_REQUEST", "line 1 has several columns")
    assert service.call("GET", "/segments/some").status == 404
    assert keys(service, f"{LISTS}some/") == []


def test_the_list_of_another_segment_is_no_list_of_this_one(service: Service) -> None:
    put(service, "one", customer_ids=MANY)
    (key,) = keys(service)
    assert_error(
        put(service, "two", customer_list=key.rsplit("/", 1)[1]), 400, "INVALID_REQUEST", "two has no such list"
    )


def test_a_list_that_is_lost_is_503_until_the_segment_has_another(service: Service) -> None:
    put(service, "listed", customer_ids=MANY)
    process().segment.segment_lists._kept.clear()
    for key in keys(service):
        service.s3.delete_object(Bucket=service.ids["DataBucket"], Key=key)
    assert_error(service.call("GET", "/segments/listed"), 503, "STORE_UNAVAILABLE", "The list of segment listed", "PUT")
    assert put(service, "listed", customer_ids=["1"]).status == 200, "what the sentence says helps"


def test_a_list_is_read_from_s3_once(deployment: Deployment) -> None:
    put(deployment.service, "listed", customer_ids=[*sorted(deployment.customers), *MANY])
    deployment.predict("listed")
    reads: list[str] = []
    client: Any = process().segment.segment_lists._s3
    client.meta.events.register("before-call.s3.GetObject", lambda params, **_: reads.append(params["url_path"]))
    deployment.predict("listed")
    assert reads == []
