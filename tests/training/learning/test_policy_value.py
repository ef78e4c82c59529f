"""The doubly robust value of a recommendation, on exposures whose truth is known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.learning.exposure_simulator import OFFERS, World, world
from training.learning import policy_value
from training.learning.policy_value import LEAST_PROPENSITY, Exposures

pytestmark = pytest.mark.unit

ALL = np.ones(OFFERS, np.bool_)
EXPOSURES = 20_000


def held_out(company: World, count: int = EXPOSURES, propensities: NDArray[np.float64] | None = None) -> Exposures:
    """Exposures of a simulated company, with their true propensities if none are given."""
    examples = company.exposures(count)
    assert examples.offers is not None
    known = company.propensities(examples.features) if propensities is None else propensities
    return Exposures(examples.customer_ids, examples.offers, examples.happened, known)


def test_with_the_true_probabilities_or_the_true_propensities_the_value_is_true() -> None:
    company = world(1, "biased")
    features = company.exposures(EXPOSURES).features
    truth = company.conversion(features)
    ignorant, blind = np.full((EXPOSURES, OFFERS), 0.2), np.full((EXPOSURES, OFFERS), 1 / OFFERS)
    sent = truth.argmax(axis=1)
    expected = company.value(features, sent)
    for probabilities, propensities in ((truth, None), (ignorant, None), (truth, blind)):
        exposures = held_out(company, propensities=propensities)
        scores = policy_value.doubly_robust(probabilities, exposures)
        found = policy_value.values_of(sent, scores, exposures, ALL).recommended
        assert found.low < expected < found.high
    wrong = held_out(company, propensities=blind)
    both = policy_value.values_of(sent, policy_value.doubly_robust(ignorant, wrong), wrong, ALL).recommended
    assert not both.low < expected < both.high  # neither is right, and then nothing is


def test_what_a_logging_rule_has_shown_is_worth_what_it_converted() -> None:
    company = world(2, "biased")
    exposures = held_out(company)
    examples = company.exposures(EXPOSURES)
    assert examples.offers is not None
    scores = policy_value.doubly_robust(company.conversion(examples.features), exposures)
    found = policy_value.values_of(examples.offers, scores, exposures, ALL)
    assert found.shown.value == pytest.approx(examples.happened.mean())
    single = np.full(EXPOSURES, found.best_offer)
    same = policy_value.values_of(single, scores, exposures, ALL)
    assert same.over_best_single.value == same.over_best_single.low == same.over_best_single.high == 0
    assert same.agree == 1


def test_propensities_near_0_are_clipped_and_counted() -> None:
    shown = np.array([0, 1, 1, 0])
    propensities = np.array([[1e-9, 1], [0, 1], [0.991, 0.009], [0.5, 0.5]])
    exposures = Exposures(np.arange(4), shown, np.array([True, False, False, True]), propensities)
    assert exposures.clipped == 2
    scores = policy_value.doubly_robust(np.full((4, 2), 0.25), exposures)
    expected = [[0.25 + 0.75 / LEAST_PROPENSITY, 0.25], [0.25, 0], [0.25, 0.25 - 0.25 / LEAST_PROPENSITY], [1.75, 0.25]]
    np.testing.assert_allclose(scores, expected)


def test_what_is_not_learnt_is_neither_recommended_nor_the_best_single_offer() -> None:
    company = world(3, "uniform")
    exposures = held_out(company)
    probabilities = company.conversion(company.exposures(EXPOSURES).features)
    best = policy_value.values(probabilities, exposures, ALL).best_offer
    learnt = ALL.copy()
    learnt[best] = False
    assert best not in policy_value.recommended(probabilities, learnt)
    found = policy_value.values(probabilities, exposures, learnt)
    assert found.best_offer != best
    assert found.everyone[best] is None
    everyone = [value.value for value in found.everyone if value is not None]
    assert len(everyone) == OFFERS - 1
    assert found.best_single.value == max(everyone)


def test_interval_is_that_of_customers_not_of_rows() -> None:
    scores = np.random.default_rng(1).normal(size=200)
    alone = policy_value.mean_with_interval(scores, np.arange(200))
    repeated = policy_value.mean_with_interval(np.repeat(scores, 9), np.repeat(np.arange(200), 9))
    assert (repeated.low, repeated.high) == pytest.approx((alone.low, alone.high))
    assert alone.high - alone.low == pytest.approx(2 * 1.96 * scores.std(ddof=1) / np.sqrt(200), rel=1e-3)


def test_weights_count_rows_as_often() -> None:
    scores, times = np.array([0.0, 1, 1, 0, 1]), np.array([3, 1, 2, 1, 4])
    customers = np.arange(5)
    weighted = policy_value.mean_with_interval(scores, customers, times.astype(np.float64))
    repeated = policy_value.mean_with_interval(np.repeat(scores, times), np.repeat(customers, times))
    assert weighted.model_dump() == pytest.approx(repeated.model_dump())


def test_one_customer_says_nothing_of_others() -> None:
    found = policy_value.mean_with_interval(np.array([0.1, 0.2]), np.array(["c-1", "c-1"]))
    assert (found.low, found.high) == (-1, 1)


def test_propensities_are_those_of_the_rule_and_0_of_what_is_never_shown() -> None:
    company = world(4, "biased", never_shown=5)
    examples = company.exposures(EXPOSURES)
    assert examples.offers is not None
    customers = company.customers(2000, 9)
    fitted = policy_value.fit_propensities(examples.features, examples.offers, OFFERS)(customers)
    assert (fitted[:, 5] == 0).all()
    np.testing.assert_allclose(fitted.sum(axis=1), 1)
    assert np.abs(fitted - company.propensities(customers)).mean() < 0.01
    alone = policy_value.fit_propensities(examples.features, np.full(EXPOSURES, 2), OFFERS)(customers[:3])
    np.testing.assert_array_equal(alone, np.eye(OFFERS)[[2, 2, 2]])


def test_confidence_is_measured_where_what_is_recommended_was_shown() -> None:
    company = world(5, "biased")
    exposures = held_out(company)
    truth = company.conversion(company.exposures(EXPOSURES).features)
    tenths = policy_value.confidence(truth, exposures, ALL)
    assert [tenth.name for tenth in tenths] == [str(number) for number in range(1, 11)]
    assert sum(tenth.customers for tenth in tenths) == (truth.argmax(axis=1) == exposures.shown).sum()
    for tenth in tenths:
        assert tenth.share is not None
        assert tenth.predicted is not None
        assert abs(tenth.share.value - tenth.predicted) < 2 * (tenth.share.high - tenth.share.low)
    honest = policy_value.over_confidence(truth, exposures, ALL)
    assert honest is not None
    assert honest.low < 0 < honest.high
    # Right on average of what was shown, and too confident of what it recommends: the winner's curse.
    noisy = 1 / (1 + np.exp(-(np.log(truth / (1 - truth)) + np.random.default_rng(2).normal(0, 1.5, truth.shape))))
    cursed = policy_value.over_confidence(noisy, exposures, ALL)
    assert cursed is not None
    assert cursed.low > 0.05


def test_nothing_is_known_of_confidence_where_nothing_recommended_was_shown() -> None:
    exposures = Exposures(np.arange(3), np.zeros(3, np.int64), np.ones(3, bool), np.ones((3, 2)))
    probabilities = np.tile([0.1, 0.2], (3, 1))
    both = np.ones(2, np.bool_)
    assert policy_value.over_confidence(probabilities, exposures, both) is None
    assert policy_value.confidence(probabilities, exposures, both) == ()
