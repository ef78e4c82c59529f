"""How large an answer is to Lambda, which is sent it as a text within JSON."""

import json

import orjson
import pytest
from aws_lambda_powertools.event_handler import Response
from hypothesis import given
from hypothesis import strategies as st

from loyalty_ml.api import http

pytestmark = pytest.mark.unit


@given(
    st.recursive(st.text() | st.floats() | st.none(), lambda each: st.lists(each) | st.dictionaries(st.text(), each))
)
def test_the_size_is_that_of_the_body_in_the_runtimes_json(answer: object) -> None:
    body = orjson.dumps(answer).decode()
    # As the runtime of Python 3.12 and newer writes it: beyond ASCII, characters are themselves.
    assert http.size_in_json(body) == len(json.dumps(body, ensure_ascii=False).encode())


def test_an_answer_of_the_most_bytes_is_sent_and_one_more_is_an_error() -> None:
    room = http.MAX_ANSWER_BYTES - http.size_in_json('{"answer":""}')
    sent: Response[str] = http._json_response(200, {"answer": room * "a"})
    assert (sent.status_code, len(json.loads(sent.body or "")["answer"])) == (200, room)
    refused = http._json_response(200, {"answer": (room + 1) * "a"})
    assert refused.status_code == 413
    error = json.loads(refused.body or "")
    assert error["code"] == "PAYLOAD_TOO_LARGE"
    assert error["details"] == {"bytes": http.MAX_ANSWER_BYTES + 1, "limit": http.MAX_ANSWER_BYTES}
