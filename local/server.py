"""The functions behind an HTTP server, in a process that is started again when their code changes."""

import importlib
import json
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import waitress

from local import events, state_machines, template
from local.gateway import Gateway
from loyalty_ml.vocabulary import MockMode

LOG = Path("build/local/functions.log")

FOR_OTHER_TOOLS = ("AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
"""What leads boto3 and the AWS CLI to the local stores, whose credentials open nothing else."""


def serve(
    port: int,
    aws: Mapping[str, str],
    physical_ids: Mapping[str, str],
    models: str,
    invocations_port: int,
    *,
    mock_mode: MockMode,
) -> None:
    """Serves the routes of template.yaml on the loopback interface until interrupted.

    aws: environment variables that lead boto3 to the stores; models: the folder that the model set came from;
    invocations_port: where the state machine's tasks come in; mock_mode: as the functions read it.
    """
    # Nothing here needs saving, and Ctrl-C reaches this process twice: from the terminal and from the one above.
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    described = template.load()
    os.environ.update(aws)
    os.environ.update(template.environment(described, physical_ids, mock_mode))
    os.environ.setdefault("MODEL_CACHE", str(LOG.parent / "model-cache"))
    os.environ.setdefault("SNAPSHOT_CACHE", str(LOG.parent / "snapshot-cache"))
    LOG.parent.mkdir(parents=True, exist_ok=True)
    terminal = sys.stdout
    # What a function prints goes to CloudWatch; here it goes to a file, the interpreter's own notes included.
    sys.stdout = LOG.open("a", buffering=1)
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    os.dup2(sys.stdout.fileno(), 2)
    logging.getLogger("waitress").setLevel(logging.ERROR)
    handlers = {}
    for name, function in template.functions(described).items():
        module, attribute = template.handler_of(function)
        handlers[name] = getattr(importlib.import_module(module), attribute)
    # A Lambda instance has one event at a time, and the functions count on it. Here those that HTTP reaches share a
    # process.
    one_at_a_time = threading.Lock()
    cors = template.cors(described, os.environ.get("CORS_ORIGINS", ""))
    timeout_seconds = template.timeout_of(described, "SegmentFunction")
    gateway = Gateway(template.routes(described), handlers, one_at_a_time, cors, timeout_seconds)
    server = waitress.create_server(gateway, host="127.0.0.1", port=port)
    first_start = os.environ.get("WATCHFILES_CHANGES", "[]") == "[]"
    print(_banner(port, models) if first_start else "Code changed: reloaded.", file=terminal, flush=True)
    events.start(template.queue_sources(described), physical_ids, aws, LOG.parent, LOG)
    machine_arn = os.environ["DATASET_STATE_MACHINE_ARN"]
    state_machines.start(invocations_port, aws, LOG.parent, LOG, machine_arn)
    server.run()


def _end_with_the_parent() -> None:
    """A parent that was killed could not say so, and its port would stay taken."""
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)


def _banner(port: int, models: str) -> str:
    # Imported here, as the functions are above: after the environment is theirs.
    from loyalty_ml.api.http import BASE_PATH  # noqa: PLC0415
    from loyalty_ml.wiring.batch import BatchParts  # noqa: PLC0415
    from loyalty_ml.wiring.settings import BatchSettings  # noqa: PLC0415

    base = f"http://127.0.0.1:{port}{BASE_PATH}"
    settings = BatchSettings.read(os.environ)
    parts = BatchParts(settings)
    card = parts.read_snapshot_card()
    customers = f"{card.customers:,} real customers, features as of {card.as_of:%Y-%m-%d}" if card else "no customers"
    current = parts.models.current()
    versions = ", ".join(f"{name} {model.card.version}" for name, model in sorted(current.loaded.items())) or "none"
    placeholders = any(model.card.placeholder for model in current.loaded.values())
    body = json.dumps({"customer_id": "1", "type": "churn"})
    return "\n".join(
        [
            "",
            f"Loyalty ML serves at {base} ({customers}).",
            f"Models, from {models}: {versions}.",
            *(["These are PLACEHOLDERS trained on generated data: they show how, not who."] if placeholders else []),
            *[f"Not served: {problem}" for problem in current.problems.values()],
            "",
            f"The page: http://127.0.0.1:{port}/admin",
            "",
            f"  curl -s {base}/ml/predict -H 'Content-Type: application/json' -d '{body}'",
            "",
            f"Segments: {', '.join(parts.segments.ids())}.",
            "",
            f"Put a file of customers under incoming/churn/ (or nbo/, rfm/, all/), then see {base}/ml/jobs:",
            f"  curl -fsST customers.csv --user local:local --aws-sigv4 aws:amz:{os.environ['AWS_DEFAULT_REGION']}:s3 "
            f"{os.environ['AWS_ENDPOINT_URL']}/{settings.data_bucket}/incoming/churn/",
            "",
            "S3, DynamoDB and SQS for your own tools:",
            f"  export {' '.join(f'{name}={os.environ[name]}' for name in FOR_OTHER_TOOLS)}",
            f"  models {settings.model_bucket}, data {settings.data_bucket}, customers {settings.customers_table},",
            f"  jobs {settings.jobs_table}, datasets {settings.dataset_state_machine_arn}",
            "",
            f"The functions log to {LOG}. Changed code is reloaded. Ctrl-C ends it all.",
        ]
    )
