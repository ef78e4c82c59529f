"""Models from S3: checked before they serve, changed whole or not at all, mock only where none was ever published."""

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from loyalty_ml.models.card import card_key, model_key
from loyalty_ml.models.manifest import MANIFEST_KEY
from loyalty_ml.models.store import REFRESH_SECONDS, ModelStore
from tests import sample_set
from tests.functions.test_api import assert_error
from tests.segments.test_statistics_store import point
from tests.service import Service, new_process, process, put_in_place
from training.registry import publish

pytestmark = pytest.mark.moto

CUTS = {"version": "2018", "recency": [1, 2, 3, 4], "frequency": [9, 8, 7, 6], "monetary": [9, 8, 7, 6]}


class Clock:
    """Seconds that pass when the test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(service: Service, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The service's model store, on a clock of the test's own."""
    clock = Clock()
    store = ModelStore(process().predict.s3, service.model_bucket, process().predict.settings.model_cache, clock=clock)
    for parts in (process().predict, process().batch):
        put_in_place(parts, models=store)
    return clock


def put_manifest(service: Service, models: dict[str, Any], **changes: Any) -> None:
    manifest = {"api_version": 1, "created": "2026-11-22T10:00:00Z", "models": models, **changes}
    service.s3.put_object(Bucket=service.model_bucket, Key=MANIFEST_KEY, Body=json.dumps(manifest))


def put_model(
    service: Service,
    name: str,
    version: str = "v2",
    model: bytes | None = None,
    *,
    keep_hash: bool = False,
    **changes: Any,
) -> dict[str, str]:
    """Publishes a variant of a sample model, hashes and all, and returns its entry for the manifest."""
    active = sample_set.manifest().models[name].version
    card = json.loads(sample_set.file_of(card_key(name, active)).read_bytes())
    original = sample_set.file_of(model_key(name, active)).read_bytes()
    model = original if model is None else model
    if not keep_hash:
        card["file"] = {"size": len(model), "sha256": sha256(model).hexdigest()}
    text = json.dumps({**card, "version": version, **changes}).encode()
    service.s3.put_object(Bucket=service.model_bucket, Key=model_key(name, version), Body=model)
    service.s3.put_object(Bucket=service.model_bucket, Key=card_key(name, version), Body=text)
    return {"version": version, "card_sha256": sha256(text).hexdigest()}


def sample_entries() -> dict[str, Any]:
    return sample_set.manifest().model_dump(mode="json")["models"]  # type: ignore[no-any-return]


def sample_card(name: str) -> dict[str, Any]:
    active = sample_set.manifest().models[name].version
    card: dict[str, Any] = json.loads(sample_set.file_of(card_key(name, active)).read_bytes())
    return card


OFFERS: list[dict[str, Any]] = sample_card("nbo")["offers"]
CLASSES: list[dict[str, Any]] = [
    {"name": "offer_probabilities", "kind": "probabilities", "classes": [offer["offer_name"] for offer in OFFERS]}
]

BROKEN: dict[str, dict[str, Any]] = {
    "truncated after it was published": {"keep_hash": True, "model": b"TFL3"},
    "not a model at all": {"model": b"<html>not found</html>"},
    "of fewer inputs than its card says": {
        "features": [*sample_card("churn")["features"], "shoe_size"],
        "golden": {"inputs": [[1.0] * 11], "outputs": [[0.5]]},
        "distribution": None,
        "baseline": None,
    },
    "with other answers than its golden ones": {
        "golden": {"inputs": [[1.0] * 10], "outputs": [[sample_card("churn")["golden"]["outputs"][0][0] / 2 + 0.4]]}
    },
    "of another kind": {
        "output": "offer_probabilities",
        "offers": sample_card("nbo")["offers"][:1],
        "distribution": None,
        "baseline": None,
    },
    "with a card from the future": {"api_version": 2},
    "with thresholds upside down": {"thresholds": {"medium": 0.9, "high": 0.2}},
}


