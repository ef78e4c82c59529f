"""Every function as it was built, under Lambda's own runtime: what it answers, and what Lambda does where it fails."""

import concurrent.futures
import csv
import functools
import io
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import ibis
import orjson
import pyarrow as pa
import pytest

from local import events, stores, template
from local.built.emulator import TIMED_OUT, Emulator, FunctionError, build_folder, emulated, pool
from loyalty_ml.api.http import MAX_ANSWER_BYTES
from loyalty_ml.customers.online_store import FeatureStore
from loyalty_ml.customers.table import DEFAULT_FEATURES, LIFETIME_TRANSACTION_COUNT
from loyalty_ml.scoring import predictions
from loyalty_ml.segments.definition import SegmentDefinition
from loyalty_ml.segments.lists import ListStore
from loyalty_ml.segments.statistics_store import StatisticsStore
from loyalty_ml.segments.store import SegmentStore
from loyalty_ml.vocabulary import PredictionType
from tests import sample_set
from tests.sam import reset_stores
from training.registry import publish
from training.snapshot.materialize import materialize

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.built
BEHIND_AN_ALIAS = [name for name, each in template.functions(template.load()).items() if "IgnoreGlobals" not in each]
"""All functions but the hook of releases, which has no layers."""

ROOT = Path(__file__).parents[3]
EVENTS = ROOT / "events"
BASE = "/api/loyalty/v1"
LAMBDA_SENDS_BYTES = 6 * 1024 * 1024 + 100
MOMENT = datetime(2018, 1, 2, tzinfo=UTC)
CUSTOMERS = 400
HIGH_VALUE = 2500
TYPES: tuple[PredictionType, ...] = ("churn", "nbo", "rfm")


@dataclass(frozen=True)
class Deployed:
    """The stack's stores, in moto, with customers 1 to CUSTOMERS and the sample models, and its functions as built."""

    aws: Mapping[str, str]
    ids: Mapping[str, str]
    build: Path
    s3: "S3Client"
    dynamodb: "DynamoDBClient"
    started: Callable[[str], Emulator]

    def call(self, function: str, event: Mapping[str, Any]) -> tuple[int, Any]:
        """The status and the JSON of what the function of this logical id answers to an HTTP API's event."""
        answer = self.started(function).invoke(event)
        return answer["statusCode"], json.loads(answer["body"])

    def expected(self, prediction_type: PredictionType, customer_ids: list[str]) -> predictions.Predictions:
        """What this process predicts with the code of the checkout."""
        read = FeatureStore(self.dynamodb, self.ids["CustomersTable"]).read
        return predictions.predict(prediction_type, customer_ids, sample_set.model_set(), read, "auto")


def some_customers() -> pa.Table:
    columns = {"customer_id": pa.array([str(number) for number in range(1, CUSTOMERS + 1)], pa.string())}
    for place, name in enumerate((*DEFAULT_FEATURES, LIFETIME_TRANSACTION_COUNT)):
        most = 100 if name == "engagement_score" else 370  # the score's domain ends there
        values = [float((number * (place + 7)) % (most + 1)) for number in range(CUSTOMERS)]
        columns[name] = pa.array(values, pa.float64())
    columns["revenue"] = pa.array([12.5 * number for number in range(CUSTOMERS)], pa.float64())
    return pa.table(columns)


def in_segment() -> int:
    return sum(12.5 * number >= HIGH_VALUE for number in range(CUSTOMERS))


@pytest.fixture(scope="module")
def deployed(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("emulated")
    with ExitStack() as stack, pytest.MonkeyPatch.context() as environment:
        server = stores.start_moto()
        stack.callback(server.stop)
        aws = stores.aws_environment(server)
        reset_stores(aws)
        stack.callback(reset_stores, aws)
        for name, value in aws.items():
            environment.setenv(name, value)
        ids = stores.create(template.stores(template.load()))
        s3, dynamodb = boto3.client("s3"), boto3.client("dynamodb")
        publish(s3, ids["ModelBucket"], sample_set.FOLDER)
        bucket, table = ids["DataBucket"], ids["CustomersTable"]
        work = folder / "work"
        materialize(ibis.memtable(some_customers()), MOMENT, s3, dynamodb, bucket=bucket, table=table, work=work)

        @functools.cache
        def started(function: str) -> Emulator:
            return stack.enter_context(emulated(function, aws, physical_ids=ids, build=build, folder=folder / function))

        yield Deployed(aws, ids, build, s3, dynamodb, started)


def event_of(name: str, body: Any = None) -> dict[str, Any]:
    """An event of events/, with another body where one is given."""
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))
    return event if body is None else event | {"body": json.dumps(body)}


