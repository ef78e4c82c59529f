"""DynamoDB's items, and the one conditional write of this project."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Item = dict[str, Any]
"""An item as DynamoDB's client has it: {"job_id": {"S": "..."}, ...}."""

Value = str | float | bytes | bool


def attribute(value: Value) -> dict[str, Any]:
    """A value as DynamoDB's client wants it."""
    match value:
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": value}
        case bytes():
            return {"B": value}
    return {"N": str(value)}


def attributes(values: Mapping[str, Value]) -> Item:
    """An item, or a part of one, with these values."""
    return {name: attribute(value) for name, value in values.items()}


def conditional_update(
    dynamodb: "DynamoDBClient",
    table: str,
    key: Mapping[str, Value],
    *,
    update: str,
    condition: str,
    values: Mapping[str, Any],
) -> tuple[Item, bool]:
    """The item as it was before, {} if there was none, and whether the condition let it be written.

    update, condition:  expressions, in which `#name` is the attribute of that name (many are words of DynamoDB's own)
                        and `:name` is `values["name"]`.
    values:             as DynamoDB's client wants them; each is used in an expression.

    If the client sends a write again because its answer was lost, the condition sees the item as it was written the
    first time: a caller tells such a write by what it writes. Raises what the client raises.
    """
    names = {placeholder: placeholder[1:] for placeholder in re.findall(r"#\w+", f"{update} {condition}")}
    try:
        answer = dynamodb.update_item(
            TableName=table,
            Key=attributes(key),
            UpdateExpression=update,
            ConditionExpression=condition,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
            ReturnValues="ALL_OLD",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    except dynamodb.exceptions.ConditionalCheckFailedException as refused:
        return cast("Item", refused.response.get("Item", {})), False
    return cast("Item", answer.get("Attributes", {})), True
