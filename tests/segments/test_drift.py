"""Drift: counted in parts or whole it is the same, luck alone is not called drift, and a real change is."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from loyalty_ml.customers.table import DEFAULT_FEATURES, model_matrix
from loyalty_ml.models.card import Histogram
from loyalty_ml.segments.drift import (
    ALARM_P,
    ALARM_PSI,
    MIN_COUNT,
    MODERATE,
    SIGNIFICANT,
    SMALLEST_SHARE,
    Drift,
    ModelDrift,
    alarming_psi,
    at_least,
    band,
    bins,
    drift,
    drift_of_counts,
    psi,
)
from tests import sample_set
from training.learning.distribution import histogram
from training.learning.placeholder_data import generate_customers

pytestmark = pytest.mark.unit

SEED = 20261123

# Few different values, so that they tie and lie on edges.
numbers = st.sampled_from([-5.0, 0.0, 0.1, 2.0, 3.5]) | st.floats(-1e9, 1e9)
columns = st.integers(1, 80).flatmap(lambda rows: arrays(np.float64, rows, elements=numbers))
float32_columns = st.integers(1, 80).flatmap(lambda rows: arrays(np.float32, rows, elements=st.floats(0, 1, width=32)))
any_edges = st.lists(numbers | st.sampled_from([-np.inf, np.inf]), min_size=1, max_size=12, unique=True).map(sorted)
counts_of_bins = st.integers(2, 12).flatmap(
    lambda size: st.tuples(*[arrays(np.int64, size, elements=st.integers(0, 500)).filter(np.any)] * 2)
)


def moved(values: NDArray[np.floating], training: Histogram, rows: int = 50_000, weight: float | None = 1.0) -> Drift:
    return drift(at_least(values, training.edges), len(values), training, rows, weight)


def shares_of(counts: NDArray[np.int64]) -> list[float]:
    shares: list[float] = (counts / counts.sum()).tolist()
    return shares


def reference_bins(column: NDArray[np.floating], edges: list[float]) -> list[int]:
    """A value at a time: the bin's number is how many edges are not above it."""
    counts = [0] * (len(edges) + 1)
    for value in column.tolist():
        counts[sum(edge <= value for edge in edges)] += 1
    return counts


@given(column=columns, edges=any_edges, cut=st.integers(0, 80))
def test_counts_of_parts_add_up_to_the_bins_of_the_whole(
    column: NDArray[np.float64], edges: list[float], cut: int
) -> None:
    together = at_least(column[:cut], edges) + at_least(column[cut:], edges)
    counted = bins(together, len(column))
    assert counted.dtype == np.int64
    assert counted.tolist() == reference_bins(column, edges)
    assert counted.sum() == len(column)


@given(column=columns, edges=any_edges)
def test_a_value_that_is_not_known_is_in_no_bin_if_it_is_not_counted(
    column: NDArray[np.float64], edges: list[float]
) -> None:
    with_unknown = np.concatenate([[np.nan], column, [np.nan]])
    assert bins(at_least(with_unknown, edges), len(column)).tolist() == reference_bins(column, edges)


@given(columns | float32_columns)
def test_a_histogram_is_what_serving_counts_in_the_same_rows_after_json(column: NDArray[np.floating]) -> None:
    """A float32 score too: its edges are float32 that were written as float64."""
    training = Histogram.model_validate_json(histogram(column).model_dump_json())
    counted = bins(at_least(column, training.edges), len(column))
    assert (counted / len(column)).tolist() == list(training.shares)
    assert counted.tolist() == reference_bins(column, list(training.edges))
    assert len(training.shares) <= 10


def test_bins_are_deciles_where_values_do_not_tie() -> None:
    assert histogram(np.arange(1000.0)[::-1]) == Histogram(edges=tuple(range(100, 1000, 100)), shares=(0.1,) * 10)


