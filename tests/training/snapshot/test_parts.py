"""Which rows can be stored, and how the parts are cut, sorted and read again."""

import math
from collections import Counter
from pathlib import Path

import ibis
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.examples import examples
from training.errors import Problem
from training.snapshot.parts import DUPLICATED, PartSizes, rows_of, write_parts

pytestmark = pytest.mark.unit

WAREHOUSE = ibis.duckdb.connect()
Row = tuple[str | None, float | None, float | None]

ids = st.one_of(
    st.none(),
    st.sampled_from(["", "a", "b", "x" * 257]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0")),
)
numbers = st.one_of(
    st.none(),
    st.floats(),
    st.sampled_from([-0.0, 1e126, -1e126, 1e-130, math.nextafter(1e126, 0), math.nextafter(1e-130, 0)]),
)


def reason(row: Row) -> str | None:
    """The rule for one row, as a person would say it."""
    customer_id, *values = row
    if customer_id is None:
        return "there is no id"
    if not 1 <= len(customer_id) <= 256:
        return "the id is longer than 256 characters" if customer_id else "the id is empty"
    if values == [None, None]:
        return "there is no feature at all"
    for name, value in zip(("revenue", "a \"b\" 'c'"), values, strict=True):
        if value is None:
            continue
        if math.isnan(value):
            return f"{name} is not a number (NaN)"
        if math.isinf(value):
            return f"{name} is infinite"
        if value and not 1e-130 <= abs(value) < 1e126:
            return f"{name} is outside what DynamoDB can hold"
    return None


def warehouse(rows: list[Row]) -> ibis.Table:
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    kinds = (pa.string(), pa.float64(), pa.float64())
    arrays = [pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)]
    table = pa.table(arrays, ["customer_id", "revenue", "a \"b\" 'c'"])
    return WAREHOUSE.create_table("customers", table, overwrite=True)


@given(rows=st.lists(st.tuples(ids, numbers, numbers), max_size=12))
@example(rows=[("a", -0.0, -0.0625)])
@settings(max_examples=examples(40))
def test_each_row_is_stored_or_rejected_for_its_reason(
    rows: list[Row], tmp_path_factory: pytest.TempPathFactory
) -> None:
    times = Counter(row[0] for row in rows)
    reasons = [reason(row) or (DUPLICATED if times[row[0]] > 1 else None) for row in rows]
    stored = sorted(
        (row for row, why in zip(rows, reasons, strict=True) if why is None), key=lambda row: bytes_of(row[0])
    )
    work = tmp_path_factory.mktemp("parts")
    try:
        written = write_parts(warehouse(rows), work / "parts", work / "rejects.csv", 1.0)
    except Problem:
        assert not stored
        return
    assert written.reasons == Counter(filter(None, reasons))
    assert (written.customers, written.rejected) == (len(stored), len(rows) - len(stored))
    found = [
        tuple(row.values()) for batch in rows_of([work / "parts/part-00000.parquet"], 5) for row in batch.to_pylist()
    ]
    assert found == stored
    zeros = [value for _, *values in found for value in values if value == 0.0]
    assert [math.copysign(1.0, zero) for zero in zeros] == [1.0] * len(zeros), "DynamoDB has no -0.0"


def bytes_of(customer_id: str | None) -> bytes:
    assert customer_id is not None
    return customer_id.encode()


def test_parts_are_cut_by_size_and_sorted_over_all(tmp_path: Path) -> None:
    small = PartSizes(row_group=2048, part_bytes=100_000)
    numbers = WAREHOUSE.sql("SELECT 'c-' || hash(i) AS customer_id, sqrt(i) AS revenue FROM range(20000) AS t(i)")
    written = write_parts(numbers, tmp_path / "parts", tmp_path / "rejects.csv", 0.0, sizes=small)
    again = write_parts(numbers, tmp_path / "again", tmp_path / "rejects.csv", 0.0, sizes=small)
    assert written == again, "the same customers give the same bytes"
    paths = [tmp_path / "parts" / part.file for part in written.parts]
    sizes = [path.stat().st_size for path in paths]
    assert (written.features, [part.size for part in written.parts]) == (("revenue",), sizes)
    assert len(sizes) > 2
    assert max(sizes) < 100_000 + 2000, "the footer is beside"
    assert min(sizes[:-1]) > 50_000
    everyone = [row for batch in rows_of(paths, 700) for row in batch["customer_id"].to_pylist()]
    assert everyone == sorted({str(row) for row in everyone})
    assert written.customers == len(everyone) == 20_000
