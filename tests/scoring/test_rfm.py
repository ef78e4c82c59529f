"""RFM against the contract's rule and table, written out the slow way."""

from bisect import bisect_left
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_ml.models.manifest import FIXED_CUT_POINTS, Manifest, RfmCutPoints
from loyalty_ml.models.store import ModelSet
from loyalty_ml.scoring.rfm import score_rfm, segment_name
from loyalty_ml.scoring.scorers import scorer_for

pytestmark = pytest.mark.unit

NAMES = {
    "Hibernating": ["11", "12", "21", "22"],
    "At Risk": ["13", "14", "23", "24"],
    "Can't Lose Them": ["15", "25"],
    "About to Sleep": ["31", "32"],
    "Need Attention": ["33"],
    "Loyal Customers": ["34", "35", "44", "45"],
    "Promising": ["41"],
    "New Customers": ["51"],
    "Potential Loyalists": ["42", "43", "52", "53"],
    "Champions": ["54", "55"],
}


def test_all_125_codes_have_the_contracts_name() -> None:
    expected = {code: name for name, codes in NAMES.items() for code in codes}
    assert len(expected) == 25
    for code, name in expected.items():
        assert segment_name(int(code[0]), int(code[1])) == name


@given(
    recency=st.floats(0, 400) | st.sampled_from([30, 60, 90, 180]),
    frequency=st.integers(0, 40),
    monetary=st.floats(0, 2000) | st.sampled_from([100, 200, 500, 1000]),
)
def test_without_published_cut_points_the_fixed_ones_apply(recency: float, frequency: int, monetary: float) -> None:
    scores = score_rfm(np.array([[recency, frequency, monetary]], np.float64), FIXED_CUT_POINTS)
    steps = zip((5, 4, 3, 2), (30, 60, 90, 180), (20, 10, 5, 2), (1000, 500, 200, 100), strict=True)
    expected = [1, 1, 1]
    for score, days, count, money in reversed(list(steps)):
        expected[0] = score if recency <= days else expected[0]
        expected[1] = score if frequency >= count else expected[1]
        expected[2] = score if monetary >= money else expected[2]
    assert [scores.r_score[0], scores.f_score[0], scores.m_score[0]] == expected


@given(st.lists(st.integers(0, 30), min_size=1, max_size=200))
def test_cut_points_carry_the_contracts_rule_to_every_customer(counts: list[int]) -> None:
    """Score = 1 + floor(5 * (customers strictly worse) / n): the least value that earns s is the cut point of s."""
    ordered = sorted(counts)

    def by_rule(count: int) -> int:
        return 1 + 5 * bisect_left(ordered, count) // len(ordered)

    earns = [min((count for count in ordered if by_rule(count) >= score), default=np.inf) for score in (5, 4, 3, 2)]
    # Infinity for a score that nobody earns is not for publishing, so it is built past the validation.
    fields: dict[str, Any] = {"recency": (0, 0, 0, 0), "frequency": tuple(earns), "monetary": tuple(earns)}
    cuts = RfmCutPoints.model_construct(version="test", **fields)
    values = np.array([[0, count, count] for count in counts], np.float64)
    scores = score_rfm(values, cuts)
    assert scores.f_score.tolist() == scores.m_score.tolist() == [by_rule(count) for count in counts]


def test_customers_with_the_same_history_get_the_same_scores() -> None:
    scores = score_rfm(np.array([[10, 1, 50]] * 60 + [[5, 3, 80]] * 40, np.float64), FIXED_CUT_POINTS)
    assert len(set(scores.f_score[:60].tolist())) == 1


@pytest.mark.parametrize("field", ["recency", "frequency"])
def test_cut_points_out_of_order_are_refused(field: str) -> None:
    good = FIXED_CUT_POINTS.model_dump()
    with pytest.raises(ValueError, match=f"the {field} cut points"):
        RfmCutPoints(**{**good, field: tuple(reversed(good[field]))})


def test_what_is_read_is_what_the_cut_points_name() -> None:
    narrow = FIXED_CUT_POINTS.model_copy(
        update={
            "features": ("days_since_last", "rfm_transaction_count", "rfm_revenue"),
            "domains": None,
            "baseline": None,
        }
    )
    published = Manifest(created=datetime(2026, 1, 1, tzinfo=UTC), rfm=narrow)
    assert scorer_for("rfm", ModelSet(published), "false").features == narrow.features
    assert scorer_for("rfm", ModelSet(), "false").features == (
        "days_since_last",
        "lifetime_transaction_count",
        "lifetime_value",
    )


def test_a_set_from_before_cut_points_named_their_features_reads_those_of_a_year() -> None:
    stored = FIXED_CUT_POINTS.model_dump(mode="json", exclude={"features", "domains", "baseline"})
    cut_points = RfmCutPoints.model_validate(stored)
    assert cut_points.features == ("days_since_last", "transaction_count", "revenue")
