"""What predictions cost on AWS: a million of them by mode, and a month of them beside other ways to serve.

The functions are measured here, as built (`make build`). AWS's public prices are in prices.json, with the assumptions
about what this machine cannot measure.
"""

import argparse
import functools
import math
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from benchmarks import quick_stores
from benchmarks.studies import bills, defaults, instances, options
from benchmarks.studies.bills import Prices, Usage
from benchmarks.studies.instances import Measured, Work, default, described, measure, waits_ms
from local import template

RATES = (1, 100, 10_000)
"""Requests a minute."""

ARCHITECTURE = "x86_64"

SELDOM = 0.0001
"""A share of starts as of an even load, beside the assumed one."""

QUEUE_REQUESTS = 5
"""Of a file's message: sent, received, hidden twice, deleted."""

ACCESS_LOG_VALUE = 20
"""Characters of each of its values, of which the template's format has the names alone."""

SAGEMAKER_MB = range(1024, 6144 + 1, 1024)
"""Memory sizes of SageMaker Serverless Inference."""

INSTANCE_DISK_GB = 8
ZONES = 2
"""Of a load balancer, each with a public address."""

CALLER_MB = 256
"""Of a function that only asks an endpoint."""

FARGATE_VCPUS, FARGATE_GB = 0.5, 1.0

# The parts of the first table, by the names of the prices that they are made of.
PARTS = {
    "Lambda": r"lambda\.(?!request)",
    "its requests": r"lambda\.request",
    "API": r"http_api|data_out",
    "stores": r"dynamodb|s3|sqs",
    "logs": r"logs",
    "traces": r"xray",
}


class Event(NamedTuple):
    """A measured work as it is billed: an event of its function.

    warm_ms, cold_ms: of a later event and of an instance's first, start included, with what is waited for AWS.
    """

    work: Work
    measured: Measured
    storage_mb: int
    warm_ms: float
    cold_ms: float


class Way(NamedTuple):
    """A way to serve, and its dollars a month at so many requests a minute."""

    name: str
    month: Callable[[float], float]


def event_of(work: Work, measured: Measured, assumptions: Mapping[str, float]) -> Event:
    return Event(
        work,
        measured,
        default(work.storage) if work.storage else bills.FREE_STORAGE_MB,
        measured.own_ms + waits_ms(measured.counts, assumptions),
        measured.init_ms + measured.first_ms + waits_ms(measured.first_counts, assumptions),
    )


def usage_of(event: Event, prices: Prices, *, cold_share: float) -> Usage:
    """One event's, without its trace, whose price hangs on how many there are."""
    measured = event.measured
    logged = float(measured.log_bytes)
    if _is_http(event):
        reached = bills.api_request(measured.asked, measured.answered)
        logged += access_log_bytes()
    else:
        reached = {"sqs.request": float(QUEUE_REQUESTS)}
    return bills.together(
        bills.times(1 - cold_share, _invocation(event, event.warm_ms)),
        bills.times(1 - cold_share, _billed(measured.counts, prices)),
        bills.times(cold_share, _invocation(event, event.cold_ms)),
        bills.times(cold_share, _billed(measured.first_counts, prices)),
        reached,
        {"logs.gb": logged / bills.GB},
    )


def _billed(counts: Mapping[str, float], prices: Prices) -> Usage:
    return {name: amount for name, amount in counts.items() if name in prices.dollars}


def _invocation(event: Event, milliseconds: float) -> Usage:
    return bills.invocation(
        milliseconds, event.measured.memory_mb, storage_mb=event.storage_mb, architecture=ARCHITECTURE
    )


def _is_http(event: Event) -> bool:
    return "requestContext" in event.work.event()


def access_log_bytes() -> int:
    """Of a line of the API's access log, as the template writes it."""
    written = described()["Resources"]["Api"]["Properties"]["AccessLogSettings"]["Format"]
    return len(re.sub(r"\$context[.\w]+", "x" * ACCESS_LOG_VALUE, written))


def traces(events_a_month: float, assumptions: Mapping[str, float]) -> Usage:
    """What X-Ray records of so many evenly spread events."""
    share = bills.share_traced(
        events_a_month / bills.MONTH_SECONDS, assumptions["traced_a_second"], assumptions["traced_share"]
    )
    return {"xray.trace": events_a_month * share}


