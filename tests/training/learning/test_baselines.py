"""The baselines: BG/NBD against its published estimates and simulated customers, the others by what they must know."""

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from numpy.typing import NDArray

from training.learning import baselines
from training.learning.baselines import BgNbd
from training.learning.metrics import auc, binary_log_loss
from training.warehouse.demo import installed

pytestmark = pytest.mark.unit

Matrix = NDArray[np.float64]


@pytest.fixture(scope="module")
def cdnow_tenth() -> Matrix:
    """The customers of the article: repeat purchases, weeks to the last of them, weeks observed."""
    with (installed("lifetimes") / "datasets" / "cdnow_customers_summary.csv").open() as file:
        rows = [[float(row[name]) for name in ("frequency", "recency", "T")] for row in csv.DictReader(file)]
    return np.array(rows)


def simulated(model: BgNbd, customers: int, observed: float, horizon: float) -> tuple[Matrix, NDArray[np.bool_]]:
    """(n, 3) purchases and whether none followed in the horizon: drawn by the model's own story."""
    random = np.random.default_rng(11)
    rate = random.gamma(model.r, 1 / model.alpha, customers)
    leaves = random.beta(model.a, model.b, customers)
    now = random.uniform(observed / 2, observed, customers)
    repeats, last, none_followed = np.zeros(customers), np.zeros(customers), np.ones(customers, dtype=bool)
    for customer in range(customers):
        time = 0.0
        while True:
            time += random.exponential(1 / rate[customer]) if rate[customer] > 0 else np.inf
            if time > now[customer]:
                none_followed[customer] = time > now[customer] + horizon
                break
            repeats[customer] += 1
            last[customer] = time
            if random.random() < leaves[customer]:
                break
    return np.column_stack([repeats, last, now]), none_followed


def test_bg_nbd_gives_the_published_estimates(cdnow_tenth: Matrix) -> None:
    # Fader, Hardie & Lee 2005, table 2: r = .243, alpha = 4.414, a = .793, b = 2.426.
    model = baselines.fit_bg_nbd(cdnow_tenth)
    assert (model.r, model.alpha) == pytest.approx((0.243, 4.414), rel=2e-3)
    assert (model.a, model.b) == pytest.approx((0.793, 2.426), rel=2e-3)


def test_bg_nbd_does_not_depend_on_the_unit_of_time(cdnow_tenth: Matrix) -> None:
    weeks, days = baselines.fit_bg_nbd(cdnow_tenth), baselines.fit_bg_nbd(cdnow_tenth * [1, 7, 7])
    assert (days.r, days.alpha, days.a, days.b) == pytest.approx((weeks.r, 7 * weeks.alpha, weeks.a, weeks.b), rel=1e-2)
    np.testing.assert_allclose(
        days.no_purchase(cdnow_tenth * [1, 7, 7], 70), weeks.no_purchase(cdnow_tenth, 10), atol=2e-3
    )


def test_bg_nbd_finds_what_customers_were_drawn_from() -> None:
    truth = BgNbd(r=0.8, alpha=20.0, a=0.6, b=2.0)
    purchases, none_followed = simulated(truth, customers=6000, observed=300, horizon=90)
    found = baselines.fit_bg_nbd(purchases)
    assert (found.r, found.alpha) == pytest.approx((truth.r, truth.alpha), rel=0.1)
    assert found.a / (found.a + found.b) == pytest.approx(truth.a / (truth.a + truth.b), rel=0.1)

    probability = found.no_purchase(purchases, 90)
    assert probability.mean() == pytest.approx(none_followed.mean(), abs=0.01)
    for lower, upper in ((0.0, 0.3), (0.3, 0.6), (0.6, 0.9), (0.9, 1.01)):
        inside = (probability >= lower) & (probability < upper)
        assert probability[inside].mean() == pytest.approx(none_followed[inside].mean(), abs=0.04)


