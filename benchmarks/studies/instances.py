"""A built function measured as one Lambda instance: its start, its work, its memory, and what it asked of AWS.

It runs under Lambda's emulator, where wanted with as much CPU as Lambda gives to a memory size, and by the same means:
a quota of Linux's scheduler. The stores beside it (quick_stores.py) are not limited and answer in about a millisecond,
so that what is measured is the function's own time; `waits_ms` is what it would wait for AWS besides.
"""

import argparse
import contextlib
import functools
import os
import re
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import orjson

from benchmarks import files, quick_stores, segments
from benchmarks.invocations import post
from benchmarks.processes import peak_kb
from benchmarks.studies import bills, options
from local import template
from local.built.emulator import Emulator, FunctionError, emulated

CUSTOMERS = segments.ROWS
CUSTOMERS_OF_A_BATCH = 100

PERIOD_MICROSECONDS = 20_000
"""Over which Lambda's quota is counted: what others have measured there."""

_LAMBDAS_OWN = ("START RequestId: ", "END RequestId: ", "REPORT RequestId: ")
# The end of the last of them where a function is traced, which the emulator leaves out.
_TRACED = "\tXRAY TraceId: 1-581cf771-a006649127e371903a2de979\tSegmentId: 6d5f0d4a4ed2f3c1\tSampled: true"
_EMULATORS_OWN = re.compile(r"\d\d \w{3} \d{4} \d\d:\d\d:\d\d,\d{3} \[\w+\] \(\w+\)")

