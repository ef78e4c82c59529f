"""What a warehouse's rows are to those who read them: arrays, and words for people."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from ibis.expr import types as ir

from training.warehouse.cleaning import LeftOut
from training.warehouse.connection import Warehouse


def matrix(warehouse: Warehouse, table: ir.Table, names: Sequence[str]) -> np.ndarray:
    """The columns as float64 (n, len(names)), NaN for NULL. Raises Problem."""
    return matrix_of(warehouse.rows(table.select(*names)), names)


def matrix_of(rows: pa.Table, names: Sequence[str]) -> np.ndarray:
    return np.column_stack([numpy_of(rows[name]).astype(np.float64) for name in names])


def numpy_of(column: pa.ChunkedArray) -> np.ndarray:
    values: np.ndarray = column.combine_chunks().to_numpy(zero_copy_only=False)
    return values


def required(table: ir.Table | None) -> ir.Table:
    """A table that the configuration names."""
    assert table is not None
    return table


def of_use(counts: LeftOut) -> str:
    if not counts.rows:
        return "at all"
    return f"that can be used ({reasons({reason: one.count for reason, one in counts.reasons.items()})})"


def reasons(left_out: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,}: {reason}" for reason, count in left_out.items())
