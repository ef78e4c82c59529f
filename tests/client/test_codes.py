"""Every code of the API is an exception of its own, and says what the errors' page says."""

import inspect
import json
import re
import typing

import pytest

from docs.generate import errors as documented
from local import openapi
from loyalty_client import AsyncLoyalty, Loyalty, answers, codes, errors
from loyalty_client.codes import BY_CODE

pytestmark = pytest.mark.unit


def test_every_code_of_the_description_is_an_exception_of_its_own() -> None:
    described = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)*)`", json.dumps(_response_descriptions())))
    assert described <= BY_CODE.keys()
    assert BY_CODE.keys() == {kind.code for kind in documented.kinds()} | {"INTERNAL"}
    assert len(set(BY_CODE.values())) == len(BY_CODE)
    for code, kind in BY_CODE.items():
        assert kind.code == code
        assert issubclass(kind, errors.ServiceError)


def test_an_exception_says_when_and_what_to_do_as_the_service_does() -> None:
    for kind in documented.kinds():
        when, remedy = documented.explanation(kind)
        assert " ".join((BY_CODE[kind.code].__doc__ or "").split()) == f"{when} {remedy}"


def test_what_is_a_kind_of_another_for_the_service_is_one_for_a_program() -> None:
    assert issubclass(codes.CustomerNotFound, codes.NotFound)
    assert issubclass(codes.StoreUnavailable, codes.Unavailable)
    assert issubclass(codes.MissingFeatures, codes.Unscorable)


def test_every_code_of_the_client_is_of_one_exception() -> None:
    def kinds(parent: type[errors.LoyaltyError]) -> list[type[errors.LoyaltyError]]:
        return [each for kind in parent.__subclasses__() for each in (kind, *kinds(kind))]

    named = [kind.code for kind in kinds(errors.LoyaltyError) if "code" in vars(kind)]
    assert len(named) == len(set(named))


def test_both_clients_have_the_same_methods() -> None:
    def methods(kind: type) -> dict[str, inspect.Signature]:
        return {
            name: inspect.signature(method)
            for name, method in vars(kind).items()
            if inspect.isfunction(method) and not name.startswith("_")
        }

    assert methods(Loyalty) == methods(AsyncLoyalty)
    assert all(inspect.iscoroutinefunction(getattr(AsyncLoyalty, name)) for name in methods(Loyalty))


def _response_descriptions() -> list[str]:
    return [
        response["description"]
        for methods in openapi.document()["paths"].values()
        for operation in methods.values()
        for status, response in operation["responses"].items()
        if int(status) >= 400
    ]


def test_an_answers_type_has_the_fields_of_the_description() -> None:
    schemas = openapi.document()["components"]["schemas"]
    types = {name: kind for name, kind in vars(answers).items() if typing.is_typeddict(kind)}
    assert {"StatusAnswer", "SegmentStatsAnswer", "JobAnswer", "ChurnResult", "NboResult", "RfmResult"} <= types.keys()
    for name, kind in types.items():
        assert kind.__required_keys__ == set(schemas[name].get("required", ())), name
        assert kind.__required_keys__ | kind.__optional_keys__ == schemas[name]["properties"].keys(), name
        typing.get_type_hints(kind)  # every name in it is there
