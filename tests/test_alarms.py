"""Each alarm of template.yaml stands on a metric that is really written, and the fault that it is for raises it.

What the functions write is read as CloudWatch reads it. What AWS counts itself is counted here from what AWS would have
seen: the answers' statuses, what a handler raised, what moto made a dead letter.
"""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import boto3
import pytest

from functions.files import app as files_function
from functions.segment_worker import app as refresh_function
from local import template
from loyalty_ml import telemetry
from loyalty_ml.models.card import card_key
from loyalty_ml.models.manifest import MANIFEST_KEY
from loyalty_ml.segments.drift import ALARM_PSI
from tests.cloudwatch import ALARMS, AWS_METRICS, RESOURCES, SERVICE, Watched, key_of, metrics_of, resolved
from tests.segments.test_segments import Deployment, some_customers
from tests.service import CONTEXT, DESCRIBED, Service, new_process, process

pytestmark = pytest.mark.moto

ONLY_ON_AWS = {
    "ThrottleAlarm": "nothing here limits concurrent executions",
    "LatencyAlarm": "no gateway measures here",
    "FileAgeAlarm": "moto tells no age of a queue's oldest message",
    "SegmentAgeAlarm": "as above",
    "StatisticsAgeAlarm": "as above",
    "AdminErrorAlarm": "a function behind the API answers each error: its process ends, which Lambda sees alone",
    "PredictErrorAlarm": "as above",
    "BatchErrorAlarm": "as above",
    "SegmentErrorAlarm": "as above",
}


@pytest.fixture
def watched(service: Service, capsys: pytest.CaptureFixture[str]) -> Watched:
    return Watched(capsys)


@pytest.fixture
def deployment(service: Service, tmp_path: Path) -> Deployment:
    return Deployment(service, tmp_path / "work")


def materialize(deployment: Deployment, customers: int = 60, hours_ago: int = 0) -> None:
    """Writes features into both stores; of 60 customers, drift is not told from luck."""
    as_of = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=hours_ago)
    deployment.write_customers(some_customers(customers=customers), as_of)


def message(body: Any, receives: int = 1) -> dict[str, Any]:
    attributes = {"ApproximateReceiveCount": str(receives)}
    record = {"messageId": "m", "receiptHandle": "r", "body": json.dumps(body), "attributes": attributes}
    return {"Records": [{**record, "eventSource": "aws:sqs"}]}


SCHEDULED = {"detail-type": "Scheduled Event"}


def refresh_all() -> None:
    refresh_function.handler(message(SCHEDULED), CONTEXT)
    refresh_function.handler(message({"task": "statistics", "segment_id": None}), CONTEXT)


def raised(function: str, run: Callable[[], object], watched: Watched) -> None:
    """What Lambda counts of a run that raises."""
    with pytest.raises(Exception):  # noqa: B017, PT011  whatever it is
        run()
    watched.aws("AWS/Lambda", "Errors", function)


def break_manifest(service: Service) -> None:
    service.s3.put_object(Bucket=service.model_bucket, Key=MANIFEST_KEY, Body=b"{")
    new_process()


def server_errors(deployment: Deployment, watched: Watched) -> None:
    break_manifest(deployment.service)
    for _ in range(5):
        watched.answered(deployment.service.predict("good").status)


def client_errors(deployment: Deployment, watched: Watched) -> None:
    for _ in range(20):
        watched.answered(deployment.service.predict("nobody").status)


def internal_error(deployment: Deployment, watched: Watched) -> None:
    vars(process().predict)["models"] = None
    assert deployment.service.predict("good").body["code"] == "INTERNAL"


def internal_error_of_a_task(deployment: Deployment, watched: Watched) -> None:
    raised("RefreshFunction", lambda: refresh_function.handler(message({"task": "nothing"}), CONTEXT), watched)


def failing_refresh(deployment: Deployment, watched: Watched) -> None:
    for receives in (1, 2, 3):
        raised(
            "RefreshFunction",
            partial(refresh_function.handler, message({"task": "nothing"}, receives), CONTEXT),
            watched,
        )


def failing_files(deployment: Deployment, watched: Watched) -> None:
    """Of a worker that tells the queue which messages failed, Lambda counts those runs that raise."""
    for _ in range(3):
        raised("FilesFunction", lambda: files_function.handler({"task": "unknown"}, CONTEXT), watched)


def failing_file(deployment: Deployment, watched: Watched) -> None:
    answer = files_function.handler(message({"task": "unknown"}, 3), CONTEXT)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m"}]}


def mock_answer(deployment: Deployment, watched: Watched) -> None:
    patched = process().predict.settings.model_copy(update={"ml_mock_mode": "true"})
    process().predict.settings = patched
    assert deployment.service.predict("good").body["mock"]


def broken_models(deployment: Deployment, watched: Watched) -> None:
    break_manifest(deployment.service)
    deployment.service.predict("good")


def old_features(deployment: Deployment, watched: Watched) -> None:
    materialize(deployment, hours_ago=49)
    refresh_all()


