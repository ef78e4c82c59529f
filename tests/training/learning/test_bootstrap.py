"""The bootstrap over customers, beside a slow one that copies rows, and how often its intervals hold the truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from training.learning import bootstrap, metrics
from training.learning.bootstrap import Fold

pytestmark = pytest.mark.unit

ROWS = st.lists(
    st.tuples(st.integers(0, 8), st.booleans(), st.sampled_from([0.1, 0.2, 0.2, 0.5, 0.9])), min_size=2, max_size=40
)


def sample(customers: int, random: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Customers with one to four rows, in three folds by customer."""
    rows = np.repeat(np.arange(customers), random.integers(1, 5, customers))
    return rows, rows % 3


@given(ROWS, st.integers(0, 3))
def test_a_weighted_auc_is_that_of_rows_written_as_often(rows: list[tuple[int, bool, float]], seed: int) -> None:
    _, happened, probability = (np.array(column) for column in zip(*rows, strict=True))
    weights = np.random.default_rng(seed).integers(0, 4, (5, len(rows)))
    found = bootstrap.auc(happened, probability)(weights.astype(float))
    for row, value in zip(weights, found, strict=True):
        assert value == pytest.approx(metrics.auc(happened.repeat(row), probability.repeat(row)), nan_ok=True)


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_draws_are_those_of_a_slow_bootstrap(seed: int) -> None:
    random = np.random.default_rng(seed)
    customers, folds = sample(30, random)
    happened, probability = random.random(len(customers)) < 0.5, random.random(len(customers)).round(1)
    loss = random.random(len(customers))
    found = bootstrap.bootstrap(
        customers,
        folds,
        {
            "auc": lambda fold: bootstrap.auc(happened[fold.rows], probability[fold.rows]),
            "loss": lambda fold: bootstrap.mean(loss[fold.rows]),
        },
        seed=seed,
        draws=7,
    )
    again = np.random.default_rng(seed)
    drawn = {"auc": np.zeros(7), "loss": np.zeros(7)}
    value = {"auc": 0.0, "loss": 0.0}
    for number in range(3):
        here = np.flatnonzero(folds == number)
        value["auc"] += metrics.auc(happened[here], probability[here]) / 3
        value["loss"] += loss[here].mean() / 3
        own = np.unique(customers[here])
        for draw in range(7):
            chosen = own[again.integers(0, len(own), len(own))]
            rows = np.concatenate([np.flatnonzero(customers == customer) for customer in chosen])
            drawn["auc"][draw] += metrics.auc(happened[rows], probability[rows]) / 3
            drawn["loss"][draw] += loss[rows].mean() / 3
    for name, sampled in found.items():
        assert sampled.value == pytest.approx(value[name], nan_ok=True)
        np.testing.assert_allclose(sampled.draws, drawn[name])


def test_how_many_draws_are_made_at_once_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    customers, folds = sample(50, np.random.default_rng(1))
    figures = {"row": lambda fold: bootstrap.mean(fold.rows)}
    together = bootstrap.bootstrap(customers, folds, figures, seed=2, draws=30)["row"]
    monkeypatch.setattr(bootstrap, "CELLS_AT_ONCE", 1)
    np.testing.assert_allclose(
        bootstrap.bootstrap(customers, folds, figures, seed=2, draws=30)["row"].draws, together.draws
    )


def test_many_rows_have_fewer_draws_and_the_same_interval() -> None:
    random = np.random.default_rng(4)
    customers, loss = np.arange(300_000), random.exponential(1, 300_000)
    one = bootstrap.bootstrap(customers, customers % 3, {"loss": lambda fold: bootstrap.mean(loss[fold.rows])}, seed=1)
    assert len(one["loss"].draws) == bootstrap.FEWEST_DRAWS
    half = 1.96 * loss.std() / np.sqrt(len(loss))
    assert one["loss"].high - one["loss"].low == pytest.approx(2 * half, rel=0.25)


def test_a_difference_is_paired() -> None:
    random = np.random.default_rng(3)
    customers, folds = sample(400, random)
    loss = random.exponential(1, len(customers))
    better = loss - 0.01
    found = bootstrap.bootstrap(
        customers,
        folds,
        {
            "ours": lambda fold: bootstrap.mean(better[fold.rows]),
            "theirs": lambda fold: bootstrap.mean(loss[fold.rows]),
        },
        seed=1,
    )
    difference = found["ours"] - found["theirs"]
    assert (difference.low, difference.high) == pytest.approx((-0.01, -0.01))
    assert found["ours"].high - found["ours"].low > 0.05


def test_what_is_not_defined_has_no_range() -> None:
    customers, folds = np.arange(5), np.zeros(5, np.int64)
    nobody = np.zeros(5, np.bool_)
    found = bootstrap.bootstrap(
        customers, folds, {"auc": lambda fold: bootstrap.auc(nobody[fold.rows], np.arange(5.0))}, seed=1
    )["auc"]
    assert np.isnan(found.value)
    assert found.ranged() is None


@pytest.mark.long
def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Customers of several rows that are alike: the AUC's and the loss's truth is that of a very large sample."""
    random = np.random.default_rng(7)

    def draw(customers: int) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.float64]]:
        rows = np.repeat(np.arange(customers), random.integers(1, 5, customers))
        own = random.normal(0, 1, customers)[rows]
        happened = random.random(len(rows)) < 1 / (1 + np.exp(-own - random.normal(0, 0.3, len(rows))))
        return rows, happened, 1 / (1 + np.exp(-own))

    def loss(happened: NDArray[np.bool_], probability: NDArray[np.float64]) -> NDArray[np.float64]:
        return -np.log(np.where(happened, probability, 1 - probability))

    _, happened, probability = draw(1_000_000)
    truth = {"auc": metrics.auc(happened, probability), "loss": float(loss(happened, probability).mean())}
    held = dict.fromkeys(truth, 0)
    worlds = 300
    for world in range(worlds):
        customers, happened, probability = draw(300)
        surprise = loss(happened, probability)

        def rank(fold: Fold) -> bootstrap.Figure:
            return bootstrap.auc(happened[fold.rows], probability[fold.rows])  # noqa: B023  called before the next turn

        def surprised(fold: Fold) -> bootstrap.Figure:
            return bootstrap.mean(surprise[fold.rows])  # noqa: B023

        found = bootstrap.bootstrap(customers, customers % 3, {"auc": rank, "loss": surprised}, seed=world, draws=400)
        for name, value in truth.items():
            held[name] += found[name].low <= value <= found[name].high
    for name, count in held.items():
        assert 0.91 <= count / worlds <= 0.98, name
