"""Each gate: what passes, what does not, and the sentence that says so."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from loyalty_ml.models.card import Offer
from loyalty_ml.models.document import Refused
from training.config import Gates
from training.learning import gates
from training.learning.contenders import NETWORK, Kind
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


def offers_of(*codes: str) -> tuple[Offer, ...]:
    return tuple(
        Offer(offer_id=place, offer_code=code, offer_name=f"Offer {code}", category="offer")
        for place, code in enumerate(codes)
    )


def compared(
    codes: str, active_codes: str, *, knows: str, kind: Kind = "conversion", happened: NDArray[np.bool_] | None = None
) -> gates.Gate:
    """A new and an active model of these offers, a letter each.

    Of those in `knows` the active one knows who takes them; the new one only guesses.
    """
    mine, theirs = offers_of(*codes), offers_of(*active_codes)
    every = examples(800, 200)
    happened = np.random.default_rng(5).random(800) < 0.5 if happened is None else happened
    shown = np.arange(800) % len(mine)
    unseen = replace(every, happened=happened, offers=shown, catalogue=mine)
    answers = np.full((800, len(theirs)), 0.5)
    for code in knows:
        rows = shown == codes.index(code)
        answers[rows, active_codes.index(code)] = np.where(happened[rows], 0.9, 0.1)
    guesses = np.full((800, len(mine)), 0.5)
    return gates.against_active_on_common_offers("v1", kind, unseen, theirs, ours=guesses, theirs=answers, gates=BARS)


@pytest.mark.parametrize(
    ("codes", "active_codes", "which"),
    [
        ("ABC", "ABC", "Both know the offers A (Offer A), B (Offer B), C (Offer C)."),
        ("ABC", "CAB", "Both know the offers A (Offer A), B (Offer B), C (Offer C)."),
        (
            "NBCA",
            "ABOCXY",
            "Both know the offers B (Offer B), C (Offer C), A (Offer A). Only this one knows N (Offer N). "
            "Only v1 knows O (Offer O), X (Offer X), Y (Offer Y).",
        ),
    ],
)
def test_offers_are_compared_by_their_codes_wherever_they_are(codes: str, active_codes: str, which: str) -> None:
    found = compared(codes, active_codes, knows="ABC")
    assert not found.passed
    assert "Its AUC is 0.500 on the held-out examples, where the active v1 has 1.000" in found.sentence
    assert found.sentence.endswith(which)
    assert compared(codes, active_codes, knows="").passed


def test_examples_of_an_offer_that_the_active_model_does_not_know_are_not_compared() -> None:
    """The new model is only wrong about N, which the other never heard of."""
    mine, theirs = offers_of(*"ABN"), offers_of(*"BA")
    every = examples(900, 450)
    shown = np.arange(900) % 3
    unseen = replace(every, offers=shown, catalogue=mine)
    answers = np.repeat(np.where(unseen.happened, 0.9, 0.1)[:, np.newaxis], 3, axis=1)
    answers[:, 2] = 1 - answers[:, 2]
    found = gates.against_active_on_common_offers(
        "v1", "conversion", unseen, theirs, ours=answers, theirs=answers[:, :2], gates=BARS
    )
    assert found.passed
    assert "Its AUC is 1.000" in found.sentence


def test_of_a_choice_only_the_common_offers_can_be_recommended() -> None:
    mine, theirs = offers_of(*"NAB"), offers_of(*"BA")
    shown = np.arange(600) % 3
    unseen = replace(examples(600, 600), offers=shown, catalogue=mine)
    answers = np.where(np.arange(3) == shown[:, np.newaxis], 0.3, 0.05)
    answers[:, 0] = 0.65  # N is recommended to all, but the other does not know it
    found = gates.against_active_on_common_offers(
        "v1", "choice", unseen, theirs, ours=answers, theirs=answers[:, [2, 1]], gates=BARS
    )
    assert found.passed
    assert "Its share of right recommendations is 1.000" in found.sentence


@pytest.mark.parametrize(
    ("codes", "active_codes", "which"),
    [
        ("ABC", "CX", "Not compared with the active v1. Both know the offers C (Offer C)."),
        ("AB", "XY", "Not compared with the active v1. No offer is known to both. Only this one knows A (Offer A), B"),
    ],
)
def test_models_with_fewer_than_two_common_offers_are_not_compared(codes: str, active_codes: str, which: str) -> None:
    found = compared(codes, active_codes, knows="")
    assert found.passed
    assert found.sentence.startswith(which)


def test_examples_of_one_outcome_are_not_compared() -> None:
    found = compared("ABC", "CAB", knows="", happened=np.zeros(800, np.bool_))
    assert found.passed
    assert found.sentence.startswith(
        "Not compared with the active v1: the held-out examples have one outcome. Both know"
    )


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