def drifted(deployment: Deployment, watched: Watched) -> None:
    materialize(deployment, 600)
    refresh_all()


def drifted_from_an_own_model(deployment: Deployment, watched: Watched) -> None:
    service = deployment.service
    stored = json.loads(service.s3.get_object(Bucket=service.model_bucket, Key=MANIFEST_KEY)["Body"].read())
    active = stored["models"]["churn"]
    key = card_key("churn", active["version"])
    card = json.loads(service.s3.get_object(Bucket=service.model_bucket, Key=key)["Body"].read())
    text = json.dumps({**card, "placeholder": False}).encode()
    service.s3.put_object(Bucket=service.model_bucket, Key=key, Body=text)
    active["card_sha256"] = sha256(text).hexdigest()
    service.s3.put_object(Bucket=service.model_bucket, Key=MANIFEST_KEY, Body=json.dumps(stored).encode())
    new_process()
    drifted(deployment, watched)


def skewed(deployment: Deployment, watched: Watched) -> None:
    materialize(deployment)
    table = deployment.service.ids["CustomersTable"]
    for customer_id in ("c-1", "c-2"):
        deployment.service.dynamodb.update_item(
            TableName=table,
            Key={"customer_id": {"S": customer_id}},
            UpdateExpression="SET revenue = :revenue",
            ExpressionAttributeValues={":revenue": {"N": "123456.5"}},
        )
    refresh_all()


def lost_customers(deployment: Deployment, watched: Watched) -> None:
    materialize(deployment)
    table = deployment.service.ids["CustomersTable"]
    for customer_id in ("c-1", "c-2"):
        deployment.service.dynamodb.delete_item(TableName=table, Key={"customer_id": {"S": customer_id}})
    refresh_all()


def dead_letter(queue: str, dead: str) -> Callable[[Deployment, Watched], None]:
    def bring_too_often(deployment: Deployment, watched: Watched) -> None:
        sqs: Any = boto3.client("sqs")
        ids = deployment.service.ids
        while sqs.receive_message(QueueUrl=ids[queue], VisibilityTimeout=3600).get("Messages"):
            pass  # those that S3 and the rules have sent
        sqs.send_message(QueueUrl=ids[queue], MessageBody="{}")
        for _ in range(RESOURCES[queue]["Properties"]["RedrivePolicy"]["maxReceiveCount"] + 1):
            sqs.receive_message(QueueUrl=ids[queue], VisibilityTimeout=0)
        name = "ApproximateNumberOfMessages"
        depth = sqs.get_queue_attributes(QueueUrl=ids[dead], AttributeNames=[name])["Attributes"][name]
        watched.aws("AWS/SQS", "ApproximateNumberOfMessagesVisible", dead, float(depth))

    return bring_too_often


def failed_dataset(status: str, metric: str) -> Callable[[Deployment, Watched], None]:
    def end(deployment: Deployment, watched: Watched) -> None:
        job = process().batch.jobs.record("dataset", {"type": "churn", "prefix": "datasets/x/"})
        detail = {"name": job.job_id, "status": status, "executionArn": "arn:x"}
        files_function.handler({"detail-type": "Step Functions Execution Status Change", "detail": detail}, CONTEXT)
        watched.aws("AWS/States", metric, "ScoreDataset")

    return end


def no_refresh(deployment: Deployment, watched: Watched) -> None:
    pass


def unreadable_table(deployment: Deployment, watched: Watched) -> None:
    """It keeps nobody from the statistics."""
    materialize(deployment)
    deployment.service.dynamodb.delete_table(TableName=deployment.service.ids["CustomersTable"])
    refresh_all()


Fault = Callable[[Deployment, Watched], None]
FAULTS: list[tuple[str, Fault, str | None]] = [
    ("ServerErrorAlarm", server_errors, "models"),
    ("ClientErrorAlarm", client_errors, None),
    ("InternalErrorAlarm", internal_error, "internal"),
    ("InternalErrorAlarm", internal_error_of_a_task, "internal"),
    ("RefreshErrorAlarm", failing_refresh, "task"),
    ("FilesErrorAlarm", failing_files, None),
    ("TroubleAlarm", failing_file, "task"),
    ("MockAnswerAlarm", mock_answer, None),
    ("ModelAlarm", broken_models, "models"),
    ("FeatureAgeAlarm", old_features, "features"),
    ("ChurnDriftAlarm", drifted, None),
    ("NboDriftAlarm", drifted, None),
    ("ChurnDriftAlarm", drifted_from_an_own_model, "drift"),
    ("SkewAlarm", skewed, "skew"),
    ("SkewAlarm", lost_customers, "skew"),
    ("TroubleAlarm", unreadable_table, "skew"),
    ("FileDeadLetterAlarm", dead_letter("FileQueue", "FileDeadLetterQueue"), None),
    ("SegmentDeadLetterAlarm", dead_letter("SegmentQueue", "SegmentDeadLetterQueue"), None),
    ("DatasetAlarm", failed_dataset("FAILED", "ExecutionsFailed"), "dataset"),
    ("DatasetAlarm", failed_dataset("TIMED_OUT", "ExecutionsTimedOut"), "dataset"),
    ("RefreshAlarm", no_refresh, None),
]
"""By alarm: a fault that is injected, and what TroubleAlarm's line says of it, if it rings too."""


