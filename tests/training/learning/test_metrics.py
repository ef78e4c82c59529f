"""The metrics beside scikit-learn where it has the same one, and by what they mean where it has not."""

from dataclasses import asdict
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as peers

from training.learning import metrics

pytestmark = pytest.mark.unit

Outcomes = list[tuple[bool, float]]

# A few values often, so that there are ties.
PROBABILITIES = st.one_of(st.sampled_from([0.0, 0.2, 0.5, 1.0]), st.floats(0, 1))
OUTCOMES = st.lists(st.tuples(st.booleans(), PROBABILITIES), min_size=2, max_size=60).filter(
    lambda rows: len({happened for happened, _ in rows}) == 2
)


def arrays(rows: Outcomes) -> tuple[metrics.Happened, metrics.Probability]:
    return np.array([happened for happened, _ in rows]), np.array([probability for _, probability in rows])


def calibrated(rows: int) -> tuple[metrics.Happened, metrics.Probability]:
    random = np.random.default_rng(3)
    probability = random.beta(2, 3, rows)
    return random.random(rows) < probability, probability


@given(OUTCOMES)
def test_ranking_metrics_are_those_of_scikit_learn(rows: Outcomes) -> None:
    happened, probability = arrays(rows)
    assert metrics.auc(happened, probability) == pytest.approx(peers.roc_auc_score(happened, probability))
    assert metrics.pr_auc(happened, probability) == pytest.approx(peers.average_precision_score(happened, probability))


@given(OUTCOMES)
def test_probability_metrics_are_those_of_scikit_learn(rows: Outcomes) -> None:
    happened, probability = arrays(rows)
    clipped = np.clip(probability, metrics.SMALLEST, 1 - metrics.SMALLEST)
    assert metrics.binary_log_loss(happened, clipped) == pytest.approx(peers.log_loss(happened, clipped))
    assert metrics.brier(happened, probability) == pytest.approx(peers.brier_score_loss(happened, probability))


@given(OUTCOMES, st.randoms())
def test_the_order_of_the_rows_decides_nothing(rows: Outcomes, shuffler: Random) -> None:
    shuffled = rows.copy()
    shuffler.shuffle(shuffled)
    lift, other_lift = metrics.lift_by_decile(*arrays(rows)), metrics.lift_by_decile(*arrays(shuffled))
    for ours, theirs in zip(lift, other_lift, strict=True):
        assert asdict(ours) == pytest.approx(asdict(theirs), abs=1e-9)
    bins, other_bins = metrics.calibration_table(*arrays(rows)), metrics.calibration_table(*arrays(shuffled))
    for bin_, other_bin in zip(bins, other_bins, strict=True):
        assert asdict(bin_) == pytest.approx(asdict(other_bin), abs=1e-9)
    assert metrics.pr_auc(*arrays(rows)) == pytest.approx(metrics.pr_auc(*arrays(shuffled)))


@given(OUTCOMES)
def test_tables_add_up(rows: Outcomes) -> None:
    happened, probability = arrays(rows)
    bins = metrics.calibration_table(happened, probability)
    assert sum(row.rows for row in bins) == len(rows)
    assert sum(row.rows * row.observed_share for row in bins) == pytest.approx(happened.sum())
    assert sum(row.rows * abs(row.mean_probability - row.observed_share) for row in bins) == pytest.approx(
        len(rows) * metrics.ece(happened, probability), abs=1e-9
    )
    for row in bins:
        assert row.lower - 1e-9 <= row.mean_probability <= row.upper + 1e-9

    deciles = metrics.lift_by_decile(happened, probability)
    assert sum(row.rows for row in deciles) == len(rows)
    assert sum(row.rows * row.share for row in deciles) == pytest.approx(happened.sum())
    assert deciles[-1].captured_so_far == pytest.approx(1)
    ends = np.cumsum([row.rows for row in deciles]) - 1
    assert [row.lowest_probability for row in deciles] == np.sort(probability)[::-1][ends].tolist()

    for line in metrics.threshold_table(happened, probability, (0.0, 0.3, 0.5, 1.0)):
        assert line.selected == (probability >= line.threshold).sum()
        assert line.true_positives + line.false_positives == line.selected
        assert line.expected_true_positives + line.expected_false_positives == pytest.approx(line.selected)
        assert line.recall == pytest.approx(peers.recall_score(happened, probability >= line.threshold))


def test_calibration_error_by_hand() -> None:
    # Two bins: 4 rows at 0.5, of which 3 happened, and 1 row at 0.9 that did not.
    happened = np.array([True, True, True, False, False])
    assert metrics.ece(happened, np.array([0.5, 0.5, 0.5, 0.5, 0.9])) == pytest.approx(4 / 5 * 0.25 + 1 / 5 * 0.9)


def test_bins_take_in_both_ends() -> None:
    table = metrics.calibration_table(np.array([False, True, True]), np.array([0.0, 1.0, 1.0]))
    assert [(row.lower, row.upper, row.rows) for row in table] == [(0, 1 / 15, 1), (14 / 15, 1, 2)]


def test_floor_is_what_true_probabilities_show() -> None:
    happened, probability = calibrated(5000)
    floor = metrics.ece_floor(probability, seed=1)
    assert floor == metrics.ece_floor(probability, seed=1)
    assert floor.mean == pytest.approx(0.016, abs=0.003)  # as DATA.md's, for samples of this size
    assert metrics.ece(happened, probability) < floor.percentile_95 * 1.3
    assert metrics.ece(happened, probability**2) > 4 * floor.percentile_95

    # A quarter of the rows, twice the noise.
    assert metrics.ece_floor(probability[:1250], seed=1).mean == pytest.approx(2 * floor.mean, rel=0.15)


def test_expected_positives_hold_where_probabilities_are_true() -> None:
    happened, probability = calibrated(20000)
    for row in metrics.threshold_table(happened, probability, (0.1, 0.4, 0.7)):
        selected = probability[probability >= row.threshold]
        by_chance = 3 * np.sqrt((selected * (1 - selected)).sum())
        assert row.expected_true_positives == pytest.approx(row.true_positives, abs=by_chance)
        assert row.expected_false_positives == pytest.approx(row.false_positives, abs=by_chance)
        assert by_chance < 0.2 * min(row.true_positives, row.false_positives)


def test_those_of_one_probability_share_what_happened() -> None:
    happened = np.arange(100) < 30
    assert [row.share for row in metrics.lift_by_decile(happened, np.full(100, 0.3))] == pytest.approx([0.3] * 10)


def test_what_is_not_defined_is_nan() -> None:
    nobody, probability = np.zeros(5, dtype=bool), np.linspace(0.1, 0.5, 5)
    assert np.isnan(metrics.auc(nobody, probability))
    assert np.isnan(metrics.pr_auc(nobody, probability))
    assert all(np.isnan(row.lift) for row in metrics.lift_by_decile(nobody, probability))
    (row,) = metrics.threshold_table(nobody, probability, (0.9,))
    assert row.selected == 0
    assert np.isnan(row.precision)
    assert np.isnan(row.recall)
