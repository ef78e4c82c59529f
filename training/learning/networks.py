"""The Keras networks, from raw feature values to probabilities, and their conversion to TFLite.

Importing this module imports TensorFlow: a second or three, so a command does it after reading its arguments.
"""

import os
import tempfile
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from loyalty_ml.customers.table import model_matrix

# Read by TensorFlow on import: its start-up notes are no news to the person at the terminal, and oneDNN's kernels
# differ from one CPU to the next, so that the same seed would train another model elsewhere.
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"

import keras
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as flatbuffer

HIDDEN_UNITS = (32, 16)
HIDDEN_FORM = "a network of 32 and 16 hidden units"
LINEAR_FORM = "without hidden layers (which were no better than logistic regression on the stopping rows)"
LEARNING_RATE = 3e-3
BATCH_ROWS = 128

# Of train_until_best: the rows of a batch; epochs until the learning rate is halved, at most, and without a better one.
FEWEST_BATCH_ROWS, MOST_BATCH_ROWS = 32, 256
BATCHES = 64
HALVED_EVERY = 10
LONGEST = 60
PATIENCE = 8
BETTER = 1e-4

NOT_SHOWN = -1.0

LARGEST = 1e30
"""A value beyond it counts as it: LiteRT's logarithm is infinite for the largest finite numbers, above 2e38."""


def reproducible(seed: int) -> None:
    """The same seed and data give the same weights, on any number of cores.

    To be called before each network is made. Raises RuntimeError where TensorFlow has already computed on more threads.
    """
    # Layers are named by a counter, and the names go into the TFLite file: counted from the start for each network.
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    # Sums are split by thread, and so rounded by it; networks this small gain nothing from a second thread.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def churn_network(sample: NDArray[np.float64], base_rate: float | None = None) -> keras.Model:
    """f features -> 32 -> 16 -> 1 sigmoid, scaled by sample: float64 (n, f), raw values.

    base_rate: the share who churned, 0 < share < 1, which the untrained network then starts from; its values are then
    bounded by the sample's too. None is for placeholders, whose sample is of nobody.
    """
    if base_rate is None:
        return _network(sample, 1, "sigmoid")
    return _network(sample, 1, "sigmoid", bias=_log_odds(np.array([base_rate])), bounded=True)


def conversion_network(sample: NDArray[np.float64], base_rates: NDArray[np.float64]) -> keras.Model:
    """f features -> 32 -> 16 -> offers, a sigmoid each: P(converts, were this offer shown), for `shown_offer_loss`.

    sample: float64 (n, f), raw values, to scale by; base_rates: (offers,), each offer's rate of conversion, in 0..1
    exclusive. An offer that was never shown stays at its base rate for everyone, as nothing is known of whom it suits.
    """
    return _network(sample, len(base_rates), "sigmoid", bias=_log_odds(base_rates), kernel="zeros", bounded=True)


def offer_network(sample: NDArray[np.float64], offers: int, shares: NDArray[np.float64] | None = None) -> keras.Model:
    """f features -> 32 -> 16 -> offers, softmax, scaled by sample: float64 (n, f), raw values.

    shares: (offers,), above 0, of the offers among those taken, which the untrained network then starts from.
    """
    if shares is None:
        return _network(sample, offers, "softmax")
    return _network(sample, offers, "softmax", bias=np.log(shares), bounded=True)


def linear_churn_network(features: NDArray[np.float64], happened: NDArray[np.bool_]) -> keras.Model:
    """f features -> 1 sigmoid: the churn network's graph without its hidden layers.

    Scaled by and fitted to features, float64 (n, f), raw values, and happened, bool (n,), of both outcomes. Its weights
    are those of `fit_linear`.
    """
    network = _network(features, 1, "sigmoid", bounded=True, hidden=())
    fitted = fit_linear(features, happened)
    network.layers[-1].set_weights([fitted.coef_.T, fitted.intercept_])
    return network


