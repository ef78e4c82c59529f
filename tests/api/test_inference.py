"""The Open Inference Protocol: raw features in, the same numbers as a prediction's out, errors in its own form."""

import base64
import json
from typing import Any

import numpy as np
import pytest

from loyalty_ml.api import inference
from loyalty_ml.customers.table import DEFAULT_FEATURES
from tests import sample_set
from tests.service import BASE, CONTEXT, GOOD, LAPSED, Answer, Service, process

pytestmark = pytest.mark.moto

ROWS = [[features[name] for name in DEFAULT_FEATURES] for features in (GOOD, LAPSED)]
VERSION = sample_set.manifest().models["churn"].version
CHURN = "/v2/models/churn"


def tensor(rows: Any, **changes: Any) -> dict[str, Any]:
    return {"name": "features", "shape": [len(rows), 10], "datatype": "FP64", "data": rows, **changes}


def infer(service: Service, *inputs: dict[str, Any], path: str = CHURN, **body: Any) -> Answer:
    return service.call("POST", f"{path}/infer", {"inputs": list(inputs), **body})


def of_output(**parameters: Any) -> dict[str, Any]:
    return {"name": "churn_probability", "parameters": parameters}


def predicted(service: Service) -> tuple[list[float], list[list[float]]]:
    """What /ml/predict answers for the same two customers: churn, and nbo."""
    churn = [service.predict(each).body["result"]["churn_probability"] for each in ("good", "lapsed")]
    offers = [service.predict(each, "nbo").body["result"]["offer_scores"] for each in ("good", "lapsed")]
    return churn, offers


def test_the_protocols_routes_answer_and_infer_gives_predictions_to_the_bit(service: Service) -> None:
    churn, offers = predicted(service)
    assert service.call("GET", "/v2/health/live").body == {"live": True}
    assert service.call("GET", "/v2/health/ready").body == {"ready": True}
    assert service.call("GET", "/v2").body["extensions"] == ["binary_tensor_data"]
    for path in (CHURN, f"{CHURN}/versions/{VERSION}"):
        described = service.call("GET", path).body
        assert described["versions"] == [VERSION]
        assert described["inputs"][0]["shape"] == [-1, 10]
        assert described["inputs"][0]["parameters"]["names"].split(",") == list(DEFAULT_FEATURES)
        assert described["outputs"] == [{"name": "churn_probability", "datatype": "FP32", "shape": [-1, 1]}]
        assert service.call("GET", f"{path}/ready/").body == {"name": "churn", "ready": True}
        answer = infer(service, tensor(ROWS), path=path, id="mine")
        assert answer.body == {
            "model_name": "churn",
            "model_version": VERSION,
            "id": "mine",
            "outputs": [{"name": "churn_probability", "shape": [2, 1], "datatype": "FP32", "data": churn}],
        }
    nbo = infer(service, tensor(ROWS), path="/v2/models/nbo").body["outputs"][0]
    assert (nbo["shape"], nbo["data"]) == ([2, 8], [*offers[0], *offers[1]])


def test_one_input_for_each_feature_in_any_order_is_the_same_request(service: Service) -> None:
    for shape in ([2], [2, 1]):
        named = [
            {"name": name, "shape": shape, "datatype": "FP64", "data": [GOOD[name], LAPSED[name]]}
            for name in reversed(DEFAULT_FEATURES)
        ]
        assert infer(service, *named).body["outputs"] == infer(service, tensor(ROWS)).body["outputs"]
    flat = tensor([number for row in ROWS for number in row], shape=[2, 10])
    assert infer(service, flat).body["outputs"] == infer(service, tensor(ROWS)).body["outputs"]