def http_event(route: str, query: Mapping[str, str] | None = None, **variables: str) -> dict[str, Any]:
    """The event of a route without a body, such as "GET /segments/{segment_id}"."""
    method, path = route.split()
    event = event_of("status")
    event["routeKey"] = f"{method} {BASE}{path}"
    event["rawPath"] = BASE + path.format(**variables)
    event["requestContext"]["http"] |= {"method": method, "path": event["rawPath"]}
    return event | {"queryStringParameters": dict(query or {}), "pathParameters": variables}


def as_sent(answer: Any) -> str:
    return orjson.dumps(answer).decode()


@pytest.mark.parametrize("prediction_type", TYPES)
def test_a_prediction_is_to_the_bit_what_the_checkout_predicts(
    deployed: Deployed, prediction_type: PredictionType
) -> None:
    event = event_of("predict", {"customer_id": "17", "type": prediction_type})
    answer = deployed.started("PredictFunction").invoke(event)
    assert answer["statusCode"] == 200
    expected = deployed.expected(prediction_type, ["17"])
    assert answer["body"] == as_sent(predictions.single_answer("17", expected))
    assert not expected.mock


def test_the_events_of_single_predictions_are_answered(deployed: Deployed) -> None:
    predicted = deployed.started("PredictFunction").invoke(event_of("predict"))
    assert predicted["body"] == as_sent(predictions.single_answer("1", deployed.expected("churn", ["1"])))
    both = deployed.started("PredictFunction").invoke(event_of("test-two-form"))
    assert both["body"] == as_sent(predictions.batch_answer(["1", "7"], deployed.expected("nbo", ["1", "7"])))
    assert deployed.call("PredictFunction", event_of("health")) == (200, {"status": "ok"})
    status, loaded = deployed.call("PredictFunction", event_of("status"))
    assert status == 200
    assert {name: model["version"] for name, model in loaded["models"].items() if model["loaded"]} == {
        name: active.version for name, active in sample_set.manifest().models.items()
    }
    assert loaded["features"]["customers"] == CUSTOMERS


@pytest.mark.parametrize("prediction_type", TYPES)
def test_a_batch_of_a_hundred_keeps_its_order_and_names_who_is_unknown(
    deployed: Deployed, prediction_type: PredictionType
) -> None:
    asked = [str(number) for number in range(98, 0, -1)] + ["98", "nobody"]
    event = event_of("batch", {"customer_ids": asked, "type": prediction_type})
    answer = deployed.started("BatchFunction").invoke(event)
    assert answer["body"] == as_sent(predictions.batch_answer(asked, deployed.expected(prediction_type, asked)))
    assert (json.loads(answer["body"])["successful"], json.loads(answer["body"])["failed"]) == (99, 1)


def test_a_segment_is_defined_predicted_and_watched(deployed: Deployed) -> None:
    definition = {"segment_name": "High Value", "rule": {">=": [{"var": "revenue"}, HIGH_VALUE]}}
    defined = event_of("segment-define", definition) | {"pathParameters": {"segment_id": "high-value"}}
    defined["rawPath"] = defined["rawPath"].replace("champions", "high-value")
    status, segment = deployed.call("SegmentFunction", defined)
    assert (status, segment["version"]) == (201, 1)

    status, answer = deployed.call("SegmentFunction", event_of("segment-predict"))
    assert status == 200
    assert answer["total_customers"] == answer["successful"] == in_segment()
    shown = [result["customer_id"] for result in answer["results"]]
    assert len(shown) == 100
    expected = predictions.batch_answer(shown, deployed.expected("churn", shown))
    assert as_sent(answer["results"]) == as_sent(expected["results"])

    stats = http_event("GET /segments/{segment_id}/ml/stats", segment_id="high-value")
    status, measured = deployed.call("SegmentFunction", stats)
    assert (status, measured["member_count"]) == (200, in_segment())
    assert [entry["member_count"] for entry in measured["history"]] == [in_segment()]


