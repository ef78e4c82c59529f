"""AWS's clients, each with the time limits and retries that its use allows.

What a request may wait for heeds the request's budget besides (aws/budget.py).
"""

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from loyalty_ml.aws.budget import within_budget
from loyalty_ml.aws.events import EventBridge
from loyalty_ml.jobs.presigned import Session

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient


SESSION_SECONDS = 3600


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


def signing_s3(**credentials: str) -> "S3Client":
    """For addresses to be given away: see jobs/presigned.py for why its addresses are unlike the other clients'.

    credentials: other ones than the function's own, as boto3 names them.
    """
    config = Config(signature_version="s3v4", s3={"addressing_style": "virtual"})
    return boto3.client("s3", config=config, **credentials)  # type: ignore[call-overload,no-any-return]


def signing_session(role_arn: str) -> Session:
    """A session of that role, of an hour: STS gives no more to one who is in a role already."""
    config = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2})
    assumed = within_budget(boto3.client("sts", config=config)).assume_role(
        RoleArn=role_arn, RoleSessionName="addresses", DurationSeconds=SESSION_SECONDS
    )["Credentials"]
    s3 = signing_s3(
        aws_access_key_id=assumed["AccessKeyId"],
        aws_secret_access_key=assumed["SecretAccessKey"],
        aws_session_token=assumed["SessionToken"],
    )
    return Session(s3, assumed["Expiration"])


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
