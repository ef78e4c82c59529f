"""Single, batch, segment and file say the same of a customer, to the bit, whatever the cards say of who has lapsed and
of which offers too little is known."""

import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from pydantic import ValidationError

from loyalty_ml.arrow import texts_of
from loyalty_ml.customers.population import Population
from loyalty_ml.customers.table import FeatureTable
from loyalty_ml.files.scoring import answering, question
from loyalty_ml.files.table import Rows
from loyalty_ml.files.writing import Writer
from loyalty_ml.models.card import Card, card_key
from loyalty_ml.models.manifest import RfmCutPoints
from loyalty_ml.models.store import LoadedModel, ModelSet
from loyalty_ml.scoring.predictions import predict
from loyalty_ml.scoring.scores import RISKS, score_offers
from loyalty_ml.segments.definition import Segment, SegmentDefinition
from loyalty_ml.segments.predictions import predict_segment
from loyalty_ml.segments.statistics import measure_segment
from loyalty_ml.vocabulary import PredictionType
from tests import sample_set
from tests.customers.test_population import Customers, write
from tests.examples import examples
from tests.files.writings import read_results, written_as
from training.learning.splits import for_stopping, held_out

pytestmark = pytest.mark.unit

FEATURES = ("revenue", "spread", "days_since_last")
"""Of the snapshot. The networks read the first two, so that the rule's feature is one more column, or one of them."""
OFFERS = 5
TYPES: tuple[PredictionType, ...] = ("churn", "nbo")
CUT_POINTS = RfmCutPoints(
    version="test", features=("revenue", "revenue", "revenue"),
    recency=(1, 2, 3, 4), frequency=(4, 3, 2, 1), monetary=(4, 3, 2, 1),
)  # fmt: skip


class Case(NamedTuple):
    """Cards and customers: float64 (n, features), NaN for no value."""

    churn: Card
    nbo: Card
    ids: list[str]
    values: NDArray[np.float64]


def card(name: str, **changes: Any) -> Card:
    """The sample card of a network that reads two features."""
    active = sample_set.manifest().models[name]
    fields = json.loads(sample_set.file_of(card_key(name, active.version)).read_bytes())
    fields.pop("outputs", None)
    fields.pop("domains")  # of features that this network does not read
    outputs = 1 if name == "churn" else OFFERS
    golden = {"inputs": [[0.0, 0.0]], "outputs": [[0.0] * outputs]}
    without = dict.fromkeys(("distribution", "baseline", "active"))
    fields |= {"features": FEATURES[:2], "golden": golden, **without, **changes}
    return Card.model_validate(fields)


def offer(place: int, evidence: str | None = None, explore: float | None = None) -> dict[str, Any]:
    return {
        "offer_id": place, "offer_code": f"CODE_{place}", "offer_name": f"Offer {place}", "category": "any",
        "evidence": evidence, "explore": explore,
    }  # fmt: skip


offers = st.lists(
    st.tuples(st.sampled_from([None, "learnt", "too_few"]), st.sampled_from([None, 0.05, 0.2])),
    min_size=OFFERS,
    max_size=OFFERS,
).filter(lambda drawn: any(evidence != "too_few" for evidence, _ in drawn))
likely = st.sampled_from([0.0, 0.25, 0.5, 1.0, 89.5, 90.0, np.nextafter(90.0, 91), 90.1, 91.0, 1e39, np.nan])


@st.composite
def cases(draw: st.DrawFn) -> Case:
    feature, days = draw(st.sampled_from(FEATURES)), draw(st.sampled_from([0.3, 89.5, 90.0, 90.1]))
    rows = draw(st.integers(1, 60))
    ids = draw(st.lists(st.text("abcdé 019-", min_size=1), min_size=rows, max_size=rows, unique=True))
    return Case(
        churn=card("churn", active=draw(st.sampled_from([None, {"feature": feature, "days": days}]))),
        nbo=card("nbo", offers=[offer(place, *drawn) for place, drawn in enumerate(draw(offers))]),
        ids=sorted(ids),
        values=draw(arrays(np.float64, (rows, len(FEATURES)), elements=likely)),
    )


