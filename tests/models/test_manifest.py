"""What publishing writes and serving reads: any document is read whole, or refused with a sentence."""

import json
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from loyalty_ml.models.card import Card, card_key, new_version, parse_card
from loyalty_ml.models.document import Refused, check_content, to_json
from loyalty_ml.models.manifest import parse_manifest
from tests import sample_set

pytestmark = pytest.mark.unit


def sample_card(name: str = "churn") -> dict[str, Any]:
    version = sample_set.manifest().models[name].version
    card: dict[str, Any] = json.loads(sample_set.file_of(card_key(name, version)).read_bytes())
    return card


@example("[" * 100_000)  # deeper than Python's own decoder goes
@given(st.binary(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_what_is_not_a_manifest_is_refused_with_a_sentence(text: bytes | str) -> None:
    content = text.encode() if isinstance(text, str) else text
    with pytest.raises(Refused, match=r"^models/manifest\.json .+: .+\.$"):
        parse_manifest(content)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"features": ["revenue"] * 10}, "named twice"),
        ({"features": []}, "features"),
        ({"output": "offer_probabilities"}, "catalogue"),
        ({"golden": {"inputs": [[1.0] * 9], "outputs": [[0.5]]}}, "one value a feature"),
        ({"golden": {"inputs": [[1.0] * 10], "outputs": [[0.5, 0.5]]}}, "one value an output"),
        ({"golden": {"inputs": [[1.0] * 10], "outputs": []}}, "as many golden outputs"),
        ({"thresholds": {"high": 0.3, "medium": 0.6}}, "above the high one"),
        ({"version": "../../secrets"}, "version"),
        ({"api_version": 2}, "api_version 2 but this code reads 1"),
        ({"name": "nbo"}, "describes nbo"),
    ],
)
def test_an_inconsistent_card_is_refused_by_name(changes: dict[str, object], part: str) -> None:
    card = {**sample_card(), **changes}
    text = json.dumps(card).encode()
    with pytest.raises(Refused, match=part):
        parse_card(text, "churn", str(card["version"]), sha256(text).hexdigest())


def test_a_card_may_say_more_than_this_code_knows() -> None:
    assert Card.model_validate({**sample_card(), "note": "from a later release of the same api_version"})


A_HISTOGRAM = {"edges": [1.5], "shares": [0.25, 0.75]}


@pytest.mark.parametrize(
    ("name", "changes", "part"),
    [
        ("churn", {"features": {"revenue": A_HISTOGRAM}}, "not of the card's features"),
        ("churn", {"score": [0.5, 0.5]}, "a churn model's score is not a histogram"),
        ("churn", {"score": {**A_HISTOGRAM, "edges": [1.5, 2.5]}}, "one share more"),
        ("churn", {"rows": 0}, "greater than 0"),
        ("nbo", {"score": A_HISTOGRAM}, "not one share an offer"),
        ("nbo", {"score": [0.5, 0.5]}, "not one share an offer"),
        ("nbo", {"score": [0.2] * 8}, "do not add up to 1"),
    ],
)
def test_a_distribution_that_is_not_the_models_is_refused(name: str, changes: dict[str, object], part: str) -> None:
    card = sample_card(name)
    card["distribution"] |= changes
    text = json.dumps(card).encode()
    with pytest.raises(Refused, match=part):
        parse_card(text, name, str(card["version"]), sha256(text).hexdigest())


@pytest.mark.parametrize("weights", [{}, {"revenue": 0.5}, {"colour": 1.0}])
def test_weights_that_are_not_of_the_models_features_are_refused(weights: dict[str, float]) -> None:
    card = sample_card()
    card["distribution"] |= {"weights": weights}
    with pytest.raises(ValidationError, match="the weights of the distribution are not of the card's features"):
        Card.model_validate(card)


A_RANGE = {"value": 0.2, "low": 0.1, "high": 0.3}
A_GROUP = {"name": "high", "customers": 10, "happened": 2, "predicted": 0.2, "share": A_RANGE}
A_LIST = {
    "share": 0.1, "customers": 10, "found": A_RANGE, "rule": A_RANGE, "rule_days": 30, "chance": A_RANGE,
    "word": "useful", "sentence": "Of 10, 2 left.",
}  # fmt: skip
OF_CHURN = {"customers": 100, "left": 20, "lists": [A_LIST], "bands": [A_GROUP], "tenths": []}
OF_OFFERS = {
    "exposures": 10, "clipped": 1, "recommended": A_RANGE, "shown": A_RANGE, "best_single": A_RANGE, "best_offer": "0",
    "over_shown": A_RANGE, "over_best_single": A_RANGE, "sentence": "It is better.",
}  # fmt: skip


def test_what_a_model_is_worth_survives_the_card() -> None:
    for name, quality in (("churn", {"churn_quality": OF_CHURN}), ("nbo", {"offer_quality": OF_OFFERS})):
        card = Card.model_validate(sample_card(name) | quality)
        assert Card.model_validate_json(to_json(card)) == card