def lists_of(deployed: Deployed) -> ListStore:
    return ListStore(deployed.s3, deployed.ids["DataBucket"])


def test_a_message_has_a_segments_statistics_measured(deployed: Deployed) -> None:
    segments = SegmentStore(deployed.dynamodb, deployed.ids["SegmentsTable"], lists_of(deployed))
    segments.put("high-value", SegmentDefinition(segment_name="High Value", rule={">=": [{"var": "revenue"}, 4000]}))
    deployed.started("RefreshFunction").invoke(event_of("sqs-statistics"))
    points = deployed.dynamodb.query(
        TableName=deployed.ids["SegmentStatisticsTable"],
        KeyConditionExpression="segment_id = :segment",
        ExpressionAttributeValues={":segment": {"S": "high-value"}},
    )["Items"]
    counted = [json.loads(point["body"]["S"])["member_count"] for point in points]
    assert sum(12.5 * number >= 4000 for number in range(CUSTOMERS)) in counted


def results_of(deployed: Deployed, summary: Mapping[str, Any], name: str) -> list[dict[str, str]]:
    body = deployed.s3.get_object(Bucket=deployed.ids["DataBucket"], Key=summary["files"][name])["Body"]
    return list(csv.DictReader(io.StringIO(body.read().decode())))


def test_a_file_is_announced_uploaded_scored_and_followed(deployed: Deployed) -> None:
    status, awaited = deployed.call(
        "BatchFunction",
        event_of("batch", {"type": "churn", "format": "csv"})
        | {"routeKey": f"POST {BASE}/ml/jobs", "rawPath": f"{BASE}/ml/jobs"},
    )
    assert (status, awaited["status"]) == (201, "awaiting_upload")
    asked = [str(number) for number in range(1, 301)]
    deployed.s3.put_object(
        Bucket=deployed.ids["DataBucket"],
        Key=awaited["upload"]["fields"]["key"],
        Body="\n".join(["customer_id", *asked, "nobody"]).encode(),
    )
    (source,) = [source for source in template.queue_sources(template.load()) if source.function == "FilesFunction"]
    sqs, files = boto3.client("sqs"), deployed.started("FilesFunction")
    answered: list[Any] = []

    def handler(event: dict[str, Any], _: Any) -> Any:
        answered.append(files.invoke(event))
        return answered[-1]

    while events.deliver(sqs, deployed.ids["FileQueue"], source, handler, wait_seconds=0):
        pass
    assert {"batchItemFailures": []} in answered

    status, job = deployed.call("BatchFunction", http_event("GET /ml/jobs/{job_id}", job_id=awaited["job_id"]))
    assert (status, job["status"]) == (200, "succeeded")
    assert (job["summary"]["rows"], job["summary"]["predictions"], job["summary"]["errors"]) == (301, 300, 1)
    outcomes: list[Any] = [
        result
        for first in range(0, len(asked), 100)
        for result in deployed.expected("churn", asked[first : first + 100]).outcomes.values()
    ]
    assert results_of(deployed, job["summary"], "predictions") == [
        {
            "customer_id": outcome["customer_id"],
            "churn_probability": repr(outcome["churn_probability"]),
            "churn_risk": outcome["churn_risk"],
        }
        for outcome in outcomes
    ]
    assert [(error["line"], error["customer_id"]) for error in results_of(deployed, job["summary"], "errors")] == [
        ("302", "nobody")
    ]
    status, listed = deployed.call("BatchFunction", http_event("GET /ml/jobs", {"limit": "5"}))
    assert awaited["job_id"] in {job["job_id"] for job in listed["jobs"]}


