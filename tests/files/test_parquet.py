"""What Parquet alone has: types, row groups, a footer, and results that are merged of parts."""

import io
import json
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loyalty_ml.errors import StoreUnavailable
from loyalty_ml.files.parquet_parts import PartsMissing
from loyalty_ml.files.sizes import Sizes
from loyalty_ml.files.source import job_id_of
from tests.examples import examples
from tests.files.deployed import TYPES, Answered, Files, assert_all_answered
from tests.files.disturbed import Blocks, Jobs, rows_with_features, score
from tests.files.generated import INFINITY, NAN, NUMBERS, UNNAMED, Line, assert_all_told, ids
from tests.files.writings import as_parquet, as_table, table_of
from tests.service import GOOD, SNAPSHOT_FEATURES
from training.registry import publish

pytestmark = pytest.mark.moto


@given(
    st.lists(
        st.tuples(
            ids | st.sampled_from([None, "", "x" * 257, "nul\0"]),
            st.lists(
                NUMBERS | st.sampled_from([None, NAN, INFINITY, 1e39]),
                min_size=len(SNAPSHOT_FEATURES),
                max_size=len(SNAPSHOT_FEATURES),
            ),
        ),
        max_size=40,
    ),
    st.integers(1, 20),
    st.booleans(),
    st.sampled_from(list(TYPES)),
)
@settings(max_examples=examples(30))
def test_any_parquet_adds_up_and_its_good_rows_are_answered_as_over_http(
    files: Files,
    rows: list[tuple[str | None, list[float | None]]],
    row_group_size: int,
    as_dictionary: bool,  # noqa: FBT001 (hypothesis gives it by its place)
    kind: str,
) -> None:
    written = {
        name: pa.array([row[1][place] for row in rows], pa.float64()) for place, name in enumerate(SNAPSHOT_FEATURES)
    }
    customer_ids = pa.array([row[0] for row in rows], pa.string())
    if as_dictionary:
        customer_ids = customer_ids.dictionary_encode()
    content = as_parquet(pa.table({**written, "customer_id": customer_ids}), row_group_size=row_group_size)
    assert_all_told(
        files,
        files.key("parquet", kind),
        content,
        [
            (number, Line(b"", (given[0], given[1]) if given[0] and len(given[0]) <= 256 else UNNAMED))
            for number, given in enumerate(rows, 1)
        ],
    )


PARQUET_IDS: dict[str, tuple[pa.Array, list[str]]] = {
    "int64": (pa.array([-5, 2**62], pa.int64()), ["-5", str(2**62)]),
    "uint64": (pa.array([0, 2**64 - 1], pa.uint64()), ["0", str(2**64 - 1)]),
    "whole decimals": (pa.array([Decimal(10**20), Decimal(7)], pa.decimal128(38, 0)), [str(10**20), "7"]),
    "large strings": (pa.array(["a", "ü"], pa.large_string()), ["a", "ü"]),
    "a dictionary": (pa.array(["a", "a"]).dictionary_encode(), ["a", "a"]),
}


@pytest.mark.parametrize("kind", PARQUET_IDS)
def test_ids_of_parquet_are_texts_or_whole_numbers(files: Files, kind: str) -> None:
    written, ids = PARQUET_IDS[kind]
    predictions, errors = files.results(files.score(files.key("parquet"), as_parquet(table_of(written))))
    assert ([row["customer_id"] for row in predictions], errors) == (ids, [])


PARQUET_NUMBERS: dict[str, tuple[pa.Array, list[float | None]]] = {
    "int8": (pa.array([51, None], pa.int8()), [51.0, None]),
    "uint64": (pa.array([2**63, 2**64 - 1], pa.uint64()), [2.0**63, 2.0**64]),
    "float32": (pa.array([0.1, None], pa.float32()), [float(np.float32(0.1)), None]),
    "float16": (pa.array(np.array([0.5, 2], np.float16)), [0.5, 2.0]),
    "decimals": (pa.array([Decimal("2415.56"), None], pa.decimal128(38, 10)), [2415.56, None]),
    "texts": (pa.array([" 2415.56", ""]), [2415.56, None]),
    "texts that are none": (pa.array(["1e3", "abc"]), [1000.0, NAN]),
    "a dictionary": (pa.array(["12", None]).dictionary_encode(), [12.0, None]),
    "nothing": (pa.nulls(2), [None, None]),
    "not finite": (pa.array([NAN, -INFINITY]), [NAN, -INFINITY]),
}


@pytest.mark.parametrize("kind", PARQUET_NUMBERS)
def test_numbers_of_parquet_are_of_any_type_that_can_hold_them(files: Files, kind: str) -> None:
    written, numbers = PARQUET_NUMBERS[kind]
    rest = list(GOOD.values())[1:]
    rows = [(number, Line(b"", (str(number), [value, *rest]))) for number, value in enumerate(numbers, 1)]
    assert_all_told(files, files.key("parquet", "all"), as_parquet(table_of(["1", "2"], revenue=written)), rows)


WRITINGS: dict[str, Mapping[str, Any]] = {
    "small row groups": {"row_group_size": 7},
    "no dictionary": {"use_dictionary": False, "version": "1.0"},
}


@pytest.mark.parametrize("writing", WRITINGS)
def test_one_table_has_the_same_answers_however_it_is_written(files: Files, answered: Answered, writing: str) -> None:
    content = as_parquet(as_table(files.rows()), **WRITINGS[writing])
    assert_all_answered(files, answered, "parquet", content)


