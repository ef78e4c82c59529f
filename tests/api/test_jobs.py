"""Jobs as their routes show them: what starts one, what a list has, and what a finished or failed one adds."""

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest

from loyalty_ml.api import jobs
from loyalty_ml.jobs.presigned import MAX_UPLOAD_BYTES, Upload
from loyalty_ml.jobs.record import Job

pytestmark = pytest.mark.unit

MOMENT = "2026-11-28T03:00:00.000Z"
SEGMENT = Job("a" * 32, "segment", "running", MOMENT, MOMENT, {"segment_id": "vip"}, processed=10, total=40)
FILE = Job("b" * 32, "file", "running", MOMENT, MOMENT, {"type": "nbo"}, processed=400, errors=3, share=0.5, rate=80.0)
ADDRESS = "/api/loyalty/v1/ml/jobs/"


def never(*_: Any) -> Any:
    raise AssertionError("There is nothing to read or to sign yet")


def test_a_started_job_says_where_and_when_to_look() -> None:
    reply = jobs.start_reply(SEGMENT)
    assert (reply.status, reply.headers) == (202, {"Location": ADDRESS + "a" * 32, "Retry-After": "2"})
    assert reply.answer == {"job_id": "a" * 32, "status": "running", "location": ADDRESS + "a" * 32}


def test_a_job_that_waits_for_its_file_says_where_to_send_it() -> None:
    upload = Upload("https://data.s3/", {"key": "incoming/nbo/1.csv"}, datetime(2026, 11, 28, 4, tzinfo=UTC))
    reply = jobs.upload_reply(dataclasses.replace(FILE, status="awaiting_upload"), upload)
    assert (reply.status, reply.headers) == (201, {"Location": ADDRESS + "b" * 32})
    assert reply.answer == {
        "job_id": "b" * 32,
        "status": "awaiting_upload",
        "location": ADDRESS + "b" * 32,
        "upload": {
            "method": "POST",
            "url": "https://data.s3/",
            "fields": {"key": "incoming/nbo/1.csv"},
            "max_bytes": MAX_UPLOAD_BYTES,
            "expires": "2026-11-28T04:00:00Z",
        },
    }


def test_only_jobs_of_files_count_rows() -> None:
    assert jobs.list_entry(SEGMENT)["progress"] == {"processed": 10, "total": 40}
    assert jobs.list_entry(FILE)["progress"] == {
        "processed": 400,
        "total": None,
        "errors": 3,
        "share": 0.5,
        "rate": 80.0,
    }


@pytest.mark.parametrize("job", [SEGMENT, FILE])
def test_a_running_job_is_as_in_the_list(job: Job) -> None:
    assert jobs.job_answer(job, never, never) == jobs.list_entry(job)


def test_a_segments_job_that_succeeded_has_its_answer() -> None:
    done = dataclasses.replace(SEGMENT, status="succeeded")
    shown = jobs.job_answer(done, lambda job_id: {"of": job_id}, never)
    assert shown == {**jobs.list_entry(done), "answer": {"of": "a" * 32}}


def test_a_files_job_that_succeeded_has_its_summary_and_signed_results() -> None:
    key = f"results/{FILE.job_id}/predictions.csv.gz"
    done = dataclasses.replace(FILE, status="succeeded", summary={"rows": 400, "files": {"predictions": key}})
    shown = jobs.job_answer(done, never, lambda key, name: f"https://data.s3/{key}?as={name}")
    assert shown == {
        **jobs.list_entry(done),
        "summary": done.summary,
        "results": {"predictions": {"key": key, "url": f"https://data.s3/{key}?as={FILE.job_id}-predictions.csv.gz"}},
    }


def test_a_job_that_failed_says_why() -> None:
    failed = dataclasses.replace(FILE, status="failed", code="INVALID_FILE", error="The file ends too early.")
    shown = jobs.job_answer(failed, never, never)
    assert shown == {**jobs.list_entry(failed), "code": "INVALID_FILE", "error": "The file ends too early."}
