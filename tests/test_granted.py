"""Least privilege, shown: what each function calls, driven through all its ways, is what its role grants.

Every test of the functions over moto holds that no call is refused (tests/granted.py). Here nothing is granted that no
function needs, but for what is listed with its reason.
"""

import gzip
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError

from functions.files import app as files
from functions.segment_worker import app as segment_worker
from local import state_machines
from local.events import queue_event
from loyalty_ml.customers.snapshot import CURRENT_KEY
from loyalty_ml.errors import LoyaltyError
from loyalty_ml.files.source import FileJobRequest, FileSource, job_id_of
from loyalty_ml.models.manifest import MANIFEST_KEY
from loyalty_ml.segments.lists import UPLOADS
from tests import granted, sample_set
from tests.aws import disturb_new_clients
from tests.files.writings import as_parquet, table_of
from tests.segments.test_segments import Deployment, some_customers
from tests.service import CONTEXT, DESCRIBED, Service, new_process, process
from training.registry import publish

pytestmark = pytest.mark.moto

BY_LAMBDA = "Lambda itself does it in the function's name: the log, the traces, the messages of its event source."
EXCEPTIONS = {
    "logs:CreateLogStream": BY_LAMBDA,
    "logs:PutLogEvents": BY_LAMBDA,
    "xray:PutTraceSegments": BY_LAMBDA,
    "xray:PutTelemetryRecords": BY_LAMBDA,
    "sqs:ReceiveMessage": BY_LAMBDA,
    "sqs:DeleteMessage": BY_LAMBDA,
    "sqs:GetQueueAttributes": BY_LAMBDA,
    "dynamodb:Scan": "The functions of before the index need it, while a release replaces them.",
}
"""What is granted and never called by the function's code, by action."""
MANY_IDS = [f"c-{number * 7919}" for number in range(10_000)]
LONG_LIST = [f"c-{number}" for number in range(150_000)]
"""More than a body holds."""
JSON = {"content-type": "application/json"}