_CGROUPS = (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup"))


@dataclass(frozen=True, slots=True)
class Work:
    """What a function is asked for.

    predictions: how many it makes, 0 if it makes none; repeats: how often it is measured, warm.
    memory, storage: the template's parameters of the function's memory and /tmp, the latter empty for Lambda's 512 MB.
    """

    name: str
    title: str
    function: str
    event: Callable[[], Mapping[str, Any]]
    predictions: int
    repeats: int
    memory: str
    storage: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one instance.

    init_ms:    until its handler was there, as the emulator reports it.
    first_ms:   its first event, without that: models are fetched, and customers where it needs all.
    p50_ms, mean_ms: an event later on, one straight after the other, as the platform counts its duration.
    cpu_ms:     of all its threads, an event later on.
    peak_mb:    what its process held at most.
    log_bytes:  of an event, as CloudWatch gets it, own_log_bytes: of its own lines alone, without Lambda's.
    metrics:    how many custom metrics its lines have.
    asked, answered: bytes of the event and of the answer's body.
    first_counts, counts: what the first event asked the stores for, and a later one (quick_stores.Stores.counts).
    """

    memory_mb: int
    init_ms: float
    first_ms: float
    p50_ms: float
    mean_ms: float
    cpu_ms: float
    peak_mb: float
    log_bytes: int
    own_log_bytes: int
    metrics: int
    asked: int
    answered: int
    first_counts: Mapping[str, float]
    counts: Mapping[str, float]

    @property
    def own_ms(self) -> float:
        """A later event's time without waiting, and no less than its CPU time takes in this memory's share of vCPUs."""
        return max(self.mean_ms, self.cpu_ms / vcpus(self.memory_mb))


def _predict() -> Mapping[str, Any]:
    return post("/ml/predict", {"customer_id": "7", "type": "churn"})


def _batch() -> Mapping[str, Any]:
    ids = [str(number) for number in range(CUSTOMERS_OF_A_BATCH)]
    return post("/ml/predict/batch", {"customer_ids": ids, "type": "churn"})


def _segment() -> Mapping[str, Any]:
    return post(f"/segments/{quick_stores.SEGMENT_ID}/ml/predict", {"type": "churn"})


def _refresh() -> Mapping[str, Any]:
    task = orjson.dumps({"task": "statistics", "segment_id": quick_stores.SEGMENT_ID}).decode()
    record = {"messageId": "one", "receiptHandle": "one", "body": task, "attributes": {"ApproximateReceiveCount": "1"}}
    return {"Records": [record]}


def works(customers: int = CUSTOMERS, repeats: int | None = None) -> tuple[Work, ...]:
    """All that is measured. customers: of the snapshot and of a file; repeats: of each, instead of its own."""
    members = customers * 9 // 10
    segment, file = ("SegmentMemorySize", "SegmentStorage"), ("FileMemorySize", "FileStorage")
    measured = (
        Work("single", "one customer", "PredictFunction", _predict, 1, 200, "MemorySize"),
        Work("batch", "a batch of 100", "BatchFunction", _batch, CUSTOMERS_OF_A_BATCH, 100, "MemorySize"),
        Work(
            *("segment", f"a segment of {members:,} of {customers:,}", "SegmentFunction"),
            *(_segment, members, 7),
            *segment,
        ),
        Work("statistics", "statistics of that segment", "RefreshFunction", _refresh, 0, 5, *segment),
        Work(
            *("file", f"a CSV file of {customers:,} customers", "FilesFunction"),
            *(lambda: quick_stores.file_event(customers, files.HEADER), customers, 3),
            *file,
        ),
        Work(
            *("file.ids", f"a CSV file of {customers:,} ids", "FilesFunction"),
            *(lambda: quick_stores.file_event(customers, files.HEADER[:1]), customers, 3),
            *file,
        ),
    )
    return measured if repeats is None else tuple(replace(work, repeats=repeats) for work in measured)


NAMES = tuple(work.name for work in works())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of every study that measures instances."""
    options.add_only(parser, NAMES, "WORK")
    parser.add_argument(
        "--customers",
        type=options.positive,
        default=CUSTOMERS,
        help="in the snapshot and in a file (default: %(default)s)",
    )
    parser.add_argument("--repeats", type=options.positive, help="warm events of each work; default: its own number")


def vcpus(memory_mb: float) -> float:
    return memory_mb / bills.VCPU_MB


def measurable(memory_mb: float) -> bool:
    """Whether this machine has the cores for so much memory."""
    return vcpus(memory_mb) <= (os.cpu_count() or 1)


def measure(work: Work, memory_mb: int, stores: quick_stores.Stores, *, limit: bool) -> Measured:
    """A new instance: its first event, and `repeats` further ones.

    limit: whether it gets no more CPU than that memory size brings, which only root can see to.
    Raises CpuNotLimitable, FileNotFoundError where nothing is built, and RuntimeError where the function fails.
    """
    event = work.event()
    variables = {
        **stores.variables,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mb),
        "ML_MOCK_MODE": "false",
        # Lambda names a trace with each event, few of which are sampled. The emulator names none, of which X-Ray's SDK
        # would write two warnings an event.
        "AWS_XRAY_SDK_ENABLED": "false",
    }
    with (
        limited(vcpus(memory_mb)) if limit else contextlib.nullcontext(_stay) as leave,
        emulated(work.function, variables, physical_ids=quick_stores.PHYSICAL_IDS) as emulator,
    ):
        leave(os.getpid())
        stores.counts()
        started = time.perf_counter()
        _invoke(emulator, event)
        first = 1000 * (time.perf_counter() - started)
        init = emulator.init_ms
        assert init is not None
        first_counts = stores.counts()
        leave(_parent_of(emulator.pid))  # the emulator itself, which is none of the instance
        for _ in range(2):
            answer = _invoke(emulator, event)
        stores.counts()
        logged, used = len(emulator.log()), _cpu_seconds(emulator.pid)
        for _ in range(work.repeats):
            _invoke(emulator, event)
        cpu = 1000 * (_cpu_seconds(emulator.pid) - used) / work.repeats
        log = emulator.log()[logged:]
        lines = [line for line in log.splitlines(keepends=True) if not _EMULATORS_OWN.match(line)]
        own_lines = [line for line in lines if not line.startswith(_LAMBDAS_OWN)]
        durations = [float(duration) for duration in re.findall(r"\tDuration: ([\d.]+) ms\t", log)]
        assert len(durations) == work.repeats
        return Measured(
            memory_mb=memory_mb,
            init_ms=init,
            first_ms=first - init,
            p50_ms=statistics.median(durations),
            mean_ms=statistics.fmean(durations),
            cpu_ms=cpu,
            peak_mb=peak_kb(emulator.pid) / 1024,
            log_bytes=round(sum(map(len, lines)) / work.repeats) + len(_TRACED),
            own_log_bytes=round(sum(map(len, own_lines)) / work.repeats),
            metrics=len(_metrics(own_lines)),
            asked=len(orjson.dumps(event)),
            answered=len(answer),
            first_counts=first_counts,
            counts=bills.times(1 / work.repeats, stores.counts()),
        )


