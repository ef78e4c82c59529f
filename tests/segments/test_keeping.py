"""Any mixture of conditions on columns, ids and predictions keeps those of whom it is true, one by one."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from loyalty_ml.customers.population import Block, Population
from loyalty_ml.models.manifest import FIXED_CUT_POINTS
from loyalty_ml.models.store import ModelSet
from loyalty_ml.scoring.mock import OFFERS, mock_churn, mock_offers
from loyalty_ml.scoring.rfm import SEGMENT_NAMES, score_rfm, segment_name
from loyalty_ml.scoring.scorers import scorer_for
from loyalty_ml.scoring.scores import RISKS
from loyalty_ml.segments.answered import answering, whole
from loyalty_ml.segments.definition import SegmentDefinition
from loyalty_ml.segments.membership import select
from loyalty_ml.vocabulary import PREDICTION_TYPES
from tests.customers.test_population import Customers, write
from tests.examples import examples
from tests.segments.test_rules import Row, truth_of, var

pytestmark = pytest.mark.unit

FEATURES = (*FIXED_CUT_POINTS.features, "revenue", "churn_risk")
"""The last is a column that has a prediction's name, and so hides it from rules."""
MODELS = ModelSet()
CODES = [offer.offer_code for offer in OFFERS]


class Base(NamedTuple):
    population: Population
    rows: list[Row]
    risks: list[str]


@pytest.fixture(scope="module")
def base() -> Iterator[Base]:
    """Two parts of customers, in blocks of seven; a third lack a value, and so have no RFM scores."""
    draw = np.random.default_rng(7)
    parts = []
    for place, rows in enumerate((40, 23)):
        values = np.array([0.0, 1.0, 5.0, 45.0, 300.0, 2000.0])[draw.integers(0, 6, (rows, len(FEATURES)))]
        values[draw.random(values.shape) < 0.1] = np.nan
        parts.append(Customers([f"{place}-{row:02}" for row in range(rows)], values))
    with tempfile.TemporaryDirectory() as folder:
        population = Population(write(Path(folder), FEATURES, parts), block_rows=7, decoded_rows=20)
        ids = [customer_id for part in parts for customer_id in part.ids]
        rows_of = _rows(ids, np.concatenate([part.values for part in parts]))
        yield Base(population, rows_of, [RISKS[risk] for risk in mock_churn(ids).risk])


def _rows(ids: list[str], values: NDArray[np.float64]) -> list[Row]:
    probabilities, offers = mock_churn(ids).probability.tolist(), mock_offers(ids).best.tolist()
    rows: list[Row] = []
    for customer_id, of_one, probability, offer in zip(ids, values, probabilities, offers, strict=True):
        row: Row = {
            name: None if np.isnan(value) else float(value) for name, value in zip(FEATURES, of_one, strict=True)
        }
        row |= {"customer_id": customer_id, "churn_probability": probability, "recommended_offer": CODES[offer]}
        read = of_one[: len(FIXED_CUT_POINTS.features)]
        scores = score_rfm(read[np.newaxis], FIXED_CUT_POINTS)
        names: Row = dict.fromkeys((*scores._fields, "rfm_segment"))
        if np.isfinite(read).all():
            names |= {name: getattr(scores, name)[0].item() for name in scores._fields}
            names["rfm_segment"] = segment_name(int(scores.r_score[0]), int(scores.f_score[0]))
        rows.append({**names, **row})
    return rows


def comparison(name: str, numbers: list[float]) -> st.SearchStrategy[Any]:
    return st.builds(
        lambda operator, number, default: {operator: [var(name, *default), number]},
        st.sampled_from([">", ">=", "<", "<=", "==", "!="]),
        st.sampled_from(numbers),
        st.sampled_from([[], [], [1.0]]),
    )


def choice(name: str, texts: list[str]) -> st.SearchStrategy[Any]:
    return st.builds(
        lambda operator, some: {operator: [var(name), some if operator == "in" else some[0]]},
        st.sampled_from(["==", "!=", "in"]),
        st.lists(st.sampled_from(texts), min_size=1, max_size=4),
    )


conditions = (
    comparison("revenue", [0.0, 45.0, 2000.0])
    | comparison("churn_risk", [1.0, 45.0])
    | comparison("churn_probability", [0.05, 0.3, 0.8])
    | comparison("r_score", [2, 4])
    | choice("customer_id", ["0-03", "1-00", "nobody", CODES[0]])
    | choice("recommended_offer", CODES)
    | choice("rfm_segment", list(SEGMENT_NAMES))
    | st.sampled_from(["revenue", "r_score", "recommended_offer", "customer_id"]).map(
        lambda name: {"==": [var(name), None]}
    )
    | st.just({">": [var("monetary"), var("revenue")]})
)
rules = st.recursive(
    conditions,
    lambda inner: (
        st.dictionaries(st.sampled_from(["and", "or"]), st.lists(inner, min_size=1, max_size=4), min_size=1, max_size=1)
        | st.builds(lambda rule: {"!": rule}, inner)
    ),
)


@settings(max_examples=examples(80))
@given(
    rule=st.none() | rules,
    risk=st.none() | st.sampled_from(RISKS),
    segment=st.none() | st.sampled_from(SEGMENT_NAMES),
    offer=st.none() | st.sampled_from(CODES),
    listed=st.none() | st.lists(st.sampled_from(["0-00", "0-01", "0-39", "1-05", "1-22", "nobody"]), min_size=1),
)
def test_a_definition_keeps_those_of_whom_all_of_it_is_true(
    base: Base, rule: Any, risk: Any, segment: Any, offer: Any, listed: Any
) -> None:
    if (rule, risk, segment, offer, listed) == (None,) * 5:
        rule = {}
    definition = SegmentDefinition(
        segment_name="X",
        rule=rule,
        churn_risk=risk,
        rfm_segment=segment,
        recommended_offer=offer,
        customer_ids=listed and list(dict.fromkeys(listed)),
    )
    expected = [
        number
        for number, row in enumerate(base.rows)
        if (not rule or truth_of(rule, row))
        and risk in (None, base.risks[number])
        and segment in (None, row["rfm_segment"])
        and offer in (None, row["recommended_offer"])
        and (listed is None or row["customer_id"] in listed)
    ]
    members, keep, unknown = select(definition, base.population, MODELS, "true")
    scorers = {name: scorer_for(name, MODELS, "true") for name in PREDICTION_TYPES}
    answers = {name: answering(scorer, base.population) for name, scorer in scorers.items()}

    def measure(block: Block) -> list[int]:
        kept = keep(block)
        for name, answer in answers.items():
            found, again = answer(kept), answer(whole(kept.customers))
            assert found.customers.numbers.tolist() == again.customers.numbers.tolist()
            assert np.array_equal(found.customers.values, again.customers.values, equal_nan=True)
            assert (found.failed.tolist(), found.reasons) == (again.failed.tolist(), again.reasons), name
            for column, same in zip(found.scores, again.scores, strict=True):
                assert np.array_equal(column, same)
        numbers: list[int] = kept.customers.numbers.tolist()
        return numbers

    assert [number for some in members.measure(measure) for number in some] == expected
    assert list(unknown) == (["nobody"] if listed and "nobody" in listed and definition.kind == "customer_ids" else [])
