"""S3, DynamoDB, SQS and EventBridge on this machine: moto's server, and the template's stores in it."""

import json
import logging
from collections.abc import Mapping
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

STACK = "loyalty-ml"


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
    physical_ids = {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources}
    _send_events(stores, physical_ids)
    return physical_ids


def _send_events(stores: Mapping[str, Any], physical_ids: Mapping[str, str]) -> None:
    """Has buckets tell EventBridge what happens to their objects: moto's CloudFormation leaves that out."""
    s3 = boto3.client("s3")
    for name, resource in stores["Resources"].items():
        notification = resource.get("Properties", {}).get("NotificationConfiguration", {})
        if notification.get("EventBridgeConfiguration", {}).get("EventBridgeEnabled"):
            s3.put_bucket_notification_configuration(
                Bucket=physical_ids[name], NotificationConfiguration={"EventBridgeConfiguration": {}}
            )
