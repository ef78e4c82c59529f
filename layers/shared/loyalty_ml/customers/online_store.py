"""Customers' features from DynamoDB, by id.

An item is {customer_id: S, features_as_of: S, feature: N, ...}. Whatever else is stored in place of one of these is the
failure of that customer alone: nothing is filled in.
"""

import contextlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import boto3
import numpy as np
import orjson
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from numpy.typing import NDArray

from loyalty_ml.aws import backoff
from loyalty_ml.aws.budget import seconds_left, within_budget
from loyalty_ml.customers.table import AS_OF, LIFETIME_TRANSACTION_COUNT, FeatureTable
from loyalty_ml.errors import FeatureStoreUnavailable, can_pass
from loyalty_ml.telemetry import logger
from loyalty_ml.vocabulary import CUSTOMER_ID, moment_of, rfc3339

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

DEADLINE_SECONDS = 8.0

TRANSIENT_CODES = {
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "RequestLimitExceeded",
    "InternalServerError",
    "ServiceUnavailable",
}

Item = Mapping[str, Mapping[str, Any]]
"""An item as DynamoDB sends it: {name: {type: value}}."""


def client() -> "DynamoDBClient":
    """A client as FeatureStore wants it: it tries once, and gives items as DynamoDB sends them.

    Of a batch of 100, botocore's walk through each attribute's description was three quarters of the CPU time.
    """
    config = Config(
        connect_timeout=1,
        read_timeout=2,
        # The store makes the retries itself, under one deadline that covers them all.
        retries={"mode": "standard", "total_max_attempts": 1},
        parameter_validation=False,  # ids were checked with the request
    )
    made = within_budget(boto3.client("dynamodb", config=config))
    made.meta.events.register("before-parse.dynamodb.BatchGetItem", parse_items)
    return made


def parse_items(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    """Parses an answer in botocore's place, which goes on with what is left of it."""
    if response_dict["status_code"] == HTTPStatus.OK:
        with contextlib.suppress(orjson.JSONDecodeError):  # which botocore tells in its own way
            customized_response_dict.update(orjson.loads(response_dict["body"]))
            response_dict["body"] = b"{}"


class FeatureStore:
    """Reads one table, with a client that `client` makes."""

    def __init__(
        self,
        dynamodb: "DynamoDBClient",
        table: str,
        deadline_seconds: float = DEADLINE_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._deadline_seconds = deadline_seconds
        self._sleep = sleep
        self._clock = clock

    def read(self, customer_ids: Sequence[str], names: Sequence[str]) -> FeatureTable:
        """The table of these features for at most 100 customers, each named once, a row an id in that order.

        Raises FeatureStoreUnavailable where DynamoDB does not give an answer for each id before the deadline, which is
        the request's too:
        an id that was not answered is not an unknown customer.
        """
        if not customer_ids:
            return _table(customer_ids, names, {})
        attributes = dict.fromkeys((CUSTOMER_ID, AS_OF, *names, LIFETIME_TRANSACTION_COUNT))
        placeholders = {f"#{place}": name for place, name in enumerate(attributes)}
        pending: Mapping[str, Any] = {
            self._table: {
                "Keys": [{CUSTOMER_ID: {"S": customer_id}} for customer_id in customer_ids],
                "ProjectionExpression": ",".join(placeholders),
                "ExpressionAttributeNames": placeholders,
            }
        }
        items: dict[str, Item] = {}
        seconds = min(self._deadline_seconds, seconds_left())
        give_up_at = self._clock() + seconds
        for wait in backoff.pauses():
            try:
                answer = self._dynamodb.batch_get_item(RequestItems=pending)
                for item in answer["Responses"].get(self._table, ()):
                    items[item[CUSTOMER_ID]["S"]] = item
                pending = answer["UnprocessedKeys"]
                if not pending:
                    return _table(customer_ids, names, items)
                cause = "UnprocessedKeys"
            except ClientError as error:
                cause = error.response["Error"]["Code"]
                if cause not in TRANSIENT_CODES:
                    logger.error("DynamoDB refused to read customers", table=self._table, cause=cause)
                    retry = can_pass(cause)  # such as credentials that have just ended
                    raise FeatureStoreUnavailable(
                        f"Customers' features cannot be read: DynamoDB refused the request ({cause}). "
                        + ("Try again in a moment. If it does not help, check" if retry else "Check")
                        + " the function's table name and permissions.",
                        retry=retry,
                    ) from error
            except BotoCoreError as error:
                cause = type(error).__name__
            if self._clock() + wait >= give_up_at:
                logger.error("DynamoDB did not answer in time", table=self._table, cause=cause)
                raise FeatureStoreUnavailable(
                    f"Customers' features cannot be read within {seconds:.1f} s "
                    "(DynamoDB is throttling or unreachable): try again in a moment."
                )
            self._sleep(wait)
        raise AssertionError("The pauses never end")


def _table(customer_ids: Sequence[str], names: Sequence[str], items: Mapping[str, Item]) -> FeatureTable:
    shape = (len(customer_ids), len(names))
    absent = found = purchases = None
    try:
        rows = [items[customer_id] for customer_id in customer_ids]
        values = _numbers([item[name]["N"] for item in rows for name in names])
    except KeyError:  # an unknown customer, or a feature that is missing or not a number
        texts = []
        absent = np.zeros(shape, np.bool_)
        found = np.array([customer_id in items for customer_id in customer_ids])
        for row, customer_id in enumerate(customer_ids):
            item = items.get(customer_id, {})
            for column, name in enumerate(names):
                attribute = item.get(name, {"NULL": True})
                texts.append(attribute.get("N", "null"))
                absent[row, column] = "NULL" in attribute
        values = _numbers(texts)
        counts = [items.get(customer_id, {}).get(LIFETIME_TRANSACTION_COUNT, {}) for customer_id in customer_ids]
        purchases = _numbers([count.get("N", "null") for count in counts])
    as_of, undated = _moments([items.get(customer_id, {}).get(AS_OF) for customer_id in customer_ids])
    return FeatureTable(
        customer_ids=customer_ids,
        names=tuple(names),
        values=values.reshape(shape),
        absent=absent,
        found=found,
        as_of=as_of,
        purchases=purchases,
        undated=undated,
    )


def _moments(stored: Sequence[Mapping[str, Any] | None]) -> tuple[str | None, NDArray[np.bool_] | None]:
    """The oldest of these moments, and which of them are none; one that is not stored at all counts as neither."""
    moments: dict[Any, datetime | None] = {}
    texts = [None if attribute is None else attribute.get("S") for attribute in stored]
    for text in set(texts):  # of a batch, all have mostly one
        try:
            moments[text] = moment_of(text)
        except ValueError:
            moments[text] = None
    oldest = min((moment for moment in moments.values() if moment), default=None)
    undated = None
    if None in moments.values():
        undated = np.array(
            [attribute is not None and moments[text] is None for attribute, text in zip(stored, texts, strict=True)]
        )
    return rfc3339(oldest) if oldest else None, undated


def _numbers(texts: Sequence[str]) -> NDArray[np.float64]:
    """DynamoDB's decimal texts, or null, as float64 with NaN for null.

    One JSON array parses three times as fast as a float() for each, to the same nearest double.
    """
    try:
        return np.array(orjson.loads(f"[{','.join(texts)}]"), np.float64)
    except orjson.JSONDecodeError:  # one of them is no JSON number, as +1 and .5 are none: the others are read anyway
        return np.array([_number(text) for text in texts], np.float64)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