def looks(event: Event, events_a_month: float, assumptions: Mapping[str, float]) -> Usage:
    """For a new manifest, by each instance at work: so many a minute, and no more than there are events."""
    instances = max(1.0, math.ceil(events_a_month * event.warm_ms / 1000 / bills.MONTH_SECONDS))
    return {"s3.get": min(events_a_month, instances * assumptions["looks_a_minute"] * bills.MONTH_MINUTES)}


def restores(event: Event, starts: float) -> Usage:
    """Of so many starts, where the function has a snapshot to start from."""
    can_have_one = "SnapStart" in template.functions(described())[event.work.function]["Properties"]
    return bills.times(starts, bills.restore(event.measured.memory_mb)) if can_have_one else {}


def million(event: Event, prices: Prices, *, cold_share: float) -> dict[str, float]:
    """Dollars by part, of a million predictions in a month, as a stack is by default."""
    events = 1e6 / event.work.predictions
    used = bills.together(
        bills.times(events, usage_of(event, prices, cold_share=cold_share)),
        looks(event, events, prices.assumptions),
        restores(event, cold_share * events) if defaults.default_of("SnapStart") == "true" else {},
        traces(events, prices.assumptions) if defaults.default_of("Tracing") == "Active" else {},
    )
    billed = bills.bill(used, prices.dollars)
    return {
        part: sum(dollars for name, dollars in billed.items() if re.match(pattern, name))
        for part, pattern in PARTS.items()
    }


