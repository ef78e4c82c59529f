import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from loyalty_ml.models.manifest import RfmCutPoints
from loyalty_ml.scoring.rfm import score_rfm
from training.learning.cut_points import rfm_cut_points

pytestmark = pytest.mark.unit

values = st.one_of(
    st.integers(-3, 30).map(float),  # many ties
    st.floats(-1e9, 1e9, allow_nan=False),
)
NAMES = ("recency", "frequency", "monetary")
bases = st.integers(1, 60).flatmap(lambda n: arrays(np.float64, (n, 3), elements=values))


def by_the_rule(base: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """1 + floor(5 * (customers strictly worse) / n), written as the contract has it: one score a feature."""
    worse = np.array(
        [[(base[:, 0] > r).sum(), (base[:, 1] < f).sum(), (base[:, 2] < m).sum()] for r, f, m in asked], int
    )
    found: np.ndarray = np.minimum(1 + 5 * worse // len(base), 5)
    return found


def scores(asked: np.ndarray, cut_points: RfmCutPoints) -> np.ndarray:
    scored = score_rfm(asked, cut_points)
    return np.column_stack([scored.r_score, scored.f_score, scored.m_score])


@given(bases)
def test_cut_points_give_each_customer_of_the_base_the_score_of_the_rule(base: np.ndarray) -> None:
    assert np.array_equal(scores(base, rfm_cut_points(base, NAMES, "v")), by_the_rule(base, base))


@given(bases, bases)
def test_customers_outside_the_base_are_scored_by_the_rule_too(base: np.ndarray, asked: np.ndarray) -> None:
    assert np.array_equal(scores(asked, rfm_cut_points(base, NAMES, "v")), by_the_rule(base, asked))


@given(bases)
def test_cut_points_survive_the_manifest(base: np.ndarray) -> None:
    cut_points = rfm_cut_points(base, NAMES, "v")
    assert RfmCutPoints.model_validate_json(cut_points.model_dump_json()) == cut_points
    assert cut_points.features == NAMES
