"""The conditional update: what it says of the item before, and that it writes all or nothing."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from loyalty_ml.aws.dynamodb import attributes, conditional_update
from tests.aws import fresh_aws

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

pytestmark = pytest.mark.moto

TABLE = "things"


@pytest.fixture
def dynamodb() -> "Iterator[DynamoDBClient]":
    with fresh_aws():
        client = boto3.client("dynamodb", "eu-west-1")
        client.create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield client


def count_up(dynamodb: "DynamoDBClient", most: int) -> tuple[dict[str, Any], bool]:
    """`size` and `status` are words of DynamoDB's own, which stand for attributes only by placeholder."""
    return conditional_update(
        dynamodb,
        TABLE,
        {"id": "a"},
        update="SET #size = if_not_exists(#size, :none) + :one, #status = :status, #seal = :seal",
        condition="attribute_not_exists(#size) OR #size < :most",
        values=attributes({"none": 0, "one": 1, "most": most, "status": "open", "seal": b"\x00\xff"}),
    )


def test_it_gives_the_item_as_it_was_before_and_whether_it_was_written(dynamodb: "DynamoDBClient") -> None:
    assert count_up(dynamodb, 2) == ({}, True)
    first = {"id": {"S": "a"}, "size": {"N": "1"}, "status": {"S": "open"}, "seal": {"B": b"\x00\xff"}}
    assert count_up(dynamodb, 2) == (first, True)
    second = {**first, "size": {"N": "2"}}
    assert count_up(dynamodb, 2) == (second, False)
    assert dynamodb.get_item(TableName=TABLE, Key={"id": {"S": "a"}})["Item"] == second


def test_values_become_what_dynamodb_calls_them() -> None:
    values = attributes({"text": "1", "whole": 1, "number": 0.25, "yes": True, "bytes": b"1"})
    assert values == {
        "text": {"S": "1"},
        "whole": {"N": "1"},
        "number": {"N": "0.25"},
        "yes": {"BOOL": True},
        "bytes": {"B": b"1"},
    }


def test_what_the_client_raises_is_the_callers_to_name(dynamodb: "DynamoDBClient") -> None:
    dynamodb.delete_table(TableName=TABLE)
    with pytest.raises(dynamodb.exceptions.ResourceNotFoundException):
        count_up(dynamodb, 2)
