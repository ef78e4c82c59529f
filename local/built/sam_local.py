"""`make sam-local`: the built functions under real `sam local`, against the stores of this machine.

`sam local` exits with 0 where a function fails. So what counts is what it prints, and the answers: each is held against
the one that the same handler gives in this process, to the byte.
"""

import argparse
import contextlib
import gzip
import importlib
import io
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import duckdb
import requests
from werkzeug.test import Client

from local import stores, template
from local.gateway import Gateway, LambdaContext
from local.ports import free_port, why_unusable
from training import exit_code
from training.errors import Problem

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SAM = Path(".venv-sam/bin/sam")
BUILD = Path(".aws-sam/build")
WORK = Path("build/sam-local")
STORES_PORT = 4566

SILENT = "/silent"
"""Below this path the stores take a request and never answer it."""

INVOKE_SECONDS = 90
START_SECONDS = 60
STOP_SECONDS = 30

MANY_IDS = [str(number) for number in range(1, 101)]
SHOWN = 150
"""Characters of an answer in the transcript."""


@dataclass
class Transcript:
    """What is printed, check by check, and how many there were of each kind."""

    passed: int = 0
    failed: int = 0

    def command(self, command: Sequence[str]) -> None:
        print(f"\n$ {shlex.join(command)}", flush=True)

    def check(self, what: str, ok: bool, came: str) -> None:  # noqa: FBT001
        """ok: whether it is as it should be; came: what was answered, for whoever reads on."""
        self.passed, self.failed = self.passed + ok, self.failed + (not ok)
        shown = came if not ok or len(came) <= SHOWN else f"{came[:SHOWN]}... ({len(came):,} characters)"
        print(f"  {'ok    ' if ok else 'FAILED'} {what}: {shown}", flush=True)

    def summary(self) -> str:
        return f"{self.passed} passed, {self.failed} failed"


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command printed."""

    output: str
    log: str

    def answer(self) -> Any:
        """The function's answer, which is the last line of the output: None where there is none."""
        lines = self.output.strip().splitlines()
        try:
            return json.loads(lines[-1]) if lines else None
        except json.JSONDecodeError:
            return None


@dataclass
class Sam:
    """The SAM CLI with what each of its commands needs: the engine's options and the environment."""

    options: tuple[str, ...]
    transcript: Transcript
    logs: list[Path] = field(default_factory=list)

    def command(self, *arguments: str, template_name: str, variables: str) -> list[str]:
        files = ("--template", str(WORK / template_name), "--env-vars", str(WORK / variables))
        return [str(SAM), "local", *arguments, *files, *self.options]

    def invoke(
        self, function: str, event: Path, *, template_name: str = "template.json", variables: str = "variables.json"
    ) -> Ran:
        """Raises Problem where `sam local invoke` does not end."""
        command = self.command(
            "invoke", function, "--event", str(event), template_name=template_name, variables=variables
        )
        self.transcript.command(command)
        with self.started(command) as (process, output, log):
            try:
                process.wait(INVOKE_SECONDS)
            except subprocess.TimeoutExpired:
                raise Problem(f"`sam local invoke {function}` did not end in {INVOKE_SECONDS} s: see {log}.") from None
        return Ran(output.read_text(), log.read_text())

    @contextlib.contextmanager
    def started(self, command: Sequence[str]) -> Iterator[tuple[subprocess.Popen[bytes], Path, Path]]:
        """The running command, the file of its output and that of its log; it is stopped at the end."""
        number = len(self.logs)
        output, log = WORK / f"{number:02}.out", WORK / f"{number:02}.log"
        self.logs.append(log)
        environment = os.environ | {"SAM_CLI_TELEMETRY": "0"}
        with output.open("wb") as stdout, log.open("wb") as stderr:
            process = subprocess.Popen(command, stdout=stdout, stderr=stderr, env=environment)
            try:
                yield process, output, log
            finally:
                _stop(process)

    def remove_containers(self) -> None:
        """Those that a command which had to be killed has left."""
        told = {
            line.split()[-1] for log in self.logs for line in log.read_text().splitlines() if "SAM_CONTAINER_ID" in line
        }
        there = set(_docker("ps", "--all", "--quiet", "--no-trunc").split())
        if left := told & there:
            _docker("rm", "--force", *left)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.built.sam_local", description=__doc__)
    parser.add_argument("--build", type=Path, default=BUILD, help="what `sam build` made (default: %(default)s)")
    parser.add_argument(
        "--stores-port", type=int, default=STORES_PORT, help="where S3, DynamoDB and SQS answer (default: %(default)s)"
    )
    arguments = parser.parse_args()
    # A shell's background job starts with it ignored, and so would all that is started here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    transcript = Transcript()
    code = exit_code.run(
        parser.prog, lambda: work(arguments.build, arguments.stores_port, transcript), "its containers are gone"
    )
    sys.exit(code or int(transcript.failed > 0))


