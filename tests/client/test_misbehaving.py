"""The client against a real server that drops connections, answers half, wants a token, or is none."""

import asyncio
import gc
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from loyalty_client import AsyncLoyalty, Loyalty, Retries, UnansweredWarning, codes, errors
from tests.client.misbehaving import DROPS, Received, Says, Server, batch_answer, cut, half, running

pytestmark = pytest.mark.process

AT_ONCE = Retries(first_wait=0.0)
STATUS: dict[str, Any] = {"models": {}}


@pytest.fixture(scope="module")
def one_server() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.fixture
def server(one_server: Server) -> Server:
    one_server.received.clear()
    return one_server


class Both:
    """The same call of either client: what it gives, or raises, must be the same."""

    def __init__(self, kind: str, address: str) -> None:
        self.kind, self.address = kind, address

    def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        made = {"auth": "token", "retries": AT_ONCE, **options}
        if self.kind == "sync":
            with Loyalty(self.address, **made) as loyalty:
                return getattr(loyalty, method)(*arguments)

        async def awaited() -> Any:
            async with AsyncLoyalty(self.address, **made) as loyalty:
                return await getattr(loyalty, method)(*arguments)

        return asyncio.run(awaited())


@pytest.fixture(params=["sync", "async"])
def either(request: pytest.FixtureRequest, server: Server) -> Both:
    return Both(request.param, server.address)


SECONDS_OF_SILENCE = 0.2
EXPIRED = 'Bearer scope="" error="invalid_token" error_description="the token has expired"'
"""What an HTTP API's authorizer says."""


@pytest.mark.parametrize(
    ("behaviour", "kind", "sentence"),
    [
        (DROPS, errors.NoConnection, "broke the connection off before it answered"),
        (half(STATUS), errors.HalfAnswer, "ended the connection in the middle of its answer"),
        (cut(STATUS), errors.HalfAnswer, "breaks off in the middle"),
        (Says(401, {"message": "Unauthorized"}), errors.Unauthorized, "wants a token"),
        (
            Says(401, {"message": "Unauthorized"}, {"WWW-Authenticate": EXPIRED}),
            errors.TokenExpired,
            "The token has expired",
        ),
        (Says(403, {"message": "Forbidden"}), errors.Forbidden, "lacks the scope"),
        (Says(429, {"message": "Too Many Requests"}), errors.Throttled, "no more requests"),
        (Says(413, {"message": "Request Too Long"}), errors.BodyTooLarge, "send a file"),
        (Says(504, {"message": "Endpoint request timed out"}), errors.GatewayUnavailable, "504"),
        (Says(200, b"<html>", content_type="text/html"), errors.NotTheService, "check the base URL"),
        (Says(302, b"", {"Location": "/login"}), errors.NotTheService, "check the base URL"),
        (Says(404, b"Not Found", content_type="text/plain"), errors.NotTheService, "check the base URL"),
        (Says(200, [1]), errors.NotTheService, "check the base URL"),
        (Says(400, {"error": "Newer than you.", "code": "BRAND_NEW"}), errors.ServiceError, "Newer than you."),
        (
            Says(503, {"error": "Away.", "code": "STORE_UNAVAILABLE", "details": {"store": "jobs"}}),
            codes.StoreUnavailable,
            "Away.",
        ),
    ],
)  # fmt: skip
def test_each_misbehaviour_is_an_exception_of_its_own(
    server: Server, either: Both, behaviour: Says | None, kind: type[errors.LoyaltyError], sentence: str
) -> None:
    server.will(behaviour)
    with pytest.raises(errors.LoyaltyError) as raised:
        either.call("status")
    assert type(raised.value) is kind
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)
    assert server.received[0].headers["Authorization"] == "Bearer token"
    assert server.received[0].path == "/api/loyalty/v1/config/ml/status"


