"""The files function's wiring, made once a process: what needs DuckDB besides, which no route has."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from loyalty_ml.customers.snapshot_download import THREADS
from loyalty_ml.customers.snapshot_store import SnapshotStore
from loyalty_ml.datasets.tasks import DatasetTasks
from loyalty_ml.errors import LoyaltyError
from loyalty_ml.files.service import FileService, Ran
from loyalty_ml.files.source import FileJobRequest, FileSource
from loyalty_ml.wiring.runtime import file_job_store, job_store, model_store, settings, stepfunctions

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@cache
def s3() -> "S3Client":
    # Nobody waits for an answer here: a slow S3 is better than none.
    config = Config(
        connect_timeout=5,
        read_timeout=30,
        retries={"mode": "standard", "total_max_attempts": 8},
        max_pool_connections=2 * THREADS,
    )
    return boto3.client("s3", config=config)


@cache
def file_service() -> FileService:
    return FileService(
        s3(),
        file_job_store(),
        model_store(),
        SnapshotStore(s3(), settings().data_bucket, settings().snapshot_cache),
        bucket=settings().data_bucket,
        mock_mode=settings().ml_mock_mode,
        work=settings().file_work,
    )


@cache
def dataset_tasks() -> DatasetTasks:
    return DatasetTasks(file_service(), job_store(), s3(), stepfunctions(), bucket=settings().data_bucket)


def score(
    job: FileJobRequest, *, remaining: Callable[[], float], on_beat: Callable[[float], object], is_last: bool
) -> Ran:
    """Does a file's job with the models and customers of this deployment; see FileService.score."""
    return file_service().score(job, remaining=remaining, on_beat=on_beat, is_last=is_last)


def refuse(source: FileSource, error: LoyaltyError) -> str:
    """Records a job that failed before it began: nothing can be told from its key. Gives the job's id."""
    return file_job_store().refuse(source, error)
