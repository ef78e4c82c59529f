"""Jobs started once however often they are asked for, deleted with all that they made, and told of when they end."""

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from functions.segment_worker import app as worker
from loyalty_ml.aws.events import Events
from loyalty_ml.errors import JobNotFound, StoreUnavailable
from loyalty_ml.files.source import FileJobRequest, FileSource, job_id_of
from loyalty_ml.jobs.idempotency import IdempotencyKeys
from loyalty_ml.jobs.lease import LeaseLost
from loyalty_ml.jobs.record import REMOVAL_SECONDS
from tests.clients import answering
from tests.functions.test_api import assert_error
from tests.segments.test_segment_definitions import put
from tests.service import CONTEXT, Answer, Service, new_process, process, put_in_place

pytestmark = pytest.mark.moto

JSON = {"content-type": "application/json"}


@pytest.fixture
def executions(service: Service) -> list[dict[str, Any]]:
    """What the state machine was asked for, in place of one."""
    asked: list[dict[str, Any]] = []
    stepfunctions = boto3.client("stepfunctions")

    def start(**request: Any) -> Any:
        if any(request["name"] == each["name"] for each in asked if "name" in each):
            raise stepfunctions.exceptions.ExecutionAlreadyExists({"Error": {"Code": "ExecutionAlreadyExists"}}, "x")
        asked.append(request)
        return {}

    datasets = process().batch.datasets
    datasets._stepfunctions = answering(
        stepfunctions, start_execution=start, stop_execution=lambda **x: asked.append(x)
    )
    service.s3.put_object(Bucket=service.ids["DataBucket"], Key="datasets/a/one.csv", Body=b"customer_id\n1\n")
    service.s3.put_object(Bucket=service.ids["DataBucket"], Key="datasets/a/two.csv", Body=b"customer_id\n2\n")
    assert put(service, "some", {"segment_name": "Some", "customer_ids": ["good"]}).status == 201
    return asked


def start(service: Service, body: Any, key: str | None = "a-key", caller: str | None = None) -> Answer:
    headers = JSON | ({"idempotency-key": key} if key is not None else {})
    context = {
        "stage": "$default",
        "requestId": "an-id",
        "http": {"method": "POST", "path": "/"},
        **({"authorizer": {"jwt": {"claims": {"sub": caller}}}} if caller else {}),
    }
    return service.call("POST", "/ml/jobs", body, headers=headers, requestContext=context)


def waiting(service: Service) -> list[Any]:
    """The messages of the segment queue, delayed ones too."""
    from moto.sqs.models import sqs_backends

    backend: Any = sqs_backends["123456789012"]["eu-west-1"]
    name = service.ids["SegmentQueue"].rpartition("/")[2]
    return [json.loads(message.body) for message in backend.queues[name]._messages]


BODIES = [{"format": "csv"}, {"type": "all", "prefix": "datasets/a/"}, {"segment_id": "some"}]


@pytest.mark.usefixtures("executions")
@pytest.mark.parametrize("body", BODIES)
def test_the_same_key_and_body_are_the_same_job(service: Service, executions: list[Any], body: dict[str, str]) -> None:
    first = start(service, body)
    again = start(service, dict(reversed(body.items())))
    assert first.status in (201, 202)
    assert (again.status, again.body["job_id"]) == (first.status, first.body["job_id"])
    assert again.headers["Location"] == first.headers["Location"]
    assert [job["job_id"] for job in service.call("GET", "/ml/jobs").body["jobs"]] == [first.body["job_id"]]
    assert len(executions) == (1 if "prefix" in body else 0)
    if "format" in body:
        assert again.body["upload"]["fields"]["key"] == first.body["upload"]["fields"]["key"]
    other = start(service, body, "another")
    assert other.body["job_id"] != first.body["job_id"]
    assert start(service, body, None).body["job_id"] not in (first.body["job_id"], other.body["job_id"])


@pytest.mark.usefixtures("executions")
def test_the_same_key_with_another_body_is_refused(service: Service) -> None:
    first = start(service, BODIES[0])
    for other in ({"format": "parquet"}, {"format": "csv", "type": "nbo"}, BODIES[2]):
        assert_error(start(service, other), 422, "IDEMPOTENCY_KEY_REUSED", "another key")
    assert start(service, BODIES[0]).body["job_id"] == first.body["job_id"]
    assert start(service, {"format": "csv", "type": "churn"}).body["job_id"] == first.body["job_id"], "the default"


