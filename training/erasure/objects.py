"""Which objects of the data bucket hold a customer, by looking into them: all versions, deleted ones too.

Files are read as the service reads them, so that what was an id there is one here.
"""

import base64
import codecs
import json
import re
import tempfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import duckdb
import orjson

from loyalty_ml import arrow
from loyalty_ml.errors import InvalidFile, InvalidRequest
from loyalty_ml.files.compression import compression_of
from loyalty_ml.files.content import content_blocks, read_block
from loyalty_ml.files.formats import detect_format
from loyalty_ml.files.object_versions import NO_VERSION
from loyalty_ml.files.reading import Read, open_file
from loyalty_ml.files.selection import Selection
from loyalty_ml.files.source import FileJobRequest, FileSource, format_of, no_data
from loyalty_ml.files.text.names import meant
from loyalty_ml.segments.lists import LISTS, UPLOADS
from loyalty_ml.segments.uploaded_list import ids_of
from loyalty_ml.vocabulary import CUSTOMER_ID, MAX_ID_CHARACTERS
from training.aws import asking
from training.snapshot.erased import PREFIX as ERASED

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LOOKERS = 4
"""Objects that are looked into at a time."""
_DUCKDB: dict[str, Any] = {**arrow.NO_EXTENSIONS, "threads": 1, "memory_limit": "384MB"}
_WITHOUT_IDS = re.compile(rf"{ERASED}[0-9a-f]{{64}}|snapshots/current\.json|results/[^/]+/(summary\.json|files\.csv)")
"""What has no customers by what it is: records of erasures, cards, counts, and lists of files."""

PARQUET = b"PAR1"
MOST_BYTES_OF_ID = 24 * MAX_ID_CHARACTERS
"""Of a character beyond the first 65,536, as JSON may escape it, in UTF-16."""
_OF_NO_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1f]")
"""Control characters that no text has, but nearly every compressed or binary file in its first bytes."""
_UTF_16 = re.compile(rb"\xff\xfe(?!\0\0)|\xfe\xff", re.DOTALL)
"""Its mark, which is not UTF-32's."""
_HEAD_BYTES = 4096

By = Literal["row", "text", "nothing"]


class Holding(NamedTuple):
    """A version of an object that holds a customer, or may.

    by:   how that is known. By `row`: the id is one of its ids. By `text`: the object, or a part of it, is no table
          that can be read, and the id's text is in it. By `nothing`: it cannot be read at all, and may hold anyone.
    """

    key: str
    version_id: str
    is_latest: bool
    size: int
    by: By


def versions_of(s3: "S3Client", bucket: str) -> list[tuple[FileSource, bool]]:
    """Every version of every object, and whether it is the newest. Raises Problem."""
    found = []
    with asking(f"the bucket {bucket}"):
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for version in page.get("Versions", ()):
                version_id = None if version["VersionId"] == NO_VERSION else version["VersionId"]
                etag = version["ETag"].strip('"')
                source = FileSource(bucket, version["Key"], version_id, etag, version["Size"])
                found.append((source, version["IsLatest"]))
    return found


def holdings(
    s3: "S3Client",
    versions: Sequence[tuple[FileSource, bool]],
    customer_ids: Collection[str],
    progress: Callable[[int], object] = lambda _: None,
) -> list[Holding]:
    """Those of the versions that hold one of the customers; `progress` is told of each one's bytes.

    s3: for many requests at a time, such as wiring.clients.file_s3(LOOKERS * DOWNLOAD_AHEAD). Raises StoreUnavailable.
    """
    wanted = frozenset(customer_ids)
    found = []
    with ThreadPoolExecutor(LOOKERS, "look_into") as pool:
        looks = pool.map(lambda one: _look_into(s3, one[0], wanted), versions)
        for (source, is_latest), by in zip(versions, looks, strict=True):
            if by is not None:
                found.append(Holding(source.key, source.version_id or NO_VERSION, is_latest, source.size, by))
            progress(source.size)
    return found


def unfinished_uploads(s3: "S3Client", bucket: str) -> int:
    """Uploads in parts that were begun: S3 shows the content of none. Raises Problem."""
    with asking(f"the bucket {bucket}"):
        pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket)
        return sum(len(page.get("Uploads", ())) for page in pages)


def texts_in(value: object) -> Iterator[str]:
    """All texts of what JSON holds, names of fields too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from texts_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_in(inner)


def _look_into(s3: "S3Client", source: FileSource, wanted: frozenset[str]) -> By | None:
    key = source.key
    if not source.size or _WITHOUT_IDS.fullmatch(key):
        return None
    if key.startswith("jobs/") and key.endswith("/checkpoint"):
        return "text" if _words(wanted).search(_unpacked(_whole(s3, source))) else None
    try:
        if key.startswith("jobs/") or not no_data(key):
            ids = _ids_of_list(s3, source)
            return _in_table(s3, source, wanted) if ids is None else _by_row(ids, wanted)
    except (InvalidFile, InvalidRequest, orjson.JSONDecodeError, zlib.error):
        pass
    return _by_text(s3, source, wanted)


def _ids_of_list(s3: "S3Client", source: FileSource) -> Iterable[str] | None:
    """The ids of a list, and the texts of a job's answer; None for a file with rows."""
    if source.key.startswith(UPLOADS):
        return ids_of(_whole(s3, source))
    if source.key.startswith(LISTS):
        return texts_in(orjson.loads(zlib.decompress(_whole(s3, source), wbits=zlib.MAX_WBITS | 16)))
    if source.key.startswith("results/") and source.key.endswith(".json"):
        return texts_in(orjson.loads(_whole(s3, source)))
    return None


