"""What the documents say is so: the API's description, the README's routes, variables, commands and answers."""

import json
import re
from importlib import import_module
from pathlib import Path

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from local import openapi, template
from loyalty_ml.api.http import BASE_PATH
from loyalty_ml.wiring.settings import BatchSettings, FilesSettings, SegmentWorkerSettings

pytestmark = pytest.mark.moto

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text()
DESCRIBED = template.load()


def paths_of_the_template() -> set[tuple[str, str]]:
    """Method and path below the base path; the twins that catch a trailing slash are not routes of their own."""
    return {
        (route.method, route.path.removeprefix(BASE_PATH))
        for route in template.routes(DESCRIBED)
        if not route.path.endswith("/{proxy+}")
    }


def test_openapi_json_is_what_the_code_says() -> None:
    assert openapi.PATH.read_text() == openapi.text(), "run 'make openapi' and commit openapi.json"


def test_openapi_json_is_valid_openapi_3_1() -> None:
    OpenAPIV31SpecValidator(json.loads(openapi.PATH.read_text())).validate()


def test_the_description_the_template_and_the_functions_have_the_same_routes() -> None:
    described = {
        (method.upper(), path) for path, operations in openapi.document()["paths"].items() for method in operations
    }
    assert described == paths_of_the_template()


def test_every_answer_and_error_is_described() -> None:
    for operations in openapi.document()["paths"].values():
        for operation in operations.values():
            assert {"200", "201", "204"} & operation["responses"].keys()
            assert "500" in operation["responses"]
            assert operation["summary"]
    codes = {
        code
        for operation in openapi.document()["paths"]["/config/ml/test"].values()
        for response in operation["responses"].values()
        for code in re.findall(r"`([A-Z_]+)`", response["description"])
    }
    assert codes == {
        "INVALID_JSON", "INVALID_REQUEST", "BATCH_TOO_LARGE", "UNKNOWN_TYPE", "PAYLOAD_TOO_LARGE", "CUSTOMER_NOT_FOUND",
        "MISSING_FEATURES", "INVALID_FEATURES", "MODEL_UNAVAILABLE", "FEATURE_STORE_UNAVAILABLE", "INTERNAL",
    }  # fmt: skip


@pytest.mark.parametrize("route", sorted(paths_of_the_template()), ids=" ".join)
def test_the_readme_has_every_route(route: tuple[str, str]) -> None:
    method, path = route
    assert re.search(rf"{method} `{re.escape(path)}`", README), f"README.md does not describe {method} {path}"


def test_the_readme_has_every_environment_variable() -> None:
    models = (BatchSettings, SegmentWorkerSettings, FilesSettings)
    read = {field.alias for settings in models for field in settings.model_fields.values()}
    set_by_template = set(template.environment(DESCRIBED, dict.fromkeys(DESCRIBED["Resources"], "x")))
    for name in read | set_by_template:
        assert f"`{name}`" in README, f"README.md does not describe {name}"


def test_the_readme_has_every_parameter_of_the_template() -> None:
    for name in DESCRIBED["Parameters"]:
        assert f"`{name}`" in README, f"README.md does not describe the parameter {name}"


def test_the_readmes_commands_are_the_makefiles() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", README, re.MULTILINE))
    assert named <= targets, "README.md names a command that does not exist"
    assert {"run", "test", "check", "bench"} <= named


COMMANDS = sorted(
    path.stem for path in (REPOSITORY / "training").glob("*.py") if '__name__ == "__main__"' in path.read_text()
)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_readme_has_every_command_of_training_and_each_has_help(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"python -m training.{command}" in README
    with pytest.raises(SystemExit) as ended:
        import_module(f"training.{command}").main(["--help"])
    assert ended.value.code == 0
    assert f"usage: python -m training.{command}" in capsys.readouterr().out


def test_the_readmes_map_is_the_tree() -> None:
    listed = re.findall(r"^(\S+) ", README.split("## The map")[1].split("```")[1], re.MULTILINE)
    for path in listed:
        assert (REPOSITORY / path).exists(), f"README.md lists {path}"
    folders = {path.name for path in REPOSITORY.iterdir() if path.is_dir() and not path.name.startswith((".", "_"))}
    ignored = {"build", "models"}
    assert folders - ignored <= {path.split("/")[0] for path in listed}, "README.md does not list a folder"
