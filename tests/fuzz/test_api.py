"""Every operation of the description, sent what it allows and what it does not, by schemathesis.

It holds that no request ends in a 5xx, that each answer's status, type and body are those of the description, and that
what the description refuses is refused.
"""

import json
import subprocess
from pathlib import Path

import pytest

from local import openapi
from tests.docs.test_client import address  # noqa: F401 (a fixture)
from tests.segments.test_segments import deployment  # noqa: F401 (a fixture)

pytestmark = [pytest.mark.process, pytest.mark.long]

SCHEMATHESIS = Path(__file__).parents[2] / ".venv-client" / "bin" / "schemathesis"
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection"
)


def without_security(folder: Path) -> Path:
    """The description as the functions alone hold it: tokens are the gateway's, and are tried in tests of their own."""
    document = openapi.document()
    for methods in document["paths"].values():
        for operation in methods.values():
            operation.pop("security", None)
    document.pop("security", None)
    document["components"].pop("securitySchemes", None)
    path = folder / "openapi.json"
    path.write_text(json.dumps(document))
    return path


def test_no_request_ends_otherwise_than_the_description_says(address: str, tmp_path: Path) -> None:  # noqa: F811
    if not SCHEMATHESIS.exists():
        pytest.fail("schemathesis is not installed: run 'make .venv-client/stamp'.")
    done = subprocess.run(
        [
            SCHEMATHESIS,
            "run",
            without_security(tmp_path),
            f"--url={address}",
            f"--checks={CHECKS}",
            "--phases=examples,coverage,fuzzing",
            "--max-examples=8",
            "--seed=17",
            "--generation-database=none",
            "--continue-on-failure",
            "--no-color",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-60_000:] + done.stderr[-3_000:]