def work(build: Path, stores_port: int, transcript: Transcript) -> None:
    """Runs every check and prints the transcript. Raises Problem where they cannot be run."""
    if not (build / "template.yaml").exists():
        raise Problem(f"There is no {build / 'template.yaml'}: run 'make build'.")
    listens, called = addresses(_bridge_gateway(), stores_port)
    if problem := why_unusable(stores_port, listens):
        remedy = "choose another, as in 'make sam-local STORES_PORT=4567'"
        raise Problem(f"Port {stores_port} of {listens} cannot be used ({problem}): {remedy}.")
    WORK.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    moto = stores.start_moto(listens, stores_port)
    ended = threading.Event()
    try:
        assert moto._server
        moto._server.app = silent_below(SILENT, moto._server.app, ended)
        os.environ.update(stores.aws_environment(moto))
        described = template.load()
        physical_ids = stores.create(template.stores(described))
        variables = template.environment(described, physical_ids)
        folders = {"MODEL_CACHE": "model-cache", "SNAPSHOT_CACHE": "snapshot-cache", "FILE_WORK": "files"}
        os.environ.update(variables, **{variable: str(WORK / name) for variable, name in folders.items()})
        os.environ["POWERTOOLS_LOG_LEVEL"] = "CRITICAL"  # what this process prints is the transcript
        from local import demo  # noqa: PLC0415  the functions' rooms, which read the environment on import

        demo.fill(physical_ids, demo.models_folder())
        _write_files(build, variables, f"http://{called}:{stores_port}")
        print(f"S3, DynamoDB and SQS answer at {listens}:{stores_port}, for containers at {called}:{stores_port}.")
        image = os.environ.get("SAM_INVOKE_IMAGE")
        sam = Sam(("--invoke-image", image, "--skip-pull-image") if image else (), transcript)
        try:
            in_process = InProcess(described)
            _check_invocations(sam, in_process, physical_ids)
            _check_limits(sam)
            _check_api(sam, in_process)
        finally:
            sam.remove_containers()
    finally:
        ended.set()
        moto.stop()
    print(
        f"\n{transcript.summary()}, in {time.perf_counter() - started:.0f} s; what the functions logged is in {WORK}/."
    )


def addresses(bridge_gateway: str | None, port: int) -> tuple[str, str]:
    """Where the stores listen, and what containers call that, by the address that the engine's bridge gives this
    machine.

    None: there is no bridge, and a container's own loopback interface leads here.
    """
    if bridge_gateway is None:
        return "127.0.0.1", "127.0.0.1"
    with socket.socket() as probe:
        try:
            probe.bind((bridge_gateway, 0))
        except OSError:
            # The bridge is in a virtual machine, as Docker Desktop has it, which leads this name to our loopback.
            return "127.0.0.1", "host.docker.internal"
    # Containers of this machine reach that one and not its loopback; nor does anyone from without reach either.
    return bridge_gateway, bridge_gateway