def waits_ms(counts: Mapping[str, float], assumptions: Mapping[str, float]) -> float:
    """What a function waits for AWS that asked it for so much, as if each request waited for the one before."""
    s3_requests = counts.get("s3.get", 0) + counts.get("s3.put", 0)
    return (
        counts.get("dynamodb.requests", 0) * assumptions["dynamodb_ms"]
        + s3_requests * assumptions["s3_ms"]
        + counts.get("s3.bytes", 0) / 1000 / assumptions["s3_mb_a_second"]
    )


@functools.cache
def described() -> dict[str, Any]:
    """The template, which takes a while to read."""
    return template.load()


def default(parameter: str) -> int:
    """A number among the template's parameters."""
    return int(described()["Parameters"][parameter]["Default"])


class CpuNotLimitable(RuntimeError):
    """The message says what it would take."""


@contextlib.contextmanager
def limited(share: float) -> Iterator[Callable[[int], None]]:
    """Gives this process, and what it starts, so many vCPUs together; yields what takes a process out again, by its id.

    Raises CpuNotLimitable.
    """
    root = next((folder for folder in _CGROUPS if (folder / "cgroup.procs").exists()), None)
    if root is None or os.geteuid() != 0:
        raise CpuNotLimitable("CPU cannot be limited here: run it as root, on Linux with cgroups.")
    group = root / f"loyalty-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:  # as in most containers, whose cgroups are mounted to be read
        raise CpuNotLimitable(f"CPU cannot be limited here ({error}): run it outside a container.") from None

    def leave(pid: int) -> None:
        (root / "cgroup.procs").write_text(str(pid))

    try:
        quota = round(share * PERIOD_MICROSECONDS)
        if (group / "cpu.cfs_quota_us").exists():
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_MICROSECONDS))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        elif (group / "cpu.max").exists():
            (group / "cpu.max").write_text(f"{quota} {PERIOD_MICROSECONDS}")
        else:
            raise CpuNotLimitable(f"CPU cannot be limited here: {root} has no cpu controller, so enable it there.")
        (group / "cgroup.procs").write_text(str(os.getpid()))
        yield leave
    finally:
        leave(os.getpid())
        for pid in (group / "cgroup.procs").read_text().split():  # one that ends this very moment
            with contextlib.suppress(ProcessLookupError):
                leave(int(pid))
        group.rmdir()


def _stay(_: int) -> None:
    """Where no CPU is limited there is nothing to leave."""


def _invoke(emulator: Emulator, event: Mapping[str, Any]) -> bytes:
    """The answer's body, empty where it is none of HTTP. Raises RuntimeError where the work was not done."""
    try:
        answer = emulator.invoke(event)
    except FunctionError as error:
        raise RuntimeError(f"{emulator.function.name} did not do its work: {error} {emulator.log()[-2000:]}") from error
    if answer is None:
        return b""
    if answer.get("statusCode") != HTTPStatus.OK:
        raise RuntimeError(f"{emulator.function.name} did not do its work: {answer} {emulator.log()[-2000:]}")
    body: str = answer["body"]
    return body.encode()


def _metrics(lines: list[str]) -> set[str]:
    found = set()
    for line in lines:
        if line.startswith('{"_aws"'):
            record = orjson.loads(line)
            for described in record["_aws"]["CloudWatchMetrics"]:
                dimensions = [(name, record[name]) for names in described["Dimensions"] for name in names]
                found |= {f"{metric['Name']} {dimensions}" for metric in described["Metrics"]}
    return found


def _cpu_seconds(pid: int) -> float:
    """Of all its threads, also those that have ended, which /proc/{pid}/task has no more."""
    return time.clock_gettime((~pid << 3) | 2)  # what clock_getcpuclockid(3) gives for another process


def _parent_of(pid: int) -> int:
    found = re.search(r"PPid:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1])
