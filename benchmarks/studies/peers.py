"""Latency, throughput, memory and disk beside other servers: FastAPI with LiteRT or Keras, BentoML, LitServe, MLServer.

Each serves the same two models over the same table of customers in memory (of DynamoDB and S3 nothing is in the times),
with one worker, on one CPU of its own, the load on another. A round starts each in turn, asks it for single customers
and for batches of 100, half of them churn and half nbo, and ends it, so that only one runs at a time; figures are
medians of the rounds. Latencies are of one connection, throughput of eight. Ours is measured three times:

    handler   the built function's handler, called in a loop by Lambda's Python: what is billed, and no server at all.
              Beside it FastAPI's application, called in the same way.
    emulator  the same under Lambda's emulator, one instance with one event in flight: AWS's runtime is in it, and the
              emulator, whose own time a function that does nothing shows (the emulator alone).
    gateway   the handler behind the HTTP server of `make run`: one process that speaks HTTP, as the peers are.
"""

import argparse
import contextlib
import json
import math
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import sample_models
from benchmarks.invocations import post, variables
from benchmarks.processes import tree
from benchmarks.sample_customers import in_domains
from benchmarks.studies import options
from benchmarks.studies.load import Load, Request, closed_loop, request
from local.built.emulator import INVOCATIONS, build_folder, built_function, emulated
from local.ports import free_port
from loyalty_ml.customers.table import DEFAULT_FEATURES
from loyalty_ml.models.document import to_json

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
SERVICES = BENCHMARKS / "studies" / "services"
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
MLSERVER_PYTHON = ROOT / ".venv-mlserver" / "bin" / "python"
RUNTIMES_PYTHON = ROOT / ".venv-runtime" / "bin" / "python"

ROUNDS = 3
SECONDS = 1.0
WARM_UP_SHARE, BUSY_SHARE = 0.3, 1.5
"""Of the seconds on one connection: how long it is asked before that, and how long on several connections after it."""
CONNECTIONS = 8
START_SECONDS = 60.0
STOP_SECONDS = 5.0

CUSTOMERS = 10_000
BATCH = 100
TYPES = ("churn", "nbo")
ROUNDING = 5e-6  # as in benchmarks.studies.services.keras_models
EXPECTED = {"churn": b"churn_probability", "nbo": b"offer_scores"}
FUNCTIONS = {"single": "PredictFunction", "batch": "BatchFunction"}

MEGABYTE = 1e6
MICROSECONDS = 1e6

Figures = dict[str, float]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_only(parser, NAMES, "SERVER")
    parser.add_argument("--rounds", type=options.positive, default=ROUNDS, help="default: %(default)s")
    parser.add_argument(
        "--seconds", type=options.seconds, default=SECONDS, help="on one connection, a round (default: %(default)g)"
    )


def run(chosen: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="peers-") as temporary:
        folder = Path(temporary)
        prepare(folder, with_keras=any("keras" in name for name in chosen.only))
        servers = [*ours(folder, chosen.only), *peers(chosen.only)]
        rounds: dict[str, list[Figures]] = {server.name: [] for server in servers}
        reference: dict[str, Any] = {}
        for number in range(chosen.rounds):
            for server in servers:
                print(f"Round {number + 1} of {chosen.rounds}: {server.title} ...", file=sys.stderr, flush=True)
                rounds[server.name].append(server.measure(Work(folder, reference, chosen.seconds)))
    print_table(
        {
            server.title: {
                "disk": server.disk() / MEGABYTE,
                **{name: statistics.median(each[name] for each in figures) for name in figures[0]},
            }
            for server, figures in zip(servers, rounds.values(), strict=True)
        }
    )
    return 0


class Work(NamedTuple):
    """One round. folder: to work in; reference: the answers to compare with, which the first server fills in.

    seconds: on one connection.
    """

    folder: Path
    reference: dict[str, Any]
    seconds: float