def test_reasons_and_what_if_are_asked_for_again_too(server: Server, either: Both) -> None:
    server.will(DROPS, lambda request: Says(body=batch_answer(request)))
    assert [row["customer_id"] for row in either.call("explain", "churn", ["1", "2"])] == ["1", "2"]
    assert server.received[-1].json == {"customer_ids": ["1", "2"], "type": "churn", "explain": True}
    server.will(half(STATUS), lambda request: Says(body=request.json))
    asked = {"customer_id": "1", "type": "churn", "overrides": {"revenue": 2.0}}
    assert either.call("what_if", "1", {"revenue": 2}) == asked
    assert len(server.received) == 4


@pytest.mark.parametrize("behaviour", [DROPS, half(STATUS), cut(STATUS), Says(503, {"message": "Unavailable"})])
def test_what_passes_is_answered_in_the_end(server: Server, either: Both, behaviour: Says | None) -> None:
    server.will(behaviour, behaviour, Says(body=STATUS))
    assert either.call("status") == STATUS
    assert len(server.received) == 3


def test_a_server_that_says_nothing_is_not_waited_for(server: Server, either: Both) -> None:
    released = threading.Event()

    def silent(_: Received) -> None:
        released.wait(20)

    server.will(silent)
    try:
        with pytest.raises(errors.TimedOut, match="did not answer in time"):
            either.call("status", timeout=SECONDS_OF_SILENCE, retries=Retries(tries=1))
    finally:
        released.set()


def test_an_address_where_nobody_listens_is_named(either: Both) -> None:
    either.address = "http://127.0.0.1:1"
    with pytest.raises(errors.NotReachable, match=r"127\.0\.0\.1:1 cannot be reached"):
        either.call("status")


def test_a_connection_that_drops_for_good_loses_no_other_customer(server: Server, either: Both) -> None:
    def drops_for_some(request: Received) -> Says | None:
        return None if "150" in request.json["customer_ids"] else Says(body=batch_answer(request, frozenset({"7"})))

    server.will(drops_for_some)
    with pytest.warns(UnansweredWarning, match="no answer for 100 of 320 customers.*100, 101"):
        rows = either.call("predict", "churn", range(320))
    assert [row["customer_id"] for row in rows] == [str(each) for each in range(320)]
    assert rows.unanswered == [str(each) for each in range(100, 200)]
    assert {row["code"] for row in rows.failed} == {"NO_CONNECTION", "CUSTOMER_NOT_FOUND"}
    assert sum("churn_probability" in row for row in rows) == 219
    assert len(server.received) == 3 + AT_ONCE.tries


def test_no_more_requests_go_side_by_side_than_were_asked_for(server: Server, either: Both) -> None:
    now, most = 0, 0
    counting = threading.Lock()
    all_there = threading.Barrier(2)

    def count(request: Received) -> Says:
        nonlocal now, most
        with counting:
            now += 1
            most = max(most, now)
        all_there.wait(20)  # two at a time, or it would never go on
        with counting:
            now -= 1
        return Says(body=batch_answer(request))

    server.will(count)
    assert len(either.call("predict", "churn", range(600), at_once=2)) == 600
    assert most == 2


