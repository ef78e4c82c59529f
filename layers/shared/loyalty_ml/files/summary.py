"""The summary of a file job: in the job's record, and in results/{job_id}/summary.json if it was read to its end."""

from typing import Any

from loyalty_ml.errors import NoPredictions
from loyalty_ml.files.pipeline import Counts, Plan
from loyalty_ml.files.source import FileJobRequest
from loyalty_ml.files.unanswered import likely_reason
from loyalty_ml.vocabulary import rfc3339

IGNORED_SHOWN = 100
NAME_SHOWN = 100
"""Columns that are not read, and characters of each name, in the summary: a job's record takes 400 KB."""

LINE_KINDS = ("header", "blank", "rows", "bad")
"""What lines of a file are. A row may take several, and blank ones before the header are the header's."""


def result_keys(job: FileJobRequest) -> dict[str, str]:
    """Where the results go, in the order in which they appear."""
    assert job.written is not None, "whose format is known by then"
    folder = f"results/{job.job_id}"
    return {
        "errors": f"{folder}/errors.csv",
        "predictions": f"{folder}/predictions.{job.written.extension}",
        "summary": f"{folder}/summary.json",
    }


def of_end(job: FileJobRequest, plan: Plan, counts: Counts) -> dict[str, Any]:
    """The summary of a file that is scored to its end; `failed` with the likely reason if it has no prediction."""
    read = set(plan.selection.read)
    return {
        "job_id": job.job_id,
        **_status(job, plan, counts),
        "type": job.type,
        "key": job.source.key,
        "version_id": job.source.version_id,
        **({"dataset": job.dataset} if job.dataset else {}),
        "lines": counts.lines.total(),
        "lines_by_kind": {kind: counts.lines[kind] for kind in LINE_KINDS},
        "rows": counts.rows,
        "predictions": counts.predictions,
        "errors": counts.errors.total(),
        "errors_by_code": dict(sorted(counts.errors.items())),
        "mock": plan.asked.is_mock,
        "models": plan.asked.models,
        "features": "snapshot" if plan.population else "file",
        "features_as_of": rfc3339(plan.population.as_of) if plan.population else None,
        "ignored_columns": [name[:NAME_SHOWN] for name in plan.file.columns if name not in read][:IGNORED_SHOWN],
        **({"kept_columns": [name[:NAME_SHOWN] for name in plan.selection.keep][:IGNORED_SHOWN]} if job.keep else {}),
        "files": result_keys(job),
        **({"message": plan.trouble} if plan.trouble else {}),
    }


def _status(job: FileJobRequest, plan: Plan, counts: Counts) -> dict[str, Any]:
    if counts.predictions or job.is_share:
        return {"status": "succeeded"}
    problem = NoPredictions(likely_reason(counts, plan.population))
    return {"status": "failed", "code": problem.code, "error": problem.message}


def failure(job: FileJobRequest, code: str | None, error: str | None) -> dict[str, Any]:
    """The summary of a job that failed for good. error: a sentence."""
    return {"job_id": job.job_id, "status": "failed", "code": code, "error": error}
