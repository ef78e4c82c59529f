"""The one way to score: a matrix of customers in, columns of answers out. Every mode of the service comes through here.

Pure: the network is an argument, and nothing depends on how many rows come at once or in which order.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.models.card import Offer, Thresholds

ChurnRisk = Literal["high", "medium", "low", "lapsed"]

Network = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Float32 (n, features) in, float32 (n, outputs) out."""

RISKS: tuple[ChurnRisk, ...] = get_args(ChurnRisk)
HIGH, MEDIUM, LOW, LAPSED = map(np.int8, range(len(RISKS)))

CHUNK_ROWS = 4096
RULE_ROWS = 8 * CHUNK_ROWS
"""Of which the network's matrix is in the processor's second cache, and calling it takes no time of its own."""


class ChurnScores(NamedTuple):
    """n customers: `probability` float32 (n,) from 0 to 1; `risk` int8 (n,), a place in RISKS."""

    probability: NDArray[np.float32]
    risk: NDArray[np.int8]


class OfferScores(NamedTuple):
    """n customers, k offers: `probabilities` float32 (n, k); `best` (n,), the id of the offer that is recommended:
    int8, or int16 from 128 offers on."""

    probabilities: NDArray[np.float32]
    best: NDArray[np.signedinteger]


class ActiveColumn(NamedTuple):
    """An active rule over a matrix: who has more than `days` in the column at `place` has lapsed.

    features:  how many columns, the first ones, are the network's.
    """

    place: int
    days: float
    features: int


def score_churn(
    matrix: NDArray[np.float32], network: Network, thresholds: Thresholds, active: ActiveColumn | None = None
) -> ChurnScores:
    """Churn probability and risk band for float32 (n, columns), all finite; without `active` nobody has lapsed."""
    if active is None:
        probability = network(matrix)[:, 0]
        return ChurnScores(probability, risk_band(probability, thresholds))
    if len(matrix) <= RULE_ROWS:
        return _score_active(matrix, network, thresholds, active)
    scores = ChurnScores(np.empty(len(matrix), np.float32), np.empty(len(matrix), np.int8))
    for chunk in _chunks(len(matrix), RULE_ROWS):
        # While its rows are in the cache: the column of a million would be read from memory once more.
        scores.probability[chunk], scores.risk[chunk] = _score_active(matrix[chunk], network, thresholds, active)
    return scores


def _score_active(
    matrix: NDArray[np.float32], network: Network, thresholds: Thresholds, active: ActiveColumn
) -> ChurnScores:
    """The same of at most RULE_ROWS customers."""
    probability = network(matrix[:, : active.features])[:, 0]
    # In float32 as the network reads it, so that a customer is in the same band wherever the value comes from.
    lapsed = (matrix[:, active.place] > _greatest_float32(active.days)).view(np.int8)
    risk = _band(probability, thresholds)
    # LAPSED is the last of RISKS. A mask would take thirty times as long.
    return ChurnScores(probability, np.maximum(risk, LAPSED * lapsed, out=risk))


def score_offers(
    matrix: NDArray[np.float32], network: Network, offers: Sequence[Offer] = (), customer_ids: Sequence[str] = ()
) -> OfferScores:
    """A probability for each offer for float32 (n, features), all finite, and the offer that is recommended.

    That is the likeliest, of equal ones the lower id, of those of which enough is known; all are if `offers` is empty.
    customer_ids: the n customers' ids, who may be given an offer of which too little is known (see explores); without
    them nobody is.
    """
    probabilities = network(matrix)
    may_be_best = [offer.offer_id for offer in offers if offer.evidence != "too_few"]
    if len(may_be_best) == len(offers):
        return OfferScores(probabilities, _first_of_the_largest(probabilities))
    # A row that is not finite has no largest, and its place is behind the last; it gets no answer.
    places = _first_of_the_largest(np.ascontiguousarray(probabilities[:, may_be_best]))
    best: NDArray[Any] = np.array(may_be_best, places_type(len(offers))).take(places, mode="clip")
    if len(customer_ids) and explores(offers):
        drawn, begins = _drawn(customer_ids), 0.0
        for offer in offers:
            # One that is learnt by now keeps its place, so that another's customers stay the same.
            ends = begins + (offer.explore or 0)
            if offer.evidence == "too_few":
                best[(begins <= drawn) & (drawn < ends)] = offer.offer_id
            begins = ends
    return OfferScores(probabilities, best)