@pytest.mark.parametrize(("below", "zeros", "above"), [(0, 60, 40), (20, 70, 10), (0, 99, 1), (1, 99, 0), (0, 30, 70)])
def test_what_many_rows_have_in_common_has_a_bin_of_its_own(below: int, zeros: int, above: int) -> None:
    column = np.concatenate([-1.0 - np.arange(below), np.zeros(zeros), 1.0 + np.arange(above)])
    training = histogram(column)
    assert zeros / 100 in training.shares
    everyone_at_zero = bins(at_least(np.zeros(7), training.edges), 7).tolist()
    assert everyone_at_zero.index(7) == training.shares.index(zeros / 100)


@pytest.mark.parametrize("constant", [0.0, 12.5, -3e8, np.float32(0.3)])
def test_a_constant_feature_has_drifted_once_some_customers_are_off_it(constant: float) -> None:
    column = np.full(1000, constant)
    training = histogram(column)
    assert training.shares == (0, 1, 0)
    assert moved(column, training)["band"] == "stable"
    for direction in (-np.inf, np.inf):
        column[:100] = np.nextafter(column[0], column.dtype.type(direction))
        assert moved(column, training)["band"] == "significant"
        column[:] = constant


@given(counts_of_bins)
def test_psi_is_symmetric_and_zero_for_the_same_shares_alone(pair: tuple[NDArray[np.int64], ...]) -> None:
    ours, theirs = pair
    there, back = psi(ours, shares_of(theirs)), psi(theirs, shares_of(ours))
    assert there == pytest.approx(back)
    as_counted = [np.maximum(shares_of(counts), SMALLEST_SHARE) for counts in pair]
    if np.allclose(as_counted[0], as_counted[1], rtol=1e-12, atol=0):
        assert there == pytest.approx(0, abs=1e-12)
    else:
        assert there > 0
    assert psi(3 * ours, shares_of(ours)) == pytest.approx(0, abs=1e-12)


def test_psi_is_the_formulas() -> None:
    """By hand: 0.25 * ln(0.75 / 0.5) - 0.25 * ln(0.25 / 0.5)."""
    assert psi(np.array([75, 25]), [0.5, 0.5]) == pytest.approx(0.25 * np.log(3))
    empty = (0.5 - SMALLEST_SHARE) * np.log(0.5 / SMALLEST_SHARE) + 0.5 * np.log(2)
    assert psi(np.array([10, 0]), [0.5, 0.5]) == pytest.approx(empty)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "too_few"),
        (0.0, "stable"),
        (np.nextafter(MODERATE, 0), "stable"),
        (MODERATE, "moderate"),
        (np.nextafter(SIGNIFICANT, 0), "moderate"),
        (SIGNIFICANT, "significant"),
    ],
)
def test_a_band_begins_at_its_bar(value: float | None, expected: str) -> None:
    assert band(value) == expected


def test_too_few_customers_have_no_psi() -> None:
    training = histogram(np.arange(1000.0))
    nothing = {"psi": None, "band": "too_few", "p_value": None, "weight": 1.0, "alarm": False}
    assert moved(np.zeros(MIN_COUNT - 1), training) == {**nothing, "count": MIN_COUNT - 1}
    assert moved(np.zeros(0), training) == {**nothing, "count": 0}
    assert moved(np.zeros(MIN_COUNT), training)["band"] == "significant"


def chance_of_drift(count: int, training_rows: int) -> float:
    """How often so many customers are not "stable", where they are drawn as those learnt from were."""
    random = np.random.default_rng(SEED)
    found = []
    for _ in range(1000):
        training = histogram(random.lognormal(size=training_rows))
        counted = bins(at_least(random.lognormal(size=count), training.edges), count)
        found.append(psi(counted, training.shares))
    return float(np.mean(np.array(found) >= MODERATE))


