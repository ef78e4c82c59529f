"""A customer with a value outside a feature's domain has no answer, and in every mode the same customers have none."""

import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError

from loyalty_ml.arrow import texts_of
from loyalty_ml.customers.table import FeatureTable
from loyalty_ml.errors import LoyaltyError
from loyalty_ml.files.scoring import answering, question
from loyalty_ml.files.table import Rows
from loyalty_ml.models.card import Card, card_key
from loyalty_ml.models.document import to_json
from loyalty_ml.models.domain import DEFAULT_DOMAINS, Domain
from loyalty_ml.models.manifest import FIXED_CUT_POINTS, Manifest, RfmCutPoints
from loyalty_ml.models.store import ModelSet
from loyalty_ml.scoring.predictions import predict
from loyalty_ml.scoring.scorers import scorer_for
from loyalty_ml.segments.predictions import predict_segment
from loyalty_ml.segments.statistics import measure_segment
from loyalty_ml.vocabulary import PREDICTION_TYPES, PredictionType
from tests import sample_set
from tests.examples import examples
from tests.scoring.test_modes import CUT_POINTS, FEATURES, OFFERS, Case, card, models_of, offer, population_of, segment

pytestmark = pytest.mark.unit

LIMITS = (0.0, 1.0, 90.0, 100.0)
NEAR = [*LIMITS, *(math.nextafter(limit, math.inf) for limit in LIMITS), -1.0, 0.5, 2.5, 1e39, math.nan, math.inf]
domains = st.sampled_from(
    [
        None,
        {"least": 0, "most": 100},
        {"least": 0, "whole": True},
        {"above": 0, "below": 90},
        {"most": 1},
        {"below": 1e12},
    ]
)


def of_read(draw: st.DrawFn, names: Sequence[str]) -> dict[str, Domain] | None:
    drawn = {name: draw(domains) for name in names}
    found = {name: Domain(**fields) for name, fields in drawn.items() if fields is not None}
    return draw(st.sampled_from([found, found, None]))


class Deployed(Case):
    """With cut points for RFM."""

    cut_points: RfmCutPoints

    @property
    def models(self) -> ModelSet:
        models = models_of(self)
        return ModelSet(sample_set.manifest().model_copy(update={"rfm": self.cut_points}), models.loaded)


@st.composite
def cases(draw: st.DrawFn) -> Deployed:
    rows = draw(st.integers(1, 10))
    active = {"feature": FEATURES[2], "days": 90}
    case = Deployed(
        churn=card("churn", active=active, domains=of_read(draw, FEATURES)),
        nbo=card("nbo", offers=[offer(place) for place in range(OFFERS)], domains=of_read(draw, FEATURES[:2])),
        ids=[f"c-{place}" for place in range(rows)],
        values=draw(arrays(np.float64, (rows, len(FEATURES)), elements=st.sampled_from(NEAR))),
    )
    case.cut_points = CUT_POINTS.model_copy(update={"domains": of_read(draw, FEATURES[:1])})
    return case


Outcomes = Mapping[str, tuple[str, str]]
"""Of those without an answer: code and sentence, by id."""


