"""A file's blocks, in order, each with the position to go on from after it: CSV, JSON Lines and Parquet.

A block is small enough to hold, and can be read by itself: so several are at work at once, and a later worker begins at
any of them. Positions are what JSON can hold.
"""

import base64
from collections.abc import Callable, Generator, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import duckdb

from loyalty_ml.errors import InvalidFile
from loyalty_ml.files.content import content_blocks, download
from loyalty_ml.files.csv_table import csv_examples, csv_rows
from loyalty_ml.files.json_table import json_columns, json_decimals, json_rows
from loyalty_ml.files.parquet_table import check_features, parquet_examples, parquet_rows, parquet_table
from loyalty_ml.files.selection import Selection
from loyalty_ml.files.sizes import DEPLOYED, Sizes
from loyalty_ml.files.source import Compression, FileJobRequest, FileSource
from loyalty_ml.files.table import Rows, no_rows
from loyalty_ml.files.text.blocks import detect_encoding, to_utf8
from loyalty_ml.files.text.csv_dialect import detect_dialect
from loyalty_ml.files.text.csv_lines import Records, split_records
from loyalty_ml.files.text.lines import BadLine, Lines, State, line_ends, split_lines
from loyalty_ml.files.text.names import meant, shown
from loyalty_ml.files.text.numbers import Decimals, decimals_of
from loyalty_ml.vocabulary import CUSTOMER_ID

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Position = dict[str, Any]
"""`share` of the file that is before it, 0 to 1, its `lines` there, and what the kind of file needs besides.

Of Parquet, the rows are the lines.
"""

BlockT = TypeVar("BlockT")

_EMPTY = f"The file is empty: it needs a {CUSTOMER_ID} in each row."


class LineCounts(NamedTuple):
    """The lines of a block: blank ones, those of rows, of which one may take several, and bad ones."""

    blank: int
    rows: int
    bad: int


class Read(NamedTuple):
    """A block's rows, and what is none. total: of both, as they were counted before they were read."""

    rows: list[Rows]
    bad: list[BadLine]
    total: int
    lines: LineCounts


class CsvFile:
    """Raises InvalidFile where the file is no CSV with a customer_id."""

    def __init__(
        self,
        s3: "S3Client",
        source: FileSource,
        work: Path,
        *,
        compression: Compression | None,
        sizes: Sizes = DEPLOYED,
    ) -> None:
        self.path = None
        self._work = work
        self._text = _Text(s3, source, compression=compression, sizes=sizes)
        head, is_whole = self._text.head()
        self._dialect, self._header_bytes, self.header_lines = detect_dialect(head, whole=is_whole)
        self.block_size = self._text.block_bytes
        self._first = State(b"", 1 + self.header_lines, skipping=False)
        self.columns = self._dialect.columns
        self.delimiter = self._dialect.delimiter

    def decimals(self, selection: Selection, connection: duckdb.DuckDBPyConnection) -> Decimals:
        """By the first block. Raises InvalidFile if it writes numbers in two ways."""
        if not selection.columns:
            return Decimals()
        head, is_whole = self._text.head()
        records, _ = split_records(
            head[self._header_bytes :], self._dialect, self._first, final=is_whole, read=selection.read
        )
        return decimals_of(csv_examples(connection, records, self._dialect, selection, self._work))

    def blocks(self, done: Position | None, selection: Selection) -> Iterator[tuple[Records, Position]]:
        def split(text: bytes, state: State, is_last: bool) -> tuple[Records, State]:  # noqa: FBT001
            return split_records(text, self._dialect, state, final=is_last, read=selection.read)

        return self._text.blocks(done, self._first, self._header_bytes, split)

    def read(self, block: Records, selection: Selection, connection: duckdb.DuckDBPyConnection) -> Read:
        rows = list(csv_rows(connection, block, self._dialect, selection, self._work))
        lines = LineCounts(block.blank, line_ends(block.text), _lines_of(block.bad))
        return Read(rows, block.bad, len(block.lines) + len(block.bad), lines)

    def close(self) -> None:
        self._text.close()


def _lines_of(bad: list[BadLine]) -> int:
    return sum(line.lines for line in bad)