def linear_conversion_network(
    sample: NDArray[np.float64], kernel: NDArray[np.float64], bias: NDArray[np.float64]
) -> keras.Model:
    """f features -> offers, a sigmoid each: the conversion network's graph without its hidden layers.

    sample: float64 (n, f), raw values, to scale by; kernel (f, offers), bias (offers,): of features `scaled_by` it.
    """
    network = _network(sample, len(bias), "sigmoid", bounded=True, hidden=())
    network.layers[-1].set_weights([kernel, bias])
    return network


def fit_linear(features: NDArray[np.float64], happened: NDArray[np.bool_]) -> LogisticRegression:
    """Logistic regression with an L2 penalty (C = 1) on what the graph's last layer is given, `scaled_by` itself.

    On one thread, so that the sums are rounded alike on every machine.
    """
    with threadpool_limits(1):
        return LogisticRegression(max_iter=1000).fit(scaled_by(features, features), happened)


def scaled_by(sample: NDArray[np.float64], features: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64 (n, f): the logarithms of features as the graph of a network with this sample scales and bounds them."""
    scale = _scale(sample)
    standard = (_signed_log(features, np) - scale.mean) / np.sqrt(scale.variance)
    scaled: NDArray[np.float64] = np.clip(standard, scale.lowest, scale.highest)
    return scaled


def train(network: keras.Model, features: NDArray[np.float64], labels: NDArray[np.generic], epochs: int) -> None:
    """features: (n, f), raw values; labels: (n,), whether a customer churned, or the id of the offer accepted."""
    # Falling to nothing, so that which customers came in the last batches does not decide the answers.
    learning_rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, epochs * -(-len(features) // BATCH_ROWS))
    loss = "binary_crossentropy" if network.output_shape[-1] == 1 else "sparse_categorical_crossentropy"
    network.compile(optimizer=keras.optimizers.Adam(learning_rate), loss=loss, jit_compile=False)
    network.fit(features.astype(np.float32), labels, batch_size=BATCH_ROWS, epochs=epochs, verbose=0)


def train_until_best(
    network: keras.Model,
    features: NDArray[np.float64],
    labels: NDArray[np.generic],
    validation: NDArray[np.bool_],
    loss: Any,
    *,
    on_epoch: Callable[[int, float], None] = lambda _, __: None,
) -> int:
    """Trains until the loss of the rows in `validation` no longer falls, and returns to the weights of the best epoch.

    features: (n, f), raw values; labels: what the Keras loss `loss` takes, a row for each of the features;
    validation: bool (n,), the rows that are not learnt from; on_epoch: told how many epochs are over, and the loss of
    those rows. Returns the best epoch's number, from 1.

    Every row weighs the same, however rare its class. Weighting the rarer class up would move the probabilities away
    from the shares that occur, and a probability is what this service answers. What rarity does do harm to is the
    start, as a network that says 0.5 to everyone first spends epochs on the base rate: so it starts there instead.
    """
    learnt = int((~validation).sum())
    # Small sets take smaller batches, or an epoch would be over in a few steps and the longest training too short.
    batch_rows = min(max(learnt // BATCHES, FEWEST_BATCH_ROWS), MOST_BATCH_ROWS)
    # Falling, so that the last batches decide less and less; given here, because a network whose optimizer is handed
    # another learning rate later can no longer be exported.
    learning_rate = keras.optimizers.schedules.ExponentialDecay(
        LEARNING_RATE, HALVED_EVERY * -(-learnt // batch_rows), 0.5
    )
    network.compile(optimizer=keras.optimizers.Adam(learning_rate), loss=loss, jit_compile=False)
    stopping = keras.callbacks.EarlyStopping(
        monitor="val_loss", min_delta=BETTER, patience=PATIENCE, restore_best_weights=True
    )
    telling = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: on_epoch(epoch + 1, logs["val_loss"]))
    values = model_matrix(features)
    network.fit(
        values[~validation],
        labels[~validation],
        validation_data=(values[validation], labels[validation]),
        validation_batch_size=int(validation.sum()),
        batch_size=batch_rows,
        epochs=LONGEST,
        callbacks=[stopping, telling],
        verbose=0,
    )
    return int(stopping.best_epoch) + 1


def answers(network: keras.Model, features: NDArray[np.float64]) -> NDArray[np.float32]:
    """(n, outputs), for raw features (n, f). Called rather than `predict`-ed, which would compile each network anew."""
    return np.asarray(network(model_matrix(features), training=False))


def shown_offer_labels(shown: NDArray[np.int64], converted: NDArray[np.bool_], offers: int) -> NDArray[np.float32]:
    """(n, offers): 1 where the offer was shown and converted, 0 where it was shown and did not, else NOT_SHOWN."""
    labels = np.full((len(shown), offers), NOT_SHOWN, np.float32)
    labels[np.arange(len(shown)), shown] = converted
    return labels


def shown_offer_loss(labels: Any, probabilities: Any) -> Any:
    """The binary cross-entropy of the offer that was shown, (n,): both (n, offers), labels by `shown_offer_labels`.

    What was not shown teaches nothing: whether it would have converted is not known.
    """
    shown = keras.ops.cast(keras.ops.not_equal(labels, NOT_SHOWN), probabilities.dtype)
    smallest = keras.config.epsilon()
    certain = keras.ops.clip(probabilities, smallest, 1 - smallest)
    surprise = -keras.ops.where(labels > 0, keras.ops.log(certain), keras.ops.log1p(-certain))
    return keras.ops.sum(shown * surprise, axis=-1)


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


def _network(
    sample: NDArray[np.float64],
    outputs: int,
    activation: str,
    *,
    bias: NDArray[np.float64] | None = None,
    kernel: str = "glorot_uniform",
    bounded: bool = False,
    hidden: tuple[int, ...] = HIDDEN_UNITS,
) -> keras.Model:
    """bounded: a value beyond those of the sample counts as the nearest one in it. A network's answers out there are
    nobody's: on CDNOW, whose customers are all older half a year later, they cost .16 of calibration error, not .04.
    """
    scale = _scale(sample)
    inputs = keras.Input((sample.shape[1],), name="features")
    units = _signed_log(inputs, keras.ops)
    units = keras.layers.Normalization(mean=scale.mean, variance=scale.variance)(units)
    if bounded:
        units = keras.ops.clip(units, scale.lowest.astype(np.float32), scale.highest.astype(np.float32))
    for width in hidden:
        units = keras.layers.Dense(width, activation="relu")(units)
    start = "zeros" if bias is None else keras.initializers.Constant(bias)
    last = keras.layers.Dense(outputs, activation=activation, kernel_initializer=kernel, bias_initializer=start)
    return keras.Model(inputs, last(units))


class _Scale(NamedTuple):
    """Of the logarithms of each feature: mean and variance, and the standardised extremes; (f,) each."""

    mean: NDArray[np.float64]
    variance: NDArray[np.float64]
    lowest: NDArray[np.float64]
    highest: NDArray[np.float64]


def _scale(sample: NDArray[np.float64]) -> _Scale:
    logarithms = _signed_log(sample, np)
    mean, variance = logarithms.mean(axis=0), logarithms.var(axis=0)
    # A feature that never varies in the sample would be divided by nothing, and swamp the rest once it does.
    variance[variance < 1e-6] = 1
    lowest, highest = ((edge - mean) / np.sqrt(variance) for edge in (logarithms.min(0), logarithms.max(0)))
    return _Scale(mean, variance, lowest, highest)


def _log_odds(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    log_odds: NDArray[np.float64] = np.log(probability / (1 - probability))
    return log_odds


def _signed_log(values: Any, ops: Any) -> Any:
    """sign(x) * ln(1 + |x|), by numpy for the sample and by keras.ops in the graph: money and counts are skewed."""
    return ops.sign(values) * ops.log1p(ops.minimum(ops.abs(values), LARGEST))
