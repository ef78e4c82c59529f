"""python -m training.score_dataset: every file below a prefix of the data bucket scored, by AWS Step Functions."""

import argparse
import json
import sys
from time import sleep
from typing import TYPE_CHECKING, Any, get_args

import boto3
from tqdm import tqdm

from loyalty_ml.datasets.start import DatasetJobs
from loyalty_ml.errors import LoyaltyError, StoreUnavailable
from loyalty_ml.jobs.contracts import DATASETS
from loyalty_ml.jobs.store import JobStore
from loyalty_ml.segments.store import SegmentStore
from loyalty_ml.telemetry import logger
from loyalty_ml.vocabulary import FileType
from training.commands import Problem, run

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef

SECONDS_BETWEEN_LOOKS = 2.0


def main(arguments: list[str] | None = None) -> int:
    options = _arguments(arguments)
    return run(
        "score_dataset",
        lambda: _score(options),
        "what has been started goes on: GET /ml/jobs shows it, and 'aws stepfunctions stop-execution' ends it.",
        f"{options.bucket}, {options.jobs_table} or the state machine",
    )


def _score(options: argparse.Namespace) -> None:
    s3, stepfunctions = boto3.client("s3"), boto3.client("stepfunctions")
    datasets = _dataset_jobs(options, stepfunctions)
    try:
        job_id = datasets.start({"type": options.type, "prefix": options.prefix}).job_id
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
    body = s3.get_object(Bucket=options.bucket, Key=f"results/{job_id}/summary.json")["Body"].read()
    summary = json.loads(body)
    print("\n".join(_report(summary, options.bucket)))
    if summary["failed"]:
        raise Problem(
            f"{summary['failed']:,} of {summary['file_count']:,} files could not be scored: that list says why of each."
        )


def _dataset_jobs(options: argparse.Namespace, stepfunctions: "SFNClient") -> DatasetJobs:
    s3, sqs, dynamodb = boto3.client("s3"), boto3.client("sqs"), boto3.client("dynamodb")
    return DatasetJobs(
        # Neither queue nor table of segments is used: what is started here are files that are there.
        JobStore(dynamodb, s3, sqs, table=options.jobs_table, bucket=options.bucket, queue_url=""),
        SegmentStore(dynamodb, ""),
        s3,
        sqs,
        stepfunctions,
        bucket=options.bucket,
        state_machine_arn=options.state_machine,
        segment_queue_url="",
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


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training.score_dataset",
        description="Scores every file below a prefix of the data bucket, many at a time, follows it to its end and "
        "says where the results are. Ctrl-C ends the following, not the scoring.",
        epilog="Example: python -m training.score_dataset --bucket my-data --jobs-table my-jobs --state-machine "
        "arn:aws:states:eu-west-1:123456789012:stateMachine:loyalty-ml-score-dataset --prefix datasets/2026-11/ "
        "--type churn",
    )
    parser.add_argument("--bucket", required=True, help="the data bucket, DataBucketName among the stack's outputs")
    parser.add_argument("--jobs-table", required=True, help="JobsTableName among the stack's outputs")
    parser.add_argument("--state-machine", required=True, help="DatasetStateMachineArn among the stack's outputs")
    parser.add_argument("--prefix", required=True, help=f"what the files' keys begin with, {DATASETS} and more")
    parser.add_argument("--type", choices=get_args(FileType), default="churn", help="default: %(default)s")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    logger.setLevel("CRITICAL")  # a function's log has what the command itself says
    sys.exit(main())