def derived(built: Mapping[str, Any], folder: Path, variables: Sequence[str], **limits: Mapping[str, Any]) -> Any:
    """The built template for `sam local`: it hands a function only what the template declares as a variable.

    folder: what the built template's paths start from; limits: other properties, by the function's logical id.
    """
    copy = json.loads(json.dumps(built))
    copy["Globals"]["Function"]["Environment"]["Variables"].update(dict.fromkeys(variables, ""))
    for name, resource in copy["Resources"].items():
        properties = resource.get("Properties", {})
        for code in {"CodeUri", "ContentUri"} & properties.keys():
            properties[code] = str((folder / properties[code]).resolve())
        properties.update(limits.get(name, {}))
    return copy


def silent_below(path: str, app: "WSGIApplication", ended: threading.Event) -> "WSGIApplication":
    """The same application, but that requests below the path are answered only once it has ended."""

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Any:
        if environ["PATH_INFO"].startswith(f"{path}/"):
            ended.wait()
        return app(environ, start_response)

    return answer


class InProcess:
    """The same handlers in this process, wired to the same stores: what is right."""

    def __init__(self, described: Mapping[str, Any]) -> None:
        self._described = described
        self._handlers: dict[str, Callable[[Any, Any], Any]] = {}
        for name, function in template.functions(described).items():
            module, attribute = template.handler_of(function)
            try:
                self._handlers[name] = getattr(importlib.import_module(module), attribute)
            except Exception as error:  # whatever a module may raise
                raise Problem(f"{name} cannot be imported ({type(error).__name__}: {error}): mend it first.") from error
        gateway = Gateway(template.routes(described), self._handlers, threading.Lock())
        self._client = Client(gateway, use_cookies=False)

    def invoke(self, function: str, event: Any) -> Any:
        context = LambdaContext(function, template.timeout_of(self._described, function))
        with _quiet():
            return self._handlers[function](event, context)

    def request(self, method: str, path: str, body: bytes | None) -> tuple[int, str]:
        with _quiet():
            response = self._client.open(path, method=method, data=body, headers=JSON)
        return response.status_code, response.text


JSON = {"Content-Type": "application/json"}


def _check_invocations(sam: Sam, in_process: InProcess, physical_ids: Mapping[str, str]) -> None:
    for function, name in (
        ("PredictFunction", "predict.json"),
        ("PredictFunction", "status.json"),
        ("BatchFunction", "batch.json"),
        ("SegmentFunction", "segment-predict.json"),
    ):
        event = Path("events") / name
        answer = sam.invoke(function, event).answer() or {}
        right = in_process.invoke(function, json.loads(event.read_text()))
        same = (answer.get("statusCode"), answer.get("body")) == (right["statusCode"], right["body"])
        came = f"{answer.get('statusCode')} {answer.get('body')}"
        sam.transcript.check("status and body as in process", same and right["statusCode"] == 200, came)
    _check_statistics(sam, physical_ids["SegmentStatisticsTable"])
    _check_files(sam, in_process, physical_ids["DataBucket"])


def _check_statistics(sam: Sam, table: str) -> None:
    dynamodb = boto3.client("dynamodb")
    before = dynamodb.scan(TableName=table, Select="COUNT")["Count"]
    ran = sam.invoke("RefreshFunction", Path("events/sqs-statistics.json"))
    sam.transcript.check("the task is done", '"outcome":"done"' in ran.log, ran.output.strip() or ran.log)
    after = dynamodb.scan(TableName=table, Select="COUNT")["Count"]
    sam.transcript.check("statistics are stored", after > before, f"{before} items before, {after} after")


def _check_files(sam: Sam, in_process: InProcess, bucket: str) -> None:
    """One notification of three files, each of which is to have the results that it has in process."""
    with_sam, without = (_put_files(bucket, folder) for folder in ("sam-local", "in-process"))
    events = {}
    for folder, records in (("sam-local", with_sam), ("in-process", without)):
        events[folder] = WORK / f"s3-put-{folder}.json"
        events[folder].write_text(json.dumps({"Records": list(records.values())}, indent=2))
    ran = sam.invoke("FilesFunction", events["sam-local"])
    in_process.invoke("FilesFunction", json.loads(events["in-process"].read_text()))
    for name, record in with_sam.items():
        came, right = _results(record), _results(without[name])
        for result in sorted(right.keys() - {"summary.json"}):
            what = f"{result} of {name} as in process"
            sam.transcript.check(what, came.get(result) == right[result], f"{len(came.get(result, b'')):,} bytes")
        summary = json.loads(came.get("summary.json", b"{}"))
        counts = {part: summary.get(part, 0) for part in ("rows", "predictions", "errors")}
        adds_up = counts["rows"] == len(MANY_IDS) + 1 == counts["predictions"] + counts["errors"]
        sam.transcript.check(f"summary.json of {name} adds up", adds_up, json.dumps(counts) if came else ran.log)


