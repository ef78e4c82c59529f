"""What a stack of template.yaml has, and costs while nobody calls it, if no parameter is given that has a default."""

from collections.abc import Mapping
from typing import Any

from benchmarks.studies import bills
from benchmarks.studies.bills import Prices, Usage
from benchmarks.studies.instances import described
from local import template


def default_of(parameter: str) -> str:
    return str(described()["Parameters"][parameter].get("Default", ""))


def exists_by_default(resource: Mapping[str, Any]) -> bool:
    return "Condition" not in resource or is_met(described()["Conditions"][resource["Condition"]])


def is_met(condition: Any) -> bool:
    """A condition of the template, by the parameters' defaults. Raises ValueError for what is none of parameters."""
    match condition:
        case {"Condition": str(name)}:
            return is_met(described()["Conditions"][name])
        case {"Fn::Not": [other]}:
            return not is_met(other)
        case {"Fn::And": list(others)}:
            return all(map(is_met, others))
        case {"Fn::Or": list(others)}:
            return any(map(is_met, others))
        case {"Fn::Equals": [one, other]}:
            values = [default_of(value["Ref"]) if isinstance(value, dict) else str(value) for value in (one, other)]
            return values[0] == values[1]
    raise ValueError(f"{condition} is no condition of parameters.")


def idle_month(prices: Prices) -> Usage:
    """A month in which nobody calls: alarms, queues being asked, snapshots being kept."""
    resources = described()["Resources"].values()
    alarms = [each for each in resources if each["Type"] == "AWS::CloudWatch::Alarm" and exists_by_default(each)]
    polls = len(list(template.queue_sources(described()))) * prices.assumptions["queue_polls_a_minute"]
    usage = {"cloudwatch.alarm_month": float(len(alarms)), "sqs.request": polls * bills.MONTH_MINUTES}
    if default_of("SnapStart") == "true":
        return bills.together(usage, snapshots_month(float(default_of("MemorySize"))))
    return usage


def snapshots_month(memory_mb: float) -> Usage:
    """The snapshots of all functions that can have one, each of one version."""
    kept = sum("SnapStart" in function["Properties"] for function in template.functions(described()).values())
    return bills.times(kept, bills.snapshot_month(memory_mb))