def test_ids_of_any_type_may_be_none_at_all(files: Files) -> None:
    content = as_parquet(pa.table({"customer_id": pa.array([], pa.int64())}))
    ran = files.score(files.key("parquet"), content)
    assert files.results(ran) == ([], [])
    assert ran.summary is not None
    predictions = pq.read_schema(io.BytesIO(files.read(ran.summary["files"]["predictions"])))
    assert predictions.names == ["customer_id", "churn_probability", "churn_risk"]


def test_parquet_rows_are_in_order_also_where_one_row_group_has_them_all(files: Files) -> None:
    ids = [str(number) for number in range(5000)]
    content = as_parquet(table_of(ids), row_group_size=5000)
    predictions, errors = files.results(
        files.score(files.key("parquet"), content, worker=files.worker(Sizes(parquet_rows=700)))
    )
    assert ([row["customer_id"] for row in predictions], errors) == (ids, [])


def test_a_parquet_file_whose_parts_are_gone_is_scored_again_from_its_beginning(
    files: Files,
) -> None:
    """As where its dead letter is sent again when the bucket has deleted the older of them, and no checkpoint yet."""
    worker = files.worker(Sizes(parquet_rows=1))
    source = files.put(files.key("parquet"), as_parquet(table_of(["c-1", "c-2", "c-3"])))
    assert files.run(source, remaining=0, worker=worker).outcome == "unfinished"
    data = files.service.s3
    parts = data.list_objects_v2(Bucket=files.bucket, Prefix=f"jobs/{job_id_of(source)}/parts/")["Contents"]
    data.delete_object(Bucket=files.bucket, Key=parts[0]["Key"])
    with pytest.raises(PartsMissing, match="2 rows where 3 were written"):
        files.run(source, worker=worker)
    predictions, _ = files.results(files.run(source, worker=worker))
    assert [row["customer_id"] for row in predictions] == ["c-1", "c-2", "c-3"]


def test_parts_of_a_parquet_file_by_a_worker_given_up_for_dead_are_not_mixed_with_the_others(
    jobs: Jobs,
    other_models: Path,
) -> None:
    job = jobs.put("incoming/churn/customers.parquet", as_parquet(as_table(rows_with_features())))
    asked = count(1)

    def take_over() -> float:
        if next(asked) == 1:
            publish(jobs.service.s3, jobs.service.model_bucket, other_models)
            other = jobs.worker(jobs.after_the_lease())
            assert score(other, job, Blocks(4)).outcome == "unfinished"
        return 900

    with suppress(StoreUnavailable):
        assert score(jobs.worker(), job, take_over).outcome == "running"
    assert next(asked) > 5
    assert score(jobs.worker(), job).outcome == "finished"
    found = jobs.results(job)
    jobs.forget(job)
    assert found == jobs.undisturbed(job)


def miscounted(content: bytes) -> bytes:
    """A Parquet file of 500 rows, the footer of which says 501 (in zigzag: 1000, 1002)."""
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    return content[:footer] + content[footer:].replace(b"\x16\xe8\x07", b"\x16\xea\x07", 1)


def in_the_index(index: object) -> pa.Table:
    """Two rows as pandas writes them, without a column for an index that is a range."""
    return pa.table({"note": ["a", "b"]}).replace_schema_metadata({"pandas": json.dumps({"index_columns": [index]})})


WHOLE = as_parquet(table_of([str(number) for number in range(5000)]), compression="snappy")

REFUSED: dict[str, tuple[bytes, str]] = {
    "a cut Parquet": (WHOLE[:-100], "The file is not a whole Parquet file"),
    "a Parquet with a hole": (
        WHOLE[:400] + bytes(600) + WHOLE[1000:],
        "The Parquet file is damaged, in the",
    ),
    "a Parquet with fewer rows than it says": (
        miscounted(as_parquet(table_of(["a"] * 500))),
        "it does not have as many rows as it says",
    ),
    "ids of Parquet that are floats": (
        as_parquet(table_of([1.5])),
        "The column customer_id is of type DOUBLE",
    ),
    "ids of another name": (
        as_parquet(pa.table({"id": ["a"], "note": ["b"]})),
        "The file has no column customer_id: its columns are 'id', 'note'. Rename that of the ids to customer_id.",
    ),
    "ids of consecutive numbers that pandas had as the index": (
        as_parquet(in_the_index({"kind": "range", "name": "Customer_ID", "start": 1, "stop": 3, "step": 1})),
        "The file has no column customer_id: its columns are 'note'. pandas has customer_id in its index alone: call "
        "reset_index() before to_parquet().",
    ),
    "an index of pandas that has no name": (
        as_parquet(in_the_index({"kind": "range", "name": None, "start": 0, "stop": 2, "step": 1})),
        "The file has no column customer_id: its columns are 'note'. Rename that of the ids to customer_id.",
    ),
    "a description of pandas that is none": (
        as_parquet(in_the_index(7)),
        "The file has no column customer_id: its columns are 'note'. Rename that of the ids to customer_id.",
    ),
    "nested ids": (as_parquet(table_of([["a"]])), "The column customer_id is of type VARCHAR[]"),
    "nested features": (
        as_parquet(table_of(["a"], revenue=[{"eur": 1}])),
        "The column revenue is of type STRUCT",
    ),
    "features that are days": (
        as_parquet(table_of(["a"], revenue=pa.array([1], pa.date32()))),
        "The column revenue is of type DATE: write it as numbers.",
    ),
    "names that differ by case": (
        as_parquet(table_of(["a"], Revenue=[1.0])),
        "The file has 2 columns named 'revenue', in upper or lower case",
    ),
    "the name of the row number": (
        as_parquet(table_of(["a"], file_row_number=[1])),
        "The file has a column file_row_number",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_parquet_file_that_cannot_be_scored_says_why(files: Files, name: str) -> None:
    content, sentence = REFUSED[name]
    assert sentence in files.refused("parquet", content)
