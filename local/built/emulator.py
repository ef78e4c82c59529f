"""The built functions under AWS's own runtime on this machine: Lambda's Runtime Interface Emulator, with no container.

An emulator runs one function as one Lambda instance would: its code and layers come from the folder that `sam build`
made, its variables, time limit and memory size from the template in it, and Lambda's runtime for Python from
.venv-runtime. Nothing of this checkout, nor of .venv, is on its path.
"""

import contextlib
import http.client
import os
import platform
import queue
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from local import template

ROOT = Path(__file__).parents[2]
INVOCATIONS = "/2015-03-31/functions/function/invocations"
"""The path that an emulator takes events at, with POST."""

TIMED_OUT = "Sandbox.Timedout"
"""The type of Lambda's error where a function ran into its time limit."""

_START_SECONDS = 30
_MORE_THAN_THE_LIMIT = 60
"""Seconds that an invocation is waited for beyond its time limit: the emulator's own fault if they pass."""


class FunctionError(Exception):
    """A function that raised, ran out of time or died: what Lambda says of it, by type and message."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.type = kind
        self.message = message


@dataclass(frozen=True, slots=True)
class BuiltFunction:
    """What `sam build` made of a function: its code's folder, its layers' in the template's order, and its settings.

    variables: those of the template whose value the physical ids at hand are enough for.
    """

    name: str
    handler: str
    code: Path
    layers: tuple[Path, ...]
    variables: Mapping[str, str]
    timeout_seconds: int
    memory_mb: int


def build_folder() -> Path:
    """Where `make build` puts what is deployed. Raises FileNotFoundError where it has not run."""
    folder = ROOT / ".aws-sam" / "build"
    if not (folder / "template.yaml").exists():
        raise FileNotFoundError(f"There is nothing built in {folder}: run `make build`.")
    return folder


def built_function(function: str, build: Path, physical_ids: Mapping[str, str] = {}) -> BuiltFunction:
    """The function of this logical id, as it was built. Raises KeyError where the template has none of that name."""
    described = template.load(build / "template.yaml")
    resource = template.functions(described)[function]
    own = resource["Properties"]
    shared = template.shared_properties(described, resource)
    properties = shared | own
    variables = {}
    for part in (shared, own):
        for name, value in part.get("Environment", {}).get("Variables", {}).items():
            with contextlib.suppress(KeyError):  # of a store that there is not: Lambda would not set it empty either
                variables[name] = template.value_of(name, value, described, physical_ids)
    layers = [described["Resources"][layer["Ref"]] for part in (shared, own) for layer in part.get("Layers", [])]
    return BuiltFunction(
        name=function,
        handler=properties["Handler"],
        code=build / properties["CodeUri"],
        layers=tuple(build / layer["Properties"]["ContentUri"] for layer in layers),
        variables=variables,
        timeout_seconds=template.timeout_of(described, function),
        memory_mb=int(template.resolve(properties["MemorySize"], described, physical_ids)),
    )


class Emulator:
    """One instance of a function, that takes one event at a time. Made by `emulated`.

    function: what it runs; address: host and port of its HTTP endpoint, which takes events at INVOCATIONS, and must
    never be given a second one while the first is under way; log_file: all that the emulator and the function wrote.
    """

    def __init__(
        self, function: BuiltFunction, address: tuple[str, int], process: subprocess.Popen[bytes], log_file: Path
    ) -> None:
        self.function = function
        self.address = address
        self.log_file = log_file
        self._process = process
        self._one_at_a_time = threading.Lock()
        self._connection = http.client.HTTPConnection(*address, timeout=function.timeout_seconds + _MORE_THAN_THE_LIMIT)

    def invoke(self, event: Any) -> Any:
        """The function's answer to an event; both are what JSON can hold. The first event starts the function.

        Raises FunctionError where the function raised, ran out of time or died; the next event starts it anew then.
        """
        status, answer = self._post(orjson.dumps(event))
        if answer.startswith(b"Task timed out"):
            raise FunctionError(TIMED_OUT, answer.decode())
        decoded = orjson.loads(answer)
        if status != http.HTTPStatus.OK or (
            isinstance(decoded, dict) and {"errorType", "errorMessage"} <= set(decoded)
        ):
            raise FunctionError(decoded["errorType"], decoded["errorMessage"])
        return decoded

    @property
    def init_ms(self) -> float | None:
        """Milliseconds that the latest start of the function took; None before the first event."""
        reported = re.findall(r"INIT REPORT\(durationMs: ([\d.]+)\)", self.log())
        return float(reported[-1]) if reported else None

    @property
    def starts(self) -> int:
        """How often the function was started."""
        return self.log().count("INIT START(")

    @property
    def pid(self) -> int:
        """The function's process. Raises ProcessLookupError where none runs, as before the first event."""
        started = children(self._process.pid)
        if not started:
            raise ProcessLookupError(f"{self.function.name} has no process yet: send it an event first.")
        return started[0]

    def log(self) -> str:
        """What the emulator and the function have written until now."""
        return self.log_file.read_text(errors="replace")

    def _post(self, event: bytes) -> tuple[int, bytes]:
        with self._one_at_a_time:
            try:
                self._connection.request("POST", INVOCATIONS, event)
                response = self._connection.getresponse()
                return response.status, response.read()
            except BaseException:
                self._connection.close()
                raise

    def _wait_until_it_listens(self) -> None:
        give_up_at = time.monotonic() + _START_SECONDS
        while True:
            try:
                socket.create_connection(self.address, timeout=_START_SECONDS).close()
            except ConnectionRefusedError:
                if self._process.poll() is not None or time.monotonic() > give_up_at:
                    raise RuntimeError(f"The emulator of {self.function.name} did not start: {self.log()}") from None
                time.sleep(0.002)
            else:
                return

    def _end(self) -> None:
        self._connection.close()
        started = children(self._process.pid)
        self._process.terminate()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pid in started:  # each leads a group of its own
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


