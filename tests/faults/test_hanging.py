"""Every store hangs: it takes connections, and never answers. No route keeps its caller longer than its budget."""

import multiprocessing
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest

from loyalty_ml.aws.budget import WAIT_SECONDS
from tests.aws.hanging import hanging_stores
from tests.faults.page import shown
from tests.faults.requests import Asked, call, every_route, functions_environment, ids
from tests.service import new_process

pytestmark = pytest.mark.moto

ROUTES = every_route()
NEEDS_NO_STORE = {"GET /health", "GET /openapi.json", "GET /admin", "GET /v2", "GET /v2/health/live"}
SAYS_WHAT_IS_WRONG = {"GET /config/ml/status"}
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.faults.test_hanging"])


@pytest.fixture(scope="module", autouse=True)
def _one_process(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One for all routes: clients take longer to make than a budget of 0.1 s."""
    with pytest.MonkeyPatch.context() as patch, hanging_stores() as endpoint:
        functions_environment(patch, tmp_path_factory.mktemp("functions"), endpoint)
        patch.setattr(boto3, "DEFAULT_SESSION", None)
        new_process()
        yield


def check(asked: Asked, status: int, body: Any, headers: Mapping[str, str]) -> None:
    """What the caller sees."""
    if asked.route in NEEDS_NO_STORE:
        assert status in (200, 201, 404), body
    elif asked.route in SAYS_WHAT_IS_WRONG:
        assert status == 200
        assert all(model["message"] for model in body["models"].values())
        assert body["features"]["message"]
    elif asked.route.endswith("/ready"):
        assert status == 400  # so says the Open Inference Protocol
        assert body["ready"] is False
    elif "/v2/" in asked.route:
        assert status == 503, body
        assert body.keys() == {"error"}
        assert headers["Retry-After"]
    else:
        assert status == 503, body
        assert body["code"] in ("STORE_UNAVAILABLE", "FEATURE_STORE_UNAVAILABLE", "MODEL_UNAVAILABLE")
        assert headers["Retry-After"]


@pytest.mark.parametrize("asked", ROUTES, ids=ids(ROUTES))
def test_with_every_store_hanging_a_route_ends_with_its_budget(asked: Asked) -> None:
    """A hundredth of a request's own: without one, the same takes up to 23 s."""
    started = time.monotonic()
    check(asked, *call(asked, WAIT_SECONDS / 100))
    assert time.monotonic() - started < 4


def answer(asked: Asked, environment: Mapping[str, str], told: Any) -> None:
    os.environ.update(environment)
    new_process()
    started = time.monotonic()
    status, body, headers = call(asked)
    told.send((status, body, headers, time.monotonic() - started))


@pytest.mark.long
def test_with_every_store_hanging_no_route_takes_over_ten_seconds(tmp_path: Path) -> None:
    running = []
    for asked in ROUTES:
        receiver, sender = PROCESSES.Pipe(duplex=False)
        process = PROCESSES.Process(target=answer, args=(asked, dict(os.environ), sender))
        process.start()
        sender.close()
        running.append((asked, process, receiver))
    seconds, statuses = {}, set()
    for name, (asked, process, receiver) in zip(ids(ROUTES), running, strict=True):
        status, body, headers, seconds[name] = receiver.recv()
        process.join()
        check(asked, status, body, headers)
        if asked.route not in NEEDS_NO_STORE:
            statuses.add(str(status))
    print("\n".join(f"{each:6.2f} s  {route}" for route, each in sorted(seconds.items())))  # noqa: T201  with -s
    assert max(seconds.values()) < 10
    assert statuses == shown("every store hangs")