def by_request(case: Deployed, prediction_type: PredictionType, ids: Sequence[str]) -> Outcomes:
    def read(customer_ids: Sequence[str], names: Sequence[str]) -> FeatureTable:
        rows = [case.ids.index(customer_id) for customer_id in customer_ids]
        values = case.values[rows][:, [FEATURES.index(name) for name in names]]
        return FeatureTable(customer_ids, tuple(names), values, np.isnan(values), None, sample_set.AS_OF)

    outcomes = predict(prediction_type, ids, case.models, read, "false").outcomes
    return {
        customer_id: (outcome.code, outcome.message)
        for customer_id, outcome in outcomes.items()
        if isinstance(outcome, LoyaltyError)
    }


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
@given(case=cases())
@settings(max_examples=examples(25))
def test_in_every_mode_the_same_customers_have_no_answer(prediction_type: PredictionType, case: Deployed) -> None:
    batch = by_request(case, prediction_type, case.ids)
    for customer_id in case.ids:
        single = by_request(case, prediction_type, [customer_id])
        assert single == {name: outcome for name, outcome in batch.items() if name == customer_id}
    scorer = scorer_for(prediction_type, case.models, "false")
    places = {name: FEATURES.index(name) for name in scorer.features}
    for customer_id, values in zip(case.ids, case.values.tolist(), strict=True):
        inside = all(
            math.isnan(values[place]) or name not in scorer.domains or scorer.domains[name].holds(values[place])
            for name, place in places.items()
        )
        assert inside or customer_id in batch
        assert inside or batch[customer_id][0] in {"INVALID_FEATURES", "MISSING_FEATURES"}
    rows = Rows(np.arange(len(case.ids)), texts_of(case.ids), case.values, np.isnan(case.values))
    in_file = answering(question(prediction_type, case.models, "false"), FEATURES, None)(rows)
    assert {failure.customer_id: (failure.code, failure.error) for failure in in_file.failures} == batch
    with tempfile.TemporaryDirectory() as folder:
        population = population_of(case, folder)
        answer = predict_segment(segment(rule={}), prediction_type, population, case.models, "false")
        assert {error["customer_id"]: (error["code"], error["error"]) for error in answer["errors"]} == batch
        assert (answer["failed"], answer["successful"]) == (len(batch), len(case.ids) - len(batch))
        measured = measure_segment(None, population, case.models, "false")
        assert measured.member_count == len(case.ids)
        from_snapshot = answering(question(prediction_type, case.models, "false"), (), population)(rows)
        assert {failure.customer_id: (failure.code, failure.error) for failure in from_snapshot.failures} == batch


def test_the_sentence_names_feature_value_and_domain() -> None:
    case = Deployed(
        churn=card("churn", active=None, domains={"revenue": Domain(least=0, most=100), "spread": Domain(whole=True)}),
        nbo=card("nbo", offers=[offer(place) for place in range(OFFERS)]),
        ids=["c-0"],
        values=np.array([[1250.5, 12.345, 3]]),
    )
    case.cut_points = CUT_POINTS
    assert by_request(case, "churn", ["c-0"])["c-0"] == (
        "INVALID_FEATURES",
        "The customer has values outside their domains: revenue is 1250.5, but must be a number, at least 0 and at "
        "most 100; spread is 12.345, but must be a whole number",
    )
    assert by_request(case, "nbo", ["c-0"]) == {}, "its card has no domains, as cards had none before"


def test_a_card_and_cut_points_of_before_there_were_domains_are_read_and_serve() -> None:
    active = sample_set.manifest().models["churn"]
    fields = json.loads(sample_set.file_of(card_key("churn", active.version)).read_bytes())
    assert fields.pop("domains")
    before = Card.model_validate(fields)
    assert before.domains is None
    assert b'"domains"' not in to_json(before)
    cut_points = RfmCutPoints.model_validate(FIXED_CUT_POINTS.model_dump(exclude={"domains"}))
    models = ModelSet(Manifest(created=datetime(2026, 1, 1, tzinfo=UTC), rfm=cut_points))
    assert scorer_for("rfm", models, "false").domains == {}
    assert scorer_for("rfm", ModelSet(), "false").domains == {
        name: DEFAULT_DOMAINS[name] for name in FIXED_CUT_POINTS.features
    }


def test_a_domain_is_of_a_feature_that_is_read() -> None:
    with pytest.raises(ValidationError, match="there is a domain of nobody, which is not read"):
        card("churn", domains={"nobody": Domain(least=0)})
    assert card("churn", active={"feature": "days", "days": 90}, domains={"days": Domain(least=0)})
    with pytest.raises(ValidationError, match="there is a domain of nobody, which is not read"):
        RfmCutPoints.model_validate({**FIXED_CUT_POINTS.model_dump(), "domains": {"nobody": {}}})
