"""Columns between DuckDB and NumPy, through Arrow's buffers: nothing is made into Python objects on the way."""

import ctypes
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import duckdb
import nanoarrow
import numpy as np
from nanoarrow.c_array import CArray
from numpy.typing import NDArray

NO_EXTENSIONS = {
    "autoinstall_known_extensions": "false",  # all that is used is built in, and nothing is to be fetched
    "autoload_known_extensions": "false",
}
"""DuckDB settings for every connection."""


class Texts(NamedTuple):
    """n texts one after the other, as Arrow keeps them: text i is data[offsets[i]:offsets[i + 1]], in UTF-8.

    offsets: int32 (n + 1,); data: uint8.
    """

    offsets: NDArray[np.int32]
    data: NDArray[np.uint8]

    @property
    def sizes(self) -> NDArray[np.int32]:
        """Bytes of each, int32 (n,)."""
        return np.diff(self.offsets)

    def where(self, wanted: NDArray[np.bool_]) -> "Texts":
        """Those of a bool (n,)."""
        sizes = self.sizes[wanted]
        offsets = np.zeros(len(sizes) + 1, np.int32)
        np.cumsum(sizes, out=offsets[1:])
        moved = self.offsets[:-1][wanted] - offsets[:-1]
        return Texts(offsets, self.data[np.arange(offsets[-1], dtype=np.int32) + np.repeat(moved, sizes)])

    def to_list(self, places: Sequence[int] | None = None) -> list[str]:
        """All of them, or those at some places."""
        data, offsets = self.data.tobytes(), self.offsets
        wanted = range(len(offsets) - 1) if places is None else places
        return [data[offsets[place] : offsets[place + 1]].decode() for place in wanted]


def texts_of(values: Sequence[str]) -> Texts:
    encoded = [value.encode() for value in values]
    offsets = np.zeros(len(encoded) + 1, np.int32)
    np.cumsum([len(value) for value in encoded], out=offsets[1:])
    return Texts(offsets, np.frombuffer(b"".join(encoded), np.uint8))


class _ArrowArrayStream(ctypes.Structure):
    """A stream as Arrow's C interface lays it out: functions that all take the stream."""

    _fields_ = (
        ("get_schema", ctypes.c_void_p),
        ("get_next", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)),
        ("get_last_error", ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_void_p)),
        ("release", ctypes.c_void_p),
        ("private_data", ctypes.c_void_p),
    )


_ERRORS = {"Conversion Error": duckdb.ConversionException, "Out of Memory Error": duckdb.OutOfMemoryException}
"""By the beginning of their messages: those that are told from duckdb.Error."""


def batches(relation: duckdb.DuckDBPyRelation) -> Iterator[CArray]:
    """The relation's rows as Arrow record batches. Raises duckdb.Error.

    Until the last of them nothing else may be asked of the relation's connection: they would end there, with no error.
    """
    with nanoarrow.c_array_stream(relation) as stream:
        # DuckDB computes a batch when it is asked for. nanoarrow would ask with the interpreter locked for all other
        # threads, ctypes does not; and a relation that is executed first is read with pyarrow only, which no layer has.
        functions = _ArrowArrayStream.from_address(stream._addr())
        while True:
            batch = CArray.allocate(stream._get_cached_schema())
            if functions.get_next(stream._addr(), batch._addr()):
                message = functions.get_last_error(stream._addr()).decode()
                raise _ERRORS.get(message.partition(":")[0], duckdb.Error)(message)
            if not batch.is_valid():
                return
            yield batch


def doubles(column: Any) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:
    """Float64 (n,), NaN for NULL, and where those are, bool (n,), None for nowhere.

    The first may be the batch's own memory: to be copied while that is there.
    """
    rows = slice(column.offset, column.offset + column.length)
    values = np.frombuffer(column.buffer(1), np.float64)[rows]
    if not column.null_count:
        return values, None
    absent = ~_bits(column, 0)
    return np.where(absent, np.nan, values), absent


def integers(column: Any) -> NDArray[np.int64]:
    """Int64 (n,) of a column without NULL: the batch's own memory, as in `doubles`."""
    return np.frombuffer(column.buffer(1), np.int64)[column.offset : column.offset + column.length]


def booleans(column: Any) -> NDArray[np.bool_]:
    """Bool (n,) of a column without NULL."""
    return _bits(column, 1)


def texts(column: Any) -> Texts:
    """The texts of a column, empty for NULL: a copy, as the batch is freed before they are."""
    offsets = np.frombuffer(column.buffer(1), np.int32)[column.offset : column.offset + column.length + 1]
    return Texts(offsets - offsets[0], np.frombuffer(column.buffer(2), np.uint8)[offsets[0] : offsets[-1]].copy())


def table(names: Sequence[str], columns: Sequence[Texts | NDArray[Any]]) -> nanoarrow.Array:
    """Columns of n as what DuckDB can read: of texts, float64, int8, int16 or int64."""
    rows = len(columns[0].offsets) - 1 if isinstance(columns[0], Texts) else len(columns[0])
    arrays = [_array(column, rows) for column in columns]
    kinds = nanoarrow.struct({name: array.schema for name, array in zip(names, arrays, strict=True)})
    return nanoarrow.Array(nanoarrow.c_array_from_buffers(kinds, rows, [None], children=arrays))


def _array(column: Texts | NDArray[Any], rows: int) -> CArray:
    if isinstance(column, Texts):
        return nanoarrow.c_array_from_buffers(nanoarrow.string(), rows, [None, column.offsets, column.data])
    kinds = {
        "float64": nanoarrow.float64(),
        "int8": nanoarrow.int8(),
        "int16": nanoarrow.int16(),
        "int64": nanoarrow.int64(),
    }
    return nanoarrow.c_array_from_buffers(kinds[column.dtype.name], rows, [None, np.ascontiguousarray(column)])


def _bits(column: Any, buffer: int) -> NDArray[np.bool_]:
    rows = slice(column.offset, column.offset + column.length)
    packed = np.frombuffer(column.buffer(buffer), np.uint8)
    return np.unpackbits(packed, count=rows.stop, bitorder="little")[rows].view(np.bool_)