def test_bg_nbd_over_no_time_and_over_all_time(cdnow_tenth: Matrix) -> None:
    model = baselines.fit_bg_nbd(cdnow_tenth)
    np.testing.assert_allclose(model.no_purchase(cdnow_tenth, 0), 1)
    shorter, longer = model.no_purchase(cdnow_tenth, 10), model.no_purchase(cdnow_tenth, 40)
    assert (longer < shorter).all()
    ever = model.no_purchase(cdnow_tenth, 1e300)
    np.testing.assert_allclose(ever, 1 - model.alive(cdnow_tenth), atol=1e-6)


def test_bg_nbd_of_customers_who_never_came_back_is_refused() -> None:
    with pytest.raises(baselines.DidNotConverge, match="second day"):
        baselines.fit_bg_nbd(np.array([[0.0, 0, 30], [0, 0, 20]]))


def answered(rows: int) -> tuple[Matrix, NDArray[np.bool_], Matrix]:
    """Raw features, what happened, and its true probability, which is not a line in them."""
    random = np.random.default_rng(5)
    features = random.lognormal(2, 1.2, (rows, 3))
    log_odds = 1.2 * (np.log1p(features[:, 0]) - 2) - 0.8 * (np.log1p(features[:, 1]) - 2)
    truth = 1 / (1 + np.exp(-log_odds))
    return features, random.random(rows) < truth, truth


def test_known_models_come_near_the_truth() -> None:
    features, happened, truth = answered(8000)
    learnt, stopping = np.arange(8000) < 6000, np.arange(6000) % 6 == 0
    regression = baselines.fit_logistic_regression(features[learnt], happened[learnt])
    boosting = baselines.fit_lightgbm(features[learnt], happened[learnt], stopping, seed=1)
    best = binary_log_loss(happened[~learnt], truth[~learnt])
    for predict, margin in ((regression, 0.003), (boosting, 0.02)):
        probability = predict(features[~learnt])
        np.testing.assert_allclose(probability.sum(axis=1), 1)
        assert binary_log_loss(happened[~learnt], probability[:, 1]) < best + margin
        assert auc(happened[~learnt], probability[:, 1]) > auc(happened[~learnt], truth[~learnt]) - 2 * margin


def test_lightgbm_is_the_same_under_a_seed() -> None:
    features, happened, _ = answered(1000)
    stopping = np.arange(1000) % 6 == 0
    first, second = (baselines.fit_lightgbm(features, happened, stopping, seed=1)(features) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_lightgbm_tells_several_classes() -> None:
    random = np.random.default_rng(2)
    features = random.random((900, 2))
    label = (features[:, 0] * 3).astype(np.int64)
    probability = baselines.fit_lightgbm(features, label, np.arange(900) % 5 == 0, seed=1, classes=3)(features)
    assert (probability.argmax(axis=1) == label).mean() > 0.97


def test_rare_offers_are_drawn_to_the_rate_of_all() -> None:
    shown = np.array([0] * 1000 + [1] * 1000 + [2])
    converted = np.array([True] * 100 + [False] * 900 + [True] * 300 + [False] * 700 + [True])
    rate = baselines.offer_base_rate(shown, converted, offers=4)
    assert rate[:2] == pytest.approx([0.1, 0.3], abs=0.003)
    assert rate[2] == pytest.approx(0.2, abs=0.05)  # one exposure, which converted
    assert rate[3] == pytest.approx(converted.mean())  # none


def test_popularity_is_a_share_of_what_was_taken() -> None:
    popularity = baselines.offer_popularity(np.array([0] * 70 + [2] * 27), offers=3)
    assert popularity == pytest.approx([0.71, 0.01, 0.28])


def test_the_offer_is_a_column_of_its_own() -> None:
    rows = baselines.with_offer(np.array([[5.0], [6.0]]), np.array([2, 0]), offers=3)
    assert rows.tolist() == [[5, 0, 0, 1], [6, 1, 0, 0]]


@given(arrays_of.arrays(np.float64, 5, elements=st.floats(-1e30, 1e30)))
def test_signed_log_keeps_sign_and_order(values: Matrix) -> None:
    transformed = baselines.signed_log(values)
    np.testing.assert_array_equal(np.sign(transformed), np.sign(values))
    assert (np.diff(transformed[np.argsort(values)]) >= 0).all()
    np.testing.assert_allclose(baselines.signed_log(-values), -transformed)
