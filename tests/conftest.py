"""What every function gets from the template, and nothing of the AWS settings of whoever runs the tests."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

import local  # noqa: F401 (importing it takes the user's AWS settings out of the process)

# Powertools reads these when it is first imported.
os.environ.update(POWERTOOLS_SERVICE_NAME="loyalty-ml", POWERTOOLS_METRICS_NAMESPACE="LoyaltyML")

# A shell that puts the tests into the background has them ignore SIGINT, and so would every process that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says something of the machine, and nothing of the code: none has a deadline. `ci` and
# `fixed` try the same examples each time, so that their verdict on the same code is the same; `dev` and `long` draw
# new ones.
hypothesis.settings.register_profile("dev", deadline=None, max_examples=10)
hypothesis.settings.register_profile("ci", deadline=None, max_examples=100, derandomize=True)
hypothesis.settings.register_profile("long", deadline=None, max_examples=200)
hypothesis.settings.register_profile("fixed", deadline=None, max_examples=200, derandomize=True)
hypothesis.settings.load_profile("ci")  # unless --hypothesis-profile names another

if TYPE_CHECKING:
    from tests.service import Service

pytest_plugins = ["tests.sam"]


@pytest.fixture(autouse=True)
def _unit_tests_open_no_socket(request: pytest.FixtureRequest) -> None:
    """What a unit test tests is pure, or its edges are passed in."""
    if request.node.get_closest_marker("unit"):
        request.getfixturevalue("socket_disabled")


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore pauses between its tries, and has no other way to be told not to."""
    monkeypatch.setattr("time.sleep", lambda _: None)


@pytest.fixture
def smallest_part(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """How small, in bytes, a part of a multipart upload may be; in S3, and in moto too, 5 MB."""
    return partial(monkeypatch.setattr, "moto.s3.models.S3_UPLOAD_PART_MIN_SIZE")


@pytest.fixture
def whole_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    """One update of an item at a time, as DynamoDB has it and moto alone does not."""
    from moto.dynamodb.models import DynamoDBBackend

    one_at_a_time = threading.Lock()
    update_item = DynamoDBBackend.update_item

    def update(*arguments: Any, **named: Any) -> Any:
        with one_at_a_time:
            return update_item(*arguments, **named)

    monkeypatch.setattr(DynamoDBBackend, "update_item", update)


@pytest.fixture
def other_models(tmp_path: Path) -> Path:
    """A folder with a model set in which churn is another model, `v2`."""
    from tests import sample_set

    return sample_set.write_other(tmp_path / "other")


@pytest.fixture
def new_service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> "Iterator[Callable[[], Service]]":
    """Makes a service whose stores are empty."""
    from tests.service import services  # the unit tests of Python 3.11 run without moto

    with services(monkeypatch, tmp_path) as make:
        yield make


@pytest.fixture
def empty_service(new_service: "Callable[[], Service]") -> "Service":
    """Customers, but no model was ever published."""
    from tests.service import GOOD, LAPSED

    service = new_service()
    service.put_customer("good", GOOD)
    service.put_customer("lapsed", LAPSED)
    return service


@pytest.fixture
def service(empty_service: "Service") -> "Service":
    """Customers, and the committed sample models."""
    from tests import sample_set
    from training.registry import publish

    publish(empty_service.s3, empty_service.model_bucket, sample_set.FOLDER)
    return empty_service
