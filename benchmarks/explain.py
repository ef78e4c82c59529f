"""Reasons: what an explained customer costs beside the bare interpreter and beside shap's exact explainer."""

from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import predict, sample_models
from benchmarks.measure import Result, alternate
from benchmarks.scoring import customers, raw_interpreter
from loyalty_ml.models.interpreter import RUNTIME_PACKAGE
from loyalty_ml.models.store import LoadedModel
from loyalty_ml.scoring import explainers
from loyalty_ml.scoring.reasons import coalitions, contributions
from loyalty_ml.scoring.scores import score_churn
from loyalty_ml.vocabulary import PredictionType

MICROSECONDS = 1e6
INTERPRETER_BAR = 2.0
WORDS_BAR = 3.0
"""With a sentence for each of ten features, of 1.7 us each: 2.3 when it was measured."""
HUNDRED_BAR = 1.0
"""Of a hundred customers beside a hundred times one."""
SHAP_BAR = 0.1
SAME_VALUE = 1e-5
CUSTOMERS = 100


def run() -> Iterator[Result]:
    """explain.one beside the interpreter on the same coalitions, explain.shap beside shap, explain.100 beside one."""
    model = sample_models.model_store().current().loaded["churn"]
    row, baseline = customers(1)[0], baseline_of(model)
    matrix = np.where(coalitions(len(row)), row, baseline)
    raw = raw_interpreter(sample_models.model_bytes(model), len(matrix), matrix, model.card.width)
    explain, values = explainers.churn(model.card, model.network), row[np.newaxis].astype(np.float64)
    scores = score_churn(row[np.newaxis], model.network, model.card.thresholds)
    answered = float(scores.probability[0])
    ours, in_words, theirs = alternate(
        partial(values_of, model, row, baseline, answered),
        lambda: explain(values, scores, None),
        raw,
        repeats=50,
        quickest=True,
    )
    peer = f"{RUNTIME_PACKAGE} {version(RUNTIME_PACKAGE)} interpreter, the same {len(matrix):,} coalitions in one call"
    yield Result("explain.one", ours * MICROSECONDS, "us", peer, theirs * MICROSECONDS, INTERPRETER_BAR)
    yield Result("explain.words", in_words * MICROSECONDS, "us", peer, theirs * MICROSECONDS, WORDS_BAR)
    yield from beside_shap(model, baseline)
    yield from requests()


def baseline_of(model: LoadedModel) -> NDArray[np.float32]:
    assert model.card.baseline
    return np.array([model.card.baseline.values[name] for name in model.card.features], np.float32)


def values_of(
    model: LoadedModel, row: NDArray[np.float32], baseline: NDArray[np.float32], answered: float
) -> NDArray[np.float64]:
    """A customer's contributions, checked against what was answered."""

    def score(matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        return model.network(matrix)[:, 0].astype(np.float64)

    return contributions(row, baseline, [[place] for place in range(len(row))], score, answered).values


def beside_shap(model: LoadedModel, baseline: NDArray[np.float32]) -> Iterator[Result]:
    """Raises AssertionError where the two do not give the same values."""
    import shap  # noqa: PLC0415  it takes seconds

    def score(matrix: Any) -> NDArray[np.float64]:
        return model.network(np.asarray(matrix, np.float32))[:, 0].astype(np.float64)

    explainer = shap.explainers.Exact(score, shap.maskers.Independent(baseline[np.newaxis].astype(np.float64)))
    rows = customers(10)
    theirs_of_rows = explainer(rows.astype(np.float64)).values
    answered = score(rows).tolist()
    ours_of_rows = np.array([values_of(model, row, baseline, own) for row, own in zip(rows, answered, strict=True)])
    apart = np.abs(theirs_of_rows - ours_of_rows).max()
    assert apart <= SAME_VALUE, f"shap's values differ by up to {apart}"
    row = rows[0]
    alone = row[np.newaxis].astype(np.float64)
    ours, theirs = alternate(
        partial(values_of, model, row, baseline, answered[0]),
        lambda: explainer(alone),
        repeats=10,
        rounds=11,
        quickest=True,
    )
    peer = f"shap {version('shap')} Exact, the same values to {apart:.0e}"
    yield Result("explain.shap", ours * MICROSECONDS, "us", peer, theirs * MICROSECONDS, SHAP_BAR)


def requests() -> Iterator[Result]:
    """A batch of 100 explained customers beside 100 times a batch of one."""
    predict.serve_from_memory()
    types: tuple[PredictionType, ...] = ("churn", "nbo")
    for prediction_type in types:
        one, hundred = (predict.batch(prediction_type, count, explain=True) for count in (1, CUSTOMERS))
        with predict.quiet():
            small, large = alternate(one, hundred, repeats=10, rounds=11, quickest=True)
        peer = f"{CUSTOMERS} times the same of one customer"
        name = f"explain.{CUSTOMERS}.{prediction_type}"
        yield Result(name, large * 1e3, "ms", peer, CUSTOMERS * small * 1e3, HUNDRED_BAR)
