"""A request sent until it is answered, without any input or output: what is safe, when, and how often."""

from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_client import Retries, codes, errors
from loyalty_client.calls import Calls
from loyalty_client.predictions import predict
from loyalty_client.steps import Pause, Request, Send, SideBySide

pytestmark = pytest.mark.unit

ANSWER = httpx.Response(200, json={"jobs": []})
UNAVAILABLE = {"error": "The store is away.", "code": "STORE_UNAVAILABLE"}
BUSY = httpx.Response(503, json=UNAVAILABLE, headers={"Retry-After": "5"})
LASTING = httpx.Response(503, json=UNAVAILABLE)
OF_GATEWAY = httpx.Response(503, json={"message": "Service Unavailable"})
THROTTLED = httpx.Response(429, json={"message": "Too Many Requests"})
DROPPED = httpx.RemoteProtocolError("Server disconnected without sending a response.")
REFUSED = httpx.ConnectError("Connection refused")


def follow(request: Request, outcomes: list[Any], **retries: Any) -> tuple[Any, list[float], int]:
    """What it came to, the pauses, and how often it was sent, if sending comes to these outcomes in turn."""
    plan = Calls(Retries(jitter=lambda: 0.0, **retries)).answer(request)
    pauses: list[float] = []
    sent, given_back = 0, None
    try:
        step = next(plan)
        while True:
            if isinstance(step, Pause):
                pauses.append(step.seconds)
                given_back = None
                step = plan.send(None)
                continue
            assert isinstance(step, Send)
            given_back = outcomes[sent]
            sent += 1
            step = plan.throw(given_back) if isinstance(given_back, Exception) else plan.send(given_back)
    except StopIteration as done:
        return done.value, pauses, sent
    except errors.LoyaltyError as error:
        return error, pauses, sent


SAFE, UNSAFE = Request("GET", "/ml/jobs"), Request("POST", "/models/rollback", is_safe=False)


def test_the_servers_own_wait_is_kept() -> None:
    assert follow(SAFE, [BUSY, BUSY, ANSWER]) == ({"jobs": []}, [5.0, 5.0], 3)


@pytest.mark.parametrize("passing", [OF_GATEWAY, THROTTLED, DROPPED], ids=["unavailable", "throttled", "dropped"])
def test_without_one_the_wait_is_doubled(passing: Any) -> None:
    assert follow(SAFE, [passing, passing, passing, ANSWER]) == ({"jobs": []}, [1.0, 2.0, 4.0], 4)


@pytest.mark.parametrize(
    ("outcome", "kind", "sent"),
    [
        (BUSY, codes.StoreUnavailable, 4),
        (LASTING, codes.StoreUnavailable, 1),
        (OF_GATEWAY, errors.GatewayUnavailable, 4),
        (DROPPED, errors.NoConnection, 4),
        (REFUSED, errors.NotReachable, 2),
        (httpx.Response(500, json={"error": "A bug.", "code": "INTERNAL"}), codes.Internal, 1),
        (httpx.Response(404, json={"error": "None.", "code": "JOB_NOT_FOUND"}), codes.JobNotFound, 1),
        (httpx.Response(503, json=UNAVAILABLE, headers={"Retry-After": "3600"}), codes.StoreUnavailable, 1),
    ],
    ids=["busy", "lasting", "gateway", "dropped", "refused", "bug", "not-found", "too-long-a-wait"],
)
def test_what_cannot_pass_is_not_sent_again(outcome: Any, kind: type[errors.LoyaltyError], sent: int) -> None:
    error, pauses, count = follow(SAFE, [outcome] * 9)
    assert type(error) is kind
    assert (count, len(pauses)) == (sent, sent - 1)


@pytest.mark.parametrize("outcome", [BUSY, OF_GATEWAY, THROTTLED, DROPPED, REFUSED])
def test_what_is_not_safe_is_sent_once(outcome: Any) -> None:
    error, pauses, sent = follow(UNSAFE, [outcome] * 9)
    assert isinstance(error, errors.LoyaltyError)
    assert (pauses, sent) == ([], 1)


def test_a_job_is_started_with_the_same_key_each_time() -> None:
    plan = Calls(Retries()).start_job({"format": "csv"})
    first = next(plan)
    assert isinstance(plan.throw(DROPPED), Pause)
    again = plan.send(None)
    assert isinstance(first, Send)
    assert first == again
    assert len(first.request.headers["Idempotency-Key"]) == 36
    other = next(Calls(Retries()).start_job({"format": "csv"}))
    assert isinstance(other, Send)
    assert other.request.headers != first.request.headers


