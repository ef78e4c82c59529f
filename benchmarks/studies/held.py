"""The service of `make run`, held for a minute at the highest rate that it can; again while a model set is published.

The service has one process for what HTTP asks, and it answers one event at a time, from moto, which is slower than
DynamoDB. So the rate says what this command holds, and little about AWS. What counts is that nothing fails, and that
each answer that is read, four batches a second beside the load, is of exactly one model set. Exit code 1 if not.
"""

import argparse
import contextlib
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, NamedTuple

import requests

from benchmarks.processes import tree
from benchmarks.studies import load, options
from local import demo
from local.ports import free_port
from loyalty_ml.models.card import Thresholds, card_key, model_key, new_version, parse_card
from loyalty_ml.models.document import path_in
from loyalty_ml.models.manifest import parse_manifest
from training.registry.model_set import TrainedModel, write_model_set

SECONDS = 60.0
STEP_LIMIT = 0.5
"""Seconds within which 99 of 100 requests of a step are to be answered, counted from when each was due: moto alone
takes a fifth of one for a batch of 100, and what is due meanwhile waits for it."""

SHARE = 0.9
"""Of the highest rate that a few seconds hold: what is held for a minute."""

STEP_SECONDS = 4.0
WARM_SECONDS = 10.0
FIRST_RATE = 4.0
BISECTIONS = 3
CONNECTIONS = 32
START_SECONDS = 120.0
STOP_SECONDS = 20.0
CHECK_SECONDS = 0.25
"""Between two requests whose answers are read."""

TELL_SECONDS = 5.0
SEEN_SECONDS = 60.0
"""What the contract gives a new model set to be live."""

OTHER_THRESHOLDS = Thresholds(high=0.02, medium=0.01)
SHOWN = 300
SEED = 11
TYPES = ("churn", "nbo", "rfm")
SEGMENTS = ("high-value", "at-risk", "champions")


class Came(NamedTuple):
    """When an answer came, to what kind of prediction, and its text."""

    at: float
    kind: str
    text: str


class Service(NamedTuple):
    """`python -m local`, started: its process, its API's address, and the environment that leads to its stores."""

    process: subprocess.Popen[bytes]
    base: str
    environment: Mapping[str, str]
    model_bucket: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seconds", type=options.seconds, default=SECONDS, help="of each of the two loads (default: %(default)g)"
    )
    parser.add_argument(
        "--rate",
        type=options.rate,
        help=f"requests a second; default: {SHARE:g} of the highest rate, found first",
    )
    parser.add_argument(
        "--publish", action=argparse.BooleanOptionalAction, default=True, help="whether to do the second load"
    )


