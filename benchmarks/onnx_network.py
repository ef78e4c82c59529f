"""A network of training.learning as ONNX, for the peer that runs those: the same weights, operation by operation."""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from training.learning.networks import LARGEST


def to_onnx(network: Any) -> bytes:
    """From a Keras placeholder churn network, of which each operation is written here by hand."""
    weights: dict[str, Any] = {"one": np.ones(1), "largest": np.array([LARGEST])}
    nodes = [
        helper.make_node("Sign", ["features"], ["sign"]),
        helper.make_node("Abs", ["features"], ["size"]),
        helper.make_node("Min", ["size", "largest"], ["bounded"]),
        helper.make_node("Add", ["bounded", "one"], ["above"]),
        helper.make_node("Log", ["above"], ["log"]),
        helper.make_node("Mul", ["sign", "log"], ["scaled"]),
    ]
    units = "scaled"
    for layer in network.layers:
        kind, name = type(layer).__name__, layer.name
        if kind == "Normalization":
            weights |= {f"{name}.mean": layer.mean, f"{name}.deviation": np.sqrt(layer.variance)}
            nodes += [
                helper.make_node("Sub", [units, f"{name}.mean"], [f"{name}.centred"]),
                helper.make_node("Div", [f"{name}.centred", f"{name}.deviation"], [name]),
            ]
            units = name
        elif kind == "Dense":
            weights |= {f"{name}.kernel": layer.kernel, f"{name}.bias": layer.bias}
            activation = {"relu": "Relu", "sigmoid": "Sigmoid"}[layer.activation.__name__]
            nodes += [
                helper.make_node("Gemm", [units, f"{name}.kernel", f"{name}.bias"], [f"{name}.sum"]),
                helper.make_node(activation, [f"{name}.sum"], [name]),
            ]
            units = name
    features = helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, network.input_shape[1]])
    answers = helper.make_tensor_value_info(units, TensorProto.FLOAT, [None, network.output_shape[1]])
    constants = [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "churn", [features], [answers], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    serialized: bytes = model.SerializeToString()
    return serialized
