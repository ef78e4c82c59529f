"""One table of customers through every mode: who has no answer has the same reason, and the others the same answer."""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from loyalty_ml.customers.table import DEFAULT_FEATURES
from tests.files.deployed import Files, columns_of
from tests.files.writings import as_csv, as_json, as_parquet
from tests.segments.test_segments import Deployment
from tests.service import GOOD, LAPSED, Service

pytestmark = pytest.mark.moto

COUNT = "lifetime_transaction_count"
COLUMNS = ("customer_id", *DEFAULT_FEATURES, COUNT)
NOTHING: dict[str, float | None] = dict.fromkeys(DEFAULT_FEATURES)
CUSTOMERS: dict[str, dict[str, float | None]] = {
    "bought": {**GOOD, COUNT: 51.0},
    "bought long ago": {**LAPSED, COUNT: 2.0},
    "registered only": {**NOTHING, COUNT: 0.0},
    "returned everything": {**NOTHING, "lifetime_value": 0.0, "revenue": -4.5, "customer_age_days": 90.0, COUNT: 0.0},
    "lacks an attribute": {**GOOD, "engagement_score": None, "days_since_last": None, COUNT: 51.0},
    "count not known": {**GOOD, "engagement_score": None, "days_since_last": None, COUNT: None},
    "has every feature": {**LAPSED, COUNT: 0.0},
}
CODES = {
    "registered only": "NO_PURCHASES",
    "returned everything": "NO_PURCHASES",
    "lacks an attribute": "MISSING_FEATURES",
    "count not known": "MISSING_FEATURES",
    "unknown": "CUSTOMER_NOT_FOUND",
}
IDS = [*CUSTOMERS, "unknown"]


@pytest.fixture
def deployment(service: Service, tmp_path: Path) -> Deployment:
    deployed = Deployment(service, tmp_path / "work")
    deployed.write_customers(CUSTOMERS)
    return deployed


@pytest.mark.parametrize("prediction_type", ["churn", "nbo", "rfm"])
def test_every_mode_has_the_same_answers_and_the_same_codes(deployment: Deployment, prediction_type: str) -> None:
    service = deployment.service
    batch = service.predict_batch(IDS, prediction_type).body
    codes = {entry["customer_id"]: entry["code"] for entry in batch["errors"]}
    results = {entry["customer_id"]: entry["result"] for entry in batch["results"]}
    assert codes == CODES
    assert list(results) == ["bought", "bought long ago", "has every feature"]

    for entry in batch["errors"]:
        single = service.predict(entry["customer_id"], prediction_type)
        assert single.status == (404 if entry["customer_id"] == "unknown" else 422)
        assert (single.body["code"], single.body["error"]) == (entry["code"], entry["error"])
    for customer_id, result in results.items():
        assert service.predict(customer_id, prediction_type).body["result"] == result

    deployment.define("all", customer_ids=IDS)
    segment = deployment.predict("all", prediction_type).body
    assert segment["errors"] == sorted(batch["errors"], key=lambda entry: entry["customer_id"])
    assert {entry["customer_id"]: entry["result"] for entry in segment["results"]} == results
    assert (segment["successful"], segment["failed"]) == (len(results), len(codes))
    counted = deployment.stats("all").body["stats"][prediction_type]
    assert (counted["count"], counted["failed"]) == (len(results), len(codes))

    files = Files(service)
    for extension in ("csv", "jsonl", "parquet"):
        for header in (("customer_id",), COLUMNS):
            ran = files.score(files.key(extension, prediction_type), written(extension, header))
            predictions, errors = files.results(ran)
            expected = dict(codes)
            if header == COLUMNS:
                del expected["unknown"]  # a row with features of its own needs no customer
            assert {error["customer_id"]: error["code"] for error in errors} == expected
            assert ran.summary is not None
            assert ran.summary["errors_by_code"] == Counter(expected.values())
            found = {row.pop("customer_id"): row for row in predictions}
            assert list(found) == list(results)
            for customer_id, result in results.items():
                same_to_the_bit(found[customer_id], columns_of(prediction_type, result))
        sentences = {error["customer_id"]: error["error"] for error in errors}
        assert sentences.items() <= {entry["customer_id"]: entry["error"] for entry in batch["errors"]}.items()


def written(extension: str, header: tuple[str, ...]) -> bytes:
    """A file of these columns: of features too, only of the customers that have some."""
    ids = IDS if header == ("customer_id",) else list(CUSTOMERS)
    rows = [[customer_id, *(CUSTOMERS.get(customer_id, {}).get(name) for name in header[1:])] for customer_id in ids]
    if extension == "csv":
        return as_csv(rows, header)
    if extension == "jsonl":
        return as_json(rows, header)
    kinds = {"customer_id": pa.string()}
    columns = {
        name: pa.array([row[place] for row in rows], kinds.get(name, pa.float64())) for place, name in enumerate(header)
    }
    return as_parquet(pa.table(columns))


def same_to_the_bit(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name] == value if isinstance(value, str) else float(found[name]) == value, name


def test_a_file_without_the_count_does_not_know_who_has_bought_nothing(deployment: Deployment) -> None:
    files = Files(deployment.service)
    header = COLUMNS[:-1]
    _, errors = files.results(files.score(files.key("csv"), written("csv", header)))
    assert {error["code"] for error in errors} == {"MISSING_FEATURES"}


def test_the_count_of_a_file_is_one_of_its_features_and_is_not_ignored(deployment: Deployment) -> None:
    files = Files(deployment.service)
    ran = files.score(files.key("csv", "rfm"), written("csv", COLUMNS))
    assert ran.summary is not None
    assert COUNT not in ran.summary["ignored_columns"]
