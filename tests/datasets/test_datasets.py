"""Datasets of many files: through the real state machine in moto, and what moto cannot show in the handler."""

import csv
import io
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.stub import Stubber
from moto.core.config import default_user_config
from werkzeug.serving import make_server
from werkzeug.test import Client
from werkzeug.wrappers import Response

from functions.files import app as files
from functions.segment_worker import app as refresh
from local import state_machines, stores, template
from local.gateway import LambdaContext
from loyalty_ml import errors
from loyalty_ml.datasets import tasks
from loyalty_ml.datasets.members import SegmentDatasets
from loyalty_ml.datasets.start import SEGMENT_COPIES
from loyalty_ml.datasets.tasks import DatasetTasks
from loyalty_ml.files.service import Ran
from loyalty_ml.files.source import FileJobRequest, job_id_of
from loyalty_ml.jobs.contracts import JobSummary
from loyalty_ml.jobs.lease import LEASE_SECONDS, Leases
from loyalty_ml.jobs.record import Job
from loyalty_ml.vocabulary import FileType
from tests import sample_set
from tests.segments.test_segments import Deployment, some_customers
from tests.service import CONTEXT, GOOD, LAPSED, Service, new_process, process, put_in_place
from training import scoring as dataset_scoring
from training.cli.main import main as loyalty
from training.registry import publish

pytestmark = pytest.mark.moto

DESCRIBED = template.load()
DATASET = "d" * 32
ENOUGH_SECONDS = 60
PREFIX = "datasets/november/"


@dataclass
class Scoring:
    """What stands in the place of the scoring of files: each call has the next outcome, the last one for ever."""

    outcomes: list[Any]
    jobs: list[FileJobRequest] = field(default_factory=list)
    told: list[Mapping[str, Any]] = field(default_factory=list)

    def __call__(self, job: FileJobRequest, **told: Any) -> Ran:
        self.jobs.append(job)
        self.told.append(told)
        outcome = self.outcomes[min(len(self.jobs), len(self.outcomes)) - 1]
        if isinstance(outcome, Exception):
            raise outcome
        ran: Ran = outcome(job)
        return ran


def succeeded(rows: int = 3, errors: int = 1) -> Callable[[FileJobRequest], Ran]:
    counts = {"rows": rows, "predictions": rows - errors, "errors": errors}
    return lambda job: Ran("finished", job.job_id, 0, {"job_id": job.job_id, "status": "succeeded", **counts})


def failed(code: str, error: str) -> Callable[[FileJobRequest], Ran]:
    summary = {"status": "failed", "code": code, "error": error}
    return lambda job: Ran("finished", job.job_id, 0, {"job_id": job.job_id, **summary})


def score_files_by(scoring: Scoring) -> None:
    """Puts it in the place of this process's scoring of files."""
    parts = process().files
    vars(parts).pop("dataset_tasks", None)  # made with what was there before
    put_in_place(parts, files=SimpleNamespace(score=scoring))


@pytest.fixture
def scoring() -> Callable[..., Scoring]:
    def put(*outcomes: Any) -> Scoring:
        scoring = Scoring(list(outcomes))
        score_files_by(scoring)
        return scoring

    return put


def put_file(service: Service, key: str, body: bytes = b"customer_id\n1\n") -> dict[str, Any]:
    """Puts an object and gives the item that the map has of it, in Step Functions' own writing."""
    etag = service.s3.put_object(Bucket=service.ids["DataBucket"], Key=key, Body=body)["ETag"]
    return {"Key": key, "Etag": etag, "LastModified": 1_700_000_000, "Size": len(body), "StorageClass": "STANDARD"}


def score(item: Mapping[str, Any], retries: int = 0) -> Any:
    event = {"task": "dataset_file", "job_id": DATASET, "type": "churn", "item": item, "retries": retries}
    return files.handler(event, CONTEXT)


def test_an_item_is_scored_in_the_version_that_was_listed(
    empty_service: Service, scoring: Callable[..., Scoring]
) -> None:
    called = scoring(succeeded(rows=5, errors=2))
    item = put_file(empty_service, "datasets/a/größe + 1.csv")
    put_file(empty_service, "datasets/a/größe + 1.csv", b"customer_id\nanother\n")
    answer = score(item)
    (job,) = called.jobs
    assert job.source.etag == item["Etag"].strip('"')
    assert job.source.size == item["Size"]
    assert (job.type, job.dataset, job.job_id) == ("churn", DATASET, job_id_of(job.source, DATASET))
    assert answer == {
        "status": "succeeded",
        "key": "datasets/a/größe + 1.csv",
        "job_id": job.job_id,
        "rows": 5,
        "predictions": 3,
        "errors": 2,
    }
    assert score(item)["job_id"] == answer["job_id"], "however often it is tried"


def test_an_items_duration_is_a_metric(
    empty_service: Service, scoring: Callable[..., Scoring], capsys: pytest.CaptureFixture[str]
) -> None:
    scoring(succeeded(rows=5, errors=2))
    score(put_file(empty_service, "datasets/a/b.csv"))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (duration,) = [line for line in lines if "_aws" in line]
    assert (duration["task"], duration["outcome"]) == ("dataset_file", "done")