@dataclass(frozen=True, slots=True)
class Server:
    """Something that is measured.

    disk: bytes of what has to be installed for it beside Python; NaN if that is not asked. measure: one round.
    """

    name: str
    title: str
    disk: Callable[[], float]
    measure: Callable[[Work], Figures]


def contract_body(form: str, prediction_type: str, ids: list[str]) -> dict[str, Any]:
    return {"type": prediction_type} | ({"customer_id": ids[0]} if form == "single" else {"customer_ids": ids})


@dataclass(frozen=True, slots=True)
class Service:
    """A server over HTTP: how it is started on a port, what it is asked by form and type, and how it is read."""

    name: str
    command: Callable[[int, Path], Sequence[str | Path]]
    path: Callable[[str, str], str] = lambda form, _: "/ml/predict" if form == "single" else "/ml/predict/batch"
    body: Callable[[str, str, list[str]], Any] = contract_body
    read: Callable[[Any], Any] = lambda answer: answer


# What is measured.


class Peer(NamedTuple):
    """A peer that has not been looked for yet. by: what of the last package answers, if there is a choice."""

    service: Service
    python: Path
    requirements: tuple[str, ...]
    by: str = ""

    def server(self) -> Server:
        """Raises FileNotFoundError if it is not installed."""
        check_installed(self.service.name, self.python)
        command: list[str | Path] = [self.python, SERVICES / "installed.py", *self.requirements]
        installed = json.loads(subprocess.check_output(command, text=True))
        names = [re.sub(r"\[.*", "", each) for each in self.requirements if each != "numpy"]
        title = " + ".join(f"{name} {installed['versions'][name]}" for name in names)
        return Server(
            self.service.name,
            f"{title}, {self.by}" if self.by else title,
            lambda: int(installed["bytes"]),
            lambda work: measure_service(self.service, work),
        )


def check_installed(name: str, python: Path) -> None:
    if not python.exists():
        venv = python.parents[1].name
        raise FileNotFoundError(
            f"{name} is not installed: there is no {venv}. Run `make {venv}/stamp`, or name the others with --only."
        )


def fastapi(name: str, factory: str, backend: str, by: str = "") -> Peer:
    def command(port: int, _: Path) -> list[str | Path]:
        return [
            *(PEERS_PYTHON, "-m", "uvicorn", "--factory", f"benchmarks.studies.services.fastapi_service:{factory}"),
            *("--host", "127.0.0.1", "--port", str(port), "--log-level", "warning", "--no-access-log"),
        ]

    return Peer(Service(name, command), PEERS_PYTHON, ("fastapi", "uvicorn[standard]", backend, "numpy"), by)


def bentoml_command(port: int, _: Path) -> list[str | Path]:
    return [
        *(PEERS_PYTHON, "-m", "bentoml", "serve", "benchmarks.studies.services.bentoml_service:LoyaltyService"),
        *("--host", "127.0.0.1", "--port", str(port)),
    ]


def mlserver_command(port: int, folder: Path) -> list[str | Path]:
    """One process, without the second server for metrics; `debug` would log each request."""
    models = folder / "mlserver"
    settings = {
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": free_port(),
        "metrics_endpoint": None,
        "parallel_workers": 0,
        "debug": False,
    }
    for name in TYPES:
        (models / name).mkdir(parents=True, exist_ok=True)
        model = {"name": name, "implementation": "benchmarks.studies.services.mlserver_runtime.LoyaltyModel"}
        (models / name / "model-settings.json").write_text(json.dumps(model))
    (models / "settings.json").write_text(json.dumps(settings))
    return [MLSERVER_PYTHON.with_name("mlserver"), "start", models]


def mlserver_body(_: str, __: str, ids: list[str]) -> dict[str, Any]:
    return {"inputs": [{"name": "customer_id", "shape": [len(ids)], "datatype": "BYTES", "data": ids}]}


