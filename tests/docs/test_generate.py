"""The reference pages: written from the code, refused when they drift or when the code does not say enough."""

import json
import re
from pathlib import Path

import pytest

from docs.generate import __main__ as generate
from docs.generate import api, commands, configuration, errors, markdown, metrics
from docs.generate.problem import Undocumented
from loyalty_ml import telemetry
from loyalty_ml.errors import FeatureStoreUnavailable, LoyaltyError
from tests.docs.pages import differences, is_text, parse

pytestmark = pytest.mark.moto


def test_every_generated_page_is_what_the_code_says() -> None:
    for path, text in generate.pages().items():
        assert path.read_text() == text, f"{path.name} has drifted: run 'make docs' and commit it"


def test_a_page_that_drifted_is_one_sentence_that_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = {tmp_path / "errors.md": "new", tmp_path / "metrics.md": "same"}
    (tmp_path / "errors.md").write_text("old")
    (tmp_path / "metrics.md").write_text("same")
    (tmp_path / "left.md").write_text("of a route that is gone")
    assert generate.check(written, tmp_path) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "errors.md" in said
    assert "left.md" in said
    assert "metrics.md" not in said
    assert "make docs" in said


def test_what_is_written_passes_the_check_and_what_is_left_is_removed(tmp_path: Path) -> None:
    written = {tmp_path / "api" / "get-health.md": "text"}
    (tmp_path / "left.md").write_text("of a route that is gone")
    generate.write(written, tmp_path)
    assert generate.check(written, tmp_path) == 0
    assert not (tmp_path / "left.md").exists()


def test_an_error_that_does_not_say_what_to_do_is_refused() -> None:
    class Vague(LoyaltyError):
        """Something is wrong."""

        code = "VAGUE"

    with pytest.raises(Undocumented, match="Vague needs a docstring of two sentences"):
        errors.explanation(Vague)


def test_an_errors_docstring_is_when_and_remedy() -> None:
    when, remedy = errors.explanation(FeatureStoreUnavailable)
    assert when.startswith("DynamoDB throttles")
    assert remedy.startswith("Try again")


def test_every_variable_of_the_settings_is_described() -> None:
    page = configuration.page()
    for model in configuration.SETTINGS.values():
        for field in model.model_fields.values():
            assert f"| `{field.alias}` |" in page


def test_every_subcommand_has_a_heading() -> None:
    page = commands.page()
    for make in commands.PARSERS:
        for parser in commands.walk(make()):
            assert f"\n## {parser.prog}\n" in page


def test_every_metric_that_is_written_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.count_answer(
        {"model": {"version": "v"}, "mode": "segment", "successful": 1, "failed": 1, "type": "nbo", "mock": True}
    )
    telemetry.write_request("GET /", 200, 1.0, "id", "of the gateway")
    telemetry.write_task("plan", "done", 1.0, "id")
    telemetry.write_drift("*", "churn", 0.1, {"revenue": 0.1})
    telemetry.write_file("churn", {"status": "succeeded", "rows": 2, "predictions": 1, "errors": 1, "job_id": "j"})
    written: dict[str, tuple[str, set[str]]] = {}
    for line in capsys.readouterr().out.splitlines():
        (directive,) = json.loads(line)["_aws"]["CloudWatchMetrics"]
        for metric in directive["Metrics"]:
            dimensions = {name for group in directive["Dimensions"] for name in group} - {"service"}
            written.setdefault(metric["Name"], (metric["Unit"], dimensions))
    assert written == {name: (metric.unit, set(metric.dimensions)) for name, metric in telemetry.METRICS.items()}
    page = metrics.page()
    assert all(f"| `{name}` |" in page for name in written)


def test_a_body_of_several_forms_has_the_fields_of_each() -> None:
    pages = api.pages()
    assert not [name for name, page in pages.items() if re.search(r"^\| ---.*\n\n", page, re.MULTILINE)], "no rows"
    page = pages["post-ml-jobs.md"]
    assert "This is [JobRequestByFormat](#jobrequestbyformat), [JobRequestByPrefix](#jobrequestbyprefix) or " in page
    for form, field in (("Format", "format"), ("Prefix", "prefix"), ("SegmentId", "segment_id")):
        described = page.partition(f"### JobRequestBy{form}\n")[2].partition("###")[0]
        assert re.search(rf"^\| `{field}` \|.*\| yes \|", described, re.MULTILINE), form


def test_a_table_leaves_out_an_empty_column_and_keeps_bars_in_their_cell() -> None:
    made = markdown.table(["a", "b", "c"], [["x|y", "", "1"], ["z", "", "2"]])
    assert made.splitlines() == ["| a | c |", "| --- | --- |", "| x\\|y | 1 |", "| z | 2 |"]


@pytest.mark.parametrize(
    ("shown", "given", "problem"),
    [
        ('{"a": 1, "b": ...}', {"a": 1, "b": [2]}, ""),
        ('{"a": 1, ...}', {"a": 1, "b": 2}, ""),
        ('{"a": {...}}', {"a": {"b": 1}}, ""),
        ('{"a": [1, ...]}', {"a": [1, 2, 3]}, ""),
        ('{"a": "x, ... y"}', {"a": "x, ... y"}, ""),
        ('{"a": 0.12345678}', {"a": 0.12345999}, ""),
        ('{"a": 1}', {"a": 1, "b": 2}, "has b, which is not shown"),
        ('{"a": 1, "b": ...}', {"a": 1}, "has no b"),
        ('{"a": [1]}', {"a": [1, 2]}, "2 entries, not 1"),
        ('{"a": [1, ...]}', {"a": [2]}, "is 2, not 1"),
        ('{"a": 0.123}', {"a": 0.124}, "is 0.124, not 0.123"),
        ('{"a": true}', {"a": 1}, "is 1, not True"),
    ],
)
def test_an_answer_is_held_against_what_a_page_shows(shown: str, given: object, problem: str) -> None:
    found = differences(parse(shown), given)
    assert re.search(problem, " ".join(found)) if problem else not found


@pytest.mark.parametrize(
    ("shown", "given", "same"),
    [
        ("a,0.1097012385,low\n", "a,0.1097012999,low", True),
        ("a,0.1097012385,low\n", "a,0.1107012999,low", False),
        ("a\n...\nd", "a\nb\nc\nd", True),
        ("204", "404", False),
    ],
)
def test_a_text_is_held_against_what_a_page_shows(shown: str, given: str, same: bool) -> None:  # noqa: FBT001
    assert is_text(shown, given) is same
