"""The TFLite interpreter: the only import of one in the project."""

import sys
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.models.document import Refused

if sys.version_info >= (3, 12):  # as in pyproject.toml: the package's old name has no wheels for these
    from ai_edge_litert.interpreter import Interpreter

    RUNTIME_PACKAGE = "ai-edge-litert"
else:
    from tflite_runtime.interpreter import Interpreter

    RUNTIME_PACKAGE = "tflite-runtime"

__all__ = ["BATCH_SHAPES", "RUNTIME_PACKAGE", "Interpreter", "Network"]

BATCH_SHAPES = (1, 128, 256, 512, 1024, 2048, 4096)
"""Rows in one call of the interpreter: one customer, a batch request, the 2^n coalitions of what explains a customer's
score, and the chunks of anything larger."""


class Network:
    """A loaded model: float32 (n, features) in, float32 (n, outputs) out, for any n.

    Each batch shape has an interpreter whose tensors are allocated once; the last chunk is padded to the smallest
    shape that holds it. A row's answer depends neither on its neighbours nor on the shape (tested, to the bit).
    An interpreter is not thread-safe, so each thread that calls has its own.
    """

    def __init__(self, model: bytes, features: int, outputs: int) -> None:
        """Raises Refused where the interpreter cannot load the model or its shapes are not as given."""
        self._model = model
        self._features = features
        self._outputs = outputs
        self._of_thread = threading.local()
        self._interpreter(1)

    def __call__(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        rows = len(matrix)
        if rows == 1:
            return self._interpreter(1).run(matrix)
        answers = np.empty((rows, self._outputs), np.float32)
        largest = BATCH_SHAPES[-1]
        for start in range(0, rows, largest):
            chunk = matrix[start : start + largest]
            shape = next(shape for shape in BATCH_SHAPES if len(chunk) <= shape)
            answers[start : start + largest] = self._interpreter(shape).run_padded(chunk)
        return answers

    def _interpreter(self, shape: int) -> "_FixedBatch":
        interpreters: dict[Any, _FixedBatch] = self._of_thread.__dict__
        if shape not in interpreters:
            interpreters[shape] = _FixedBatch(self._model, shape, self._features, self._outputs)
        return interpreters[shape]


class _FixedBatch:
    """One interpreter for exactly `shape` rows."""

    def __init__(self, model: bytes, shape: int, features: int, outputs: int) -> None:
        try:
            self._interpreter = Interpreter(model_content=model, num_threads=1)
            inputs, results = self._interpreter.get_input_details(), self._interpreter.get_output_details()
            if len(inputs) != 1 or len(results) != 1:
                raise Refused(f"it has {len(inputs)} inputs and {len(results)} outputs, but only one of each is served")
            self._input, self._output = inputs[0]["index"], results[0]["index"]
            self._interpreter.resize_tensor_input(self._input, [shape, features], strict=True)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError, SystemError) as error:
            if isinstance(error, Refused):
                raise
            found = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise Refused(f"the interpreter cannot load it for {features} features ({found})") from error
        _check(self._interpreter.get_input_details()[0], "input", (shape, features))
        _check(self._interpreter.get_output_details()[0], "output", (shape, outputs))
        self._padded = np.zeros((shape, features), np.float32)

    def run(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """Answers for a matrix of exactly `shape` rows."""
        self._interpreter.set_tensor(self._input, matrix)
        self._interpreter.invoke()
        answers: NDArray[np.float32] = self._interpreter.get_tensor(self._output)
        return answers

    def run_padded(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """Answers for at most `shape` rows: what is left over of the padding is computed and thrown away."""
        rows = len(matrix)
        if rows == len(self._padded):
            return self.run(matrix)
        self._padded[:rows] = matrix
        return self.run(self._padded)[:rows]


def _check(tensor: Mapping[str, Any], side: str, shape: tuple[int, int]) -> None:
    if tensor["dtype"] != np.float32:
        raise Refused(f"its {side} is {np.dtype(tensor['dtype'])}, but only float32 is served")
    if tuple(tensor["shape"]) != shape:
        found = tuple(int(size) for size in tensor["shape"])
        raise Refused(f"its {side} is of shape {found}, but its card says {shape}")
