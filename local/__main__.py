"""`make run`: the whole service on this machine, with no AWS and no Docker."""

import argparse
import contextlib
import json
import logging
import os
import socket
import sys
import tempfile
import time
from pathlib import Path

import boto3
import watchfiles

from local import state_machines, stores, template
from local.server import LOG, serve
from loyalty_ml.manifest import Refused
from loyalty_ml.segment_store import SegmentStore
from loyalty_ml.segments import SegmentDefinition
from training import config, customers_table
from training.commands import Problem
from training.datasets import current_features
from training.materialize import materialize
from training.registry import publish
from training.warehouse import DEMO_URL, connect

SAMPLE_MODELS = Path("local/sample_models")
TRAINED_MODELS = Path("models")
SEGMENTS = Path("local/segments.json")
WATCHED = ("functions", "layers/shared/loyalty_ml", "local", "template.yaml")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m local",
        description="Serves the API on http://127.0.0.1:PORT from moto's S3 and DynamoDB, with real demo customers. "
        "Models come from models/ where something was trained, else the placeholders in local/sample_models.",
    )
    parser.add_argument("--port", type=int, default=8000, help="default: %(default)s")
    port: int = parser.parse_args().port
    if problem := _port_problem(port):
        sys.exit(problem)
    models = TRAINED_MODELS if (TRAINED_MODELS / "manifest.json").exists() else SAMPLE_MODELS
    with contextlib.suppress(KeyboardInterrupt):
        _run(port, models)
    print("Stopped.")


def _run(port: int, models: Path) -> None:
    logging.getLogger("watchfiles").setLevel(logging.ERROR)
    started = time.perf_counter()
    LOG.unlink(missing_ok=True)
    print("Starting S3, DynamoDB and SQS, and bringing the demo warehouse's customers into them ...", flush=True)
    moto = stores.start_moto()
    try:
        aws = stores.aws_environment(moto)
        os.environ.update(aws)
        described = template.load()
        physical_ids = stores.create(template.stores(described))
        invocations_port = state_machines.free_port()
        state_machines.connect(moto, invocations_port)
        state_machines.create(described, physical_ids)
        try:
            publish(boto3.client("s3"), physical_ids["ModelBucket"], models)
        except (Refused, FileNotFoundError) as error:
            sys.exit(f"The models in {models}/ cannot be served: {error}")
        _load_customers(physical_ids)
        _define_segments(physical_ids["SegmentsTable"])
        print(f"Ready after {time.perf_counter() - started:.1f} s.", flush=True)
        watchfiles.run_process(
            *WATCHED,
            target=serve,
            args=(port, aws, physical_ids, str(models), invocations_port),
            watch_filter=watchfiles.PythonFilter(extra_extensions=(".yaml",)),
        )
    finally:
        moto.stop()


def _load_customers(physical_ids: dict[str, str]) -> None:
    try:
        with connect(DEMO_URL, config.load()) as warehouse, tempfile.TemporaryDirectory() as work:
            current = current_features(warehouse)
            materialize(
                current.table,
                current.as_of,
                boto3.client("s3"),
                customers_table.client(),
                bucket=physical_ids["DataBucket"],
                table=physical_ids["CustomersTable"],
                work=Path(work),
            )
    except Problem as problem:
        sys.exit(f"The demo's customers cannot be loaded: {problem} ('make run' makes their warehouse.)")


def _define_segments(table: str) -> None:
    segments = SegmentStore(boto3.client("dynamodb"), table)
    for segment_id, definition in json.loads(SEGMENTS.read_text()).items():
        segments.put(segment_id, SegmentDefinition.model_validate(definition))


def _port_problem(port: int) -> str | None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            return f"Port {port} cannot be used ({error}): choose another, such as 'make run PORT=8001'."
    return None


if __name__ == "__main__":
    main()