def _put_files(bucket: str, folder: str) -> dict[str, dict[str, Any]]:
    """Puts a file of each kind where files are scored: by its name, what S3 tells of it."""
    ids = [*MANY_IDS, "nobody"]
    parquet = WORK / "customers.parquet"
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE customers AS SELECT unnest($ids) AS customer_id", {"ids": ids})
        connection.table("customers").write_parquet(str(parquet))
    contents = {
        "customers.csv": "".join(f"{line}\n" for line in ["customer_id", *ids]).encode(),
        "customers.jsonl.gz": gzip.compress("".join(f'{{"customer_id": "{each}"}}\n' for each in ids).encode()),
        "customers.parquet": parquet.read_bytes(),
    }
    (example,) = json.loads(Path("events/s3-put.json").read_text())["Records"]
    records = {}
    for name, content in contents.items():
        key = f"incoming/all/{folder}/{name}"
        put = boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=content)
        told = {"key": key, "size": len(content), "eTag": put["ETag"].strip('"'), "versionId": put["VersionId"]}
        s3 = example["s3"] | {"bucket": example["s3"]["bucket"] | {"name": bucket}, "object": told}
        records[name] = example | {"s3": s3}
    return records


def _results(record: Mapping[str, Any]) -> dict[str, bytes]:
    """The results of the file that S3 tells of, by name."""
    from loyalty_ml.files.source import FileSource, job_id_of  # noqa: PLC0415  after the environment is the functions'

    bucket, told = record["s3"]["bucket"]["name"], record["s3"]["object"]
    job_id = job_id_of(FileSource(bucket, told["key"], told["versionId"], told["eTag"], told["size"]))
    s3 = boto3.client("s3")
    return {
        result["Key"].rpartition("/")[2]: s3.get_object(Bucket=bucket, Key=result["Key"])["Body"].read()
        for result in s3.list_objects_v2(Bucket=bucket, Prefix=f"results/{job_id}/").get("Contents", [])
    }


def _check_limits(sam: Sam) -> None:
    for function, event, variables, told, what in (
        ("SegmentFunction", "segment-predict.json", "variables.json", "signal: killed", "out of memory"),
        ("PredictFunction", "predict.json", "variables-silent.json", "timed out after 1 seconds", "out of time"),
    ):
        ran = sam.invoke(function, Path("events") / event, template_name="template-limits.json", variables=variables)
        line = next((line for line in ran.log.splitlines() if told in line), None)
        answered = ran.output.strip()
        sam.transcript.check(
            f"{what} is told, and not answered", line is not None and not answered, answered or line or ran.log
        )


LIMITS = {"SegmentFunction": {"MemorySize": 48}, "PredictFunction": {"Timeout": 1}}
"""Less memory than the function starts in, which engines with swap double; a second for stores that do not answer."""

BASE = "/api/loyalty/v1"


