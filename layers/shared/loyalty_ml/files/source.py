"""What a file to be scored is: an object of S3, what is asked of it, and what its key says about both."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from loyalty_ml.aws.ranges import ObjectVersion
from loyalty_ml.errors import InvalidFile
from loyalty_ml.vocabulary import FileFormat, FileType

KEEP_ALL = "*"
"""Among the names of columns to keep: all that the file has."""

INCOMING = "incoming/"
"""Objects below it are scored one by one, as they come."""

_UPLOAD = re.compile(r"incoming/[a-z]+/uploads/([0-9a-f]{32})\.[a-z.]+")


class FileSource(ObjectVersion):
    """The version of an object that a file is."""

    __slots__ = ()


Compression = Literal["gzip", "zstd"]


class Format(NamedTuple):
    """kind: how rows are written; compression: what that is compressed by. Parquet compresses itself."""

    kind: Literal["csv", "jsonl", "parquet"]
    compression: Compression | None = None

    @property
    def content_type(self) -> str:
        return f"application/{self.compression}" if self.compression else _CONTENT_TYPES[self.kind]

    @property
    def extension(self) -> str:
        return self.kind + _ENDINGS[self.compression]


_ENDINGS: dict[Compression | None, str] = {None: "", "gzip": ".gz", "zstd": ".zst"}
_CONTENT_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}
_TEXTS = [Format(kind, compression) for kind in ("csv", "jsonl") for compression in _ENDINGS]
FORMATS = {written.extension: written for written in (*_TEXTS, Format("parquet"))}
assert set(FORMATS) == set(get_args(FileFormat)), "vocabulary.FileFormat has other formats"

_OTHER_KINDS = {"tsv": "csv", "ndjson": "jsonl", "json": "jsonl"}
_OTHER_NAMES = {
    name + ending: FORMATS[kind + ending] for name, kind in _OTHER_KINDS.items() for ending in _ENDINGS.values()
}
"""What other people call these formats; results are called as we do."""


@dataclass(frozen=True, slots=True)
class FileJobRequest:
    """A file, what to predict for its customers, and the job that does it.

    dataset:   the job that it is a part of.
    written:   its format; None if its name does not tell, and its content is not looked at yet.
    is_share:  of a larger list, which is no mistake if nobody in it has an answer.
    keep:      the file's own columns that its predictions have after the answer: names, or KEEP_ALL.
    explain:   whether its predictions have columns of reasons.
    """

    source: FileSource
    type: FileType
    job_id: str
    dataset: str | None = None
    written: Format | None = None
    is_share: bool = False
    keep: tuple[str, ...] = ()
    explain: bool = False


def format_of(key: str) -> Format | None:
    """By the key's extension, in either case; None if that tells nothing, as of part-0000 or 000.gz."""
    name = key.rpartition("/")[2].lower()
    for extension, found in {**FORMATS, **_OTHER_NAMES}.items():
        if name.endswith(f".{extension}"):
            return found
    return None


def no_data(key: str) -> str | None:
    """Why an object is known to hold no customers, a sentence; None for a file to score.

    It is a folder, what a writer of many files keeps beside them, or below what Spark and others hide.
    """
    elements = key.split("/")
    name = elements[-1]
    hidden = next((each for each in elements if each.startswith(("_", ".")) and each not in (".", "..")), None)
    if hidden is not None:
        return f"{hidden!r} begins with {hidden[0]}, as what Spark and others keep beside their data."
    if not name or name.endswith("_$folder$"):
        return "It marks a folder and is no file."
    if name.lower().endswith(".crc"):
        return "It is a checksum of another file."
    if name.lower().endswith("manifest"):
        return "It lists the files of an export and has no customers."
    return None


def type_of(key: str) -> FileType:
    """By the folder below incoming/. Raises InvalidFile."""
    folder = key.removeprefix(INCOMING).partition("/")[0]
    for known in get_args(FileType):
        if key.startswith(INCOMING) and folder == known:
            kind: FileType = known
            return kind
    raise InvalidFile(
        f"{key!r} is in none of the folders {', '.join(f'{INCOMING}{kind}/' for kind in get_args(FileType))}: "
        "put it into the folder of the prediction that you want."
    )


def keep_of(key: str) -> tuple[str, ...]:
    """All columns, of a file below incoming/{type}/keep/."""
    folders = key.removeprefix(INCOMING).split("/")[1:-1]
    return (KEEP_ALL,) if folders[:1] == ["keep"] else ()


def options_of(keep: Sequence[str], *, explain: bool) -> dict[str, Any]:
    """What a job's request says beside its type, if it is asked for: read again by `keep` and `explain`."""
    return {**({"keep": list(keep)} if keep else {}), **({"explain": True} if explain else {})}


def job_id_of(source: FileSource, dataset: str | None = None) -> str:
    """The same for the same version of the same object, whoever computes it: 32 hex digits.

    A dataset's files have ids of their own in each dataset job, so that a dataset can be scored again.
    """
    version = source.version_id or source.etag
    named = "\0".join((source.bucket, source.key, version, *([dataset] if dataset else [])))
    return hashlib.sha256(named.encode()).hexdigest()[:32]


def upload_key(prediction_type: FileType, job_id: str, extension: FileFormat) -> str:
    """Where the upload of a job goes that was announced."""
    return f"{INCOMING}{prediction_type}/uploads/{job_id}.{extension}"


def announced_job_id(key: str) -> str | None:
    """The job that an upload was announced for, if its key is of that form."""
    found = _UPLOAD.fullmatch(key)
    return found[1] if found else None
