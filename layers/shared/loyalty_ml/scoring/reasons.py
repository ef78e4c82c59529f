"""Why a score is what it is: the exact Shapley value of each feature, or group of features, against a baseline.

A coalition is a set of players whose values are the customer's, while the others have the baseline's. A player's
contribution is the weighted mean of what it adds to the score over all coalitions of the others, with the weight
|S|! (n - |S| - 1)! / n! (Shapley, A Value for n-Person Games, 1953). Contributions add up to the score less the
baseline's score. Pure: the score of a matrix is an argument.
"""

import functools
import math
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_EXACT = 14
"""Players that all 2^n coalitions are scored of: 16,384 rows, some 2 ms of the default model."""
SAMPLED_ROWS = 16_384
"""Coalitions that are scored of more players, about: as many as of MAX_EXACT."""
LEAST_PAIRS = 8
"""Pairs of permutations of a card with very many features: fewer would say little of the standard error."""
CHUNK_ROWS = 4096
"""Of a sampled matrix at a time, so that a thousand features need 16 MB."""
TOLERANCE = 1e-5
"""How far contributions and the baseline's score may be from the score, of a score of 1 or less."""

Score = Callable[[NDArray[np.float32]], NDArray[np.float64]]
"""Float32 (k, f) in, float64 (k,) out."""


class NotAdditive(ArithmeticError):
    """Contributions do not add up to the score: the model answered a customer differently the second time."""


class Contributions(NamedTuple):
    """What each of p players adds to a score.

    values:           float64 (p,), in the order of the players; with `baseline_score` they add up to `score`.
    standard_errors:  float64 (p,), of `values` that are sampled; None if they are exact.
    """

    values: NDArray[np.float64]
    baseline_score: float
    score: float
    standard_errors: NDArray[np.float64] | None = None


def contributions(
    row: NDArray[np.float32],
    baseline: NDArray[np.float32],
    players: Sequence[Sequence[int]],
    score: Score,
    answered: float,
) -> Contributions:
    """What each player adds to `answered`, the score that the customer was answered with.

    row, baseline:  float32 (f,), finite.
    players:        the places in a row that move together; each place belongs to one player.
    A player whose values are the baseline's adds nothing, so it needs no coalitions. Of more than MAX_EXACT others,
    permutations are sampled, the same ones for the same row. Raises NotAdditive.
    """
    moves: list[bool] = (row != baseline).tolist()
    moving = [number for number, places in enumerate(players) if any(moves[place] for place in places)]
    own = _places(players, moving, len(moves))
    errors = None
    if len(moving) <= MAX_EXACT:
        found, scores = _exact(row, baseline, own, len(moving), score)
    else:
        found, own_errors, scores = _sampled(row, baseline, own, len(moving), score)
        errors = np.zeros(len(players))
        errors[moving] = own_errors
    if len(moving) < len(players):
        values = np.zeros(len(players))
        values[moving] = found
    else:
        values = found
    least, whole = float(scores[0]), float(scores[-1])
    added, bound = least + math.fsum(values.tolist()), TOLERANCE * max(1.0, abs(answered))
    # Also of the coalition of all: it is the row as it was answered, and must have the same score.
    if not (abs(added - answered) <= bound and abs(whole - answered) <= bound):
        raise NotAdditive(
            f"contributions add up to {added!r} (all features together: {whole!r}), but the score is {answered!r}"
        )
    return Contributions(values, least, answered, errors)


def _places(players: Sequence[Sequence[int]], moving: Sequence[int], features: int) -> tuple[int, ...]:
    """By place in a row, its player's number among those that move; 0, which does nothing, if its player does not."""
    own = [0] * features
    for number, player in enumerate(moving):
        for place in players[player]:
            own[place] = number
    return tuple(own)