class Driven:
    """One deployment whose functions are called in every way that leads to a call of AWS."""

    def __init__(self, service: Service, work: Path) -> None:
        self.service = service
        self.deployed = Deployment(service, work)
        self.bucket = service.ids["DataBucket"]
        self._sqs = boto3.client("sqs")
        self.is_queue_away = False
        disturb_new_clients("before-call.sqs.SendMessage", self._send_or_fail)

    def _send_or_fail(self, **_: Any) -> None:
        if self.is_queue_away:
            raise EndpointConnectionError(endpoint_url="sqs")

    @property
    def recorder(self) -> granted.Recorder:
        recorder = process().recorder
        assert recorder
        return recorder

    def call(self, method: str, path: str, body: Any = None, **event: Any) -> Any:
        answer = self.service.call(method, path, body, **event)
        assert answer.status < 500, answer.body
        return answer.body

    def put(self, key: str, content: bytes) -> dict[str, Any]:
        """Gives the item that a map has of the object."""
        answer = self.service.s3.put_object(Bucket=self.bucket, Key=key, Body=content)
        return {"Key": key, "Etag": answer["ETag"], "Size": len(content)}

    def send(self, queue: str, body: Mapping[str, Any]) -> None:
        self._sqs.send_message(QueueUrl=self.service.ids[queue], MessageBody=json.dumps(body))

    def work_off(self, queue: str, handler: Any) -> None:
        url = self.service.ids[queue]
        while found := self._sqs.receive_message(QueueUrl=url, AttributeNames=["All"]).get("Messages"):
            with suppress(LoyaltyError):  # which leaves a message in the queue
                handler(queue_event(found, queue, "eu-west-1"), CONTEXT)
            self._sqs.delete_message(QueueUrl=url, ReceiptHandle=found[0]["ReceiptHandle"])

    def predict(self) -> None:
        for prediction_type in ("churn", "nbo", "rfm"):
            self.call("POST", "/ml/predict", {"customer_id": "c-1", "type": prediction_type})
        self.call("GET", "/config/ml/status")

    def admin(self) -> None:
        self.service.call("GET", "/openapi.json")
        self.call("GET", "/models")
        self.call("GET", "/models/churn/v2")
        current = self.service.s3.get_object(Bucket=self.bucket, Key=CURRENT_KEY)["Body"].read()
        self.service.s3.delete_object(Bucket=self.bucket, Key=CURRENT_KEY)
        self.call("POST", "/models/rollback", {})
        self.put(CURRENT_KEY, current)
        self.call("POST", "/models/promote", {"versions": {"churn": "v2"}})

    def segments(self) -> None:
        self.call("PUT", "/segments/vip", {"segment_name": "VIP", "rule": {">=": [{"var": "revenue"}, 10]}})
        self.call("PUT", "/segments/listed", {"segment_name": "Listed", "customer_ids": MANY_IDS})
        upload = self.call("POST", "/segments/lists")["upload_id"]
        self.put(f"{UPLOADS}{upload}", gzip.compress("\n".join(MANY_IDS).encode()))
        self.call("PUT", "/segments/sent", {"segment_name": "Sent", "customer_list": upload})
        self.put(f"{UPLOADS}{upload}", gzip.compress("\n".join(LONG_LIST).encode()))
        self.call("PUT", "/segments/long", {"segment_name": "Long", "customer_list": upload})
        assert "list_url" in self.call("GET", "/segments/long")
        for path in ("/segments", "/segments/vip", "/segments/sent", "/segments/vip/ml/stats"):
            self.call("GET", path)
        self.call("POST", "/segments/preview", {"segment_name": "x", "rule": {}})
        self.call("POST", "/segments/listed/ml/predict", {"type": "nbo"})
        slow = {"type": "churn"}
        self.call("POST", "/segments/vip/ml/predict", slow, headers=JSON | {"prefer": "respond-async"})
        self.call("DELETE", "/segments/sent")

    def nothing_published(self) -> None:
        """What is asked of S3 when the manifest or the snapshot is not there; then of a snapshot without models."""
        self.call("POST", "/ml/predict", {"customer_id": "c-1"})
        self.call("POST", "/ml/predict/batch", {"customer_ids": ["c-1"]})
        self.call("GET", "/config/ml/status")
        self.call("GET", "/models")
        self.service.call("POST", "/models/rollback", {})
        for _ in range(2):
            self.service.call("PUT", "/segments/all", {"segment_name": "All", "rule": {}})
            self.service.call("GET", "/segments/all/ml/stats")
            self.put("incoming/churn/early.csv", b"customer_id\nc-1\n")
            self.send("SegmentQueue", {"task": "statistics", "segment_id": None})
            self.work_off("FileQueue", files.handler)
            self.work_off("SegmentQueue", segment_worker.handler)
            self.deployed.write_customers(some_customers(customers=50))
            new_process()

    def lost(self) -> None:
        """A list that is not there: S3 says so to whoever may list it; and a queue that takes nothing."""
        self.call("PUT", "/segments/x", {"segment_name": "x", "customer_list": f"upload-{'0' * 32}"})
        for entry in self.service.s3.list_objects_v2(Bucket=self.bucket, Prefix="segment-lists/listed/")["Contents"]:
            self.service.s3.delete_object(Bucket=self.bucket, Key=entry["Key"])
        new_process()
        self.send("SegmentQueue", {"task": "statistics", "segment_id": "listed"})
        self.work_off("SegmentQueue", segment_worker.handler)
        self.service.call("GET", "/segments/listed/ml/stats")
        self.is_queue_away = True
        self.service.call("POST", "/ml/jobs", {"segment_id": "vip"})
        answer = self.service.call("POST", "/segments/vip/ml/predict", {}, headers=JSON | {"prefer": "respond-async"})
        assert answer.status == 503
        self.is_queue_away = False
        self.call("DELETE", "/segments/vip")

    def jobs(self) -> None:
        self.put("datasets/a/1.csv", b"customer_id\nc-1\n")
        self.call("POST", "/ml/predict/batch", {"customer_ids": ["c-1", "c-2"], "type": "all"})
        sent = self.call("POST", "/ml/jobs", {"format": "csv"}, headers=JSON | {"idempotency-key": "a"})
        for body in ({"prefix": "datasets/a/"}, {"segment_id": "vip"}, {"segment_id": "vip", "format": "csv"}):
            self.call("POST", "/ml/jobs", body)
        self.put(sent["upload"]["fields"]["key"], b"customer_id\nc-1\nc-2\n")
        self.work_off("FileQueue", files.handler)
        self.work_off("SegmentQueue", segment_worker.handler)
        self.work_off("FileQueue", files.handler)
        for job in self.call("GET", "/ml/jobs")["jobs"]:
            assert self.call("GET", f"/ml/jobs/{job['job_id']}")["status"] in ("succeeded", "running", "queued"), job
        for job in self.call("GET", "/ml/jobs")["jobs"]:
            self.call("DELETE", f"/ml/jobs/{job['job_id']}")
        self.work_off("SegmentQueue", segment_worker.handler)

    def files(self) -> None:
        self.put("incoming/all/features.parquet", as_parquet(table_of(["a", "b"])))
        self.put("incoming/churn/refused.csv", b"neither\n1\n")
        self.put("incoming/nowhere/x.csv", b"customer_id\n1\n")
        self.work_off("FileQueue", files.handler)

    def dataset(self, state_machine: Any) -> None:
        """What the state machine asks of the files function: each file, and in the end the summary."""
        job = process().batch.jobs.record("dataset", {"type": "churn", "prefix": "datasets/b/"})
        answers = []
        for key in ("datasets/b/1.csv", "members/b/part-00000.parquet"):
            content = b"customer_id\nc-1\n" if key.endswith("csv") else as_parquet(table_of(["c-1"], {}))
            asked = {"task": "dataset_file", "job_id": job.job_id, "type": "churn", "item": self.put(key, content)}
            answers.append(files.handler(asked | {"retries": 0}, CONTEXT))
        lines = "".join(f"{json.dumps({'Status': 'SUCCEEDED', 'Output': json.dumps(each)})}\n" for each in answers)
        folder = f"results/{job.job_id}/map"
        self.put(f"{folder}/SUCCEEDED_0.jsonl", lines.encode())
        listed = {"SUCCEEDED": [{"Key": f"{folder}/SUCCEEDED_0.jsonl"}], "FAILED": [], "PENDING": []}
        manifest = {"DestinationBucket": self.bucket, "ResultFiles": listed}
        self.put(f"{folder}/manifest.json", json.dumps(manifest).encode())
        asked = {
            "task": "dataset_summary",
            "job_id": job.job_id,
            "type": "churn",
            "prefix": "datasets/b/",
            "map": {"ResultWriterDetails": {"Bucket": self.bucket, "Key": f"{folder}/manifest.json"}},
            "execution": f"{state_machine.replace(':stateMachine:', ':execution:')}:{job.job_id}",
        }
        summary = files.handler(asked, CONTEXT)
        assert summary
        assert summary["file_count"] == 2
        detail = {"name": job.job_id, "status": "ABORTED", "executionArn": asked["execution"]}
        files.handler({"detail-type": "Step Functions Execution Status Change", "detail": detail}, CONTEXT)

    def refresh(self) -> None:
        self.send("SegmentQueue", {"detail-type": "Scheduled Event"})
        for key in (CURRENT_KEY, MANIFEST_KEY):
            self.send("SegmentQueue", {"detail-type": "Object Created", "detail": {"object": {"key": key}}})
        for segment_id in (None, "vip", "listed"):
            self.send("SegmentQueue", {"task": "statistics", "segment_id": segment_id})
        self.work_off("SegmentQueue", segment_worker.handler)

    def at_work_elsewhere(self) -> None:
        """A file and a job of a segment that another worker has: each message is replaced by one that comes later."""
        content = b"customer_id\nc-1\n"
        put = self.service.s3.put_object(Bucket=self.bucket, Key="incoming/churn/held.csv", Body=content)
        etag = put["ETag"].strip('"')
        source = FileSource(self.bucket, "incoming/churn/held.csv", put["VersionId"], etag, len(content))
        process().files.file_jobs.claim(FileJobRequest(source, "churn", job_id_of(source)), "another")
        self.work_off("FileQueue", files.handler)
        job = self.call("POST", "/segments/vip/ml/predict", {}, headers=JSON | {"prefer": "respond-async"})
        process().worker.leases.claim(job["job_id"], "another")
        self.work_off("SegmentQueue", segment_worker.handler)

    def remove(self) -> None:
        """A job that left everything that one can leave."""
        job_id = "ab" * 16
        for kind, request in (
            ("dataset", {"segment_id": "vip"}),
            ("dataset", {"prefix": "datasets/b/"}),
            ("file", {"segment_id": "vip", "key": f"incoming/churn/uploads/{job_id}.csv"}),
        ):
            for key in (f"results/{job_id}/x", f"jobs/{job_id}/x", f"members/{job_id}/0/x"):
                self.put(key, b"x")
            self.put(f"incoming/churn/uploads/{job_id}.csv", b"customer_id\n1\n")
            self.service.s3.create_multipart_upload(Bucket=self.bucket, Key=f"results/{job_id}/y")
            self.send("SegmentQueue", {"task": "remove", "job_id": job_id, "kind": kind, "request": request})
            self.work_off("SegmentQueue", segment_worker.handler)

    def again(self) -> None:
        """A file whose first worker has left an upload that no checkpoint knows."""
        content = b"customer_id\nc-1\n"
        answer = self.service.s3.put_object(Bucket=self.bucket, Key="incoming/churn/again.csv", Body=content)
        etag = answer["ETag"].strip('"')
        source = FileSource(self.bucket, "incoming/churn/again.csv", answer["VersionId"], etag, len(content))
        self.service.s3.create_multipart_upload(Bucket=self.bucket, Key=f"results/{job_id_of(source)}/x")
        self.work_off("FileQueue", files.handler)


