"""Jobs: listed, followed, and a file scored by one: announced, uploaded, waited for, and its results downloaded."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

import httpx

from loyalty_client import errors, reading
from loyalty_client.answers import JobAnswer, JobListed, JobSummary
from loyalty_client.calls import Calls
from loyalty_client.codes import BY_CODE, InvalidRequest
from loyalty_client.reading import field
from loyalty_client.steps import Download, Pause, Plan, Request, Upload, segment_of_path

WAITING = ("awaiting_upload", "queued", "running")
BETWEEN_LOOKS = 2.0
"""Seconds between two looks at a job, if the service does not say."""
COMPRESSIONS = (".gz", ".zst", ".bz2", ".xz")
"""Endings of a name that follow the format's: the service says which of them it reads."""
_CODE = re.compile(r"<Code>(\w+)</Code>")
Told = Callable[[Mapping[str, Any]], None]
"""Told what a job has come to, each time that it is looked at."""


@dataclass(frozen=True, slots=True)
class ScoredFile:
    """What became of a file.

    summary: the service's counts: rows = predictions + errors.
    files:   the results that were downloaded, by name: `predictions`, `errors` and `summary`.
    """

    job_id: str
    status: str
    summary: JobSummary
    files: Mapping[str, Path]


@dataclass(frozen=True, slots=True)
class FileTask:
    """A file to score, as `Loyalty.score_file` is told."""

    path: Path
    type: str
    keep: Sequence[str] | str
    explain: bool
    into: Path
    seconds: float | None
    idempotency_key: str | None


def jobs(calls: Calls, status: str | None, limit: int) -> Plan[list[JobListed]]:
    """The newest jobs first, at most `limit`."""
    found: list[JobListed] = []
    token: str | None = None
    while len(found) < limit:
        page = yield from calls.get("/ml/jobs", limit=min(100, limit - len(found)), status=status, next=token)
        found += field(page, "jobs", list)
        token = page.get("next")
        if not token:
            break
    return found[:limit]


def job(calls: Calls, job_id: str) -> Plan[JobAnswer]:
    answer: JobAnswer = yield from calls.answer(_look(job_id))
    return answer


def wait(calls: Calls, job_id: str, seconds: float | None, told: Told) -> Plan[JobAnswer]:
    """The job once it has ended. Raises JobUnfinished after so many seconds, and its own error if it failed."""
    waited = 0.0
    while True:
        response, found = yield from calls.respond(_look(job_id))
        told(found)
        if field(found, "status", str) not in WAITING:
            break
        if seconds is not None and waited >= seconds:
            raise errors.JobUnfinished(
                f"The job {job_id} is {found['status']} after {waited:.0f} seconds, and goes on: resume('{job_id}') "
                "waits for it again.",
                job_id,
            )
        pause = reading.retry_after(response)
        if pause is None:
            pause = BETWEEN_LOOKS
        if seconds is not None:
            pause = min(pause, seconds - waited)
        yield Pause(pause)
        waited += pause
    if found["status"] == "failed":
        raise _failure(found)
    ended: JobAnswer = found  # type: ignore[assignment]  # as it is described
    return ended


def score_file(calls: Calls, task: FileTask, told: Told) -> Plan[ScoredFile]:
    path, size = task.path, task.path.stat().st_size
    body: dict[str, Any] = {"type": task.type, "format": format_of(path)}
    if task.keep:
        body["keep"] = task.keep if isinstance(task.keep, str) else list(task.keep)
    if task.explain:
        body["explain"] = True
    try:
        announced = yield from calls.start_job(body, task.idempotency_key)
    except InvalidRequest as error:
        if all(each.get("field") != "format" for each in error.details.get("fields", ())):
            raise
        raise InvalidRequest(
            f"The ending of {path.name} is no format that the service reads. {error.message}",
            details=error.details,
            status=error.status,
            correlation_id=error.correlation_id,
        ) from error
    told(announced)
    job_id = field(announced, "job_id", str)
    upload = field(announced, "upload", dict)
    if size > (largest := upload.get("max_bytes", size)):
        raise errors.TransferFailed(
            f"{path} has {size:,} bytes, but an upload has at most {largest:,}: split it into several files.", job_id
        )
    yield from _upload(path, upload, job_id)
    return (yield from resume(calls, job_id, task.into, task.seconds, told))


