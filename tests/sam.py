"""The SAM CLI, and what it makes of template.yaml.

It pins boto3 and pydantic for itself and so has a venv of its own: it is run from there, never imported.
"""

import json
import os
import platform
import subprocess
import urllib.request
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
THIS_PROCESSOR = "arm64" if platform.machine() in {"aarch64", "arm64"} else "x86_64"

TRANSLATE = """
import json, sys
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

class NoManagedPolicies:
    def load(self):
        return {}

template = yaml_parse(sys.stdin.read())
for resource in template["Resources"].values():
    for code in {"CodeUri", "ContentUri", "DefinitionUri"} & resource.get("Properties", {}).keys():
        resource["Properties"][code] = f"s3://bucket/{resource['Properties'][code]}"  # as if `sam deploy` uploaded it
json.dump(transform(template, json.loads(sys.argv[1]), NoManagedPolicies()), sys.stdout)
"""


@pytest.fixture(scope="session")
def run_in_sam_venv() -> Callable[..., str]:
    """Runs a program of .venv-sam with its arguments and gives back its standard output."""

    def run(program: str, *arguments: str | Path, stdin: str = "", cwd: Path = ROOT, path: str = "") -> str:
        executable = ROOT / ".venv-sam" / "bin" / program
        if not executable.exists():
            pytest.fail(f"There is no {executable}: `make test` installs it.")
        environment = os.environ | {"SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "us-east-1"}
        environment["PATH"] = os.pathsep.join(filter(None, [path, os.environ["PATH"]]))
        done = subprocess.run(
            [executable, *arguments],
            input=stdin,
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def reset_stores(aws: Mapping[str, str]) -> None:
    """Empties moto's stores: they are the process's, and so another test file's before, and the next one's after."""
    urllib.request.urlopen(f"{aws['AWS_ENDPOINT_URL']}/moto-api/reset", data=b"").close()


def translate(run_in_sam_venv: Callable[..., str], template: str, parameters: Mapping[str, Any] = {}) -> dict[str, Any]:
    """A SAM template's text as the template that CloudFormation gets, if these parameters are given."""
    given = json.dumps(dict(parameters))
    cloudformation: dict[str, Any] = json.loads(run_in_sam_venv("python", "-c", TRANSLATE, given, stdin=template))
    return cloudformation


@pytest.fixture(scope="session")
def translated(run_in_sam_venv: Callable[..., str]) -> dict[str, Any]:
    """template.yaml as CloudFormation gets it: every SAM resource expanded, and its intrinsics still in it."""
    return translate(run_in_sam_venv, (ROOT / "template.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def routes(translated: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Route key ("POST /api/...") -> its OpenAPI operation, of the document that API Gateway imports; no $default."""
    paths = translated["Resources"]["Api"]["Properties"]["Body"]["paths"]
    return {
        f"{method.upper()} {path}": operation
        for path, operations in paths.items()
        if path != "/$default"
        for method, operation in operations.items()
    }


@pytest.fixture(scope="session")
def lambdas_python() -> Path:
    found = subprocess.run(
        ["sh", "requirements/python.sh", "3.13"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if found.returncode != 0:
        pytest.skip("`sam build` needs the Python of the Lambda runtime, 3.13, which is not on this machine.")
    return Path(found.stdout.strip())


@pytest.fixture(scope="session")
def build(lambdas_python: Path) -> Path:
    """The folder that `make build` made for this machine's processor, one folder in it for each function and layer."""
    done = subprocess.run(
        ["make", "build", f"ARCHITECTURE={THIS_PROCESSOR}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / ".aws-sam" / "build"


@pytest.fixture(scope="session")
def build_for(
    build: Path, run_in_sam_venv: Callable[..., str], lambdas_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Such a folder for a processor: the other one's is made once, by the template's parameter, as by hand."""

    @cache
    def make(processor: str) -> Path:
        if processor == THIS_PROCESSOR:
            return build
        folder = tmp_path_factory.mktemp("sam-build")
        run_in_sam_venv(
            "sam",
            "build",
            "--template-file",
            ROOT / "template.yaml",
            "--build-dir",
            folder / "build",
            "--parameter-overrides",
            f"Architecture={processor}",
            cwd=folder,
            path=str(lambdas_python.parent),
        )
        return folder / "build"

    return make
