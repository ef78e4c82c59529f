"""A segment's members, or the best of them, as one file that is scored like any other: exact and once."""

import json
from pathlib import Path
from typing import Any

import pytest

from functions.files import app as files
from functions.segment_worker import app as worker_function
from local.gateway import LambdaContext
from loyalty_ml.datasets.members import SegmentDatasets
from loyalty_ml.errors import StoreUnavailable
from loyalty_ml.jobs.record import Job
from tests.files.writings import read_results, rows_of
from tests.segments.test_segments import HIGH_VALUE, Deployment, some_customers
from tests.service import CONTEXT, Answer, Service, new_process, process

pytestmark = pytest.mark.moto

ODD_IDS = ["=1+1", 'say "hi"', "a,b;c", "line\nbreak", " padded ", "007", "1e5", "שלום", "\U0001f600", "NULL", "null"]


@pytest.fixture
def deployment(service: Service, tmp_path: Path) -> Deployment:
    deployment = Deployment(service, tmp_path / "work")
    customers = some_customers(customers=150)
    whole = customers["c-3"]
    deployment.write_customers({**customers, **dict.fromkeys(ODD_IDS, whole)})
    return deployment


def start(deployment: Deployment, **request: Any) -> Answer:
    return deployment.service.call("POST", "/ml/jobs", request)


def job(answer: Answer) -> Job:
    assert answer.status == 202, answer.body
    return process().batch.jobs.get(answer.body["job_id"])


def notify(deployment: Deployment, key: str) -> None:
    """What S3 tells the files function of an object that has come."""
    bucket = deployment.service.ids["DataBucket"]
    found = deployment.service.s3.head_object(Bucket=bucket, Key=key)
    described = {
        "key": key,
        "eTag": found["ETag"].strip('"'),
        "size": found["ContentLength"],
        "versionId": found.get("VersionId", "null"),
    }
    record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put"}
    context: Any = LambdaContext("files", 900)
    files.handler({"Records": [{**record, "s3": {"bucket": {"name": bucket}, "object": described}}]}, context)


def scored(deployment: Deployment, started: Job) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """The rows of predictions and errors that the job has come to."""
    deployment.work_off_the_queue()
    assert process().batch.jobs.get(started.job_id).status == "queued"
    notify(deployment, started.request["key"])
    done = process().batch.jobs.get(started.job_id)
    assert done.status == "succeeded", done.error
    assert done.summary is not None
    keys = done.summary["files"]

    def read(key: str) -> bytes:
        bucket = deployment.service.ids["DataBucket"]
        return deployment.service.s3.get_object(Bucket=bucket, Key=key)["Body"].read()

    return read_results(keys["predictions"], read(keys["predictions"])), rows_of(read(keys["errors"]))


@pytest.mark.parametrize("extension", ["csv", "csv.gz", "csv.zst", "jsonl", "jsonl.gz", "jsonl.zst", "parquet"])
def test_all_members_become_one_file_whatever_their_ids_are(deployment: Deployment, extension: str) -> None:
    deployment.define("everyone", rule={})
    started = job(start(deployment, type="churn", segment_id="everyone", format=extension))
    assert (started.kind, started.request["segment_id"]) == ("file", "everyone")
    predictions, errors = scored(deployment, started)
    answer = deployment.predict("everyone").body
    assert (len(predictions), len(errors)) == (answer["successful"], answer["failed"])
    found = {row["customer_id"]: float(row["churn_probability"]) for row in predictions}
    assert found.keys() >= {written(customer_id, extension) for customer_id in ODD_IDS}
    for shown in answer["results"]:
        assert found[written(shown["customer_id"], extension)] == shown["result"]["churn_probability"]


def written(customer_id: str, extension: str) -> str:
    """As results have it: in CSV, a text that a spreadsheet would calculate has a ' before it."""
    return f"'{customer_id}" if "csv" in extension and customer_id.startswith("=") else customer_id


@pytest.mark.parametrize(
    ("ranking", "prediction_type"),
    [
        ({"top": 40}, "churn"),
        ({"top": 40, "include": "lapsed"}, "churn"),
        ({"top": 40, "offer": "6"}, "nbo"),
        ({"top": 1}, "churn"),
        ({"top": 1_000_000}, "churn"),
    ],
)
def test_the_best_members_are_those_that_top_shows_in_its_order(
    deployment: Deployment, ranking: dict[str, Any], prediction_type: str
) -> None:
    deployment.define("high-value", rule=HIGH_VALUE)
    started = job(start(deployment, type="all", segment_id="high-value", format="csv", **ranking))
    predictions, errors = scored(deployment, started)
    shown = deployment.predict("high-value", prediction_type, **{**ranking, "top": min(1000, ranking["top"])}).body
    assert [row["customer_id"] for row in predictions] == [entry["customer_id"] for entry in shown["results"]]
    assert errors == []


