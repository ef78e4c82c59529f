"""The pages hold together: links lead somewhere, every page is listed, what is named exists."""

import re
import shlex
from pathlib import Path

import botocore.session
import pytest
import yaml
from botocore import xform_name

from deployment import __main__ as deployment
from docs.generate import commands
from local import template
from tests.docs.pages import DOCS, PAGES, REPOSITORY, blocks
from training.cli.main import build_parser

pytestmark = pytest.mark.unit

LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")
OUTSIDE = re.compile(r"https?://|mailto:")
INDEXES = (REPOSITORY / "README.md", DOCS / "README.md")


def name_of(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def text_of(page: Path) -> str:
    """The page without its code blocks."""
    return re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def links(page: Path) -> list[tuple[Path, str]]:
    """The file and the anchor of each link to a page or file of the repository."""
    found = []
    for target in LINK.findall(text_of(page)):
        if not OUTSIDE.match(target):
            path, _, anchor = target.partition("#")
            found.append(((page.parent / path).resolve() if path else page, anchor))
    return found


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for path, anchor in links(page):
        assert path.exists(), f"{name_of(page)} links to {path}"
        assert not anchor or anchor in anchors(path), f"{name_of(page)} links to #{anchor}, which {path.name} lacks"


def test_every_page_is_reached_from_an_index() -> None:
    """Each page of docs is linked from an index; those of a folder of their own from its README, which is linked."""
    listed = {path for index in INDEXES for path, _ in links(index)}
    for folder in {path for path in listed if path.name == "README.md"}:
        listed |= {path for path, _ in links(folder)}
    assert set(PAGES) - set(INDEXES) - {path.resolve() for path in listed} == set()


def test_the_readme_fits_one_screen() -> None:
    assert 45 <= len((REPOSITORY / "README.md").read_text().splitlines()) <= 60


def test_every_make_target_that_a_page_names_exists() -> None:
    for page in PAGES:
        in_blocks = [line for kind, text in blocks(page) if kind in ("bash", "sh") for line in text.splitlines()]
        named = re.findall(r"^ *make ([a-z-]+)", "\n".join(in_blocks), re.MULTILINE)
        named += re.findall(r"`make ([a-z-]+)", text_of(page))
        assert set(named) <= commands.targets().keys(), name_of(page)


def command_lines(begin: str) -> list[tuple[str, str]]:
    """Each line of a block that begins so, without the variables before it, and its page."""
    return [
        (name_of(page), found[1])
        for page in PAGES
        for kind, text in blocks(page)
        if kind in ("bash", "sh")
        for line in text.replace("\\\n", " ").splitlines()
        if (found := re.match(rf" *(?:[A-Z_]+=\S* )*({begin} .*)", line))
    ]


@pytest.mark.parametrize(("page", "line"), command_lines(r"(?:\.venv/bin/)?loyalty"))
def test_every_command_line_of_a_page_is_one_that_the_command_takes(page: str, line: str) -> None:
    arguments = shlex.split(line)[1:]
    chosen = build_parser().parse_args(arguments)  # raises SystemExit for what it does not know
    assert not chosen.command.mistake(chosen), f"{page}: {line}"


@pytest.mark.parametrize(("page", "line"), command_lines(r"(?:\.venv/bin/)?python -m deployment"))
def test_every_command_line_for_a_stack_is_one_that_the_command_takes(page: str, line: str) -> None:
    assert deployment.build_parser().parse_args(shlex.split(line)[3:]), page


@pytest.mark.parametrize(("page", "line"), command_lines("aws"))
def test_every_command_line_of_aws_names_an_operation_and_its_parameters(page: str, line: str) -> None:
    _, service, operation, *rest = shlex.split(line)
    model = botocore.session.get_session().get_service_model(service)
    operations = {xform_name(name, "-"): name for name in model.operation_names}
    shape = model.operation_model(operations[operation]).input_shape
    parameters = {f"--{xform_name(name, '-')}": name for name in shape.members} if shape else {}
    required = {name for name, member in parameters.items() if shape and member in shape.required_members}
    options = {argument for argument in rest if argument.startswith("--")}
    assert required <= options <= parameters.keys() | {"--query", "--output"}, page


def test_each_alarm_links_to_its_section_of_the_runbook_which_has_no_other() -> None:
    described = {
        name: each["Properties"]["AlarmDescription"]["Fn::Sub"]
        for name, each in template.load()["Resources"].items()
        if each["Type"] == "AWS::CloudWatch::Alarm"
    }
    linked = {name: text.rpartition("${RunbookUrl}#")[2] for name, text in described.items()}
    of_alarms = {anchor for anchor in anchors(DOCS / "runbook.md") if re.search("alarms?$", anchor)}
    assert set(linked.values()) == of_alarms
    of_functions = (DOCS / "runbook.md").read_text().split("### FunctionErrorAlarms\n\n")[1].split("\n\n")[0]
    for name, anchor in linked.items():
        assert anchor == name.lower() or name in re.findall(r"\w+", of_functions), name


def test_the_architectures_folders_are_the_tree() -> None:
    page = (DOCS / "architecture.md").read_text()
    listed = re.findall(r"^(\S+) ", page.split("## The folders")[1].split("```")[1], re.MULTILINE)
    for path in listed:
        assert (REPOSITORY / path).exists(), f"docs/architecture.md lists {path}"
    folders = {path.name for path in REPOSITORY.iterdir() if path.is_dir() and not path.name.startswith((".", "_"))}
    assert folders - {"build", "models"} <= {path.rstrip("/") for path in listed}


def test_the_architectures_packages_and_modules_exist() -> None:
    page = (DOCS / "architecture.md").read_text()
    layer = REPOSITORY / "layers" / "shared" / "loyalty_ml"
    table = page.split("## The layer's packages")[1].split("## Where")[0]
    packages = {
        name for line in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", line)
    }
    there = {path.name for path in layer.iterdir() if path.is_dir() and not path.name.startswith("_")}
    there |= {path.stem for path in layer.glob("*.py") if not path.stem.startswith("_")}
    assert packages == there
    for module in re.findall(r"`([\w/]+\.py)`", page.split("## Where to change what")[1]):
        if module != "contracts.py":
            assert (layer / module).exists() or (REPOSITORY / module).exists(), f"docs/architecture.md names {module}"


def test_the_workflows_call_make_targets_that_exist() -> None:
    targets = commands.targets()
    for path in (REPOSITORY / ".github" / "workflows").glob("*.yml"):
        workflow = yaml.safe_load(path.read_text())
        for job in workflow["jobs"].values():
            ran = [step["run"] for step in job["steps"] if "run" in step]
            assert ran
            for command in ran:
                program, target, *_ = command.split()
                assert (program, target in targets) == ("make", True), f"{path.name} runs '{command}'"
            for step in job["steps"]:
                assert "uses" not in step or re.search(r"@v\d+\.\d+\.\d+$", step["uses"]), (
                    f"{path.name}: {step['uses']}"
                )


def test_the_form_for_problems_asks_for_the_correlation_id() -> None:
    form = yaml.safe_load((REPOSITORY / ".github" / "ISSUE_TEMPLATE" / "problem.yml").read_text())
    asked = {field["attributes"].get("label"): field.get("validations", {}) for field in form["body"]}
    assert asked["X-Correlation-Id"] == {"required": True}
