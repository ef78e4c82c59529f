"""Files that are dropped into the bucket of a whole deployment in moto, and what the API says of the same customers."""

import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from pydantic import TypeAdapter

from loyalty_ml.customers.snapshot_store import SnapshotStore
from loyalty_ml.files.service import FileService, Ran
from loyalty_ml.files.sizes import DEPLOYED, Sizes
from loyalty_ml.files.source import FileJobRequest, FileSource, job_id_of, type_of
from loyalty_ml.jobs.contracts import JobSummary
from loyalty_ml.vocabulary import PredictionType
from tests.files.writings import as_csv, read_results, rows_of
from tests.segments.test_segments import Row
from tests.service import GOOD, SNAPSHOT_FEATURES, Service, process

TYPES: Mapping[str, Sequence[PredictionType]] = {
    "churn": ["churn"],
    "nbo": ["nbo"],
    "rfm": ["rfm"],
    "all": ["churn", "nbo", "rfm"],
}
CUSTOMERS = 120

SUMMARY: TypeAdapter[JobSummary] = TypeAdapter(JobSummary)

Outcome = dict[str, Any] | tuple[str, str]
"""The columns of a results file, or an error's code and sentence."""

Answered = Callable[[str, str], Outcome]
"""A customer's outcome for a type."""


class Files:
    """Files dropped into the data bucket, and what comes of them."""

    def __init__(self, service: Service, customers: Mapping[str, Row] | None = None) -> None:
        self.service = service
        self.bucket = service.ids["DataBucket"]
        self.customers = dict(customers or {})
        self._numbers = itertools.count()

    def key(self, extension: str, kind: str = "churn") -> str:
        """One that no file has had."""
        return f"incoming/{kind}/{next(self._numbers)}.{extension}"

    def put(self, key: str, content: bytes) -> FileSource:
        etag = self.service.s3.put_object(Bucket=self.bucket, Key=key, Body=content)["ETag"]
        return FileSource(self.bucket, key, None, etag, len(content))

    def score(self, key: str, content: bytes, **options: Any) -> Ran:
        return self.run(self.put(key, content), **options)

    def source_of(self, ran: Ran) -> FileSource:
        """The file of a job that was scored to its end."""
        assert ran.summary is not None
        key = ran.summary["key"]
        head = self.service.s3.head_object(Bucket=self.bucket, Key=key)
        return FileSource(self.bucket, key, None, head["ETag"], head["ContentLength"])

    def run(
        self, source: FileSource, *, remaining: float = 900.0, is_last: bool = False, worker: FileService | None = None
    ) -> Ran:
        job = FileJobRequest(source, type_of(source.key), job_id_of(source))
        worker = worker or process().files.files
        return worker.score(job, remaining=lambda: remaining, on_beat=lambda _: None, is_last=is_last)

    def worker(self, sizes: Sizes = DEPLOYED, **others: Any) -> FileService:
        """One with other arguments than a deployment's."""
        parts = process().files
        return FileService(
            parts.data_s3,
            parts.file_jobs,
            parts.models,
            SnapshotStore(parts.data_s3, self.bucket, parts.settings.snapshot_cache),
            bucket=self.bucket,
            mock_mode="false",
            work=parts.settings.file_work,
            sizes=sizes,
            **others,
        )

    @cached_property
    def small(self) -> FileService:
        """A worker for which a file of some kilobytes has several blocks."""
        return self.worker(Sizes(block_bytes=2048, parquet_rows=8))

    @cached_property
    def wary(self) -> FileService:
        """A worker that soon takes a compressed file for a bomb."""
        return self.worker(Sizes(expansion_free_bytes=10_000))

    def read(self, key: str) -> bytes:
        return self.service.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def results(self, ran: Ran) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
        """Predictions and errors of a file that was scored to its end, whose counts are those of the summary."""
        assert ran.summary is not None
        assert "files" in ran.summary, ran.summary
        ended = ("succeeded", None) if ran.summary["predictions"] else ("failed", "NO_PREDICTIONS")
        assert (ran.summary["status"], ran.summary.get("code")) == ended
        named = ran.summary["files"]
        assert json.loads(self.read(named["summary"])) == ran.summary
        written = self.read(named["errors"])
        assert written.startswith(b"line,customer_id,code,error\n")
        predictions, errors = read_results(named["predictions"], self.read(named["predictions"])), rows_of(written)
        assert (ran.summary["predictions"], ran.summary["errors"]) == (len(predictions), len(errors))
        assert ran.summary["rows"] == len(predictions) + len(errors)
        assert ran.summary.keys() <= JobSummary.__annotations__.keys(), "what a client has no type of"
        SUMMARY.validate_python(ran.summary, strict=True)
        assert ran.summary["lines"] == sum(ran.summary["lines_by_kind"].values())
        assert list(ran.summary["lines_by_kind"]) == ["header", "blank", "rows", "bad"]
        assert ran.summary["errors_by_code"] == Counter(error["code"] for error in errors)
        return predictions, errors

    def failure(self, ran: Ran) -> str:
        """The sentence of a file that was refused, of which no result is shown."""
        assert ran.summary is not None
        assert (ran.outcome, ran.summary["status"], ran.summary["code"]) == ("finished", "failed", "INVALID_FILE")
        shown = self.service.s3.list_objects_v2(Bucket=self.bucket, Prefix=f"results/{ran.job_id}/")
        assert shown["KeyCount"] == 0
        error: str = ran.summary["error"]
        return error

    def rows(self) -> list[list[Any]]:
        """Each customer of the stores with its features."""
        return [
            [customer_id, *(row[name] for name in SNAPSHOT_FEATURES)] for customer_id, row in self.customers.items()
        ]

    def refused(self, extension: str, content: bytes) -> str:
        """The sentence of a file that cannot be scored, after which the next one is."""
        sentence = self.failure(self.score(self.key(extension), content, worker=self.wary))
        assert sentence.endswith(".")
        assert str(process().files.settings.file_work) not in sentence, "a path of the function's"
        predictions, _ = self.results(self.score(self.key("csv"), as_csv([["a", *GOOD.values()]]), worker=self.wary))
        assert [row["customer_id"] for row in predictions] == ["a"]
        return sentence


