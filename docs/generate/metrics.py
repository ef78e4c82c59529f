"""The metrics' page, from loyalty_ml.telemetry and the template's alarms."""

import re
from collections.abc import Mapping
from typing import Any

from docs.generate import markdown
from docs.generate.markdown import code, codes, sentence
from docs.generate.problem import Undocumented
from local import template
from loyalty_ml.telemetry import METRICS

COMPARISONS = {
    "GreaterThanThreshold": "over",
    "GreaterThanOrEqualToThreshold": "at least",
    "LessThanThreshold": "under",
}
_LINK = re.compile(r"^(.*) \$\{RunbookUrl\}#([a-z-]+)$", re.DOTALL)


def page() -> str:
    described = template.load()
    resources = described["Resources"]
    alarms = {name: each for name, each in resources.items() if each["Type"] == "AWS::CloudWatch::Alarm"}
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
            ["alarm", "with `Alarms`", "goes off when", "what it means"],
            [
                [f"[{name}](../runbook.md#{anchor})", _when(alarm["Condition"]), _rule(alarm), sentence(meaning)]
                for name, alarm in alarms.items()
                for meaning, anchor in [_described(name, alarm["Properties"])]
            ],
        ),
        "Alarms go to the SNS topic of the [parameter](parameters.md) `AlarmTopicArn`. The "
        "[runbook](../runbook.md) says what to do about each.",
    )


def _described(name: str, alarm: Mapping[str, Any]) -> tuple[str, str]:
    """What an alarm means, and its section of the runbook."""
    match alarm.get("AlarmDescription"):
        case {"Fn::Sub": str(text)} if found := _LINK.match(text):
            return found[1], found[2]
    raise Undocumented(
        f"The alarm {name} of template.yaml needs an AlarmDescription that ends in ${{RunbookUrl}}#section."
    )


def _when(condition: str) -> str:
    return {"HasAlarms": "`few`, `all`", "HasAllAlarms": "`all`", "HasMockAlarm": "`all`, if `MockMode` is `false`"}[
        condition
    ]


def _rule(described: Mapping[str, Any]) -> str:
    alarm = described["Properties"]
    metrics = [each["MetricStat"] for each in alarm.get("Metrics", ()) if "MetricStat" in each]
    if metrics:
        expression = next(each["Expression"] for each in alarm["Metrics"] if "Expression" in each)
        names = ", ".join(dict.fromkeys(code(each["Metric"]["MetricName"]) for each in metrics))
        what, seconds = f"{code(expression)} of {names} ({_values(metrics[0]['Metric'])})", metrics[0]["Period"]
    else:
        statistic = alarm.get("Statistic") or alarm["ExtendedStatistic"]
        what, seconds = f"{statistic.lower()} of {code(alarm['MetricName'])} ({_values(alarm)})", alarm["Period"]
    threshold = alarm["Threshold"] if not isinstance(alarm["Threshold"], Mapping) else _name_of(alarm["Threshold"])
    times = f" {alarm['EvaluationPeriods']} times" if alarm["EvaluationPeriods"] > 1 else ""
    return f"{what} {COMPARISONS[alarm['ComparisonOperator']]} {threshold} in {seconds} s{times}"


def _values(metric: Mapping[str, Any]) -> str:
    # A resource's name in a dimension is made at the deployment: the logical id says which it is.
    values = [f"{each['Name']} {_name_of(each['Value'])}" for each in metric["Dimensions"] if each["Name"] != "service"]
    return ", ".join(values) or "the whole stack"


def _name_of(value: Any) -> str:
    if isinstance(value, Mapping):
        ((_, argument),) = value.items()
        return code(argument if isinstance(argument, str) else argument[0])
    return code(value)