@pytest.fixture
def driven(empty_service: Service, other_models: Path, tmp_path: Path) -> Driven:
    """Every function was called in every way."""

    def answer(parsed: Mapping[str, Any]) -> Any:
        return lambda **_: (SimpleNamespace(status_code=200), parsed)

    # moto runs no map: what the state machine's two calls are answered is put in its place.
    map_run = "arn:aws:states:eu-west-1:123456789012:mapRun:loyalty-ml-score-dataset/files:1"
    disturb_new_clients("before-call.sfn.ListMapRuns", answer({"mapRuns": [{"mapRunArn": map_run}]}))
    disturb_new_clients("before-call.sfn.DescribeMapRun", answer({"itemCounts": {"total": 2}}))
    machine = state_machines.create(DESCRIBED, empty_service.ids)
    driven = Driven(empty_service, tmp_path / "work")
    driven.nothing_published()
    publish(empty_service.s3, empty_service.model_bucket, sample_set.FOLDER)
    publish(empty_service.s3, empty_service.model_bucket, other_models)
    new_process()
    driven.predict()
    driven.admin()
    driven.segments()
    driven.jobs()
    driven.files()
    driven.again()
    driven.dataset(machine)
    driven.refresh()
    driven.at_work_elsewhere()
    driven.remove()
    driven.lost()
    # What was put while the bucket had no versions, as one that was imported may have it, is read without one.
    suspended: Any = {"Status": "Suspended"}
    empty_service.s3.put_bucket_versioning(Bucket=driven.bucket, VersioningConfiguration=suspended)
    driven.files()
    driven.dataset(machine)
    return driven


