"""One way to score: whatever else is in the table, and however it is cut up, a customer's answer is the same bits."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from loyalty_ml.customers.table import DEFAULT_FEATURES, LIFETIME_TRANSACTION_COUNT, FeatureTable, model_matrix
from loyalty_ml.errors import LoyaltyError
from loyalty_ml.models.card import DEFAULT_OFFERS, Thresholds
from loyalty_ml.models.interpreter import BATCH_SHAPES
from loyalty_ml.models.manifest import FIXED_CUT_POINTS
from loyalty_ml.scoring import mock, rfm
from loyalty_ml.scoring.answers import OfferAnswers
from loyalty_ml.scoring.predictions import Predictions, predict
from loyalty_ml.scoring.scorers import scorer_for
from loyalty_ml.scoring.scores import RISKS, OfferScores, risk_band, score_churn, score_offers
from loyalty_ml.vocabulary import PredictionType
from tests import sample_set
from tests.examples import examples

pytestmark = pytest.mark.unit

MODELS = sample_set.model_set()
TYPES: tuple[PredictionType, ...] = ("churn", "nbo", "rfm")
WIDTH = len(DEFAULT_FEATURES)
STORED = (*DEFAULT_FEATURES, LIFETIME_TRANSACTION_COUNT)

# Any float32 can be stored for a customer: zeros, subnormals and 1e38 as well as likely values.
likely = st.floats(0, 1e5, width=32)
any_finite = st.floats(allow_nan=False, allow_infinity=False, width=32)
customers = st.integers(1, 130).flatmap(lambda n: arrays(np.float64, (n, len(STORED)), elements=likely | any_finite))


def predict_rows(prediction_type: PredictionType, values: NDArray[np.float64], rows: Sequence[int]) -> Predictions:
    """Predictions for some rows, read as a feature store would: the features asked for, by name."""

    def read(customer_ids: Sequence[str], names: Sequence[str]) -> FeatureTable:
        columns = [STORED.index(name) for name in names]
        part = values[[int(customer_id) for customer_id in customer_ids]][:, columns]
        return FeatureTable(customer_ids, tuple(names), part, absent=None, found=None, as_of=sample_set.AS_OF)

    return predict(prediction_type, [str(row) for row in rows], MODELS, read, "auto")


def comparable(predictions: Predictions) -> dict[str, object]:
    """Outcomes by id, a failure as its code and sentence."""
    return {
        customer_id: (outcome.code, outcome.message) if isinstance(outcome, LoyaltyError) else outcome
        for customer_id, outcome in predictions.outcomes.items()
    }


@pytest.mark.parametrize("prediction_type", TYPES)
@given(values=customers, data=st.data())
@settings(max_examples=examples(60))
def test_single_equals_batch_in_any_order(
    prediction_type: PredictionType, values: NDArray[np.float64], data: st.DataObject
) -> None:
    rows = data.draw(st.permutations(range(len(values))))[:100]
    batch = comparable(predict_rows(prediction_type, values, rows))
    for row in rows[:20]:
        assert comparable(predict_rows(prediction_type, values, [row])) == {str(row): batch[str(row)]}


@pytest.mark.parametrize("prediction_type", TYPES)
@given(seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.integers(1, 9999), max_size=5, unique=True))
@settings(max_examples=examples(20))
def test_a_table_scores_the_same_in_any_chunks(prediction_type: PredictionType, seed: int, cuts: list[int]) -> None:
    scorer = scorer_for(prediction_type, MODELS, "auto")
    generator = np.random.default_rng(seed)
    values = np.exp(generator.normal(3, 3, (10_000, len(scorer.features))))
    ids = [str(row) for row in range(len(values))]
    whole = scorer.score(ids, scorer.matrix(values))
    parts = [
        scorer.score(ids[start:end], scorer.matrix(values[start:end]))
        for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(values)], strict=True)
    ]
    for place, column in enumerate(whole):
        assert np.concatenate([part[place] for part in parts]).tobytes() == np.ascontiguousarray(column).tobytes()


@pytest.mark.parametrize("rows", [1, 2, 127, 128, 129, 256, 257, 512, 513, 1024, 1025, 2048, 2049, 4096, 4097, 8193])
def test_every_batch_shape_and_its_edges_give_the_same_bits(rows: int) -> None:
    assert BATCH_SHAPES == (1, 128, 256, 512, 1024, 2048, 4096), "the sizes above are these shapes and their neighbours"
    matrix = np.exp(np.random.default_rng(rows).normal(3, 3, (rows, WIDTH))).astype(np.float32)
    for model in MODELS.loaded.values():
        together = model.network(matrix)
        one_by_one = np.concatenate([model.network(matrix[row : row + 1]) for row in range(rows)])
        assert together.tobytes() == one_by_one.tobytes()
        assert together.shape == (rows, model.card.width)


def test_an_answer_is_not_overwritten_by_the_next() -> None:
    network = MODELS.loaded["churn"].network
    first = network(np.full((1, WIDTH), 5, np.float32))
    kept = first.copy()
    network(np.full((1, WIDTH), 500, np.float32))
    assert np.array_equal(first, kept)


def test_different_customers_get_different_answers() -> None:
    values = np.exp(np.random.default_rng(7).normal(3, 2, (200, WIDTH))).astype(np.float32)
    churn = score_churn(values, MODELS.loaded["churn"].network, Thresholds())
    assert len(np.unique(churn.probability)) > 150
    offers = score_offers(values, MODELS.loaded["nbo"].network)
    assert len(np.unique(offers.best)) > 1
    assert np.allclose(offers.probabilities.sum(axis=1), 1, atol=1e-5)


@given(
    probability=st.floats(0, 1, width=32) | st.sampled_from([0.7, 0.4, float(np.float32(0.7)), float(np.float32(0.4))])
)
def test_the_risk_band_agrees_with_the_number_that_is_shown(probability: float) -> None:
    shown = np.float32(probability)
    expected = "high" if float(shown) >= 0.7 else "medium" if float(shown) >= 0.4 else "low"
    assert RISKS[risk_band(np.array([shown]), Thresholds())[0]] == expected


@given(
    arrays(np.float32, st.tuples(st.sampled_from([1, 5, 5000]), st.just(8)), elements=st.sampled_from([0, 0.125, 0.5]))
)
def test_offers_are_ranked_best_first_and_ties_by_id(probabilities: NDArray[np.float32]) -> None:
    scores = score_offers(np.zeros((len(probabilities), WIDTH), np.float32), lambda _: probabilities)
    assert scores.best.tolist() == probabilities.argmax(axis=1).tolist()
    shown = [str(row) for row in range(min(len(probabilities), 5))]
    part = OfferScores(probabilities[: len(shown)], scores.best[: len(shown)])
    for row, result in enumerate(OfferAnswers(DEFAULT_OFFERS).results(shown, part)):
        ranked = [offer["offer_id"] for offer in result["offers"]]
        assert ranked == sorted(range(8), key=lambda offer: (-probabilities[row, offer], offer))
        assert ranked[0] == scores.best[row]


def test_a_float64_too_large_for_float32_is_infinite_without_a_warning() -> None:
    assert np.isinf(model_matrix(np.array([[1e300]]))[0, 0])


@given(st.lists(st.text(min_size=1), min_size=1, max_size=20, unique=True))
def test_mock_answers_depend_on_the_id_alone_and_are_plausible(customer_ids: list[str]) -> None:
    churn, offers = mock.mock_churn(customer_ids), mock.mock_offers(customer_ids)
    assert ((churn.probability >= 0) & (churn.probability < 1)).all()
    assert np.allclose(offers.probabilities.sum(axis=1), 1, atol=1e-6)
    alone = mock.mock_offers(customer_ids[-1:])
    assert alone.probabilities.tobytes() == offers.probabilities[-1:].tobytes()
    assert mock.mock_churn(customer_ids[-1:]).probability.tobytes() == churn.probability[-1:].tobytes()


def outputs() -> dict[str, NDArray[Any]]:
    """Both models' answers and the RFM scores of 2,000 customers: what another interpreter must give too."""
    matrix = np.exp(np.random.default_rng(11).normal(3, 3, (2000, WIDTH))).astype(np.float32)
    scores = rfm.score_rfm(matrix[:, :3].astype(np.float64), FIXED_CUT_POINTS)
    networks = {name: MODELS.loaded[name].network(matrix) for name in sorted(MODELS.loaded)}
    return networks | {f"rfm {name}": column for name, column in scores._asdict().items()}
