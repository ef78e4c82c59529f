"""Publishing a model set: whole or not at all, one publisher at a time, and a sentence for what stands in the way."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from loyalty_ml.models.card import card_key, model_key
from loyalty_ml.models.document import path_in
from loyalty_ml.models.manifest import MANIFEST_KEY
from loyalty_ml.registry.bucket import PublishConflict
from tests import sample_set
from tests.aws import disturb_new_clients
from tests.models.test_models import put_manifest
from tests.service import Service
from training.cli.main import main
from training.registry import publish

pytestmark = pytest.mark.moto


def run(service: Service, folder: Path = sample_set.FOLDER, bucket: str | None = None) -> int:
    return main(["models", "publish", "--bucket", bucket or service.model_bucket, "--models", str(folder)])


def active_set(service: Service) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads(
        service.s3.get_object(Bucket=service.model_bucket, Key=MANIFEST_KEY)["Body"].read()
    )
    return manifest


def test_what_is_published_answers(empty_service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(empty_service) == 0
    printed = capsys.readouterr().out
    for name, active in sample_set.manifest().models.items():
        assert f"{name} {active.version}" in printed
    assert empty_service.predict("good").body["mock"] is False
    assert run(empty_service) == 0, "publishing the same set again changes nothing"


def test_a_folder_without_a_whole_set_is_refused_and_the_active_set_stays(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = active_set(service)
    assert run(service, tmp_path / "nothing") == 1
    assert "manifest.json" in capsys.readouterr().err
    broken = tmp_path / "broken"
    shutil.copytree(sample_set.FOLDER, broken)
    version = sample_set.manifest().models["churn"].version
    path_in(broken, model_key("churn", version)).write_bytes(b"cut")
    assert run(service, broken) == 1
    assert "has 3 bytes" in capsys.readouterr().err
    path_in(broken, card_key("churn", version)).write_text("{}")
    assert run(service, broken) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert active_set(service) == before


def test_a_bucket_that_is_not_there_is_one_sentence(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(service, bucket="no-such-bucket-anywhere") == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "no-such-bucket-anywhere" in error


def test_s3_that_cannot_be_reached_is_one_sentence(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    def unreachable(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="https://s3.example.com")

    disturb_new_clients("before-call.s3", unreachable)
    assert run(service) == 1
    assert "check your credentials, region and network" in capsys.readouterr().err


def test_of_two_publishers_one_wins_and_the_other_is_told(service: Service) -> None:
    def publish_in_between(**_: Any) -> None:
        service.s3.meta.events.unregister("before-call.s3.PutObject", publish_in_between)
        put_manifest(service, {}, created="2030-01-01T00:00:00Z")

    service.s3.meta.events.register("before-call.s3.PutObject", publish_in_between)
    with pytest.raises(PublishConflict, match="published meanwhile"):
        publish(service.s3, service.model_bucket, sample_set.FOLDER)
    active = json.loads(service.s3.get_object(Bucket=service.model_bucket, Key=MANIFEST_KEY)["Body"].read())
    assert active["created"] == "2030-01-01T00:00:00Z"
