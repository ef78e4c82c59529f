"""An independent client of the Open Inference Protocol, Triton's, works against the functions as it is."""

import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from werkzeug.serving import make_server

from local import template
from local.gateway import Gateway
from tests.api.test_inference import ROWS, predicted
from tests.service import BASE, DESCRIBED, Service, process

pytestmark = [pytest.mark.process, pytest.mark.long]

PYTHON = Path(__file__).parents[2] / ".venv-client" / "bin" / "python"


@pytest.fixture
def address(service: Service) -> Iterator[str]:
    """The function behind the local gateway, on a port."""
    routes = [route for route in template.routes(DESCRIBED) if route.function == "PredictFunction"]
    server = make_server(
        "127.0.0.1", 0, Gateway(routes, {"PredictFunction": process().handlers["predict"]}, threading.Lock())
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}{BASE}"
    server.shutdown()


def test_tritons_client_gets_the_predictions_to_the_bit(service: Service, address: str) -> None:
    if not PYTHON.exists():
        pytest.skip("The client is not installed: run 'make .venv-client/stamp'.")
    done = subprocess.run(
        [PYTHON, Path(__file__).with_name("triton_calls.py"), address, json.dumps(ROWS)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert (told["live"], told["ready"], told["model_ready"], told["unknown_ready"]) == (True, True, True, False)
    assert told["server"]["extensions"] == ["binary_tensor_data"]
    churn, offers = predicted(service)
    for name, (request_id, numbers) in told["numbers"].items():
        assert request_id == ("" if name == "named" else "one")
        expected = offers if name.startswith("nbo") else [[each] for each in churn]
        if "FP32" in name:  # whose features are not quite the customers'
            np.testing.assert_allclose(numbers, expected, rtol=1e-4)
        else:
            assert numbers == expected, name
    assert len(told["numbers"]) == 9
    assert told["error"][0] == "400"
    assert told["error"][1].startswith("The request is not valid: inputs.0.shape: must be [n, 10]")
