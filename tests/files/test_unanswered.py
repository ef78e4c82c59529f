"""A file without one prediction has failed, with the likely reason; no customer's id is in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_ml.files.sizes import Sizes
from loyalty_ml.files.source import FileJobRequest, job_id_of, no_data
from loyalty_ml.files.unanswered import look_of
from tests.files.deployed import Files
from tests.files.writings import FORMATS, as_csv
from tests.service import GOOD, process

pytestmark = pytest.mark.moto


def error_of(files: Files, header: list[str], rows: list[list[str]], kind: str = "churn", blocks: int = 1) -> str:
    content = as_csv(rows, header)
    worker = files.worker(Sizes(block_bytes=len(content) // blocks + 1))
    ran = files.score(files.key("csv", kind), content, worker=worker)
    assert files.results(ran)[0] == []
    assert ran.summary is not None
    error: str = ran.summary["error"]
    job = process().batch.jobs.get(ran.job_id)
    assert (job.status, job.code, job.error, job.summary) == ("failed", "NO_PREDICTIONS", error, ran.summary)
    return error


@pytest.mark.parametrize("blocks", [1, 3])
def test_ids_that_are_written_in_another_way_are_compared_with_those_of_the_base(files: Files, blocks: int) -> None:
    error = error_of(files, ["customer_id"], [[f"{number:06}"] for number in range(300)], blocks=blocks)
    assert error == (
        "None of the 300 rows has an answer. 300 are CUSTOMER_NOT_FOUND: the file's ids have 6 digits, with zeros in "
        "front, and those of the feature snapshot of 2018-01-02 have 3 to 5 characters: letters, digits, -. Write the "
        "ids as the snapshot has them."
    )


@pytest.mark.parametrize("blocks", [1, 3])
def test_values_that_are_wrong_in_each_row_are_shown_by_the_first(files: Files, blocks: int) -> None:
    rows = [[f"c-{number}", *map(str, {**GOOD, "engagement_score": 1000 + number}.values())] for number in range(100)]
    error = error_of(files, ["customer_id", *GOOD], rows, blocks=blocks)
    assert error.startswith(
        "None of the 100 rows has an answer. 100 are INVALID_FEATURES, the first in line 2: The customer has values "
        "outside their domains: engagement_score is 1,000, but must be a number, at least 0 and at most 100. Correct"
    )


@pytest.mark.parametrize(
    "text",
    ["$1,234.50", "60%", "2017-12-20", "3 days", "n/a", "1 234.5 EUR"],
    ids=["$", "%", "date", "days", "n/a", "EUR"],
)
def test_a_text_that_is_no_number_is_told_from_one_that_is_not_finite(files: Files, text: str) -> None:
    row = ["c-1", *map(str, {**GOOD, "revenue": text}.values())]
    error = error_of(files, ["customer_id", *GOOD], [row])
    assert error == (
        "The only row has no answer. It is INVALID_FEATURES, in line 2: The customer has no plain number, such as "
        "1234.5, for: revenue. Correct that, then upload the file again."
    )


def test_one_prediction_is_a_success_and_a_share_of_a_larger_list_needs_none(files: Files) -> None:
    ran = files.score(files.key("csv"), as_csv([["c-1"], ["nobody"]], ["customer_id"]))
    assert len(files.results(ran)[0]) == 1
    source = files.put(files.key("csv"), as_csv([["nobody"]], ["customer_id"]))
    job = FileJobRequest(source, "churn", job_id_of(source, "d"), "d", is_share=True)
    ran = process().files.files.score(job, remaining=lambda: 900.0, on_beat=lambda _: None, is_last=False)
    assert ran.summary is not None
    assert (ran.summary["status"], ran.summary["rows"], ran.summary["errors"]) == ("succeeded", 1, 1)


@pytest.mark.parametrize(
    ("ids", "look"),
    [
        (["1", "2469"], "1 to 4 digits"),
        (["000001", "002469", "123456"], "6 digits, with zeros in front"),
        (
            ["1.0", "17.0"],
            "3 to 4 characters: whole numbers with .0 behind, as pandas writes them if a cell is empty",
        ),
        (["1,0", "17,00"], "3 to 5 characters: whole numbers with .0 behind, as pandas writes them if a cell is empty"),
        (["1.23E+03", "2e9"], "3 to 8 characters: numbers that a spreadsheet has shortened, such as 1.5E+03"),
        (["1.0", "17.5"], "3 to 4 characters: digits, ."),
        (["1.0", "c-1"], "3 characters: letters, digits, ., -"),
        ([" 1", "12 "], "2 to 3 characters: digits, blanks"),
        (["CUST-1", "kündin_2"], "6 to 8 characters: letters, digits, -, _"),
        (["a!b#c$d%e&"], "10 characters: letters, !, #, $, %, &"),
        ([], ""),
    ],
)
def test_the_look_of_ids(ids: list[str], look: str) -> None:
    assert look_of(ids) == look


@given(st.lists(st.text(min_size=8, max_size=12, alphabet="abcdefgh123456"), min_size=1))
def test_the_look_of_ids_shows_none(ids: list[str]) -> None:
    assert not any(each in look_of(ids) for each in ids)


@pytest.mark.parametrize(
    "key",
    [
        "_SUCCESS", "_metadata", "_common_metadata", ".part-0.csv.crc", "part-0.csv.crc", "manifest", "unload_manifest",
        "000manifest", "2026/_temporary/0/task_1/part-0000.csv", "_spark_metadata/0", ".hidden/a.csv", "a/", "",
        ".DS_Store", "2026_$folder$", "a/_delta_log/0.json", "a/.staging/b/c.parquet",
    ],
)  # fmt: skip
def test_what_is_known_to_be_no_data(key: str) -> None:
    reason = no_data(f"datasets/{key}")
    assert reason is not None
    assert reason.endswith(".")


@given(
    folders=st.lists(st.sampled_from(["2026-11", "ds=2026-11-01", "..", "a_b", "x.y", "ä"]), max_size=3),
    name=st.sampled_from(["part-0000", "000", "0000_part_00", "notes.txt", "customers", "a_.csv", "my_manifest.csv"]),
    extension=st.sampled_from(["", *(f".{name.partition('.')[0]}" for name in FORMATS)]),
)
def test_what_is_not_known_to_be_no_data_is_to_be_scored(folders: list[str], name: str, extension: str) -> None:
    assert no_data("/".join(["datasets", *folders, name + extension])) is None
