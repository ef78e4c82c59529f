"""What CloudWatch would make of what the functions write and of what AWS counts, by the alarms of template.yaml."""

import json
import operator
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from local import template
from tests.service import DESCRIBED

RESOURCES = DESCRIBED["Resources"]
ALARMS = {name: each["Properties"] for name, each in RESOURCES.items() if each["Type"] == "AWS::CloudWatch::Alarm"}
SERVICE = {"service": template.STACK}

AWS_METRICS = {
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html
    "AWS/ApiGateway": ("ApiId", "AWS::Serverless::HttpApi", {"4xx", "5xx", "Count", "Latency", "IntegrationLatency"}),
    # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    "AWS/Lambda": ("FunctionName", "AWS::Serverless::Function", {"Errors", "Throttles", "ConcurrentExecutions"}),
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
    "AWS/SQS": (
        "QueueName",
        "AWS::SQS::Queue",
        {"ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible"},
    ),
    # https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html
    "AWS/States": (
        "StateMachineArn",
        "AWS::Serverless::StateMachine",
        {"ExecutionsSucceeded", "ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"},
    ),
}
"""AWS's metrics as its documentation names them: by namespace the dimension, whose name that is, and the metrics."""

COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
}
Key = tuple[str, str, frozenset[tuple[str, str]]]
"""A metric as CloudWatch knows it: namespace, name, dimensions."""


def metrics_of(alarm: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [each["MetricStat"]["Metric"] for each in alarm.get("Metrics", ()) if "MetricStat" in each] or [alarm]


def resolved(value: Any) -> str:
    match value:
        case {"Ref": "AWS::StackName"}:
            return template.STACK
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), "QueueName"]} | {"Fn::GetAtt": str(name)}:
            return name.partition(".")[0]
    return str(value)


def key_of(metric: Mapping[str, Any]) -> Key:
    dimensions = frozenset((each["Name"], resolved(each["Value"])) for each in metric["Dimensions"])
    return metric["Namespace"], metric["MetricName"], dimensions


@dataclass
class Watched:
    """What CloudWatch would have: the values of each metric, of the time since `clear`."""

    capsys: pytest.CaptureFixture[str]
    values: dict[Key, list[float]] = field(default_factory=lambda: defaultdict(list))
    troubles: list[str] = field(default_factory=list)

    def clear(self) -> None:
        self.capsys.readouterr()
        self.values.clear()
        self.troubles.clear()

    def aws(self, namespace: str, name: str, resource: str, value: float = 1) -> None:
        dimension = AWS_METRICS[namespace][0]
        self.values[namespace, name, frozenset([(dimension, resource)])].append(value)

    def answered(self, status: int) -> None:
        """What the gateway counts of an answer."""
        self.aws("AWS/ApiGateway", "Count", "Api")
        for kind in ("4xx", "5xx"):
            self.aws("AWS/ApiGateway", kind, "Api", float(f"{status}"[0] == kind[0]))

    def read(self) -> None:
        """Takes in what the functions have written."""
        for line in self.capsys.readouterr().out.splitlines():
            written = json.loads(line)
            if "trouble" in written:
                self.troubles.append(written["trouble"])
            for directive in written.get("_aws", {}).get("CloudWatchMetrics", ()):
                for names in directive["Dimensions"]:
                    dimensions = frozenset((name, written[name]) for name in names)
                    for metric in directive["Metrics"]:
                        self.values[directive["Namespace"], metric["Name"], dimensions].append(written[metric["Name"]])

    def rings(self, name: str) -> bool:
        """Whether the alarm's bar is crossed by what came within one of its periods."""
        self.read()
        alarm = ALARMS[name]
        if "Metrics" in alarm:
            sums = [sum(self.values[key_of(metric)]) for metric in metrics_of(alarm)]
            expression = next(each["Expression"] for each in alarm["Metrics"] if "Expression" in each)
            value = sum(sums)
            if expression != "SUM(METRICS())":
                assert expression == "IF(m2 >= 20, 100 * m1 / m2, 0)"
                value = 100 * sums[0] / sums[1] if sums[1] >= 20 else 0
        else:
            values = self.values[key_of(alarm)]
            if not values and alarm["TreatMissingData"] == "breaching":
                return True
            value = sum(values) if alarm["Statistic"] == "Sum" else max(values, default=0)
        threshold = alarm["Threshold"]
        if isinstance(threshold, dict):
            threshold = DESCRIBED["Parameters"][threshold["Ref"]]["Default"]
        return COMPARE[alarm["ComparisonOperator"]](value, threshold)