def test_an_item_that_was_deleted_for_good_is_a_failure_of_its_own(
    empty_service: Service, scoring: Callable[..., Scoring]
) -> None:
    called = scoring(succeeded())
    item = put_file(empty_service, "datasets/a/b.csv")
    bucket = empty_service.ids["DataBucket"]
    version = empty_service.s3.head_object(Bucket=bucket, Key="datasets/a/b.csv")["VersionId"]
    empty_service.s3.delete_object(Bucket=bucket, Key="datasets/a/b.csv", VersionId=version)
    answer = score(item)
    assert (answer["status"], answer["code"], called.jobs) == ("failed", "INVALID_FILE", [])
    assert "deleted or replaced" in answer["error"]


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("datasets/a/", "marks a folder"),
        ("datasets/a/_SUCCESS", "begins with _"),
        ("datasets/a/_temporary/0/part-0000.csv", "begins with _"),
        ("datasets/a/.part-0000.csv.crc", "begins with ."),
    ],
)
def test_what_is_known_to_be_no_data_is_skipped_with_a_reason(
    empty_service: Service, scoring: Callable[..., Scoring], key: str, reason: str
) -> None:
    called = scoring(succeeded())
    answer = score(put_file(empty_service, key))
    assert (answer["status"], answer["key"], answer["rows"], called.jobs) == ("skipped", key, 0, [])
    assert reason in answer["error"]


def test_a_file_without_a_prediction_is_failed_and_its_rows_are_counted(
    empty_service: Service, scoring: Callable[..., Scoring]
) -> None:
    counts = {"rows": 3, "predictions": 0, "errors": 3}
    ended = {"status": "failed", "code": "NO_PREDICTIONS", "error": "None of the 3 rows has an answer.", **counts}
    scoring(lambda job: Ran("finished", job.job_id, 0, {"job_id": job.job_id, **ended}))
    answer = score(put_file(empty_service, "datasets/a/b.csv"))
    assert {name: answer[name] for name in ended} == ended


def test_only_a_share_of_a_segments_members_may_be_without_a_prediction(
    empty_service: Service, scoring: Callable[..., Scoring]
) -> None:
    called = scoring(succeeded())
    for key in ("datasets/members/a.parquet", f"{SEGMENT_COPIES}a/b/part-00000.parquet"):
        score(put_file(empty_service, key))
    assert [job.is_share for job in called.jobs] == [False, True]


def test_a_file_that_is_refused_is_an_answer_and_one_that_may_work_later_is_raised(
    empty_service: Service, scoring: Callable[..., Scoring]
) -> None:
    item = put_file(empty_service, "datasets/a/b.csv")
    scoring(failed("INVALID_FILE", "The header has no customer_id: name that column."))
    answer = score(item)
    assert (answer["status"], answer["code"], answer["rows"]) == ("failed", "INVALID_FILE", 0)
    assert answer["error"] == "The header has no customer_id: name that column."
    scoring(errors.StoreUnavailable("results", "S3 is not there."))
    with pytest.raises(errors.StoreUnavailable):
        score(item)


def test_what_is_not_finished_is_said_so_that_the_state_machine_goes_on(
    empty_service: Service, scoring: Callable[..., Scoring]
) -> None:
    item = put_file(empty_service, "datasets/a/b.csv")
    scoring(lambda job: Ran("unfinished", job.job_id), lambda job: Ran("running", job.job_id, lease_left=41.2))
    assert score(item)["status"] == "unfinished"
    running = score(item)
    assert (running["status"], running["wait"]) == ("running", 43)


def test_only_the_last_try_records_a_failure_as_the_files(
    empty_service: Service, scoring: Callable[..., Scoring]
) -> None:
    called = scoring(succeeded())
    item = put_file(empty_service, "datasets/a/b.csv")
    for retries in range(tasks.RETRIES + 1):
        score(item, retries)
    assert [told["is_last"] for told in called.told] == [False] * tasks.RETRIES + [True]


def record_dataset() -> str:
    return process().batch.jobs.record("dataset", {"type": "churn", "prefix": PREFIX}).job_id


@dataclass
class MapRun:
    """A map's results in S3, as Step Functions writes them, and what it says of how many items it had."""

    service: Service
    job_id: str
    children: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def answered(self, key: str, status: str = "succeeded", rows: int = 3, failures: int = 1, **more: Any) -> None:
        counts = {"rows": rows, "predictions": rows - failures, "errors": failures}
        answer = {"status": status, "key": key, "job_id": "f" * 32, **counts, **more}
        self.children.append(("SUCCEEDED", {"Status": "SUCCEEDED", "Output": json.dumps(answer)}))

    def died(self, key: str, status: str = "FAILED", **more: Any) -> None:
        given = json.dumps({"job_id": self.job_id, "type": "churn", "item": {"Key": key}})
        self.children.append(("FAILED", {"Status": status, "Input": given, **more}))

    def summarise(self, items: int | None = None) -> Any:
        bucket = self.service.ids["DataBucket"]
        folder = f"results/{self.job_id}/map/run"
        listed: dict[str, list[Any]] = {"SUCCEEDED": [], "FAILED": [], "PENDING": []}
        for status in ("SUCCEEDED", "FAILED"):
            lines = [json.dumps(child) for kind, child in self.children if kind == status]
            for number, some in enumerate([lines[:2], lines[2:]]):
                key = f"{folder}/{status}_{number}.jsonl"
                self.service.s3.put_object(Bucket=bucket, Key=key, Body="".join(line + "\n" for line in some).encode())
                listed[status].append({"Key": key, "Size": 1})
        manifest = {"DestinationBucket": bucket, "MapRunArn": "arn", "ResultFiles": listed}
        key = f"{folder}/manifest.json"
        self.service.s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(manifest).encode())
        total = len(self.children) if items is None else items
        state_machine: Any = SimpleNamespace(
            list_map_runs=lambda **_: {"mapRuns": [{"mapRunArn": "arn"}]},
            describe_map_run=lambda **_: {"itemCounts": {"total": total}},
        )
        parts = process().files
        tasks = DatasetTasks(parts.files, parts.jobs, parts.data_s3, state_machine, bucket=bucket)
        put_in_place(parts, dataset_tasks=tasks)
        event = {
            "task": "dataset_summary",
            "job_id": self.job_id,
            "type": "churn",
            "prefix": PREFIX,
            "map": {"MapRunArn": "arn", "ResultWriterDetails": {"Bucket": bucket, "Key": key}},
            "execution": "arn",
        }
        return files.handler(event, CONTEXT)


