"""loyalty jobs: the jobs of a service, or one of them followed to its end, and its results."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.cli.command import Command
from training.cli.service import connection
from training.errors import Problem
from training.table import table

STATUSES = ("awaiting_upload", "queued", "running", "succeeded", "partly_failed", "failed")
MOST = 1000


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 1 to {MOST}")
    return int(text)


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("job_id", nargs="?", metavar="JOB", help="the job to show; without it, the newest are listed")
    parser.add_argument("--status", choices=STATUSES, help="list only these")
    parser.add_argument("--limit", type=_count, default=20, metavar="N", help="list so many (default: %(default)s)")
    parser.add_argument("--wait", action="store_true", help="of one job: wait until it has ended")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="of one job of files: wait for it and download its results into DIR"
    )
    connection.add_arguments(parser)


def _mistake(chosen: Namespace) -> str:
    if chosen.job_id is None and (chosen.wait or chosen.out):
        return "--wait and --out need the job's id"
    if chosen.job_id is not None and chosen.status:
        return "--status is for the list: leave it out, or the job's id"
    return ""


def _jobs(chosen: Namespace) -> None:
    with connection.service(chosen) as loyalty:
        if chosen.job_id is None:
            listed = loyalty.jobs(status=chosen.status, limit=chosen.limit)
            if chosen.json:
                connection.print_json(listed)
            else:
                print(table([HEADINGS, *map(_line, listed)]))
            return
        files: Mapping[str, Path] = {}
        if chosen.out:
            files = loyalty.resume(chosen.job_id, chosen.out).files
        elif chosen.wait:
            loyalty.wait(chosen.job_id)
        job = loyalty.job(chosen.job_id)
        if chosen.json:
            connection.print_json(job)
        else:
            print(table([HEADINGS, _line(job)]))
            for name, path in sorted(files.items()):
                print(f"{name}: {path}")
        if "error" in job:
            raise Problem(f"{job['error']} ({job['code']})")


HEADINGS = ("job", "kind", "status", "done", "errors", "created", "asked for")


def _line(job: Mapping[str, Any]) -> tuple[str, ...]:
    progress = job["progress"]
    total = "" if progress["total"] is None else f" of {progress['total']:,}"
    asked = job["request"]
    what = next((asked[name] for name in ("segment_id", "prefix", "key", "format") if asked.get(name)), "")
    return (
        job["job_id"],
        job["kind"],
        job["status"],
        f"{progress['processed']:,}{total}",
        f"{progress['errors']:,}" if "errors" in progress else "",
        job["created"],
        f"{asked.get('type', '')} {what}".strip(),
    )


COMMAND = Command(
    name="jobs",
    summary="list a service's jobs, or follow one and fetch its results",
    description="Lists the newest jobs of a running service; or shows one, waits for its end, and downloads its "
    "results. The exit code of one job is 0 only if it has not failed.",
    example="0123456789abcdef0123456789abcdef --out results",
    add_arguments=_add_arguments,
    work=_jobs,
    when_stopped=lambda _: "the job goes on.",
    mistake=_mistake,
    needs=connection.NEEDS,
)
