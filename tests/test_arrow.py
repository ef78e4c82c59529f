"""Columns pass between DuckDB and NumPy as they are, wherever in Arrow's buffers they begin."""

import subprocess
import sys

import duckdb
import nanoarrow
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loyalty_ml import arrow
from loyalty_ml.arrow import texts_of
from tests.examples import examples

pytestmark = pytest.mark.unit

# Surrogates are no characters: orjson refuses them, and DuckDB gives none.
some_texts = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), max_size=40)


@given(some_texts)
def test_texts_are_read_back(values: list[str]) -> None:
    texts = texts_of(values)
    assert texts.to_list() == values
    assert texts.sizes.tolist() == [len(value.encode()) for value in values]


@given(some_texts, st.randoms(use_true_random=False))
def test_some_of_the_texts_are_themselves_texts(values: list[str], draw: object) -> None:
    wanted = np.array([hash((value, place)) % 2 for place, value in enumerate(values)], np.bool_)
    kept = texts_of(values).where(wanted)
    assert kept.to_list() == [value for value, is_wanted in zip(values, wanted, strict=True) if is_wanted]
    places = np.flatnonzero(wanted).tolist()
    assert texts_of(values).to_list(places) == kept.to_list()


@given(some_texts)
@settings(max_examples=examples(50))
def test_a_table_goes_through_duckdb_and_comes_back(values: list[str]) -> None:
    numbers = np.arange(len(values), dtype=np.float64) / 7
    flags = np.arange(len(values)).astype(np.int8)
    given_to_it = arrow.table(["id", "number", "flag"], [texts_of(values), numbers, flags])
    with duckdb.connect() as connection:
        relation = connection.from_arrow(given_to_it).select("id, number, flag::BIGINT")
        batches = [batch.view() for batch in arrow.batches(relation)]
        found = [text for view in batches for text in arrow.texts(view.child(0)).to_list()]
        assert found == values
        assert [number for view in batches for number in arrow.doubles(view.child(1))[0].tolist()] == numbers.tolist()
        assert [flag for view in batches for flag in arrow.integers(view.child(2)).tolist()] == flags.tolist()


@pytest.mark.parametrize("first", [0, 1, 7, 8, 9])
def test_a_column_may_begin_in_the_middle_of_a_byte_of_its_flags(first: int) -> None:
    numbers = [None if place % 3 == 0 else place / 4 for place in range(20)]
    values, absent = arrow.doubles(nanoarrow.c_array(pa.array(numbers, pa.float64()).slice(first, 10)).view())
    assert absent is not None
    assert absent.tolist() == [number is None for number in numbers[first : first + 10]]
    assert [None if np.isnan(value) else value for value in values] == numbers[first : first + 10]


def test_a_column_without_null_has_no_flags() -> None:
    values, absent = arrow.doubles(nanoarrow.c_array(pa.array([1.5, float("nan")])).view())
    assert absent is None
    assert values[0] == 1.5
    assert np.isnan(values[1])


@pytest.mark.parametrize("first", [0, 1, 3])
def test_texts_of_a_slice_are_those_of_the_slice(first: int) -> None:
    written = pa.array(["a", None, "", "ü\0b", "c"])
    found = arrow.texts(nanoarrow.c_array(written.slice(first)).view())
    assert found.to_list() == ["a", "", "", "ü\0b", "c"][first:]
    assert found.offsets[0] == 0


def test_batches_are_read_without_pyarrow_which_is_in_no_layer() -> None:
    read = """
import sys
sys.modules["pyarrow"] = None
import duckdb
from loyalty_ml import arrow
print([len(batch) for batch in arrow.batches(duckdb.sql("from range(5)"))])
"""
    # A process of its own: DuckDB keeps the modules that it has found.
    done = subprocess.run([sys.executable, "-c", read], capture_output=True, text=True, check=False)
    assert done.stdout == "[5]\n", done.stderr


@pytest.mark.parametrize("row", [0, 4_000_000])
def test_a_value_that_is_no_number_is_told_wherever_it_is(row: int) -> None:
    text = f"CASE WHEN i = {row} THEN 'x' ELSE '1' END"
    with duckdb.connect() as connection:
        relation = connection.sql(f"SELECT CAST({text} AS DOUBLE) FROM range(4000001) numbers(i)")
        with pytest.raises(duckdb.ConversionException, match="Could not convert string 'x' to DOUBLE"):
            list(arrow.batches(relation))


def test_too_little_memory_is_told() -> None:
    text = "repeat('x', CASE WHEN i < 2000000 THEN 1 ELSE 200000000 END)"
    with duckdb.connect(config={"memory_limit": "60MB", "max_temp_directory_size": "0KB"}) as connection:
        relation = connection.sql(f"SELECT {text} FROM range(2000001) numbers(i)")
        with pytest.raises(duckdb.OutOfMemoryException):
            list(arrow.batches(relation))


def test_another_failure_of_duckdb_is_told_too() -> None:
    with duckdb.connect() as connection:
        relation = connection.sql("SELECT CASE WHEN i = 4000000 THEN error('no') END FROM range(4000001) numbers(i)")
        with pytest.raises(duckdb.Error, match="no"):
            list(arrow.batches(relation))
