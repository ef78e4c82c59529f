"""What is told of a file once it is done: in the job's record, and in a line of metrics."""

import json

import pytest

from loyalty_ml.files.source import job_id_of
from tests.files.deployed import Files
from tests.files.writings import as_csv

pytestmark = pytest.mark.moto


def test_columns_with_very_long_names_fit_into_the_jobs_record(files: Files) -> None:
    header = ["customer_id", "a" * 450_000, "b" * 450_000]
    ran = files.score(files.key("csv"), as_csv([[each, "", ""] for each in ("c-1", "c-2")], header))
    files.results(ran)
    assert ran.summary is not None
    assert ran.summary["ignored_columns"] == ["a" * 100, "b" * 100]


def test_a_file_writes_a_line_of_what_it_came_to_once(
    files: Files,
    capsys: pytest.CaptureFixture[str],
) -> None:
    contents = [as_csv([["c-1"], [""]], ["customer_id"]), as_csv([["c-1"]], ["customer"])]
    sources = [files.put(files.key("csv"), content) for content in contents]
    for source in sources:
        files.run(source)
        files.run(source)  # as where its message comes twice
    written = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert [(line["type"], line["job_id"]) for line in written] == [("churn", job_id_of(source)) for source in sources]
    assert [written[0][name] for name in ("Rows", "Predictions", "FailedPredictions")] == [[2], [1], [1]]
    assert written[1]["INVALID_FILE"] == [1]