def _exact(
    row: NDArray[np.float32], baseline: NDArray[np.float32], own: tuple[int, ...], count: int, score: Score
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The values, float64 (count,), and the scores of all coalitions, (2^count,): of nobody first, of all last."""
    if not count:
        return np.empty(0), score(row[np.newaxis])
    scores = score(np.where(_takes_row(count, own), row, baseline))
    found: NDArray[np.float64] = scores @ _weights(count)
    return found, scores


@functools.cache
def coalitions(players: int) -> NDArray[np.bool_]:
    """Bool (2^n, n), the members of every coalition: of row i those whose bit of i is set."""
    return (np.arange(1 << players)[:, np.newaxis] >> np.arange(players) & 1).astype(np.bool_)


@functools.lru_cache(maxsize=4)
def _takes_row(count: int, own: tuple[int, ...]) -> NDArray[np.bool_]:
    """Bool (2^count, f): whether a coalition has the player of this place in a row. It is most of the time to make."""
    return coalitions(count)[:, own]


@functools.cache
def _weights(players: int) -> NDArray[np.float64]:
    """Float64 (2^n, n): what a coalition's score counts for in each player's value.

    As one that has the player it ends a step, from |S| - 1 members on; as one that has not, it begins a step.
    """
    members = coalitions(players)
    sizes = members.sum(axis=1)
    # Of the step that begins with `size` others: |S|! (n - |S| - 1)! / n!
    step = np.array([1 / (players * math.comb(players - 1, size)) for size in range(players)])
    ends, begins = step[np.maximum(sizes - 1, 0)], step[np.minimum(sizes, players - 1)]
    return np.where(members, ends[:, np.newaxis], -begins[:, np.newaxis])


def pairs_of(players: int) -> int:
    """How many pairs of permutations are sampled of so many players."""
    return max(LEAST_PAIRS, SAMPLED_ROWS // (2 * players))


def scored_rows(players: int) -> int:
    """How many rows are scored for the contributions of so many players, if each moves: of many, about."""
    return 1 << players if players <= MAX_EXACT else 2 * pairs_of(players) * players


def _sampled(
    row: NDArray[np.float32], baseline: NDArray[np.float32], own: tuple[int, ...], count: int, score: Score
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The values and their standard errors, float64 (n,), and the scores of nobody and of all.

    Players join in a random order, then in the reverse of it: what one adds early in the one, it adds late in the other
    (antithetic permutations; Mitchell et al., Sampling Permutations for Shapley Value Estimation, 2022). The steps of
    an order add up to the whole difference, so their mean does.
    """
    seed = blake2b(row.tobytes() + baseline.tobytes(), digest_size=8).digest()
    random = np.random.default_rng(int.from_bytes(seed, "big"))
    nobody, everyone = score(np.stack([baseline, row])).tolist()
    pairs = pairs_of(count)
    total, squares = np.zeros(count), np.zeros(count)
    at_once = max(1, CHUNK_ROWS // (2 * count))
    for start in range(0, pairs, at_once):
        forward = np.array([random.permutation(count) for _ in range(min(at_once, pairs - start))])
        orders = np.concatenate([forward, forward[:, ::-1]])
        # The place of each player in each order; a coalition is of those who come before a place.
        places = np.argsort(orders, axis=1)
        members = places[:, np.newaxis, :] < np.arange(1, count)[np.newaxis, :, np.newaxis]
        matrix = np.where(members.reshape(-1, count)[:, own], row, baseline)
        inner = score(matrix).reshape(len(orders), count - 1)
        steps = np.diff(inner, axis=1, prepend=nobody, append=everyone)
        by_player = np.take_along_axis(steps, places, axis=1)
        means = (by_player[: len(forward)] + by_player[len(forward) :]) / 2
        total += means.sum(axis=0)
        squares += np.square(means).sum(axis=0)
    mean = total / pairs
    variance = np.maximum(squares / pairs - np.square(mean), 0) * pairs / (pairs - 1)
    return mean, np.sqrt(variance / pairs), np.array([nobody, everyone])
