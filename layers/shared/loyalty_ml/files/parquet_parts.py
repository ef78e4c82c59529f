"""A Parquet result in the making: a part for each block, in S3 until all can be one file, which ends with an index.

jobs/{job_id}/parts/{what they are made with}/{first row}.parquet

So the parts of a worker that was given up for dead, and goes on with older models, are not among the others'.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import orjson

from loyalty_ml.aws.errors import asking

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PIECE_BYTES = 8 * 2**20


class PartsMissing(Exception):
    """Of a job that was left alone for long, parts may have been deleted before its checkpoint was."""


class ParquetParts:
    """The parts of one job. Raises StoreUnavailable where S3 does not do its part."""

    def __init__(self, s3: "S3Client", bucket: str, job_id: str, made_with: Mapping[str, Any], work: Path) -> None:
        """made_with: what the parts depend on besides the file, as JSON can hold it."""
        self._s3 = s3
        self._bucket = bucket
        digest = hashlib.sha256(orjson.dumps(made_with, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
        self._prefix = f"jobs/{job_id}/parts/{digest}/"
        self._folder = work / "parts"
        self._folder.mkdir()

    def put(self, first_row: int, part: bytes) -> None:
        """Stores the part of the block that begins at this row: here, and for the worker after this one."""
        name = f"{first_row:012}.parquet"
        with asking("results", "A part of the results cannot be stored in the data bucket"):
            self._s3.put_object(Bucket=self._bucket, Key=self._prefix + name, Body=part)
        (self._folder / name).write_bytes(part)

    def merged(self, connection: duckdb.DuckDBPyConnection, rows: int) -> Iterator[tuple[bytes, float]]:
        """One Parquet file of all parts in order: its pieces, each with the share of it that is there then, 0 to 1.

        rows: what the parts have in all. Raises PartsMissing.
        """
        with asking("results", "A part of the results cannot be read from the data bucket"):
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
            names = [found["Key"].removeprefix(self._prefix) for page in pages for found in page.get("Contents", ())]
            for name in names:
                if not (self._folder / name).exists():
                    answer = self._s3.get_object(Bucket=self._bucket, Key=self._prefix + name)
                    (self._folder / name).write_bytes(answer["Body"].read())
        merged = self._folder / "merged"
        found = 0
        if names:
            parts = connection.read_parquet([str(self._folder / name) for name in sorted(names)])
            parts.write_parquet(str(merged), compression="zstd")
            ((found,),) = connection.read_parquet(str(merged)).count("*").fetchall()
        if found != rows:
            raise PartsMissing(f"The parts below {self._prefix} have {found:,} rows where {rows:,} were written.")
        size = merged.stat().st_size
        with merged.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece, file.tell() / size