def lines_of(service: Service, key: str) -> list[dict[str, str]]:
    body = service.s3.get_object(Bucket=service.ids["DataBucket"], Key=key)["Body"].read().decode()
    return list(csv.DictReader(io.StringIO(body)))


def test_the_summary_adds_up_and_lists_every_file_with_what_became_of_it(
    empty_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = record_dataset()
    run = MapRun(empty_service, job_id)
    run.answered(f"{PREFIX}1.csv", rows=10, failures=4)
    run.answered(f"{PREFIX}2.csv", rows=7, failures=0)
    run.answered(f"{PREFIX}3.csv", "failed", rows=0, failures=0, code="INVALID_FILE", error='no "id", no rows')
    run.answered(PREFIX, "skipped", rows=0, failures=0, code="INVALID_FILE", error="It marks a folder and is no file.")
    run.died(f"{PREFIX}4.csv", Error="Runtime.OutOfMemory", Cause="a secret")
    run.died(f"{PREFIX}5.csv", "TIMED_OUT")
    summary = run.summarise()
    places = {"summary": f"results/{job_id}/summary.json", "files": f"results/{job_id}/files.csv"}
    assert summary == {
        "job_id": job_id,
        "status": "partly_failed",
        "code": "WORKER_DIED",
        "error": "3 of 6 files could not be scored, 2 of them because of WORKER_DIED. files.csv says why of each: "
        "correct them, and score them as a dataset of their own.",
        "type": "churn",
        "prefix": PREFIX,
        "file_count": 6,
        "succeeded": 2,
        "failed": 3,
        "skipped": 1,
        "rows": 17,
        "predictions": 13,
        "errors": 4,
        "files": places,
    }
    assert summary.keys() <= JobSummary.__annotations__.keys(), "what a client has no type of"
    stored = empty_service.s3.get_object(Bucket=empty_service.ids["DataBucket"], Key=places["summary"])["Body"].read()
    assert json.loads(stored) == summary
    listed = {line["key"]: line for line in lines_of(empty_service, places["files"])}
    assert {key: line["status"] for key, line in listed.items()} == {
        f"{PREFIX}1.csv": "succeeded",
        f"{PREFIX}2.csv": "succeeded",
        f"{PREFIX}3.csv": "failed",
        PREFIX: "skipped",
        f"{PREFIX}4.csv": "failed",
        f"{PREFIX}5.csv": "failed",
    }
    assert listed[f"{PREFIX}1.csv"] | {"code": "", "error": ""} == {
        "key": f"{PREFIX}1.csv",
        "job_id": "f" * 32,
        "status": "succeeded",
        "rows": "10",
        "predictions": "6",
        "errors": "4",
        "code": "",
        "error": "",
    }
    assert listed[f"{PREFIX}3.csv"]["error"] == 'no "id", no rows'
    assert "Runtime.OutOfMemory" in listed[f"{PREFIX}4.csv"]["error"]
    assert "secret" not in listed[f"{PREFIX}4.csv"]["error"]
    assert "TIMED_OUT" in listed[f"{PREFIX}5.csv"]["error"]
    job = process().batch.jobs.get(job_id)
    assert (job.status, job.processed, job.errors, job.summary) == ("partly_failed", 17, 4, summary)
    assert (job.code, job.error) == (summary["code"], summary["error"])
    assert run.summarise() == summary, "a summary that is made again, as after a timeout, is the same"


def test_a_summary_of_fewer_files_than_were_listed_is_none(
    empty_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = MapRun(empty_service, record_dataset())
    run.answered(f"{PREFIX}1.csv")
    with pytest.raises(RuntimeError, match="Of 2 files listed 1 have come back"):
        run.summarise(items=2)
    assert process().batch.jobs.get(run.job_id).status == "queued"


def test_a_summary_whose_rows_do_not_add_up_is_none(empty_service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    run = MapRun(empty_service, record_dataset())
    run.answered(f"{PREFIX}1.csv", rows=10)
    run.answered(f"{PREFIX}2.csv", rows=10, failures=3, predictions=8)
    with pytest.raises(RuntimeError, match="20 rows are not 17 predictions and 4 errors"):
        run.summarise()
    assert process().batch.jobs.get(run.job_id).status == "queued"


def stop(job_id: str, status: str, **more: Any) -> None:
    detail = {"name": job_id, "status": status, "executionArn": f"arn:execution:{job_id}", **more}
    files.handler({"detail-type": "Step Functions Execution Status Change", "detail": detail}, CONTEXT)


def test_an_execution_that_stops_fails_its_job_until_a_redrive_succeeds(
    empty_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = record_dataset()
    stop(job_id, "FAILED", error="States.ExceedToleratedFailureThreshold", cause="a secret")
    job = process().batch.jobs.get(job_id)
    assert (job.status, job.code) == ("failed", "DATASET_STOPPED")
    assert job.error
    assert "States.ExceedToleratedFailureThreshold" in job.error
    assert f"arn:execution:{job_id}" in job.error
    assert "secret" not in job.error
    run = MapRun(empty_service, job_id)
    run.answered(f"{PREFIX}1.csv")
    run.summarise()
    stop(job_id, "ABORTED")
    assert process().batch.jobs.get(job_id).status == "succeeded", "an event that comes late changes nothing"


def test_of_an_aborted_execution_the_job_says_so(empty_service: Service) -> None:
    job_id = record_dataset()
    stop(job_id, "ABORTED")
    error = process().batch.jobs.get(job_id).error
    assert error
    assert "(ABORTED)" in error


@pytest.fixture
def machine(empty_service: Service) -> str:
    """The state machine, which in this moto only records what is started."""
    return state_machines.create(DESCRIBED, empty_service.ids)


def executions(machine: str) -> dict[str, Any]:
    """The input of each execution, by its name."""
    stepfunctions = process().batch.datasets._stepfunctions
    return {
        execution["name"]: json.loads(stepfunctions.describe_execution(executionArn=execution["executionArn"])["input"])
        for execution in stepfunctions.list_executions(stateMachineArn=machine)["executions"]
    }


def test_a_prefix_starts_one_execution_named_after_its_job(empty_service: Service, machine: str) -> None:
    put_file(empty_service, f"{PREFIX}1.csv")
    job = process().batch.datasets.start("nbo", PREFIX)
    started = {job.job_id: {"job_id": job.job_id, "type": "nbo", "prefix": PREFIX}}
    assert (job.kind, job.status, executions(machine)) == ("dataset", "queued", started)
    assert process().batch.jobs.get(job.job_id).status == "running"
    assert process().batch.datasets.is_started(job.job_id)
    assert not process().batch.datasets.is_started("0" * 32)
    process().batch.datasets.execute(job.job_id, "nbo", PREFIX)
    assert executions(machine) == started


@pytest.mark.parametrize(
    ("prefix", "reason"),
    [
        ("datasets/none/", "no key of the data bucket begins with this: upload the files first"),
        ("incoming/churn/", "must begin with datasets/"),
        ("", "must begin with datasets/"),
        (f"datasets/{'x' * 512}", "at most 512"),
    ],
)
def test_a_prefix_without_files_or_elsewhere_starts_nothing(
    empty_service: Service, machine: str, prefix: str, reason: str
) -> None:
    put_file(empty_service, "incoming/churn/a.csv")
    with pytest.raises(errors.InvalidRequest, match=reason):
        process().batch.datasets.start("churn", prefix)
    assert executions(machine) == {}
    assert process().batch.jobs.list(10) == ([], None)


def test_a_state_machine_that_cannot_be_started_fails_the_job(empty_service: Service) -> None:
    put_file(empty_service, f"{PREFIX}1.csv")
    with pytest.raises(errors.StoreUnavailable, match="state machine cannot be started"):
        process().batch.datasets.start("churn", PREFIX)
    ((job,), _) = process().batch.jobs.list(10)
    assert (job.status, job.code) == ("failed", "STORE_UNAVAILABLE")


def test_an_unknown_segment_starts_nothing(empty_service: Service, machine: str) -> None:
    answer = empty_service.call("POST", "/ml/jobs", {"type": "churn", "segment_id": "nobody"})
    assert (answer.status, answer.body["code"]) == (404, "SEGMENT_NOT_FOUND")
    assert process().batch.jobs.list(10) == ([], None)


def test_how_many_files_the_map_had_is_asked_of_step_functions(empty_service: Service) -> None:
    counts = dict.fromkeys(("pending", "running", "succeeded", "failed", "timedOut", "aborted", "resultsWritten"), 0)
    run = {"executionArn": "arn:execution", "mapRunArn": "arn:mapRun", "stateMachineArn": "arn", "startDate": 0}
    described = {
        "mapRunArn": "arn:mapRun",
        "executionArn": "arn:execution",
        "status": "SUCCEEDED",
        "startDate": 0,
        "maxConcurrency": 40,
        "toleratedFailurePercentage": 5.0,
        "toleratedFailureCount": 0,
        "itemCounts": {**counts, "total": 1234},
        "executionCounts": {**counts, "total": 1234},
    }
    with Stubber(process().files.dataset_tasks._stepfunctions) as stub:
        stub.add_response("list_map_runs", {"mapRuns": [run]}, {"executionArn": "arn:execution"})
        stub.add_response("describe_map_run", described, {"mapRunArn": "arn:mapRun"})
        assert process().files.dataset_tasks._listed("arn:execution") == 1234


@pytest.fixture
def deployment(service: Service, tmp_path: Path) -> Deployment:
    deployment = Deployment(service, tmp_path / "work")
    deployment.write_customers(some_customers(customers=250))
    return deployment


def take_up(job: Job, receives: int = 1) -> None:
    """Brings the segments' worker the message that the job has put into its queue, or the one that it would."""
    message = {"task": "segment_dataset", "job_id": job.job_id}
    record = {
        "messageId": "message-1",
        "receiptHandle": "no such receipt",
        "body": json.dumps(message),
        "attributes": {"ApproximateReceiveCount": str(receives)},
    }
    refresh.handler({"Records": [record]}, CONTEXT)


def members_of(deployment: Deployment, prefix: str) -> list[list[str]]:
    """The ids of each file below the prefix."""
    s3, bucket = deployment.service.s3, deployment.service.ids["DataBucket"]
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])]
    return [
        pq.read_table(io.BytesIO(s3.get_object(Bucket=bucket, Key=key)["Body"].read()))["customer_id"].to_pylist()
        for key in sorted(keys)
    ]


def test_a_segments_members_become_files_of_a_dataset_each_member_once(deployment: Deployment, machine: str) -> None:
    worker = process().worker
    small = SegmentDatasets(
        worker.service, worker.datasets, worker.s3, bucket=worker.settings.data_bucket, file_rows=100
    )
    put_in_place(worker, segment_datasets=small)
    deployment.define("everyone", rule={})
    job = process().batch.queued_jobs.start("dataset", "segment_dataset", {"type": "all", "segment_id": "everyone"})
    assert executions(machine) == {}, "nothing is scored before its members are known"
    deployment.work_off_the_queue()
    ((name, given),) = executions(machine).items()
    assert (name, given["job_id"], given["type"]) == (job.job_id, job.job_id, "all")
    assert given["prefix"].startswith(f"members/{job.job_id}/")
    files_of_members = members_of(deployment, given["prefix"])
    assert [len(ids) for ids in files_of_members] == [100, 100, 50]
    assert [customer_id for ids in files_of_members for customer_id in ids] == sorted(deployment.customers)
    assert process().batch.jobs.get(job.job_id).status == "running"
    take_up(job)
    assert list(executions(machine)) == [job.job_id], "a message that comes twice starts nothing twice"
    assert len(members_of(deployment, f"members/{job.job_id}/")) == 3


def test_ids_of_a_list_that_are_no_customers_are_scored_too_and_so_end_as_errors(
    deployment: Deployment, machine: str
) -> None:
    deployment.define("listed", customer_ids=["c-3", "nobody, he said", "c-1", "=1+1"])
    job = process().batch.queued_jobs.start("dataset", "segment_dataset", {"type": "churn", "segment_id": "listed"})
    deployment.work_off_the_queue()
    prefix = executions(machine)[job.job_id]["prefix"]
    assert members_of(deployment, prefix) == [["c-1", "c-3", "=1+1", "nobody, he said"]]


def test_a_segment_whose_membership_is_a_prediction_has_only_its_members_in_the_files(
    deployment: Deployment, machine: str
) -> None:
    deployment.define("leaving", churn_risk="high")
    expected = deployment.predict("leaving").body["total_customers"]
    job = process().batch.queued_jobs.start("dataset", "segment_dataset", {"type": "nbo", "segment_id": "leaving"})
    deployment.work_off_the_queue()
    (ids,) = members_of(deployment, executions(machine)[job.job_id]["prefix"])
    assert 0 < len(ids) == expected < len(deployment.customers)


def test_a_segment_without_members_fails_its_job_with_the_reason(deployment: Deployment, machine: str) -> None:
    deployment.define("nobody", rule={">": [{"var": "revenue"}, 1e18]})
    job = process().batch.queued_jobs.start("dataset", "segment_dataset", {"type": "churn", "segment_id": "nobody"})
    deployment.work_off_the_queue()
    found = process().batch.jobs.get(job.job_id)
    assert (found.status, found.code, executions(machine)) == ("failed", "INVALID_REQUEST", {})
    assert "has no members" in str(found.error)


def test_a_worker_that_dies_between_files_and_start_leaves_nothing_that_the_next_one_scores(
    deployment: Deployment, machine: str
) -> None:
    def die(*_: Any, **__: Any) -> None:
        raise Killed

    deployment.define("everyone", rule={})
    job = process().batch.queued_jobs.start("dataset", "segment_dataset", {"type": "churn", "segment_id": "everyone"})
    worker, dying = process().worker, SimpleNamespace(execute=die)
    bucket = worker.settings.data_bucket
    put_in_place(worker, segment_datasets=SegmentDatasets(worker.service, cast("Any", dying), worker.s3, bucket=bucket))
    with pytest.raises(Killed):
        take_up(job)
    new_process()
    worker = process().worker
    after_the_lease = Leases(worker.dynamodb, worker.settings.jobs_table, clock=lambda: time.time() + LEASE_SECONDS + 1)
    put_in_place(worker, leases=after_the_lease)
    take_up(job, receives=2)
    prefix = executions(machine)[job.job_id]["prefix"]
    assert [len(ids) for ids in members_of(deployment, prefix)] == [250]
    assert len(members_of(deployment, f"members/{job.job_id}/")) == 2


class Killed(BaseException):
    """As when Lambda stops a process: no line of the worker runs any more."""


@dataclass(frozen=True)
class Stack:
    """The service in moto's server, where state machines are run and call the files function of this process."""

    service: Service
    machine: str
    moto: Any

    def put(self, key: str, body: bytes) -> None:
        self.service.s3.put_object(Bucket=self.service.ids["DataBucket"], Key=key, Body=body)

    def end(self, job_id: str) -> Any:
        """Waits for the execution of a job to end, and gives its description."""
        arn = process().batch.datasets.execution_arn(job_id)
        ended = time.monotonic() + ENOUGH_SECONDS
        while time.monotonic() < ended:
            execution = process().batch.datasets._stepfunctions.describe_execution(executionArn=arn)
            if execution["status"] != "RUNNING":
                return execution
            time.sleep(0.1)
        pytest.fail(f"{arn} has not ended after {ENOUGH_SECONDS} s")

    def score(self, prefix: str, prediction_type: FileType = "churn") -> tuple[Job, Any]:
        """A dataset scored to its end: its job, and the execution's output."""
        job = process().batch.datasets.start(prediction_type, prefix)
        execution = self.end(job.job_id)
        assert execution["status"] == "SUCCEEDED", execution
        return process().batch.jobs.get(job.job_id), json.loads(execution["output"])


@pytest.fixture
def own_process(stack: Stack) -> Iterator[None]:
    """What the test puts in place there is gone after it."""
    new_process()
    yield
    new_process()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    moto = stores.start_moto()
    timeout = template.timeout_of(DESCRIBED, state_machines.FUNCTION)
    handler: Any = files.handler
    function = state_machines.Invocations(state_machines.FUNCTION, handler, timeout)
    server = make_server("127.0.0.1", 0, function, threaded=False)
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    work = tmp_path_factory.mktemp("stack")
    with pytest.MonkeyPatch.context() as patched:
        kept = {"MODEL_CACHE": work / "models", "SNAPSHOT_CACHE": work / "snapshots", "FILE_WORK": work / "files"}
        for name, value in {**stores.aws_environment(moto), **kept, "MOTO_PORT": ""}.items():
            patched.setenv(name, str(value))
        ids = stores.create(template.stores(DESCRIBED))
        for name, value in template.environment(DESCRIBED, ids).items():
            patched.setenv(name, value)
        new_process()
        # Afterwards moto runs no state machines for other tests, which would call AWS in the name of a function.
        patched.setitem(default_user_config, "stepfunctions", {**default_user_config["stepfunctions"]})
        state_machines.connect(moto, server.server_port)
        service = Service(boto3.client("s3"), boto3.client("dynamodb"), ids)
        publish(service.s3, service.model_bucket, sample_set.FOLDER)
        yield Stack(service, state_machines.create(DESCRIBED, ids), moto)
        server.shutdown()
        moto.stop()
    new_process()


def csv_of(*rows: Mapping[str, Any]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, ["customer_id", *GOOD])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def parquet_of(*rows: Mapping[str, Any]) -> bytes:
    body = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), body)
    return body.getvalue()


