"""Shapley values: what defines them, closed forms, and how sampled ones keep to them."""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from loyalty_ml.scoring import reasons
from loyalty_ml.scoring.reasons import MAX_EXACT, NotAdditive, contributions, scored_rows
from tests.sample_set import model_set

pytestmark = pytest.mark.unit

NETWORK = model_set().loaded["churn"].network
Matrix = NDArray[np.float32]


def churn(matrix: Matrix) -> NDArray[np.float64]:
    return NETWORK(matrix)[:, 0].astype(np.float64)


def customer(seed: int, features: int = 10) -> Matrix:
    return np.exp(np.random.default_rng(seed).normal(3, 2, features)).astype(np.float32)


def alone(features: int) -> list[list[int]]:
    return [[place] for place in range(features)]


def explained(
    row: Matrix, baseline: Matrix, players: Sequence[Sequence[int]], score: Callable[[Matrix], NDArray[np.float64]]
) -> reasons.Contributions:
    return contributions(row, baseline, players, score, float(score(row[np.newaxis])[0]))


def by_definition(
    row: Matrix, baseline: Matrix, players: Sequence[Sequence[int]], score: Callable[[Matrix], NDArray[np.float64]]
) -> list[float]:
    """The formula as it is written, coalition by coalition."""

    def of(members: Sequence[int]) -> float:
        mixed = baseline.copy()
        for member in members:
            mixed[list(players[member])] = row[list(players[member])]
        return float(score(mixed[np.newaxis])[0])

    count = len(players)
    found = []
    for player in range(count):
        others = [other for other in range(count) if other != player]
        value = 0.0
        for size in range(count):
            weight = math.factorial(size) * math.factorial(count - size - 1) / math.factorial(count)
            for members in itertools.combinations(others, size):
                value += weight * (of([*members, player]) - of(members))
        found.append(value)
    return found


@pytest.mark.parametrize(
    "players", [[*alone(5), [5, 6], [7, 8, 9]], [[0, 9], [1, 2, 3, 4, 5, 6, 7, 8]], [[*range(10)]]]
)
def test_it_is_the_formula(players: list[list[int]]) -> None:
    row, baseline = customer(1), customer(2)
    found = explained(row, baseline, players, churn)
    assert found.values == pytest.approx(by_definition(row, baseline, players, churn), abs=1e-12)
    assert found.standard_errors is None


@given(seed=st.integers(0, 2**32 - 1), same=st.sets(st.integers(0, 9)))
def test_contributions_add_up_and_who_is_as_the_baseline_adds_nothing(seed: int, same: set[int]) -> None:
    row, baseline = customer(seed), customer(seed + 1)
    row[list(same)] = baseline[list(same)]
    found = explained(row, baseline, alone(10), churn)
    assert found.baseline_score + math.fsum(found.values) == pytest.approx(found.score, abs=1e-5)
    assert not found.values[list(same)].any()


@given(seed=st.integers(0, 2**32 - 1), features=st.integers(1, 20))
def test_of_a_linear_score_each_adds_its_own_part(seed: int, features: int) -> None:
    random = np.random.default_rng(seed)
    weights = random.normal(0, 1, features)
    row, baseline = random.normal(0, 1, (2, features)).astype(np.float32)
    found = explained(row, baseline, alone(features), lambda matrix: matrix.astype(np.float64) @ weights)
    assert found.values == pytest.approx(weights * (row.astype(np.float64) - baseline), abs=1e-9)
    if features > MAX_EXACT:
        assert found.standard_errors == pytest.approx(np.zeros(features), abs=1e-7)


@given(seed=st.integers(0, 2**32 - 1), features=st.integers(2, 8))
def test_players_that_do_the_same_add_the_same_and_one_that_does_nothing_adds_nothing(seed: int, features: int) -> None:
    row, baseline = customer(seed, features), customer(seed + 1, features)
    row[1], baseline[1] = row[0], baseline[0]

    def score(matrix: Matrix) -> NDArray[np.float64]:
        values = matrix.astype(np.float64)
        first, second, others = values[:, 0], values[:, 1], values[:, 2:-1].sum(axis=1)
        return np.tanh((first * second + first + second + others) / 50)

    found = explained(row, baseline, alone(features), score)
    assert found.values[0] == pytest.approx(found.values[1], abs=1e-12)
    if features > 2:
        assert found.values[-1] == pytest.approx(0, abs=1e-12)


