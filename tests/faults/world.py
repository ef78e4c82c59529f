"""A deployment of which every call of AWS goes through a transport with faults."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from functions.files import app as files_function
from loyalty_ml.api.http import entrypoint
from tests.faults.transport import Fault, Faults
from tests.service import CONTEXT, Answer, Service, new_process, process

CUSTOMERS = 120
IDS = [f"c-{number}" for number in range(10)]
LISTED = [*(f"c-{number}" for number in range(100)), "nobody"]
PATIENT, HURRIED = 60.0, 1.0
"""Budgets of a request: enough on any machine, and one whose end is soon waited for."""
MACHINE = "loyalty-ml-score-dataset"


@dataclass
class World:
    """A deployment whose every call of AWS goes through a transport with faults."""

    service: Service
    faults: Faults
    folder: Path
    instances: int = 0

    def new_instance(self) -> None:
        """Of all functions: it has kept nothing."""
        self.instances += 1
        for name in ("MODEL_CACHE", "SNAPSHOT_CACHE", "FILE_WORK"):
            os.environ[name] = str(self.folder / f"instance-{self.instances}" / name)
        new_process()
        self.wait(PATIENT)

    def wait(self, seconds: float) -> None:
        """From now on a request has so many seconds for its stores."""
        for name, app in process().apps().items():
            process().handlers[name] = entrypoint(app, seconds)

    @contextmanager
    def lasting(self, service: str, fault: Fault) -> Iterator[None]:
        """A fault that lasts longer than a request."""
        self.wait(HURRIED)
        with self.faults.of(service, fault):
            yield
        self.wait(PATIENT)

    def batch(self) -> Answer:
        return self.service.predict_batch(IDS)

    def segment(self) -> Answer:
        return self.service.call("POST", "/segments/everyone/ml/predict", {"type": "churn"})

    def start_job(self, **request: Any) -> Answer:
        return self.service.call("POST", "/ml/jobs", request)

    def score_file(self) -> tuple[str, dict[str, bytes]]:
        """Brings the files function the notification of a file; its job's status, and its results by name."""
        bucket, key = self.service.ids["DataBucket"], "incoming/churn/ids.csv"
        found = self.service.s3.head_object(Bucket=bucket, Key=key)
        named = {"eTag": found["ETag"].strip('"'), "size": found["ContentLength"], "versionId": found["VersionId"]}
        record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put"}
        described = {"bucket": {"name": bucket}, "object": {"key": key, **named}}
        context: Any = CONTEXT
        files_function.handler({"Records": [{**record, "s3": described}]}, context)
        (job,) = [each for each in self.service.call("GET", "/ml/jobs").body["jobs"] if each["kind"] == "file"]
        data = boto3.resource("s3").Bucket(bucket)
        found_results = data.objects.filter(Prefix=f"results/{job['job_id']}/")
        results = {each.key.rpartition("/")[2]: each.get()["Body"].read() for each in found_results}
        data.object_versions.filter(Prefix="results/").delete()
        data.object_versions.filter(Prefix="jobs/").delete()
        jobs = boto3.resource("dynamodb").Table(self.service.ids["JobsTable"])
        jobs.delete_item(Key={"job_id": job["job_id"]})
        return job["status"], results


def seen(answer: Answer) -> str:
    if answer.status < 400:
        return str(answer.status)
    store = (answer.body.get("details") or {}).get("store")
    return f"{answer.status} {answer.body['code']}" + (f" ({store})" if store else "")


def adds_up(answer: Answer) -> bool:
    body = answer.body
    total = body.get("total", body.get("total_customers"))
    return bool(total == body["successful"] + body["failed"])