def test_every_alarm_has_its_fault_or_a_reason_why_only_aws_can_show_it() -> None:
    assert {name for name, _, _ in FAULTS} | ONLY_ON_AWS.keys() == ALARMS.keys()
    assert not {name for name, _, _ in FAULTS} & ONLY_ON_AWS.keys()


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_stands_on_a_metric_that_is_written_under_this_name_and_these_dimensions(name: str) -> None:
    variables = DESCRIBED["Globals"]["Function"]["Environment"]["Variables"]
    for metric in metrics_of(ALARMS[name]):
        dimensions = {each["Name"]: each["Value"] for each in metric["Dimensions"]}
        if metric["Namespace"] in AWS_METRICS:
            dimension, kind, known = AWS_METRICS[metric["Namespace"]]
            assert metric["MetricName"] in known
            assert dimensions.keys() == {dimension}
            assert RESOURCES[resolved(dimensions[dimension])]["Type"] == kind
            continue
        assert metric["Namespace"] == variables["POWERTOOLS_METRICS_NAMESPACE"]
        assert dimensions.pop("service") == variables["POWERTOOLS_SERVICE_NAME"]
        if dimensions:
            assert set(telemetry.METRICS[metric["MetricName"]].dimensions) == dimensions.keys()


@pytest.mark.long
@pytest.mark.parametrize(("name", "fault", "trouble"), FAULTS, ids=[f"{a}-{b.__name__}" for a, b, _ in FAULTS])
def test_the_fault_that_an_alarm_is_for_raises_it(
    deployment: Deployment, watched: Watched, name: str, fault: Fault, trouble: str | None
) -> None:
    watched.clear()
    fault(deployment, watched)
    assert watched.rings(name)
    assert watched.rings("TroubleAlarm") == (trouble is not None), watched.troubles
    assert trouble is None or trouble in watched.troubles


def test_without_a_fault_no_alarm_rings(deployment: Deployment, watched: Watched) -> None:
    materialize(deployment)
    watched.clear()
    refresh_all()
    for _ in range(20):
        watched.answered(deployment.service.predict("c-1").status)
    assert [name for name in ALARMS if name not in ONLY_ON_AWS and watched.rings(name)] == []
    compared = watched.values["LoyaltyML", "ComparedCustomers", frozenset(SERVICE.items())]
    assert compared == [60], "all customers: there are fewer than a sample has"


def test_only_the_alarms_of_the_default_cost_something_and_the_parameter_says_what_the_others_do() -> None:
    prices = {
        condition: sum(
            len(metrics_of(each["Properties"]))
            for each in RESOURCES.values()
            if each["Type"] == "AWS::CloudWatch::Alarm" and each["Condition"] in condition
        )
        for condition in (("HasAlarms",), ("HasAlarms", "HasAllAlarms", "HasMockAlarm"))
    }
    few, every = prices.values()
    said = re.findall(r"for (\d\.\d\d) USD", DESCRIBED["Parameters"]["Alarms"]["Description"])
    assert [float(each) for each in said] == [few / 10, every / 10]
    assert DESCRIBED["Parameters"]["Alarms"]["Default"] == "few"
    assert DESCRIBED["Parameters"]["Dashboard"]["Default"] == "false"


def dashboards_metrics() -> Iterator[list[str]]:
    body = json.loads(RESOURCES["OperationsDashboard"]["Properties"]["DashboardBody"]["Fn::Sub"])
    for widget in body["widgets"]:
        yield from widget["properties"].get("metrics", ())


def test_the_dashboard_shows_metrics_that_there_are_and_each_that_an_alarm_stands_on() -> None:
    shown = set()
    for namespace, name, *rest in dashboards_metrics():
        values = [re.sub(r"\$\{(\w+?)(\.QueueName)?\}", r"\1", value) for value in rest]
        values = [value.replace("${AWS::StackName}", template.STACK) for value in values]
        dimensions = frozenset(zip(values[::2], values[1::2], strict=True))
        shown.add((namespace, name, dimensions))
        if namespace in AWS_METRICS:
            dimension, kind, known = AWS_METRICS[namespace]
            assert name in known
            ((found, resource),) = dimensions
            assert (found, RESOURCES[resource]["Type"]) == (dimension, kind)
        else:
            assert name in telemetry.METRICS or name in telemetry.ROLLED_UP
    assert {key_of(metric) for alarm in ALARMS.values() for metric in metrics_of(alarm)} <= shown


def test_drift_rings_where_the_statistics_say_alarm() -> None:
    for name in ("ChurnDriftAlarm", "NboDriftAlarm"):
        alarm = ALARMS[name]
        assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (ALARM_PSI, "GreaterThanOrEqualToThreshold")