def churn_network(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    assert matrix.shape[1] == 2, "the network is given its own features only"
    return np.minimum(matrix[:, :1] / np.float32(2) + matrix[:, 1:] / np.float32(7), np.float32(1))


def offer_network(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.column_stack([np.abs(np.sin(matrix[:, 0] * place + matrix[:, 1])) for place in range(1, OFFERS + 1)])


def models_of(case: Case) -> ModelSet:
    loaded: Any = {"churn": LoadedModel(case.churn, churn_network), "nbo": LoadedModel(case.nbo, offer_network)}  # type: ignore[arg-type]
    manifest = sample_set.manifest().model_copy(update={"rfm": CUT_POINTS})
    return ModelSet(manifest, loaded)


def by_request(case: Case, prediction_type: PredictionType, ids: Sequence[str]) -> Mapping[str, Any]:
    """What requests of these customers answer, by id; a failure by its code."""

    def read(customer_ids: Sequence[str], names: Sequence[str]) -> FeatureTable:
        rows = [case.ids.index(customer_id) for customer_id in customer_ids]
        values = case.values[rows][:, [FEATURES.index(name) for name in names]]
        return FeatureTable(customer_ids, tuple(names), values, np.isnan(values), None, sample_set.AS_OF)

    outcomes = predict(prediction_type, ids, models_of(case), read, "false").outcomes
    return {name: outcome if isinstance(outcome, dict) else outcome.code for name, outcome in outcomes.items()}


def population_of(case: Case, folder: str) -> Population:
    half = len(case.ids) // 2
    parts = [Customers(case.ids[rows], case.values[rows]) for rows in (slice(half), slice(half, None))]
    return Population(write(Path(folder), FEATURES, parts), block_rows=7, decoded_rows=5)


def segment(**definition: Any) -> Segment:
    fields = SegmentDefinition.model_validate({"segment_name": "A", **definition})
    return Segment("a", 1, datetime(2018, 1, 2, tzinfo=UTC), fields)


def in_file(case: Case, prediction_type: PredictionType, extension: str, folder: str) -> list[dict[str, Any]]:
    """The rows of a results file."""
    asked = question(prediction_type, models_of(case), "false")
    rows = Rows(np.arange(len(case.ids)) + 1, texts_of(case.ids), case.values, np.isnan(case.values))
    scored = answering(asked, FEATURES, None)(rows)
    writer = Writer(written_as(f"a.{extension}"), ",", asked, Path(folder))
    with duckdb.connect() as connection:
        content = writer.header() + writer.rows(connection, scored)[0]
    return read_results(f"a.{extension}", content) if content else []


def columns_of(prediction_type: PredictionType, result: Mapping[str, Any], nbo: Card) -> dict[str, Any]:
    """What a results file says of a customer who has this answer."""
    if prediction_type == "churn":
        return dict(result)
    best = result["top_offer"]
    explores = any(each.evidence == "too_few" and each.explore for each in nbo.offers)
    return {
        "customer_id": result["customer_id"],
        "recommended_offer": result["recommended_offer"],
        **{name: best[name] for name in ("offer_code", "offer_name", "category")},
        "confidence": result["confidence"],
        "evidence": best["evidence"],
        **({"explored": best.get("explored", False)} if explores else {}),
        **{f"offer_{place}": chance for place, chance in enumerate(result["offer_scores"])},
    }


def in_csv(row: Mapping[str, Any]) -> dict[str, str]:
    texts = {name: str(value) if not isinstance(value, bool) else str(value).lower() for name, value in row.items()}
    if texts["customer_id"].startswith("-") and not texts["customer_id"][1:].isdigit():
        texts["customer_id"] = "'" + texts["customer_id"]  # or a spreadsheet would run it
    return texts


def as_numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers to the bit, however they are written."""
    names = [name for name in row if name in {"churn_probability", "confidence"} or name.startswith("offer_")]
    numbers = {name: float(row[name]).hex() for name in names if name not in {"offer_code", "offer_name"}}
    return {**row, **numbers}


@pytest.mark.parametrize("prediction_type", TYPES)
@given(case=cases())
@settings(max_examples=examples(15))
def test_every_mode_says_the_same(prediction_type: PredictionType, case: Case) -> None:
    batch = by_request(case, prediction_type, case.ids)
    for customer_id in case.ids[:10]:
        assert by_request(case, prediction_type, [customer_id]) == {customer_id: batch[customer_id]}
    results = [batch[customer_id] for customer_id in case.ids if isinstance(batch[customer_id], dict)]
    models = models_of(case)
    with tempfile.TemporaryDirectory() as folder:
        population = population_of(case, folder)
        answer = predict_segment(segment(rule={}), prediction_type, population, models, "false")
        assert [entry["result"] for entry in answer["results"]] == results
        groups = Counter(
            result["churn_risk"] if prediction_type == "churn" else result["top_offer"]["offer_name"]
            for result in results
        )
        counted = answer["aggregated_stats"]
        assert {name: count for name, count in counted.items() if count and not name.startswith("avg_")} == groups
        stats: Any = measure_segment(None, population, models, "false").stats[prediction_type]
        assert counted.items() <= (stats["distribution"] if prediction_type == "nbo" else stats).items()
        for name in groups:
            chosen = (
                {"churn_risk": name}
                if prediction_type == "churn"
                else {"recommended_offer": f"CODE_{name.removeprefix('Offer ')}"}
            )
            members = predict_segment(segment(**chosen), "rfm", population, models, "false")
            assert members["total_customers"] == groups[name]
        expected = [as_numbers(columns_of(prediction_type, result, case.nbo)) for result in results]
        for extension in ("jsonl", "parquet"):
            assert [as_numbers(row) for row in in_file(case, prediction_type, extension, folder)] == expected
        assert [as_numbers(row) for row in in_file(case, prediction_type, "csv", folder)] == [
            in_csv(row) for row in expected
        ]


@given(case=cases())
def test_a_risk_is_lapsed_beyond_the_rules_days_and_else_its_bands(case: Case) -> None:
    rule, thresholds = case.churn.active, case.churn.thresholds
    for customer_id, outcome in by_request(case, "churn", case.ids).items():
        if not isinstance(outcome, dict):
            continue
        row = dict(zip(FEATURES, case.values[case.ids.index(customer_id)], strict=True))
        chance = outcome["churn_probability"]
        band = "high" if chance >= thresholds.high else "medium" if chance >= thresholds.medium else "low"
        lapsed = rule is not None and float(np.float32(row[rule.feature])) > rule.days
        assert outcome["churn_risk"] == ("lapsed" if lapsed else band)
        assert outcome["churn_risk"] in RISKS


@given(case=cases())
def test_what_is_recommended_is_known_enough_of_unless_the_customer_is_one_to_explore_on(case: Case) -> None:
    evidence = [each.evidence for each in case.nbo.offers]
    for outcome in by_request(case, "nbo", case.ids).values():
        if not isinstance(outcome, dict):
            continue
        chances, shown = outcome["offer_scores"], outcome["offers"]
        explored = shown[0].get("explored", False)
        assert outcome["top_offer"] is shown[0]
        assert (shown[0]["offer_id"], shown[0]["probability"]) == (outcome["recommended_offer"], outcome["confidence"])
        assert [each["evidence"] for each in shown] == [evidence[each["offer_id"]] or "unknown" for each in shown]
        assert not any("explored" in each for each in shown[1:])
        if explored:
            assert evidence[outcome["recommended_offer"]] == "too_few"
            assert case.nbo.offers[outcome["recommended_offer"]].explore
        in_order = sorted(range(OFFERS), key=lambda place: (evidence[place] == "too_few", -chances[place], place))
        if explored:
            in_order.remove(outcome["recommended_offer"])
            in_order.insert(0, outcome["recommended_offer"])
        assert [each["offer_id"] for each in shown] == in_order


def recommended(offers: Sequence[Mapping[str, Any]], ids: Sequence[str]) -> NDArray[np.signedinteger]:
    """What each of these customers is recommended, who are all alike: of offers the last is the likeliest."""
    chances = np.tile(np.array([0.1, 0.2, 0.3, 0.4, 0.5], np.float32), (len(ids), 1))
    catalogue = card("nbo", offers=offers).offers
    return score_offers(np.zeros((len(ids), 2), np.float32), lambda _: chances, catalogue, ids).best


IDS = [f"customer {number}" for number in range(20_000)]


def test_a_stated_share_of_customers_is_explored_on_and_the_others_get_the_best_that_is_learnt() -> None:
    offers = [offer(0, "learnt"), offer(1), offer(2, "too_few", 0.05), offer(3, "too_few", 0.1), offer(4, "too_few")]
    best = recommended(offers, IDS)
    assert np.bincount(best, minlength=OFFERS) / len(IDS) == pytest.approx([0, 0.85, 0.05, 0.1, 0], abs=0.01)
    assert recommended(offers, IDS[::-1]).tolist() == best.tolist()[::-1], "by the id alone"
    assert recommended(offers, IDS[:1]).tolist() == best[:1].tolist()


def test_without_ids_nobody_is_explored_on() -> None:
    catalogue = card("nbo", offers=[*map(offer, range(4)), offer(4, "too_few", 1.0)]).offers
    scores = score_offers(np.zeros((3, 2), np.float32), lambda _: np.ones((3, OFFERS), np.float32), catalogue)
    assert scores.best.tolist() == [0, 0, 0]


def test_the_shares_take_slices_one_after_the_other_in_the_order_of_the_catalogue() -> None:
    first = recommended([*map(offer, range(3)), offer(3, "too_few", 0.2), offer(4, "too_few")], IDS)
    both = recommended([*map(offer, range(3)), offer(3, "too_few", 0.2), offer(4, "too_few", 0.8)], IDS)
    assert set(both.tolist()) == {3, 4}, "the shares are all customers"
    assert (both[first == 3] == 3).all()
    assert (first == 3).sum() == (both == 3).sum()


def test_an_offer_that_is_learnt_or_that_nobody_looked_at_is_explored_no_longer() -> None:
    best = recommended([offer(0, "learnt", 0.3), offer(1, None, 0.3), offer(2), offer(3), offer(4, "too_few")], IDS)
    assert set(best.tolist()) == {3}


def test_if_one_offer_is_learnt_by_now_the_customers_of_another_stay_the_same() -> None:
    before, after = (
        recommended([*map(offer, range(3)), offer(3, evidence, 0.05), offer(4, "too_few", 0.05)], IDS)
        for evidence in ("too_few", "learnt")
    )
    assert ((before == 4) == (after == 4)).all()


def test_who_is_explored_on_is_not_who_training_holds_out() -> None:
    explored = recommended([*map(offer, range(4)), offer(4, "too_few", 0.25)], IDS) == 4
    for chosen in (*(held_out(IDS, split, 0.25) for split in range(3)), for_stopping(IDS)):
        assert explored[chosen].mean() == pytest.approx(explored.mean(), abs=0.02)


@pytest.mark.parametrize(
    ("offers", "problem"),
    [
        ([offer(place, "too_few") for place in range(OFFERS)], "too little is known of every offer"),
        ([*(offer(place, "too_few", 0.4) for place in range(3)), offer(3), offer(4)], "add up to more than 1"),
        ([*map(offer, range(4)), offer(4, "plenty")], "'learnt' or 'too_few'"),
        ([*map(offer, range(4)), offer(4, "too_few", 1.5)], "less than or equal to 1"),
    ],
)
def test_a_catalogue_that_could_not_be_recommended_from_is_refused(offers: Any, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        card("nbo", offers=offers)


def test_ten_shares_of_a_tenth_are_all_customers() -> None:
    shares = [*(offer(place, "too_few", 0.1) for place in range(3)), offer(3, "learnt", 0.7), offer(4)]
    assert card("nbo", offers=shares)


def test_an_active_rule_is_of_a_churn_model() -> None:
    offers = [*map(offer, range(OFFERS))]
    with pytest.raises(ValidationError, match="only a churn model has an active rule"):
        card("nbo", offers=offers, active={"feature": "days_since_last", "days": 90})
