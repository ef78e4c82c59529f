"""A client generated from openapi.json has every operation, typed, and works against a running server."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local import openapi, openapi_schemas
from tests.front import served
from tests.local.make_run import Running
from tests.segments.test_segments import Deployment, deployment  # noqa: F401 (a fixture)

pytestmark = [pytest.mark.process, pytest.mark.long]

ROOT = Path(__file__).parents[2]
GENERATOR = ROOT / ".venv-client" / "bin" / "openapi-python-client"


@pytest.fixture
def generated(tmp_path: Path) -> Path:
    """A folder with the client as the package loyalty_api."""
    if not GENERATOR.exists():
        pytest.skip("The generator is not installed: run 'make .venv-client/stamp'.")
    done = subprocess.run(
        [GENERATOR, "generate", "--path", openapi.PATH, "--output-path", tmp_path / "loyalty_api", "--meta", "none"],
        env=os.environ | {"PATH": f"{GENERATOR.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr, "what the generator leaves out"
    return tmp_path


@pytest.fixture
def address(deployment: Deployment) -> Iterator[str]:  # noqa: F811
    """The functions behind the local gateway, on a port, with customers and models."""
    with served() as base:
        yield base


def test_a_generated_client_calls_every_operation(generated: Path, address: str) -> None:
    done = subprocess.run(
        [GENERATOR.with_name("python"), Path(__file__).with_name("client_calls.py"), address],
        env=os.environ | {"PYTHONPATH": str(generated)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    operations = {
        operation["operationId"] for methods in openapi.document()["paths"].values() for operation in methods.values()
    }
    assert set(told["operations"]) == set(told["given"]) == operations
    given: dict[str, list[list[Any]]] = told["given"]
    assert given["predict_customer"] == [[200, "SingleAnswer"]] * 3 + [[200, "AllAnswer"], [404, "ErrorAnswer"]]
    assert given["predict_batch"] == [[200, "BatchAnswer"]] * 3 + [[200, "AllBatchAnswer"]]
    assert given["predict_one_or_batch"] == [[200, "SingleAnswer"], [200, "BatchAnswer"]]
    assert given["answer_rows"] == [[200, "SnowflakeAnswer"]]
    assert given["infer_model"] == given["infer_model_version"] == [[200, "InferenceAnswer"]]
    assert given["predict_segment"] == [[200, "SegmentAnswer"]] * 3 + [[200, "SegmentAllAnswer"]]
    assert given["put_segment"] == [[201, "SegmentDefinitionAnswer"], [200, "SegmentDefinitionAnswer"]]
    assert given["start_job"] == [
        [202, "JobStarted"], [202, "JobStarted"], [201, "UploadAwaited"], [400, "ErrorAnswer"],
    ]  # fmt: skip
    assert given["get_job"] == [[200, "JobAnswer"], [404, "ErrorAnswer"]]
    assert given["delete_job"] == given["delete_segment"] == [[204, "NoneType"]]
    assert given["promote_models"] == [[200, "ModelChangeAnswer"]]
    assert given["roll_back_models"] == [[404, "ErrorAnswer"]], "there is no set before the first"
    for name in set(given) - {"get_page", "get_description", "delete_job", "delete_segment"}:
        assert all(kind != "NoneType" for _, kind in given[name]), name


def test_the_programs_of_the_page_run_as_they_are(generated: Path, running: Running) -> None:
    programs = re.findall(
        r"^```python\n(.*?)^```$", (ROOT / "docs" / "client.md").read_text(), re.MULTILINE | re.DOTALL
    )
    done = subprocess.run(
        [
            GENERATOR.with_name("python"),
            "-c",
            "\n".join(programs).replace("127.0.0.1:8000", f"127.0.0.1:{running.port}"),
        ],
        env=os.environ | {"PYTHONPATH": f"{generated}:{ROOT / 'client' / 'src'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    of_python, wide, missing, *printed = done.stdout.splitlines()
    assert of_python == "[0.1097012385725975, 0.509924054145813, 'CUSTOMER_NOT_FOUND']"
    assert wide == "(2, 10)"
    assert missing.startswith("SEGMENT_NOT_FOUND There is no segment")
    assert printed[0] == "0.1097012385725975 2018-01-02 00:00:00+00:00"
    assert printed[1].startswith("CUSTOMER_NOT_FOUND ")
    assert printed[3:5] == ["succeeded {'CUSTOMER_NOT_FOUND': 1}", "customer_id,churn_probability,churn_risk,name"]
    assert printed[5] == "1,0.1097012385725975,low,Ann"


def test_no_body_of_the_generated_client_is_of_any_type(generated: Path) -> None:
    bodies = {
        path.stem: found[1]
        for path in generated.glob("loyalty_api/api/*/*.py")
        if (found := re.search(r"^    body: ([\w\s|]+),$", path.read_text(), re.MULTILINE))
    }
    described = [
        operation["operationId"]
        for methods in openapi.document()["paths"].values()
        for operation in methods.values()
        if "requestBody" in operation
    ]
    assert set(bodies) == set(described)
    assert not [name for name, kind in bodies.items() if re.search(r"\bAny\b|\bdict\b|\bobject\b", kind)]


def test_every_operation_has_a_name_a_tag_and_an_example() -> None:
    document = openapi.document()
    tags = {tag["name"] for tag in document["tags"]}
    names = []
    for path, methods in document["paths"].items():
        for operation in methods.values():
            names.append(operation["operationId"])
            assert operation["tags"] == [openapi_schemas.tag_of(path)]
            assert set(operation["tags"]) <= tags
            for content in operation.get("requestBody", {}).get("content", {}).values():
                assert isinstance(content["example"], dict), path
    assert len(names) == len(set(names))
    assert all(re.fullmatch("[a-z]+(_[a-z]+)+", name) for name in names), names
