"""Manifest, card, rule, definition: whatever is in them, they are read whole or refused with a sentence."""

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from loyalty_ml.errors import InvalidRequest
from loyalty_ml.files.checkpoint import Checkpoint
from loyalty_ml.models.card import card_key, parse_card
from loyalty_ml.models.document import Refused
from loyalty_ml.models.manifest import parse_manifest
from loyalty_ml.segments.definition import SegmentDefinition
from loyalty_ml.segments.rules import parse_rule
from tests import sample_set
from tests.fuzz.mutations import json_values, mutated
from tests.segments.test_rules import COLUMNS, offer_codes

pytestmark = [pytest.mark.unit, pytest.mark.long]

T = TypeVar("T")
MANIFEST = json.loads(sample_set.file_of("models/manifest.json").read_bytes())
CARDS = {
    name: json.loads(sample_set.file_of(card_key(name, model.version)).read_bytes())
    for name, model in sample_set.manifest().models.items()
}
RULE = {
    "and": [
        {">=": [{"var": "revenue"}, 1000]},
        {"or": [{"in": [{"var": "churn_risk"}, ["high", "lapsed"]]}, {"!": [{"==": [{"var": "customer_id"}, "c-1"]}]}]},
        {"<": [0, {"+": [{"var": "monthly_revenue"}, {"*": [2, {"var": "service_count"}]}]}, 500]},
    ]
}
DEFINITION = {"segment_name": "VIP", "rule": RULE, "customer_ids": ["a", "b"], "churn_risk": "high"}


def outcome(refusal: type[Exception], read: Callable[[], T]) -> tuple[T | None, Exception | None]:
    """What is read, or why it is refused. Any other error is a fault."""
    try:
        return read(), None
    except refusal as error:
        return None, error


@given(mutated(MANIFEST))
def test_a_changed_manifest_is_read_or_refused_with_a_sentence(document: Any) -> None:
    manifest, refusal = outcome(Refused, lambda: parse_manifest(json.dumps(document).encode()))
    assert str(refusal).endswith(".") if manifest is None else manifest.model_dump_json()


@given(st.sampled_from(sorted(CARDS)).flatmap(lambda name: st.tuples(st.just(name), mutated(CARDS[name]))))
def test_a_changed_card_is_read_or_refused_with_a_sentence(changed: tuple[str, Any]) -> None:
    name, document = changed
    content = json.dumps(document).encode()
    version = str(document.get("version")) if isinstance(document, dict) else ""
    card, refusal = outcome(Refused, lambda: parse_card(content, name, version, sha256(content).hexdigest()))
    if card is None:
        assert str(refusal).endswith("."), refusal
        return
    assert (card.name, card.version) == (name, version)
    assert len(card.golden.inputs) == len(card.golden.outputs)


@given(mutated(RULE) | json_values)
def test_a_changed_rule_is_a_rule_or_names_its_problems(rule: Any) -> None:
    parsed, refusal = outcome(InvalidRequest, lambda: parse_rule(rule, COLUMNS, offer_codes))
    assert parsed is not None or all(problem["problem"] for problem in vars(refusal)["details"]["fields"])


@given(mutated(DEFINITION))
def test_a_changed_definition_is_stored_as_it_is_or_refused(document: Any) -> None:
    definition, _ = outcome(ValidationError, lambda: SegmentDefinition.model_validate(document))
    if definition is not None:
        stored = definition.model_dump_json(include={"segment_name", *definition.ways})
        assert SegmentDefinition.model_validate_json(stored) == definition


CHECKPOINT = {
    "format": 2,
    "token": "t",
    "position": {"blocks": 1, "carry": "", "rest": "", "line": 2, "skipping": False},
    "completing": False,
    "results": {
        "predictions": {"key": "k", "upload_id": "u", "token": "t", "parts": [{"etag": "e"}], "size": 1, "pending": 0}
    },
}


@given(mutated(CHECKPOINT))
def test_a_changed_checkpoint_is_read_or_forgotten(document: Any) -> None:
    checkpoint, _ = outcome(ValidationError, lambda: Checkpoint.model_validate_json(json.dumps(document)))
    assert checkpoint is None or Checkpoint.model_validate_json(checkpoint.model_dump_json()) == checkpoint