def test_luck_alone_is_seldom_called_drift() -> None:
    """And of half as many customers often: that is what MIN_COUNT is for."""
    assert chance_of_drift(MIN_COUNT, training_rows=1000) < 0.05
    assert chance_of_drift(MIN_COUNT // 2, training_rows=1000) > 0.05


@pytest.mark.parametrize("shares", [[0.6, 0.3, 0.05, 0.02, 0.01, 0.01, 0.005, 0.005], [0.94] + [0.01] * 6])
def test_luck_is_seldom_called_drift_where_some_offers_are_rare(shares: list[float]) -> None:
    random = np.random.default_rng(SEED)
    learnt_from = random.multinomial(1000, shares, 2000)
    today = random.multinomial(MIN_COUNT, shares, 2000)
    bands = [
        drift_of_counts(actual, shares_of(expected), 1000, 1.0)["band"]
        for actual, expected in zip(today, learnt_from, strict=True)
    ]
    assert np.mean(np.array(bands) != "stable") < 0.05


@pytest.mark.parametrize(("shift", "expected"), [(0.0, "stable"), (0.4, "moderate"), (0.6, "significant")])
def test_customers_who_moved_are_told(shift: float, expected: str) -> None:
    """Of two normal distributions with the same spread PSI is the square of the shift, in standard deviations."""
    random = np.random.default_rng(SEED)
    training = histogram(random.normal(size=50_000))
    found = moved(random.normal(shift, size=50_000), training)
    assert found["band"] == expected
    assert found["psi"] == pytest.approx(shift**2, abs=0.05)


# What rings.


@pytest.mark.parametrize(("weight", "expected"), [(1.0, True), (0.5, True), (0.4, False), (0.0, False), (None, False)])
def test_an_alarm_is_on_from_a_weighted_psi_on(weight: float | None, expected: bool) -> None:  # noqa: FBT001
    """Half of this PSI is enough, and two fifths are not."""
    random = np.random.default_rng(SEED)
    training = histogram(random.normal(size=50_000))
    found = moved(random.normal(0.26, size=50_000), training, weight=weight)
    assert found["psi"] == pytest.approx(0.0608, abs=0.0005)
    assert (found["alarm"], found["weight"]) == (expected, weight)


def test_what_luck_explains_does_not_ring_however_far_it_is() -> None:
    random = np.random.default_rng(SEED)
    training = histogram(random.normal(size=300))
    found = [moved(random.normal(size=MIN_COUNT), training, rows=300) for _ in range(300)]
    far = [each for each in found if each["psi"] is not None and each["psi"] >= ALARM_PSI]
    assert len(far) > 100
    assert sum(each["alarm"] for each in found if each["alarm"]) <= 3
    certain = moved(random.normal(0.8, size=MIN_COUNT), training, rows=300)
    assert certain["alarm"]
    assert certain["p_value"] is not None
    assert certain["p_value"] < ALARM_P


figures = st.builds(
    lambda psi, p_value, weight: Drift(
        psi=psi, band=band(psi), count=1000, p_value=p_value, weight=weight,
        alarm=weight is not None and weight * psi >= ALARM_PSI and p_value < ALARM_P,
    ),
    st.sampled_from([0.0, np.nextafter(ALARM_PSI, 0), ALARM_PSI, 0.06, 0.5]),
    st.sampled_from([0.0, np.nextafter(ALARM_P, 0), ALARM_P, 1.0]),
    st.sampled_from([None, 0.0, 0.5, 1.0]),
)  # fmt: skip


@given(st.lists(figures, max_size=4), figures)
def test_what_the_metric_says_rings_exactly_where_an_alarm_is_on(features: list[Drift], score: Drift) -> None:
    model = ModelDrift(features={str(place): each for place, each in enumerate(features)}, score=score)
    alarming = alarming_psi(model)
    assert (alarming is not None and alarming >= ALARM_PSI) == any(each["alarm"] for each in (*features, score))
    assert (alarming is None) == all(each["weight"] is None for each in (*features, score))


def test_where_there_are_too_few_customers_there_is_no_metric() -> None:
    few = drift_of_counts(np.array([5, 5]), [0.5, 0.5], 1000, 1.0)
    assert alarming_psi(ModelDrift(features={"revenue": few}, score=few)) is None


WEIGHTS = dict.fromkeys(DEFAULT_FEATURES, 0.2) | {
    "days_since_last": 1.0, "engagement_score": 0.6, "customer_age_days": 0.0,
}  # fmt: skip


class Shop:
    """Generated customers, and the sample churn model's probability for each."""

    def __init__(self, customers: int) -> None:
        self.random = np.random.default_rng(SEED)
        self.customers = generate_customers(customers, SEED).features
        self.network = sample_set.model_set().loaded["churn"].network

    def draw(self, count: int) -> NDArray[np.float64]:
        return self.customers[self.random.choice(len(self.customers), count, replace=False)]

    def lapse(self, customers: NDArray[np.float64], share: float) -> NDArray[np.float64]:
        """The customers after a share of them, who were active, have stayed away for 90 days to a year."""
        days, engagement = DEFAULT_FEATURES.index("days_since_last"), DEFAULT_FEATURES.index("engagement_score")
        active = np.flatnonzero(customers[:, days] <= 90)
        who = self.random.choice(active, round(share * len(customers)), replace=False)
        lapsed = customers.copy()
        lapsed[who, days] = self.random.uniform(91, 365, len(who))
        lapsed[who, engagement] = 0
        return lapsed

    def figures(self, customers: NDArray[np.float64]) -> dict[str, NDArray[np.floating]]:
        columns: dict[str, NDArray[np.floating]] = dict(zip(DEFAULT_FEATURES, customers.T, strict=True))
        return columns | {"score": self.network(model_matrix(customers))[:, 0]}


@pytest.mark.parametrize("base", [2469, 20_000, 100_000])
def test_a_tenth_that_lapses_rings_and_nothing_does_not(base: int) -> None:
    """At 10,000 customers; customer_age_days may move as it will."""
    shop = Shop(120_000)
    rang: dict[str, list[bool]] = {"nothing": [], "a tenth": []}
    for _ in range(10):
        learnt = {name: histogram(column) for name, column in shop.figures(shop.draw(base)).items()}
        for _ in range(10):
            today = shop.draw(10_000)
            older = today.copy()
            older[:, DEFAULT_FEATURES.index("customer_age_days")] += 90
            for what, customers in (("nothing", today), ("a tenth", shop.lapse(today, 0.1))):
                figures = shop.figures(customers) | {"customer_age_days": shop.figures(older)["customer_age_days"]}
                found = {
                    name: moved(column, learnt[name], base, WEIGHTS.get(name, 1.0)) for name, column in figures.items()
                }
                assert found["customer_age_days"]["psi"] is not None
                assert found["customer_age_days"]["psi"] > ALARM_PSI
                rang[what].append(any(each["alarm"] for each in found.values()))
    assert np.mean(rang["a tenth"]) >= 0.95
    assert np.mean(rang["nothing"]) <= 0.01


@pytest.mark.parametrize(
    ("edges", "shares", "part"),
    [
        ([2, 1], [0.5, 0.25, 0.25], "do not ascend"),
        ([1, 1], [0.5, 0.25, 0.25], "do not ascend"),
        ([1, 2], [0.5, 0.5], "one share more"),
        ([1], [0.5, 0.4], "add up to 1"),
        ([1], [1.5, -0.5], "less than or equal to 1"),
        ([np.inf], [1, 0], "finite"),
        ([], [1], "at least 1 item"),
    ],
)
def test_a_histogram_that_is_none_is_refused(edges: Any, shares: Any, part: str) -> None:
    with pytest.raises(ValueError, match=part):
        Histogram(edges=edges, shares=shares)
