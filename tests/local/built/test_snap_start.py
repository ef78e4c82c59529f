"""SnapStart: the built functions under Lambda's own runtime, held where their snapshot is taken, then restored."""

import json
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import boto3
import pytest
import waitress
from moto.server import DomainDispatcherApplication, create_backend_app

from local import stores, template
from local.built.emulator import FunctionError
from local.built.snap_start import snap_started
from loyalty_ml.models.card import card_key, model_key
from loyalty_ml.models.manifest import MANIFEST_KEY
from tests import sample_set
from tests.sam import reset_stores
from training.registry import publish

pytestmark = pytest.mark.built

EVENTS = Path(__file__).parents[3] / "events"
FUNCTIONS = ("PredictFunction", "BatchFunction")
ESTABLISHED = "01"


@dataclass(frozen=True)
class Stores:
    """The template's stores in moto, empty: their names, and the variables that point a function there."""

    ids: dict[str, str]
    variables: dict[str, str]

    def publish_models(self) -> None:
        publish(boto3.client("s3"), self.ids["ModelBucket"], sample_set.FOLDER)

    def publish_another_churn(self, version: str) -> None:
        """Makes a copy of the sample model the active one, under a version of its own."""
        s3, bucket = boto3.client("s3"), self.ids["ModelBucket"]
        manifest = sample_set.manifest().model_dump(mode="json")
        active = manifest["models"]["churn"]["version"]
        card = json.loads(sample_set.file_of(card_key("churn", active)).read_bytes())
        text = json.dumps({**card, "version": version}).encode()
        model = sample_set.file_of(model_key("churn", active)).read_bytes()
        manifest["models"]["churn"] = {"version": version, "card_sha256": sha256(text).hexdigest()}
        s3.put_object(Bucket=bucket, Key=card_key("churn", version), Body=text)
        s3.put_object(Bucket=bucket, Key=model_key("churn", version), Body=model)
        s3.put_object(Bucket=bucket, Key=MANIFEST_KEY, Body=json.dumps(manifest).encode())


@pytest.fixture
def empty_stores(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stores]:
    server = stores.start_moto()
    variables = stores.aws_environment(server)
    try:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        reset_stores(variables)
        yield Stores(stores.create(template.stores(template.load())), variables)
    finally:
        reset_stores(variables)
        server.stop()


def event(name: str) -> Any:
    return json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))


def body_of(response: dict[str, Any]) -> Any:
    assert response["statusCode"] == 200, response
    return json.loads(response["body"])


def connections_of(pid: int, port: int) -> int:
    """How many open connections a process has to a port."""
    sockets = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        target = str(descriptor.readlink())
        if target.startswith("socket:["):
            sockets.add(target.removeprefix("socket:[").removesuffix("]"))
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == ESTABLISHED and row[9] in sockets for row in rows)


@contextmanager
def keeping_connections() -> Iterator[int]:
    """The same stores behind a server that keeps connections open, as S3 does and moto's own does not: its port."""
    server = waitress.create_server(DomainDispatcherApplication(create_backend_app), host="127.0.0.1", port=0)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield int(server.effective_port)
    finally:
        server.close()
        thread.join()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_models_are_loaded_when_the_snapshot_is_taken_and_no_connection_is_in_it(
    build: Path, empty_stores: Stores, function: str
) -> None:
    empty_stores.publish_models()
    with keeping_connections() as port:
        variables = {**empty_stores.variables, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
        with snap_started(function, variables, physical_ids=empty_stores.ids, build=build) as instance:
            log = instance.log_file.read_text()
            assert "Model set loaded" in log
            assert all(active.version in log for active in sample_set.manifest().models.values())
            assert connections_of(instance.pid, port) == 0


def test_a_model_published_after_the_snapshot_answers_the_first_request(build: Path, empty_stores: Stores) -> None:
    """Well within the half minute for which a manifest is not looked at again."""
    empty_stores.publish_models()
    with snap_started(
        "PredictFunction", empty_stores.variables, physical_ids=empty_stores.ids, build=build
    ) as instance:
        empty_stores.publish_another_churn("v-after")
        instance.restore()
        churn = body_of(instance.invoke(event("status")))["models"]["churn"]
        assert (churn["version"], churn["loaded"]) == ("v-after", True)


def test_the_snapshots_models_answer_where_the_manifest_cannot_be_read_after_it(
    build: Path, empty_stores: Stores
) -> None:
    empty_stores.publish_models()
    with snap_started(
        "PredictFunction", empty_stores.variables, physical_ids=empty_stores.ids, build=build
    ) as instance:
        boto3.client("s3").put_object(Bucket=empty_stores.ids["ModelBucket"], Key=MANIFEST_KEY, Body=b"{")
        instance.restore()
        churn = body_of(instance.invoke(event("status")))["models"]["churn"]
        assert churn["loaded"]
        assert "cannot be used" in churn["message"], "it is not said to be fresh"


def test_a_store_that_cannot_be_reached_fails_no_snapshot_and_is_reached_after_it(
    build: Path, empty_stores: Stores
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    nowhere = {**empty_stores.variables, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    with snap_started("PredictFunction", nowhere, physical_ids=empty_stores.ids, build=build) as instance:
        assert "S3 cannot be reached" in instance.log_file.read_text()
        late = stores.start_moto(port=port)  # the same stores: moto's are the process's
        try:
            empty_stores.publish_models()
            instance.restore()
            churn = body_of(instance.invoke(event("status")))["models"]["churn"]
            assert churn["loaded"]
            assert "message" not in churn
        finally:
            late.stop()


def test_a_hook_that_raises_is_told_apart_from_an_answer(build: Path, empty_stores: Stores, tmp_path: Path) -> None:
    """Of the test's own other side of the Runtime API: an error after the restore would not pass for a good one."""
    broken = tmp_path / "build"
    shutil.copytree(build, broken, symlinks=True, ignore=shutil.ignore_patterns("SharedLayer", "AnalyticsLayer"))
    for layer in ("SharedLayer", "AnalyticsLayer"):
        (broken / layer).symlink_to(build / layer)
    app = broken / "PredictFunction" / "app.py"
    app.write_text(
        app.read_text() + "\nimport snapshot_restore_py\nsnapshot_restore_py.register_after_restore(lambda: 1 / 0)\n"
    )
    with snap_started(
        "PredictFunction", empty_stores.variables, physical_ids=empty_stores.ids, build=broken
    ) as instance:
        instance.restore()
        with pytest.raises(FunctionError, match="division by zero"):
            instance.invoke(event("health"))