def customer(customer_id: str, features: Mapping[str, float] = GOOD, **more: Any) -> dict[str, Any]:
    return {"customer_id": customer_id, **{name: float(value) for name, value in features.items()}, **more}


def test_a_dataset_is_scored_file_by_file_and_every_one_is_accounted_for(stack: Stack) -> None:
    prefix = f"datasets/{uuid.uuid4().hex}/"
    stack.put(prefix, b"")
    stack.put(f"{prefix}one.csv", csv_of(customer("a"), customer("b", revenue="much"), customer("c", LAPSED)))
    stack.put(f"{prefix}größe + 2.parquet", parquet_of(customer("d"), customer("e", LAPSED)))
    stack.put(f"{prefix}deeper/three.csv", csv_of(customer("f")))
    stack.put(f"{prefix}broken.parquet", b"PAR1 and no more")
    stack.put(f"{prefix}headless.csv", b"name,revenue\nx,1\n")
    stack.put(f"{prefix}customers.xlsx", b"PK")
    stack.put(f"{prefix}_temporary/0/one.csv", csv_of(customer("half")))
    job, summary = stack.score(prefix)
    assert (job.status, job.kind, job.summary) == ("partly_failed", "dataset", summary)
    assert {name: value for name, value in summary.items() if isinstance(value, int)} == {
        "file_count": 8,
        "succeeded": 3,
        "failed": 3,
        "skipped": 2,
        "rows": 6,
        "predictions": 5,
        "errors": 1,
    }
    lines = {line["key"].removeprefix(prefix): line for line in lines_of(stack.service, summary["files"]["files"])}
    assert {key: (line["status"], line["rows"], line["errors"]) for key, line in lines.items()} == {
        "": ("skipped", "0", "0"),
        "one.csv": ("succeeded", "3", "1"),
        "größe + 2.parquet": ("succeeded", "2", "0"),
        "deeper/three.csv": ("succeeded", "1", "0"),
        "broken.parquet": ("failed", "0", "0"),
        "headless.csv": ("failed", "0", "0"),
        "customers.xlsx": ("failed", "0", "0"),
        "_temporary/0/one.csv": ("skipped", "0", "0"),
    }
    assert "customer_id" in lines["headless.csv"]["error"]
    rows = lines_of(stack.service, f"results/{lines['one.csv']['job_id']}/predictions.csv")
    assert [row["customer_id"] for row in rows] == ["a", "c"]