@pytest.mark.parametrize(
    ("name", "changes", "part"),
    [
        ("churn", {"churn_quality": OF_CHURN | {"left": 101}}, "more customers left than there are"),
        ("churn", {"churn_quality": OF_CHURN | {"lists": [A_LIST | {"word": "great"}]}}, "'useful'"),
        ("churn", {"churn_quality": OF_CHURN | {"lists": [A_LIST | {"sentence": ""}]}}, "sentence"),
        ("churn", {"churn_quality": OF_CHURN | {"bands": [A_GROUP | {"happened": 11}]}}, "more customers than there"),
        ("churn", {"churn_quality": OF_CHURN | {"bands": [A_GROUP | {"predicted": 1.5}]}}, "predicted"),
        ("churn", {"churn_quality": OF_CHURN | {"lists": [A_LIST | {"found": A_RANGE | {"low": 0.4}}]}}, "ends below"),
        ("nbo", {"churn_quality": OF_CHURN}, "only a churn model has a churn_quality"),
        ("churn", {"offer_quality": OF_OFFERS}, "only an offer model has an offer_quality"),
        ("nbo", {"offer_quality": OF_OFFERS | {"clipped": 11}}, "more exposures are clipped than there are"),
        ("nbo", {"offer_quality": OF_OFFERS | {"best_offer": "GIFT"}}, "is none of its offers"),
    ],
)
def test_what_a_model_cannot_be_worth_is_refused(name: str, changes: dict[str, object], part: str) -> None:
    card = {**sample_card(name), **changes}
    text = json.dumps(card).encode()
    with pytest.raises(Refused, match=part):
        parse_card(text, name, str(card["version"]), sha256(text).hexdigest())


def test_a_card_of_before_there_were_distributions_is_read_and_written_as_it_was() -> None:
    before = sample_card()
    del before["distribution"]
    card = Card.model_validate(before)
    assert card.distribution is None
    written = json.loads(to_json(card))
    del written["outputs"]
    assert written == before


@pytest.mark.parametrize(("name", "width"), [("churn", 1), ("nbo", 8)])
def test_a_card_of_before_outputs_were_described_is_filled_in(name: str, width: int) -> None:
    before = sample_card(name)
    assert "outputs" not in before
    card = Card.model_validate(before)
    (output,) = card.outputs
    assert (output.name, output.width, card.width, output.range) == (before["output"], width, width, (0, 1))
    assert list(output.classes) == [offer["offer_name"] for offer in before["offers"]]
    assert Card.model_validate_json(to_json(card)) == card


def test_a_card_of_another_kind_says_what_it_gives() -> None:
    spend = {"name": "spend", "kind": "number", "unit": "EUR", "range": [0, 1e6]}
    card = Card.model_validate(sample_card() | {"active": None, "output": "spend", "outputs": [spend]})
    assert (card.width, card.outputs[0].unit) == (1, "EUR")
    with pytest.raises(ValidationError, match="its outputs are not described"):
        Card.model_validate(sample_card() | {"active": None, "output": "spend"})


@pytest.mark.parametrize("name", ["churn", "nbo"])
def test_a_distribution_survives_the_card(name: str) -> None:
    card = Card.model_validate(sample_card(name))
    assert card.distribution is not None
    assert Card.model_validate_json(to_json(card)).distribution == card.distribution


def test_content_that_changed_or_was_cut_is_refused() -> None:
    digest = sha256(b"model").hexdigest()
    check_content(b"model", "models/x", digest, 5)
    with pytest.raises(Refused, match="models/x has 4 bytes, but 5"):
        check_content(b"mode", "models/x", digest, 5)
    with pytest.raises(Refused, match="sha256 differs"):
        check_content(b"Model", "models/x", digest, 5)


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)), st.integers(-12, 12), st.binary())  # noqa: DTZ001
def test_versions_sort_by_time_whatever_the_zone_and_tell_files_apart(at: datetime, hours: int, model: bytes) -> None:
    zone = timezone(timedelta(hours=hours))
    now, later = at.replace(tzinfo=UTC), at.replace(tzinfo=UTC) + timedelta(seconds=1)
    assert new_version(now.astimezone(zone), model) == new_version(now, model)
    assert new_version(now, model) < new_version(later, model)
    assert new_version(now, model) != new_version(now, model + b"x")


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"values": {"revenue": 1.0}}, "the baseline is not of the card's features"),
        ({"groups": {"a": ["nobody"]}}, "there is no such feature"),
        ({"groups": {"a": ["revenue"], "b": ["revenue"]}}, "a feature has one group"),
        ({"words": {"revenue": "much"}}, "put it once"),
    ],
)
def test_a_baseline_that_is_not_the_cards_is_refused(changes: dict[str, object], part: str) -> None:
    card = sample_card("churn")
    card["baseline"] |= changes
    with pytest.raises(ValidationError, match=part):
        Card.model_validate(card)


def test_a_card_of_before_there_were_baselines_is_read_and_written_as_it_was() -> None:
    before = sample_card("churn")
    del before["baseline"]
    card = Card.model_validate(before)
    assert card.baseline is None
    assert b'"baseline"' not in to_json(card)
