"""Settings and wiring, made once a process. The only reader of the environment, but for a request's trace."""

import os
import random
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from loyalty_ml.customers import snapshot
from loyalty_ml.customers.online_store import FeatureStore
from loyalty_ml.customers.online_store import client as feature_store_client
from loyalty_ml.jobs.lease import Leases
from loyalty_ml.jobs.store import JobStore
from loyalty_ml.models.store import ModelStore
from loyalty_ml.scoring import predictions
from loyalty_ml.vocabulary import MockMode, PredictionType

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

    from loyalty_ml.datasets.start import DatasetJobs
    from loyalty_ml.files.job_store import FileJobStore


class Settings(BaseModel):
    """The environment variables of the functions; template.yaml sets them."""

    # A missing variable is logged, and what stands beside it in the environment is nobody's business.
    model_config = ConfigDict(hide_input_in_errors=True)

    model_bucket: str = Field(alias="MODEL_BUCKET", min_length=1)
    data_bucket: str = Field(alias="DATA_BUCKET", min_length=1)
    customers_table: str = Field(alias="CUSTOMERS_TABLE", min_length=1)
    segments_table: str = Field(alias="SEGMENTS_TABLE", min_length=1)
    jobs_table: str = Field(alias="JOBS_TABLE", min_length=1)
    segment_statistics_table: str = Field(alias="SEGMENT_STATISTICS_TABLE", min_length=1)
    segment_queue_url: str = Field(alias="SEGMENT_QUEUE_URL", min_length=1)
    file_queue_url: str = Field(alias="FILE_QUEUE_URL", min_length=1)
    dataset_state_machine_arn: str = Field(alias="DATASET_STATE_MACHINE_ARN", min_length=1)
    ml_mock_mode: MockMode = Field("auto", alias="ML_MOCK_MODE")
    # /tmp is the one folder that a Lambda function may write to.
    model_cache: Path = Field(Path("/tmp/loyalty-models"), alias="MODEL_CACHE")  # noqa: S108
    snapshot_cache: Path = Field(Path("/tmp/loyalty-snapshots"), alias="SNAPSHOT_CACHE")  # noqa: S108
    file_work: Path = Field(Path("/tmp/loyalty-files"), alias="FILE_WORK")  # noqa: S108


@cache
def settings() -> Settings:
    return Settings.model_validate(dict(os.environ))


@cache
def s3() -> "S3Client":
    # Every half minute one request waits for a look at the manifest: where S3 hangs, it must not hang long.
    config = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2})
    return boto3.client("s3", config=config)


@cache
def model_store() -> ModelStore:
    return ModelStore(s3(), settings().model_bucket, settings().model_cache)


@cache
def feature_store() -> FeatureStore:
    return FeatureStore(feature_store_client(), settings().customers_table)


@cache
def sqs() -> "SQSClient":
    return boto3.client("sqs", config=Config(connect_timeout=1, read_timeout=5, retries={"mode": "standard"}))


@cache
def _jobs_dynamodb() -> "DynamoDBClient":
    return boto3.client("dynamodb", config=Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard"}))


@cache
def signing_s3() -> "S3Client":
    """For addresses to be given away: see presigned.py for why its addresses are unlike the other client's."""
    return boto3.client("s3", config=Config(signature_version="s3v4", s3={"addressing_style": "virtual"}))


@cache
def file_job_store() -> "FileJobStore":
    from loyalty_ml.files.job_store import FileJobStore  # noqa: PLC0415  single predictions start without it

    return FileJobStore(_jobs_dynamodb(), settings().jobs_table)


@cache
def leases() -> Leases:
    return Leases(_jobs_dynamodb(), settings().jobs_table)


@cache
def job_store() -> JobStore:
    return JobStore(
        _jobs_dynamodb(),
        s3(),
        sqs(),
        table=settings().jobs_table,
        bucket=settings().data_bucket,
        queue_url=settings().segment_queue_url,
    )


@cache
def stepfunctions() -> "SFNClient":
    return boto3.client("stepfunctions", config=Config(connect_timeout=1, read_timeout=5, retries={"mode": "standard"}))


@cache
def dataset_jobs() -> "DatasetJobs":
    from loyalty_ml.datasets.start import DatasetJobs  # noqa: PLC0415  as with files
    from loyalty_ml.segments.store import SegmentStore  # noqa: PLC0415

    return DatasetJobs(
        job_store(),
        SegmentStore(_jobs_dynamodb(), settings().segments_table),
        s3(),
        sqs(),
        stepfunctions(),
        bucket=settings().data_bucket,
        state_machine_arn=settings().dataset_state_machine_arn,
        segment_queue_url=settings().segment_queue_url,
    )


def initialize(*wiring: Callable[[], object]) -> None:
    """Does while a function is imported on Lambda what its first request would wait for. Elsewhere it does nothing.

    The wiring given is made, clients and all: INIT has a whole vCPU however little memory the function has. Models are
    loaded where no request waits for it, before a snapshot (SnapStart) or in provisioned concurrency: on demand one
    does, and where S3 hangs for INIT's 10 s, Lambda begins again. What cannot be had is said at the request.
    """
    started = os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE")
    if started is None:
        return
    try:
        settings()
    except ValidationError:
        return
    for make in wiring:
        make()
    if started == "on-demand":
        return
    model_store().current()
    if started == "snap-start":
        from snapshot_restore_py import register_after_restore  # noqa: PLC0415  the runtime has it, and only the runtime

        s3().close()  # no instance is to wake with another's connections
        register_after_restore(_restored)


def _restored() -> None:
    # By the clock of the process, no time has passed since the snapshot, which may be weeks old.
    model_store().look_again()
    # Or all instances would wait for a throttled table in step.
    random.seed()


def predict(prediction_type: PredictionType, customer_ids: Sequence[str]) -> predictions.Predictions:
    """Predictions with the models and customers of this deployment; see predictions.predict for what it raises."""
    return predictions.predict(
        prediction_type, customer_ids, model_store().current(), feature_store().read, settings().ml_mock_mode
    )


def read_snapshot_card() -> snapshot.SnapshotCard | None:
    """The current feature snapshot's card; see snapshot.read_current for what it raises."""
    return snapshot.read_current(s3(), settings().data_bucket)
