"""What is the same in every peer's service: customers' features in memory, the two models, the contract's answers."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DATA = Path(os.environ["BENCH_DATA"])
"""A folder: customers.npy, float64 (n, features), whose first row is customer "0"; each model's file and its card."""

FEATURES_AS_OF = "2018-01-02T00:00:00Z"
NOT_FOUND = {"error": "Customer not found in DWH", "code": "CUSTOMER_NOT_FOUND"}

Matrix = NDArray[np.float32]
Network = Callable[[Matrix], Matrix]


class Model:
    """One of the two models, `name`: "churn" or "nbo"."""

    def __init__(self, name: str, network: Network) -> None:
        self.name = name
        self.network = network
        self.card = json.loads((DATA / f"{name}.json").read_text())
        self.info = {field: self.card[field] for field in ("name", "version", "placeholder")}

    def results(self, customer_ids: Sequence[str], features: Matrix) -> list[dict[str, Any]]:
        """A result for each customer; features: (n, features)."""
        probabilities = self.network(features).tolist()
        if self.name == "nbo":
            return [
                self.nbo_result(customer_id, row) for customer_id, row in zip(customer_ids, probabilities, strict=True)
            ]
        risks = self.risks(probabilities, features)
        return [
            {"customer_id": customer_id, "churn_probability": probability, "churn_risk": risk}
            for customer_id, (probability,), risk in zip(customer_ids, probabilities, risks, strict=True)
        ]

    def risks(self, probabilities: list[list[float]], features: Matrix) -> list[str]:
        """Of a churn model's answers for these customers."""
        rule, thresholds = self.card["active"], self.card["thresholds"]
        days = features[:, self.card["features"].index(rule["feature"])].tolist()
        return [
            "lapsed"
            if since > rule["days"]
            else next((risk for risk in ("high", "medium") if probability >= thresholds[risk]), "low")
            for (probability,), since in zip(probabilities, days, strict=True)
        ]

    def nbo_result(self, customer_id: str, probabilities: list[float]) -> dict[str, Any]:
        offers = [
            {**offer, "probability": probability}
            for offer, probability in zip(self.card["offers"], probabilities, strict=True)
        ]
        offers.sort(key=lambda offer: -offer["probability"])
        return {
            "customer_id": customer_id,
            "recommended_offer": offers[0]["offer_id"],
            "confidence": offers[0]["probability"],
            "offer_scores": probabilities,
            "offers": offers,
            "top_offer": offers[0],
        }


class Loyalty:
    """Both models over the table of customers."""

    def __init__(self, load: Callable[[str], Network]) -> None:
        """load: the network of the model of this name."""
        self.models = {name: Model(name, load(name)) for name in ("churn", "nbo")}
        self.features = customers()
        self.rows = {str(row): row for row in range(len(self.features))}

    def single(self, prediction_type: str, customer_id: str) -> dict[str, Any]:
        """Raises KeyError for an unknown customer."""
        model = self.models[prediction_type]
        row = self.rows[customer_id]
        (result,) = model.results([customer_id], self.features[row : row + 1])
        answer = {"type": prediction_type, "mode": "single", "customer_id": customer_id, "result": result}
        return answer | {"mock": False, "model": model.info, "features_as_of": FEATURES_AS_OF}

    def batch(self, prediction_type: str, customer_ids: Sequence[str]) -> dict[str, Any]:
        model = self.models[prediction_type]
        known = [customer_id for customer_id in customer_ids if customer_id in self.rows]
        results = model.results(known, self.features[[self.rows[customer_id] for customer_id in known]])
        return {
            "type": prediction_type,
            "mode": "batch",
            "total": len(customer_ids),
            "successful": len(known),
            "failed": len(customer_ids) - len(known),
            "results": [
                {"customer_id": customer_id, "result": result}
                for customer_id, result in zip(known, results, strict=True)
            ],
            "errors": [
                {"customer_id": customer_id, **NOT_FOUND}
                for customer_id in customer_ids
                if customer_id not in self.rows
            ],
            "mock": False,
            "model": model.info,
            "features_as_of": FEATURES_AS_OF,
        }


def customers() -> Matrix:
    """Every customer's features, (n, features)."""
    table: NDArray[np.float64] = np.load(DATA / "customers.npy")
    return table.astype(np.float32)


def litert_network(name: str) -> Network:
    """The model's .tflite: an interpreter for each number of rows, so that its tensors are allocated once."""
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415  where Keras answers, it is not installed

    interpreters: dict[int, Any] = {}

    def network(features: Matrix) -> Matrix:
        interpreter = interpreters.get(len(features))
        if interpreter is None:
            interpreter = interpreters[len(features)] = Interpreter(str(DATA / f"{name}.tflite"), num_threads=1)
            interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], features.shape)
            interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], features)
        interpreter.invoke()
        output: Matrix = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        return output

    return network


def keras_network(name: str) -> Network:
    """The same weights as a .keras file, by `predict`."""
    import keras  # noqa: PLC0415  it takes seconds, which the others need not wait for

    model = keras.models.load_model(DATA / f"{name}.keras")
    return lambda features: model.predict(features, verbose=0)


def keras_call_network(name: str) -> Network:
    """The same by `model(features)`, which Keras's documentation of `predict` advises for few rows."""
    import keras  # noqa: PLC0415  as above

    model = keras.models.load_model(DATA / f"{name}.keras")
    return lambda features: model(features, training=False).numpy()