@pytest.mark.usefixtures("executions")
def test_two_callers_may_choose_the_same_key(service: Service) -> None:
    jobs = {start(service, BODIES[0], caller=caller).body["job_id"] for caller in ("crm", "shop", "crm")}
    assert len(jobs) == 2


def test_a_key_is_kept_for_a_day(service: Service) -> None:
    now = datetime(2026, 11, 28, tzinfo=UTC)
    moments = [now]
    keys = IdempotencyKeys(service.dynamodb, service.ids["JobsTable"], lambda: moments[-1])
    first = keys.job_for("crm", "key", "body")
    moments.append(now + timedelta(hours=23, minutes=59))
    assert keys.job_for("crm", "key", "body") == first
    moments.append(now + timedelta(days=1))
    assert keys.job_for("crm", "key", "other") != first


@pytest.mark.usefixtures("executions")
def test_a_job_that_could_not_be_started_may_be_tried_again_with_its_key(service: Service) -> None:
    assert_error(start(service, {"prefix": "datasets/none/"}), 400, "INVALID_REQUEST", "prefix")
    assert_error(start(service, {"segment_id": "none"}), 404, "SEGMENT_NOT_FOUND")
    assert start(service, BODIES[1]).status == 202
    url = process().batch.settings.segment_queue_url
    process().batch.queued_jobs._queue_url = url + "-gone"
    assert_error(start(service, BODIES[2], "second"), 503, "STORE_UNAVAILABLE")
    process().batch.queued_jobs._queue_url = url
    again = start(service, BODIES[2], "second")
    assert (again.status, again.body["status"]) == (202, "queued")


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_that_is_none_is_refused(service: Service, key: str) -> None:
    assert_error(start(service, BODIES[0], key), 400, "INVALID_REQUEST", "Idempotency-Key", "255")


@pytest.mark.usefixtures("executions")
def test_the_key_of_a_deleted_job_starts_another(service: Service) -> None:
    first = start(service, BODIES[0]).body["job_id"]
    assert service.call("DELETE", f"/ml/jobs/{first}").status == 204
    second = start(service, BODIES[0]).body["job_id"]
    assert second != first
    assert start(service, BODIES[0]).body["job_id"] == second


def work_off(service: Service) -> None:
    """Removes what the queue asks to be removed, delayed or not."""
    for message in waiting(service):
        if message.get("task") != "remove":
            continue
        record = {
            "messageId": "m",
            "receiptHandle": "r",
            "body": json.dumps(message),
            "attributes": {"ApproximateReceiveCount": "1"},
        }
        worker.handler({"Records": [record]}, CONTEXT)


def keys_below(service: Service, *prefixes: str) -> set[str]:
    found: set[str] = set()
    for prefix in prefixes:
        page = service.s3.list_objects_v2(Bucket=service.ids["DataBucket"], Prefix=prefix)
        found |= {entry["Key"] for entry in page.get("Contents", [])}
    return found


@pytest.mark.parametrize("body", BODIES)
def test_a_deleted_job_is_gone_with_all_that_it_made(
    service: Service, executions: list[Any], body: dict[str, str]
) -> None:
    bucket = service.ids["DataBucket"]
    job_id = start(service, body, None).body["job_id"]
    kept = start(service, body, None).body["job_id"]
    made = [f"results/{job_id}/predictions.csv", f"results/{job_id}/map/x.json", f"jobs/{job_id}/checkpoint"]
    stays = [f"results/{kept}/predictions.csv"]
    if "segment_id" in body:
        made.append(f"members/{job_id}/attempt/part-00000.parquet")
    if "prefix" in body:
        version = service.s3.head_object(Bucket=bucket, Key="datasets/a/one.csv")
        source = FileSource(bucket, "datasets/a/one.csv", version["VersionId"], version["ETag"].strip('"'), 1)
        file_job = job_id_of(source, job_id)
        process().batch.jobs.record("file", {"type": "all"}, file_job)
        made.append(f"results/{file_job}/predictions.csv")
        stays.append("datasets/a/one.csv")
    for key in (*made, *stays):
        service.s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    upload = service.s3.create_multipart_upload(Bucket=bucket, Key=f"results/{job_id}/errors.csv")
    assert service.call("DELETE", f"/ml/jobs/{job_id}").status == 204
    for method in ("GET", "DELETE"):
        assert_error(service.call(method, f"/ml/jobs/{job_id}"), 404, "JOB_NOT_FOUND")
    assert job_id not in [job["job_id"] for job in service.call("GET", "/ml/jobs").body["jobs"]]
    for _ in range(2):  # a message may come twice
        work_off(service)
    assert keys_below(service, "results/", "jobs/", "datasets/", "members/") & {*made, *stays} == set(stays)
    assert service.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == [], upload["UploadId"]
    assert service.call("GET", f"/ml/jobs/{kept}").status == 200
    if "prefix" in body:
        assert executions[-1]["executionArn"].endswith(job_id)
        with pytest.raises(JobNotFound):
            process().batch.jobs.get(file_job)


