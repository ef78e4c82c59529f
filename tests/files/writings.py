"""Customers as a file of any format, and the rows of a results file."""

import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from backports import zstd

from loyalty_ml.files.sizes import Sizes
from loyalty_ml.files.source import Compression, Format, format_of
from tests.service import GOOD, SNAPSHOT_FEATURES

HEADER = ("customer_id", *SNAPSHOT_FEATURES)

Rows = Sequence[Sequence[Any]]
"""An id and the values beside it: numbers, texts, or None for nothing."""


def as_csv(rows: Rows, header: Sequence[str] = HEADER, lineterminator: str = "\n", **options: Any) -> bytes:
    """The same bytes on every Python: before 3.13, csv quotes a \\r or \\n only if it is in the line terminator."""
    lines = []
    for row in [header, *rows]:
        line = io.StringIO(newline="")
        csv.writer(line, lineterminator="\r\n", **options).writerow(row)
        lines.append(line.getvalue().removesuffix("\r\n") + lineterminator)
    return "".join(lines).encode()


def as_json(rows: Rows, header: Sequence[str] = HEADER) -> bytes:
    return b"".join(json.dumps(dict(zip(header, row, strict=True))).encode() + b"\n" for row in rows)


def as_parquet(table: pa.Table, **options: Any) -> bytes:
    content = io.BytesIO()
    pq.write_table(table, content, **options)
    return content.getvalue()


def table_of(ids: Any, features: Mapping[str, Any] = GOOD, **more: Any) -> pa.Table:
    """A row an id, each with the same features unless `more` has the column."""
    columns = {name: pa.array([value] * len(ids), pa.float64()) for name, value in features.items()}
    return pa.table({"customer_id": ids, **columns, **more})


def as_table(rows: Rows, header: Sequence[str] = HEADER) -> pa.Table:
    """Features are numbers, unless a row has a text in the column; all else is text."""
    columns = {}
    for place, name in enumerate(header):
        values = [row[place] for row in rows]
        if name in SNAPSHOT_FEATURES and not any(isinstance(value, str) for value in values):
            columns[name] = pa.array(values, pa.float64())
        else:
            columns[name] = pa.array([None if value is None else str(value) for value in values], pa.string())
    return pa.table(columns)


def packed(name: str, content: bytes) -> bytes:
    """As a file of that name has it, by its last extension."""
    match name.rpartition(".")[2]:
        case "gz":
            return gzip.compress(content, mtime=0)
        case "zst":
            return zstd.compress(content)
        case _:
            return content


def unpacked(name: str, content: bytes) -> bytes:
    """The content of a file of that name."""
    match name.rpartition(".")[2]:
        case "gz":
            return gzip.decompress(content)
        case "zst":
            return zstd.decompress(content)
        case _:
            return content


def skippable(size: int) -> bytes:
    """A frame of Zstandard that is no content."""
    return b"\x5f\x2a\x4d\x18" + size.to_bytes(4, "little") + bytes(size)


def in_members(name: str, content: bytes) -> bytes:
    """As several members in one file, one of them empty; of Zstandard also what is to be skipped."""
    middle = len(content) // 2
    members = [packed(name, each) for each in (content[:middle], b"", content[middle:])]
    return (skippable(7) if name.endswith(".zst") else b"").join([b"", *members, b""])


@dataclass(frozen=True)
class FileWriter:
    """Writes a format that the service takes; codec: Parquet's own compression."""

    extension: str
    codec: str | None = None

    @property
    def compression(self) -> Compression | None:
        return written_as(f"a.{self.extension}").compression

    @property
    def header_lines(self) -> int:
        return 1 if self.extension.startswith("csv") else 0

    def write(self, rows: Rows, header: Sequence[str] = HEADER) -> bytes:
        if self.extension == "parquet":
            return as_parquet(as_table(rows, header), compression=self.codec)
        content = as_csv(rows, header) if self.extension.startswith("csv") else as_json(rows, header)
        return packed(self.extension, content)

    def sizes(self, content: bytes, rows: int, blocks: int = 4, **others: Any) -> Sizes:
        """Those with which this content has so many blocks."""
        text = unpacked(self.extension, content)
        return Sizes(block_bytes=len(text) // blocks + 1, parquet_rows=rows // blocks + 1, **others)


FORMATS: dict[str, FileWriter] = {
    **{
        extension: FileWriter(extension) for extension in ("csv", "csv.gz", "csv.zst", "jsonl", "jsonl.gz", "jsonl.zst")
    },
    **{f"parquet.{codec}": FileWriter("parquet", codec) for codec in ("none", "snappy", "gzip", "zstd")},
}
"""By format and compression."""


def rows_of(content: bytes) -> list[dict[str, str]]:
    found = csv.DictReader(io.StringIO(content.decode(), newline=""), strict=True, delimiter=_delimiter(content))
    return list(found)


def _delimiter(content: bytes) -> str:
    header = content.partition(b"\n")[0].decode()
    return max(",;\t|", key=header.count)


def read_results(key: str, content: bytes) -> list[dict[str, Any]]:
    """Rows of a results file: of CSV all are texts."""
    if key.endswith(".parquet"):
        return [dict(row) for row in pq.read_table(io.BytesIO(content)).to_pylist()]
    text = unpacked(key, content)
    return rows_of(text) if ".csv" in key else [json.loads(line) for line in text.splitlines()]


def written_as(name: str) -> Format:
    """The format that a file's name tells."""
    found = format_of(name)
    assert found is not None
    return found