def test_the_best_members_can_be_a_dataset_too(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    deployment.define("high-value", rule=HIGH_VALUE)
    started = job(start(deployment, type="nbo", segment_id="high-value", top=12, offer="6"))
    assert (started.kind, started.request) == (
        "dataset", {"type": "nbo", "segment_id": "high-value", "top": 12, "offer": "6"},
    )  # fmt: skip
    begun: list[str] = []
    parts = process().worker
    monkeypatch.setattr(parts.datasets, "execute", lambda _job_id, _type, prefix, **_: begun.append(prefix))
    monkeypatch.setattr(parts.datasets, "is_started", lambda _job_id: False)
    deployment.work_off_the_queue()
    bucket = deployment.service.ids["DataBucket"]
    (found,) = deployment.service.s3.list_objects_v2(Bucket=bucket, Prefix=begun[0])["Contents"]
    content = deployment.service.s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read()
    shown = deployment.predict("high-value", "nbo", top=12, offer="6").body["results"]
    assert [row["customer_id"] for row in read_results(found["Key"], content)] == [
        entry["customer_id"] for entry in shown
    ]


def test_ids_of_a_list_that_are_no_customers_end_as_errors(deployment: Deployment) -> None:
    deployment.define("listed", customer_ids=["c-3", "nobody, he said", "c-1"])
    predictions, errors = scored(deployment, job(start(deployment, segment_id="listed", format="csv")))
    assert {row["customer_id"] for row in predictions} == {"c-1", "c-3"}
    assert [(row["customer_id"], row["code"]) for row in errors] == [("nobody, he said", "CUSTOMER_NOT_FOUND")]


def test_a_segment_without_members_fails_its_job_with_the_reason(deployment: Deployment) -> None:
    deployment.define("nobody", rule={">": [{"var": "revenue"}, 1e18]})
    for ranking in ({}, {"top": 5}):
        started = job(start(deployment, segment_id="nobody", format="csv", **ranking))
        deployment.work_off_the_queue()
        found = process().batch.jobs.get(started.job_id)
        assert (found.status, found.code) == ("failed", "INVALID_REQUEST")
        assert "the segment has no members" in str(found.error)


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"format": "csv", "top": 5}, "top works only with segment_id"),
        ({"prefix": "datasets/a/", "top": 5}, "top works only with segment_id"),
        ({"segment_id": "high-value", "offer": "6"}, "only with top"),
        ({"segment_id": "high-value", "include": "lapsed"}, "only with top"),
        ({"segment_id": "high-value", "top": 5, "offer": "6", "include": "lapsed"}, "only without offer"),
        ({"segment_id": "high-value", "top": 0}, "must be 1 or more"),
        ({"segment_id": "high-value", "top": 1_000_001}, "must be 1,000,000 or less"),
        ({"segment_id": "high-value", "top": "5"}, "a whole number"),
        ({"segment_id": "high-value", "top": 5, "offer": "99"}, "there is no offer 99"),
        ({"segment_id": "high-value", "format": "csv", "prefix": "datasets/a/"}, "exactly one of"),
    ],
)
def test_a_request_that_cannot_be_meant_is_refused(
    deployment: Deployment, request_: dict[str, Any], sentence: str
) -> None:
    deployment.define("high-value", rule=HIGH_VALUE)
    answer = start(deployment, **request_)
    assert (answer.status, answer.body["code"]) == (400, "INVALID_REQUEST")
    assert sentence in answer.body["error"]
    assert process().batch.jobs.list(10) == ([], None)


def take_up(started: Job, receives: int = 1) -> None:
    """Brings the segments' worker the message of the job."""
    record = {
        "messageId": "message-1",
        "receiptHandle": "no such receipt",
        "body": json.dumps({"task": "segment_file", "job_id": started.job_id}),
        "attributes": {"ApproximateReceiveCount": str(receives)},
    }
    worker_function.handler({"Records": [record]}, CONTEXT)


class Killed(BaseException):
    """As when Lambda stops a process: no line of the worker runs any more."""


@pytest.mark.parametrize("dies", ["before", "after"])
def test_a_worker_that_dies_at_the_file_leaves_one_file_and_one_job(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, dies: str
) -> None:
    put = SegmentDatasets.put_file

    def die(self: SegmentDatasets, *arguments: Any) -> None:
        if dies == "after":
            put(self, *arguments)
        raise Killed

    deployment.define("everyone", rule={})
    started = job(start(deployment, segment_id="everyone", format="csv", top=9))
    with monkeypatch.context() as patch:
        patch.setattr(SegmentDatasets, "put_file", die)
        with pytest.raises(Killed):
            take_up(started)
    new_process()
    take_up(started, receives=2)
    take_up(started, receives=3)
    key = started.request["key"]
    bucket = deployment.service.ids["DataBucket"]
    versions = deployment.service.s3.list_object_versions(Bucket=bucket, Prefix=key)["Versions"]
    assert len(versions) == 1
    notify(deployment, key)
    done = process().batch.jobs.get(started.job_id)
    assert (done.status, done.processed) == ("succeeded", 9)


def test_a_bucket_that_refuses_the_file_fails_the_job_until_it_comes_again(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise StoreUnavailable("results", "The bucket is away.")

    deployment.define("everyone", rule={})
    started = job(start(deployment, segment_id="everyone", format="csv"))
    with monkeypatch.context() as patch:
        patch.setattr(SegmentDatasets, "put_file", refuse)
        for receives in (1, 2, 3):
            with pytest.raises(StoreUnavailable):
                take_up(started, receives)
            found = process().batch.jobs.get(started.job_id)
            assert (found.status, found.code) == ("failed", "STORE_UNAVAILABLE")
    take_up(started)
    notify(deployment, started.request["key"])
    assert process().batch.jobs.get(started.job_id).status == "succeeded"