@pytest.mark.long
def test_each_function_is_granted_what_it_calls_and_nothing_besides(driven: Driven) -> None:
    recorder = driven.recorder
    print(recorder.table())  # noqa: T201  shown with -s: what a review of the roles asks for
    assert recorder.refused() == []
    unused = [
        f"{function}: {grant}"
        for function in recorder.grants
        for grant in sorted(recorder.unused(function), key=str)
        if grant.action not in EXCEPTIONS
    ]
    assert not unused, "\n".join(["granted, and needed by nothing that the function did:", *unused])
    for action in EXCEPTIONS:
        granted_to = [name for name, grants in recorder.grants.items() if any(each.action == action for each in grants)]
        assert granted_to, f"{action} is granted to nobody: it is no exception any more"
        called = [name for name, calls in recorder.calls.items() if any(call.action == action for call in calls)]
        assert not called, f"{action} is called: it is no exception any more"


def test_a_call_is_allowed_by_its_own_grant_alone() -> None:
    """The recorder itself: an action, a resource or a prefix too few is a call that is refused."""
    grant = granted.Grant("s3:ListBucket", "arn:aws:s3:::data", "jobs/*", is_optional=False)
    assert grant.allows(granted.Call("s3:ListBucket", "arn:aws:s3:::data", "jobs/1"))
    assert not grant.allows(granted.Call("s3:ListBucket", "arn:aws:s3:::data", "results/1"))
    assert not grant.allows(granted.Call("s3:ListBucket", "arn:aws:s3:::data"))
    assert not grant.allows(granted.Call("s3:ListBucketVersions", "arn:aws:s3:::data", "jobs/1"))
    assert not grant.allows(granted.Call("s3:ListBucket", "arn:aws:s3:::data-2", "jobs/1"))
    optional = grant._replace(is_optional=True)
    assert optional.allows(granted.Call("s3:ListBucket", "arn:aws:s3:::data"))
    assert not optional.allows(granted.Call("s3:ListBucket", "arn:aws:s3:::data", "results/1"))
