"""What a request says: its body and its query, checked; what is wrong with them is a RequestError."""

import base64
import re
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError

from loyalty_ml import errors
from loyalty_ml.scoring.contracts import MAX_BATCH
from loyalty_ml.vocabulary import problem_in

RequestT = TypeVar("RequestT", bound=BaseModel)

Event = dict[str, Any]
"""An API Gateway HTTP API event, payload version 2.0."""

MAX_BODY_BYTES = 1024 * 1024
"""Well over what a hundred ids can take; API Gateway itself refuses 10 MB."""
MAX_PROBLEMS = 200
"""In one answer: more than a batch has ids. A body full of unknown fields would make it larger than Lambda may send."""

_JSON = re.compile(r"application/([\w.+-]+\+)?json\s*(;.*)?", re.IGNORECASE | re.ASCII)


def read_body(event: Event, model: type[RequestT]) -> RequestT:
    """The event's body as a request model. Raises the RequestError that says what is wrong with it."""
    check_media_type(event)
    return parse_body(body_of(event), model)


def check_media_type(event: Event) -> None:
    """Raises UnsupportedMediaType if the body is not said to be JSON.

    A page of any site can send a form or text to a service on a developer's machine, but not this.
    """
    if not _JSON.fullmatch(event["headers"].get("content-type", "")):
        raise errors.UnsupportedMediaType


def body_of(event: Event, most_bytes: int = MAX_BODY_BYTES) -> bytes:
    """The event's body, which is not empty. Raises InvalidJson and PayloadTooLarge."""
    text: str = event.get("body") or ""
    try:
        body = base64.b64decode(text) if event.get("isBase64Encoded") else text.encode()
    except UnicodeEncodeError as error:
        raise errors.InvalidJson("The body is not valid Unicode: send UTF-8 without lone surrogates.") from error
    if len(body) > most_bytes:
        raise errors.PayloadTooLarge(f"The body is larger than {most_bytes:,} bytes: split it into several requests.")
    if not body:
        raise errors.InvalidJson("The request has no body: send a JSON object.")
    return body


def parse_body(body: bytes, model: type[RequestT]) -> RequestT:
    """JSON as a request model. Raises the RequestError that says what is wrong with it."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise _request_error(error, model) from error


def read_query(event: Event, parameters: Mapping[str, tuple[str, TypeAdapter[Any]]]) -> dict[str, Any]:
    """The query's parameters, each checked, under the names that the function has for them.

    Raises InvalidRequest, also for a parameter that the route does not have: a misspelt `limit` would be answered in
    full. The gateway sends `queryStringParameters` only if there are any.
    """
    query: Mapping[str, str] = event.get("queryStringParameters") or {}
    arguments: dict[str, Any] = {}
    problems: list[tuple[str, str]] = []
    for name, text in query.items():
        if name not in parameters:
            others = f", or use one of {', '.join(parameters)}" if parameters else ""
            problems.append((name, f"this route has no such query parameter: remove it{others}"))
            continue
        argument, adapter = parameters[name]
        try:
            arguments[argument] = adapter.validate_python(text)
        except ValidationError as error:
            problems.append((name, problem_in(error.errors(include_url=False)[0])))
    if problems:
        raise errors.InvalidRequest(problems[:MAX_PROBLEMS])
    return arguments


def _request_error(error: ValidationError, model: type[BaseModel]) -> errors.RequestError:
    problems = [
        (".".join(map(str, problem["loc"])), problem["type"], problem_in(problem))
        for problem in error.errors(include_url=False, include_input=False)
    ]
    for field, kind, message in problems:
        if kind == "json_invalid" and "recursion limit" in message:
            return errors.InvalidJson("The body is nested too deeply: send a flatter JSON object.")
        if kind == "json_invalid":
            return errors.InvalidJson(
                f"The body is not JSON: {message.removeprefix('Invalid JSON: ')}. Send a JSON object."
            )
        if (field, kind) == ("customer_ids", "too_long"):
            return errors.BatchTooLarge(
                f"A batch has at most {MAX_BATCH} customer ids: split it into several requests.", {"limit": MAX_BATCH}
            )
    for field, _, message in problems:
        if field == "type" and "type" in model.model_fields:
            return errors.UnknownType(
                f"type {message}.", {"types": list(get_args(model.model_fields["type"].annotation))}
            )
    return errors.InvalidRequest([(field or "body", message) for field, _, message in problems[:MAX_PROBLEMS]])
