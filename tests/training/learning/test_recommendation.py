"""An offer model measured, described and reported: on simulated exposures, one offer of which was never shown."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from loyalty_ml.models.card import DEFAULT_OFFERS
from tests.training.learning.exposure_simulator import OFFERS, world
from training.config import CatalogueOffer, Config, EvaluationOptions, Tables
from training.learning import contenders, offer_quality, recommendation, splits
from training.learning.contenders import NETWORK
from training.learning.evaluation import evaluate
from training.learning.held_out import HeldOut, Said, said
from training.learning.policy_value import recommended
from training.learning.recommendation import Recommendation
from training.learning.report import write_report
from training.warehouse.examples import Examples

pytestmark = pytest.mark.moto

NEVER_SHOWN = 5
EXPOSURES = 3000


@pytest.fixture(scope="module")
def examples() -> Examples:
    return world(2, "biased", NEVER_SHOWN).exposures(EXPOSURES)


@pytest.fixture(scope="module")
def outcomes(examples: Examples) -> HeldOut:
    """What a model with true probabilities says, and one that guesses, of two fifths of the customers."""
    folds = splits.into_folds(examples.customer_ids, 5)
    rows = np.concatenate([np.flatnonzero(folds == fold) for fold in (0, 1)])
    true = world(2, "biased", NEVER_SHOWN).conversion(examples.features[rows])
    guessed = np.random.default_rng(1).random(true.shape)
    return HeldOut(
        rows=rows,
        customers=rows // 2,
        folds=folds[rows],
        active=np.ones(len(rows), np.bool_),
        answers={NETWORK: of(examples, rows, true), "lightgbm": of(examples, rows, guessed)},
        not_fitted={},
    )


def of(examples: Examples, rows: NDArray[np.int64], by_offer: NDArray[np.float64]) -> Said:
    assert examples.offers is not None
    return said(examples.happened[rows], by_offer[np.arange(len(rows)), examples.offers[rows]], by_offer)


@pytest.fixture(scope="module")
def settings() -> Config:
    return Config(tables=Tables(transactions="bought", offers="shown"))


@pytest.fixture(scope="module")
def found(examples: Examples, outcomes: HeldOut, settings: Config) -> Recommendation:
    return recommendation.recommendation(examples, outcomes, settings)


def test_what_was_never_shown_is_not_learnt_and_not_recommended(found: Recommendation, outcomes: HeldOut) -> None:
    assert not found.evidence.learnt[NEVER_SHOWN]
    by_offer = outcomes.answers[NETWORK].by_offer
    assert by_offer is not None
    assert NEVER_SHOWN not in recommended(by_offer, found.evidence.learnt)
    explored = CatalogueOffer(offer_id=DEFAULT_OFFERS[NEVER_SHOWN].offer_code, explore=0.05)
    offer = found.catalogue((explored,))[NEVER_SHOWN]
    assert (offer.evidence, offer.explore) == ("too_few", 0.05)


def test_gates_card_and_value_are_of_the_same_rows(found: Recommendation, outcomes: HeldOut) -> None:
    assert found.measured is not None
    assert found.quality is not None
    assert found.quality.exposures == len(outcomes)
    assert set(found.measured.values) == {NETWORK, "lightgbm"}
    assert [gate.name for gate in found.gates if not gate.passed] == []
    assert found.advice is None


def test_a_model_that_guesses_is_refused_with_advice(examples: Examples, outcomes: HeldOut, settings: Config) -> None:
    guessing = replace(outcomes, answers={NETWORK: outcomes.answers["lightgbm"]})
    refused = recommendation.recommendation(examples, guessing, settings)
    assert offer_quality.BETTER_THAN_SHOWN in [gate.name for gate in refused.gates if not gate.passed]
    assert refused.advice is not None
    assert refused.advice.startswith("Send everyone ")


def test_where_nothing_is_learnt_nothing_is_measured(examples: Examples, outcomes: HeldOut, settings: Config) -> None:
    much = settings.model_copy(update={"nbo": settings.nbo.model_copy(update={"minimum_conversions": 10_000})})
    unknown = recommendation.recommendation(examples, outcomes, much)
    assert unknown.quality is None
    assert [gate.name for gate in unknown.gates if not gate.passed] == [offer_quality.OFFERS_TO_CHOOSE_FROM]
    assert [gate.passed for gate in recommendation.of_data(examples, much)] == [False]


def test_where_one_offer_is_learnt_that_is_what_to_send(examples: Examples, settings: Config) -> None:
    conversions = np.bincount(contenders.shown(examples)[examples.happened], minlength=OFFERS)
    most = int(np.argmax(conversions))
    nbo = settings.nbo.model_copy(update={"minimum_conversions": int(conversions[most]), "minimum_refusals": 1})
    only = settings.model_copy(update={"nbo": nbo})
    name = DEFAULT_OFFERS[most].offer_name
    assert recommendation.advice_of_data(examples, only) == (
        f"Send everyone {name}: too little is known of every other offer."
    )
    (refused,) = recommendation.of_data(examples, only)
    assert f"so there is no choice: send everyone {name}." in refused.sentence
    assert recommendation.advice_of_data(examples, settings) is None


def test_of_offers_taken_alone_nothing_is_measured(examples: Examples, outcomes: HeldOut, settings: Config) -> None:
    taken = examples.where(examples.happened)
    unknown = recommendation.recommendation(taken, outcomes, settings)
    assert unknown.measured is None
    refused = [gate for gate in unknown.gates if not gate.passed]
    assert [(gate.name, gate.forceable) for gate in refused] == [(offer_quality.KNOWS_WHAT_WORKS, True)]


@pytest.mark.long
def test_report_shows_what_the_recommendation_is_worth(examples: Examples, settings: Config, tmp_path: Path) -> None:
    evaluation = evaluate(examples, EvaluationOptions(splits=1), 3)
    found = recommendation.recommendation(examples, evaluation.outcomes, settings)
    path = tmp_path / "report.html"
    write_report(
        path,
        version="20261128T090000Z-0123abcd",
        created=datetime(2026, 11, 28, tzinfo=UTC),
        data="simulated exposures",
        examples=examples,
        sources=dict.fromkeys(examples.names, "simulated"),
        evaluation=evaluation,
        gates=found.gates,
        recommendation=found,
    )
    page = path.read_text()
    assert found.quality is not None
    assert found.measured is not None
    assert found.quality.sentence in page
    assert page.count("<svg") == page.count("</svg>") == 5
    for rule in (
        "What this model recommends",
        "What Logistic regression recommends",
        "What was shown",
        *(f"{offer.offer_name} for everyone" for offer in DEFAULT_OFFERS if offer.offer_id != NEVER_SHOWN),
    ):
        assert f"<td>{rule}</td>" in page
    assert f"{DEFAULT_OFFERS[NEVER_SHOWN].offer_name} for everyone" not in page
    assert page.count("no: too few") == 1
    for tenth in found.quality.confidence:
        assert f"<td>{tenth.predicted:.3f}</td>" in page
