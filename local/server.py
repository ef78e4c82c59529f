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
from typing import TYPE_CHECKING

import waitress
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from local import events, issuer, state_machines, template
from local.authorizer import JwtAuthorizer
from local.gateway import Gateway
from loyalty_ml.vocabulary import MockMode

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

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
    issuer_key: str | None,
) -> None:
    """Serves the routes of template.yaml on the loopback interface until interrupted.

    aws: environment variables that lead boto3 to the stores; models: the folder that the model set came from;
    invocations_port: where the state machine's tasks come in; mock_mode: as the functions read it; issuer_key: the
    private key (PEM) of an issuer, which is served too and whose tokens are asked for; None to ask for no token.
    """
    # Nothing here needs saving, and Ctrl-C reaches this process twice: from the terminal and from the one above.
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    described = template.load()
    os.environ.update(aws)
    tokens = tokens_of(port) if issuer_key else template.NO_TOKENS
    os.environ.update(template.environment(described, physical_ids, mock_mode, tokens))
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
    routes = template.routes(described)
    timeout_seconds = template.timeout_of(described, "SegmentFunction")
    if issuer_key:
        local_issuer = issuer.Issuer(tokens["JWT_ISSUER"], issuer_key, callback=_callback())
        authorizer = JwtAuthorizer(local_issuer.issuer, [issuer.AUDIENCE], local_issuer.keys)
        gateway = Gateway(routes, handlers, one_at_a_time, cors, timeout_seconds, authorizer=authorizer)
        front: WSGIApplication = DispatcherMiddleware(gateway, {issuer.PATH: local_issuer})
    else:
        front = Gateway(routes, handlers, one_at_a_time, cors, timeout_seconds)
    server = waitress.create_server(front, host="127.0.0.1", port=port)
    first_start = os.environ.get("WATCHFILES_CHANGES", "[]") == "[]"
    print(_banner(port, models) if first_start else "Code changed: reloaded.", file=terminal, flush=True)
    events.start(template.queue_sources(described), physical_ids, aws, LOG.parent, LOG)
    machine_arn = os.environ["DATASET_STATE_MACHINE_ARN"]
    state_machines.start(invocations_port, aws, LOG.parent, LOG, machine_arn)
    server.run()


def tokens_of(port: int) -> dict[str, str]:
    """The functions' variables for the tokens of the issuer that is served at this port.

    By another name of this machine than the API has, so that the page asks another origin, as it does deployed.
    """
    return {
        "JWT_ISSUER": f"http://localhost:{port}{issuer.PATH}",
        "JWT_AUDIENCE": issuer.AUDIENCE,
        "PAGE_CLIENT_ID": issuer.PAGE,
        "PAGE_TOKEN_ORIGIN": "",
    }


def _callback() -> str:
    from loyalty_ml.api.page import CALLBACK  # noqa: PLC0415  after the environment is the functions'

    return CALLBACK


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
    asks_for_token = bool(settings.jwt_issuer)
    bearer = ' -H "Authorization: Bearer $TOKEN"' if asks_for_token else ""
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
            *(_how_to_get_a_token(settings.jwt_issuer) if asks_for_token else []),
            f"  curl -s {base}/ml/predict{bearer} -H 'Content-Type: application/json' -d '{body}'",
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


def _how_to_get_a_token(address: str) -> list[str]:
    scopes = " ".join(issuer.SCOPES)
    return [
        f"Tokens are asked for. The page signs in; a program gets one from {address}:",
        f"  TOKEN=$(curl -s {address}/token -u {issuer.MACHINE}:{issuer.SECRET} -d grant_type=client_credentials "
        f'-d \'scope={scopes}\' | sed \'s/.*"access_token": *"\\([^"]*\\)".*/\\1/\')',
        "",
    ]