def mlserver_answer(answer: Any) -> Any:
    """V2's columns as the contract's results."""
    columns = {output["name"]: output for output in answer["outputs"]}
    results = [{"customer_id": customer_id} for customer_id in columns["customer_id"]["data"]]
    for name in ("churn_probability", "offer_scores"):
        if name in columns:
            for result, values in zip(results, np.reshape(columns[name]["data"], (len(results), -1)), strict=True):
                result[name] = values.tolist()
    single = results[0] if len(results) == 1 else None
    return {"result": single, "results": [{"result": result} for result in results]}


PEERS = (
    fastapi("fastapi_litert", "with_litert", "ai-edge-litert"),
    fastapi("fastapi_keras", "with_keras", "tensorflow-cpu", by="predict"),
    fastapi("fastapi_keras_call", "with_keras_call", "tensorflow-cpu", by="model()"),
    Peer(Service("bentoml", bentoml_command), PEERS_PYTHON, ("bentoml", "ai-edge-litert", "numpy")),
    Peer(
        Service(
            "litserve",
            lambda port, _: [PEERS_PYTHON, "-m", "benchmarks.studies.services.litserve_service", str(port)],
            path=lambda *_: "/ml/predict",
        ),
        PEERS_PYTHON,
        ("litserve", "ai-edge-litert", "numpy"),
    ),
    Peer(
        Service(
            "mlserver",
            mlserver_command,
            path=lambda _, prediction_type: f"/v2/models/{prediction_type}/infer",
            body=mlserver_body,
            read=mlserver_answer,
        ),
        MLSERVER_PYTHON,
        ("mlserver", "ai-edge-litert", "numpy"),
    ),
)
OURS = ("handler", "fastapi_in_process", "emulator", "emulator_alone", "gateway")
NAMES = (*OURS, *(peer.service.name for peer in PEERS))


def peers(names: Sequence[str]) -> list[Server]:
    """Raises FileNotFoundError if one is not installed; MLServer is left out if all were asked for."""
    found = []
    for peer in PEERS:
        name = peer.service.name
        if name == "mlserver" and not MLSERVER_PYTHON.exists() and set(names) == set(NAMES):
            print("MLServer is NOT measured: it needs Python 3.12 or 3.11. Install one and try again.", file=sys.stderr)
        elif name in names:
            found.append(peer.server())
    return found


def ours(folder: Path, names: Sequence[str]) -> list[Server]:
    build = build_folder()
    functions = memory_build(build, folder / "build", "lambda_app.py")
    constant = memory_build(build, folder / "constant-build", "constant_app.py")
    service = Service(
        "gateway",
        lambda port, _: [sys.executable, "-m", "benchmarks.studies.services.local_gateway", str(port)],
        path=lambda form, _: "/api/loyalty/v1/ml/predict" + ("" if form == "single" else "/batch"),
    )

    def disk() -> int:
        return sum(size_of(build / name) for name in ("SharedLayer", "PredictFunction", "BatchFunction"))

    if "fastapi_in_process" in names:
        check_installed("fastapi_in_process", PEERS_PYTHON)

    def not_asked() -> float:
        return math.nan

    servers = (
        Server("handler", "ours, in process", disk, lambda work: measure_handler(functions, work)),
        Server("fastapi_in_process", "FastAPI + LiteRT, in process", not_asked, measure_fastapi_in_process),
        Server("emulator", "ours, Lambda's emulator", disk, lambda work: measure_emulator(functions, work, check)),
        Server(
            "emulator_alone",
            "the emulator alone",
            not_asked,
            lambda work: measure_emulator(constant, work, lambda *_: None),
        ),
        Server("gateway", "ours, waitress", disk, lambda work: measure_service(service, work)),
    )
    return [server for server in servers if server.name in names]


# One round of each kind.


def measure_service(service: Service, work: Work) -> Figures:
    began = time.perf_counter()
    with started(service, work.folder) as (url, process):
        figures = {"start": time.perf_counter() - began}
        for form in FUNCTIONS:
            requests = [
                request(
                    url + service.path(form, kind), service.body(form, kind, ids), kind=kind, expected=EXPECTED[kind]
                )
                for ids, kind in asked_for(form)
            ]
            for prediction_type, ids in zip(TYPES, [groups(form)[0]] * 2, strict=True):
                answer = ask(url + service.path(form, prediction_type), service.body(form, prediction_type, ids))
                check(service.name, form, prediction_type, service.read(answer), work.reference)
            figures |= loaded(service.name, url, form, requests, connections=CONNECTIONS, seconds=work.seconds)
        figures["memory"] = sum(map(pss, tree(process.pid))) / MEGABYTE
    return figures


