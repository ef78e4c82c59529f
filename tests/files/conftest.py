"""A deployment with customers in both stores, its files and its file jobs."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import sample_set
from tests.files.deployed import CUSTOMERS, TYPES, Answered, Files, Outcome, side_by_side
from tests.files.disturbed import PART_BYTES, Jobs
from tests.segments.test_segments import Deployment, some_customers
from tests.service import services
from training.registry import publish


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Files]:
    """The bucket of one deployment, with customers in both stores, that all tests here share."""
    folder = tmp_path_factory.mktemp("deployed")
    with pytest.MonkeyPatch.context() as patch, services(patch, folder) as make:
        service = make()
        publish(service.s3, service.model_bucket, sample_set.FOLDER)
        deployed = Deployment(service, folder / "work")
        deployed.write_customers(some_customers(customers=CUSTOMERS))
        yield Files(service, deployed.customers)


@pytest.fixture(scope="module")
def answered(files: Files) -> Answered:
    """What the API says of a customer of the stores."""
    ids = [*files.customers, "nobody"]
    outcomes: dict[str, dict[str, Any]] = {}
    for name in TYPES["all"]:
        for start in range(0, len(ids), 100):
            body = files.service.predict_batch(ids[start : start + 100], name).body
            results = {entry["customer_id"]: entry["result"] for entry in body["results"]}
            errors = {entry["customer_id"]: (entry["code"], entry["error"]) for entry in body["errors"]}
            for customer_id, outcome in {**results, **errors}.items():
                outcomes.setdefault(customer_id, {})[name] = outcome

    def answer(customer_id: str, kind: str) -> Outcome:
        return side_by_side(outcomes.get(customer_id, outcomes["nobody"]), TYPES[kind])

    return answer


@pytest.fixture
def jobs(files: Files, tmp_path: Path, smallest_part: Callable[[int], None]) -> Iterator[Jobs]:
    """Of that deployment. moto takes parts as small as they have them."""
    smallest_part(PART_BYTES)
    yield Jobs(files.service, tmp_path)
    publish(files.service.s3, files.service.model_bucket, sample_set.FOLDER)  # whatever the test has published
