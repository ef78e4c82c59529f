"""The format of a file whose name does not tell it, by the beginning of its content."""

import re
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from loyalty_ml.errors import InvalidFile
from loyalty_ml.files.compression import CODECS, compression_of
from loyalty_ml.files.content import content_blocks, read_block
from loyalty_ml.files.sizes import DEPLOYED
from loyalty_ml.files.source import FileSource, Format
from loyalty_ml.files.text.blocks import detect_encoding, to_utf8

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_HEAD_BYTES = 64 * 2**10
_PARQUET = b"PAR1"

_UNREAD = {
    b"PK\x03\x04": "an Excel or zip file: save it as CSV, or unpack it",
    b"\xd0\xcf\x11\xe0": "an Excel file of an old version: save it as CSV",
    b"%PDF": "a PDF: export its table as CSV",
    b"ORC": "an ORC file: write it as Parquet",
    b"Obj\x01": "an Avro file: write it as Parquet",
    b"ARROW1": "an Arrow file: write it as Parquet",
    b"BZh": "compressed by bzip2: compress it by gzip",
    b"\xfd7zXZ": "compressed by xz: compress it by gzip",
    b"7z\xbc\xaf": "a 7-Zip file: unpack it",
}

_JSON = re.compile(rb"\s*[{\[]")


def detect_format(s3: "S3Client", source: FileSource) -> Format:
    """By the first 64 KB. Raises InvalidFile for what is neither text nor Parquet, and as content_blocks does."""
    head = read_block(s3, source, range(min(source.size, _HEAD_BYTES))) if source.size else b""
    compression = compression_of(head)
    if compression:
        sizes = replace(DEPLOYED, block_bytes=_HEAD_BYTES)
        with closing(content_blocks(s3, source, compression=compression, sizes=sizes)) as blocks:
            head = next(blocks, b"")
    if head.startswith(_PARQUET):
        if compression:
            raise InvalidFile(
                f"The file is Parquet inside of {CODECS[compression].name}: unpack it, as Parquet is compressed by "
                "itself."
            )
        return Format("parquet")
    for magic, kind in _UNREAD.items():
        if head.startswith(magic):
            raise InvalidFile(f"The file is {kind}.")
    encoding, mark = detect_encoding(head)
    text, _ = to_utf8(head[mark:], encoding)
    return Format("jsonl" if _JSON.match(text) else "csv", compression)
