"""Where risk bands begin: shares of customers, ties and all, or what was fixed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_ml.models.card import Thresholds
from loyalty_ml.scoring.scores import RISKS, risk_band
from training.config import Bands
from training.errors import Problem
from training.learning import bands

pytestmark = pytest.mark.unit


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=300), st.floats(0.01, 0.5), st.floats(0.01, 0.5))
def test_thresholds_are_valid_whatever_the_scores(scores: list[float], high: float, medium: float) -> None:
    array = np.array(scores, np.float32)
    found = bands.thresholds(Bands(high_share=high, medium_share=medium), array)
    assert 0 < found.medium <= found.high <= 1


def test_bands_have_the_shares_that_were_asked_for() -> None:
    scores = np.random.default_rng(1).random(5000).astype(np.float32)
    band = risk_band(scores, bands.thresholds(Bands(), scores))
    assert (band == RISKS.index("high")).sum() == 500
    assert (band == RISKS.index("medium")).sum() == 1000
    other = risk_band(scores, bands.thresholds(Bands(high_share=0.03), scores))
    assert (other == RISKS.index("high")).sum() == 150


def test_those_who_tie_are_in_one_band() -> None:
    """A tenth is asked for: 300 of 1,000 have the highest score, and nobody less than them could be high."""
    scores = np.repeat(np.array([0.8, 0.5, 0.1], np.float32), [300, 40, 660])
    found = bands.thresholds(Bands(), scores)
    assert found.high == pytest.approx(0.8)
    assert found.medium == pytest.approx(0.8)  # 300 are nearer to 30 % than 340
    few = np.repeat(np.array([0.9, 0.8, 0.1], np.float32), [80, 300, 620])
    assert bands.thresholds(Bands(), few).high == pytest.approx(0.9)  # 80 are nearer to a tenth than 380


def test_fixed_bands_are_taken_as_they_are() -> None:
    assert bands.thresholds(Bands(high=0.6, medium=0.3), np.empty(0, np.float32)) == Thresholds(high=0.6, medium=0.3)


def test_shares_of_nobody_are_refused() -> None:
    with pytest.raises(Problem, match=r"nobody .* is active: raise \[windows\] active_days"):
        bands.thresholds(Bands(), np.empty(0, np.float32))