def _by_row(ids: Iterable[str], wanted: frozenset[str]) -> By | None:
    return None if wanted.isdisjoint(ids) else "row"


def _in_table(s3: "S3Client", source: FileSource, wanted: frozenset[str]) -> By | None:
    written = format_of(source.key) or detect_format(s3, source)
    job = FileJobRequest(source, "churn", "", written=written)
    encoded = [customer_id.encode() for customer_id in wanted]
    has_bad_lines = False
    with (
        tempfile.TemporaryDirectory() as folder,
        duckdb.connect(config=_DUCKDB) as connection,
        closing(open_file(s3, job, connection, Path(folder))) as file,
    ):
        column = meant(file.columns, [CUSTOMER_ID]).get(CUSTOMER_ID)
        if column is None:
            raise InvalidFile(f"{source.key} has no {CUSTOMER_ID}.")
        selection = Selection(column, (), (), (), has_features=False)
        opened: Any = file  # each reads the blocks of its own kind
        for block, _ in opened.blocks(None, selection):
            read: Read = opened.read(block, selection, connection)
            for rows in read.rows:
                content = rows.ids.data.tobytes()
                if any(each in content for each in encoded) and not wanted.isdisjoint(rows.ids.to_list()):
                    return "row"
            has_bad_lines = has_bad_lines or bool(read.bad)
    return _by_text(s3, source, wanted, is_text=True) if has_bad_lines else None


def _by_text(s3: "S3Client", source: FileSource, wanted: frozenset[str], *, is_text: bool = False) -> By | None:
    """By the ids as words of their own, in UTF-8 or what else people's files are in.

    is_text: known to be. What else has bytes that no text has may hold anyone, packed.
    """
    first = b""

    def noted(blocks: Iterable[bytes]) -> Iterator[bytes]:
        nonlocal first
        for block in _as_utf_8(blocks):
            first = first or block[:_HEAD_BYTES]
            yield block

    try:
        head = read_block(s3, source, range(min(source.size, 16)))
        if head.startswith(PARQUET):
            return "nothing"
        with closing(content_blocks(s3, source, compression=compression_of(head))) as blocks:
            if is_in(_words(wanted), noted(blocks)):
                return "text"
    except InvalidFile:
        return "nothing"
    return None if is_text or not _OF_NO_TEXT.search(first) else "nothing"


def _as_utf_8(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The same text: UTF-16 is known by its mark, and in its bytes a part of a word would look like a word."""
    decoder = None
    for number, block in enumerate(blocks):
        if number == 0 and _UTF_16.match(block):
            decoder = codecs.getincrementaldecoder("utf-16")("replace")
        yield block if decoder is None else decoder.decode(block).encode("utf-8", "replace")


def is_in(words: re.Pattern[bytes], blocks: Iterable[bytes], most_bytes: int = MOST_BYTES_OF_ID) -> bool:
    """Whether a word is in the text that the blocks are in order, wherever they end. most_bytes: of a word."""
    text, start = b"", 0
    for block in blocks:
        text += block
        # What comes within two bytes after a word may make it another one: with those, it is looked at again.
        if any(match.end() + 2 <= len(text) for match in words.finditer(text, start)):
            return True
        kept = text[-(most_bytes + 3) :]
        if len(kept) < len(text):
            start = 1  # of the first byte nobody knows any more what was before it
        text = kept
    return words.search(text, start) is not None


def _words(wanted: frozenset[str]) -> re.Pattern[bytes]:
    """The ids, as CSV and JSON write them too, between what is no part of an id. A full stop after one may end a
    sentence.
    """
    texts = set[bytes]()
    for text in (spelling for customer_id in wanted for spelling in _spellings(customer_id)):
        for encoding in ("utf-8", "cp1252"):
            with suppress(UnicodeEncodeError):  # cp1252 has few characters; what it has of an id is another id
                texts.add(text.encode(encoding))
    return re.compile(b"|".join(rb"(?<![\w.-])" + re.escape(text) + rb"(?!\w|[.-]\w)" for text in sorted(texts)))


def _spellings(customer_id: str) -> Iterator[str]:
    yield customer_id
    yield customer_id.replace('"', '""')  # in a cell of a CSV
    for ascii_only in (False, True):
        in_json = json.dumps(customer_id, ensure_ascii=ascii_only)[1:-1]
        yield in_json
        yield re.sub(r"\\u[0-9a-f]{4}", lambda escape: "\\u" + escape[0][2:].upper(), in_json)


def _unpacked(checkpoint: bytes) -> bytes:
    """What a checkpoint (files/checkpoint.py) has of rows: those that are not uploaded yet, and the rest of the file's
    last block, which is in Base64. Its counts are no ids.
    """
    header, _, pending = checkpoint.partition(b"\n")
    try:
        texts = list(texts_in(orjson.loads(header or b"null")))
    except orjson.JSONDecodeError:
        return checkpoint  # damaged
    pieces = [pending]
    for text in texts:
        pieces.append(text.encode())
        with suppress(ValueError):
            pieces.append(base64.b64decode(text, validate=True))
    return b"\n".join(pieces)


def _whole(s3: "S3Client", source: FileSource) -> bytes:
    return read_block(s3, source, range(source.size))