def test_whoever_works_on_a_deleted_job_loses_it_and_nobody_begins_it_again(service: Service) -> None:
    job = process().batch.jobs.record("segment", {"type": "churn"})
    leases = process().worker.leases
    assert leases.claim(job.job_id, "owner").outcome == "claimed"
    assert service.call("DELETE", f"/ml/jobs/{job.job_id}").status == 204
    with pytest.raises(LeaseLost):
        leases.beat(job.job_id, "owner")
    with pytest.raises(LeaseLost):
        leases.succeed(job.job_id, "owner")
    assert leases.claim(job.job_id, "another").outcome == "finished"
    assert leases.give_up(job.job_id, "INTERNAL", "It was killed.") == 0
    process().batch.jobs.fail(job.job_id, "DATASET_STOPPED", "It was stopped.")
    assert_error(service.call("GET", f"/ml/jobs/{job.job_id}"), 404, "JOB_NOT_FOUND")


def test_the_file_of_a_deleted_upload_is_not_scored(service: Service) -> None:
    started = start(service, BODIES[0], None).body
    key = started["upload"]["fields"]["key"]
    assert service.call("DELETE", f"/ml/jobs/{started['job_id']}").status == 204
    files = process().files
    source = FileSource(service.ids["DataBucket"], key, "v1", "e1", 10)
    assert files.file_jobs.job_id_for(source) == started["job_id"]
    # Of a worker that noticed the deletion only after what the job had made was removed.
    late = f"results/{started['job_id']}/predictions.csv"
    service.s3.create_multipart_upload(Bucket=service.ids["DataBucket"], Key=late)
    ran = files.files.score(
        FileJobRequest(source, "churn", started["job_id"]), remaining=lambda: 900, on_beat=lambda _: None, is_last=True
    )
    assert (ran.outcome, (ran.summary or {})["code"]) == ("finished", "JOB_NOT_FOUND")
    assert keys_below(service, "results/") == set()
    assert service.s3.list_multipart_uploads(Bucket=service.ids["DataBucket"]).get("Uploads", []) == []


@pytest.mark.parametrize("job_id", ["0" * 32, "nothing", "KEY", "key:" + "0" * 64])
def test_a_job_that_there_is_not_cannot_be_deleted(service: Service, job_id: str) -> None:
    start(service, BODIES[0])
    assert_error(service.call("DELETE", f"/ml/jobs/{job_id}"), 404, "JOB_NOT_FOUND")


def test_the_removal_comes_after_the_next_beat_of_whoever_worked_on_it(service: Service) -> None:
    from loyalty_ml.jobs.heartbeat import BEAT_SECONDS

    assert REMOVAL_SECONDS > 2 * BEAT_SECONDS


