"""The claims that the gateway hands on, looked at again behind it."""

import time
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_ml.api.access import Access, Scope, claims_of
from loyalty_ml.errors import MissingScope, Unauthenticated

pytestmark = pytest.mark.unit

ISSUER = "https://issuer.example.com"
ACCESS = Access(ISSUER, frozenset({"loyalty", "another"}))
SCOPES: tuple[Scope, ...] = get_args(Scope)


def claims(**changed: Any) -> dict[str, Any]:
    """Of a good token, as the gateway writes them, but for what is changed; None takes a claim out."""
    good = {"iss": ISSUER, "aud": "loyalty", "exp": str(int(time.time()) + 60), "scope": " ".join(SCOPES)}
    return {name: value for name, value in (good | changed).items() if value is not None}


def event(told: Any) -> dict[str, Any]:
    return {"requestContext": {"authorizer": {"jwt": {"claims": told, "scopes": None}}}}


@pytest.mark.parametrize(
    "good",
    [
        {},
        {"aud": "another"},
        {"aud": "[elsewhere loyalty]"},
        {"aud": None, "client_id": "loyalty"},
        {"scope": None, "scp": "loyalty/read"},
        {"scope": None, "scp": "[loyalty/predict loyalty/read]"},
        {"exp": "9999999999.5"},
    ],
)
def test_a_token_of_the_issuer_for_the_service_with_the_scope_passes(good: dict[str, Any]) -> None:
    ACCESS.check(event(claims(**good)), "loyalty/read")


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": None},
        {"iss": f"{ISSUER}/"},
        {"iss": "https://other.example.com"},
        {"aud": None},
        {"aud": "elsewhere", "client_id": "loyalty"},
        {"aud": "loyalty elsewhere"},
        {"aud": "[]", "client_id": "loyalty"},
        {"aud": None, "client_id": "elsewhere"},
        {"exp": None},
        {"exp": "0"},
        {"exp": "nan"},
        {"exp": "inf"},
        {"exp": "soon"},
        {"exp": 10**400},
        {"exp": [9999999999]},
    ],
)
def test_another_token_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        ACCESS.check(event(claims(**wrong)), "loyalty/read")


@pytest.mark.parametrize(
    "context",
    [
        {},
        {"authorizer": None},
        {"authorizer": {}},
        {"authorizer": {"jwt": None}},
        {"authorizer": {"jwt": {}}},
        {"authorizer": {"jwt": {"claims": None}}},
        {"authorizer": {"jwt": {"claims": "all"}}},
        {"authorizer": {"lambda": {"iss": ISSUER}}},
        {"authorizer": {"iam": {"userArn": "arn:aws:iam::1:user/x"}}},
    ],
)
def test_what_another_authorizer_or_none_hands_on_is_refused(context: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        ACCESS.check({"requestContext": context}, "loyalty/read")
    assert claims_of({"requestContext": context}) == {}


@given(st.sets(st.sampled_from(SCOPES)), st.sampled_from(SCOPES), st.sampled_from(["scope", "scp"]), st.booleans())
def test_the_scope_decides_and_no_other(has: set[Scope], wanted: Scope, name: str, as_list: bool) -> None:  # noqa: FBT001
    text = " ".join(sorted(has))
    told = claims(**{"scope": None, name: f"[{text}]" if as_list else text})
    if wanted in has:
        ACCESS.check(event(told), wanted)
    else:
        with pytest.raises(MissingScope, match=wanted) as refused:
            ACCESS.check(event(told), wanted)
        assert refused.value.details == {"scope": wanted}


@given(st.sampled_from(SCOPES), st.text(max_size=30) | st.sampled_from(["\n", "\t", "\u00a0loyalty/x", "\x1f"]))
def test_a_scope_is_no_part_of_another_word(wanted: Scope, more: str) -> None:
    glued = f"{wanted}{more}"
    if wanted not in glued.split(" "):  # RFC 6749, 3.3
        with pytest.raises(MissingScope):
            ACCESS.check(event(claims(scope=glued)), wanted)


@given(st.dictionaries(st.sampled_from(["iss", "aud", "client_id", "exp", "scope", "scp"]), st.none() | st.text() | st.integers() | st.just(10**400) | st.lists(st.text())))  # fmt: skip  # noqa: E501
def test_claims_of_any_kind_open_nothing(told: dict[str, Any]) -> None:
    with pytest.raises((Unauthenticated, MissingScope)):
        ACCESS.check(event(told), "loyalty/models")


def test_without_an_issuer_nobody_is_asked() -> None:
    Access("", frozenset()).check({"requestContext": {}}, "loyalty/models")