class JsonFile:
    """Of JSON Lines. Raises InvalidFile where no line of the first block is an object, or none has a customer_id."""

    delimiter = ","
    header_lines = 0

    def __init__(
        self, s3: "S3Client", source: FileSource, *, compression: Compression | None, sizes: Sizes = DEPLOYED
    ) -> None:
        self.path = None
        self._at_once = sizes.json_rows
        self._text = _Text(s3, source, compression=compression, sizes=sizes)
        self.block_size = self._text.block_bytes
        head, is_whole = self._text.head()
        (lines, _, _), _ = split_lines(head, State(b"", 1, skipping=False), final=is_whole)
        if is_whole and not head.strip():
            raise InvalidFile(_EMPTY)
        if head.lstrip().startswith(b"["):
            raise InvalidFile("The file is a JSON array: write one object a line instead, without brackets and commas.")
        columns = json_columns(lines)
        if columns is None:
            raise InvalidFile(
                "No line of the file is a JSON object: write one object a line, or correct the file's extension."
            )
        if not meant(columns, [CUSTOMER_ID]):
            others = (shown(columns) or "what looks like values") if columns else "nothing"
            raise InvalidFile(f"No row has a {CUSTOMER_ID}, but {others}: add it.")
        self.columns = columns
        self._head = lines

    def decimals(self, selection: Selection, connection: duckdb.DuckDBPyConnection) -> Decimals:
        """By the first block, once. Raises InvalidFile if it writes numbers in two ways."""
        head, self._head = self._head, []  # which is not to be in memory for as long as the file is read
        return json_decimals(head, selection)

    def blocks(self, done: Position | None, selection: Selection) -> Iterator[tuple[Lines, Position]]:
        def split(text: bytes, state: State, is_last: bool) -> tuple[Lines, State]:  # noqa: FBT001
            return split_lines(text, state, final=is_last)

        return self._text.blocks(done, State(b"", 1, skipping=False), 0, split)

    def read(self, block: Lines, selection: Selection, connection: duckdb.DuckDBPyConnection) -> Read:
        rows, bad = [], list(block.bad)
        for first in range(0, len(block.lines), self._at_once):
            some = json_rows(block.lines[first : first + self._at_once], selection)
            rows.append(some.rows)
            bad += some.bad
        of_rows = sum(len(some.values) for some in rows)
        return Read(
            rows, sorted(bad), len(block.lines) + len(block.bad), LineCounts(block.blank, of_rows, _lines_of(bad))
        )

    def close(self) -> None:
        self._text.close()


class ParquetFile:
    """Downloaded as a whole, to `path`: what its columns are is written at its end. Raises InvalidFile."""

    delimiter = ","
    header_lines = 0

    def __init__(
        self,
        s3: "S3Client",
        source: FileSource,
        connection: duckdb.DuckDBPyConnection,
        work: Path,
        *,
        sizes: Sizes = DEPLOYED,
    ) -> None:
        if not source.size:
            raise InvalidFile("The file is empty: upload a Parquet file.")
        self.path = work / "input.parquet"
        download(s3, source, self.path, sizes=sizes)
        self._table = parquet_table(connection, self.path)
        self.columns, self._rows = tuple(self._table.columns), self._table.rows
        self.block_size = sizes.rows_of_parquet(self._rows)

    def decimals(self, selection: Selection, connection: duckdb.DuckDBPyConnection) -> Decimals:
        """Raises InvalidFile, as for a feature's type too, if the file has no one way to write numbers."""
        check_features(self._table, selection)
        return decimals_of(parquet_examples(connection, self.path, self._table, selection))

    def blocks(self, done: Position | None, selection: Selection) -> Iterator[tuple[range, Position]]:
        for first in range(done["rows"] if done else 0, self._rows, self.block_size):
            rows = range(first, min(first + self.block_size, self._rows))
            yield rows, {"rows": rows.stop, "lines": rows.stop, "share": rows.stop / self._rows}
        if not self._rows:
            yield range(0), {"rows": 0, "lines": 0, "share": 1.0}  # of no rows too there is a file, with its columns

    def read(self, block: range, selection: Selection, connection: duckdb.DuckDBPyConnection) -> Read:
        if not block:
            return Read([no_rows(selection.features)], [], 0, LineCounts(0, 0, 0))
        rows = list(parquet_rows(connection, self.path, block, self._table, selection))
        if sum(len(part.values) for part in rows) != len(block):
            raise InvalidFile("The Parquet file is damaged: it does not have as many rows as it says. Write it again.")
        return Read(rows, [], len(block), LineCounts(0, len(block), 0))

    def close(self) -> None:
        self.path.unlink(missing_ok=True)


