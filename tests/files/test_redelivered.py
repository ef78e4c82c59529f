"""Files whose message comes again, as S3, DynamoDB or what they need was not there: done in the end, the same bytes."""

import io
import json
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError
from botocore.httpsession import URLLib3Session
from urllib3 import HTTPHeaderDict, HTTPResponse

from functions.files import app as files_function
from local import events
from local.gateway import LambdaContext
from loyalty_ml.errors import LoyaltyError
from loyalty_ml.files.service import Ran
from loyalty_ml.files.source import FileSource, job_id_of
from loyalty_ml.jobs.heartbeat import Timing
from loyalty_ml.jobs.lease import LEASE_SECONDS
from tests import sample_set
from tests.files.deployed import CUSTOMERS
from tests.files.disturbed import ALL_SAVED, PART_BYTES, Clock, Jobs, ids_only, rows_with_features, score
from tests.files.test_killed import served_stores
from tests.files.writings import FORMATS, as_csv, rows_of
from tests.functions.test_files import NOTHING, Queue, queue  # noqa: F401  a fixture
from tests.segments.test_segments import Deployment, some_customers
from tests.service import Service, new_process
from training.registry import publish

pytestmark = pytest.mark.moto

MOST_DELIVERIES = 500


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("say_versions", [True, False])
def test_two_versions_of_one_key_are_two_jobs(queue: Queue, *, newest_first: bool, say_versions: bool) -> None:  # noqa: F811
    """S3 says in its notification which version it is about; where it does not, as in moto, its ETag does."""
    key = "incoming/rfm/some customers+more.csv"
    publish(queue.service.s3, queue.service.model_bucket, sample_set.FOLDER)
    rows = [row for row in rows_with_features() if row[0]]
    contents = [as_csv(rows[:40]), as_csv(rows[40:60])]
    versions = [queue.put(key, content) for content in contents]
    messages = queue.sqs.receive_message(QueueUrl=queue.url, AttributeNames=["All"], MaxNumberOfMessages=10)["Messages"]
    by_version = {}
    for message in messages:
        event = json.loads(message["Body"])
        described = event["Records"][0]["s3"]["object"]
        version = dict(zip(map(len, contents), versions, strict=True))[described["size"]]
        if say_versions:
            described["versionId"] = version
        by_version[version] = message | {"Body": json.dumps(event)}
    for version in reversed(versions) if newest_first else versions:
        context: Any = LambdaContext("FilesFunction", 900)
        event = events.queue_event([by_version[version]], "FileQueue", "eu-west-1")
        assert files_function.handler(event, context) == {"batchItemFailures": []}
    for version, content in zip(versions, contents, strict=True):
        job_id = job_id_of(FileSource(queue.service.ids["DataBucket"], key, version, "", 0))
        assert queue.service.call("GET", f"/ml/jobs/{job_id}").body["status"] == "succeeded"
        answered = [row["customer_id"] for name in ("predictions", "errors") for row in read_rows(queue, job_id, name)]
        assert sorted(answered) == sorted(row["customer_id"] for row in rows_of(content))


def read_rows(queue: Queue, job_id: str, name: str) -> list[dict[str, str]]:  # noqa: F811
    found = queue.service.s3.get_object(Bucket=queue.service.ids["DataBucket"], Key=f"results/{job_id}/{name}.csv")
    return rows_of(found["Body"].read())


