"""The words of a reason: numbers as people say them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_ml.models.baseline import DEFAULT_WORDS, Baseline, in_form, problem_of_words
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
def test_the_projects_own_words_say_one_as_one(feature: str) -> None:
    several, one = words(feature, 2.0), words(feature, 1.0)
    for noun in ("days", "purchases", "products", "services", "offers"):
        assert f" 1 {noun}" not in f" {one}"
        assert f" 1 different {noun}" not in f" {one}"
        assert f" 2 {noun[:-1]} " not in f" {several}"
    assert "{" not in several + one
    assert not problem_of_words({feature: DEFAULT_WORDS[feature]})


def test_a_noun_has_the_form_of_its_number() -> None:
    assert words("days_since_last", 1.0) == "no purchase for 1 day, typical 7: +0.25"
    assert words("days_since_last", 0.0) == "no purchase for 0 days, typical 7: +0.25"
    assert words("days_since_last", 0.999) == "no purchase for 1 day, typical 7: +0.25"  # as it is printed
    assert words("monthly_revenue", 1.0) == "1 spent in 30 days, typical 7: +0.25"
    own = "{Ein Kunde|Kunden} mit {value} {Anfrage|Anfragen}"
    assert words("tickets", 1.0, own) == "Ein Kunde mit 1 Anfrage, typical 7: +0.25"
    assert words("tickets", 2.0, own) == "Kunden mit 2 Anfragen, typical 7: +0.25"
    group = Sayings(Baseline(values={"days_since_last": 1.0})).of_group("activity", {"days_since_last": 1.0}, -0.004)
    assert group["words"] == "activity: no purchase for 1 day (typical 1): -0.0040"


@given(st.text("{}|ab ", max_size=12))
def test_words_have_the_value_once_and_no_other_braces_than_of_forms(around: str) -> None:
    text = around + "{value}"
    if problem_of_words({"name": text}):
        assert "{" in around or "}" in around
    else:
        said = words("name", 12.0, text)
        assert "{" not in said
        assert "}" not in said
        assert said.endswith("12, typical 7: +0.25")
        assert in_form(around, is_one=True).count("{") == 0


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