class _Raw(NamedTuple):
    """A block as it is stored, and how much of the stored file was read for it."""

    block: bytes
    is_last: bool
    read: int


class _Text:
    """The content of a text file in blocks of UTF-8."""

    def __init__(self, s3: "S3Client", source: FileSource, *, compression: Compression | None, sizes: Sizes) -> None:
        self._s3 = s3
        self._sizes = sizes.of_text(source.size, compressed=compression is not None)
        self.block_bytes = self._sizes.block_bytes
        self._source = source
        self._compression = compression
        self._stored_read = 0
        self._opened = self._open(0)
        self._first = list(islice(self._opened, max(1, sizes.head // self.block_bytes)))
        if not self._first:
            raise InvalidFile(_EMPTY)
        self._encoding, self._mark = detect_encoding(self._first[0].block)

    def head(self) -> tuple[bytes, bool]:
        """The first blocks without their byte order mark, and whether they are all there is."""
        is_whole = self._first[-1].is_last
        raw = b"".join(block for block, *_ in self._first)
        text, _ = to_utf8(raw[self._mark :], self._encoding, final=is_whole)
        return text, is_whole

    def blocks(
        self,
        done: Position | None,
        first: State,
        header_bytes: int,
        split: Callable[[bytes, State, bool], tuple[BlockT, State]],
    ) -> Iterator[tuple[BlockT, Position]]:
        number, carry, state, skip = 0, b"", first, header_bytes
        if done:
            number, carry, state, skip = _restored(done)
            self._opened.close()
            self._opened = self._open(number * self._sizes.block_bytes)
            blocks: Iterator[_Raw] = self._opened
        else:
            marked, *more = self._first
            blocks = chain([marked._replace(block=marked.block[self._mark :])], more, self._opened)
        for raw, is_last, read in blocks:
            text, carry = to_utf8(raw, self._encoding, carry, final=is_last)
            block, state = split(text[skip:] if skip else text, state, is_last)
            number, skip = number + 1, max(0, skip - len(text))
            yield block, {**self._position(number, carry, state, read), "skip": skip}

    def close(self) -> None:
        self._opened.close()

    def _open(self, start: int) -> Generator[_Raw, None, None]:
        blocks = content_blocks(
            self._s3, self._source, compression=self._compression, start=start, on_read=self._on_read, sizes=self._sizes
        )
        try:
            before = next(blocks, None)
            if before is None:
                return
            read = self._stored_read
            for block in blocks:
                yield _Raw(before, is_last=False, read=read)
                before, read = block, self._stored_read
            yield _Raw(before, is_last=True, read=self._stored_read)
        finally:
            blocks.close()

    def _on_read(self, stored: int) -> None:
        self._stored_read = stored

    def _position(self, number: int, carry: bytes, state: State, stored_read: int) -> Position:
        # Of what is compressed, what is expanded stands for what is done: how much that will be is not known.
        read = stored_read if self._compression else min(number * self._sizes.block_bytes, self._source.size)
        return {
            "share": read / self._source.size,
            "blocks": number,
            "carry": base64.b64encode(carry).decode(),
            "rest": base64.b64encode(state.rest).decode(),
            "line": state.line,
            "lines": state.line - 1,
            "skipping": state.skipping,
        }


def _restored(done: Position) -> tuple[int, bytes, State, int]:
    rest, carry = base64.b64decode(done["rest"]), base64.b64decode(done["carry"])
    return done["blocks"], carry, State(rest, done["line"], done["skipping"]), done["skip"]


AnyFile = CsvFile | JsonFile | ParquetFile


def open_file(
    s3: "S3Client",
    job: FileJobRequest,
    connection: duckdb.DuckDBPyConnection,
    work: Path,
    *,
    sizes: Sizes = DEPLOYED,
) -> AnyFile:
    """The job's file, whose format is known. Raises InvalidFile if it is not of that, and StoreUnavailable."""
    source, written = job.source, job.written
    assert written is not None
    match written.kind:
        case "csv":
            return CsvFile(s3, source, work, compression=written.compression, sizes=sizes)
        case "jsonl":
            return JsonFile(s3, source, compression=written.compression, sizes=sizes)
        case "parquet":
            return ParquetFile(s3, source, connection, work, sizes=sizes)