def test_a_bare_notification_of_s3_has_its_file_scored(deployed: Deployed) -> None:
    event = event_of("s3-put")
    described = event["Records"][0]["s3"]
    bucket, key = deployed.ids["DataBucket"], described["object"]["key"]
    put = deployed.s3.put_object(Bucket=bucket, Key=key, Body=b"customer_id\n1\n2\n")
    described["bucket"]["name"] = bucket
    described["object"] |= {"eTag": put["ETag"].strip('"'), "versionId": put["VersionId"], "size": 16}
    assert deployed.started("FilesFunction").invoke(event) is None
    keys = [found["Key"] for found in deployed.s3.list_objects_v2(Bucket=bucket, Prefix="results/")["Contents"]]
    summaries = [
        json.loads(deployed.s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        for key in keys
        if key.endswith("/summary.json")
    ]
    (summary,) = [summary for summary in summaries if summary["rows"] == 2]
    assert [row["customer_id"] for row in results_of(deployed, summary, "predictions")] == ["1", "2"]


def test_a_function_starts_once_and_then_stays_warm(deployed: Deployed, tmp_path: Path) -> None:
    with emulated(
        "PredictFunction", deployed.aws, physical_ids=deployed.ids, build=deployed.build, folder=tmp_path
    ) as cold:
        assert (cold.starts, cold.init_ms) == (0, None)
        first = cold.invoke(event_of("predict"))
        started, process = cold.init_ms, cold.pid
        assert cold.invoke(event_of("predict")) == first
        assert (cold.starts, cold.init_ms, cold.pid) == (1, started, process)
        assert started is not None
        assert started > 0
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


@pytest.mark.parametrize("function", BEHIND_AN_ALIAS)
def test_a_new_version_is_asked_for_the_golden_answers_and_gives_them(deployed: Deployed, function: str) -> None:
    answer = deployed.started(function).invoke({"task": "golden_answers"})
    assert answer["problems"] == []
    assert answer["models"].keys() == {"churn", "nbo"}
    assert all(facts["difference"] <= facts["tolerance"] for facts in answer["models"].values())


@pytest.mark.parametrize("function", BEHIND_AN_ALIAS)
def test_a_functions_process_has_nothing_of_the_checkout(deployed: Deployed, function: str) -> None:
    emulator = deployed.started(function)
    with ExitStack() as ignored:
        if not emulator.starts:
            ignored.enter_context(pytest.raises(FunctionError))
            emulator.invoke({})
    loaded = {
        line.split(maxsplit=5)[5]
        for line in Path(f"/proc/{emulator.pid}/maps").read_text().splitlines()
        if ".so" in line
    }
    numpy = str(deployed.build / "SharedLayer" / "python" / "numpy")
    assert any(path.startswith(numpy) for path in loaded)
    foreign = [
        path
        for path in loaded
        if Path(path).is_relative_to(ROOT)
        and not Path(path).is_relative_to(deployed.build)
        and not Path(path).is_relative_to(ROOT / ".venv-runtime")
    ]
    assert foreign == []
    variables = Path(f"/proc/{emulator.pid}/environ").read_bytes().split(b"\0")
    (path_of_python,) = [value.partition(b"=")[2] for value in variables if value.startswith(b"PYTHONPATH=")]
    for folder in path_of_python.decode().split(os.pathsep):
        assert Path(folder).is_relative_to(deployed.build)


def test_errors_are_answers(deployed: Deployed) -> None:
    status, answer = deployed.call("PredictFunction", event_of("predict") | {"body": "{"})
    assert (status, answer["code"]) == (400, "INVALID_JSON")
    status, answer = deployed.call("PredictFunction", event_of("predict", {"customer_id": "nobody"}))
    assert (status, answer["code"]) == (404, "CUSTOMER_NOT_FOUND")
    status, answer = deployed.call("SegmentFunction", http_event("GET /segments/{segment_id}", segment_id="nobody"))
    assert (status, answer["code"]) == (404, "SEGMENT_NOT_FOUND")
    with pytest.raises(FunctionError, match="does not know the event") as raised:
        deployed.started("FilesFunction").invoke({"Records": []})
    assert raised.value.type == "ValueError"


@pytest.mark.long
def test_a_built_function_behind_an_open_gateway_answers_nobody_without_the_claims(deployed: Deployed) -> None:
    """The gateway's authorizer was taken off the route, or another one hands on another's claims."""
    tokens = {"JWT_ISSUER": "https://issuer.example.com", "JWT_AUDIENCE": "loyalty"}
    event = event_of("predict")
    claims = event["requestContext"]["authorizer"]["jwt"]["claims"] | {"exp": str(time.time() + 3600)}
    with emulated(
        "PredictFunction", {**deployed.aws, **tokens}, physical_ids=deployed.ids, build=deployed.build
    ) as own:
        for changed, status, code in (
            (claims, 200, None),
            (claims | {"scope": "loyalty/read"}, 403, "MISSING_SCOPE"),
            (claims | {"iss": "https://other.example.com"}, 401, "UNAUTHENTICATED"),
            (claims | {"exp": "1"}, 401, "UNAUTHENTICATED"),
            (None, 401, "UNAUTHENTICATED"),
        ):
            context = event["requestContext"] | {"authorizer": {"jwt": {"claims": changed}} if changed else {}}
            answer = own.invoke(event | {"requestContext": context})
            assert (answer["statusCode"], json.loads(answer["body"]).get("code")) == (status, code), changed
        health = own.invoke(event_of("health"))
        assert health["statusCode"] == 200


def test_an_unset_variable_is_named_in_the_log_and_no_other(deployed: Deployed, tmp_path: Path) -> None:
    without = {name: value for name, value in deployed.ids.items() if name != "ModelBucket"}
    with emulated(
        "PredictFunction", deployed.aws, physical_ids=without, build=deployed.build, folder=tmp_path
    ) as emulator:
        answer = emulator.invoke(event_of("predict"))
        assert answer["statusCode"] == 500
        assert json.loads(answer["body"])["code"] == "INTERNAL"
        assert "MODEL_BUCKET" in emulator.log()
        assert "CUSTOMERS_TABLE" not in emulator.log()


def test_a_function_that_runs_out_of_time_is_ended_and_the_next_event_answered(
    deployed: Deployed, tmp_path: Path
) -> None:
    with emulated(
        "PredictFunction",
        deployed.aws,
        physical_ids=deployed.ids,
        build=deployed.build,
        folder=tmp_path,
        timeout_seconds=8,  # a start counts here, as it does not on Lambda
    ) as emulator:
        first = emulator.invoke(event_of("predict"))
        os.kill(emulator.pid, signal.SIGSTOP)
        with pytest.raises(FunctionError, match=r"timed out after 8\.00 seconds") as raised:
            emulator.invoke(event_of("predict"))
        assert raised.value.type == TIMED_OUT
        assert emulator.invoke(event_of("predict")) == first
        assert emulator.starts == 2


def test_a_process_that_dies_fails_its_event_and_the_next_is_answered(deployed: Deployed, tmp_path: Path) -> None:
    with emulated(
        "PredictFunction", deployed.aws, physical_ids=deployed.ids, build=deployed.build, folder=tmp_path
    ) as emulator:
        first = emulator.invoke(event_of("predict"))
        os.kill(emulator.pid, signal.SIGKILL)
        with pytest.raises(FunctionError, match="signal: killed") as raised:
            emulator.invoke(event_of("predict"))
        assert raised.value.type == "Runtime.ExitError"
        assert emulator.invoke(event_of("predict")) == first
        assert emulator.starts == 2


def test_two_hundred_requests_of_eight_threads_each_have_their_own_customers_answer(
    deployed: Deployed, tmp_path: Path
) -> None:
    asked = [(str(number), TYPES[number % 3]) for number in range(1, 201)]
    expected = {
        (customer_id, kind): as_sent(predictions.single_answer(customer_id, deployed.expected(kind, [customer_id])))
        for customer_id, kind in asked
    }
    with (
        pool(
            "PredictFunction", 4, deployed.aws, physical_ids=deployed.ids, build=deployed.build, folder=tmp_path
        ) as emulators,
        concurrent.futures.ThreadPoolExecutor(8) as threads,
    ):

        def ask(customer: tuple[str, PredictionType]) -> Any:
            return emulators.invoke(event_of("predict", {"customer_id": customer[0], "type": customer[1]}))

        answers = list(threads.map(ask, asked))
        assert [answer["statusCode"] for answer in answers] == [200] * 200
        assert [answer["body"] for answer in answers] == [expected[customer] for customer in asked]
        assert [emulator.starts for emulator in emulators.emulators] == [1] * 4


def test_an_instance_takes_one_event_at_a_time_whoever_asks(deployed: Deployed) -> None:
    asked = [str(number) for number in range(1, 25)]
    emulator = deployed.started("PredictFunction")

    def ask(customer_id: str) -> Any:
        return json.loads(emulator.invoke(event_of("predict", {"customer_id": customer_id}))["body"])

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        assert [answer["customer_id"] for answer in threads.map(ask, asked)] == asked
    assert emulator.starts == 1


def test_what_is_not_built_or_not_installed_is_named_with_its_remedy(
    deployed: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The folder of the project is where what is built and installed is looked for.
    monkeypatch.setattr("local.built.emulator.ROOT", tmp_path)
    with pytest.raises(FileNotFoundError, match="run `make build`"):
        build_folder()
    with pytest.raises(FileNotFoundError, match=r"\.venv-sam: run"), emulated("PredictFunction", build=deployed.build):
        pass


def days_of_history(deployed: Deployed, segment_id: str, days: int, offers: int) -> None:
    """Stores what a segment's daily measurements would have left, with a catalogue of so many offers."""
    statistics = deployed.ids["SegmentStatisticsTable"]
    (now,) = StatisticsStore(deployed.dynamodb, statistics, sleep=time.sleep).points(segment_id)
    distribution = {f"Offer {number} of the catalogue": 1 for number in range(offers)}
    stats: Any = {**now.stats, "nbo": {**now.stats["nbo"], "distribution": distribution}}
    requests: list[Any] = []
    for day in range(1, days + 1):
        as_of = MOMENT - timedelta(days=day)
        point = now.model_copy(update={"as_of": as_of, "snapshot": f"{as_of:%Y%m%dT%H%M%SZ}-0", "stats": stats})
        item = {
            "segment_id": {"S": segment_id},
            "point": {"S": f"{point.snapshot}#0"},
            "body": {"S": point.model_dump_json()},
        }
        requests.append({"PutRequest": {"Item": item}})
    for first in range(0, days, 25):
        deployed.dynamodb.batch_write_item(RequestItems={statistics: requests[first : first + 25]})


def test_an_answer_that_lambda_cannot_send_is_the_contracts_error(deployed: Deployed) -> None:
    segments = SegmentStore(deployed.dynamodb, deployed.ids["SegmentsTable"], lists_of(deployed))
    segments.put("watched", SegmentDefinition(segment_name="Watched", rule={}))
    emulator = deployed.started("SegmentFunction")
    route = "GET /segments/{segment_id}/ml/stats"
    assert emulator.invoke(http_event(route, segment_id="watched"))["statusCode"] == 200
    days_of_history(deployed, "watched", 999, offers=200)
    starts = emulator.starts

    status, answer = deployed.call("SegmentFunction", http_event(route, segment_id="watched"))
    assert (status, answer["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert answer["details"]["limit"] == MAX_ANSWER_BYTES < LAMBDA_SENDS_BYTES < answer["details"]["bytes"]
    assert f"{MAX_ANSWER_BYTES:,}" in answer["error"]
    line = json.loads([line for line in emulator.log().splitlines() if line.startswith('{"_aws"')][-1])
    assert (line["status"], line["PAYLOAD_TOO_LARGE"]) == (413, 1)

    per_day = answer["details"]["bytes"] // 1000
    most = MAX_ANSWER_BYTES // per_day - 1
    whole = emulator.invoke(http_event(route, {"history": str(most)}, segment_id="watched"))
    assert whole["statusCode"] == 200
    assert len(json.loads(whole["body"])["history"]) == most
    assert len(json.dumps(whole, ensure_ascii=False).encode()) > MAX_ANSWER_BYTES - 3 * per_day
    assert emulator.starts == starts
