"""The models' routes: what is listed, promoted, rolled back, and what each refusal says."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError
from pydantic import TypeAdapter

from loyalty_ml.customers.snapshot import CURRENT_KEY, SnapshotCard, SnapshotPart
from loyalty_ml.models.card import card_key, model_key
from loyalty_ml.models.domain import Domain
from loyalty_ml.models.manifest import MANIFEST_KEY
from loyalty_ml.registry.contracts import (
    ModelCardAnswer,
    ModelChangeAnswer,
    ModelListAnswer,
    PromoteRequest,
)
from tests import sample_set
from tests.clients import answering
from tests.functions.test_api import assert_error
from tests.service import SNAPSHOT_FEATURES, Answer, Service, new_process, process, put_in_place
from training import registry

pytestmark = pytest.mark.moto

SAMPLE = {name: model.version for name, model in sample_set.manifest().models.items()}


@pytest.fixture
def two_sets(service: Service, other_models: Path) -> Service:
    """The sample set, and after it one whose churn is another model, v2."""
    registry.publish(service.s3, service.model_bucket, other_models)
    return service


def listed(service: Service) -> ModelListAnswer:
    answer = service.call("GET", "/models")
    assert answer.status == 200, answer.body
    return TypeAdapter(ModelListAnswer).validate_python(answer.body)


def promote(service: Service, versions: Any, **more: Any) -> Answer:
    return service.call("POST", "/models/promote", {"versions": versions, **more})


def active(service: Service) -> dict[str, str]:
    found = listed(service)["active"]
    assert found
    return found["models"]


def put_snapshot(service: Service, **changed: Any) -> None:
    part = SnapshotPart(key="snapshots/v/part-00000.parquet", customers=1, size=1, sha256="0" * 64)
    card = SnapshotCard.model_validate(
        {"as_of": sample_set.AS_OF, "customers": 1, "features": SNAPSHOT_FEATURES, "parts": [part], **changed}
    )
    service.s3.put_object(Bucket=service.ids["DataBucket"], Key=CURRENT_KEY, Body=card.model_dump_json().encode())


@contextmanager
def before_the_manifest_is_written(act: Callable[[], Any]) -> Iterator[None]:
    """Does something, once, at the moment when the function is about to write the manifest."""
    client = process().admin.s3

    def put_object(**asked: Any) -> Any:
        put_in_place(process().admin, s3=client)
        act()
        return client.put_object(**asked)

    new_process()
    put_in_place(process().admin, s3=answering(client, put_object=put_object))
    yield


@pytest.mark.smoke
def test_the_list_has_every_version_which_are_active_and_what_a_rollback_returns_to(two_sets: Service) -> None:
    found = listed(two_sets)
    churn = found["models"]["churn"]
    assert (churn["active"], churn["total"]) == ("v2", 2)
    assert [version["version"] for version in churn["versions"]] == ["v2", SAMPLE["churn"]]
    assert [version["active"] for version in churn["versions"]] == [True, False]
    assert churn["versions"][1]["metrics"]["auc"] > 0.8
    assert churn["versions"][1]["placeholder"] is True
    assert [previous["models"] for previous in found["previous"]] == [SAMPLE]
    assert found["active"]
    assert found["active"]["rfm"]["version"] == "fixed"


def test_nothing_published_is_an_empty_list_with_each_model_named(empty_service: Service) -> None:
    found = listed(empty_service)
    assert (found["revision"], found["active"], found["previous"]) == (None, None, [])
    assert {name: (model["active"], model["total"]) for name, model in found["models"].items()} == {
        "churn": (None, 0),
        "nbo": (None, 0),
    }
    assert_error(empty_service.call("POST", "/models/rollback", {}), 404, "MODEL_VERSION_NOT_FOUND", "no set before")


def test_a_long_list_has_the_newest_and_all_that_are_used(two_sets: Service) -> None:
    key = card_key("churn", "v2")
    card = json.loads(two_sets.s3.get_object(Bucket=two_sets.model_bucket, Key=key)["Body"].read())
    for number in range(5):
        version = f"x{number}"
        body = json.dumps(card | {"version": version}).encode()
        two_sets.s3.put_object(Bucket=two_sets.model_bucket, Key=card_key("churn", version), Body=body)
    answer = two_sets.call("GET", "/models", queryStringParameters={"limit": "2"}).body["models"]["churn"]
    assert answer["total"] == 7
    assert [version["version"] for version in answer["versions"]] == ["x4", "x3", "v2", SAMPLE["churn"]]
    assert "has 0 bytes" in answer["versions"][0]["problem"]


def test_a_broken_card_is_listed_with_its_problem_and_the_others_as_they_are(two_sets: Service) -> None:
    two_sets.s3.put_object(Bucket=two_sets.model_bucket, Key=card_key("churn", "v0"), Body=b"{")
    versions = listed(two_sets)["models"]["churn"]["versions"]
    assert [version["problem"] is None for version in versions] == [True, False, True]
    assert_error(two_sets.call("GET", "/models/churn/v0"), 503, "MODEL_UNAVAILABLE", "is not JSON")


def test_a_broken_manifest_says_what_to_do(service: Service) -> None:
    service.s3.put_object(Bucket=service.model_bucket, Key=MANIFEST_KEY, Body=b"{")
    assert_error(service.call("GET", "/models"), 503, "MODEL_UNAVAILABLE", "publish the model set again")
    assert_error(promote(service, SAMPLE), 400, "MODEL_REFUSED", "publish the model set again")


def test_a_card_says_what_the_version_is_and_leaves_out_what_only_functions_read(service: Service) -> None:
    answer = service.call("GET", f"/models/churn/{SAMPLE['churn']}")
    card = TypeAdapter(ModelCardAnswer).validate_python(answer.body)
    assert (card["name"], card["thresholds"]) == ("churn", {"high": 0.7, "medium": 0.4})
    assert len(card["features"]) == 10
    assert answer.body.keys().isdisjoint({"golden", "distribution", "file"})
    # What a slider of the page needs of each feature.
    assert card["domains"]
    assert card["baseline"]
    assert card["usual_ranges"]
    for name in card["features"]:
        least, most = card["usual_ranges"][name]
        assert least <= most
        assert Domain.model_validate(card["domains"][name]).holds(card["baseline"]["values"][name])
    stored = sample_set.file_of(card_key("churn", SAMPLE["churn"])).read_bytes()
    unknown = {"version": "v0", "domains": None, "baseline": None, "distribution": None}
    service.s3.put_object(
        Bucket=service.model_bucket, Key=card_key("churn", "v0"), Body=json.dumps(json.loads(stored) | unknown).encode()
    )
    old = service.call("GET", "/models/churn/v0").body
    assert [old[name] for name in ("domains", "baseline", "usual_ranges")] == [None] * 3
    for path in ("/models/churn/none", "/models/weather/v1", "/models/churn/..", "/models/churn/%2e%2e"):
        assert_error(service.call("GET", path), 404, "MODEL_VERSION_NOT_FOUND", "GET /models")


@pytest.mark.smoke
def test_a_version_is_promoted_then_served_and_rolled_back(two_sets: Service) -> None:
    served = two_sets.predict("good").body
    assert served["model"]["version"] == "v2"
    revision = listed(two_sets)["revision"]
    answer = promote(two_sets, {"churn": SAMPLE["churn"]}, revision=revision)
    assert answer.status == 200, answer.body
    change = TypeAdapter(ModelChangeAnswer).validate_python(answer.body)
    assert change["changed"]
    assert change["before"]
    assert (change["before"]["models"]["churn"], change["active"]["models"]) == ("v2", SAMPLE)
    assert change["revision"] == listed(two_sets)["revision"] != revision
    new_process()
    assert two_sets.predict("good").body["model"]["version"] == SAMPLE["churn"]
    back = two_sets.call("POST", "/models/rollback", {"revision": change["revision"]})
    assert back.body["active"]["models"]["churn"] == "v2"
    assert active(two_sets)["churn"] == "v2"


def test_what_is_active_already_changes_nothing(service: Service) -> None:
    revision = listed(service)["revision"]
    answer = promote(service, SAMPLE)
    assert (answer.status, answer.body["changed"], answer.body["revision"]) == (200, False, revision)


@pytest.mark.parametrize("route", ["/models/promote", "/models/rollback"])
def test_a_decision_on_a_set_that_is_no_longer_active_is_told(two_sets: Service, route: str) -> None:
    stale = listed(two_sets)["revision"]
    promote(two_sets, SAMPLE)
    body = {"revision": stale} | ({"versions": {"churn": "v2"}} if "promote" in route else {})
    assert_error(two_sets.call("POST", route, body), 409, "MODELS_CHANGED", "nothing was changed")
    assert active(two_sets) == SAMPLE


def test_of_two_promotions_at_once_one_is_told(two_sets: Service) -> None:
    other = new_process().admin.registry

    def promote_with_other() -> None:
        assert other.promote(PromoteRequest(versions=SAMPLE))["changed"]

    with before_the_manifest_is_written(promote_with_other):
        answer = two_sets.call("POST", "/models/rollback", {})
    assert_error(answer, 409, "MODELS_CHANGED", "nothing was changed")
    assert active(two_sets) == SAMPLE


def test_an_answer_of_s3_that_got_lost_says_to_look_before_another_try(two_sets: Service) -> None:
    def lose() -> None:
        raise ReadTimeoutError(endpoint_url="https://s3.example.com")

    with before_the_manifest_is_written(lose):
        answer = promote(two_sets, SAMPLE)
    assert_error(answer, 503, "STORE_UNAVAILABLE", "read GET /models before another try")
    assert answer.body["details"] == {"store": "models"}


@pytest.mark.parametrize(
    ("body", "status", "code", "part"),
    [
        ({}, 400, "INVALID_REQUEST", "versions: is missing"),
        ({"versions": {}}, 400, "INVALID_REQUEST", "versions"),
        ({"versions": {"churn": "../x"}}, 400, "INVALID_REQUEST", "versions.churn"),
        (
            {"versions": {"churn": "none"}},
            404,
            "MODEL_VERSION_NOT_FOUND",
            "churn/none/card.json in the model bucket: GET /models",
        ),
        ({"versions": {"churn": "v2"}, "froce": "x"}, 400, "INVALID_REQUEST", "froce: is not known"),
        ({"versions": {"churn": "v2"}, "force": ""}, 400, "INVALID_REQUEST", "force: must not be empty"),
    ],
)
def test_a_wrong_promotion_is_refused_in_a_sentence(
    two_sets: Service, body: Any, status: int, code: str, part: str
) -> None:
    assert_error(two_sets.call("POST", "/models/promote", body), status, code, part)
    assert active(two_sets)["churn"] == "v2"


def test_a_version_that_could_not_be_served_is_refused_and_the_set_stays(two_sets: Service) -> None:
    two_sets.s3.put_object(Bucket=two_sets.model_bucket, Key=model_key("churn", SAMPLE["churn"]), Body=b"not the model")
    for answer in (promote(two_sets, SAMPLE), two_sets.call("POST", "/models/rollback", {})):
        assert_error(answer, 400, "MODEL_REFUSED", "cannot be served")
    assert active(two_sets)["churn"] == "v2"


def test_a_version_that_the_snapshot_does_not_fit_wants_a_reason_which_is_kept(two_sets: Service) -> None:
    put_snapshot(two_sets, features=[name for name in SNAPSHOT_FEATURES if name != "revenue"])
    assert_error(promote(two_sets, SAMPLE), 400, "MODEL_REFUSED", "read revenue", "force")
    assert active(two_sets)["churn"] == "v2"
    answer = promote(two_sets, SAMPLE, force="the snapshot follows tonight")
    assert answer.body["active"]["forced"] == "the snapshot follows tonight"
    now = listed(two_sets)["active"]
    assert now is not None
    assert now["forced"] == "the snapshot follows tonight"


def test_what_cannot_be_compared_with_the_snapshot_is_said(two_sets: Service) -> None:
    assert "no feature snapshot yet" in promote(two_sets, SAMPLE).body["not_compared"][0]
    put_snapshot(two_sets)
    assert "has none" in promote(two_sets, {"churn": "v2"}).body["not_compared"][0]
    two_sets.s3.put_object(Bucket=two_sets.ids["DataBucket"], Key=CURRENT_KEY, Body=b"{")
    assert_error(promote(two_sets, SAMPLE), 503, "FEATURE_STORE_UNAVAILABLE", "materialize")
    assert active(two_sets)["churn"] == "v2"
