"""Reasons and what if: what is sent, what is refused before, and what an older server answers."""

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_client import Predictions, Retries, UnansweredWarning, codes, errors
from tests.client.misbehaving import batch_answer
from tests.client.test_predictions import client, nothing_is_sent

pytestmark = pytest.mark.unit

REASON = {"feature": "days_since_last", "value": 74, "typical": 12, "contribution": 0.25, "words": "74 days: +0.25"}


def explaining(request: httpx.Request) -> httpx.Response:
    answer = batch_answer(request.content, frozenset({"7"}))
    if json.loads(request.content).get("explain") is True:
        for entry in answer["results"]:
            entry["result"]["reasons"] = [REASON]
    return httpx.Response(200, json=answer)


@given(ids=st.lists(st.integers(0, 9).map(str), max_size=250))
def test_each_answer_has_its_reasons_and_only_if_they_are_asked_for(ids: list[str]) -> None:
    explained = client(explaining).explain("churn", ids)
    assert [{name: value for name, value in row.items() if name != "reasons"} for row in explained] == client(
        explaining
    ).predict("churn", ids)
    assert [row.get("reasons") for row in explained] == [None if each == "7" else [REASON] for each in ids]


def old(request: httpx.Request) -> httpx.Response:
    known = {"customer_id", "customer_ids", "type", "features", "format", "keep"}
    problem = "is not known: remove it, or correct its name"
    fields = [{"field": name, "problem": problem} for name in json.loads(request.content) if name not in known]
    sentence = "; ".join(f"{each['field']} {problem}" for each in fields)
    body = {"error": sentence, "code": "INVALID_REQUEST", "details": {"fields": fields}}
    return httpx.Response(400, json=body)


def test_a_server_from_before_is_named_once() -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return old(request)

    with pytest.raises(errors.OldServer, match="does not know 'explain', so it is older than this client"):
        client(answer, at_once=1).explain("churn", range(1000))
    assert len(asked) == 1
    with pytest.raises(errors.OldServer, match="does not know 'overrides', so it is older than this client"):
        client(answer).what_if("1", {"days_since_last": 3})

    with pytest.raises(errors.OldServer, match="does not know 'explain', so it is older than this client"):
        client(answer).predict_segment("a", explain=True)


def test_models_without_a_baseline_are_asked_once() -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(409, json={"error": "There are no reasons for churn.", "code": "NO_BASELINE"})

    with pytest.raises(codes.NoBaseline, match="no reasons for churn"):
        client(answer, at_once=1).explain("churn", range(1000))
    assert len(asked) == 1


def test_a_segments_reasons_are_asked_for_only_if_they_are_wanted() -> None:
    sent = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content))
        return httpx.Response(200, json={"results": []})

    for explain in (True, False):
        client(answer).predict_segment("a", "nbo", top=5, explain=explain)
    assert sent == [{"type": "nbo", "explain": True}, {"type": "nbo"}]


def test_a_files_reasons_are_asked_for_only_if_they_are_wanted(tmp_path: Path) -> None:
    sent = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content))
        return old(request)

    path = tmp_path / "customers.csv"
    path.write_text("customer_id\n1\n")
    with pytest.raises(errors.OldServer, match="does not know 'explain'"):
        client(answer).score_file(path, "rfm", explain=True)
    with pytest.raises(codes.InvalidRequest):
        client(answer).score_file(path, "rfm")
    assert sent == [{"type": "rfm", "format": "csv", "explain": True}, {"type": "rfm", "format": "csv"}]


def test_a_warning_points_at_the_callers_line() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return explaining(request) if "1" in json.loads(request.content)["customer_ids"] else httpx.Response(502)

    loyalty = client(answer, retries=Retries(tries=1))
    for ask in (loyalty.predict, loyalty.explain):
        with pytest.warns(UnansweredWarning) as warned:
            ask("churn", range(150))
        assert [each.filename for each in warned] == [__file__]


def test_a_field_that_is_wrong_otherwise_is_no_old_server() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        fields = [{"field": name, "problem": "must have at most 1000 entries"} for name in json.loads(request.content)]
        body = {"error": "Too many.", "code": "INVALID_REQUEST", "details": {"fields": fields}}
        return httpx.Response(400, json=body)

    with pytest.raises(errors.ServiceError, match="Too many"):
        client(answer).what_if("1", {"days_since_last": 3})


NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**15), 10**15)


@given(overrides=st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=9), NUMBERS, min_size=1, max_size=5))
def test_what_if_sends_the_numbers_as_they_are(overrides: dict[str, float]) -> None:
    sent = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content))
        return httpx.Response(200, json={"type": "nbo", "result": {}})

    assert dict(client(answer).what_if(7, overrides, "nbo")) == {"type": "nbo", "result": {}}
    of_numpy = {name: np.float64(value) for name, value in overrides.items()}
    client(answer).what_if("7", of_numpy, "nbo")
    assert sent == [{"customer_id": "7", "type": "nbo", "overrides": overrides}] * 2


@pytest.mark.parametrize(
    ("overrides", "kind", "sentence"),
    [
        ({}, ValueError, "There is no override: give one feature and its value, or predict."),
        ([("revenue", 1)], TypeError, "a dictionary of numbers by feature"),
        ({7: 1.0}, TypeError, "a dictionary of numbers by feature"),
        ({"revenue": "12"}, TypeError, "The override of 'revenue' is '12': give a number."),
        ({"revenue": None}, TypeError, "The override of 'revenue' is None: give a number."),
        ({"revenue": True}, TypeError, "The override of 'revenue' is True: give a number."),
        ({"revenue": Decimal(1)}, TypeError, "give a number"),
        ({"revenue": float("nan")}, ValueError, "The override of 'revenue' is no finite number"),
        ({"revenue": 10**400}, ValueError, "The override of 'revenue' is no finite number"),
    ],
)
def test_an_override_that_is_no_number_is_refused_before_anything_is_sent(
    overrides: Any, kind: type[Exception], sentence: str
) -> None:
    with pytest.raises(kind, match=re.escape(sentence)):
        client(nothing_is_sent).what_if("1", overrides)
    with pytest.raises(TypeError, match="position 0"):
        client(nothing_is_sent).what_if(1.5, {"revenue": 1.0})  # type: ignore[arg-type]


def test_a_frame_of_all_has_the_reasons_of_each_type() -> None:
    row = {
        "customer_id": "1",
        "churn": {"customer_id": "1", "churn_probability": 0.5, "explained": {"score": 0.5}, "reasons": [REASON]},
        "rfm": {"customer_id": "1", "r_score": 5, "explained": {"score": 9}, "reasons": []},
        "errors": {},
    }
    frame = Predictions([row], prediction_type="all").to_pandas()
    assert list(frame.columns) == [
        "customer_id", "churn_probability", "churn_explained", "churn_reasons", "r_score", "rfm_explained",
        "rfm_reasons",
    ]  # fmt: skip
    assert frame["churn_reasons"].tolist() == [[REASON]]
    assert frame["rfm_explained"].tolist() == [{"score": 9}]
