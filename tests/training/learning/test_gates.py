"""Each gate: what passes, what does not, and the sentence that says so."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from loyalty_ml.models.document import Refused
from training.config import Gates
from training.learning import gates
from training.learning.contenders import NETWORK
from training.learning.figures import Contest, Evaluation, Figures, OutOfTime
from training.warehouse.examples import Examples

pytestmark = pytest.mark.unit

BARS = Gates()


def figures(auc: float, log_loss: float = 0.5, ece: float = 0.02, **others: float) -> Figures:
    return {"auc": auc, "log_loss": log_loss, "ece": ece, "ece_floor": 0.015, **others}


GOOD_CHURN = {
    NETWORK: figures(0.776, 0.486),
    "logistic_regression": figures(0.776, 0.487),
    "lightgbm": figures(0.773, 0.487),
    "bg_nbd": figures(0.750, 0.506),
}
GOOD_OFFERS = {NETWORK: figures(0.66, 0.36), "offer_base_rate": figures(0.56, 0.37)}


def evaluation(
    mean: dict[str, Figures], kind: Any = "churn", later_ece: float | None = None, **alone: float
) -> Evaluation:
    """As it would come from `evaluate`, with these figures."""
    contest = Contest(1000, 1000, 0.5, mean)
    out_of_time = None
    if later_ece is not None:
        later = replace(contest, figures={NETWORK: figures(0.75, ece=later_ece)})
        out_of_time = OutOfTime("2025-01-01", "2025-02-01", "2025-02-01", 1000, later)
    rows = np.ones(3, np.bool_)
    return Evaluation(
        kind=kind,
        network=None,
        held_out=rows,
        learnt=~rows,
        stopping=~rows,
        happened=rows,
        probability=np.ones(3),
        splits=(contest,),
        mean=mean,
        out_of_time=out_of_time,
        calibration=(),
        lift=(),
        thresholds=(),
        offers=(),
        feature_auc=alone,
        notes=(),
    )


def failed(found: Evaluation, bars: Gates = BARS) -> list[str]:
    return [gate.name for gate in gates.of_quality(found, bars) if not gate.passed]


def test_a_model_as_good_as_the_reference_passes() -> None:
    assert failed(evaluation(GOOD_CHURN, later_ece=0.05, days_since_last=0.744)) == []
    assert failed(evaluation(GOOD_OFFERS, "conversion", revenue=0.6)) == []


@pytest.mark.parametrize(
    ("change", "gate"),
    [
        ({"logistic_regression": figures(0.782, 0.487)}, "as good as Logistic regression"),
        ({"lightgbm": figures(0.782, 0.487)}, "as good as LightGBM"),
        ({"bg_nbd": figures(0.767, 0.506)}, "ranks better than BG/NBD"),
        ({"bg_nbd": figures(0.750, 0.495)}, "log-loss under BG/NBD's"),
        ({NETWORK: figures(0.776, 0.486, ece=0.026)}, "calibrated"),
        ({NETWORK: figures(0.96, 0.1)}, "not too good to be true"),
    ],
)
def test_each_bar_of_churn(change: dict[str, Figures], gate: str) -> None:
    assert failed(evaluation({**GOOD_CHURN, **change})) == [gate]


def test_without_transactions_there_is_no_bg_nbd_to_beat() -> None:
    mean = {name: found for name, found in GOOD_CHURN.items() if name != "bg_nbd"}
    assert failed(evaluation(mean)) == []


def test_calibration_out_of_time_has_a_bar_of_its_own() -> None:
    assert failed(evaluation(GOOD_CHURN, later_ece=0.08)) == []
    assert failed(evaluation(GOOD_CHURN, later_ece=0.081)) == ["calibrated out of time"]


@pytest.mark.parametrize(
    ("change", "gate"),
    [
        ({NETWORK: figures(0.61, 0.36)}, "ranks exposures"),
        ({"offer_base_rate": figures(0.56, 0.36)}, "knows more than the offers' base rates"),
    ],
)
def test_each_bar_of_offers(change: dict[str, Figures], gate: str) -> None:
    assert failed(evaluation({**GOOD_OFFERS, **change}, "conversion")) == [gate]


def test_offers_of_which_only_those_taken_are_known_must_beat_popularity() -> None:
    assert failed(evaluation({NETWORK: figures(0.6, 1.9), "popularity": figures(0.5, 2.0)}, "choice")) == []
    assert failed(evaluation({NETWORK: figures(0.6, 2.0), "popularity": figures(0.5, 2.0)}, "choice")) == [
        "knows more than the offers' popularity"
    ]


def test_leakage_is_suspected_of_a_model_over_the_ceiling_and_of_one_feature_that_says_it_all() -> None:
    assert failed(evaluation(GOOD_CHURN), Gates(auc_ceiling=0.75)) == ["not too good to be true"]
    strong = {**GOOD_CHURN, NETWORK: figures(0.93, 0.2)}
    assert failed(evaluation(strong, churn_score=0.926)) == ["not one feature alone"]
    assert failed(evaluation(strong, engagement_score=0.92)) == []  # strong, and the model knows more
    assert (
        failed(evaluation(GOOD_CHURN, days_since_last=0.775)) == []
    )  # as good as the model, and no better than can be


def examples(customers: int, positives: int, offers: bool = False) -> Examples:  # noqa: FBT001
    happened = np.arange(customers) < positives
    return Examples(
        customer_ids=np.array([f"c{number}" for number in range(customers)], np.object_),
        moments=np.full(customers, np.datetime64("2025-01-01", "us")),
        names=("revenue",),
        features=np.ones((customers, 1)),
        happened=happened,
        offers=np.arange(customers) % 8 if offers else None,
        purchases=None,
        horizon_days=None,
        left_out={},
    )


def test_too_few_customers_or_too_few_of_the_rarer_outcome() -> None:
    def missing(found: Examples) -> list[str]:
        return [gate.sentence for gate in gates.of_data(found, BARS) if not gate.passed]

    assert missing(examples(1000, 100)) == []
    assert missing(examples(1000, 900)) == []
    assert missing(examples(999, 100)) == [
        "999 customers, where 1,000 are asked for: too few. Bring data of more customers, or lower [gates] "
        "minimum_customers."
    ]
    for positives, rarer in ((99, 99), (950, 50)):
        assert missing(examples(1000, positives)) == [
            f"{rarer} examples of the rarer outcome, where 100 are asked for: too few. Bring data of a longer time or "
            "of more customers, or lower [gates] minimum_positives."
        ]
    assert missing(examples(1000, 1000, offers=True)) == []  # which offer was taken is asked, not whether


def test_an_operation_that_older_runtimes_do_not_know_is_named() -> None:
    assert gates.of_operations({"ADD": 1, "FULLY_CONNECTED": 1}).passed
    refused = gates.of_operations({"ADD": 1, "FULLY_CONNECTED": 12})
    assert not refused.passed
    assert "FULLY_CONNECTED 12" in refused.sentence


def test_worse_than_the_active_version_on_the_same_customers() -> None:
    unseen = examples(400, 100)
    good = np.where(unseen.happened, 0.9, 0.1)[:, np.newaxis] + np.random.default_rng(1).normal(0, 0.3, (400, 1))
    bad = np.random.default_rng(2).random((400, 1))
    found = gates.against_active("v1", "churn", unseen, ours=bad, theirs=good, gates=BARS)
    assert not found.passed
    assert "v1" in found.sentence
    assert "--force" in found.sentence
    assert gates.against_active("v1", "churn", unseen, ours=good, theirs=bad, gates=BARS).passed
    assert gates.against_active("v1", "churn", unseen, ours=good, theirs=good, gates=BARS).passed


def test_of_offers_the_probability_of_the_one_shown_is_compared() -> None:
    unseen = examples(400, 100, offers=True)
    assert unseen.offers is not None
    knows, guesses = np.full((400, 8), 0.5), np.full((400, 8), 0.5)
    knows[np.arange(400), unseen.offers] = np.where(unseen.happened, 0.9, 0.1)
    assert not gates.against_active("v1", "conversion", unseen, ours=guesses, theirs=knows, gates=BARS).passed
    assert gates.against_active("v1", "choice", unseen, ours=knows, theirs=guesses, gates=BARS).passed


def test_a_refusal_is_a_gate_that_failed() -> None:
    def refuse() -> None:
        raise Refused("it is collapsed")

    assert gates.of_refusal("served", "fine", refuse) == gates.Gate("served", passed=False, sentence="it is collapsed")
    assert gates.of_refusal("served", "fine", lambda: None) == gates.Gate("served", passed=True, sentence="fine")


def test_every_gate_that_fails_says_which_key_to_change() -> None:
    bad = figures(0.5, 0.9, 0.5)
    worst = [
        *gates.of_data(examples(10, 5), BARS),
        *gates.of_quality(evaluation({**GOOD_CHURN, NETWORK: bad}, later_ece=0.5), BARS),
        *gates.of_quality(evaluation({NETWORK: bad, "offer_base_rate": figures(0.5, 0.1)}, "conversion"), BARS),
        *gates.of_quality(evaluation({NETWORK: bad, "popularity": figures(0.5, 0.1)}, "choice"), BARS),
        *gates.of_quality(evaluation({**GOOD_CHURN, NETWORK: figures(0.99)}, leak=0.99), BARS),
    ]
    unseen = examples(400, 100)
    right = unseen.happened[:, np.newaxis].astype(float)
    worst.append(gates.against_active("v1", "churn", unseen, ours=1 - right, theirs=right, gates=BARS))
    refused = {gate.name: gate.sentence for gate in worst if not gate.passed}
    assert set(refused) == set(gates.REMEDIES)
    keys = {f"[gates] {name}" for name in Gates.model_fields} | {"[features]", "[tables]"}
    for name, sentence in refused.items():
        assert any(key in sentence for key in keys), name