def _file_job(into: str, **job: Any) -> Any:
    """A service with a store that takes one upload and has one result."""
    state = {"status": "awaiting_upload", "downloads": 0, **job}

    def behave(request: Received) -> Says | None:
        path = request.path.removeprefix("/api/loyalty/v1")
        if (request.method, path) == ("POST", "/ml/jobs"):
            upload = {"url": f"{into}/bucket", "fields": {"key": "incoming/k"}, "max_bytes": 1000, "expires": "..."}
            return Says(201, {"job_id": "j1", "status": "awaiting_upload", "location": "...", "upload": upload})
        if path == "/bucket":
            if state.get("drops_uploads"):
                return DROPS
            state["status"] = "running"
            return Says(state.get("store", 204), b"<Error><Code>EntityTooLarge</Code></Error>")
        if path == "/result":
            state["downloads"] += 1
            if state["downloads"] <= state.get("broken_downloads", 0):
                return Says(body=b"customer_id,chu", declared=100, content_type="text/csv")
            return Says(body=b"customer_id,churn_risk\n1,low\n", content_type="text/csv")
        answer = {"job_id": "j1", "status": state["status"], "progress": {"processed": 0, "total": 1, "share": 0.5}}
        if state["status"] == "running":
            state["status"] = state.get("end", "succeeded")
        elif answer["status"] == "succeeded":
            answer |= {
                "summary": {"rows": 1, "predictions": 1, "errors": 0},
                "results": {"predictions": {"key": "results/j1/predictions.csv", "url": f"{into}/result"}},
            }
        elif answer["status"] == "failed":
            answer |= {"error": "The file has no customer_id.", "code": "INVALID_FILE"}
        return Says(body=answer, headers={"Retry-After": "0"})

    return behave


@pytest.fixture
def customers(tmp_path: Path) -> Path:
    path = tmp_path / "customers.of.may.csv.gz"
    path.write_bytes(b"customer_id\n1\n")
    return path


def test_a_file_is_announced_uploaded_waited_for_and_downloaded(server: Server, either: Both, customers: Path) -> None:
    server.will(_file_job(server.address, broken_downloads=2))
    scored = either.call("score_file", customers, "rfm")
    announced, upload, *rest = server.received
    assert announced.json == {"type": "rfm", "format": "csv.gz"}
    assert len(announced.headers["Idempotency-Key"]) == 36
    assert "Authorization" not in upload.headers, "the store has signed the address: the token is not its business"
    assert upload.body.index(b'name="key"') < upload.body.index(b'name="file"'), "the file is last, as S3 wants it"
    assert b"customer_id\n1\n" in upload.body
    assert int(upload.headers["Content-Length"]) == len(upload.body)
    fetched = [request for request in rest if request.path == "/result"]
    assert len(fetched) == 3
    assert not any("Authorization" in request.headers for request in fetched)
    assert scored.status == "succeeded"
    assert scored.summary == {"rows": 1, "predictions": 1, "errors": 0}
    assert scored.files == {"predictions": customers.parent / "customers-rfm" / "predictions.csv"}
    assert scored.files["predictions"].read_text() == "customer_id,churn_risk\n1,low\n"
    assert [path.name for path in scored.files["predictions"].parent.iterdir()] == ["predictions.csv"], "no half file"


