"""The registry: a set goes live, or back, whole and in one step, whoever else publishes and whatever is killed."""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ReadTimeoutError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loyalty_ml.customers.snapshot import CURRENT_KEY
from loyalty_ml.models.card import card_key, model_key
from loyalty_ml.models.document import Refused, TooNew, path_in
from loyalty_ml.models.manifest import MANIFEST_KEY, Manifest, parse_manifest
from loyalty_ml.models.store import ModelStore
from loyalty_ml.registry.bucket import PublishConflict, RegistryProblem
from tests import sample_set
from tests.aws import disturb_new_clients
from tests.examples import examples
from tests.models.test_models import CUTS, put_manifest, put_model, sample_card
from tests.service import Service, new_process, process, put_in_place
from training import registry
from training.cli.main import main as loyalty

pytestmark = pytest.mark.moto

SAMPLE = {name: model.version for name, model in sample_set.manifest().models.items()}


def folder_of(folder: Path, version: str, names: tuple[str, ...] = ("churn", "nbo"), **changes: Any) -> Path:
    """A model set of the sample models under another version; `changes` are of their cards, `rfm` of the manifest."""
    rfm = changes.pop("rfm", None)
    folder.mkdir(parents=True)
    models = {}
    for name in names:
        text = json.dumps({**sample_card(name), "version": version, **changes}).encode()
        path = path_in(folder, card_key(name, version))
        path.parent.mkdir(parents=True)
        path.write_bytes(text)
        shutil.copy(sample_set.file_of(model_key(name, SAMPLE[name])), path_in(folder, model_key(name, version)))
        models[name] = {"version": version, "card_sha256": sha256(text).hexdigest()}
    manifest = {"api_version": 1, "created": "2026-11-23T10:00:00Z", "models": models, "rfm": rfm}
    path_in(folder, MANIFEST_KEY).write_text(json.dumps(manifest))
    return folder


def manifest(service: Service) -> Manifest:
    return parse_manifest(service.s3.get_object(Bucket=service.model_bucket, Key=MANIFEST_KEY)["Body"].read())


def active(service: Service) -> dict[str, str]:
    return {name: model.version for name, model in manifest(service).models.items()}


def objects(service: Service) -> dict[str, str]:
    """The ETag of everything in the model bucket."""
    listed = service.s3.list_objects_v2(Bucket=service.model_bucket).get("Contents", [])
    return {entry["Key"]: entry["ETag"] for entry in listed}


@pytest.fixture
def second(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "second", "v2")


# What the commands do.


def snapshot_of(service: Service, features: list[str], definitions: dict[str, str] | None = None) -> list[str]:
    """The current snapshot of the service's data bucket has these; returns the option that names the bucket."""
    part = {"key": "snapshots/20180102T000000Z-ab12cd34/part-00000.parquet", "customers": 1, "size": 1}
    card = {
        "as_of": "2018-01-02T00:00:00Z",
        "customers": 1,
        "features": features,
        "parts": [{**part, "sha256": "0" * 64}],
        "feature_definitions": definitions,
    }
    bucket = service.ids["DataBucket"]
    service.s3.put_object(Bucket=bucket, Key=CURRENT_KEY, Body=json.dumps(card))
    return ["--data-bucket", bucket]


