"""The Open Inference Protocol by Triton's own client, which knows nothing of this project; prints what it was given.

Runs in .venv-client: triton_calls.py ADDRESS, of the API with its base path and without http://.
"""

import json
import sys
from typing import Any

import numpy as np
import tritonclient.http as triton  # type: ignore[import-not-found]  # which only that venv has
from tritonclient.utils import InferenceServerException  # type: ignore[import-not-found]


def main(address: str, rows: list[list[float]]) -> None:
    client = triton.InferenceServerClient(url=address)
    told: dict[str, Any] = {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "server": client.get_server_metadata(),
        "model_ready": client.is_model_ready("churn"),
        "unknown_ready": client.is_model_ready("other"),
        "numbers": {},
    }
    for model in ("churn", "nbo"):
        described = client.get_model_metadata(model)
        (version,) = described["versions"]
        (feature_input,) = described["inputs"]
        (output,) = described["outputs"]
        for datatype, dtype in (("FP64", np.float64), ("FP32", np.float32)):
            for is_binary in (True, False):
                tensor = triton.InferInput(feature_input["name"], [len(rows), feature_input["shape"][1]], datatype)
                tensor.set_data_from_numpy(np.array(rows, dtype), binary_data=is_binary)
                wanted = triton.InferRequestedOutput(output["name"], binary_data=is_binary)
                given = client.infer(model, [tensor], model_version=version, outputs=[wanted], request_id="one")
                numbers = given.as_numpy(output["name"])
                told["numbers"][f"{model} {datatype} {is_binary}"] = [given.get_response()["id"], numbers.tolist()]
    named = []
    for place, name in enumerate(client.get_model_metadata("churn")["inputs"][0]["parameters"]["names"].split(",")):
        tensor = triton.InferInput(name, [len(rows), 1], "FP64")
        tensor.set_data_from_numpy(np.array([[row[place]] for row in rows], np.float64))
        named.append(tensor)
    told["numbers"]["named"] = ["", client.infer("churn", named).as_numpy("churn_probability").tolist()]
    wrong = triton.InferInput("features", [1, 3], "FP64")
    wrong.set_data_from_numpy(np.zeros((1, 3)))
    try:
        client.infer("churn", [wrong])
    except InferenceServerException as error:
        told["error"] = [error.status(), error.message()]
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