@pytest.mark.parametrize("changes", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_model_is_an_error_and_never_mock(service: Service, clock: Clock, changes: dict[str, Any]) -> None:
    put_manifest(service, {**sample_entries(), "churn": put_model(service, "churn", **changes)})
    answer = service.predict("good")
    assert_error(answer, 503, "MODEL_UNAVAILABLE", "churn")
    assert "Retry-After" not in answer.headers
    assert service.predict("good", "nbo").body["mock"] is False, "the other model serves"
    assert service.predict("good", "rfm").status == 200
    status = service.call("GET", "/config/ml/status").body["models"]["churn"]
    assert (status["exists"], status["loaded"]) == (True, False)
    assert "publish" in status["message"] or "deploy" in status["message"], "it says what to do"
    put_manifest(service, sample_entries())
    clock.now += REFRESH_SECONDS
    assert service.predict("good").status == 200


@pytest.mark.parametrize("changes", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_model_never_replaces_a_good_one_and_the_set_stays_whole(
    service: Service, clock: Clock, changes: dict[str, Any]
) -> None:
    before = {name: service.predict("good", name).body for name in ("churn", "nbo", "rfm")}
    entries = {"churn": put_model(service, "churn", **changes), "nbo": put_model(service, "nbo")}
    put_manifest(service, entries, rfm=CUTS)
    clock.now += REFRESH_SECONDS
    assert {name: service.predict("good", name).body for name in before} == before
    status = service.call("GET", "/config/ml/status").body["models"]["churn"]
    assert (status["loaded"], status["version"]) == (True, before["churn"]["model"]["version"])
    assert "Meanwhile the version named here answers" in status["message"]
    put_manifest(service, sample_entries())
    clock.now += REFRESH_SECONDS
    assert "message" not in service.call("GET", "/config/ml/status").body["models"]["churn"]


def test_a_new_set_is_noticed_within_a_minute_without_a_failed_request(service: Service, clock: Clock) -> None:
    old = service.predict("good").body["model"]["version"]
    put_manifest(service, {**sample_entries(), "churn": put_model(service, "churn", version="v9")}, rfm=CUTS)
    versions = []
    for _ in range(60):
        clock.now += 1
        answer = service.predict("good")
        assert answer.status == 200
        versions.append(answer.body["model"]["version"])
    assert versions[0] == old
    assert versions[-1] == "v9"
    rfm = service.predict("good", "rfm").body
    assert rfm["model"] == {"name": "rfm", "version": "2018", "placeholder": False}


def test_an_unchanged_manifest_is_not_downloaded_again(service: Service, clock: Clock) -> None:
    reads: list[str] = []
    process().predict.s3.meta.events.register(
        "before-send.s3.GetObject", lambda request, **_: reads.append(request.url)
    )
    service.predict("good")
    loading = len(reads)
    clock.now += REFRESH_SECONDS
    service.predict("good")
    service.predict("good")
    assert loading == 5, "the manifest, two cards, two models"
    assert len(reads) == loading + 1, "one conditional request at the next look"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (b"not json", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"api_version": 2}', "api_version 2"),
        (b'{"api_version": 1}', "created"),
        (b'{"api_version": 1, "created": "2026-11-22T10:00:00Z", "models": {"churn": {"version": "../x"}}}', "version"),
    ],
)
def test_a_bad_manifest_is_an_error_for_models_and_rfm_alike(service: Service, text: bytes, part: str) -> None:
    service.s3.put_object(Bucket=service.model_bucket, Key=MANIFEST_KEY, Body=text)
    for prediction_type in ("churn", "nbo", "rfm"):
        assert_error(service.predict("good", prediction_type), 503, "MODEL_UNAVAILABLE", part)
    put_manifest(service, sample_entries())
    assert service.predict("good").status == 200, "mended, the next request works"


