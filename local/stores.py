"""S3 and DynamoDB on this machine: moto's server, the template's tables and buckets in it, models and customers."""

import json
import logging
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import duckdb
from moto.server import ThreadedMotoServer
from tqdm import tqdm

from loyalty_ml.feature_store import AS_OF
from loyalty_ml.snapshot import CURRENT_KEY, SnapshotCard, rfc3339

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

STACK = "loyalty-ml"
ITEMS_PER_WRITE = 25
"""The most that BatchWriteItem takes."""


def start_moto() -> ThreadedMotoServer:
    """moto's server on a free port of the loopback interface."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # or it prints a line a request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    return server


def aws_environment(server: ThreadedMotoServer) -> dict[str, str]:
    """The variables that point boto3 at that server."""
    host, port = server.get_host_and_port()
    return {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }


def create(stores: Mapping[str, Any]) -> dict[str, str]:
    """Makes the resources of a template and returns their physical ids by logical id."""
    cloudformation = boto3.client("cloudformation")
    cloudformation.create_stack(StackName=STACK, TemplateBody=json.dumps(stores))
    resources = cloudformation.describe_stack_resources(StackName=STACK)["StackResources"]
    return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources}


def load_customers(features: Path, as_of: datetime, table: str, bucket: str) -> None:
    """Loads a Parquet file of features into the table, and into the bucket as the current snapshot."""
    stamp = rfc3339(as_of)
    rows = duckdb.read_parquet(str(features))
    names, customers = rows.columns, rows.fetchall()
    dynamodb: DynamoDBClient = boto3.client("dynamodb")
    with tqdm(total=len(customers), desc="Loading customers", unit="", leave=False) as progress:
        for start in range(0, len(customers), ITEMS_PER_WRITE):
            items = [_item(names, row, stamp) for row in customers[start : start + ITEMS_PER_WRITE]]
            dynamodb.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": item}} for item in items]})
            progress.update(len(items))
    s3: S3Client = boto3.client("s3")
    part = f"snapshots/{as_of:%Y%m%dT%H%M%SZ}/part-00000.parquet"
    s3.put_object(Bucket=bucket, Key=part, Body=features.read_bytes())
    card = SnapshotCard(as_of=as_of, customers=len(customers), parts=(part,))
    s3.put_object(Bucket=bucket, Key=CURRENT_KEY, Body=card.model_dump_json().encode())


def _item(names: list[str], row: tuple[Any, ...], stamp: str) -> dict[str, Any]:
    # repr gives the shortest text that reads back to the same float64. A feature without a value is left out.
    features = {name: {"N": repr(value)} for name, value in zip(names[1:], row[1:], strict=True) if value is not None}
    return {"customer_id": {"S": row[0]}, AS_OF: {"S": stamp}, **features}
