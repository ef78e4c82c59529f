"""The words of a reason: numbers as people say them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_ml.models.baseline import DEFAULT_WORDS, Baseline, of_one
from loyalty_ml.scoring.explainers import Sayings, amount_in_words, number_in_words

pytestmark = pytest.mark.unit


@given(st.floats(-2, 2) | st.floats(-0.01, 0.01) | st.integers(-12, 12) | st.sampled_from([0.0, -0.0, 1e-17, -0.0049]))
def test_a_contribution_has_a_sign_if_and_only_if_it_is_something(contribution: float) -> None:
    said = amount_in_words(contribution)
    assert abs(float(said) - contribution) <= 0.005
    if abs(contribution) >= 0.00005:
        assert said[0] == ("+" if contribution > 0 else "-")
        assert abs(float(said) - contribution) <= abs(contribution)
        assert float(said)
    else:
        assert said in ("0", "0.00")


def words(feature: str, value: float, of: str | None = None) -> str:
    baseline = Baseline(values={feature: 7.0}, words={feature: of} if of else {})
    return Sayings(baseline).of_feature(feature, value, 0.25)["words"]


@pytest.mark.parametrize("feature", DEFAULT_WORDS)
def test_one_is_no_plural(feature: str) -> None:
    several, one = words(feature, 2.0), words(feature, 1.0)
    for noun in ("days", "purchases", "products", "services", "offers"):
        assert f" 1 {noun}" not in f" {one}"
        assert f" 1 different {noun}" not in f" {one}"
    assert several == DEFAULT_WORDS[feature].replace("{value}", "2") + ", typical 7: +0.25"


def test_only_what_is_counted_loses_its_plural() -> None:
    assert words("days_since_last", 1.0) == "no purchase for 1 day, typical 7: +0.25"
    assert words("product_count", 1.0) == "1 different product, typical 7: +0.25"
    assert words("monthly_revenue", 1.0) == "1 spent in 30 days, typical 7: +0.25"
    assert words("engagement_score", 1.0) == "a purchase in 1 % of 12 weeks, typical 7: +0.25"
    assert words("days_since_last", 0.999) == "no purchase for 1 day, typical 7: +0.25"
    assert words("days_since_last", 1.0, "{value} Tage, 100 %") == "1 Tage, 100 %, typical 7: +0.25"
    group = Sayings(Baseline(values={"days_since_last": 1.0})).of_group("activity", {"days_since_last": 1.0}, -0.004)
    assert group["words"] == "activity: no purchase for 1 day (typical 1): -0.0040"
    assert of_one("") == ""


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (-0.0, "0"),
        (1234.0, "1,234"),
        (12.5, "12.5"),
        (0.004, "0.004"),
        (-2.5, "-2.5"),
        (99.999, "100"),
        (1e15, "1e+15"),
    ],
)
def test_a_value_is_said_as_people_do(value: float, said: str) -> None:
    assert number_in_words(value) == said