def run(chosen: argparse.Namespace) -> int:
    """The exit code."""
    with service() as served:
        ids = known_ids(served.base)
        mix = mixed_requests(served.base, ids)
        # What each route does once is done before anything is measured.
        load.closed_loop(served.base, mix, connections=1, seconds=min(WARM_SECONDS, chosen.seconds))
        rate = chosen.rate or SHARE * highest_rate(served.base, mix)
        note(f"Held at {rate:.3g} requests a second for {chosen.seconds:g} s.")
        print("| | requests | answered with 2xx | a second | p50, ms | p99, ms | new set seen after |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
        stores, functions = cpu_seconds(served.process.pid)
        held = hold(served.base, mix, rate, chosen.seconds)
        stores_after, functions_after = cpu_seconds(served.process.pid)
        stores, functions = stores_after - stores, functions_after - functions
        clean = tell("mixed requests", held, rate)
        if chosen.publish:
            held, seen = hold_while_publishing(served, mix, rate, chosen.seconds, ids[:5])
            clean &= tell("the same, a model set published half-way", held, rate, f"{seen:.1f} s")
        share = stores / (stores + functions)
        print(f"\nOf the service's CPU time {share:.0%} is the stores', that is moto's.")
    return 0 if clean else 1


def tell(what: str, held: load.Load, rate: float, seen: str = "") -> bool:
    """A row of the table; whether every request was answered as it should be."""
    sent = sum(held.statuses.values()) + sum(held.errors.values())
    right = sum(count for status, count in held.statuses.items() if 200 <= status < 300)
    figures = f"{sent:,} | {right:,} | {rate:.3g} | {1e3 * held.p50:.0f} | {1e3 * held.p99:.0f}"
    print(f"| {what} | {figures} | {seen} |", flush=True)
    if not held.clean:
        note(f"Not every request was answered as it should be: {held.errors}, {held.statuses}, {held.first_refusal}")
    return held.clean


def known_ids(base: str) -> list[str]:
    """Ids that the demo's customers have: of the first two hundred numbers most."""
    ids: list[str] = []
    for first in (1, 101):
        asked = {"customer_ids": [str(number) for number in range(first, first + 100)], "type": "rfm"}
        answer = requests.post(f"{base}/ml/predict/batch", json=asked, timeout=load.TIMEOUT).json()
        ids += [result["customer_id"] for result in answer["results"]]
    return ids


def mixed_requests(base: str, ids: Sequence[str]) -> list[load.Request]:
    """A hundred requests in the proportions that a CRM's day might have, shuffled by a fixed seed."""
    chosen = random.Random(SEED)
    asked = []
    for number in range(70):
        body = {"customer_id": chosen.choice(ids), "type": TYPES[number % 3]}
        asked.append(load.request(f"{base}/ml/predict", body, kind="single"))
    for number in range(10):
        batch = {"customer_ids": chosen.sample(ids, 100), "type": TYPES[number % 3]}
        asked.append(load.request(f"{base}/ml/predict/batch", batch, kind="batch of 100"))
    for number in range(5):
        path = f"/segments/{SEGMENTS[number % 3]}/ml"
        asked.append(load.request(f"{base}{path}/predict", {"type": TYPES[number % 3]}, kind="segment"))
        asked.append(load.request(f"{base}{path}/stats", kind="statistics"))
    asked += [load.request(f"{base}/config/ml/status", kind="status") for _ in range(4)]
    asked += [load.request(f"{base}/health", kind="health") for _ in range(3)]
    asked += [load.request(f"{base}/ml/jobs", kind="jobs") for _ in range(3)]
    chosen.shuffle(asked)
    return asked


def highest_rate(base: str, mix: list[load.Request]) -> float:
    """Requests a second: the highest of a few short steps of which every request was answered in time."""

    def holds(rate: float) -> bool:
        step = load.open_loop(base, mix, rate=rate, connections=CONNECTIONS, seconds=STEP_SECONDS)
        good = step.clean and step.p99 <= STEP_LIMIT and step.seconds <= STEP_SECONDS + STEP_LIMIT
        note(
            f"{rate:.3g}/s: p50 {1e3 * step.p50:.0f} ms, p99 {1e3 * step.p99:.0f} ms, {'held' if good else 'too much'}"
        )
        return good

    lower = FIRST_RATE
    if not holds(lower):
        raise RuntimeError(
            f"The service does not hold {FIRST_RATE:g} requests a second: see build/local/functions.log."
        )
    while holds(2 * lower):
        lower *= 2
    upper = 2 * lower
    for _ in range(BISECTIONS):
        middle = (lower + upper) / 2
        lower, upper = (middle, upper) if holds(middle) else (lower, middle)
    return lower


def hold(
    base: str, mix: list[load.Request], rate: float, seconds: float, meanwhile: Callable[[], object] = lambda: None
) -> load.Load:
    """The load, with a line of progress every few seconds; `meanwhile` is called four times a second."""
    with ThreadPoolExecutor(1) as pool:
        started = told = time.monotonic()
        held = pool.submit(load.open_loop, base, mix, rate=rate, connections=CONNECTIONS, seconds=seconds)
        while not wait([held], CHECK_SECONDS).done:
            meanwhile()
            if time.monotonic() - told >= TELL_SECONDS:
                told = time.monotonic()
                note(f"{told - started:.0f} of {seconds:g} s")
        came = held.result()
    for kind, latency in came.kinds.items():
        note(f"{kind}: {latency.count} requests, p50 {1e3 * latency.p50:.0f} ms, p99 {1e3 * latency.p99:.0f} ms")
    return came


def hold_while_publishing(
    served: Service, mix: list[load.Request], rate: float, seconds: float, ids: Sequence[str]
) -> tuple[load.Load, float]:
    """The load, and the seconds from publishing another model set half-way until it answered for these customers.

    Raises RuntimeError where an answer is not one set's alone, or the new set does not answer in time.
    """
    asked = {kind: {"customer_ids": list(ids), "type": kind} for kind in ("churn", "nbo")}
    came: list[Came] = []
    started, published = time.monotonic(), None

    def ask(kind: str) -> str:
        try:
            answer = requests.post(f"{served.base}/ml/predict/batch", json=asked[kind], timeout=load.TIMEOUT)
            answer.raise_for_status()
        except requests.RequestException as error:
            raise RuntimeError(f"The service did not answer, see build/local/functions.log: {error}") from None
        return answer.text

    def meanwhile() -> None:
        nonlocal published
        if published is None and time.monotonic() - started >= seconds / 2:
            publish_another_set(served)
            published = time.monotonic()
            note("Another model set is published.")
        kind = "churn" if len(came) % 2 else "nbo"
        text = ask(kind)
        came.append(Came(time.monotonic(), kind, text))

    old = {kind: ask(kind) for kind in asked}
    held = hold(served.base, mix, rate, seconds, meanwhile)
    assert published is not None
    while came[-1].text in old.values() and time.monotonic() < published + SEEN_SECONDS:
        time.sleep(CHECK_SECONDS)
        meanwhile()
    new = {kind: ask(kind) for kind in asked}
    seen = first_of_new(came, old, new)
    note(f"{len(came)} answers, each of one model set; the first of the new one after {seen - published:.1f} s.")
    return held, seen - published


def first_of_new(came: Sequence[Came], old: Mapping[str, str], new: Mapping[str, str]) -> float:
    """When the first answer of the new model set came.

    came: in order; old, new: what is right of each set, by kind. Raises RuntimeError where an answer is neither, is of
    the old set after one of the new, or where none is of the new.
    """
    first = None
    for at, kind, text in came:
        if text == old[kind] != new[kind]:
            if first is not None:
                raise RuntimeError(f"An answer of the old model set came after one of the new: {text[:SHOWN]}")
        elif text != new[kind] or new[kind] == old[kind]:
            raise RuntimeError(f"An answer is not of one model set: {text[:SHOWN]}")
        elif first is None:
            first = at
    if first is None:
        raise RuntimeError("The new model set did not answer: see build/local/functions.log.")
    return first


def publish_another_set(served: Service) -> None:
    """Publishes the models that are served, as another version and with other thresholds."""
    with tempfile.TemporaryDirectory() as folder:
        write_another_set(demo.models_folder(), Path(folder))
        publish = [sys.executable, "-m", "training.cli", "models", "publish"]
        command = [*publish, "--bucket", served.model_bucket, "--models", folder]
        subprocess.run(command, env=served.environment, stdout=subprocess.DEVNULL, check=True)


def write_another_set(source: Path, to: Path) -> None:
    created = datetime.now(UTC)
    manifest = parse_manifest((source / "manifest.json").read_bytes())
    models = []
    for name, active in manifest.models.items():
        text = path_in(source, card_key(name, active.version)).read_bytes()
        card = parse_card(text, name, active.version, active.card_sha256)
        model = path_in(source, model_key(name, active.version)).read_bytes()
        changed = {"version": new_version(created, model), "created": created, "thresholds": OTHER_THRESHOLDS}
        models.append(TrainedModel(card.model_copy(update=changed), model))
    write_model_set(to, models, created, manifest.rfm)


@contextlib.contextmanager
def service() -> Iterator[Service]:
    """`python -m local` on a free port, until the end. Raises RuntimeError where it does not start."""
    port = free_port()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "local", "--port", str(port)],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            printed = _wait_until_ready(process, output)
            exported = re.search(r"^ +export (.*)$", printed, re.MULTILINE)
            bucket = re.search(r"^ +models ([\w-]+),", printed, re.MULTILINE)
            assert exported
            assert bucket
            stores = dict(pair.split("=", 1) for pair in shlex.split(exported[1]))
            yield Service(process, f"http://127.0.0.1:{port}/api/loyalty/v1", os.environ | stores, bucket[1])
        finally:
            # Its workers end with it: they wait on what it holds.
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], output: IO[str]) -> str:
    """What it has printed by then."""
    give_up_at = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < give_up_at:
        output.seek(0)
        if "Ctrl-C ends it all" in (printed := output.read()):
            return printed
        time.sleep(0.1)
    output.seek(0)
    raise RuntimeError(f"`make run` does not start: {output.read().strip()[-SHOWN:]}")


def cpu_seconds(pid: int) -> tuple[float, float]:
    """Seconds of CPU time that the process of the stores has used, and those of all that it has started."""
    seconds = [_cpu_seconds_of(each) for each in tree(pid)]
    return seconds[0], sum(seconds[1:])


def _cpu_seconds_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def note(sentence: str) -> None:
    """Progress, beside the table."""
    print(f"  {sentence}", file=sys.stderr, flush=True)