@pytest.mark.parametrize(("datatype", "dtype"), [("FP32", "<f4"), ("FP64", "<f8")])
def test_numbers_go_in_and_out_as_bytes_where_the_client_says_so(service: Service, datatype: str, dtype: str) -> None:
    content = np.array(ROWS, dtype).tobytes()
    header = {"name": "features", "shape": [2, 10], "datatype": datatype}
    body = {
        "inputs": [{**header, "parameters": {"binary_data_size": len(content)}}],
        "outputs": [{"name": "churn_probability", "parameters": {"binary_data": True}}],
    }
    text = json.dumps(body).encode()
    path = f"{BASE}{CHURN}/infer"
    raw = process().handlers["predict"](
        {
            "rawPath": path,
            "routeKey": f"POST {path}",
            "headers": {"inference-header-content-length": str(len(text))},
            "requestContext": {"stage": "$default", "requestId": "id", "http": {"method": "POST", "path": path}},
            "body": base64.b64encode(text + content).decode(),
            "isBase64Encoded": True,
        },
        CONTEXT,
    )
    answer = base64.b64decode(raw["body"])
    end = int(raw["headers"]["Inference-Header-Content-Length"])
    assert json.loads(answer[:end])["outputs"][0]["parameters"] == {"binary_data_size": 8}
    got = np.frombuffer(answer[end:], "<f4").tolist()
    as_sent = np.array(ROWS, dtype).tolist()
    assert got == infer(service, tensor(as_sent, datatype=datatype)).body["outputs"][0]["data"]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "one column too few": (tensor([row[:9] for row in ROWS], shape=[2, 9]), "inputs.0.shape"),
    "a shape of three": (tensor(ROWS, shape=[1, 2, 10]), "inputs.0.shape"),
    "more rows than the data": (tensor(ROWS, shape=[3, 10]), "inputs.0.data"),
    "fewer numbers than the shape": (tensor([1.0], shape=[2, 10]), "inputs.0.data"),
    "a ragged row": (tensor([ROWS[0], ROWS[1][:9]]), "inputs.0.data"),
    "no rows": (tensor([], shape=[0, 10]), "no rows"),
    "text": (tensor([["1"] * 10]), "inputs.0.data"),
    "null": (tensor([[None] * 10]), "inputs.0.data"),
    "true": (tensor([[True] * 10]), "inputs.0.data"),
    "no data": (tensor(ROWS, data=None), "inputs.0.data"),
    "a number that float64 lacks": (tensor([[10**400] * 10]), "inputs.0.data"),
    "integers": (tensor(ROWS, datatype="INT64"), "inputs.0.datatype"),
    "bytes": (tensor(ROWS, datatype="BYTES"), "inputs.0.datatype"),
    "an unknown name": (tensor(ROWS, name="other"), "inputs.0.name"),
    "one feature alone": ({"name": "revenue", "shape": [1], "datatype": "FP64", "data": [1]}, "lack"),
    "bytes that are not there": (
        {"name": "features", "shape": [1, 10], "datatype": "FP64", "parameters": {"binary_data_size": 80}},
        "binary_data_size",
    ),
    "a size that is text": (
        {"name": "features", "shape": [1, 10], "datatype": "FP64", "parameters": {"binary_data_size": "80"}},
        "binary_data_size",
    ),
    "a size that is no number": (
        json.loads(
            '{"name": "features", "shape": [1, 10], "datatype": "FP64", "parameters": {"binary_data_size": 1e999}}'
        ),
        "binary_data_size",
    ),
    **{
        f"{name} of another extension": (tensor(ROWS, parameters={name: 1}), f"inputs.0.parameters.{name}")
        for name in inference.OTHER_EXTENSIONS
    },
    "a shape that no memory holds": (tensor([1.0], shape=[10**4000, 10**4000]), "inputs.0.shape"),
    "a shape of nothing": (tensor([1.0], shape=[], name="revenue"), "inputs.0.shape"),
    "a field that the protocol lacks": (tensor(ROWS, dtype="FP64"), "dtype"),
    "outside the domain": (tensor([ROWS[0], [*ROWS[1][:9], 101]]), "Row 1 of the inputs"),
    "infinite as FP32": (tensor([[1e300, *ROWS[0][1:]]], datatype="FP32"), "Row 0 of the inputs"),
}


def test_a_wrong_input_is_an_error_of_the_protocols_form_that_names_it(service: Service) -> None:
    for name, (wrong, said) in WRONG.items():
        answer = infer(service, wrong)
        assert 400 <= answer.status < 500, name
        assert answer.body.keys() == {"error"}, name
        assert said in answer.body["error"], name


def test_other_mistakes_have_that_form_too(service: Service) -> None:
    answers = {
        "another version": (infer(service, tensor(ROWS), path=f"{CHURN}/versions/2"), 404),
        "its metadata": (service.call("GET", f"{CHURN}/versions/2"), 404),
        "its readiness": (service.call("GET", f"{CHURN}/versions/2/ready"), 404),
        "another model": (infer(service, tensor(ROWS), path="/v2/models/rfm"), 404),
        "another output": (infer(service, tensor(ROWS), outputs=[{"name": "risk"}]), 400),
        "an output twice": (infer(service, tensor(ROWS), outputs=[{"name": "churn_probability"}] * 2), 400),
        "classes": (infer(service, tensor(ROWS), outputs=[of_output(classification=1)]), 400),
        **{
            f"binary {truth!r}": (infer(service, tensor(ROWS), **body), 400)
            for truth in ("false", "true", 0, 1, "")
            for body in (
                {"parameters": {"binary_data_output": truth}},
                {"outputs": [of_output(binary_data=truth)]},
            )
        },
        "an input twice": (infer(service, tensor(ROWS), tensor(ROWS)), 400),
        "a feature beside all": (infer(service, tensor(ROWS), tensor([1], name="revenue", shape=[1])), 400),
        "no inputs": (infer(service), 400),
        "no JSON": (service.call("POST", f"{CHURN}/infer", "{"), 400),
        "no body": (service.call("POST", f"{CHURN}/infer"), 400),
        "a query": (service.call("GET", CHURN, queryStringParameters={"a": "1"}), 400),
        **{
            f"a length of {length[:9]}": (
                service.call("POST", f"{CHURN}/infer", "{}", headers={"inference-header-content-length": length}),
                400,
            )
            for length in ("0", "3", "-1", "two", "\u00b2", "", "0" * 5000, "9" * 5000)
        },
        "too long": (service.call("POST", f"{CHURN}/infer", "[" + " " * 2**20), 413),
    }
    for name, (answer, status) in answers.items():
        assert (answer.status, list(answer.body)) == (status, ["error"]), name


def test_what_is_not_published_or_is_mock_is_not_ready(empty_service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    assert empty_service.call("GET", "/v2/health/ready").body == {"ready": False}
    ready = empty_service.call("GET", f"{CHURN}/ready")
    assert (ready.status, ready.body) == (400, {"name": "churn", "ready": False})
    answer = infer(empty_service, tensor(ROWS))
    assert (answer.status, answer.body) == (503, {"error": "No churn model is published: publish one."})