@contextlib.contextmanager
def emulated(
    function: str,
    variables: Mapping[str, str] = {},
    *,
    physical_ids: Mapping[str, str] = {},
    build: Path | None = None,
    timeout_seconds: int | None = None,
    folder: Path | None = None,
) -> Iterator[Emulator]:
    """A new instance of the function of this logical id, whose process starts with its first event, and ends here.

    variables: environment variables beside, and before, the template's: where AWS is (local.stores.aws_environment),
    and whatever is to be otherwise. physical_ids: the stack's, by logical id; a variable of the template that names
    another resource is not set. build: what `sam build` made, by default build_folder(). timeout_seconds: instead of
    the template's. folder: where its log and its /tmp are kept, by default nowhere.
    Raises FileNotFoundError where the build, the emulator or the runtime is not installed.
    """
    built = built_function(function, build or build_folder(), physical_ids)
    if timeout_seconds is not None:
        built = replace(built, timeout_seconds=timeout_seconds)
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"{function}-")))
        temporary = folder / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        ports = [stack.enter_context(_held_port()) for _ in range(2)]
        address, runtime_address = [f"127.0.0.1:{port}" for port in ports]
        log_file = folder / "log.txt"
        process = subprocess.Popen(
            [
                *(_emulator(), "--log-level", "info"),
                *("--runtime-interface-emulator-address", address, "--runtime-api-address", runtime_address),
                *(runtimes_python(), "-m", "awslambdaric", built.handler),
            ],
            cwd=built.code,
            env={**lambdas_environment(built, temporary), **built.variables, **variables},
            stdin=subprocess.DEVNULL,
            stdout=stack.enter_context(log_file.open("ab")),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        emulator = Emulator(built, ("127.0.0.1", ports[0]), process, log_file)
        stack.callback(emulator._end)
        emulator._wait_until_it_listens()
        yield emulator


class Pool:
    """Instances of one function, of which any thread may ask: each takes one event at a time, as on Lambda."""

    def __init__(self, emulators: Sequence[Emulator]) -> None:
        self.emulators = emulators
        self._free: queue.SimpleQueue[Emulator] = queue.SimpleQueue()
        for emulator in emulators:
            self._free.put(emulator)

    def invoke(self, event: Any) -> Any:
        """What Emulator.invoke says, by an instance that is free, which is waited for."""
        emulator = self._free.get()
        try:
            return emulator.invoke(event)
        finally:
            self._free.put(emulator)


@contextlib.contextmanager
def pool(function: str, size: int, variables: Mapping[str, str] = {}, **settings: Any) -> Iterator[Pool]:
    """`size` new instances of a function, each with a process and a /tmp of its own; see `emulated` for the rest.

    A `folder` gets one folder an instance: 0, 1 and so on.
    """
    folder: Path | None = settings.pop("folder", None)
    with contextlib.ExitStack() as stack:
        yield Pool(
            [
                stack.enter_context(
                    emulated(function, variables, folder=folder / str(number) if folder else None, **settings)
                )
                for number in range(size)
            ]
        )


def lambdas_environment(function: BuiltFunction, temporary: Path) -> dict[str, str]:
    """What Lambda sets for each function, and /tmp, which is each instance's own there."""
    region = template.PSEUDO_PARAMETERS["AWS::Region"]
    # The layers are one folder there, where what a later one brings replaces what an earlier one has.
    layers = [str(layer / "python") for layer in reversed(function.layers)]
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "TZ": ":UTC",
        "PYTHONPATH": os.pathsep.join(layers),
        "PYTHONDONTWRITEBYTECODE": "1",  # code and layers are read-only there
        "LAMBDA_TASK_ROOT": str(function.code),
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_SESSION_TOKEN": "local",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",  # by which the runtime knows how to write JSON
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_FUNCTION_NAME": f"{template.STACK}-{function.name}",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(function.timeout_seconds),
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",  # where nothing listens: traces are sent, and lost
        "TMPDIR": str(temporary),
        "MODEL_CACHE": str(temporary / "loyalty-models"),
        "SNAPSHOT_CACHE": str(temporary / "loyalty-snapshots"),
        "FILE_WORK": str(temporary / "loyalty-files"),
    }


def _emulator() -> Path:
    architecture = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    found = list(ROOT.glob(f".venv-sam/lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-{architecture}"))
    if not found:
        raise FileNotFoundError(f"There is no emulator of Lambda for {architecture} in .venv-sam: run `make build`.")
    return found[0]


def runtimes_python() -> Path:
    python = ROOT / ".venv-runtime" / "bin" / "python"
    if not python.exists():
        raise FileNotFoundError(f"There is no {python}, which runs Lambda's runtime: run `make .venv-runtime/stamp`.")
    return python


@contextlib.contextmanager
def _held_port() -> Iterator[int]:
    """A port of the loopback interface that nobody else is given for now, and that a child may yet listen on.

    Linux lets two sockets have one port where both ask for SO_REUSEADDR, as the emulator does, and at most one listens.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port: int = holder.getsockname()[1]
        yield port


def children(pid: int) -> list[int]:
    """The processes that any thread of this one started."""
    found: list[int] = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that ended meanwhile
            found += map(int, listed.read_text().split())
    return found
