"""Conditional requests and preferences: which headers let a request through, and which are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_ml.api import preconditions
from loyalty_ml.errors import InvalidRequest

pytestmark = pytest.mark.unit


@given(st.integers(1, 10**15 - 1))
def test_a_version_comes_back_from_its_etag(version: int) -> None:
    assert preconditions.expected_version(preconditions.etag_of_version(version)) == version
    assert preconditions.expected_version(f" {preconditions.etag_of_version(version)} ") == version


def test_without_if_match_any_version_may_be_changed() -> None:
    assert preconditions.expected_version(None) is None
    assert preconditions.expected_version("*") == "*"


@pytest.mark.parametrize(
    "if_match", ["", "3", 'W/"3"', '"3", "4"', '"0"', '"03"', '"-1"', '"1e3"', '"three"', f'"{10**15}"']
)
def test_an_if_match_that_is_not_one_etag_is_refused(if_match: str) -> None:
    with pytest.raises(InvalidRequest, match=r"If-Match: .* with its quotes") as refused:
        preconditions.expected_version(if_match)
    assert refused.value.details is not None
    assert refused.value.details["fields"][0]["field"] == "If-Match"


def test_an_answers_etag_changes_with_the_answer() -> None:
    answer = {"count": 1, "name": "Zoë"}
    etag = preconditions.etag_of_answer(answer)
    assert etag == preconditions.etag_of_answer(dict(answer))
    assert etag != preconditions.etag_of_answer({**answer, "count": 2})
    assert (etag[0], etag[-1], len(etag)) == ('"', '"', 34)


@pytest.mark.parametrize(
    ("if_none_match", "known"),
    [
        (None, False),
        ("", False),
        ('"3"', True),
        ('W/"3"', True),
        ('"2", W/"3"', True),
        ("*", True),
        ('"33"', False),
        ("3", False),
        ('"2","4"', False),
    ],
)
def test_a_caller_that_has_the_version_is_known(if_none_match: str | None, known: bool) -> None:  # noqa: FBT001
    assert preconditions.is_known(if_none_match, '"3"') is known


def test_a_put_with_a_star_may_only_create() -> None:
    assert preconditions.must_be_new("*", None) is True
    assert preconditions.must_be_new(None, None) is False
    assert preconditions.must_be_new(None, '"3"') is False


@pytest.mark.parametrize(
    ("if_none_match", "if_match", "field"),
    [('"3"', None, "If-None-Match"), ("", None, "If-None-Match"), ("*", '"3"', "If-Match")],
)
def test_a_put_that_asks_for_two_things_is_refused(if_none_match: str, if_match: str | None, field: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^The request is not valid: {field}: "):
        preconditions.must_be_new(if_none_match, if_match)


@pytest.mark.parametrize(
    ("prefer", "wants"),
    [
        (None, False),
        ("respond-async", True),
        ("Respond-Async", True),
        ("return=minimal, respond-async", True),
        ("respond-asynchronously", False),
        ("wait=10", False),
    ],
)
def test_a_caller_can_prefer_a_job(prefer: str | None, wants: bool) -> None:  # noqa: FBT001
    assert preconditions.prefers_async(prefer) is wants