def test_a_dataset_scored_again_is_another_job_with_results_of_its_own(stack: Stack) -> None:
    prefix = f"datasets/{uuid.uuid4().hex}/"
    stack.put(f"{prefix}one.csv", csv_of(customer("a")))
    first, _ = stack.score(prefix)
    second, _ = stack.score(prefix, "rfm")
    jobs = [lines_of(stack.service, f"results/{job.job_id}/files.csv")[0]["job_id"] for job in (first, second)]
    assert first.job_id != second.job_id
    assert jobs[0] != jobs[1]


def test_columns_to_keep_travel_through_the_state_machine(stack: Stack) -> None:
    prefix = f"datasets/{uuid.uuid4().hex}/"
    stack.put(
        f"{prefix}000", b"customer_id,days_since_last,lifetime_transaction_count,lifetime_value,name\na,1,2,3,x\n"
    )
    job = process().batch.datasets.start("rfm", prefix, ("name",))
    assert stack.end(job.job_id)["status"] == "SUCCEEDED"
    (file,) = lines_of(stack.service, f"results/{job.job_id}/files.csv")
    (row,) = lines_of(stack.service, f"results/{file['job_id']}/predictions.csv")
    assert (row["customer_id"], row["name"]) == ("a", "x")
    assert process().batch.jobs.get(job.job_id).request["keep"] == ["name"]


