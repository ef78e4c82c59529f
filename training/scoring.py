"""Every file below a prefix of the data bucket scored, by AWS Step Functions."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import sleep
from typing import TYPE_CHECKING, Any

import boto3
from tqdm import tqdm

from loyalty_ml.datasets.start import DatasetJobs
from loyalty_ml.errors import LoyaltyError, StoreUnavailable
from loyalty_ml.jobs.store import JobStore
from loyalty_ml.telemetry import logger
from loyalty_ml.vocabulary import FileType
from training.errors import Problem

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef

SECONDS_BETWEEN_LOOKS = 2.0


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a dataset is scored by: names from the stack's outputs."""

    bucket: str
    jobs_table: str
    state_machine: str


def score_dataset(
    deployment: Deployment, prefix: str, file_type: FileType, keep: tuple[str, ...] = (), *, explain: bool = False
) -> None:
    """Starts the scoring, follows it to its end and says where the results are.

    Raises Problem if there is nothing to score, a file could not be scored or nobody has an answer, and botocore's
    errors.
    """
    s3, stepfunctions = boto3.client("s3"), boto3.client("stepfunctions")
    datasets = _dataset_jobs(deployment, stepfunctions)
    try:
        with _functions_log_silent():
            job_id = datasets.start(file_type, prefix, keep, explain=explain).job_id
    except StoreUnavailable as error:
        raise error.__cause__ or error from None  # as every command here says it, and not as a function does
    except LoyaltyError as error:
        raise Problem(error.message) from error
    execution_arn = datasets.execution_arn(job_id)
    print(f"Job {job_id}, execution {execution_arn}.", flush=True)
    ended = _follow(stepfunctions, execution_arn)
    if ended["status"] != "SUCCEEDED":
        raise Problem(
            f"The execution ended as {ended['status']} ({ended.get('error', 'no error is named')}). Once mended, go on "
            f"with what is not done: aws stepfunctions redrive-execution --execution-arn {execution_arn}"
        )
    body = s3.get_object(Bucket=deployment.bucket, Key=f"results/{job_id}/summary.json")["Body"].read()
    summary = json.loads(body)
    print("\n".join(_report(summary, deployment.bucket)))
    if summary["status"] != "succeeded":
        raise Problem(summary["error"])


def _dataset_jobs(deployment: Deployment, stepfunctions: "SFNClient") -> DatasetJobs:
    s3 = boto3.client("s3")
    return DatasetJobs(
        JobStore(boto3.client("dynamodb"), s3, table=deployment.jobs_table, bucket=deployment.bucket),
        s3,
        stepfunctions,
        bucket=deployment.bucket,
        state_machine_arn=deployment.state_machine,
    )


def _follow(stepfunctions: "SFNClient", execution_arn: str) -> "DescribeExecutionOutputTypeDef":
    """Shows how many of the files are done until the execution has ended, however it did."""
    with tqdm(unit=" files", desc="Scoring", disable=None) as bar:
        while True:
            execution = stepfunctions.describe_execution(executionArn=execution_arn)
            for listed in stepfunctions.list_map_runs(executionArn=execution_arn)["mapRuns"]:
                counts = stepfunctions.describe_map_run(mapRunArn=listed["mapRunArn"])["itemCounts"]
                bar.total = counts["total"]
                bar.update(counts["total"] - counts["pending"] - counts["running"] - bar.n)
            if execution["status"] not in ("RUNNING", "PENDING_REDRIVE"):
                return execution
            sleep(SECONDS_BETWEEN_LOOKS)


def _report(summary: dict[str, Any], bucket: str) -> list[str]:
    return [
        f"{summary['file_count']:,} files: {summary['succeeded']:,} succeeded, {summary['failed']:,} failed, "
        f"{summary['skipped']:,} skipped.",
        f"{summary['rows']:,} rows: {summary['predictions']:,} predictions, {summary['errors']:,} errors.",
        f"What became of each file, and its job: s3://{bucket}/{summary['files']['files']}",
        f"A file's results: s3://{bucket}/results/JOB_ID/, by the job_id in that list.",
    ]


@contextmanager
def _functions_log_silent() -> Iterator[None]:
    """A function's log line says what the command says itself."""
    functions_log = logging.getLogger(logger.name)
    before = functions_log.level
    functions_log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        functions_log.setLevel(before)
