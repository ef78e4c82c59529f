"""What a churn model is worth in customers: by hand where the counts are known, and by what must hold of any."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from loyalty_ml.models.card import Thresholds
from loyalty_ml.models.quality import ChurnQuality
from training.learning import quality
from training.learning.bootstrap import Sampled
from training.learning.contenders import NETWORK
from training.learning.held_out import HeldOut, said

pytestmark = pytest.mark.unit

ROWS = st.lists(
    st.tuples(st.booleans(), st.sampled_from([0.1, 0.2, 0.5, 0.9]), st.integers(1, 60)), min_size=30, max_size=80
)


def outcomes(
    left: NDArray[np.bool_], probability: NDArray[np.float64], active: NDArray[np.bool_] | None = None
) -> HeldOut:
    rows = np.arange(len(left))
    everyone = np.ones(len(left), np.bool_)
    answers = {NETWORK: said(left, probability)}
    return HeldOut(rows, rows, rows % 3, everyone if active is None else active, answers, {})


def world(customers: int, tells: float, seed: int = 1) -> tuple[HeldOut, NDArray[np.float64]]:
    """Customers who leave by their days since the last purchase, and by something else, which weighs `tells`."""
    random = np.random.default_rng(seed)
    days = random.integers(1, 91, customers).astype(np.float64)
    other = random.normal(0, 1, customers)
    log_odds = -1.5 + (days - 45) / 30 + tells * other
    probability = 1 / (1 + np.exp(-log_odds))
    return outcomes(random.random(customers) < probability, probability), days


def found(customers: int, tells: float) -> ChurnQuality:
    held_out, days = world(customers, tells)
    learnt, days_learnt = world(customers, tells, seed=2)
    left = learnt.answers[NETWORK].happened
    return quality.churn_quality(held_out, days, (days_learnt, left), Thresholds(), seed=7)


def test_lists_by_hand() -> None:
    """Ten customers in one fold, the first three of whom left; the list has two places."""
    left = np.arange(10) < 3
    weights = np.ones((1, 10))

    def on_list(rank: list[float]) -> float:
        return float(quality.found_on_list(left, np.array(rank), 0.2)(weights)[0])

    assert on_list([9, 8, 7, 6, 5, 4, 3, 2, 1, 0]) == 2
    assert on_list([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]) == 0
    assert on_list([5, 1, 1, 1, 1, 1, 1, 1, 1, 1]) == pytest.approx(1 + 2 / 9)  # nine share the last place
    assert on_list([1] * 10) == pytest.approx(0.6)
    # A draw with the first customer twice and without the last: the list is still of two places.
    drawn = np.array([[2, 1, 1, 1, 1, 1, 1, 1, 1, 0]])
    assert quality.found_on_list(left, np.arange(10.0)[::-1], 0.2)(drawn.astype(float))[0] == 2


@given(ROWS, st.sampled_from([0.05, 0.1, 0.3]))
def test_the_best_days_find_as_many_as_any(rows: list[tuple[bool, float, int]], share: float) -> None:
    left, _, days = (np.array(column) for column in zip(*rows, strict=True))

    def finds(least: float) -> float:
        match = days >= least
        room = share * len(days)
        if match.sum() >= room:
            return float(room * left[match].mean())
        return float(left[match].sum() + (room - match.sum()) * left[~match].mean())

    best = quality.best_days(days.astype(np.float64), left, share)
    assert best in days
    assert finds(best) == pytest.approx(max(finds(least) for least in days))


@pytest.mark.parametrize("seed", range(4))
def test_groups_add_up(seed: int) -> None:
    random = np.random.default_rng(seed)
    left, days = random.random(200) < 0.4, random.integers(1, 60, 200).astype(np.float64)
    probability = random.choice(np.array([0.1, 0.2, 0.5, 0.9]), 200)
    active = days <= 40
    held_out = outcomes(left, probability, active)
    one = quality.churn_quality(held_out, days, (days, left), Thresholds(high=0.6, medium=0.3), seed=1)
    assert one.customers == active.sum() == sum(group.customers for group in one.tenths)
    assert one.left == left[active].sum() == sum(group.happened for group in one.tenths)
    bands = {group.name: group for group in one.bands}
    assert bands["high"].customers == (active & (probability >= 0.6)).sum()
    assert bands["medium"].happened == (left & active & (probability == 0.5)).sum()
    assert bands["lapsed"].customers == (~active).sum()
    for group in (*one.bands, *one.tenths):
        if group.share is None:  # four probabilities do not fill ten tenths
            assert group.customers == 0
            assert group.predicted is None
        else:
            assert 0 <= group.share.low <= group.share.value <= group.share.high <= 1
    for each in one.lists:
        assert each.customers > 0
        assert 0 <= each.found.low <= each.found.high <= each.customers
        assert each.chance.value == pytest.approx(each.customers * one.left / one.customers, rel=0.2)


def test_a_model_that_knows_more_than_the_rule_finds_more_and_says_so() -> None:
    lists = {one.share: one for one in found(6000, tells=2).lists}
    assert list(lists) == [0.01, 0.05, 0.1, 0.2]
    tenth = lists[0.1]
    assert tenth.customers == 600
    assert tenth.found.low > tenth.rule.high
    assert tenth.rule.low > tenth.chance.high
    assert tenth.word == "strong"
    counted = f"{tenth.found.value:.0f} ({tenth.found.low:.0f} to {tenth.found.high:.0f}) left"
    rule = f"by the rule 'no purchase for {tenth.rule_days:g} days' "
    assert tenth.sentence.startswith(f"Of the 600 active customers that are the likeliest to leave, {counted}; {rule}")
    assert found(6000, tells=2).lists[2].sentence.endswith("): strong.")


def test_a_model_that_knows_the_days_alone_finds_what_the_rule_finds() -> None:
    lists = found(6000, tells=0).lists
    assert "strong" not in {one.word for one in lists}
    assert {one.word for one in lists[:3]} == {"no better than the rule"}
    for one in lists:
        assert one.found.value == pytest.approx(one.rule.value, rel=0.05)


@pytest.mark.parametrize(
    ("model", "rule", "word"),
    [
        (150, 100, "strong"),
        (110, 100, "useful"),
        (100, 100, "no better than the rule"),
        (40, 30, "no better than the rule"),
    ],
)
def test_the_word_of_a_list(model: float, rule: float, word: str) -> None:
    def drawn(value: float) -> Sampled:
        return Sampled(value, value + np.linspace(-2, 2, 100) * (1 if value == model else 0))

    assert quality.word(drawn(model), Sampled(rule, np.full(100, rule)), Sampled(50, np.full(100, 50.0))) == word


def test_a_small_base_has_no_list_of_nobody() -> None:
    held_out, days = world(60, 1)
    lists = quality.churn_quality(held_out, days, (days, days > 45), Thresholds(), seed=1).lists
    assert [one.share for one in lists] == [0.05, 0.1, 0.2]


def test_wilson_by_hand() -> None:
    one = quality.wilson(62, 100)
    assert one is not None
    assert (one.value, one.low, one.high) == pytest.approx((0.62, 0.5221, 0.7090), abs=1e-4)
    nobody_left = quality.wilson(0, 20)
    assert nobody_left is not None
    assert (nobody_left.low, nobody_left.high) == pytest.approx((0, 0.1611), abs=1e-4)
    for customers in range(1, 400):
        for happened in (0, customers):
            one = quality.wilson(happened, customers)
            assert one is not None
            assert 0 <= one.low <= one.value <= one.high <= 1
    assert quality.wilson(0, 0) is None


@pytest.mark.long
def test_ranges_hold_what_a_new_sample_finds_on_average() -> None:
    large, _ = world(300_000, 1)
    ours = large.answers[NETWORK]
    share = ours.happened[np.argsort(-ours.probability)[:30_000]].mean()
    held = 0
    for seed in range(60):
        held_out, days = world(1500, 1, seed=10 + seed)
        one = quality.churn_quality(held_out, days, (days, held_out.answers[NETWORK].happened), Thresholds(), seed=1)
        tenth = one.lists[2]
        held += tenth.found.low <= share * tenth.customers <= tenth.found.high
    assert held >= 53
