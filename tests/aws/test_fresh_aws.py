"""What a test does to AWS ends with it."""

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.aws import disturb_new_clients, fresh_aws

pytestmark = pytest.mark.moto


def test_what_disturbs_clients_ends_with_their_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "ListBuckets")

    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with fresh_aws():
        disturb_new_clients("before-call.s3.ListBuckets", refuse)
        with pytest.raises(ClientError, match="AccessDenied"):
            boto3.client("s3").list_buckets()
    with fresh_aws():
        assert boto3.client("s3").list_buckets()["Buckets"] == []