@pytest.fixture
def told(service: Service) -> Callable[[], list[Any]]:
    """The events that the account's bus was sent, by a rule with a queue of the test's own."""
    sqs, bus = boto3.client("sqs"), boto3.client("events")
    queue = sqs.create_queue(QueueName=f"told-{uuid.uuid4().hex}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["loyalty.job", "loyalty.models", "loyalty.snapshot"]}
    bus.put_rule(Name="told", EventPattern=json.dumps(pattern))
    bus.put_targets(Rule="told", Targets=[{"Id": "queue", "Arn": arn}])

    def events() -> list[Any]:
        found = []
        while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                event = json.loads(message["Body"])
                found.append((event["source"], event["detail-type"], event["detail"]))
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return found

    return events


def test_the_end_of_each_job_is_an_event(service: Service, told: Callable[[], list[Any]]) -> None:
    new_process()
    request = {"type": "churn", "segment_id": "some"}
    jobs, leases = process().batch.jobs, process().worker.leases
    good, bad, killed, dataset = (jobs.record("segment", request) for _ in range(4))
    for job in (good, bad):
        leases.claim(job.job_id, "owner")
    leases.succeed(good.job_id, "owner")
    leases.fail(bad.job_id, "owner", "INTERNAL", "It failed.", final=False)
    jobs.fail(dataset.job_id, "DATASET_STOPPED", "It was stopped.")
    part = process().batch.file_jobs  # a file of a dataset, which is no job of its own
    file_job = FileJobRequest(FileSource("data", "datasets/a/one.csv", "v", "e", 1), "churn", "f" * 32, "d" * 32)
    part.claim(file_job, "owner")
    part.leases.fail("f" * 32, "owner", "INVALID_FILE", "It is empty.", final=True)
    assert killed.status == "queued"

    def detail(job_id: str, status: str, code: str | None) -> dict[str, Any]:
        return {"job_id": job_id, "kind": "segment", "status": status, "request": request, "code": code}

    assert told() == [
        ("loyalty.job", "Job ended", detail(good.job_id, "succeeded", None)),
        ("loyalty.job", "Job ended", detail(bad.job_id, "failed", "INTERNAL")),
        ("loyalty.job", "Job ended", detail(dataset.job_id, "failed", "DATASET_STOPPED")),
    ]


def published(key: str) -> dict[str, Any]:
    body = {"detail-type": "Object Created", "detail": {"object": {"key": key}}}
    record = {"messageId": "m", "receiptHandle": "r", "body": json.dumps(body), "attributes": {"ApproximateReceiveCount": "1"}}  # fmt: skip  # noqa: E501
    return {"Records": [record]}


def test_a_model_set_and_a_snapshot_that_go_live_are_events(service: Service, told: Callable[[], list[Any]]) -> None:
    worker.handler(published("models/manifest.json"), CONTEXT)
    part = {"key": "snapshots/x/part-00000.parquet", "customers": 2, "size": 1, "sha256": "0" * 64}
    card = {"as_of": "2018-01-02T00:00:00Z", "customers": 2, "features": ["revenue"], "parts": [part]}
    service.s3.put_object(Bucket=service.ids["DataBucket"], Key="snapshots/current.json", Body=json.dumps(card))
    told()
    worker.handler(published("snapshots/current.json"), CONTEXT)
    worker.handler(published("models/manifest.json"), CONTEXT)
    snapshot, models = told()
    assert snapshot[:2] == ("loyalty.snapshot", "Feature snapshot active")
    assert snapshot[2]["customers"] == 2
    assert snapshot[2]["features_as_of"] == "2018-01-02T00:00:00Z"
    assert models[:2] == ("loyalty.models", "Model set active")
    assert models[2]["models"].keys() == {"churn", "nbo"}


def test_an_event_that_cannot_be_sent_fails_nothing(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    def refuse(**_: Any) -> Any:
        return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "ThrottlingException"}]}

    put_in_place(process().batch, events=Events(answering(boto3.client("events"), put_events=refuse)))
    job = process().batch.jobs.record("segment", {})
    process().batch.jobs.fail(job.job_id, "INTERNAL", "It failed.")
    assert service.call("GET", f"/ml/jobs/{job.job_id}").body["status"] == "failed"
    (record,) = [record for record in caplog.records if record.message == "An event was not sent"]
    assert vars(record)["cause"] == "ThrottlingException"


@pytest.mark.parametrize(
    ("status", "waits"),
    [("queued", True), ("running", True), ("awaiting_upload", False), ("failed", False)],
)
def test_a_job_that_goes_on_says_when_to_look_again(service: Service, status: Any, waits: bool) -> None:  # noqa: FBT001
    job = process().batch.jobs.record("file", {}, status=status)
    assert ("Retry-After" in service.call("GET", f"/ml/jobs/{job.job_id}").headers) is waits


def test_a_deletion_that_dynamodb_does_not_do_is_503(service: Service) -> None:
    service.dynamodb.delete_table(TableName=service.ids["JobsTable"])
    with pytest.raises(StoreUnavailable):
        process().batch.jobs.delete("0" * 32)
