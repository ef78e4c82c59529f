"""The two Keras networks, from raw feature values to probabilities, and their conversion to TFLite.

Importing this module imports TensorFlow: a second or three, so a command does it after reading its arguments.
"""

import os
import tempfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Read by TensorFlow on import: its start-up notes are no news to the person at the terminal, and oneDNN's kernels
# differ from one CPU to the next, so that the same seed would train another model elsewhere.
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"

import keras
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as flatbuffer

HIDDEN_UNITS = (32, 16)
LEARNING_RATE = 3e-3
BATCH_ROWS = 128

LARGEST = 1e30
"""A value beyond it counts as it: LiteRT's logarithm is infinite for the largest finite numbers, above 2e38."""


def reproducible(seed: int) -> None:
    """The same seed and data give the same weights, on any number of cores. To be called once, before any network."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    # Sums are split by thread, and so rounded by it; networks this small gain nothing from a second thread.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def churn_network(sample: NDArray[np.float64]) -> keras.Model:
    """f features -> 32 -> 16 -> 1 sigmoid, scaled by sample: float64 (n, f), raw values."""
    return _network(sample, 1, "sigmoid")


def offer_network(sample: NDArray[np.float64], offers: int) -> keras.Model:
    """f features -> 32 -> 16 -> offers, softmax, scaled by sample: float64 (n, f), raw values."""
    return _network(sample, offers, "softmax")


def train(network: keras.Model, features: NDArray[np.float64], labels: NDArray[np.generic], epochs: int) -> None:
    """features: (n, f), raw values; labels: (n,), whether a customer churned, or the id of the offer accepted."""
    # Falling to nothing, so that which customers came in the last batches does not decide the answers.
    learning_rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, epochs * -(-len(features) // BATCH_ROWS))
    loss = "binary_crossentropy" if network.output_shape[-1] == 1 else "sparse_categorical_crossentropy"
    network.compile(optimizer=keras.optimizers.Adam(learning_rate), loss=loss, jit_compile=False)
    network.fit(features.astype(np.float32), labels, batch_size=BATCH_ROWS, epochs=epochs, verbose=0)


def to_tflite(network: keras.Model) -> bytes:
    """float32 throughout, any number of rows, built-in operations only: what every TFLite runtime can load."""
    with tempfile.TemporaryDirectory() as folder:
        # Through a saved model: converted from a function, the weights of some networks are left as variables.
        network.export(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        model: bytes = converter.convert()
    return model


def op_versions(model: bytes) -> dict[str, int]:
    """The highest version of each operation in a TFLite model: a runtime must know them all to load it."""
    names = {number: name for name, number in vars(flatbuffer.BuiltinOperator).items() if not name.startswith("_")}
    root = flatbuffer.Model.GetRootAs(model)
    versions: dict[str, int] = {}
    for index in range(root.OperatorCodesLength()):
        operator = root.OperatorCodes(index)
        name = names[operator.BuiltinCode()]
        versions[name] = max(operator.Version(), versions.get(name, 0))
    return dict(sorted(versions.items()))


def _network(sample: NDArray[np.float64], outputs: int, activation: str) -> keras.Model:
    scaled = _signed_log(sample, np)
    variance = scaled.var(axis=0)
    # A feature that never varies in the sample would be divided by nothing, and swamp the rest once it does.
    variance[variance < 1e-6] = 1
    inputs = keras.Input((sample.shape[1],), name="features")
    units = _signed_log(inputs, keras.ops)
    units = keras.layers.Normalization(mean=scaled.mean(axis=0), variance=variance)(units)
    for width in HIDDEN_UNITS:
        units = keras.layers.Dense(width, activation="relu")(units)
    return keras.Model(inputs, keras.layers.Dense(outputs, activation=activation)(units))


def _signed_log(values: Any, ops: Any) -> Any:
    """sign(x) * ln(1 + |x|), by numpy for the sample and by keras.ops in the graph: money and counts are skewed."""
    return ops.sign(values) * ops.log1p(ops.minimum(ops.abs(values), LARGEST))
