"""What a segment's definition may be, and what its error names where it is none."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from loyalty_ml.scoring.rfm import SEGMENT_NAMES
from loyalty_ml.segments.definition import WAYS, SegmentDefinition, is_segment_id

pytestmark = pytest.mark.unit

NAMED = {"segment_name": "Some"}


def definition(**fields: Any) -> SegmentDefinition:
    return SegmentDefinition.model_validate_json(json.dumps(NAMED | fields))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("rule", {}),
        ("rule", {">": [{"var": "revenue"}, 500]}),
        ("customer_ids", ["1", "2"]),
        ("churn_risk", "medium"),
        ("recommended_offer", 0),
        ("recommended_offer", "0"),
        ("recommended_offer", "FREE SHIP \N{SNOWMAN}"),
        *[("rfm_segment", name) for name in SEGMENT_NAMES],
    ],
)
def test_a_definition_is_of_the_kind_that_it_has(kind: str, value: Any) -> None:
    defined = definition(**{kind: value})
    assert defined.kind == kind
    assert getattr(defined, kind) == value


def test_an_id_that_comes_twice_is_kept_at_its_first_place() -> None:
    assert definition(customer_ids=["b", "a", "b", "c", "a"]).customer_ids == ["b", "a", "c"]


@pytest.mark.parametrize("fields", [{}, {"rule": None}, dict.fromkeys(WAYS)])
def test_a_definition_says_something_and_the_error_names_all_ways(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as raised:
        definition(**fields)
    for way in WAYS:
        assert way in str(raised.value)


def test_a_definition_of_several_ways_is_combined() -> None:
    defined = definition(rule={}, churn_risk="high", customer_ids=None)
    assert (defined.kind, defined.ways) == ("combined", ["rule", "churn_risk"])


@pytest.mark.parametrize(
    ("fields", "field", "part"),
    [
        ({"segment_name": "", "rule": {}}, "segment_name", "at least 1 character"),
        ({"segment_name": "x" * 201, "rule": {}}, "segment_name", "at most 200 characters"),
        ({"segment_name": 5, "rule": {}}, "segment_name", "string"),
        ({"rule": {}, "color": "red"}, "color", "not permitted"),
        ({"rule": []}, "rule", "object"),
        ({"rule": "true"}, "rule", "object"),
        ({"customer_ids": []}, "customer_ids", "at least 1 item"),
        ({"customer_ids": "abc"}, "customer_ids", "array"),
        ({"customer_ids": ["a", 2, 3]}, "customer_ids.1", "string"),
        ({"customer_ids": ["a", ""]}, "customer_ids.1", "at least 1 character"),
        ({"customer_ids": ["x" * 257]}, "customer_ids.0", "at most 256 characters"),
        ({"rfm_segment": "champions"}, "rfm_segment", "Champions"),
        ({"rfm_segment": 555}, "rfm_segment", "string"),
        ({"churn_risk": "High"}, "churn_risk", "'high', 'medium', 'low' or 'lapsed'"),
        ({"recommended_offer": -1}, "recommended_offer", "whole number from 0 on"),
        ({"recommended_offer": True}, "recommended_offer", "an offer's code"),
        ({"recommended_offer": 2**63}, "recommended_offer", "an offer's code"),
        ({"recommended_offer": ""}, "recommended_offer", "not empty"),
        ({"recommended_offer": "x" * 201}, "recommended_offer", "an offer's code"),
        ({"recommended_offer": ["3"]}, "recommended_offer", "an offer's code"),
        ({"recommended_offer": 1.5}, "recommended_offer", "an offer's code"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], field: str, part: str) -> None:
    with pytest.raises(ValidationError) as raised:
        definition(**fields)
    (problem,) = raised.value.errors()
    assert ".".join(map(str, problem["loc"])) == field
    assert part in problem["msg"]


def test_of_many_ids_of_the_wrong_kind_the_first_is_named() -> None:
    with pytest.raises(ValidationError) as raised:
        definition(customer_ids=[1] * 10_000)
    assert raised.value.error_count() == 1


@pytest.mark.parametrize("segment_id", ["a", "7", "high-value", "High_Value_2", "x" * 64])
def test_segment_ids(segment_id: str) -> None:
    assert is_segment_id(segment_id)


@pytest.mark.parametrize("segment_id", ["", "-a", "_a", "x" * 65, "a b", "a/b", "a.b", "é", "٣", "a\n", "*"])
def test_what_is_no_segment_id(segment_id: str) -> None:
    assert not is_segment_id(segment_id)
