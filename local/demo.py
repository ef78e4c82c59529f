"""What the local stores hold from the start: a model set, the demo warehouse's customers, segments."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import boto3

from loyalty_ml.models.document import Refused
from loyalty_ml.segments.definition import SegmentDefinition
from loyalty_ml.segments.lists import ListStore
from loyalty_ml.segments.store import SegmentStore
from training import config
from training.defaults import DEMO_URL
from training.errors import Problem
from training.registry import publish
from training.snapshot import customers_table
from training.snapshot.materialize import materialize
from training.warehouse.connection import connect
from training.warehouse.queries import current_features

SAMPLE_MODELS = Path("local/sample_models")
TRAINED_MODELS = Path("models")
SEGMENTS = Path("local/segments.json")


def models_folder() -> Path:
    """What was trained here, or else the committed placeholders."""
    return TRAINED_MODELS if (TRAINED_MODELS / "manifest.json").exists() else SAMPLE_MODELS


def fill(physical_ids: Mapping[str, str], models: Path) -> None:
    """Publishes the models, loads the customers and defines the segments, in the stores that boto3 is led to.

    physical_ids: the stores' names by logical id; models: a folder with a manifest. Raises Problem where the models or
    the warehouse cannot be used.
    """
    try:
        publish(boto3.client("s3"), physical_ids["ModelBucket"], models)
    except (Refused, FileNotFoundError) as error:
        raise Problem(f"The models in {models}/ cannot be served: {error}") from error
    try:
        _load_customers(physical_ids)
    except Problem as problem:
        raise Problem(f"The demo's customers cannot be loaded: {problem} ('make run' makes their warehouse.)") from None
    lists = ListStore(boto3.client("s3"), physical_ids["DataBucket"])
    segments = SegmentStore(boto3.client("dynamodb"), physical_ids["SegmentsTable"], lists)
    for segment_id, definition in json.loads(SEGMENTS.read_text()).items():
        segments.put(segment_id, SegmentDefinition.model_validate(definition))


def _load_customers(physical_ids: Mapping[str, str]) -> None:
    with connect(DEMO_URL, config.load()) as warehouse, tempfile.TemporaryDirectory() as work:
        current = current_features(warehouse)
        materialize(
            current.table,
            current.newest,  # the demo's clock stands where its data ends
            boto3.client("s3"),
            customers_table.client(),
            bucket=physical_ids["DataBucket"],
            table=physical_ids["CustomersTable"],
            work=Path(work),
        )