def _requests() -> Iterator[tuple[int, str, str, bytes | None]]:
    """Status, method, path and body of what the API is asked."""

    def post(status: int, path: str, body: Any) -> tuple[int, str, str, bytes | None]:
        return status, "POST", path, json.dumps(body).encode()

    yield 200, "GET", "/health", None
    yield 200, "GET", "/health/", None
    yield 200, "GET", "/config/ml/status", None
    yield 200, "GET", "/config/ml/status/", None
    for kind in ("churn", "nbo", "rfm"):
        yield post(200, "/ml/predict", {"customer_id": "7", "type": kind})
    yield post(200, "/ml/predict/", {"customer_id": "7"})
    yield post(200, "/config/ml/test/", {"customer_ids": ["1", "nobody"]})
    yield post(404, "/ml/predict", {"customer_id": "nobody"})
    yield post(400, "/ml/predict", {"customer_id": "7", "type": "weather"})
    yield 400, "POST", "/ml/predict/", b"{"
    for kind in ("churn", "nbo", "rfm"):
        yield post(200, "/ml/predict/batch", {"customer_ids": MANY_IDS, "type": kind})
    yield post(200, "/ml/predict/batch/", {"customer_ids": MANY_IDS})
    yield post(400, "/ml/predict/batch", {"customer_ids": [*MANY_IDS, "101"]})
    yield 200, "GET", "/ml/jobs", None
    yield 200, "GET", "/segments", None
    yield post(200, "/segments/high-value/ml/predict", {"type": "churn"})
    yield post(200, "/segments/high-value/ml/predict/?top=50&offer=3", {"type": "nbo"})
    yield 200, "GET", "/segments/high-value/ml/stats/", None
    yield post(404, "/segments/nobody/ml/predict", {"type": "churn"})


def _check_api(sam: Sam, in_process: InProcess) -> None:
    port = free_port()
    command = sam.command(
        "start-api",
        "--port",
        str(port),
        "--warm-containers",
        "LAZY",
        "--no-watch",
        template_name="template.json",
        variables="variables.json",
    )
    sam.transcript.command(command)
    with sam.started(command) as (process, _, log):
        _wait_until_listening(process, port, log)
        for status, method, path, body in _requests():
            try:
                came = requests.request(
                    method, f"http://127.0.0.1:{port}{BASE}{path}", data=body, headers=JSON, timeout=INVOKE_SECONDS
                )
            except requests.RequestException as error:
                raise Problem(f"`sam local start-api` did not answer {method} {path} ({error}): see {log}.") from error
            right = in_process.request(method, f"{BASE}{path}", body)
            same = (came.status_code, came.text) == right and came.status_code == status
            asked = f"{method} {path} {(body or b'').decode()[:60]}".rstrip()
            sam.transcript.check(asked, same, f"{came.status_code} {came.text}")


def _wait_until_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    give_up_at = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up_at and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise Problem(f"`sam local start-api` does not answer: see {log}.")


def _write_files(build: Path, variables: Mapping[str, str], endpoint: str) -> None:
    """What the commands of `sam local` are given: templates, and the values of their variables."""
    built = template.load(build / "template.yaml")
    aws = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": os.environ["AWS_ACCESS_KEY_ID"],
        "AWS_SECRET_ACCESS_KEY": os.environ["AWS_SECRET_ACCESS_KEY"],
        "AWS_DEFAULT_REGION": os.environ["AWS_DEFAULT_REGION"],
        "AWS_REGION": os.environ["AWS_DEFAULT_REGION"],
    }
    silent = aws | {"AWS_ENDPOINT_URL": endpoint + SILENT}
    for name, content in {
        "template.json": derived(built, build, list(aws)),
        "template-limits.json": derived(built, build, list(aws), **LIMITS),
        "variables.json": {"Parameters": {**variables, **aws}},
        "variables-silent.json": {"Parameters": {**variables, **silent}},
    }.items():
        (WORK / name).write_text(json.dumps(content, indent=2))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What a function or the gateway prints is not the transcript's."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def _stop(process: subprocess.Popen[bytes]) -> None:
    """As Ctrl-C does, so that the containers go too; killed where that does not end it."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False).stdout


def _bridge_gateway() -> str | None:
    """The address that the engine's bridge gives this machine; None where it has no bridge."""
    try:
        answers = subprocess.run(["docker", "version"], capture_output=True, check=False, timeout=30).returncode == 0
    except (FileNotFoundError, subprocess.TimeoutExpired):
        answers = False
    if not answers:
        raise Problem("No container engine answers `docker version`: start Docker, then run 'make sam-local' again.")
    return _docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}").strip() or None


if __name__ == "__main__":
    main()