def resume(calls: Calls, job_id: str, into: Path, seconds: float | None, told: Told) -> Plan[ScoredFile]:
    """Waits for a job of files and downloads its results into a folder."""
    ended = yield from wait(calls, job_id, seconds, told)
    files = yield from download(calls, ended, into)
    return ScoredFile(job_id, ended["status"], field(ended, "summary", dict), files)


def download(calls: Calls, ended: JobAnswer, into: Path) -> Plan[dict[str, Path]]:
    """The job's results as files of a folder, by name. Raises TransferFailed."""
    into.mkdir(parents=True, exist_ok=True)
    job_id = field(ended, "job_id", str)
    files: dict[str, Path] = {}
    for name in ended.get("results", {}):
        for tries in count(1):
            result = field(field(ended, "results", dict), name, dict)
            path = into / PurePosixPath(field(result, "key", str)).name
            error = yield from _fetch(field(result, "url", str), path)
            if error is None:
                files[name] = path
                break
            seconds = calls.retries.wait(tries, error)
            if seconds is None:
                raise errors.TransferFailed(
                    f"{name} of the job {job_id} was not downloaded: {error} resume('{job_id}') does it again.", job_id
                ) from error
            yield Pause(seconds)
            ended = yield from job(calls, job_id)  # for other addresses: one is good for a quarter of an hour
    return files


def answer_of(ended: JobAnswer) -> Any:
    """The answer of a job of a segment."""
    return field(ended, "answer", dict)


def format_of(path: Path) -> str:
    """A file's format, by the endings of its name: "csv.gz". The service says if it does not know it."""
    endings = path.suffixes[-2:] if path.suffix.lower() in COMPRESSIONS else path.suffixes[-1:]
    return "".join(endings).lower().removeprefix(".") or "none"


def folder_for(path: Path, prediction_type: str) -> Path:
    """Where a file's results go if nothing is said: customers.csv has customers-churn/ beside it."""
    return path.with_name(f"{path.name.partition('.')[0]}-{prediction_type}")


def _upload(path: Path, upload: Mapping[str, Any], job_id: str) -> Plan[None]:
    """Sent once: a second file of the same job would be scored, too."""
    try:
        response: httpx.Response = yield Upload(field(upload, "url", str), field(upload, "fields", dict), path)
    except httpx.HTTPError as problem:
        raise errors.TransferFailed(
            f"The upload of {path} broke off: {reading.no_connection(problem)} If the job {job_id} still awaits its "
            "file then, send the file as another job.",
            job_id,
        ) from problem
    if not response.is_success:
        raise errors.TransferFailed(f"{path} was not uploaded: {_of_store(response)} Send it as another job.", job_id)


def _fetch(url: str, path: Path) -> Plan[errors.LoyaltyError | None]:
    try:
        response: httpx.Response = yield Download(url, path)
    except httpx.HTTPError as problem:
        return reading.no_connection(problem)
    return None if response.status_code == httpx.codes.OK else _of_store(response)


def _of_store(response: httpx.Response) -> errors.GatewayUnavailable:
    """What S3 says, in its XML."""
    code = _CODE.search(response.text)
    return errors.GatewayUnavailable(
        f"The store answered {response.status_code}{f' {code[1]}' if code else ''}.", response.status_code
    )


def _failure(ended: Mapping[str, Any]) -> errors.ServiceError:
    code, sentence = field(ended, "code", str), field(ended, "error", str)
    error = BY_CODE.get(code, errors.ServiceError)(sentence, code)
    error.job = ended
    return error


def _look(job_id: str) -> Request:
    return Request("GET", f"/ml/jobs/{segment_of_path(job_id)}")
