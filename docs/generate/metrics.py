"""The metrics' page, from loyalty_ml.telemetry and the template's alarms."""

from collections.abc import Mapping
from typing import Any

from docs.generate import markdown
from docs.generate.markdown import code, codes, sentence
from docs.generate.problem import Undocumented
from local import template
from loyalty_ml.telemetry import METRICS

COMPARISONS = {"GreaterThanThreshold": "over", "GreaterThanOrEqualToThreshold": "at least"}


def page() -> str:
    described = template.load()
    resources = described["Resources"]
    alarms = {name: each["Properties"] for name, each in resources.items() if each["Type"] == "AWS::CloudWatch::Alarm"}
    return markdown.page(
        "Metrics and alarms",
        "loyalty_ml/telemetry.py and template.yaml",
        "A request, a task and a file write one line of log each, in CloudWatch's embedded metric format: the line is "
        "the metric and the log record in one. No line has a customer's id or a feature's value.",
        "## Metrics",
        markdown.table(
            ["metric", "unit", "dimensions beside `service`", "meaning"],
            [
                [code(name), metric.unit, codes(metric.dimensions), sentence(metric.meaning)]
                for name, metric in METRICS.items()
            ],
        ),
        "An [error code](errors.md) is a metric too: it counts the requests, customers or files that ended with it. It "
        "has the dimension `type` if predictions were asked for.",
        "Beside the metrics a line has `correlation_id`, `route`, `status` and `model_version` for a request, "
        "`outcome` for a task and `job_id` for a file.",
        "## Alarms",
        markdown.table(
            ["alarm", "goes off when", "what it means"],
            [
                [f"[{name}](../operate.md#{name.lower()})", _rule(name, alarm), sentence(alarm["AlarmDescription"])]
                for name, alarm in alarms.items()
            ],
        ),
        "Alarms go to the SNS topic of the [parameter](parameters.md) `AlarmTopicArn`. The "
        "[runbook](../operate.md) says what to do about each.",
    )


def _rule(name: str, alarm: Mapping[str, Any]) -> str:
    if not alarm.get("AlarmDescription"):
        raise Undocumented(f"The alarm {name} of template.yaml needs an AlarmDescription.")
    comparison = COMPARISONS[alarm["ComparisonOperator"]]
    # A resource's name in a dimension is made at the deployment: the logical id says which it is.
    values = [f"{each['Name']} {_name_of(each['Value'])}" for each in alarm["Dimensions"] if each["Name"] != "service"]
    return (
        f"{alarm['Statistic'].lower()} of {code(alarm['MetricName'])} ({', '.join(values)}) {comparison} "
        f"{alarm['Threshold']} in {alarm['Period']} s"
    )


def _name_of(value: Any) -> str:
    if isinstance(value, Mapping):
        ((_, argument),) = value.items()
        return code(argument if isinstance(argument, str) else argument[0])
    return code(value)
