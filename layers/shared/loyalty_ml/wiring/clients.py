"""AWS's clients, each with the time limits and retries that its use allows.

What a request may wait for heeds the request's budget besides (aws/budget.py).
"""

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from loyalty_ml.aws.budget import within_budget
from loyalty_ml.aws.events import EventBridge

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient


def manifest_s3() -> "S3Client":
    """For what a request may wait for.

    Every half minute one request waits for a look at the manifest: where S3 hangs, it must not hang long.
    """
    config = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2})
    return within_budget(boto3.client("s3", config=config))


def data_s3(connections: int) -> "S3Client":
    """For parts of a snapshot, and lists of ids, fetched in so many threads while a request waits."""
    config = Config(connect_timeout=1, read_timeout=5, retries={"mode": "standard"}, max_pool_connections=connections)
    return within_budget(boto3.client("s3", config=config))


def file_s3(connections: int) -> "S3Client":
    """For files: nobody waits for an answer, so a slow S3 is better than none."""
    config = Config(
        connect_timeout=5,
        read_timeout=30,
        retries={"mode": "standard", "total_max_attempts": 8},
        max_pool_connections=connections,
    )
    return boto3.client("s3", config=config)


def signing_s3() -> "S3Client":
    """For addresses to be given away: see jobs/presigned.py for why its addresses are unlike the other clients'."""
    return boto3.client("s3", config=Config(signature_version="s3v4", s3={"addressing_style": "virtual"}))


def dynamodb() -> "DynamoDBClient":
    """For jobs, segments and statistics, whose stores leave retries to the client."""
    config = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard"})
    return within_budget(boto3.client("dynamodb", config=config))


def sqs() -> "SQSClient":
    config = Config(connect_timeout=1, read_timeout=5, retries={"mode": "standard"})
    return within_budget(boto3.client("sqs", config=config))


def eventbridge() -> EventBridge:
    config = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard"})
    client: EventBridge = within_budget(boto3.client("events", config=config))
    return client


def stepfunctions() -> "SFNClient":
    config = Config(connect_timeout=1, read_timeout=5, retries={"mode": "standard"})
    return within_budget(boto3.client("stepfunctions", config=config))
