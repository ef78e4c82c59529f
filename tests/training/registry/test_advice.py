"""What training advises in place of a model that was not good enough goes with the set, and no longer than it holds."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from loyalty_ml.models.document import to_json
from loyalty_ml.models.manifest import MANIFEST_KEY, Manifest, PublishedSet, advice_after, parse_manifest
from tests.service import Service
from tests.training.registry.test_registry import SAMPLE, folder_of, manifest
from training import registry
from training.registry.model_set import write_model_set

pytestmark = pytest.mark.moto

MOMENT = datetime(2018, 1, 2, tzinfo=UTC)
ADVICE = {"nbo": "Send everyone Storewide: .193 of them take it."}


def advised(folder: Path) -> Path:
    """A folder of an own churn model, and of advice in place of an nbo."""
    folder_of(folder, "v2", ("churn",))
    write_model_set(folder, [], MOMENT, advice=ADVICE)
    return folder


def test_a_manifest_without_advice_is_written_as_before_there_was_any() -> None:
    bare = Manifest(created=MOMENT, previous=(PublishedSet(created=MOMENT),))
    assert b"advice" not in to_json(bare)
    assert parse_manifest(to_json(bare)) == bare
    written = Manifest(created=MOMENT, advice=ADVICE, previous=(PublishedSet(created=MOMENT, advice=ADVICE),))
    assert parse_manifest(to_json(written)) == written
    assert json.loads(to_json(written))["advice"] == json.loads(to_json(written))["previous"][0]["advice"] == ADVICE


def test_advice_ends_when_its_model_is_published() -> None:
    before = PublishedSet(created=MOMENT, advice={"nbo": "A", "churn": "B"})
    assert advice_after(before, ["nbo"], {}) == {"churn": "B"}
    assert advice_after(before, ["nbo"], {"churn": "C"}) == {"churn": "C"}
    assert advice_after(before, [], {}) == before.advice
    assert advice_after(None, ["nbo"], ADVICE) == ADVICE


def test_advice_is_published_and_rolled_back_with_its_set(service: Service, tmp_path: Path) -> None:
    s3, bucket = service.s3, service.model_bucket
    change = registry.publish(s3, bucket, advised(tmp_path / "advised"))
    assert manifest(service).advice == change.after.advice == ADVICE
    assert manifest(service).models["nbo"].version == SAMPLE["nbo"], "what was active goes on"
    assert f"nbo: {ADVICE['nbo']}" in registry.describe(change, bucket)
    status = service.call("GET", "/config/ml/status").body["models"]["nbo"]
    assert (status["loaded"], status["advice"]) == (True, ADVICE["nbo"])

    registry.publish(s3, bucket, folder_of(tmp_path / "churn", "v3", ("churn",)))
    assert manifest(service).advice == ADVICE, "a new churn says nothing of it"
    registry.publish(s3, bucket, folder_of(tmp_path / "nbo", "v4", ("nbo",)))
    assert manifest(service).advice == {}
    assert [known.advice for known in manifest(service).previous] == [ADVICE, ADVICE, {}]
    registry.rollback(s3, bucket)
    assert manifest(service).advice == ADVICE
    registry.promote(s3, bucket, {"nbo": "v4"})
    assert manifest(service).advice == {}


def test_advice_alone_is_a_set_and_the_same_twice_changes_nothing(empty_service: Service, tmp_path: Path) -> None:
    s3, bucket = empty_service.s3, empty_service.model_bucket
    write_model_set(tmp_path / "set", [], MOMENT, advice=ADVICE)
    first = registry.publish(s3, bucket, tmp_path / "set")
    assert first.after.advice == ADVICE
    again = registry.publish(s3, bucket, tmp_path / "set")
    assert again.after is again.before
    status = empty_service.call("GET", "/config/ml/status").body["models"]["nbo"]
    assert status["message"] == (
        "No nbo model is published, so answers are mock data: publish one. Training says meanwhile: " + ADVICE["nbo"]
    )
    assert empty_service.predict("good", "nbo").body["mock"] is True


def test_a_folder_keeps_advice_until_its_model_is_written(tmp_path: Path) -> None:
    folder = advised(tmp_path / "set")
    write_model_set(folder, [], MOMENT)
    assert parse_manifest((folder / Path(MANIFEST_KEY).name).read_bytes()).advice == ADVICE
