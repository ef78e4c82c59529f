"""Lists split, run side by side and put together again: nothing lost, nothing doubled, whatever fails."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loyalty_client import Loyalty, LoyaltyError, Retries, UnansweredWarning, errors
from tests.client.misbehaving import batch_answer
from tests.fuzz.mutations import mutated

BASE = "http://service/api/loyalty/v1"
AT_ONCE = Retries(first_wait=0.0)

pytestmark = pytest.mark.unit

Handler = Callable[[httpx.Request], httpx.Response]


def client(handler: Handler, **options: Any) -> Loyalty:
    options = {"retries": AT_ONCE, "auth": "token", **options}
    return Loyalty(BASE, transport=httpx.MockTransport(handler), **options)


def answers(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json=batch_answer(request.content))


def nothing_is_sent(request: httpx.Request) -> httpx.Response:
    raise AssertionError(request)


IDS = st.lists(st.integers(0, 400).map(str), max_size=450)


@given(ids=IDS, unknown=st.frozensets(st.integers(0, 400).map(str), max_size=60), gone=st.sets(st.integers(0, 4)))
def test_each_id_has_its_answer_or_its_error_in_its_place(
    ids: list[str], unknown: frozenset[str], gone: set[int]
) -> None:
    parts = [ids[start : start + 100] for start in range(0, len(ids), 100)]
    failing = [part for place, part in enumerate(parts) if place in gone]

    def answer(request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)["customer_ids"]
        assert asked in parts
        if asked in failing:
            return httpx.Response(503, json={"error": "The store is away.", "code": "FEATURE_STORE_UNAVAILABLE"})
        return httpx.Response(200, json=batch_answer(request.content, unknown))

    loyalty = client(answer)
    lost = [each for part in parts for each in part if part in failing]
    if parts and len(lost) == len(ids):
        with pytest.raises(LoyaltyError, match="The store is away"):
            loyalty.predict("churn", ids)
        return
    if lost:
        with pytest.warns(UnansweredWarning, match=f"{len(lost):,} of {len(ids):,} customers"):
            rows = loyalty.predict("churn", ids)
    else:
        rows = loyalty.predict("churn", ids)
    assert [row["customer_id"] for row in rows] == ids
    assert rows.unanswered == lost
    place = 0
    for part in parts:
        for each in part:
            code = "FEATURE_STORE_UNAVAILABLE" if part in failing else "CUSTOMER_NOT_FOUND" if each in unknown else None
            assert rows[place].get("code") == code
            assert ("churn_probability" in rows[place]) == (code is None)
            place += 1
    assert len(rows.failed) + sum("churn_probability" in row for row in rows) == len(ids)
    assert json.loads(json.dumps(rows)) == rows, "plain rows"


@pytest.mark.parametrize("refusal", [401, 403])
def test_a_refusal_of_the_caller_ends_the_rest(refusal: int) -> None:
    sent = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return answers(request) if len(sent) == 1 else httpx.Response(refusal, json={"message": "no"})

    with pytest.warns(UnansweredWarning):
        rows = client(answer, at_once=1).predict("churn", range(1000))
    assert len(sent) == 2
    assert len(rows) == 1000
    assert len(rows.unanswered) == 900
    assert {row.get("code") for row in rows} == {None, {401: "UNAUTHORIZED", 403: "FORBIDDEN"}[refusal]}


def test_an_id_that_the_service_refuses_fails_alone() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        long = [place for place, each in enumerate(body["customer_ids"]) if len(each) > 256]
        if not long:
            return answers(request)
        fields = [{"field": f"customer_ids.{place}", "problem": "must have at most 256 characters"} for place in long]
        refusal = {"error": "The request is not valid.", "code": "INVALID_REQUEST", "details": {"fields": fields}}
        return httpx.Response(400, json=refusal)

    rows = client(answer).predict("churn", ["1", "x" * 300, "2", "y" * 300])
    assert [row.get("code") for row in rows] == [None, "INVALID_REQUEST", None, "INVALID_REQUEST"]
    assert rows[1]["error"] == "The customer's id must have at most 256 characters."
    assert rows.unanswered == []
    only = client(answer).predict("churn", ["x" * 300])
    assert [row["code"] for row in only] == ["INVALID_REQUEST"]


@pytest.mark.parametrize("given", ["123", b"123", [1.0], [None], [True], ["1", float("nan")], {"1": 2}, [["1"]], None, 5, pd.DataFrame({"customer_id": ["1"]})])  # fmt: skip # noqa: E501
def test_what_is_no_list_of_ids_is_refused_before_anything_is_sent(given: Any) -> None:
    with pytest.raises(TypeError, match=r"[Cc]ustomer id"):
        client(nothing_is_sent).predict("churn", given)


def test_a_text_that_no_request_can_hold_is_named() -> None:
    with pytest.raises(ValueError, match=r"position 1, .* is no valid Unicode"):
        client(nothing_is_sent).predict("churn", ["é", "\udcff"])
    assert [row["customer_id"] for row in client(answers).predict("churn", ["é", "客户"])] == ["é", "客户"]


@settings(max_examples=40)
@given(data=st.data(), kind=st.sampled_from(["churn", "all"]))
def test_an_answer_of_whatever_shape_is_rows_or_an_error_of_one_sentence(data: st.DataObject, kind: Any) -> None:
    whole = batch_answer(b'{"customer_ids": ["1", "2", "3"], "type": "churn"}', frozenset({"3"}))
    if kind == "all":
        failure = {"code": "NO_PURCHASES", "error": "Nothing bought yet."}
        whole["results"] = [
            {"customer_id": each, "results": {"churn": {"churn_probability": 0.25}}, "errors": {"nbo": failure}}
            for each in "12"
        ]
        whole["errors"][0]["errors"] = {"churn": failure}
        whole["models"] = {"churn": whole.pop("model")}
    given = data.draw(mutated(whole))
    try:
        rows = client(lambda _: httpx.Response(200, json=given), retries=Retries(tries=1)).predict(
            kind, ["1", "2", "3"]
        )
    except errors.InvalidAnswer:
        return
    assert [row["customer_id"] for row in rows] == ["1", "2", "3"]
    assert len(rows.to_pandas()) == 3


def test_whole_numbers_are_ids() -> None:
    ids = pd.Series([7, 8], dtype="int64")
    assert [row["customer_id"] for row in client(answers).predict("churn", ids)] == ["7", "8"]


def test_an_answer_that_is_silent_of_a_customer_is_no_answer() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        given = batch_answer(request.content)
        return httpx.Response(200, json={**given, "results": given["results"][:-1]})

    with pytest.raises(errors.HalfAnswer, match="says nothing of 1 of 3 customers, such as '3'"):
        client(answer).predict("churn", ["1", "2", "3"])


@pytest.mark.parametrize("field", ["results", "errors"])
def test_an_old_server_is_named(field: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={k: v for k, v in batch_answer(request.content).items() if k != field})

    with pytest.raises(errors.OldServer, match=f"no field '{field}', so the server is older than this client"):
        client(answer).predict("churn", ["1"])


def test_two_versions_that_answered_are_both_named() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        given = batch_answer(request.content)
        version = "v1" if "0" in json.loads(request.content)["customer_ids"] else "v2"
        given["model"] = {**given["model"], "version": version}
        return httpx.Response(200, json={**given, "features_as_of": f"2026-0{version[1]}-01T00:00:00Z"})

    rows = client(answer).predict("churn", range(200))
    assert [model["version"] for model in rows.models] == ["v1", "v2"]
    assert rows.features_as_of == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize("given", ["", ".", "..", "a/b", "../config"])
def test_an_id_that_would_lead_to_another_route_is_refused(given: str) -> None:
    loyalty = client(nothing_is_sent)
    for ask in (loyalty.segment, loyalty.stats, loyalty.predict_segment, loyalty.job, loyalty.wait):
        with pytest.raises(ValueError, match="is no id"):
            ask(given)


def test_nothing_is_asked_for_nobody() -> None:
    assert client(nothing_is_sent).predict("churn", []) == []


def test_a_bar_is_shown_where_someone_looks(capsys: pytest.CaptureFixture[str]) -> None:
    loyalty = client(answers)
    loyalty.predict("churn", range(250))
    assert capsys.readouterr() == ("", ""), "no terminal and no notebook"
    loyalty.predict("churn", range(250), show_progress=True)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "250/250" in printed.err


def test_a_client_of_one_line_leaves_nothing_open() -> None:
    closed = []

    class Transport(httpx.MockTransport):
        def close(self) -> None:
            closed.append(self)

    assert len(Loyalty(BASE, "token", transport=Transport(answers)).predict("churn", ["1"])) == 1
    assert len(closed) == 1
