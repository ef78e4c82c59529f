"""What the state machine of datasets asks of the files function: one file scored, and in the end the sum of all.

A file that cannot be scored, whoever tries, is answered with the reason and counted. What may work later is raised, and
tried again by the state machine (statemachines/score_dataset.asl.yaml).
"""

import csv
import math
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import orjson

from loyalty_ml.aws.errors import asking
from loyalty_ml.datasets.start import SEGMENT_COPIES
from loyalty_ml.errors import InvalidFile, NoPredictions
from loyalty_ml.files import object_versions
from loyalty_ml.files.service import FileService, Ran
from loyalty_ml.files.source import FileJobRequest, job_id_of, no_data
from loyalty_ml.jobs.store import JobStore
from loyalty_ml.telemetry import logger, write_trouble

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient

RETRIES = 4
"""Of a worker that failed, as in the state machine: the failure of the last one is recorded as the file's."""

WORKER_DIED = "WORKER_DIED"
"""The code of a file whose workers failed or were killed, each of them."""

STOPPED = "DATASET_STOPPED"
"""The code of a dataset's job whose execution did not come to its end."""

COUNTS = ("rows", "predictions", "errors")
# None begins with what a spreadsheet takes for a formula: keys begin with datasets/, sentences as sentences do.
COLUMNS = ("key", "job_id", "status", *COUNTS, "code", "error")

_READ_BYTES = 1_000_000

_GONE = "It was deleted or replaced before it could be scored: score what is there now as a dataset of its own."


