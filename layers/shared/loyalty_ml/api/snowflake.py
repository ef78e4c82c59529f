"""Snowflake's external function: {"data": [[0, "c-1"], ...]} becomes {"data": [[0, value], ...]}.

A row that has no answer is null. What is wrong with all rows is an answer with another status than 200: that fails the
query, and Snowflake shows its sentence.
"""

import zlib
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from loyalty_ml.api import reading, sql
from loyalty_ml.errors import InvalidJson, InvalidRequest, PayloadTooLarge
from loyalty_ml.vocabulary import Request

MAX_SQL_BYTES = 6 * 1024 * 1024
"""Of a body, unpacked: what Lambda takes of a request."""
_ANY_HEADER = 32 + zlib.MAX_WBITS
"""Has zlib read what begins as gzip or as zlib does."""


class SnowflakeRequest(Request):
    """A batch of rows, as Snowflake sends it."""

    data: Annotated[
        list[list[Any]],
        Field(
            description="Rows: the row's number from 0, then the function's arguments", examples=[[[0, "1"], [1, "2"]]]
        ),
    ]


class SnowflakeAnswer(TypedDict):
    data: Annotated[
        list[tuple[int, Any]],
        Field(description="For each row its number and its value, in the order of the request; null if it has none"),
    ]


def read(event: reading.Event, model: type[SnowflakeRequest]) -> SnowflakeRequest:
    """The request, whose body may be packed (COMPRESSION). Raises the RequestError that says what is wrong with it."""
    reading.check_media_type(event)
    body = reading.body_of(event, MAX_SQL_BYTES)
    if event["headers"].get("content-encoding", "identity").lower() != "identity":
        body = _unpacked(body)
    return reading.parse_body(body, model)


def _unpacked(body: bytes) -> bytes:
    unpacker = zlib.decompressobj(_ANY_HEADER)
    try:
        text = unpacker.decompress(body, MAX_SQL_BYTES + 1)
    except zlib.error as error:
        raise InvalidJson(
            "The body is neither gzip nor deflate: create the function with COMPRESSION = NONE."
        ) from error
    if len(text) > MAX_SQL_BYTES:
        raise PayloadTooLarge(
            f"The body is larger than {MAX_SQL_BYTES:,} bytes unpacked: create the function with a smaller "
            "MAX_BATCH_ROWS."
        )
    if not unpacker.eof:
        raise InvalidJson("The packed body ends before its end: send it again.")
    if unpacker.unused_data:  # rows of it would be lost
        raise InvalidJson("The packed body has trailing data: create the function with COMPRESSION = NONE.")
    return text


def answer(parts: sql.Parts, name: str, request: SnowflakeRequest) -> SnowflakeAnswer:
    """Raises InvalidRequest, and what sql.values raises."""
    numbers: list[int] = []
    for place, row in enumerate(request.data):
        # Beyond 64 bits is no row, and no answer could have its number.
        if not row or type(row[0]) is not int or not -(2**63) <= row[0] < 2**63:
            raise InvalidRequest.of(f"data.{place}.0", "must be the row's number, before its arguments")
        numbers.append(row[0])
    values = sql.values(parts, name, [row[1:] for row in request.data])
    return {"data": list(zip(numbers, values, strict=True))}
