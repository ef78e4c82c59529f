"""Aggregates: tallies of parts add up to that of the whole, and say what counting customer by customer says."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from loyalty_ml.models.card import DEFAULT_OFFERS, Offer, Thresholds
from loyalty_ml.scoring.answers import Answers, ChurnAnswers, OfferAnswers, RfmAnswers
from loyalty_ml.scoring.rfm import SEGMENT_NAMES, RfmScores, segment_name
from loyalty_ml.scoring.scorers import Scores
from loyalty_ml.scoring.scores import LAPSED, RISKS, ChurnScores, OfferScores, risk_band
from loyalty_ml.segments.aggregates import Tally, aggregate, by_group, statistics, tally

pytestmark = pytest.mark.unit

CHURN = ChurnAnswers()
NO_RISKS: dict[str, int] = {risk: 0 for risk in RISKS}  # noqa: C420  dict.fromkeys has no type of its own here
NOBODY = Tally(np.zeros(4, np.int64), Counter(), 0.0, 0.0)
REASONS = st.dictionaries(
    st.sampled_from(["CUSTOMER_NOT_FOUND", "NO_PURCHASES", "MISSING_FEATURES"]), st.integers(1, 9)
).map(Counter)

rows = st.integers(0, 60)
probabilities = st.sampled_from(np.array([0.0, 0.4, 0.7, 1.0], np.float32).tolist()) | st.floats(0, 1, width=32)


@st.composite
def churn_scores(draw: st.DrawFn) -> ChurnScores:
    probability = draw(arrays(np.float32, draw(rows), elements=probabilities))
    risk = risk_band(probability, Thresholds())
    risk[draw(arrays(np.bool_, len(probability)))] = LAPSED
    return ChurnScores(probability, risk)


@st.composite
def offer_scores(draw: st.DrawFn) -> OfferScores:
    table = draw(arrays(np.float32, (draw(rows), draw(st.integers(2, 9))), elements=probabilities))
    return OfferScores(table, table.argmax(axis=1).astype(np.int8))


@st.composite
def rfm_scores(draw: st.DrawFn) -> RfmScores:
    count = draw(rows)
    value = np.zeros(count)
    r_score, f_score, m_score = (draw(arrays(np.int8, count, elements=st.integers(1, 5))) for _ in range(3))
    return RfmScores(value, value, value, r_score, f_score, m_score)


def groups(scores: Scores) -> list[int]:
    """Customer by customer: the place at which each is counted."""
    match scores:
        case ChurnScores(probability, risk):
            bands = [2 - (chance >= 0.4) - (chance >= 0.7) for chance in probability.tolist()]
            return [3 if lapsed else band for band, lapsed in zip(bands, (risk == LAPSED).tolist(), strict=True)]
        case OfferScores(table, _):
            return [row.index(max(row)) for row in table.tolist()]
        case RfmScores():
            names = map(segment_name, scores.r_score.tolist(), scores.f_score.tolist())
            return [SEGMENT_NAMES.index(name) for name in names]
    raise AssertionError("No other scores are drawn")


def answers_of(scores: Scores) -> Answers[Any]:
    match scores:
        case OfferScores(table, _):
            return OfferAnswers(catalogue(*map(str, range(table.shape[1]))))
        case RfmScores():
            return RfmAnswers()
    return ChurnAnswers()


def part_of(scores: Scores, rows: slice) -> Any:
    columns: Any = type(scores)
    return columns(*(column[rows] for column in scores))


@given(churn_scores() | offer_scores() | rfm_scores(), REASONS)
def test_everybody_is_counted_in_the_group_that_is_theirs(scores: Scores, reasons: Counter[str]) -> None:
    counted = tally(answers_of(scores), scores, reasons)
    expected = Counter(groups(scores))
    assert counted.counts.dtype == np.int64
    assert counted.counts.tolist() == [expected[group] for group in range(len(counted.counts))]
    assert counted.answered == len(scores[0])
    assert counted.failed == sum(reasons.values())


@given(churn_scores() | offer_scores() | rfm_scores(), st.lists(st.tuples(rows, REASONS), max_size=5))
def test_tallies_of_parts_add_up_to_that_of_the_whole(scores: Scores, cuts: list[tuple[int, Counter[str]]]) -> None:
    """Also where a part is empty, and where all of a part failed."""
    places = [0, *sorted(min(place, len(scores[0])) for place, _ in cuts), len(scores[0])]
    parts = [slice(*ends) for ends in pairwise(places)]
    failures = [*(reasons for _, reasons in cuts), Counter[str]()]
    answers = answers_of(scores)
    total = tally(answers, part_of(scores, slice(0)), Counter())
    for part, reasons in zip(parts, failures, strict=True):
        total += tally(answers, part_of(scores, part), reasons)
    whole = tally(answers, scores, sum(failures, Counter[str]()))
    assert total.counts.tolist() == whole.counts.tolist()
    assert (total.answered, total.reasons) == (whole.answered, whole.reasons)
    assert total.value_sum == pytest.approx(whole.value_sum, rel=1e-12)
    assert total.active_sum == pytest.approx(whole.active_sum, rel=1e-12)


@given(churn_scores(), REASONS)
def test_churn_statistics_are_those_of_the_customers_one_by_one(scores: ChurnScores, reasons: Counter[str]) -> None:
    counted = tally(CHURN, scores, reasons)
    found = statistics(CHURN, counted)
    chances = scores.probability.tolist()
    risks = Counter(CHURN.groups[group] for group in groups(scores))
    count = len(chances)
    assert (found["count"], found["failed"]) == (count, sum(found["failed_by_code"].values()))
    assert found["failed_by_code"] == reasons
    assert found["avg_probability"] == (pytest.approx(sum(chances) / count, rel=1e-12) if count else None)
    active = [chance for chance, group in zip(chances, groups(scores), strict=True) if group != RISKS.index("lapsed")]
    assert found["avg_probability_active"] == (pytest.approx(np.mean(active), rel=1e-12) if active else None)
    for risk in RISKS:
        assert found[risk] == risks[risk]
        assert found[f"{risk}_percentage"] == (100 * risks[risk] / count if count else None)
    shown = ("high", "medium", "low", "lapsed", "avg_probability", "avg_probability_active")
    assert aggregate(CHURN, counted) == {name: found[name] for name in shown}
    assert tuple(aggregate(CHURN, counted)) == shown


@pytest.mark.parametrize("count", [1, 3, 11, 22, 49, 1_000_003])
def test_all_are_a_hundred_percent(count: int) -> None:
    found = statistics(CHURN, Tally(np.array([count, 0, 0, 0]), Counter(), 0.9 * count, 0.9 * count))
    assert (found["high_percentage"], found["medium_percentage"]) == (100, 0)


def test_the_mean_of_a_million_is_not_rounded_like_a_float32() -> None:
    probability = np.full(1_000_000, 0.1, np.float32)
    scores = ChurnScores(probability, np.zeros(len(probability), np.int8))
    found = aggregate(CHURN, tally(CHURN, scores, Counter()))
    assert found["avg_probability"] == pytest.approx(float(np.float32(0.1)), rel=1e-12)


def test_counts_of_nobody_are_zeros_and_averages_of_nobody_are_null() -> None:
    assert statistics(CHURN, NOBODY) == {
        **dict.fromkeys((*RISKS, "count", "failed"), 0),
        "failed_by_code": {},
        **dict.fromkeys(("avg_probability", "avg_probability_active", *(f"{risk}_percentage" for risk in RISKS))),
    }
    assert aggregate(CHURN, NOBODY) == {
        **NO_RISKS,
        "avg_probability": None,
        "avg_probability_active": None,
    }
    offers = statistics(OfferAnswers(DEFAULT_OFFERS), Tally(np.zeros(8, np.int64), Counter(NO_PURCHASES=4), 0.0, 0.0))
    assert (offers["count"], offers["failed"], offers["top_offers"]) == (0, 4, [])
    assert offers["distribution"] == dict.fromkeys((offer.offer_name for offer in DEFAULT_OFFERS), 0)
    segments = statistics(
        RfmAnswers(), Tally(np.zeros(len(SEGMENT_NAMES), np.int64), Counter(NO_PURCHASES=4), 0.0, 0.0)
    )
    assert (segments["count"], segments["failed"], segments["top_segments"]) == (0, 4, [])
    assert segments["distribution"] == dict.fromkeys(SEGMENT_NAMES, 0)


def catalogue(*names: str) -> Sequence[Offer]:
    return [
        Offer(offer_id=place, offer_code=str(place), offer_name=name, category="any")
        for place, name in enumerate(names)
    ]


def test_offers_of_one_name_are_counted_together() -> None:
    counted = Tally(np.array([5, 4, 3, 2]), Counter(NO_PURCHASES=1), 0.0, 0.0)
    offers = OfferAnswers(catalogue("Voucher", "Sale", "Voucher", "Gift"))
    assert by_group(offers, counted) == {"Voucher": 8, "Sale": 4, "Gift": 2}
    assert statistics(offers, counted)["top_offers"] == [("Voucher", 8), ("Sale", 4), ("Gift", 2)]


@pytest.mark.parametrize(
    ("counts", "top"),
    [
        ([1, 2, 3, 4], [("d", 4), ("c", 3), ("b", 2)]),
        ([2, 2, 2, 2], [("a", 2), ("b", 2), ("c", 2)]),
        ([1, 2, 1, 2], [("b", 2), ("d", 2), ("a", 1)]),
        ([0, 0, 5, 0], [("c", 5)]),
    ],
)
def test_of_equal_groups_the_first_is_named_first_and_empty_ones_are_not(
    counts: list[int], top: list[tuple[str, int]]
) -> None:
    found = statistics(OfferAnswers(catalogue("a", "b", "c", "d")), Tally(np.array(counts), Counter(), 0.0, 0.0))
    assert found["top_offers"] == top


def test_rfm_segments_are_named_in_their_order() -> None:
    counts = np.arange(len(SEGMENT_NAMES))
    found = statistics(RfmAnswers(), Tally(counts, Counter(NO_PURCHASES=2), 0.0, 0.0))
    assert list(found["distribution"].items()) == list(zip(SEGMENT_NAMES, counts.tolist(), strict=True))
    assert [name for name, _ in found["top_segments"]] == list(SEGMENT_NAMES[:-4:-1])
    assert (found["count"], found["failed"]) == (int(counts.sum()), 2)
