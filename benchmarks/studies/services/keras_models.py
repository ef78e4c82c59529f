"""python -m ...keras_models: the .tflite models' weights in Keras models, saved beside them."""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter

from benchmarks.studies.services.loyalty import DATA, customers, litert_network

LARGEST = 1e30  # as in training/learning/networks.py, which made the graph
ROUNDING = 5e-6  # of float32 sums in another order, for the worst of all customers


def main() -> None:
    features = customers()
    for name in ("churn", "nbo"):
        model = keras_model(str(DATA / f"{name}.tflite"), "sigmoid" if name == "churn" else "softmax")
        difference = np.abs(model.predict(features, verbose=0) - litert_network(name)(features)).max()
        if not difference < ROUNDING:
            raise SystemExit(f"The Keras model of {name} answers otherwise than its .tflite, by {difference:.1e}.")
        model.save(DATA / f"{name}.keras")


def keras_model(tflite: str, activation: str) -> keras.Model:
    """sign(x) ln(1 + |x|), scaled, and three dense layers: what training.learning builds, with the file's weights."""
    interpreter = Interpreter(tflite)
    interpreter.allocate_tensors()
    operations = interpreter._get_ops_details()

    def constants(operation: str) -> list[list[np.ndarray]]:
        return [
            [interpreter.get_tensor(index) for index in each["inputs"][1:]]
            for each in operations
            if each["op_name"] == operation
        ]

    ((mean,),) = constants("SUB")
    scale = constants("MUL")[-1][0]  # 1 / standard deviation; the MUL before it is the sign's
    inputs = keras.Input((mean.shape[-1],), name="features")
    size = keras.ops.log1p(keras.ops.minimum(keras.ops.abs(inputs), LARGEST))
    units = keras.ops.sign(inputs) * size
    units = keras.layers.Normalization(mean=mean[0], variance=1 / scale[0].astype(np.float64) ** 2)(units)
    dense = constants("FULLY_CONNECTED")
    for place, (weights, _) in enumerate(dense, 1):
        units = keras.layers.Dense(len(weights), activation=activation if place == len(dense) else "relu")(units)
    model = keras.Model(inputs, units)
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    for layer, (weights, bias) in zip(layers, dense, strict=True):
        layer.set_weights([weights.T, bias])
    return model


if __name__ == "__main__":
    main()
