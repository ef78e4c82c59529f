"""The segment functions' wiring, made once a process: what needs DuckDB besides, which no other function has."""

import uuid
from collections.abc import Mapping
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

from loyalty_ml import telemetry
from loyalty_ml.customers.snapshot_download import THREADS
from loyalty_ml.customers.snapshot_store import SnapshotStore
from loyalty_ml.datasets.members import write_members
from loyalty_ml.errors import InvalidRequest
from loyalty_ml.jobs.contracts import DATASETS
from loyalty_ml.progress import Progress, no_progress
from loyalty_ml.segments.contracts import SegmentAnswer, SegmentStatsAnswer
from loyalty_ml.segments.service import SegmentService
from loyalty_ml.segments.statistics_store import ALL_CUSTOMERS, StatisticsStore
from loyalty_ml.segments.store import SegmentStore
from loyalty_ml.wiring import runtime
from loyalty_ml.wiring.runtime import model_store, settings


@cache
def segment_store() -> SegmentStore:
    config = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard"})
    return SegmentStore(boto3.client("dynamodb", config=config), settings().segments_table)


@cache
def snapshot_store() -> SnapshotStore:
    config = Config(connect_timeout=1, read_timeout=5, retries={"mode": "standard"}, max_pool_connections=THREADS)
    return SnapshotStore(boto3.client("s3", config=config), settings().data_bucket, settings().snapshot_cache)


@cache
def statistics_store() -> StatisticsStore:
    config = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard"})
    return StatisticsStore(boto3.client("dynamodb", config=config), settings().segment_statistics_table)


@cache
def service() -> SegmentService:
    return SegmentService(segment_store(), snapshot_store(), statistics_store(), model_store(), settings().ml_mock_mode)


def refresh(segment_id: str | None) -> None:
    """Stores the statistics of a segment, None for all customers, at what is served now; and its drift as metrics.

    Raises what SegmentService does.
    """
    point = service().refresh(segment_id)
    for name, found in point.drift.items():
        inputs = {feature: drift["psi"] for feature, drift in found["features"].items()}
        telemetry.write_drift(segment_id or ALL_CUSTOMERS, name, {**inputs, "score": found["score"]["psi"]})


def answer(request: Mapping[str, Any], on_progress: Progress) -> SegmentAnswer | SegmentStatsAnswer:
    """What a job was asked for, however long it takes; on_progress is told of customers done and in all.

    Raises what SegmentService does.
    """

    def steps(step: str) -> Progress:
        return on_progress if step == "score" else no_progress

    if request["answer"] == "stats":
        return service().stats(request["segment_id"], request.get("history"), steps)
    return service().predict(request["segment_id"], request["type"], request["top"], request["offer"], steps)


def start_dataset(job_id: str, request: Mapping[str, Any], on_progress: Progress) -> None:
    """Writes a segment's members as files below datasets/segments/ and has a recorded job score them.

    on_progress is told of customers looked at and in all. Raises InvalidRequest for a segment without members, and what
    SegmentService does.
    """

    def steps(step: str) -> Progress:
        return on_progress if step == "score" else no_progress

    population, selection = service().members(request["segment_id"], steps)
    # A folder for each attempt: what a killed one has left behind, maybe of an older snapshot, is no part of this one.
    prefix = f"{DATASETS}segments/{job_id}/{uuid.uuid4().hex}/"
    bucket = settings().data_bucket
    if not write_members(population, selection, runtime.s3(), bucket=bucket, prefix=prefix, progress=on_progress):
        raise InvalidRequest.of("segment_id", "the segment has no members: check its definition")
    runtime.dataset_jobs().execute(job_id, request["type"], prefix)