WHOLE = httpx.Response(200, json={"results": [{"customer_id": "é"}], "errors": []}).content


@given(cut=st.integers(0, len(WHOLE) - 1))
def test_an_answer_that_is_cut_anywhere_is_half_an_answer(cut: int) -> None:
    half = httpx.Response(200, content=WHOLE[:cut], headers={"Content-Type": "application/json"})
    error, _, sent = follow(SAFE, [half] * 4)
    assert type(error) is errors.HalfAnswer
    assert sent == 4
    assert follow(UNSAFE, [half])[2] == 1


def test_a_wait_until_a_moment_is_one_too() -> None:
    past = httpx.Response(503, json=UNAVAILABLE, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})
    assert follow(SAFE, [past, ANSWER]) == ({"jobs": []}, [0.0], 2)


@given(
    wait=st.builds(
        "{} {} {} {}:{}:{} {}".format,
        *[st.integers(-5, 10**30)],
        st.sampled_from(["Jan", "Oct"]),
        *[st.integers(-1, 10**30)] * 4,
        st.sampled_from(["GMT", "+0100", "-9999", "+99999999999999999999"]),
    )
    | st.integers(0, 10**400).map(str)
)
def test_a_wait_of_whatever_size_is_a_wait_or_nothing(wait: str) -> None:
    error, pauses, _ = follow(SAFE, [httpx.Response(503, json=UNAVAILABLE, headers={"Retry-After": wait})] * 4)
    assert isinstance(error, codes.StoreUnavailable)
    assert all(0 <= pause <= 60 for pause in pauses)


NESTED = b'{"a":' * 100_000


@pytest.mark.parametrize("status", [200, 400, 503])
def test_brackets_without_end_are_no_answer(status: int) -> None:
    response = httpx.Response(status, content=NESTED, headers={"Content-Type": "application/json"})
    response.request = httpx.Request("GET", "http://service/")
    error, _, _ = follow(SAFE, [response] * 4)
    assert isinstance(error, errors.NotTheService | errors.GatewayUnavailable)


@pytest.mark.parametrize("fields", [3, None, {"a": 1}, [1], [{"field": 2}], [{"field": "customer_ids." + "9" * 5000}]])
def test_details_that_are_odd_are_still_the_services_error(fields: Any) -> None:
    body = {"error": "Odd.", "code": "INVALID_REQUEST", "details": {"fields": fields}}
    error, _, _ = follow(Request("POST", "/x", newer=("explain",)), [httpx.Response(400, json=body)])
    assert isinstance(error, codes.InvalidRequest)
    plan = predict(Calls(Retries()), "churn", ["1"], lambda _: None, {})
    side_by_side = next(plan)
    assert isinstance(side_by_side, SideBySide)
    (one,) = side_by_side.plans
    next(one)
    with pytest.raises(StopIteration) as ended:
        one.send(httpx.Response(400, json=body))
    assert [row["code"] for row in ended.value.value.rows] == ["INVALID_REQUEST"]


@given(
    body=st.one_of(
        st.binary(max_size=20),
        st.recursive(
            st.none() | st.integers() | st.text(max_size=5) | st.sampled_from(["error", "code", "message"]),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["error", "code"]), inner),
            max_leaves=4,
        ).map(lambda value: httpx.Response(200, json=value).content),
    ),
    status=st.integers(200, 599),
    content_type=st.sampled_from(["application/json", "text/html", ""]),
    wait=st.text(max_size=6),
)
def test_whatever_answers_is_an_answer_or_an_error_of_one_sentence(
    body: bytes, status: int, content_type: str, wait: str
) -> None:
    response = httpx.Response(
        status,
        content=body,
        headers=[(b"Content-Type", content_type.encode()), (b"Retry-After", wait.encode("utf-8"))],
        request=httpx.Request("GET", "http://service/"),
    )
    outcome, _, sent = follow(SAFE, [response] * 4)
    assert 1 <= sent <= 4
    if isinstance(outcome, errors.LoyaltyError):
        assert not isinstance(outcome, errors.NoConnection)
    else:
        assert 200 <= status < 300
        assert isinstance(outcome, dict)