class DatasetTasks:
    """The tasks of one deployment."""

    def __init__(
        self, files: FileService, jobs: JobStore, s3: "S3Client", stepfunctions: "SFNClient", *, bucket: str
    ) -> None:
        self._files = files
        self._jobs = jobs
        self._s3 = s3
        self._stepfunctions = stepfunctions
        self._bucket = bucket

    def score_item(self, event: Mapping[str, Any], remaining: Callable[[], float]) -> dict[str, Any]:
        """Scores the file of an item of the map as it was when it was listed, or as much of it as there is time for.

        event:      {"job_id", "type", "request": {"keep", "explain", ...}, "item": {"Key", "Etag", ...}, "retries"};
                    job_id and request are the dataset's.
        remaining:  seconds left of this invocation.
        Gives {"status", "key", "job_id", "rows", "predictions", "errors"}, job_id being the file's. status is one of
        - "succeeded";
        - "failed", for good, with "code" and "error", and counts if it was read to its end;
        - "skipped", with the same: known to be no data file;
        - "unfinished": to be called again at once;
        - "running": another worker has the file; to be called again after "wait" seconds.
        Raises what FileService.score does, and StoreUnavailable.
        """
        item = event["item"]
        key: str = item["Key"]
        if reason := no_data(key):
            return _not_scored("skipped", key, None, InvalidFile.code, reason)
        etag = item["Etag"] if "Etag" in item else item["ETag"]  # as Step Functions writes it, and as S3 does
        source = object_versions.find_version(self._s3, self._bucket, key, etag.strip('"'))
        if source is None:
            return _not_scored("failed", key, None, InvalidFile.code, _GONE)
        dataset, is_share = event["job_id"], key.startswith(SEGMENT_COPIES)
        request = event.get("request", {})
        job = FileJobRequest(
            source,
            event["type"],
            job_id_of(source, dataset),
            dataset,
            is_share=is_share,
            keep=tuple(request.get("keep", ())),
            explain=request.get("explain", False),
        )
        is_last = event["retries"] >= RETRIES
        ran = self._files.score(job, remaining=remaining, on_beat=_no_message_to_hide, is_last=is_last)
        return _outcome(key, ran)

    def summarise(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Lists what became of each file, adds up, and records that the dataset is done. May be called again.

        event: {"job_id", "type", "prefix", "map": the map's result, "execution": its ARN}.
        Writes results/{job_id}/files.csv, a line a file, and results/{job_id}/summary.json, which is given back.
        Raises RuntimeError where files or rows are missing or doubled, and StoreUnavailable.
        """
        job_id, bucket = event["job_id"], self._bucket
        keys = {"summary": f"results/{job_id}/summary.json", "files": f"results/{job_id}/files.csv"}
        files, codes = Counter[str](), Counter[str]()
        counts: Counter[str] = Counter(dict.fromkeys(COUNTS, 0))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "files.csv")
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
                writer.writeheader()
                for answer in self._answers(event["map"]):
                    files[answer["status"]] += 1
                    if answer["status"] == "failed":
                        codes[answer["code"]] += 1
                    counts.update({name: answer[name] for name in COUNTS})
                    writer.writerow(answer)
            _check(files, counts, self._listed(event["execution"]))
            with asking("results", "The list of the dataset's files cannot be written to the data bucket"):
                self._s3.upload_file(
                    str(path), bucket, keys["files"], ExtraArgs={"ContentType": "text/csv; charset=utf-8"}
                )
        summary = {
            "job_id": job_id,
            **_status(files, codes, counts),
            "type": event["type"],
            "prefix": event["prefix"],
            "file_count": files.total(),
            **{status: files[status] for status in ("succeeded", "failed", "skipped")},
            **counts,
            "files": keys,
        }
        with asking("results", "The dataset's summary cannot be written to the data bucket"):
            self._s3.put_object(
                Bucket=bucket,
                Key=keys["summary"],
                Body=orjson.dumps(summary, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE),
                ContentType="application/json",
            )
        self._jobs.finish(job_id, summary)
        return summary

    def stopped(self, event: Mapping[str, Any]) -> None:
        """Records that a dataset's execution failed, timed out or was aborted.

        event: EventBridge's of Step Functions; its cause is left to the log, as it may show the inside of a function.
        A redrive that comes to the end replaces this by its success.
        """
        detail = event["detail"]
        reason = detail.get("error") or detail["status"]
        cause = detail.get("cause")
        logger.error("A dataset was not scored to its end", job_id=detail["name"], reason=reason, cause=cause)
        if detail["status"] != "ABORTED":  # which somebody has asked for
            write_trouble("dataset", job_id=detail["name"])
        self._jobs.fail(
            detail["name"],
            STOPPED,
            f"The dataset was not scored to its end ({reason}): see the execution {detail['executionArn']}, mend what "
            "it names and redrive it, which keeps what is done.",
        )

    def _listed(self, execution_arn: str) -> int:
        """How many files the map was given."""
        with asking("state_machine", "The dataset's map cannot be asked how many files it had"):
            runs = self._stepfunctions.list_map_runs(executionArn=execution_arn)["mapRuns"]
            described = [self._stepfunctions.describe_map_run(mapRunArn=run["mapRunArn"]) for run in runs]
        return sum(run["itemCounts"]["total"] for run in described)

    def _answers(self, result: Any) -> Iterator[Mapping[str, Any]]:
        """What became of each file: from the map's result, which is either a list of answers or names a manifest in S3.

        Of a child that failed a list has null, and the manifest's files have what it was given.
        """
        if isinstance(result, list):
            for answer in result:
                yield answer or _not_scored("failed", "", None, WORKER_DIED, "Its workers failed; the log says why.")
            return
        place = result["ResultWriterDetails"]
        with asking("results", "The results of the dataset's map cannot be read from the data bucket"):
            manifest = orjson.loads(self._s3.get_object(Bucket=place["Bucket"], Key=place["Key"])["Body"].read())
            for files in manifest["ResultFiles"].values():
                for file in files:
                    content = self._s3.get_object(Bucket=manifest["DestinationBucket"], Key=file["Key"])["Body"]
                    yield from map(_answer_of, filter(None, content.iter_lines(_READ_BYTES)))


def _outcome(key: str, ran: Ran) -> dict[str, Any]:
    answer = _answer("unfinished", key, ran.job_id)
    match ran.outcome, ran.summary:
        case "unfinished", _:
            return answer
        case "running", _:
            return {**answer, "status": "running", "wait": math.ceil(ran.lease_left) + 1}
        case "finished", {"status": "succeeded", **summary}:
            return {**answer, "status": "succeeded", **{name: summary[name] for name in COUNTS}}
        case "finished", {"status": "failed", "code": code, "error": error, **summary}:
            counts = {name: summary[name] for name in COUNTS if name in summary}
            return {**_not_scored("failed", key, ran.job_id, code, error), **counts}
    raise RuntimeError(f"The job {ran.job_id} is finished, but has no summary: check its item in the jobs table.")


def _status(files: Counter[str], codes: Counter[str], counts: Counter[str]) -> dict[str, str]:
    """What a dataset came to, and if not all of its data was scored why, in a word and in a sentence."""
    if not counts["predictions"]:
        listed = ", ".join(f"{files[status]:,} {status}" for status in ("succeeded", "failed", "skipped"))
        mostly = f", mostly because of {codes.most_common(1)[0][0]}" if codes else ""
        return {
            "status": "failed",
            "code": NoPredictions.code,
            "error": f"Nobody has an answer: of {files.total():,} files {listed}{mostly}; {counts['errors']:,} of "
            f"{counts['rows']:,} rows are errors. files.csv says why of each file: correct them, and score them again.",
        }
    if codes:
        code, count = codes.most_common(1)[0]
        return {
            "status": "partly_failed",
            "code": code,
            "error": f"{files['failed']:,} of {files.total():,} files could not be scored, {count:,} of them because "
            f"of {code}. files.csv says why of each: correct them, and score them as a dataset of their own.",
        }
    return {"status": "succeeded"}


def _check(files: Counter[str], counts: Counter[str], listed: int) -> None:
    if files.total() != listed:
        raise RuntimeError(f"Of {listed:,} files listed {files.total():,} have come back: redrive the execution.")
    if counts["rows"] != counts["predictions"] + counts["errors"]:
        raise RuntimeError(
            f"{counts['rows']:,} rows are not {counts['predictions']:,} predictions and {counts['errors']:,} errors: "
            "look in the list of files for the one that does not add up."
        )


def _answer_of(line: bytes) -> Mapping[str, Any]:
    """What became of a file, from the line of its child execution."""
    child = orjson.loads(line)
    if child["Status"] == "SUCCEEDED":
        answer: Mapping[str, Any] = orjson.loads(child["Output"])
        return answer
    key = orjson.loads(child["Input"])["item"]["Key"]
    reason = child.get("Error") or child["Status"]
    sentence = (
        f"Its workers failed again and again ({reason}); the log says why. Score it by itself once that is mended."
    )
    return _not_scored("failed", key, None, WORKER_DIED, sentence)


def _answer(status: str, key: str, job_id: str | None) -> dict[str, Any]:
    return {"status": status, "key": key, "job_id": job_id, **dict.fromkeys(COUNTS, 0)}


def _not_scored(
    status: Literal["failed", "skipped"], key: str, job_id: str | None, code: str, error: str
) -> dict[str, Any]:
    return {**_answer(status, key, job_id), "code": code, "error": error}


def _no_message_to_hide(_: float) -> None:
    """Step Functions waits for as long as it takes."""
