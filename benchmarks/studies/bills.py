"""What work on AWS costs: usage, which is amounts by what AWS bills, times the prices of prices.json.

Nothing is measured here, and nothing is free: what AWS gives away each month counts like the rest.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

PATH = Path(__file__).with_name("prices.json")

VCPU_MB = 1769
"""Megabytes of memory with which Lambda gives one whole vCPU; less or more memory is less or more of it."""

MONTH_HOURS = 730
MONTH_SECONDS = MONTH_HOURS * 3600
MONTH_MINUTES = MONTH_HOURS * 60

FREE_STORAGE_MB = 512
API_REQUEST_BYTES = 512 * 1024
GB = 1024**3
CONNECTIONS_A_SECOND = 25
"""New ones that a load balancer's capacity unit takes."""

Usage = Mapping[str, float]
"""Amounts by the name of a price: {"lambda.request": 1, "lambda.gb_second.x86_64": 0.012}."""


class Prices(NamedTuple):
    """date: when they were gathered. dollars: by name, a unit. assumptions: by name, what cannot be measured here.

    unverified: names of prices of which no copy of AWS's own was read, not even as somebody quotes it.
    """

    region: str
    date: str
    dollars: Mapping[str, float]
    assumptions: Mapping[str, float]
    unverified: tuple[str, ...]


def read_prices(path: Path = PATH) -> Prices:
    listed: dict[str, Any] = json.loads(path.read_text())
    return Prices(
        region=listed["region"],
        date=listed["date"],
        dollars={name: price["dollars"] for name, price in listed["prices"].items()},
        assumptions={name: assumed["value"] for name, assumed in listed["assumptions"].items()},
        unverified=tuple(name for name, price in listed["prices"].items() if not price["verified"]),
    )


def bill(usage: Usage, dollars: Mapping[str, float]) -> dict[str, float]:
    """Dollars by what is billed. Raises KeyError for what has no price."""
    return {name: amount * dollars[name] for name, amount in usage.items()}


def total(usage: Usage, dollars: Mapping[str, float]) -> float:
    return sum(bill(usage, dollars).values())


def times(factor: float, usage: Usage) -> dict[str, float]:
    return {name: factor * amount for name, amount in usage.items()}


def together(*usages: Usage) -> dict[str, float]:
    added: Counter[str] = Counter()
    for usage in usages:
        added.update(usage)
    return dict(added)


def billed_milliseconds(milliseconds: float) -> int:
    """Lambda rounds the time of each invocation up to the millisecond."""
    return math.ceil(milliseconds)


def gigabyte_seconds(milliseconds: float, memory_mb: float) -> float:
    return billed_milliseconds(milliseconds) / 1000 * memory_mb / 1024


def invocation(
    milliseconds: float, memory_mb: float, *, storage_mb: float = FREE_STORAGE_MB, architecture: str = "x86_64"
) -> Usage:
    """One invocation of a function, on demand. storage_mb: of its /tmp."""
    used = {
        "lambda.request": 1.0,
        f"lambda.gb_second.{architecture}": gigabyte_seconds(milliseconds, memory_mb),
    }
    if storage_mb > FREE_STORAGE_MB:
        used["lambda.storage_gb_second"] = gigabyte_seconds(milliseconds, storage_mb - FREE_STORAGE_MB)
    return used


def provisioned_invocation(milliseconds: float, memory_mb: float, architecture: str = "x86_64") -> Usage:
    """One invocation in provisioned concurrency, which is paid for by itself: `provisioned_month`."""
    return {
        "lambda.request": 1.0,
        f"lambda.provisioned_duration_gb_second.{architecture}": gigabyte_seconds(milliseconds, memory_mb),
    }


def provisioned_month(instances: int, memory_mb: float, architecture: str = "x86_64") -> Usage:
    return {f"lambda.provisioned_gb_second.{architecture}": instances * memory_mb / 1024 * MONTH_SECONDS}


def snapshot_month(memory_mb: float) -> Usage:
    """A published version's snapshot, kept for a month."""
    return {"lambda.snapstart_cache_gb_second": memory_mb / 1024 * MONTH_SECONDS}


def restore(memory_mb: float) -> Usage:
    """A start from it."""
    return {"lambda.snapstart_restore_gb": memory_mb / 1024}


def api_request(sent: int, received: int) -> Usage:
    """One request to an HTTP API and the bytes of its answer to the internet; sent, received: by the caller."""
    return {
        "http_api.request": float(max(1, math.ceil((sent + received) / API_REQUEST_BYTES))),
        "data_out.gb": received / GB,
    }


def share_traced(requests_a_second: float, traced_a_second: float, traced_share: float) -> float:
    """Of evenly spread requests, those that X-Ray records: so many a second, and a share of the rest."""
    if requests_a_second <= traced_a_second:
        return 1.0
    return (traced_a_second + traced_share * (requests_a_second - traced_a_second)) / requests_a_second


def machines_needed(least: int, vcpus_used: float, vcpus_each: float) -> int:
    return max(least, math.ceil(vcpus_used / vcpus_each))


def balancer_month(connections_a_second: float, gigabytes_an_hour: float) -> Usage:
    """An Application Load Balancer: its hours, and the capacity that the larger of two loads takes."""
    units = max(connections_a_second / CONNECTIONS_A_SECOND, gigabytes_an_hour)
    return {"balancer.hour": float(MONTH_HOURS), "balancer.capacity_hour": units * MONTH_HOURS}


def break_even(
    ours: Callable[[float], float], theirs: Callable[[float], float], most: float = 1_000_000
) -> float | None:
    """The rate from which `theirs` costs less for good, up to `most`; None where ours is no dearer there.

    ours, theirs: dollars at a rate, of which the difference changes its sign at most once. 0.0 where theirs always
    costs less.
    """
    if ours(most) <= theirs(most):
        return None
    low, high = 0.0, most
    if ours(low) > theirs(low):
        return 0.0
    while high - low > 1e-6 * high + 1e-9:
        middle = (low + high) / 2
        if ours(middle) > theirs(middle):
            high = middle
        else:
            low = middle
    return high