MALFORMED = {
    "offers that are null": {"offers": None},
    "offers that are a number": {"offers": 5},
    "offers that are no objects": {"offers": [5, "a"]},
    "offers without a name": {"offers": [{"offer_id": 0}]},
    "no offers": {"offers": []},
    "fewer offers than classes": {"outputs": CLASSES, "offers": OFFERS[:3]},
    "classes and no offers": {"outputs": CLASSES, "offers": []},
    "offers under other names": {"outputs": CLASSES, "offers": [{**offer, "offer_name": "x"} for offer in OFFERS]},
    "outputs of another name": {"outputs": [{**CLASSES[0], "name": "spend"}]},
    "outputs that are null": {"outputs": None},
    "an output more": {"outputs": [*CLASSES, {"name": "spend", "kind": "number"}]},
}


@pytest.mark.parametrize("changes", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_card_is_refused_and_what_is_loaded_goes_on(
    service: Service, clock: Clock, changes: dict[str, Any]
) -> None:
    before = service.predict("good", "nbo").body
    put_manifest(service, {**sample_entries(), "nbo": put_model(service, "nbo", **changes)})
    for _ in range(2):
        clock.now += REFRESH_SECONDS
        assert service.predict("good", "nbo").body == before
        assert service.predict("good", "rfm").status == 200
    new_process()  # one that has nothing loaded
    assert_error(service.predict("good", "nbo"), 503, "MODEL_UNAVAILABLE", "nbo")
    assert service.predict("good").body["mock"] is False, "the other model serves"


def test_a_bad_manifest_or_none_leaves_what_is_loaded(service: Service, clock: Clock) -> None:
    before = service.predict("good").body
    service.s3.put_object(Bucket=service.model_bucket, Key=MANIFEST_KEY, Body=b"{")
    clock.now += REFRESH_SECONDS
    assert service.predict("good").body == before
    service.s3.delete_object(Bucket=service.model_bucket, Key=MANIFEST_KEY)
    clock.now += REFRESH_SECONDS
    assert service.predict("good").body == before


@pytest.mark.parametrize("key", [MANIFEST_KEY, card_key("churn", "v2"), model_key("churn", "v2")])
def test_an_object_that_would_fill_the_memory_is_not_read_and_what_is_loaded_goes_on(
    service: Service, clock: Clock, key: str
) -> None:
    """The function would end at each look, with its models."""
    before = service.predict("good").body
    put_manifest(service, {**sample_entries(), "churn": put_model(service, "churn", version="v2")})

    def note(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        context["asked_for"] = params["url_path"]

    def enlarge(parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        if context["asked_for"].endswith(key):
            parsed["ContentLength"] = 2**40
            parsed["Body"] = Unreadable()

    events = process().predict.s3.meta.events
    events.register("before-call.s3.GetObject", note)
    events.register("after-call.s3.GetObject", enlarge)
    clock.now += REFRESH_SECONDS
    assert service.predict("good").body == before
    events.unregister("after-call.s3.GetObject", enlarge)
    clock.now += REFRESH_SECONDS
    assert service.predict("good").body["model"]["version"] == "v2"


class Unreadable:
    def read(self) -> bytes:
        pytest.fail("it was read")

    def close(self) -> None:
        pass


def test_s3_down_is_an_error_at_first_and_unnoticed_once_models_are_loaded(service: Service, clock: Clock) -> None:
    events = process().predict.s3.meta.events

    def down(**_: Any) -> Any:
        return AWSResponse("", 503, {}, _Body(b""))  # type: ignore[arg-type]

    events.register_first("before-send.s3.GetObject", down)
    for prediction_type in ("churn", "nbo", "rfm"):
        answer = service.predict("good", prediction_type)
        assert_error(answer, 503, "MODEL_UNAVAILABLE", "S3")
        assert answer.headers["Retry-After"] == "5"
    events.unregister("before-send.s3.GetObject", down)
    before = service.predict("good")
    assert before.status == 200, "the next good request works"
    events.register_first("before-send.s3.GetObject", down)
    clock.now += REFRESH_SECONDS
    assert service.predict("good") == before


class _Body:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, *_: Any, **__: Any) -> bytes:
        return self._content

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self._content


def test_models_are_read_from_tmp_where_an_earlier_process_left_them(service: Service) -> None:
    assert service.predict("good").status == 200
    entry = sample_entries()["churn"]["version"]
    cached = process().predict.settings.model_cache / model_key("churn", entry)
    assert cached.read_bytes() == sample_set.file_of(model_key("churn", entry)).read_bytes()
    cached.write_bytes(cached.read_bytes()[:100])
    new_process()
    assert service.predict("good").status == 200, "a torn file is fetched again"


def test_auto_mocks_a_model_that_was_never_published(empty_service: Service) -> None:
    for prediction_type in ("churn", "nbo"):
        answer = empty_service.predict("good", prediction_type).body
        assert (answer["mock"], answer["result"]["mock"]) == (True, True)
        assert answer["model"] == {"name": prediction_type, "version": "mock", "placeholder": True}
        new_process()
        assert empty_service.predict("good", prediction_type).body == answer, "the same customer, the same answer"
        batch = empty_service.predict_batch(["good", "nobody", "lapsed"], prediction_type).body
        assert (batch["mock"], batch["successful"], batch["failed"]) == (True, 2, 1)
        assert all(result["result"]["mock"] for result in batch["results"])
        assert batch["results"][0]["result"] == answer["result"] != batch["results"][1]["result"]
    rfm = empty_service.predict("good", "rfm").body
    assert rfm["mock"] is False, "RFM needs no model"
    assert "mock data" in empty_service.call("GET", "/config/ml/status").body["models"]["nbo"]["message"]


def test_auto_mocks_only_the_model_that_is_not_published(service: Service) -> None:
    entries = sample_entries()
    put_manifest(service, {"nbo": entries["nbo"]})
    assert service.predict("good", "churn").body["mock"] is True
    assert service.predict("good", "nbo").body["mock"] is False


def test_false_is_an_error_where_no_model_is_published(empty_service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_MOCK_MODE", "false")
    answer = empty_service.predict("good")
    assert_error(answer, 503, "MODEL_UNAVAILABLE", "ML_MOCK_MODE")
    assert "Retry-After" not in answer.headers
    assert empty_service.predict("good", "rfm").status == 200


def empty_the_bucket(service: Service) -> None:
    listed = service.s3.list_objects_v2(Bucket=service.model_bucket).get("Contents", [])
    for entry in listed:
        service.s3.delete_object(Bucket=service.model_bucket, Key=entry["Key"])


def purge_the_bucket(service: Service) -> None:
    """With every version and delete marker, as who cleans up does, or a bucket made again under its name."""
    versions = service.s3.list_object_versions(Bucket=service.model_bucket)
    for entry in [*versions.get("Versions", []), *versions.get("DeleteMarkers", [])]:
        service.s3.delete_object(Bucket=service.model_bucket, Key=entry["Key"], VersionId=entry["VersionId"])


def delete_the_manifest_for_good(service: Service) -> None:
    versions = service.s3.list_object_versions(Bucket=service.model_bucket, Prefix=MANIFEST_KEY)
    for entry in versions["Versions"]:
        service.s3.delete_object(Bucket=service.model_bucket, Key=MANIFEST_KEY, VersionId=entry["VersionId"])


def measure_and_purge(service: Service) -> None:
    """Statistics of all customers as the daily refresh stores them, damaged ones beside them, and then no bucket."""
    store = process().segment.statistics
    store.put(point(segment_id=None, models={"churn": "v1", "nbo": "mock", "rfm": "fixed"}))
    odd = {"segment_id": {"S": "*"}, "point": {"S": "by hand"}, "body": {"N": "1"}}
    service.dynamodb.put_item(TableName=service.ids["SegmentStatisticsTable"], Item=odd)
    purge_the_bucket(service)


LOSSES = {
    "emptied": (empty_the_bucket, "is or was below models/"),
    "no manifest": (delete_the_manifest_for_good, "is or was below models/"),
    "purged": (measure_and_purge, "stored statistics"),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("mock_mode", ["auto", "false"])
def test_what_was_published_and_is_lost_is_an_error_and_never_mock(
    service: Service, monkeypatch: pytest.MonkeyPatch, loss: str, mock_mode: str
) -> None:
    lose, sign = LOSSES[loss]
    lose(service)
    monkeypatch.setenv("ML_MOCK_MODE", mock_mode)
    new_process()
    for prediction_type in ("churn", "nbo", "rfm", "all"):
        for answer in (service.predict("good", prediction_type), service.predict_batch(["good"], prediction_type)):
            assert_error(answer, 503, "MODEL_UNAVAILABLE", "missing", sign, "publish a model set")
            assert "Retry-After" not in answer.headers
    for status in service.call("GET", "/config/ml/status").body["models"].values():
        assert (status["exists"], status["loaded"]) == (False, False)
        assert sign in status["message"]
    publish(service.s3, service.model_bucket, sample_set.FOLDER)
    assert service.predict("good").body["mock"] is False, "what the sentence says helps"


def test_a_manifest_without_models_is_an_error_and_never_mock(service: Service) -> None:
    put_manifest(service, {}, rfm=CUTS)
    for prediction_type in ("churn", "nbo"):
        assert_error(service.predict("good", prediction_type), 503, "MODEL_UNAVAILABLE", "names no model", "roll back")
    assert service.predict("good", "rfm").body["model"]["version"] == "2018", "its cut points are good"
    for status in service.call("GET", "/config/ml/status").body["models"].values():
        assert "names no model" in status["message"]


def test_advice_in_place_of_every_model_is_no_loss_before_the_first_model(service: Service) -> None:
    advice = {"nbo": "Send everyone O2."}
    put_manifest(service, {}, advice=advice)
    assert service.predict("good").body["mock"] is True
    put_manifest(service, {}, advice=advice, previous=[{"created": "2026-11-21T10:00:00Z", "models": sample_entries()}])
    new_process()
    assert_error(service.predict("good"), 503, "MODEL_UNAVAILABLE", "names no model")


def test_a_manifest_without_models_leaves_the_set_before_it_serving(service: Service, clock: Clock) -> None:
    before = service.predict("good").body
    put_manifest(service, {})
    clock.now += REFRESH_SECONDS
    assert service.predict("good").body == before
    message = service.call("GET", "/config/ml/status").body["models"]["churn"]["message"]
    assert "names no model" in message


@pytest.mark.parametrize("models", [{"churn": "mock", "nbo": "mock", "rfm": "fixed"}, {}])
def test_statistics_of_mock_data_are_no_sign_of_a_model(empty_service: Service, models: dict[str, str]) -> None:
    process().segment.statistics.put(point(segment_id=None, models=models))
    assert empty_service.predict("good").body["mock"] is True


def test_whether_a_model_was_published_is_not_guessed(empty_service: Service) -> None:
    empty_service.dynamodb.delete_table(TableName=empty_service.ids["SegmentStatisticsTable"])
    assert_error(empty_service.predict("good"), 503, "MODEL_UNAVAILABLE", "ever published is not known")


def test_true_mocks_even_where_models_are_published(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_MOCK_MODE", "true")
    assert service.predict("good").body["mock"] is True
    assert service.call("GET", "/config/ml/status").body["mock_mode"] == "true"


def test_a_model_set_brings_its_own_catalogue_and_thresholds(service: Service) -> None:
    offers = [{"offer_id": number, "offer_name": f"Offer {number}", "category": "own"} for number in range(8)]
    models = {
        "nbo": put_model(service, "nbo", offers=offers),
        "churn": put_model(service, "churn", thresholds={"medium": 1e-30, "high": 1e-30}),
    }
    put_manifest(service, models)
    assert {offer["category"] for offer in service.predict("good", "nbo").body["result"]["offers"]} == {"own"}
    assert service.predict("good").body["result"]["churn_risk"] == "high"


def test_a_disk_that_takes_nothing_keeps_no_model_from_serving(service: Service, tmp_path: Path) -> None:
    no_folder = tmp_path / "file"
    no_folder.touch()
    store = ModelStore(process().predict.s3, service.model_bucket, no_folder)
    models = store.current()
    assert models.loaded.keys() == {"churn", "nbo"}
    assert not models.problems