def measure_emulator(build: Path, work: Work, check_answer: Callable[..., None]) -> Figures:
    """check_answer: `check`, but for the function that does nothing."""
    figures: Figures = {"memory": 0.0}
    for form, function in FUNCTIONS.items():
        events = {name: event(form, name, groups(form)[0]) for name in TYPES}
        began = time.perf_counter()
        with contextlib.ExitStack() as stack:
            with on_server_cpu():
                emulator = stack.enter_context(emulated(function, function_variables(work.folder), build=build))
            answers = {name: emulator.invoke(each) for name, each in events.items()}
            figures.setdefault("start", time.perf_counter() - began)
            for name, answer in answers.items():
                check_answer("emulator", form, name, json.loads(answer["body"]), work.reference)
            url = "http://{}:{}".format(*emulator.address) + INVOCATIONS
            requests = [
                request(url, event(form, kind, ids), kind=kind, expected=EXPECTED[kind])
                for ids, kind in asked_for(form)
            ]
            # An instance has one event at a time, and the emulator does not survive a second one.
            figures |= loaded(function, url, form, requests, connections=1, seconds=work.seconds)
            figures["memory"] = max(figures["memory"], pss(emulator.pid) / MEGABYTE)
    return figures


def measure_handler(build: Path, work: Work) -> Figures:
    """The built functions' handlers, in a process each."""

    def program(form: str) -> tuple[list[str | Path], dict[str, str]]:
        function = built_function(FUNCTIONS[form], build)
        paths = [function.code, *(layer / "python" for layer in function.layers)]
        return [RUNTIMES_PYTHON, SERVICES / "lambda_in_process.py"], {
            **function.variables,
            **function_variables(work.folder),
            "MODEL_CACHE": str(work.folder / "models"),
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "LAMBDA_TASK_ROOT": str(function.code),  # by which the tracer knows that it is there
        }

    return measure_in_process("handler", program, work)


def measure_fastapi_in_process(work: Work) -> Figures:
    command: list[str | Path] = [PEERS_PYTHON, "-m", "benchmarks.studies.services.fastapi_in_process"]
    return measure_in_process("fastapi_in_process", lambda _: (command, environment(work.folder)), work)


