"""What a function does before its first request, by how Lambda starts it."""

import random
import sys
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from loyalty_ml.wiring.predict import PredictParts
from loyalty_ml.wiring.start import initialize
from tests.service import Service, new_process, process

pytestmark = pytest.mark.moto


def parts() -> PredictParts:
    return process().predict


def needed(own: PredictParts) -> Iterable[object]:
    return own.models, own.customers


@pytest.fixture
def reads(service: Service) -> list[str]:
    """The objects that a new process has asked S3 for."""
    new_process()
    keys: list[str] = []
    parts().s3.meta.events.register(
        "before-parameter-build.s3.GetObject", lambda params, **_: keys.append(params["Key"])
    )
    return keys


def made() -> list[bool]:
    return [name in vars(parts()) for name in ("models", "customers")]


def test_elsewhere_than_on_lambda_nothing_happens(reads: list[str]) -> None:
    initialize(parts, needed)
    assert (made(), reads) == ([False, False], [])


def test_on_demand_the_wiring_is_made_and_nothing_is_waited_for(
    reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
    initialize(parts, needed)
    assert (made(), reads) == ([True, True], [])


def test_an_instance_that_is_kept_started_has_its_models_before_the_first_request(
    service: Service, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "provisioned-concurrency")
    initialize(parts, needed)
    assert len(reads) == 1 + 2 * 2, "the manifest, and of each model its card and its file"
    before = len(reads)
    assert service.predict("good").status == 200
    assert len(reads) == before


def test_a_deployment_without_its_variables_starts_and_says_so_at_the_request(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_process()
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "provisioned-concurrency")
    monkeypatch.delenv("MODEL_BUCKET")
    initialize(parts, needed)
    assert service.call("GET", "/health").status == 200
    assert service.predict("good").status == 500


def test_instances_of_one_snapshot_do_not_wait_in_step(reads: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Their pauses between tries are random, and a snapshot holds what is random next."""
    restored: list[Callable[[], Any]] = []
    hooks = SimpleNamespace(register_after_restore=restored.append)
    monkeypatch.setitem(sys.modules, "snapshot_restore_py", hooks)
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start")
    initialize(parts, needed)
    snapshot = random.getstate()
    pauses = []
    for _ in range(2):
        random.setstate(snapshot)
        for hook in restored:
            hook()
        pauses.append(random.random())
    assert pauses[0] != pauses[1]