def ways_to_serve(single: Event, prices: Prices, fixed: float) -> list[Way]:
    """The ways to serve single predictions, this service's first; fixed: dollars a month that it costs anyway."""
    dollars, assumed = prices.dollars, prices.assumptions
    measured = single.measured
    reads = bills.times(1.0, {"dynamodb.read_unit": measured.counts["dynamodb.read_unit"]})
    sent = {"data_out.gb": measured.answered / bills.GB}
    logs = {"logs.gb": measured.own_log_bytes / bills.GB}

    def priced(usage: Usage) -> float:
        return bills.total(usage, dollars)

    def on_demand(
        rate: float, *, traced: bool = False, snapshots: bool = False, cold_share: float = assumed["cold_share"]
    ) -> float:
        events = rate * bills.MONTH_MINUTES
        each = usage_of(single, prices, cold_share=cold_share)
        recorded = traces(events, assumed) if traced else {}
        # What a restored instance does before its first answer is not measured here, so it counts as a start does.
        kept = defaults.snapshots_month(single.measured.memory_mb) if snapshots else {}
        restored = restores(single, cold_share * events) if snapshots else {}
        looked = looks(single, events, assumed)
        return fixed + priced(bills.together(bills.times(events, each), looked, recorded, kept, restored))

    def provisioned(rate: float) -> float:
        events = rate * bills.MONTH_MINUTES
        # The parameter is for all functions that can have it, as the snapshots are.
        functions = template.functions(described()).values()
        kept_started = sum("ProvisionedConcurrencyConfig" in function["Properties"] for function in functions)
        instances = kept_started * max(1, math.ceil(rate / 60 * single.warm_ms / 1000))
        cold = bills.times(events, usage_of(single, prices, cold_share=0.0))
        kept = {name: amount for name, amount in cold.items() if not name.startswith("lambda.")}
        work = bills.provisioned_invocation(single.warm_ms, measured.memory_mb, ARCHITECTURE)
        used = bills.together(
            kept,
            bills.times(events, work),
            bills.provisioned_month(instances, measured.memory_mb, ARCHITECTURE),
            looks(single, events, assumed),
        )
        return fixed + priced(used)

    def sagemaker_serverless(rate: float, *, with_api: bool) -> float:
        size = next(size for size in SAGEMAKER_MB if size >= measured.memory_mb)
        each = bills.together(
            {"sagemaker.serverless_gb_second": bills.gigabyte_seconds(single.warm_ms, size)},
            {"sagemaker.data_gb": (measured.asked + measured.answered) / bills.GB},
            reads,
            {"logs.gb": (measured.log_bytes + access_log_bytes()) / bills.GB} if with_api else logs,
            # No HTTP API leads to an endpoint by itself: a function asks it, and waits.
            bills.invocation(single.warm_ms, CALLER_MB, architecture=ARCHITECTURE) if with_api else {},
            bills.api_request(measured.asked, measured.answered) if with_api else sent,
        )
        return priced(bills.times(rate * bills.MONTH_MINUTES, each))

    def always_on(rate: float, least: int, hourly: Usage, vcpus: float, *, balanced: bool) -> float:
        busy = rate / 60 * measured.cpu_ms / 1000
        machines = bills.machines_needed(least, busy, vcpus * assumed["busy_share"])
        machinery = bills.times(machines * bills.MONTH_HOURS, hourly)
        work = bills.times(rate * bills.MONTH_MINUTES, bills.together(reads, sent, logs))
        if not balanced:
            return priced(bills.together(machinery, work))
        connections = rate / 60 * assumed["new_connections_share"]
        gigabytes = 60 * rate * (measured.asked + measured.answered) / bills.GB
        addresses = {"ipv4.hour": ZONES * bills.MONTH_HOURS}
        return priced(bills.together(machinery, work, bills.balancer_month(connections, gigabytes), addresses))

    instance = {"ec2.t4g.small_hour": 1.0, "ebs.gp3_gb_month": INSTANCE_DISK_GB / bills.MONTH_HOURS, "ipv4.hour": 1.0}
    task = {
        "fargate.vcpu_hour.arm64": FARGATE_VCPUS,
        "fargate.gb_hour.arm64": FARGATE_GB,
        "ipv4.hour": 1.0,
    }
    baseline = assumed["baseline_vcpus"]
    return [
        Way("this service", on_demand),
        Way("... with X-Ray's traces", functools.partial(on_demand, traced=True)),
        Way("... with SnapStart", functools.partial(on_demand, snapshots=True)),
        Way("... with both", functools.partial(on_demand, traced=True, snapshots=True)),
        Way(f"... with a start in {1 / SELDOM:,.0f} events", functools.partial(on_demand, cold_share=SELDOM)),
        Way("... with provisioned concurrency", provisioned),
        Way("SageMaker Serverless, no API", functools.partial(sagemaker_serverless, with_api=False)),
        Way("SageMaker Serverless behind an HTTP API", functools.partial(sagemaker_serverless, with_api=True)),
        Way(
            "SageMaker endpoint, 1 ml.t2.medium or more, no API",
            functools.partial(
                always_on, least=1, hourly={"sagemaker.ml.t2.medium_hour": 1.0}, vcpus=baseline, balanced=False
            ),
        ),
        Way(
            "SageMaker endpoint, 2 ml.c5.large or more, no API",
            functools.partial(always_on, least=2, hourly={"sagemaker.ml.c5.large_hour": 1.0}, vcpus=2, balanced=False),
        ),
        Way(
            "1 t4g.small or more, nothing before it",
            functools.partial(always_on, least=1, hourly=instance, vcpus=baseline, balanced=False),
        ),
        Way(
            "2 t4g.small or more, balanced",
            functools.partial(always_on, least=2, hourly=instance, vcpus=baseline, balanced=True),
        ),
        Way(
            "2 Fargate tasks or more, balanced",
            functools.partial(always_on, least=2, hourly=task, vcpus=FARGATE_VCPUS, balanced=True),
        ),
    ]


def fixed_month(single: Event, prices: Prices) -> Usage:
    """What a deployment costs that nobody calls, and its metrics once there are any."""
    return bills.together(defaults.idle_month(prices), {"cloudwatch.metric_month": float(single.measured.metrics)})


def print_millions(events: list[Event], prices: Prices) -> None:
    cold_share = prices.assumptions["cold_share"]
    print(f"Dollars a million predictions, {prices.region}, prices as gathered on {prices.date}\n")
    print("| | MB | own ms | CPU ms | with waiting | start ms |", " | ".join(PARTS), "| together |")
    print("| --- |" + " ---: |" * (6 + len(PARTS)))
    for event in events:
        parts = million(event, prices, cold_share=cold_share)
        measured = event.measured
        print(
            f"| {event.work.title} | {measured.memory_mb} | {measured.own_ms:.1f} | {measured.cpu_ms:.1f} "
            f"| {event.warm_ms:.0f} | {event.cold_ms:.0f} |",
            " | ".join(map(_money, parts.values())),
            f"| {_money(sum(parts.values()))} |",
        )