@given(seed=st.integers(0, 2**32 - 1))
def test_of_a_product_of_two_each_adds_half_of_what_both_add(seed: int) -> None:
    row, baseline = customer(seed, 2), np.zeros(2, np.float32)
    found = explained(row, baseline, alone(2), lambda matrix: np.tanh(matrix[:, 0].astype(float) * matrix[:, 1]))
    assert found.values == pytest.approx([found.score / 2] * 2)


def bumpy(features: int) -> Callable[[Matrix], NDArray[np.float64]]:
    weights = np.random.default_rng(features).normal(0, 1, (features, 6))

    def score(matrix: Matrix) -> NDArray[np.float64]:
        hidden = np.maximum(matrix.astype(np.float64) @ weights, 0)
        return 1 / (1 + np.exp(-hidden.sum(axis=1) / features))

    return score


@pytest.mark.parametrize("features", [MAX_EXACT + 1, 40, 300])
def test_of_more_players_than_are_exact_it_samples_the_same_ones_for_the_same_customer(features: int) -> None:
    row, baseline = np.random.default_rng(features).normal(0, 1, (2, features)).astype(np.float32)
    found, again = (explained(row, baseline, alone(features), bumpy(features)) for _ in range(2))
    assert found.values.tobytes() == again.values.tobytes()
    assert found.standard_errors is not None
    assert (found.standard_errors > 0).sum() > features / 2
    assert found.baseline_score + math.fsum(found.values) == pytest.approx(found.score, abs=1e-9)


def test_what_is_sampled_is_near_what_is_exact_by_its_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    row, baseline = np.random.default_rng(4).normal(0, 1, (2, MAX_EXACT)).astype(np.float32)
    exact = explained(row, baseline, alone(MAX_EXACT), bumpy(MAX_EXACT))
    monkeypatch.setattr(reasons, "MAX_EXACT", MAX_EXACT - 1)
    sampled = explained(row, baseline, alone(MAX_EXACT), bumpy(MAX_EXACT))
    assert sampled.standard_errors is not None
    away: NDArray[np.float64] = np.abs(sampled.values - exact.values) / sampled.standard_errors
    assert np.max(away) < 4
    assert np.max(away) > 0.1, "the standard errors are far too large"


def test_of_many_features_in_few_groups_it_is_exact() -> None:
    features = 40
    row, baseline = np.random.default_rng(5).normal(0, 1, (2, features)).astype(np.float32)
    players = [[*range(start, start + 10)] for start in range(0, features, 10)]
    found = explained(row, baseline, players, bumpy(features))
    assert found.standard_errors is None
    assert found.values == pytest.approx(by_definition(row, baseline, players, bumpy(features)), abs=1e-12)


def test_a_customer_who_is_the_baseline_has_its_score_and_nothing_adds() -> None:
    row = customer(3)
    found = explained(row, row, alone(10), churn)
    assert not found.values.any()
    assert found.baseline_score == found.score


@pytest.mark.parametrize("features", [4, 30])
def test_what_does_not_add_up_is_an_error_and_no_reason(features: int) -> None:
    row, baseline = np.random.default_rng(6).normal(0, 1, (2, features)).astype(np.float32)
    score = bumpy(features)
    answered = float(score(row[np.newaxis])[0])
    with pytest.raises(NotAdditive, match="add up"):
        contributions(row, baseline, alone(features), score, answered + 2e-5)
    with np.errstate(invalid="ignore"), pytest.raises(NotAdditive):
        contributions(row, baseline, alone(features), lambda matrix: np.sqrt(matrix[:, 0] * np.nan), answered)


@pytest.mark.parametrize("features", [1, 10, MAX_EXACT, MAX_EXACT + 1, 40, 300])
def test_it_scores_as_many_rows_as_it_is_said_to(features: int) -> None:
    scored = 0

    def score(matrix: Matrix) -> NDArray[np.float64]:
        nonlocal scored
        scored += len(matrix)
        return matrix.sum(axis=1, dtype=np.float64)

    row, baseline = np.ones(features, np.float32), np.zeros(features, np.float32)
    contributions(row, baseline, alone(features), score, float(features))
    assert 0.9 * scored_rows(features) <= scored <= scored_rows(features)
