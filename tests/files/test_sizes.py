"""How a file is cut: a small one has several blocks, so that one sees it move."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_ml.files.sizes import (
    BLOCKS,
    DEPLOYED,
    EXPLAINED_ROWS,
    LEAST_BLOCK_BYTES,
    LEAST_BLOCK_ROWS,
    LEAST_EXPLAINED_BYTES,
    LEAST_LINE_BYTES,
    Sizes,
)
from loyalty_ml.scoring.reasons import scored_rows

pytestmark = pytest.mark.unit


@given(size=st.integers(0, 10**9))
def test_a_text_under_8_mb_has_as_many_blocks_as_are_worth_it(size: int) -> None:
    block = DEPLOYED.of_text(size, compressed=False).block_bytes
    assert LEAST_BLOCK_BYTES <= block <= DEPLOYED.block_bytes
    if size > BLOCKS * LEAST_BLOCK_BYTES:
        assert -(-size // block) >= BLOCKS
    assert DEPLOYED.of_text(size, compressed=True).block_bytes >= block, "its content is larger than what is stored"


@given(rows=st.integers(0, 10**9))
def test_a_parquet_of_few_rows_has_several_blocks(rows: int) -> None:
    block = DEPLOYED.rows_of_parquet(rows)
    assert LEAST_BLOCK_ROWS <= block <= DEPLOYED.parquet_rows
    if rows > BLOCKS * LEAST_BLOCK_ROWS:
        assert -(-rows // block) >= BLOCKS


def test_who_asks_for_smaller_blocks_has_them() -> None:
    sizes = Sizes(block_bytes=64, parquet_rows=2)
    assert sizes.of_text(10**7, compressed=False) == sizes
    assert sizes.rows_of_parquet(10**6) == 2


@given(features=st.lists(st.integers(1, 1_000), min_size=1, max_size=3), rows=st.integers(1, 10**9))
def test_a_block_with_reasons_takes_seconds_however_many_features_there_are(features: list[int], rows: int) -> None:
    each = sum(scored_rows(count) for count in features)
    sizes = DEPLOYED.explaining(each)
    assert sizes.rows_of_parquet(rows) * each <= EXPLAINED_ROWS
    assert sizes.rows_of_parquet(rows) <= DEPLOYED.rows_of_parquet(rows)
    block = sizes.of_text(rows, compressed=False).block_bytes
    assert block == LEAST_EXPLAINED_BYTES or block // LEAST_LINE_BYTES * each <= EXPLAINED_ROWS
    assert block <= DEPLOYED.of_text(rows, compressed=False).block_bytes
    assert sizes.head == DEPLOYED.head, "a file has the same columns with and without reasons"