def measure_in_process(
    name: str, program: Callable[[str], tuple[list[str | Path], dict[str, str]]], work: Work
) -> Figures:
    """program: by form, a command like lambda_in_process.py, and its variables beside this process's own."""
    figures: Figures = {"memory": 0.0}
    for form in FUNCTIONS:
        command, variables = program(form)
        began = time.perf_counter()
        with on_server_cpu():
            process = subprocess.Popen(
                [*command, str(work.seconds)],
                cwd=ROOT,
                env={**os.environ, **variables},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            json.dump({kind: [event(form, kind, ids) for ids in groups(form)] for kind in TYPES}, process.stdin)
            process.stdin.close()
            first = process.stdout.readline()
            figures.setdefault("start", time.perf_counter() - began)
            measured = process.stdout.readline()
            if process.wait(timeout=STOP_SECONDS):
                raise RuntimeError(f"{name} failed in process: its error is above.")
        finally:
            process.kill()
            process.wait()
        for kind, answer in json.loads(first).items():
            check(name, form, kind, json.loads(answer["body"]), work.reference)
        found = json.loads(measured)
        for kind, (p50, p99) in found["latency"].items():
            figures[f"{form}.{kind}.p50"] = p50 * MICROSECONDS
            figures[f"{form}.{kind}.p99"] = p99 * MICROSECONDS
        figures[f"{form}.busy"] = MICROSECONDS / found["rate"]
        figures["memory"] = max(figures["memory"], found["memory"] / MEGABYTE)
    return figures


def loaded(name: str, url: str, form: str, requests: Sequence[Request], *, connections: int, seconds: float) -> Figures:
    """Latencies in us on one connection, and us a request on `connections`, which is one over the throughput."""

    def load(share: float, connections: int) -> Load:
        found = closed_loop(url, requests, connections=connections, seconds=share * seconds, cpus=GENERATOR_CPU)
        if not found.clean:
            raise RuntimeError(f"{name} did not answer every request: {found.errors} {found.first_refusal}")
        return found

    load(WARM_UP_SHARE, connections)
    alone = load(1.0, 1)
    busy = load(BUSY_SHARE, connections) if connections > 1 else alone
    figures = {f"{form}.busy": MICROSECONDS / busy.rate}
    for kind, latency in alone.kinds.items():
        figures[f"{form}.{kind}.p50"] = latency.p50 * MICROSECONDS
        figures[f"{form}.{kind}.p99"] = latency.p99 * MICROSECONDS
    return figures


# What they are asked.


def groups(form: str) -> list[list[str]]:
    """Customers' ids: of one request each."""
    size, count = (1, 64) if form == "single" else (BATCH, 8)
    generator = np.random.default_rng(7)
    return [[str(number) for number in generator.choice(CUSTOMERS, size, replace=False)] for _ in range(count)]


def asked_for(form: str) -> Iterator[tuple[list[str], str]]:
    """Of each request, the customers' ids and the type."""
    for ids in groups(form):
        for prediction_type in TYPES:
            yield ids, prediction_type


def event(form: str, prediction_type: str, ids: list[str]) -> dict[str, Any]:
    return post("/ml/predict" if form == "single" else "/ml/predict/batch", contract_body(form, prediction_type, ids))


def ask(url: str, body: Any) -> Any:
    sent = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(sent, timeout=START_SECONDS) as response:
        return json.load(response)


def check(name: str, form: str, prediction_type: str, answer: Any, reference: dict[str, Any]) -> None:
    """Raises RuntimeError where a server's probabilities are not those of the first one, but for rounding."""
    results = [answer["result"]] if form == "single" else [each["result"] for each in answer["results"]]
    field = "churn_probability" if prediction_type == "churn" else "offer_scores"
    found = np.array([result[field] for result in results]).ravel()
    expected = reference.setdefault(f"{form}.{prediction_type}", found)
    if found.shape != expected.shape or not np.abs(found - expected).max() < ROUNDING:
        raise RuntimeError(f"{name} answers {form} {prediction_type} otherwise than the first server: {results[0]}")


# What they need.


def prepare(folder: Path, *, with_keras: bool) -> None:
    """Customers, models and cards in `folder`, as `benchmarks.studies.services` reads them."""
    generator = np.random.default_rng(5)
    drawn = np.exp(generator.normal(3, 2, (CUSTOMERS, len(DEFAULT_FEATURES))))
    np.save(folder / "customers.npy", in_domains(drawn, DEFAULT_FEATURES))
    models = sample_models.model_store().current().loaded
    for name, model in models.items():
        (folder / f"{name}.tflite").write_bytes(sample_models.model_bytes(model))
        (folder / f"{name}.json").write_bytes(to_json(model.card))
    if not with_keras:
        return
    made = subprocess.run(
        [PEERS_PYTHON, "-m", "benchmarks.studies.services.keras_models"],
        env=environment(folder),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise RuntimeError(f"The Keras models could not be made: {made.stderr[-2000:].strip()}")


def memory_build(build: Path, copy: Path, app: str) -> Path:
    """A folder like `sam build`'s, whose functions for predictions have the module `app` of services before theirs."""
    copy.mkdir()
    for each in build.iterdir():
        if each.name in FUNCTIONS.values():
            shutil.copytree(each, copy / each.name)
            (copy / each.name / "app.py").rename(copy / each.name / "function_app.py")
            shutil.copy(SERVICES / app, copy / each.name / "app.py")
            for module in ("studies/services/memory_stores.py", "sample_models.py", "wiring.py"):
                (copy / each.name / "benchmarks" / module).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(BENCHMARKS / module, copy / each.name / "benchmarks" / module)
        else:
            (copy / each.name).symlink_to(each)
    return copy


def function_variables(folder: Path) -> dict[str, str]:
    """What leads the functions to the data in `folder`, and every other setting that they need."""
    return {
        **variables(),
        "BENCH_DATA": str(folder),
        "BENCH_MODELS": str(ROOT / sample_models.FOLDER),
    }


def environment(folder: Path) -> dict[str, str]:
    """Of every process here: where the data is, nobody phones home, and one thread computes, as there is one CPU."""
    return {
        **os.environ,
        **function_variables(folder),
        "MODEL_CACHE": str(folder / "models"),
        "PYTHONPATH": str(ROOT),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_HOME": str(folder / "bentoml"),
        "POWERTOOLS_SERVICE_NAME": "loyalty-ml",
        "POWERTOOLS_METRICS_NAMESPACE": "LoyaltyML",
        "POWERTOOLS_LOG_LEVEL": "WARNING",
    }


# Processes.

CPUS = sorted(os.sched_getaffinity(0))
SERVER_CPU, GENERATOR_CPU = {CPUS[0]}, {CPUS[-1]}


@contextlib.contextmanager
def on_server_cpu() -> Iterator[None]:
    """What is started inside stays on the server's CPU."""
    os.sched_setaffinity(0, SERVER_CPU)
    try:
        yield
    finally:
        os.sched_setaffinity(0, CPUS)


@contextlib.contextmanager
def started(service: Service, folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The service's address and process, once it has answered; ended in any case, with all that it started."""
    port = free_port()
    log = folder / f"{service.name}.log"
    with log.open("wb") as output, on_server_cpu():
        process = subprocess.Popen(
            list(map(str, service.command(port, folder))),
            cwd=ROOT,
            env=environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        body = service.body("single", "churn", groups("single")[0])
        give_up_at = time.monotonic() + START_SECONDS
        while True:
            try:
                ask(url + service.path("single", "churn"), body)
                break
            except OSError:  # refused, or answered by a server that is not there yet
                if process.poll() is not None or time.monotonic() > give_up_at:
                    raise RuntimeError(f"{service.name} did not start: {log.read_text()[-2000:].strip()}") from None
                time.sleep(0.005)
        yield url, process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    all_of_it = tree(process.pid)
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    for pid in all_of_it:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def pss(pid: int) -> int:
    """Bytes of memory that a process holds: what several share is split between them."""
    found = re.search(r"^Pss: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return 1024 * int(found[1])


def size_of(folder: Path) -> int:
    """Bytes of the files below, without bytecode, as benchmarks.studies.services.installed counts."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts)


# What is told.

COLUMNS = {
    "single.churn.p50": "churn p50",
    "single.churn.p99": "p99",
    "single.nbo.p50": "nbo p50",
    "single.nbo.p99": "p99",
    "single.busy": "busy",
    "batch.churn.p50": f"{BATCH}: churn p50",
    "batch.churn.p99": "p99",
    "batch.nbo.p50": f"{BATCH}: nbo p50",
    "batch.nbo.p99": "p99",
    "batch.busy": f"{BATCH}: busy",
    "start": "start, s",
    "memory": "MB held",
    "disk": "MB on disk",
}


def print_table(figures: Mapping[str, Figures]) -> None:
    """figures: by title."""
    print(f"us a request: one customer, then {BATCH}. busy: with {CONNECTIONS} connections; a function has one.\n")
    print("| |", " | ".join(COLUMNS.values()), "|")
    print("| --- |" + " ---: |" * len(COLUMNS))
    for title, own in figures.items():
        print(f"| {title} |", " | ".join(_cell(own[name]) for name in COLUMNS), "|")


def _cell(figure: float) -> str:
    if math.isnan(figure):
        return ""
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.2g}"
