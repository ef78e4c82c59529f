"""Errors: which failures of AWS can pass by themselves."""

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, NoCredentialsError

from loyalty_ml.aws.errors import asking
from loyalty_ml.errors import StoreUnavailable

pytestmark = pytest.mark.unit


KEYS = ("KMS.DisabledException", "KMS.NotFoundException", "KmsDisabled", "KmsInvalidState", "KmsAccessDenied",
        "KMSAccessDeniedException", "KMSInvalidStateException", "KmsAccessDeniedException")  # fmt: skip
"""What S3, SQS, DynamoDB and Step Functions say of a key that is disabled, gone or forbidden."""


@pytest.mark.parametrize(
    ("failure", "retry"),
    [
        (ClientError({"Error": {"Code": "ThrottlingException"}}, "PutItem"), True),
        (ClientError({"Error": {"Code": "SlowDown"}}, "PutObject"), True),
        (ClientError({"Error": {"Code": "InternalServerError"}}, "PutItem"), True),
        (ConnectTimeoutError(endpoint_url="https://s3"), True),
        (ClientError({"Error": {"Code": "AccessDeniedException"}}, "PutItem"), False),
        (ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "PutItem"), False),
        (ClientError({"Error": {"Code": "403"}}, "HeadObject"), False),
        *((ClientError({"Error": {"Code": code}}, "PutObject"), False) for code in KEYS),
        (ClientError({"Error": {"Code": "KmsThrottled"}}, "SendMessage"), True),
        (ClientError({"Error": {"Code": "KmsThrottlingException"}}, "StartExecution"), True),
        (ClientError({"Error": {"Code": "ExpiredToken"}}, "PutObject"), True),
        (ClientError({"Error": {"Code": "ExpiredTokenException"}}, "PutItem"), True),
        (ClientError({"Error": {"Code": "StateMachineDeleting"}}, "StartExecution"), False),
        (NoCredentialsError(), False),
    ],
)
def test_only_what_can_pass_is_worth_another_try(failure: Exception, retry: bool) -> None:  # noqa: FBT001
    with pytest.raises(StoreUnavailable) as raised, asking("jobs", "The jobs table cannot be read"):
        raise failure
    assert raised.value.retry is retry
    assert ("Try again" in raised.value.message) is retry
    assert "heck the function's permissions" in raised.value.message
