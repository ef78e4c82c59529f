"""The core alone: a million customers through the scoring path, against the bare interpreter on the same matrix."""

import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import sample_models
from benchmarks.measure import Result, alternate
from loyalty_ml.customers.table import DEFAULT_FEATURES
from loyalty_ml.models.card import Thresholds
from loyalty_ml.models.interpreter import RUNTIME_PACKAGE, Interpreter
from loyalty_ml.scoring.scores import CHUNK_ROWS, ActiveColumn, ChurnScores, OfferScores, score_churn, score_offers

ROWS = 1_000_000
CHUNK_SIZES = (1024, 2048, 4096, 8192, 16384)
PEAK_ROWS = 4
ACTIVE = ActiveColumn(DEFAULT_FEATURES.index("days_since_last"), 90, len(DEFAULT_FEATURES))


def run() -> Iterator[Result]:
    """scoring.*: time against the raw interpreter in its best chunk size; scoring.memory: as the rows grow."""
    matrix = customers(ROWS)
    models = sample_models.model_store().current().loaded
    for name, score in scorers().items():
        card = models[name].card
        model = sample_models.model_bytes(models[name])
        raws = {size: raw_interpreter(model, size, matrix, card.width) for size in CHUNK_SIZES}
        times = dict(zip(raws, alternate(*raws.values(), rounds=3), strict=True))
        best = min(times, key=lambda size: times[size])
        ours, theirs = alternate(partial(score, matrix), raws[best], repeats=3, rounds=7, quickest=True)
        peer = f"{RUNTIME_PACKAGE} {version(RUNTIME_PACKAGE)} interpreter, {best} rows a call"
        yield Result(f"scoring.{name}.1m", ours * 1e3, "ms", peer, theirs * 1e3, 1.2)
    small, large = (working_memory(rows) for rows in (ROWS, PEAK_ROWS * ROWS))
    yield Result(
        f"scoring.memory.{PEAK_ROWS}m", large, "MB beside input and output", "the same at 1 million rows", small, 1.2
    )


def scorers() -> dict[str, Callable[[NDArray[np.float32]], ChurnScores | OfferScores]]:
    models = sample_models.model_store().current().loaded
    return {
        "churn": lambda matrix: score_churn(matrix, models["churn"].network, Thresholds(), ACTIVE),
        "nbo": lambda matrix: score_offers(matrix, models["nbo"].network, models["nbo"].card.offers),
    }


def customers(rows: int) -> NDArray[np.float32]:
    return np.exp(np.random.default_rng(3).normal(3, 2, (rows, 10)).astype(np.float32))


def raw_interpreter(model: bytes, size: int, matrix: NDArray[np.float32], outputs: int) -> Callable[[], object]:
    """The interpreter as its documentation calls it, in chunks that divide the rows up to a last short one."""
    whole = len(matrix) // size * size

    def make(rows: int) -> tuple[Any, int, int]:
        interpreter = Interpreter(model_content=model, num_threads=1)
        place = interpreter.get_input_details()[0]["index"]
        interpreter.resize_tensor_input(place, [rows, matrix.shape[1]])
        interpreter.allocate_tensors()
        return interpreter, place, interpreter.get_output_details()[0]["index"]

    loops = [(make(size), range(0, whole, size), size)]
    if whole < len(matrix):
        loops.append((make(len(matrix) - whole), range(whole, len(matrix), size), len(matrix) - whole))

    def call() -> object:
        answers = np.empty((len(matrix), outputs), np.float32)
        for (interpreter, place, result), starts, rows in loops:
            for start in starts:
                interpreter.set_tensor(place, matrix[start : start + rows])
                interpreter.invoke()
                answers[start : start + rows] = interpreter.get_tensor(result)
        return answers

    return call


def working_memory(rows: int) -> float:
    """Peak megabytes that scoring allocates beside its output; the interpreter's tensors are there before."""
    score = scorers()["churn"]
    score(customers(CHUNK_ROWS))
    matrix = np.ones((rows, 10), np.float32)
    tracemalloc.start()
    scores = score(matrix)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (peak - sum(column.nbytes for column in scores)) / 2**20
