"""`make run`: the whole service on this machine, with no AWS and no Docker."""

import argparse
import contextlib
import logging
import os
import sys
import time
from pathlib import Path

import watchfiles

from local import demo, issuer, ports, state_machines, stores, template
from local.server import LOG, serve
from loyalty_ml.vocabulary import MOCK_MODES, MockMode
from training.errors import Problem

WATCHED = ("functions", "layers/shared/loyalty_ml", "local", "template.yaml")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m local",
        description="Serves the API on http://127.0.0.1:PORT from moto's S3 and DynamoDB, with real demo customers. "
        "Models come from models/ where something was trained, else the placeholders in local/sample_models.",
    )
    parser.add_argument("--port", type=int, default=8000, help="default: %(default)s")
    port: int = parser.parse_args().port
    if problem := ports.why_unusable(port):
        sys.exit(f"Port {port} cannot be used ({problem}): choose another, such as 'make run PORT=8001'.")
    mock_mode = os.environ.get("ML_MOCK_MODE", "auto")
    if mock_mode not in MOCK_MODES:
        sys.exit(f"ML_MOCK_MODE is '{mock_mode}': set it to {', '.join(MOCK_MODES[:-1])} or {MOCK_MODES[-1]}.")
    if (auth := os.environ.get("AUTH", "")) not in ("", "0", "1"):
        sys.exit(f"AUTH is '{auth}': set it to 1 to ask for tokens, or leave it out.")
    issuer_key = issuer.new_key() if auth == "1" else None
    try:
        with contextlib.suppress(KeyboardInterrupt):
            _run(port, demo.models_folder(), mock_mode, issuer_key)
    except Problem as problem:
        sys.exit(str(problem))
    print("Stopped.")


def _run(port: int, models: Path, mock_mode: MockMode, issuer_key: str | None) -> None:
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
        invocations_port = ports.free_port()
        state_machines.connect(moto, invocations_port)
        state_machines.create(described, physical_ids)
        demo.fill(physical_ids, models)
        print(f"Ready after {time.perf_counter() - started:.1f} s.", flush=True)
        watchfiles.run_process(
            *WATCHED,
            target=serve,
            args=(port, aws, physical_ids, str(models), invocations_port),
            # One key for all restarts: a token stays good when changed code is reloaded.
            kwargs={"mock_mode": mock_mode, "issuer_key": issuer_key},
            watch_filter=watchfiles.PythonFilter(extra_extensions=(".yaml", ".html")),
        )
    finally:
        moto.stop()


if __name__ == "__main__":
    main()
