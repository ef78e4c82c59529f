"""X-Ray: where traces are on, a request is traced to the daemon, and nothing of its answer is in the trace."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

REQUEST = """
import json
from pathlib import Path
from functions.predict.app import handler
from loyalty_ml import telemetry
from local.gateway import LambdaContext
assert not telemetry.tracer.disabled
print(handler(json.loads(Path("events/health.json").read_text()), LambdaContext("traced"))["statusCode"])
"""


def test_a_sampled_request_is_traced_without_its_answer() -> None:
    segment = json.loads(told_of_a_request("Sampled=1")[0].split(b"\n", 1)[1])
    assert segment["name"] == "## handler"
    assert segment["trace_id"] == "1-5759e988-bd862e3fe1be46a994272793"
    assert segment["annotations"]["Service"] == "loyalty-ml"
    assert "ok" not in json.dumps(segment.get("metadata", {}))


@pytest.mark.parametrize("sampled", ["Sampled=0", ""])
def test_a_request_that_is_not_sampled_is_answered_all_the_same(sampled: str) -> None:
    assert told_of_a_request(sampled) == []


def told_of_a_request(sampled: str) -> list[bytes]:
    """What a daemon is sent while a request is answered with 200."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        environment = {
            **os.environ,
            "AWS_XRAY_DAEMON_ADDRESS": f"127.0.0.1:{daemon.getsockname()[1]}",
            # What the Lambda runtime sets:
            "LAMBDA_TASK_ROOT": "/var/task",
            "_X_AMZN_TRACE_ID": f"Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;{sampled}",
        }
        done = subprocess.run(
            [sys.executable, "-c", REQUEST],
            cwd=Path(__file__).parents[2], env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == "200"
        # The process is done, and what it sent is here: a datagram of the loopback interface is never on its way.
        daemon.setblocking(False)
        told = []
        with contextlib.suppress(BlockingIOError):
            while True:
                told.append(daemon.recv(65536))
        return told