def test_a_bar_names_the_job_that_is_waited_for(
    server: Server, customers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.will(_file_job(server.address))
    with Loyalty(server.address, "token") as loyalty:
        loyalty.score_file(customers, show_progress=True)
        assert re.search(r"Job j1: +50%.*, succeeded", capsys.readouterr().err)
        server.will(Says(body=STATUS))
        loyalty.stats("a", show_progress=True)
    assert capsys.readouterr().err == "", "no job, no bar"


def test_a_failed_job_is_the_exception_of_its_code(server: Server, either: Both, customers: Path) -> None:
    server.will(_file_job(server.address, end="failed"))
    with pytest.raises(codes.InvalidFile, match="has no customer_id") as raised:
        either.call("score_file", customers)
    assert raised.value.job is not None
    assert raised.value.job["job_id"] == "j1"


def test_a_store_that_refuses_the_file_says_why(server: Server, either: Both, customers: Path) -> None:
    server.will(_file_job(server.address, store=400))
    with pytest.raises(errors.TransferFailed, match="The store answered 400 EntityTooLarge") as raised:
        either.call("score_file", customers)
    assert raised.value.job_id == "j1"
    customers.write_bytes(b"x" * 1001)
    with pytest.raises(errors.TransferFailed, match="has 1,001 bytes, but an upload has at most 1,000"):
        either.call("score_file", customers)


def test_an_upload_that_breaks_off_is_not_sent_twice_and_names_its_job(
    server: Server, either: Both, customers: Path
) -> None:
    server.will(_file_job(server.address, drops_uploads=True))
    with pytest.raises(
        errors.TransferFailed, match=r"The upload of .* broke off: .*If the job j1 still awaits"
    ) as raised:
        either.call("score_file", customers)
    assert raised.value.job_id == "j1"
    assert [request.path for request in server.received] == ["/api/loyalty/v1/ml/jobs", "/bucket"]


def test_a_result_that_never_comes_whole_leaves_no_file(server: Server, either: Both, customers: Path) -> None:
    server.will(_file_job(server.address, broken_downloads=99))
    with pytest.raises(errors.TransferFailed, match=r"predictions of the job j1 was not downloaded: .*resume\('j1'\)"):
        either.call("score_file", customers)
    assert list((customers.parent / "customers-churn").iterdir()) == []


def test_a_wait_that_was_given_up_is_resumed(server: Server, customers: Path, tmp_path: Path) -> None:
    server.will(_file_job(server.address))
    with Loyalty(server.address, "token", retries=AT_ONCE) as loyalty:
        with pytest.raises(errors.JobUnfinished, match=r"job j1 is running after 0 seconds.*resume\('j1'\)") as raised:
            loyalty.score_file(customers, "churn", seconds=0)
        scored = loyalty.resume(raised.value.job_id, tmp_path / "here")
    assert scored.files["predictions"].read_text().startswith("customer_id")


def test_a_file_that_is_not_there_starts_no_job(server: Server, either: Both, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        either.call("score_file", tmp_path / "none.csv")
    assert server.received == []


def test_a_segment_that_takes_too_long_is_answered_by_its_job(server: Server, either: Both) -> None:
    server.will(
        Says(202, {"job_id": "j2", "status": "queued", "location": "..."}),
        Says(body={"job_id": "j2", "status": "queued"}, headers={"Retry-After": "0"}),
        Says(body={"job_id": "j2", "status": "succeeded", "answer": {"member_count": 7}}),
    )
    assert either.call("stats", "at-risk") == {"member_count": 7}
    assert server.received[0].path == "/api/loyalty/v1/segments/at-risk/ml/stats"
    assert server.received[1].path == "/api/loyalty/v1/ml/jobs/j2"


def test_pages_are_followed_to_the_last(server: Server, either: Both) -> None:
    server.will(
        Says(body={"segments": [{"segment_id": "a"}], "next": "t&1"}), Says(body={"segments": [{"segment_id": "b"}]})
    )
    assert either.call("segments") == [{"segment_id": "a"}, {"segment_id": "b"}]
    assert server.received[1].path.endswith("/segments?next=t%261")


def test_a_bug_in_one_of_many_requests_is_raised_as_it_is(either: Both) -> None:
    def broken(_: httpx.Request) -> httpx.Response:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        either.call("predict", "churn", range(1000), transport=httpx.MockTransport(broken))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("customers", [1, 1500])
@pytest.mark.parametrize("turns", [0, 1, 5, 50])
def test_who_cancels_a_call_leaves_no_task_and_no_request_behind(customers: int, turns: int) -> None:
    """Whenever it is: before a request is sent, while some are under way, and while others wait for their turn."""
    under_way = 0

    async def never(_: httpx.Request) -> httpx.Response:
        nonlocal under_way
        under_way += 1
        try:
            await asyncio.Event().wait()
        finally:
            under_way -= 1
        raise AssertionError

    async def cancelled() -> None:
        async with AsyncLoyalty("http://service", at_once=4, transport=httpx.MockTransport(never)) as loyalty:
            call = asyncio.ensure_future(loyalty.predict("churn", range(customers), show_progress=False))
            for _ in range(turns):
                await asyncio.sleep(0)
            assert under_way <= 4
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert not under_way

    asyncio.run(cancelled())
    gc.collect()  # a coroutine or task that nobody waited for would warn now