@pytest.mark.usefixtures("own_process")
def test_a_file_that_takes_several_invocations_is_gone_on_with_and_one_that_is_held_is_waited_for(
    stack: Stack,
) -> None:
    prefix = f"datasets/{uuid.uuid4().hex}/"
    stack.put(f"{prefix}one.csv", csv_of(customer("a")))
    called = Scoring(
        [
            lambda job: Ran("unfinished", job.job_id),
            lambda job: Ran("running", job.job_id, lease_left=0.0),
            lambda job: Ran("unfinished", job.job_id),
            succeeded(rows=1, errors=0),
        ]
    )
    score_files_by(called)
    _, summary = stack.score(prefix)
    assert (summary["file_count"], summary["rows"]) == (1, 1)
    assert len(called.jobs) == 4
    assert len({job.job_id for job in called.jobs}) == 1


@pytest.fixture
def between_looks(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[float], None]], None]:
    """What the command that follows a dataset does instead of waiting 2 s: it has no option for this."""
    return partial(monkeypatch.setattr, dataset_scoring, "sleep")


@pytest.fixture
def looks_often(between_looks: Callable[[Callable[[float], None]], None]) -> None:
    between_looks(lambda _: time.sleep(0.1))


@pytest.mark.usefixtures("looks_often")
def test_the_command_follows_a_dataset_to_its_end_and_says_where_the_results_are(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    prefix = f"datasets/{uuid.uuid4().hex}/"
    stack.put(f"{prefix}one.csv", csv_of(customer("a"), customer("", LAPSED)))
    assert loyalty(command(stack, prefix)) == 0
    output = capsys.readouterr().out
    assert "1 files: 1 succeeded, 0 failed, 0 skipped." in output
    assert "2 rows: 1 predictions, 1 errors." in output
    ((job, *_), _) = process().batch.jobs.list(1)
    assert f"s3://{stack.service.ids['DataBucket']}/results/{job.job_id}/files.csv" in output


def test_the_command_says_in_a_sentence_that_there_are_no_files(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    assert loyalty(command(stack, "datasets/none/")) == 1
    assert capsys.readouterr().err.count("no key of the data bucket begins with this: upload the files first") == 1


@pytest.mark.usefixtures("looks_often")
def test_the_command_fails_where_a_file_could_not_be_scored_and_says_where_the_reason_is(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    prefix = f"datasets/{uuid.uuid4().hex}/"
    stack.put(f"{prefix}one.csv", csv_of(customer("a")))
    stack.put(f"{prefix}two.csv", b"no header of ours\n")
    assert loyalty(command(stack, prefix)) == 1
    output, error = capsys.readouterr()
    assert "2 files: 1 succeeded, 1 failed, 0 skipped." in output
    assert error == (
        "loyalty score: 1 of 2 files could not be scored, 1 of them because of INVALID_FILE. files.csv says why of "
        "each: correct them, and score them as a dataset of their own.\n"
    )
    ((job, *_), _) = process().batch.jobs.list(1)
    assert (job.status, job.code) == ("partly_failed", "INVALID_FILE"), "the API says what the command says"


@pytest.mark.usefixtures("looks_often")
def test_the_command_fails_if_nobody_is_answered(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    prefix = f"datasets/{uuid.uuid4().hex}/"
    stack.put(f"{prefix}one.csv", csv_of(customer("a", revenue="much")))
    stack.put(f"{prefix}_SUCCESS", b"")
    assert loyalty(command(stack, prefix)) == 1
    output, error = capsys.readouterr()
    assert "2 files: 0 succeeded, 1 failed, 1 skipped." in output
    assert "1 rows: 0 predictions, 1 errors." in output
    assert error == (
        "loyalty score: Nobody has an answer: of 2 files 0 succeeded, 1 failed, 1 skipped, mostly because of "
        "NO_PREDICTIONS; 1 of 1 rows are errors. files.csv says why of each file: correct them, and score them again.\n"
    )
    ((job, *_), _) = process().batch.jobs.list(1)
    assert (job.status, job.code) == ("failed", "NO_PREDICTIONS")
    assert job.summary is not None


@pytest.mark.parametrize(
    "prefix", ["datasets/_temporary/", "datasets/a/.b", "datasets/_", "members/a/", "datasets/a/../b"]
)
def test_a_prefix_of_no_data_is_refused_by_api_and_command_alike(
    stack: Stack, capsys: pytest.CaptureFixture[str], prefix: str
) -> None:
    stack.put(f"{prefix}part-0.csv", csv_of(customer("a")))
    refused = stack.service.call("POST", "/ml/jobs", {"type": "churn", "prefix": prefix})
    assert (refused.status, refused.body["code"]) == (400, "INVALID_REQUEST")
    (problem,) = refused.body["details"]["fields"]
    assert loyalty(command(stack, prefix)) == 1
    assert problem["problem"].removesuffix(".") in capsys.readouterr().err


def test_a_prefix_of_all_datasets_has_no_copy_of_a_segment(stack: Stack) -> None:
    """The members that a segment's job has copied are scored by that job alone."""
    stack.put(f"{SEGMENT_COPIES}{uuid.uuid4().hex}/a/part-00000.parquet", parquet_of(customer("a")))
    stack.put(f"datasets/{uuid.uuid4().hex}.csv", csv_of(customer("a")))
    _, summary = stack.score("datasets/")
    keys = {line["key"] for line in lines_of(stack.service, summary["files"]["files"])}
    assert keys
    assert {key.partition("/")[0] for key in keys} == {"datasets"}


def test_the_command_says_in_a_sentence_what_aws_does_not_have(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = command(stack, "datasets/november/")
    arguments[2] = "no-such-bucket"
    assert loyalty(arguments) == 1
    assert capsys.readouterr().err == (
        "loyalty score: AWS answered NoSuchBucket to ListObjectsV2 for no-such-bucket, "
        f"{arguments[4]} or the state machine: check the name and your permissions.\n"
    )


@pytest.mark.usefixtures("own_process")
def test_the_command_leaves_the_scoring_to_go_on_when_it_is_stopped(
    stack: Stack, between_looks: Callable[[Callable[[float], None]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    interrupted = threading.Event()

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    def wait(job: FileJobRequest) -> Ran:
        assert interrupted.wait(ENOUGH_SECONDS)
        return succeeded()(job)

    score_files_by(Scoring([wait]))
    prefix = f"datasets/{uuid.uuid4().hex}/"
    stack.put(f"{prefix}one.csv", csv_of(customer("a")))
    between_looks(interrupt)
    assert loyalty(command(stack, prefix)) == 130
    assert "what has been started goes on" in capsys.readouterr().err
    interrupted.set()
    ((job, *_), _) = process().batch.jobs.list(1)
    assert stack.end(job.job_id)["status"] == "SUCCEEDED"


def command(stack: Stack, prefix: str) -> list[str]:
    ids = stack.service.ids
    return [
        "score",
        *("--bucket", ids["DataBucket"]),
        *("--jobs-table", ids["JobsTable"]),
        *("--state-machine", stack.machine),
        *("--prefix", prefix),
    ]


def test_a_function_that_raises_answers_as_lambda_does(capsys: pytest.CaptureFixture[str]) -> None:
    def raising(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        raise ValueError(event["say"])

    client = Client(state_machines.Invocations("F", raising, 1))
    answer = client.post("/2015-03-31/functions/F/invocations", json={"say": "no"})
    assert answer.headers["X-Amz-Function-Error"] == "Unhandled"
    assert answer.json == {"errorMessage": "no", "errorType": "ValueError"}
    assert "ValueError: no" in capsys.readouterr().out
    assert client.post("/2015-03-31/functions/G/invocations", json={}).status_code == 404


class Ended:
    """A function whose instance ends before it answers, so often; then it is there again."""

    def __init__(self, times: int) -> None:
        self.left = times

    def __call__(self, environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"].startswith(state_machines.INVOCATIONS) and self.left:
            self.left -= 1
            return Response("<h1>Bad Gateway</h1>", 502)(environ, start_response)
        return Response('{"status": "done"}', content_type="application/json")(environ, start_response)


def test_an_instance_that_is_killed_is_a_failure_of_lambda_and_each_answer_has_a_request_id() -> None:
    client = Client(state_machines.as_lambda_answers(Ended(1)))
    address = "/2015-03-31/functions/F/invocations"
    killed = client.post(address, json={})
    assert (killed.status_code, killed.headers["x-amzn-ErrorType"]) == (500, "ServiceException")
    assert (killed.get_json() or {})["Message"] == "The instance has ended."
    answered = client.post(address, json={})
    assert answered.get_json() == {"status": "done"}
    assert killed.headers["x-amzn-RequestId"] != answered.headers["x-amzn-RequestId"]
    assert "x-amzn-RequestId" not in client.get("/elsewhere").headers


def test_an_execution_that_did_not_come_to_its_end_is_told_once_and_its_job_has_failed(stack: Stack) -> None:
    """As the template's rule tells the function on AWS."""
    stepfunctions = boto3.client("stepfunctions")
    prefix = f"datasets/{uuid.uuid4().hex}/"
    job = process().batch.jobs.record("dataset", {"type": "churn", "prefix": prefix})
    process().batch.jobs.running(job.job_id)
    # A machine that fails at once, as one whose workers die at each try does in the end.
    definition = {"StartAt": "Fail", "States": {"Fail": {"Type": "Fail", "Error": "WorkersDied"}}}
    machine = stepfunctions.create_state_machine(
        name=f"failing-{uuid.uuid4().hex}",
        definition=json.dumps(definition),
        roleArn="arn:aws:iam::123456789012:role/r",
    )["stateMachineArn"]
    arn = stepfunctions.start_execution(stateMachineArn=machine, name=job.job_id)["executionArn"]
    ended = time.monotonic() + ENOUGH_SECONDS
    while stepfunctions.describe_execution(executionArn=arn)["status"] == "RUNNING" and time.monotonic() < ended:
        time.sleep(0.1)
    told: set[str] = set()
    events: list[Any] = []

    def invoke(event: Any) -> None:
        events.append(event)
        files.handler(event, CONTEXT)

    for _ in range(2):
        state_machines.tell_of_stopped(stepfunctions, machine, invoke, told)
    assert ([event["detail"]["name"] for event in events], told) == ([job.job_id], {arn})
    failed_job = process().batch.jobs.get(job.job_id)
    assert (failed_job.status, failed_job.code) == ("failed", "DATASET_STOPPED")
    assert "WorkersDied" in (failed_job.error or "")


@pytest.mark.long
@pytest.mark.usefixtures("own_process")
def test_a_dataset_whose_worker_was_killed_is_scored_by_the_next(stack: Stack) -> None:
    """moto runs the retry of the definition, which waits for two seconds."""
    moto: Any = stack.moto._server
    served, killed = moto.app, Ended(5)  # boto3 itself asks five times before the state machine hears of it

    def front(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"].startswith(state_machines.INVOCATIONS) and killed.left:
            return state_machines.as_lambda_answers(killed)(environ, start_response)
        return served(environ, start_response)

    prefix = f"datasets/{uuid.uuid4().hex}/"
    stack.put(f"{prefix}one.csv", csv_of(customer("a")))
    moto.app = front
    try:
        job, summary = stack.score(prefix)
    finally:
        moto.app = served
    assert killed.left == 0
    assert (job.status, summary["rows"], summary["failed"]) == ("succeeded", 1, 0)
