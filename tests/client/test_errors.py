"""Errors as copies and other processes get them."""

import copy
import pickle
from collections.abc import Iterator

import pytest

from loyalty_client import Predictions, codes, errors

pytestmark = pytest.mark.unit


def every_kind(kind: type[errors.LoyaltyError]) -> Iterator[type[errors.LoyaltyError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from every_kind(each)


def made(kind: type[errors.LoyaltyError]) -> errors.LoyaltyError:
    if issubclass(kind, errors.GatewayError):
        return kind("A sentence.", 429, 3.0)
    if issubclass(kind, errors.TransferFailed | errors.JobUnfinished):
        return kind("A sentence.", "job-1")
    if issubclass(kind, errors.ServiceError):
        return kind("A sentence.", kind.code or "NEW", details={"fields": []}, status=400, retry_after=2.0)
    return kind("A sentence.")


ALL = [made(kind) for kind in every_kind(errors.LoyaltyError)]


def test_an_error_is_the_same_in_another_process_and_as_a_copy() -> None:
    assert {codes.SegmentNotFound, errors.TokenExpired, errors.JobUnfinished} < {type(error) for error in ALL}
    for error in ALL:
        for other in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
            assert type(other) is type(error)
            assert (str(other), other.code, other.retry_after) == ("A sentence.", error.code, error.retry_after)
            assert vars(other) == vars(error)


def test_rows_with_the_errors_of_some_are_too() -> None:
    rows = Predictions([{"customer_id": "1"}], prediction_type="churn", unanswered=["2"], causes=ALL)
    other = pickle.loads(pickle.dumps(rows))
    assert other == rows
    assert vars(other) | {"causes": 0} == vars(rows) | {"causes": 0}
    assert list(map(type, other.causes)) == list(map(type, ALL))