def explores(offers: Sequence[Offer]) -> bool:
    """Whether some customers are given an offer of which too little is known, so that more becomes known of it."""
    return any(offer.evidence == "too_few" and offer.explore for offer in offers)


def _drawn(customer_ids: Sequence[str]) -> NDArray[np.float64]:
    """Float64 (n,), uniform in [0, 1): a hash of each id alone, the same on every machine.

    Its salt is its own, or those who are explored on would be those who are held out by training.
    """
    hashes = b"".join(
        blake2b(customer_id.encode(), digest_size=8, person=b"explore").digest() for customer_id in customer_ids
    )
    # 53 bits are what a float64 below 1 can hold.
    return (np.frombuffer(hashes, "<u8") >> np.uint64(11)).astype(np.float64) / 2.0**53


def places_type(count: int) -> type[np.int8 | np.int16]:
    """What places in a row of `count` are kept as."""
    return np.int8 if count <= np.iinfo(np.int8).max else np.int16


def risk_band(probability: NDArray[np.float32], thresholds: Thresholds) -> NDArray[np.int8]:
    """Int8 (n,), HIGH, MEDIUM or LOW, for float32 (n,)."""
    band = np.empty(len(probability), np.int8)
    for chunk in _chunks(len(probability)):
        _band(probability[chunk], thresholds, out=band[chunk])
    return band


def _band(
    probability: NDArray[np.float32], thresholds: Thresholds, out: NDArray[np.int8] | None = None
) -> NDArray[np.int8]:
    medium, high = _least_float32(thresholds.medium), _least_float32(thresholds.high)
    return np.add(probability < medium, probability < high, out=out, dtype=np.int8)


def _first_of_the_largest(rows: NDArray[np.float32]) -> NDArray[np.signedinteger]:
    """Like rows.argmax(axis=1), which takes three times as long on rows of eight.

    (n, k) to (n,): int8 for k < 128, which a results file shows as such; else int16.
    """
    count = rows.shape[1]
    if places_type(count) is not np.int8:
        return rows.argmax(axis=1).astype(places_type(count))
    # Of the places that hold the largest, the first has most places from it to the end.
    to_the_end = np.arange(count, 0, -1, dtype=np.int8)[:, np.newaxis]
    places = np.empty(len(rows), np.int8)
    for chunk in _chunks(len(rows)):
        columns = np.ascontiguousarray(rows[chunk].T)
        holds = (columns == columns.max(axis=0)).view(np.int8)
        np.subtract(count, (holds * to_the_end).max(axis=0), out=places[chunk], casting="unsafe")
    return places


def _chunks(rows: int, size: int = CHUNK_ROWS) -> Iterator[slice]:
    """Slices that fit the processor's cache, so that no working memory grows with the table."""
    for start in range(0, rows, size):
        yield slice(start, start + size)


@functools.cache
def _least_float32(threshold: float) -> np.float32:
    """The least float32 that is not below the threshold, so that the band agrees with the number that is shown."""
    nearest = np.float32(threshold)
    return nearest if float(nearest) >= threshold else np.nextafter(nearest, np.float32(np.inf))


@functools.cache
def _greatest_float32(limit: float) -> np.float32:
    """The greatest float32 that is not above the limit: a float32 is above the one if and only if it is the other."""
    nearest = np.float32(limit)
    return nearest if float(nearest) <= limit else np.nextafter(nearest, np.float32(-np.inf))
