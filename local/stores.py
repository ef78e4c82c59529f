"""S3, DynamoDB, SQS and EventBridge on this machine: moto's server, and the template's stores in it."""

import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import boto3
from moto.server import ThreadedMotoServer

from local.template import PSEUDO_PARAMETERS, STACK

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def start_moto(address: str = "127.0.0.1", port: int = 0) -> ThreadedMotoServer:
    """moto's server on that port, or on a free one; of the loopback interface, unless another address is named."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # or it prints a line a request
    server = ThreadedMotoServer(ip_address=address, port=port, verbose=False)
    server.start()
    return server


def aws_environment(server: ThreadedMotoServer) -> dict[str, str]:
    """The variables that point boto3 at that server."""
    host, port = server.get_host_and_port()
    return {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": PSEUDO_PARAMETERS["AWS::Region"],
    }


def create(stores: Mapping[str, Any]) -> dict[str, str]:
    """Makes the resources of a template and returns their physical ids by logical id."""
    cloudformation = boto3.client("cloudformation")
    # No YAML begins with a tab: moto takes the text for JSON at once, which it would else read as YAML, in 50 ms.
    cloudformation.create_stack(StackName=STACK, TemplateBody="\t" + json.dumps(stores))
    resources = cloudformation.describe_stack_resources(StackName=STACK)["StackResources"]
    physical_ids = {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources}
    s3 = boto3.client("s3")
    for name, resource in stores["Resources"].items():
        if resource["Type"] == "AWS::S3::Bucket":
            _complete_bucket(s3, physical_ids[name], resource.get("Properties", {}), physical_ids)
    return physical_ids


def _complete_bucket(
    s3: "S3Client", bucket: str, properties: Mapping[str, Any], physical_ids: Mapping[str, str]
) -> None:
    """Does what moto's CloudFormation leaves out: versions, and whom the bucket tells what happens to its objects."""
    if "VersioningConfiguration" in properties:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=properties["VersioningConfiguration"])
    described = properties.get("NotificationConfiguration", {})
    told: Any = {}
    if described.get("EventBridgeConfiguration", {}).get("EventBridgeEnabled"):
        told["EventBridgeConfiguration"] = {}
    if queues := described.get("QueueConfigurations"):
        told["QueueConfigurations"] = [
            {
                "QueueArn": _queue_arn(physical_ids[queue["Queue"]["Fn::GetAtt"][0]]),
                "Events": [queue["Event"]],
                "Filter": {"Key": {"FilterRules": queue["Filter"]["S3Key"]["Rules"]}},
            }
            for queue in queues
        ]
    if told:
        s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=told)


def _queue_arn(url: str) -> str:
    attributes = boto3.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    return attributes["QueueArn"]
