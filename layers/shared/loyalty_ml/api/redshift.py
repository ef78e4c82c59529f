"""Amazon Redshift's Lambda UDF: rows of arguments in, a text of JSON with a result for each out.

{"external_function": "public.loyalty_churn", "num_records": 2, "arguments": [["c-1"], ["c-2"]], ...}
becomes "{\\"success\\": true, \\"num_records\\": 2, \\"results\\": [..., ...]}", or a text with `error_msg`: a row
that has no answer is null, and only what is wrong with all of them fails the query.
"""

import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

from aws_lambda_powertools.utilities.typing import LambdaContext

from loyalty_ml import telemetry
from loyalty_ml.api import sql
from loyalty_ml.api.http import MAX_ANSWER_BYTES, json_text, size_in_json
from loyalty_ml.aws.budget import RESERVE_SECONDS, WAIT_SECONDS, Budget, spending
from loyalty_ml.errors import InvalidRequest, LoyaltyError, PayloadTooLarge
from loyalty_ml.telemetry import logger

MAX_NAME_CHARACTERS = 512
"""Of a function: two of Redshift's names, of 127 bytes each, in quotes. An error says it again."""

HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])


def answering(
    parts: Callable[[], sql.Parts],
    handler: HandlerT,
    wait_seconds: float = WAIT_SECONDS,
    most_bytes: int = MAX_ANSWER_BYTES,
) -> HandlerT:
    """The handler, which also answers Redshift: none of its other events names an external function.

    wait_seconds: what a call may wait for its stores; most_bytes: of the answer, as Lambda counts them.
    Whoever may invoke the function is asked for no token: AWS asks for lambda:InvokeFunction.
    """

    def answer(event: Any, context: LambdaContext) -> Any:
        if "external_function" not in event:
            return handler(event, context)
        started = time.perf_counter()
        logger.set_correlation_id(context.aws_request_id)
        status = 200
        try:
            with spending(Budget(wait_seconds, context.get_remaining_time_in_millis() / 1000 - RESERVE_SECONDS)):
                text = _answer(parts, event, most_bytes)
        except Exception as error:
            if not isinstance(error, LoyaltyError):
                logger.exception("A bug: an exception that nothing expected")
            code, sentence = telemetry.described(error)
            telemetry.count_failure(code)
            status, text = 500, json_text({"success": False, "error_msg": f"{code}: {sentence}"})
        telemetry.write_request(
            route="redshift",
            status=status,
            milliseconds=1000 * (time.perf_counter() - started),
            correlation_id=context.aws_request_id,
            request_id=context.aws_request_id,
        )
        return text

    return cast("HandlerT", answer)


def _answer(parts: Callable[[], sql.Parts], event: dict[str, Any], most_bytes: int) -> str:
    name, rows = event["external_function"], event.get("arguments")
    if not isinstance(name, str) or not name.isprintable() or len(name) > MAX_NAME_CHARACTERS:
        raise InvalidRequest.of("external_function", f"must be text of at most {MAX_NAME_CHARACTERS} characters")
    if not isinstance(rows, list):
        raise InvalidRequest.of("arguments", "must be a list with a list of arguments for each row")
    if event.get("num_records", len(rows)) != len(rows):
        raise InvalidRequest.of("num_records", f"must be {len(rows):,}, the rows of arguments")
    # A column of SQL holds no object, so it is its JSON.
    results = [json_text(value) if isinstance(value, dict) else value for value in sql.values(parts(), name, rows)]
    text = json_text({"success": True, "num_records": len(rows), "results": results})
    if (size := size_in_json(text)) > most_bytes:
        raise PayloadTooLarge(
            f"The answer has {size:,} bytes, but Lambda sends at most {most_bytes:,}: create the function with a "
            "smaller MAX_BATCH_ROWS."
        )
    return text