def side_by_side(outcomes: Mapping[str, Any], names: Sequence[PredictionType]) -> Outcome:
    """The columns of the results of several types, or the error of the first that has one."""
    columns: dict[str, Any] = {}
    for name in names:
        result = outcomes[name]
        if isinstance(result, tuple):
            return result
        columns |= columns_of(name, result)
    return columns


def columns_of(name: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """What a results file has of an answer, which over HTTP is nested."""
    if name != "nbo":
        return {column: value for column, value in result.items() if column != "customer_id"}
    return {
        "recommended_offer": result["recommended_offer"],
        "offer_code": result["top_offer"]["offer_code"],
        "offer_name": result["top_offer"]["offer_name"],
        "category": result["top_offer"]["category"],
        "confidence": result["confidence"],
        "evidence": result["top_offer"]["evidence"],
        **{f"offer_{offer}": probability for offer, probability in enumerate(result["offer_scores"])},
    }


def assert_same(found: Mapping[str, Any], customer_id: str, expected: Mapping[str, Any]) -> None:
    """Numbers to the bit, in whichever way they are written; columns in that order."""
    assert list(found) == ["customer_id", *expected]
    assert found["customer_id"] == customer_id
    for name, value in expected.items():
        if isinstance(value, str):
            assert found[name] == value
        elif isinstance(value, int):
            assert float(found[name]) == value, name
        else:
            assert float(found[name]).hex() == value.hex(), name


def in_csv(text: str) -> str:
    """As a text is written where a spreadsheet might run it."""
    is_number = re.fullmatch(r"[+-]?\d+(\.\d+)?", text, re.ASCII)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r", "\n") and text and not is_number else text


def assert_all_answered(files: Files, answered: Answered, extension: str, content: bytes) -> None:
    """Scores the customers of the stores with their own features: their answers and errors are those of the API."""
    ran = files.score(files.key(extension, "all"), content, worker=files.worker(Sizes(block_bytes=4096)))
    predictions, errors = files.results(ran)
    outcomes = [(customer_id, answered(customer_id, "all")) for customer_id in files.customers]
    good = [(customer_id, outcome) for customer_id, outcome in outcomes if isinstance(outcome, dict)]
    assert len(good) > CUSTOMERS / 2
    for found, (customer_id, columns) in zip(predictions, good, strict=True):
        assert_same(found, customer_id, columns)
    header_lines = 1 if "csv" in extension.lower() else 0
    assert [(error["line"], error["customer_id"], error["code"], error["error"]) for error in errors] == [
        (str(number + header_lines), customer_id, *outcome)
        for number, (customer_id, outcome) in enumerate(outcomes, 1)
        if isinstance(outcome, tuple)
    ]
    assert ran.summary is not None
    assert ran.summary["features"] == "file"