def print_months(ways: list[Way]) -> None:
    ours = ways[0].month
    print("\nDollars a month, single predictions at so many requests a minute; the least of each in bold\n")
    print("|", *(f"| {rate:,}" for rate in RATES), "| cheaper than this service from |")
    print("| --- |" + " ---: |" * (1 + len(RATES)))
    least = [min(way.month(rate) for way in ways) for rate in RATES]
    for way in ways:
        amounts = [way.month(rate) for rate in RATES]
        shown = [
            f"**{amount:,.2f}**" if amount == best else f"{amount:,.2f}"
            for amount, best in zip(amounts, least, strict=True)
        ]
        is_ours = way.name.startswith((ways[0].name, "..."))
        when = "" if is_ours else _when(bills.break_even(ours, way.month))
        print(f"| {way.name} |", " | ".join(shown), f"| {when} |")


def _when(rate: float | None) -> str:
    if rate is None:
        return "never"
    return f"{rate:,.0f} a minute" if rate >= 1 else "the first request"


def print_foot(prices: Prices, fixed: float) -> None:
    assumed = prices.assumptions
    waits = f"{assumed['dynamodb_ms']:g} ms a request to DynamoDB (--store-ms), {assumed['s3_ms']:g} ms and "
    waits += f"{assumed['s3_mb_a_second']:g} MB/s a request to S3, one after the other"
    for note in (
        "Measured: each function's own time and CPU time, its log, and what it asks AWS for. "
        f"Assumed: {waits}; a start in {1 / assumed['cold_share']:.0f} events (--cold-share).",
        f"X-Ray traces every request up to one a second, and {assumed['traced_share']:.0%} of the rest. Of this "
        f"service {fixed:.2f} a month are alarms, metrics and the polling of its queues; in the other rows are neither "
        "these nor traces.",
        "SageMaker's rows do the same work in the same time, and its own starts are not counted; without an API its "
        "callers need AWS credentials instead of tokens.",
        "With SnapStart no start is counted as shorter, and each is paid for as a restore besides, which the first "
        "table has too; the second has the snapshots of both functions as well, and provisioned instances of both. A "
        "start in 100 events is the most that AWS saw: under an even load there are far fewer.",
        f"Machines that are always on become more where they would be busier than {assumed['busy_share']:.0%} of what "
        "they may use for ever, by the CPU time measured here. Nobody who looks after them is counted. A "
        "balancer's price is that of a new connection for each request, the dearest.",
        "Nor are free tiers, savings plans, lower prices of large amounts, and the storage of customers, models and "
        "logs, which is cents.",
        f"No copy of AWS's own was read of the prices of {', '.join(prices.unverified)}.",
    ):
        print(f"\n{note}")


def _money(dollars: float) -> str:
    """With at least two digits that say something."""
    places = 2 if dollars == 0 else max(2, 1 - math.floor(math.log10(dollars)))
    return f"{dollars:.{places}f}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    instances.add_arguments(parser)
    parser.add_argument(
        "--store-ms",
        type=options.milliseconds,
        help="milliseconds of a request to DynamoDB; default: the assumption of prices.json",
    )
    parser.add_argument(
        "--cold-share",
        type=options.share,
        help="share of events that start an instance; default: the assumption of prices.json",
    )


def run(chosen: argparse.Namespace) -> int:
    """Single predictions are measured in any case: the months are of them."""
    prices = bills.read_prices()
    given = {"dynamodb_ms": chosen.store_ms, "cold_share": chosen.cold_share}
    assumptions = {**prices.assumptions, **{name: value for name, value in given.items() if value is not None}}
    prices = prices._replace(assumptions=assumptions)
    with quick_stores.serving(chosen.customers) as stores:
        events = [
            event_of(work, measure(work, default(work.memory), stores, limit=False), assumptions)
            for work in instances.works(chosen.customers, chosen.repeats)
            if work.name == "single" or (work.predictions and work.name in chosen.only)
        ]
    fixed = bills.total(fixed_month(events[0], prices), prices.dollars)
    print_millions(events, prices)
    print_months(ways_to_serve(events[0], prices, fixed))
    print_foot(prices, fixed)
    return 0