def test_a_set_that_reads_what_the_current_snapshot_lacks_is_refused_unless_forced(
    service: Service, second: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish = ["models", "publish", "--bucket", service.model_bucket, "--models", str(second)]
    promote = ["models", "promote", "--bucket", service.model_bucket, "churn", SAMPLE["churn"]]
    features: list[str] = sample_card("churn")["features"]
    before = objects(service)
    data = snapshot_of(service, features[1:])
    assert loyalty([*publish, *data]) == 1
    told = capsys.readouterr().err
    both = f"churn v2 and nbo v2 read {features[0]}"
    assert f"{both}, which the snapshot of 2018-01-02 does not have" in told
    assert "Nothing was made active: run 'loyalty materialize'" in told
    assert objects(service) == before
    assert loyalty([*publish, *data, "--force", "materialized at noon"]) == 0
    assert "Forced (materialized at noon)" in capsys.readouterr().out
    assert (active(service)["churn"], manifest(service).forced) == ("v2", "materialized at noon")
    assert loyalty([*promote, *data]) == 1
    assert loyalty([*promote, *snapshot_of(service, features)]) == 0
    assert (active(service)["churn"], manifest(service).forced) == (SAMPLE["churn"], None)
    assert manifest(service).previous[0].forced == "materialized at noon"
    assert loyalty(["models", "rollback", "--bucket", service.model_bucket]) == 0
    assert manifest(service).forced == "materialized at noon"


def test_a_rollback_to_what_the_current_snapshot_lacks_is_refused_unless_forced(
    service: Service, second: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every customer would get MISSING_FEATURES; what stays active does not stand in the way."""
    features: list[str] = sample_card("churn")["features"]
    registry.publish(service.s3, service.model_bucket, second)
    back = ["models", "rollback", "--bucket", service.model_bucket]
    data = snapshot_of(service, features[:-1])
    before = objects(service)
    assert loyalty([*back, *data]) == 1
    both = f"churn {SAMPLE['churn']} and nbo {SAMPLE['nbo']} read {features[-1]}"
    assert f"{both}, which the snapshot of 2018-01-02 does not have" in capsys.readouterr().err
    assert objects(service) == before
    with pytest.raises(SystemExit, match="2"):
        loyalty([*back, "--force", "why"])
    assert loyalty([*back, *data, "--force", "the old features come at noon"]) == 0
    assert (active(service)["churn"], manifest(service).forced) == (SAMPLE["churn"], "the old features come at noon")


def test_who_does_not_name_the_data_bucket_is_told_that_nothing_is_compared(
    service: Service, second: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = ["--bucket", service.model_bucket]
    for command in (["publish", *bucket, "--models", str(second)], ["rollback", *bucket]):
        assert loyalty(["models", *command]) == 0
        assert "not compared with the snapshot: name the data bucket with --data-bucket" in capsys.readouterr().out


def test_a_set_that_was_trained_on_other_definitions_is_refused(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    features: list[str] = sample_card("churn")["features"]
    trained = {"revenue": "0123456789ab: [windows] year_days = 365"}
    folder = folder_of(tmp_path / "set", "v3", feature_definitions=trained)
    publish = ["models", "publish", "--bucket", service.model_bucket, "--models", str(folder)]
    data = snapshot_of(service, features, {"revenue": "ba9876543210: [windows] year_days = 180"})
    assert loyalty([*publish, *data]) == 1
    assert "definition of revenue than the snapshot of 2018-01-02 has ([windows] year_days was 365 and is 180)" in (
        capsys.readouterr().err
    )
    assert loyalty([*publish, *snapshot_of(service, features)]) == 0
    assert "of churn v3 were not compared: the snapshot of 2018-01-02 has none" in capsys.readouterr().out


def test_without_a_snapshot_there_is_nothing_to_compare_and_it_says_so(
    service: Service, second: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish = ["models", "publish", "--bucket", service.model_bucket, "--models", str(second)]
    data = ["--data-bucket", service.ids["DataBucket"]]
    assert loyalty([*publish, *data]) == 0
    assert f"There is no snapshot in {data[1]} yet" in capsys.readouterr().out
    service.s3.put_object(Bucket=data[1], Key=CURRENT_KEY, Body=b"not a card")
    assert loyalty([*publish, *data]) == 1
    assert "write the snapshot again (loyalty materialize)" in capsys.readouterr().err
    for wrong in (["--force", "why"], ["--stage", *data], [*data, "--force", ""]):
        with pytest.raises(SystemExit, match="2"):
            loyalty([*publish, *wrong])


def test_a_set_goes_live_and_back_and_further_back(service: Service, tmp_path: Path) -> None:
    s3, bucket = service.s3, service.model_bucket
    sets = [active(service)]
    for version in ("v2", "v3"):
        change = registry.publish(s3, bucket, folder_of(tmp_path / version, version))
        assert change.before is not None
        assert active(service) == {"churn": version, "nbo": version}
        sets.append(active(service))
    for expected in reversed(sets[:-1]):
        registry.rollback(s3, bucket)
        assert active(service) == expected
    before = objects(service)
    with pytest.raises(RegistryProblem, match="no set to go back to"):
        registry.rollback(s3, bucket)
    assert objects(service) == before


@settings(max_examples=examples(8), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from([("churn",), ("nbo",), ("churn", "nbo"), ()]), max_size=5))
def test_as_many_rollbacks_as_publishes_lead_to_the_first_set(
    empty_service: Service, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, ...]]
) -> None:
    s3, bucket = empty_service.s3, empty_service.model_bucket
    s3.delete_object(Bucket=bucket, Key=MANIFEST_KEY)
    first = registry.publish(s3, bucket, sample_set.FOLDER).after
    for number, names in enumerate(steps):
        rfm = None if names else {**CUTS, "version": f"cuts{number}"}
        folder = folder_of(tmp_path_factory.mktemp("sets") / "set", f"v{number}", names, rfm=rfm)
        change = registry.publish(s3, bucket, folder)
        assert change.before != change.after == manifest(empty_service)
    for _ in steps:
        registry.rollback(s3, bucket)
    assert manifest(empty_service) == first


def test_the_way_back_is_bounded(service: Service, tmp_path: Path) -> None:
    for number in range(4):
        registry.publish(service.s3, service.model_bucket, folder_of(tmp_path / str(number), f"v{number}"), way_back=2)
    assert [known.models["churn"].version for known in manifest(service).previous] == ["v2", "v1"]


def test_what_a_folder_does_not_have_stays_active(service: Service, tmp_path: Path) -> None:
    s3, bucket = service.s3, service.model_bucket
    registry.publish(s3, bucket, folder_of(tmp_path / "cuts", "unused", (), rfm=CUTS))
    assert active(service) == SAMPLE
    change = registry.publish(s3, bucket, folder_of(tmp_path / "churn", "v2", ("churn",)))
    assert active(service) == {**SAMPLE, "churn": "v2"}
    assert service.predict("good", "nbo").body["mock"] is False
    assert service.predict("good", "rfm").body["model"]["version"] == CUTS["version"]
    said = registry.describe(change, bucket).splitlines()
    assert f"churn v2, where {SAMPLE['churn']} was" in said
    assert f"nbo {SAMPLE['nbo']}, as before" in said
    assert f"rfm cut points {CUTS['version']}, as before" in said


def test_the_active_set_published_again_changes_nothing_and_mends_what_is_missing(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    before = objects(service)
    lost = model_key("churn", SAMPLE["churn"])
    service.s3.delete_object(Bucket=service.model_bucket, Key=lost)
    assert loyalty(["models", "publish", "--bucket", service.model_bucket, "--models", str(sample_set.FOLDER)]) == 0
    assert "nothing was changed" in capsys.readouterr().out
    assert objects(service) == before


def test_staged_versions_are_promoted_together(
    service: Service, second: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = manifest(service)
    assert loyalty(["models", "publish", "--bucket", service.model_bucket, "--models", str(second), "--stage"]) == 0
    assert manifest(service) == before
    command = capsys.readouterr().out.split("loyalty ")[1].split()
    assert loyalty(command) == 0
    assert active(service) == {"churn": "v2", "nbo": "v2"}
    assert loyalty(["models", "promote", "--bucket", service.model_bucket, "nbo", SAMPLE["nbo"]]) == 0
    assert active(service) == {"churn": "v2", "nbo": SAMPLE["nbo"]}
    capsys.readouterr()
    assert loyalty(["models", "promote", "--bucket", service.model_bucket, "nbo", SAMPLE["nbo"]]) == 0
    assert "nothing was changed" in capsys.readouterr().out
    for _ in range(2):
        assert loyalty(["models", "rollback", "--bucket", service.model_bucket]) == 0
    assert active(service) == SAMPLE


def test_what_was_left_by_a_rollback_can_be_promoted_again(service: Service, second: Path) -> None:
    registry.publish(service.s3, service.model_bucket, second)
    registry.rollback(service.s3, service.model_bucket)
    registry.promote(service.s3, service.model_bucket, {"churn": "v2"})
    assert active(service) == {**SAMPLE, "churn": "v2"}


def test_the_list_says_what_is_active_forced_a_placeholder_or_broken_and_what_a_rollback_returns_to(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = service.model_bucket
    assert loyalty(["models", "list", "--bucket", bucket]) == 0
    assert "no set to roll back to" in capsys.readouterr().out
    forced = folder_of(tmp_path / "forced", "v2", ("churn",), placeholder=False, forced="the demo has few customers")
    registry.publish(service.s3, bucket, forced)
    put_model(service, "nbo", "v3")
    service.s3.put_object(Bucket=bucket, Key=model_key("nbo", "v3"), Body=b"cut")
    service.s3.put_object(Bucket=bucket, Key=card_key("nbo", "v4"), Body=b"{")
    service.s3.put_object(Bucket=bucket, Key=model_key("nbo", "v5"), Body=b"an upload that was not finished")
    assert loyalty(["models", "list", "--bucket", bucket]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {tuple(line.split()[:2]): line for line in lines}
    assert list(rows)[1:6] == [
        ("churn", "v2"), ("churn", SAMPLE["churn"]), ("nbo", "v4"), ("nbo", "v3"), ("nbo", SAMPLE["nbo"]),
    ]  # fmt: skip
    assert "active" in rows["churn", "v2"]
    assert "FORCED: the demo has few customers" in rows["churn", "v2"]
    assert "placeholder" not in rows["churn", "v2"]
    assert "active" not in rows["churn", SAMPLE["churn"]]
    assert "placeholder" in rows["churn", SAMPLE["churn"]]
    assert f"auc {sample_card('churn')['metrics']['auc']:.4g}" in rows["churn", SAMPLE["churn"]]
    assert "has 3 bytes" in rows["nbo", "v3"]
    assert "not JSON" not in rows["nbo", "v3"]
    assert "not JSON" in rows["nbo", "v4"]
    assert lines[-2].startswith("Active: churn v2, nbo ")
    assert lines[-1].startswith(f"A rollback returns to: churn {SAMPLE['churn']}, ")


def test_a_bucket_without_anything_is_listed_as_such(
    empty_service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    assert loyalty(["models", "list", "--bucket", empty_service.model_bucket]) == 0
    assert "Nothing is active" in capsys.readouterr().out
    assert loyalty(["models", "diff", "--bucket", empty_service.model_bucket, "churn"]) == 1
    assert "No churn was active" in capsys.readouterr().err


def test_two_versions_metrics_side_by_side(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def table(*versions: str) -> dict[str, list[str]]:
        assert loyalty(["models", "diff", "--bucket", service.model_bucket, "churn", *versions]) == 0
        return {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}

    assert loyalty(["models", "diff", "--bucket", service.model_bucket, "churn"]) == 1
    assert "No other churn was active" in capsys.readouterr().err
    old = sample_card("churn")["metrics"]["auc"]
    folder = folder_of(tmp_path / "v2", "v2", ("churn",), metrics={"auc": old + 0.01, "ece": 0.02})
    registry.publish(service.s3, service.model_bucket, folder)
    shown = table()
    assert shown["churn"] == [SAMPLE["churn"], "v2", "difference"]
    assert shown["auc"] == [f"{old:.6g}", f"{old + 0.01:.6g}", "+0.01"]
    assert shown["ece"] == ["-", "0.02"]
    back = table(SAMPLE["churn"])
    assert back == table("v2", SAMPLE["churn"])
    assert back["churn"] == ["v2", SAMPLE["churn"], "difference"]
    assert back["auc"][-1] == "-0.01"
    assert loyalty(["models", "diff", "--bucket", service.model_bucket, "churn", "v9"]) == 1
    assert "loyalty models list" in capsys.readouterr().err


def test_the_offers_that_only_one_of_two_versions_has_are_named_by_their_codes(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = ["NEW", "7", "6", "5", "4", "3", "2", "1"]
    offers = [{**offer, "offer_code": code} for offer, code in zip(sample_card("nbo")["offers"], codes, strict=True)]
    registry.publish(service.s3, service.model_bucket, folder_of(tmp_path / "v2", "v2", ("nbo",), offers=offers))
    assert loyalty(["models", "diff", "--bucket", service.model_bucket, "nbo"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[-2:] == [
        "offers that are new: NEW (Double Points Weekend)",
        "offers that are gone: 0 (Double Points Weekend)",
    ]


def test_two_versions_that_know_more_or_less_say_so(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    s3, bucket = service.s3, service.model_bucket
    offers = sample_card("nbo")["offers"]
    offers[2] = {**offers[2], "evidence": "too_few"}
    registry.publish(s3, bucket, folder_of(tmp_path / "v2", "v2", ("nbo",), offers=offers))
    assert loyalty(["models", "diff", "--bucket", bucket, "nbo"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "offers with too few data now: 2 (10% Discount)"
    assert loyalty(["models", "diff", "--bucket", bucket, "nbo", "v2", SAMPLE["nbo"]]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "offers that are learnt now: 2 (10% Discount)"
    registry.publish(s3, bucket, folder_of(tmp_path / "v3", "v3", ("churn",), active=None))
    assert loyalty(["models", "diff", "--bucket", bucket, "churn"]) == 0
    (lapsed,) = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("lapsed")]
    assert lapsed == ["lapsed", "days_since_last", "over", "90", "unknown"]


# What is refused, in one sentence, before anything changes.

CHURN = sample_card("churn")
BAD_SETS: dict[str, tuple[dict[str, Any], str]] = {
    "other answers than its golden ones": (
        {"golden": {"inputs": [[1.0] * 10], "outputs": [[2.0]]}}, "golden outputs differ",
    ),
    "more features than the model takes": (
        {
            "features": [*CHURN["features"], "shoe_size"],
            "golden": {"inputs": [[1.0] * 11], "outputs": [[0.5]]},
            "distribution": None,
        "baseline": None,
        },
        "cannot load it for 11 features",
    ),
    "another model's file": ({"file": {"size": 7476, "sha256": "0" * 64}}, "sha256 differs"),
    "a truncated file": ({"file": {"size": 9999, "sha256": "0" * 64}}, "has 7476 bytes"),
    "another kind of output": (
        {
            "active": None, "output": "offer_probabilities",
            "offers": [{"offer_id": 0, "offer_name": "One", "category": "one"}],
            "distribution": None,
        "baseline": None,
        },
        "names the output offer_probabilities, but it must be churn_probability",
    ),
    "a card of newer code": ({"api_version": 2}, "api_version 2"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "part"), BAD_SETS.values(), ids=BAD_SETS.keys())
def test_a_bad_model_is_refused_before_anything_is_uploaded_or_promoted(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], part: str
) -> None:
    before = objects(service)
    folder = folder_of(tmp_path / "bad", "bad", ("churn",), **changes)
    assert loyalty(["models", "publish", "--bucket", service.model_bucket, "--models", str(folder)]) == 1
    error = capsys.readouterr().err
    assert part in error
    assert error.count("\n") == 1
    assert objects(service) == before
    for path in folder.rglob("bad/*"):  # as if someone had put it there past every check
        service.s3.upload_file(str(path), service.model_bucket, f"models/{path.relative_to(folder).as_posix()}")
    assert loyalty(["models", "promote", "--bucket", service.model_bucket, "churn", "bad"]) == 1
    error = capsys.readouterr().err
    assert part in error
    assert error.count("\n") == 1
    assert active(service) == SAMPLE


def test_a_model_that_the_service_does_not_have_is_refused(service: Service, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "set", "v2", ("churn",))
    text = path_in(folder, MANIFEST_KEY).read_text()
    path_in(folder, MANIFEST_KEY).write_text(text.replace('"churn"', '"weather"'))
    with pytest.raises(Refused, match="no weather in the service"):
        registry.publish(service.s3, service.model_bucket, folder)


def test_a_folder_that_names_no_model_is_refused(service: Service, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="names no model"):
        registry.publish(service.s3, service.model_bucket, folder_of(tmp_path / "set", "v2", ()))


def test_a_version_that_is_there_with_another_content_is_refused(service: Service, second: Path) -> None:
    service.s3.put_object(Bucket=service.model_bucket, Key=model_key("nbo", "v2"), Body=b"something else")
    with pytest.raises(Refused, match="versions never change"):
        registry.publish(service.s3, service.model_bucket, second)
    assert active(service) == SAMPLE


def test_a_set_that_is_no_longer_whole_is_not_gone_back_to(
    service: Service, second: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.publish(service.s3, service.model_bucket, second)
    service.s3.delete_object(Bucket=service.model_bucket, Key=model_key("nbo", SAMPLE["nbo"]))
    assert loyalty(["models", "rollback", "--bucket", service.model_bucket]) == 1
    error = capsys.readouterr().err
    assert model_key("nbo", SAMPLE["nbo"]) in error
    assert error.count("\n") == 1
    assert active(service) == {"churn": "v2", "nbo": "v2"}


def test_a_card_that_was_changed_after_it_was_published_is_not_promoted(service: Service, second: Path) -> None:
    registry.publish(service.s3, service.model_bucket, second)
    registry.promote(service.s3, service.model_bucket, SAMPLE)
    key = card_key("churn", "v2")
    text = service.s3.get_object(Bucket=service.model_bucket, Key=key)["Body"].read()
    service.s3.put_object(Bucket=service.model_bucket, Key=key, Body=text.replace(b"0.7", b"0.9"))
    with pytest.raises(Refused, match="not the file that was published"):
        registry.promote(service.s3, service.model_bucket, {"churn": "v2"})


@pytest.mark.parametrize("arguments", [["churn"], ["weather", "v2"], ["churn", "v2", "churn", "v3"]])
def test_a_mistyped_promote_is_told_before_s3_is_asked(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        loyalty(["models", "promote", "--bucket", "any", *arguments])
    assert "promote: error: " in capsys.readouterr().err


def test_a_broken_manifest_is_mended_by_publishing_and_a_newer_one_left_alone(service: Service, second: Path) -> None:
    service.s3.put_object(Bucket=service.model_bucket, Key=MANIFEST_KEY, Body=b"{")
    for act in (registry.rollback, registry.versions):
        with pytest.raises(Refused, match="not JSON"):
            act(service.s3, service.model_bucket)
    registry.publish(service.s3, service.model_bucket, second)
    assert active(service) == {"churn": "v2", "nbo": "v2"}
    service.s3.put_object(Bucket=service.model_bucket, Key=MANIFEST_KEY, Body=b'{"api_version": 2}')
    with pytest.raises(TooNew, match="deploy the newer functions"):
        registry.publish(service.s3, service.model_bucket, second)


def test_a_bucket_without_permission_is_one_sentence_and_nothing_is_half_published(
    service: Service, second: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = service.model_bucket
    registry.publish(service.s3, bucket, second)
    before = objects(service)

    def forbidden(**_: Any) -> Any:
        return AWSResponse("", 403, {}, None), {"Error": {"Code": "AccessDenied"}}  # type: ignore[arg-type]

    disturb_new_clients("before-call.s3.PutObject", forbidden)
    commands: dict[str, Callable[[], int]] = {
        "publish": lambda: loyalty(["models", "publish", "--bucket", bucket, "--models", str(sample_set.FOLDER)]),
        "promote": lambda: loyalty(["models", "promote", "--bucket", bucket, "churn", SAMPLE["churn"]]),
        "rollback": lambda: loyalty(["models", "rollback", "--bucket", bucket]),
    }
    for name, command in commands.items():
        assert command() == 1
        error = capsys.readouterr().err
        assert error.startswith(
            f"loyalty models {name}: AWS answered AccessDenied to PutObject for the bucket {bucket}: "
        )
        assert error.count("\n") == 1
    assert objects(service) == before


# Who else writes, and what is killed.


@contextmanager
def on_call(service: Service, moment: str, handler: Callable[..., Any]) -> Iterator[None]:
    """Calls the handler before S3 is asked ("before-call") or after it has answered ("after-call")."""
    service.s3.meta.events.register(f"{moment}.s3", handler)
    try:
        yield
    finally:
        service.s3.meta.events.unregister(f"{moment}.s3", handler)


def writes_the_manifest(model: Any, params: Any) -> bool:
    return bool(model.name == "PutObject" and params["url_path"].endswith(MANIFEST_KEY))


@contextmanager
def the_manifest_written_at_once(service: Service, writers: int) -> Iterator[None]:
    """Holds each writer just before its first write of the manifest until all have come so far.

    Then S3 does one write at a time, as the real one does and moto, without a lock of its own, does not.
    """
    together, one_at_a_time = threading.Barrier(writers, timeout=30), threading.Lock()
    mine = threading.local()

    def before(model: Any, params: Any, **_: Any) -> None:
        if writes_the_manifest(model, params):
            together.wait()
            mine.held = one_at_a_time.acquire(timeout=30)

    def after(**_: Any) -> None:
        if getattr(mine, "held", False):
            mine.held = False
            one_at_a_time.release()

    with on_call(service, "before-call", before), on_call(service, "after-call", after):
        yield


def at_once(service: Service, *acts: Callable[[], Any]) -> list[Any]:
    """What each of the acts gave, or raised, all of them writing the manifest at the same moment."""
    outcomes: list[Any] = [None] * len(acts)

    def do(number: int) -> None:
        try:
            outcomes[number] = acts[number]()
        except PublishConflict as conflict:
            outcomes[number] = conflict

    threads = [threading.Thread(target=do, args=(number,)) for number in range(len(acts))]
    with the_manifest_written_at_once(service, len(acts)):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
    return outcomes


@pytest.mark.parametrize("other", ["publish", "promote", "rollback"])
def test_of_two_at_once_one_wins_and_the_other_is_told(service: Service, tmp_path: Path, other: str) -> None:
    s3, bucket = service.s3, service.model_bucket
    registry.publish(s3, bucket, folder_of(tmp_path / "v2", "v2"))
    folders = [folder_of(tmp_path / version, version) for version in ("v3", "v4")]
    others = {
        "publish": lambda: registry.publish(s3, bucket, folders[1]),
        "promote": lambda: registry.promote(s3, bucket, {"nbo": SAMPLE["nbo"]}),
        "rollback": lambda: registry.rollback(s3, bucket),
    }
    outcomes = at_once(service, lambda: registry.publish(s3, bucket, folders[0]), others[other])
    told = [outcome for outcome in outcomes if isinstance(outcome, PublishConflict)]
    won = [outcome for outcome in outcomes if isinstance(outcome, registry.Change)]
    assert (len(told), len(won)) == (1, 1)
    assert bucket in str(told[0])
    assert manifest(service) == won[0].after


def test_two_rollbacks_at_once_go_back_one_set(service: Service, tmp_path: Path) -> None:
    s3, bucket = service.s3, service.model_bucket
    for version in ("v2", "v3"):
        registry.publish(s3, bucket, folder_of(tmp_path / version, version))
    outcomes = at_once(service, *[lambda: registry.rollback(s3, bucket)] * 2)
    assert {type(outcome) for outcome in outcomes} == {registry.Change}
    assert active(service) == {"churn": "v2", "nbo": "v2"}


def test_a_set_that_changed_while_the_same_was_published_is_told(service: Service) -> None:
    def publish_in_between(model: Any, **_: Any) -> None:
        if model.name == "PutObject":
            service.s3.meta.events.unregister("before-call.s3", publish_in_between)
            put_manifest(service, {})

    with on_call(service, "before-call", publish_in_between), pytest.raises(PublishConflict, match="meanwhile"):
        registry.publish(service.s3, service.model_bucket, sample_set.FOLDER)
    assert active(service) == {}


@pytest.mark.parametrize("published_before", [[], [sample_set.FOLDER]], ids=["the first set", "a second set"])
def test_a_write_whose_answer_got_lost_counts_when_boto3_sends_it_again(
    empty_service: Service, second: Path, published_before: list[Path]
) -> None:
    service = empty_service
    for folder in published_before:
        registry.publish(service.s3, service.model_bucket, folder)

    def was_applied(model: Any, params: Any, **_: Any) -> None:
        if writes_the_manifest(model, params):
            service.s3.meta.events.unregister("before-call.s3", was_applied)
            service.s3.put_object(Bucket=service.model_bucket, Key=MANIFEST_KEY, Body=params["body"].getvalue())

    with on_call(service, "before-call", was_applied):
        change = registry.publish(service.s3, service.model_bucket, second)
    assert manifest(service) == change.after


@pytest.mark.parametrize("moment", ["before-call", "after-call"])
def test_a_write_that_is_never_answered_is_looked_up(service: Service, second: Path, moment: str) -> None:
    puts: list[str] = []

    def lose_the_fifth(model: Any, **_: Any) -> None:
        if model.name == "PutObject":
            puts.append(model.name)
            if len(puts) == 5:  # two models, two cards, the manifest
                raise ReadTimeoutError(endpoint_url="https://s3.example.com")

    with on_call(service, moment, lose_the_fifth):
        if moment == "after-call":
            registry.publish(service.s3, service.model_bucket, second)
        else:
            with pytest.raises(RegistryProblem, match="answer got lost"):
                registry.publish(service.s3, service.model_bucket, second)
    assert active(service)["churn"] == ("v2" if moment == "after-call" else SAMPLE["churn"])


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def killed_at(service: Service, moment: str, number: int) -> Iterator[list[str]]:
    """Ends the process at its number-th call of S3, before it is sent or after it was applied."""
    calls: list[str] = []

    def count(model: Any, **_: Any) -> None:
        calls.append(model.name)
        if len(calls) == number:
            raise Killed

    with on_call(service, moment, count):
        yield calls


@pytest.mark.parametrize("moment", ["before-call", "after-call"])
@pytest.mark.parametrize("command", ["publish", "promote", "rollback"])
def test_killed_at_any_call_of_s3_a_whole_set_serves_and_the_next_attempt_succeeds(
    service: Service, tmp_path: Path, command: str, moment: str
) -> None:
    s3, bucket = service.s3, service.model_bucket
    for number in range(1, 30):
        folder = folder_of(tmp_path / str(number), f"v{number}")
        old, new = active(service), {"churn": f"v{number}", "nbo": f"v{number}"}
        if command == "promote":
            registry.stage(s3, bucket, folder)
        if command == "rollback":
            registry.publish(s3, bucket, folder)
            old, new = new, old
        acts: dict[str, Callable[[], Any]] = {
            "publish": lambda folder=folder: registry.publish(s3, bucket, folder),  # type: ignore[misc]
            "promote": lambda new=new: registry.promote(s3, bucket, new),  # type: ignore[misc]
            "rollback": lambda: registry.rollback(s3, bucket),
        }
        try:
            with killed_at(service, moment, number) as calls:
                acts[command]()
        except Killed:
            written = moment == "after-call" and calls[-1] == "PutObject" and active(service) != old
            assert active(service) == (new if written else old)
            assert [version.problem for version in registry.versions(s3, bucket).versions if version.problem] == []
            assert_it_serves(service, active(service))
            if not written:
                acts[command]()
            assert_it_serves(service, new)
        else:
            assert number > 4, "it was never killed"
            return
    pytest.fail("it never got to its end")


def assert_it_serves(service: Service, versions: dict[str, str]) -> None:
    """On a new instance of the functions."""
    new_process()
    for name, version in versions.items():
        answer = service.predict("good", name)
        assert (answer.status, answer.body["model"]["version"]) == (200, version)


# A client that predicts all the while.


class Client(threading.Thread):
    """Predicts with everything, over and over, and notes what came: answers that failed, and the sets that it saw."""

    def __init__(self, service: Service) -> None:
        super().__init__()
        self._service = service
        self._enough = threading.Event()
        self.requests = 0
        self.failed: list[Any] = []
        self.risks: set[tuple[str, str]] = set()
        self.sets: list[dict[str, str]] = []

    def run(self) -> None:
        while not self._enough.is_set():
            churn = self._ask("POST", "/ml/predict", {"customer_id": "good", "type": "churn"})
            self.risks.add((churn["model"]["version"], churn["result"]["churn_risk"]))
            self._ask("POST", "/ml/predict/batch", {"customer_ids": ["good", "lapsed"], "type": "nbo"})
            self._ask("POST", "/ml/predict", {"customer_id": "good", "type": "rfm"})
            models = self._ask("GET", "/config/ml/status", None)["models"]
            seen = {name: model["version"] for name, model in models.items()}
            if not self.sets or self.sets[-1] != seen:
                self.sets.append(seen)

    def _ask(self, method: str, path: str, body: Any) -> dict[str, Any]:
        answer = self._service.call(method, path, body)
        self.requests += 1
        if answer.status != 200 or answer.body.get("mock") or answer.body.get("failed"):
            self.failed.append(answer)
        return answer.body

    def wait_until_it_sees(self, versions: dict[str, str]) -> None:
        give_up_at = time.monotonic() + 30
        while self.sets[-1:] != [versions]:
            assert self.is_alive(), "the client failed"
            assert time.monotonic() < give_up_at, f"{versions} never came: {self.sets}"
            time.sleep(0.01)

    def stop(self) -> None:
        self._enough.set()
        self.join(timeout=30)


def test_no_request_fails_while_sets_are_published_refused_promoted_and_rolled_back(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3, bucket = service.s3, service.model_bucket
    looks_always = ModelStore(process().predict.s3, bucket, process().predict.settings.model_cache, refresh_seconds=0)
    for parts in (process().predict, process().batch):
        put_in_place(parts, models=looks_always)
    second = folder_of(tmp_path / "second", "v2", thresholds={"medium": 1e-30, "high": 1e-30})
    bad = folder_of(tmp_path / "bad", "v3", golden=CHURN["golden"] | {"inputs": [[5.0] * 10] * 8})
    path_in(bad, model_key("nbo", "v3")).write_bytes(b"cut")
    both, mixed = {"churn": "v2", "nbo": "v2"}, {"churn": "v2", "nbo": SAMPLE["nbo"]}
    client = Client(service)
    client.start()
    try:
        client.wait_until_it_sees(SAMPLE)
        registry.publish(s3, bucket, second)
        client.wait_until_it_sees(both)
        with pytest.raises(Refused):
            registry.publish(s3, bucket, bad)
        registry.promote(s3, bucket, {"nbo": SAMPLE["nbo"]})
        client.wait_until_it_sees(mixed)
        registry.rollback(s3, bucket)
        client.wait_until_it_sees(both)
        registry.rollback(s3, bucket)
        client.wait_until_it_sees(SAMPLE)
    finally:
        client.stop()
    assert client.failed == []
    assert client.sets == [SAMPLE, both, mixed, both, SAMPLE], "never a set that was not published"
    assert client.risks == {(SAMPLE["churn"], "low"), ("v2", "high")}, "a version's answers have its own thresholds"
    assert client.requests > 20


def test_older_code_reads_a_newer_manifest_and_newer_code_an_older_one(service: Service, second: Path) -> None:
    older = manifest(service).model_dump(mode="json", exclude={"previous"})
    assert parse_manifest(json.dumps(older).encode()).previous == ()
    text = json.dumps({**older, "not_thought_of_yet": [1, 2]}).encode()
    assert parse_manifest(text).models == manifest(service).models