@pytest.mark.parametrize("cause", ["FEATURE_STORE_UNAVAILABLE", "MODEL_UNAVAILABLE"])
def test_a_dead_letter_is_scored_once_its_cause_is_gone(
    queue: Queue,  # noqa: F811
    cause: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ML_MOCK_MODE", "false")
    new_process()
    queue.worker_has()
    deployed = Deployment(queue.service, tmp_path / "warehouse")

    def publish_models() -> None:
        publish(queue.service.s3, queue.service.model_bucket, sample_set.FOLDER)

    def write_customers() -> None:
        deployed.write_customers(some_customers(customers=CUSTOMERS))

    there, missing = (
        (publish_models, write_customers) if cause == "FEATURE_STORE_UNAVAILABLE" else (write_customers, publish_models)
    )
    there()
    key = "incoming/churn/ids.csv"
    version = queue.put(key, ids_only())
    job_id = job_id_of(FileSource(queue.service.ids["DataBucket"], key, version, "", 0))
    assert queue.deliver_all() == files_function.MAX_ATTEMPTS + 1
    failed = queue.service.call("GET", f"/ml/jobs/{job_id}").body
    assert (failed["status"], failed["code"]) == ("failed", cause)
    assert failed["error"]
    assert (queue.left(), queue.left("FileDeadLetterQueue")["waiting"]) == (NOTHING, 1)

    missing()
    new_process()
    queue.redrive()
    assert queue.deliver_all() == 1
    succeeded = queue.service.call("GET", f"/ml/jobs/{job_id}").body
    assert succeeded["status"] == "succeeded"
    assert "error" not in succeeded
    assert (succeeded["summary"]["rows"], queue.left()) == (CUSTOMERS + 1, NOTHING)


Fault = Callable[[Any], AWSResponse | None]


def refused(request: Any) -> AWSResponse:
    """As S3 and DynamoDB refuse what is too much for them."""
    if "X-Amz-Target" in request.headers:
        status, body = 400, b'{"__type": "ProvisionedThroughputExceededException", "message": "Not so fast"}'
    else:
        status, body = 503, b"<Error><Code>SlowDown</Code><Message>Not so fast</Message></Error>"
    raw: Any = HTTPResponse(io.BytesIO(body), preload_content=False)
    headers: Any = HTTPHeaderDict()
    return AWSResponse(request.url, status, headers, raw)


def not_reached(request: Any) -> AWSResponse:
    raise EndpointConnectionError(endpoint_url=request.url)


def answer_lost(request: Any) -> AWSResponse:
    """Done, but nobody hears of it."""
    URLLib3Session().send(request)
    raise ReadTimeoutError(endpoint_url=request.url)


class Faults:
    """Makes so large a share of the calls of S3 and DynamoDB fail, in three ways; `made` counts them."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._draw = random.Random(10)
        self.made = 0

    def afflict(self, client: Any) -> None:
        client.meta.events.register_first("before-send", self._fail)

    def _fail(self, request: Any, **_: Any) -> AWSResponse | None:
        if self._draw.random() >= self._share:
            return None
        self.made += 1
        return self._draw.choice([refused, not_reached, answer_lost])(request)


@pytest.fixture
def served_jobs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, smallest_part: Callable[[int], None]
) -> Iterator[Jobs]:
    """In a server, which a call can fail to reach."""
    smallest_part(PART_BYTES)
    for name in ("MODEL_CACHE", "SNAPSHOT_CACHE", "FILE_WORK"):
        monkeypatch.setenv(name, str(tmp_path / name))
    with served_stores(monkeypatch) as ids:
        service = Service(boto3.client("s3"), boto3.client("dynamodb"), ids)
        publish(service.s3, service.model_bucket, sample_set.FOLDER)
        Deployment(service, tmp_path / "warehouse").write_customers(some_customers(customers=CUSTOMERS))
        new_process()
        yield Jobs(service, tmp_path)
        new_process()


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("share", [0.1, 0.6])
@pytest.mark.parametrize("name", ["customers.csv", "ids.csv", "customers.parquet"])
def test_calls_of_s3_and_dynamodb_that_fail_change_no_byte(served_jobs: Jobs, name: str, share: float) -> None:
    """What stops an attempt for all the clients' retries, the next delivery goes on from."""
    jobs = served_jobs
    written = FORMATS["parquet.snappy" if name.endswith(".parquet") else "csv"]
    content = ids_only() if name == "ids.csv" else written.write(rows_with_features())
    job = jobs.put(f"incoming/all/{name}", content)
    expected = jobs.undisturbed(job)
    faults = Faults(share)

    def deliver(number: int) -> Ran:
        """To a new instance, when the lease is over that the one before may not have been able to give back."""
        clock = Clock(jobs.clock.now + number * (LEASE_SECONDS + 1))
        often = Timing(clock=Clock(), seconds=0.05)
        return score(jobs.worker(clock, faults.afflict, ALL_SAVED, often), job)

    for number in range(MOST_DELIVERIES):
        with suppress(LoyaltyError):
            assert deliver(number).outcome == "finished"
            break
    assert jobs.results(job) == expected
    assert faults.made > 0
    record = jobs.service.dynamodb.get_item(TableName=jobs.service.ids["JobsTable"], Key={"job_id": {"S": job.job_id}})
    assert record["Item"]["status"] == {"S": "succeeded"}
