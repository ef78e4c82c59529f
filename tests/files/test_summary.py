"""What is told of a file once it is done: in the job's record, and in a line of metrics."""

import json
from collections import Counter
from dataclasses import replace

import pyarrow as pa
import pytest

from loyalty_ml.files.pipeline import Counts
from loyalty_ml.files.sizes import Sizes
from loyalty_ml.files.source import job_id_of
from tests.files.deployed import Files
from tests.files.writings import as_csv, as_json, as_parquet, packed

pytestmark = pytest.mark.moto


def test_columns_with_very_long_names_fit_into_the_jobs_record(files: Files) -> None:
    header = ["customer_id", "a" * 450_000, "b" * 450_000]
    ran = files.score(files.key("csv"), as_csv([[each, "", ""] for each in ("c-1", "c-2")], header))
    files.results(ran)
    assert ran.summary is not None
    assert ran.summary["ignored_columns"] == ["a" * 100, "b" * 100]


LINES = {
    "csv": (
        b'\n \ncustomer_id,note\r\nc-1,x\r\n\nc-2,"two\nlines, and\r\n\r\nblank"\n\t\nc-3,a,b\n"c-4\xff\n",x\nc-5,x',
        {"header": 3, "blank": 2, "rows": 6, "bad": 3},
    ),
    "jsonl": (
        b'\n{"customer_id": "c-1"}\n \t\n[]\r\n\r{"customer_id": "c-2"}\n{"customer_id": 1.5}\n"c-3',
        {"header": 0, "blank": 3, "rows": 2, "bad": 3},
    ),
    "parquet": (
        as_parquet(pa.table({"customer_id": ["c-1", "", "c-2"]})),
        {"header": 0, "blank": 0, "rows": 3, "bad": 0},
    ),
}


@pytest.mark.parametrize("block_bytes", [2**20, 64])
@pytest.mark.parametrize("extension", [*LINES, "csv.gz", "csv.zst", "jsonl.gz"])
def test_each_line_of_a_file_is_counted_once(files: Files, extension: str, block_bytes: int) -> None:
    name = extension.partition(".")[0]
    content, kinds = LINES[name]
    # A header must fit into a block; the lines that follow may be cut anywhere.
    filled = content + b"\n" * 200 if name == "csv" else content
    kinds = {**kinds, "blank": kinds["blank"] + len(filled) - len(content) - (name == "csv")}
    stored = packed(extension, filled)
    ran = files.score(files.key(extension), stored, worker=files.worker(Sizes(block_bytes=block_bytes, parquet_rows=2)))
    files.results(ran)
    assert ran.summary is not None
    assert ran.summary["lines_by_kind"] == kinds
    assert ran.summary["lines"] == sum(kinds.values())


@pytest.mark.parametrize("extension", ["csv", "jsonl", "parquet"])
def test_lines_are_counted_on_from_a_checkpoint(files: Files, extension: str) -> None:
    rows = [["c-1"], [""], ["nobody"]] * 50
    written = {"csv": as_csv(rows, ["customer_id"]), "jsonl": as_json(rows, ["customer_id"])}
    content = written.get(extension) or as_parquet(pa.table({"customer_id": [row[0] for row in rows]}))
    source, worker = files.put(files.key(extension), content), files.worker(Sizes(block_bytes=256, parquet_rows=40))
    attempts = 0
    while (ran := files.run(source, remaining=0, worker=worker)).outcome == "unfinished":
        attempts += 1
    assert attempts > 2
    files.results(ran)
    assert ran.summary is not None
    assert (ran.summary["lines"], ran.summary["rows"]) == (150 + (extension == "csv"), 150)


def test_counts_add_up_if_no_row_and_no_line_is_lost_or_doubled() -> None:
    counts = Counts(3, 2, Counter(INVALID_LINE=1), Counter(header=1, blank=1, rows=4, bad=1))
    assert counts.add_up(7)
    assert not counts.add_up(8)
    assert not replace(counts, lines=counts.lines + Counter(bad=1)).add_up(7)
    assert not replace(counts, predictions=1).add_up(7)


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
    assert [written[0][name] for name in ("Rows", "Predictions", "FailedPredictions")] == [2, 1, 1]
    assert written[1]["INVALID_FILE"] == 1
