"""Each gate: what passes, what does not, and the sentence that says so."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from loyalty_ml.models.card import Offer
from loyalty_ml.models.document import Refused
from training.config import Gates
from training.learning import beside_active, gates
from training.learning.bootstrap import Sampled
from training.learning.contenders import LABELS, NETWORK, Kind
from training.learning.measured import RANGED, Contest, Measured
from training.warehouse.examples import Examples

pytestmark = pytest.mark.unit

BARS = Gates()
LUCK = np.sin(np.arange(200))
"""What draws of the model's figures differ by, from -1 to 1; the baselines' are all the same."""

Pair = tuple[float, float]
NOBODY: Mapping[str, Pair] = {}


def sampled(value: float, spread: float = 0) -> Sampled:
    return Sampled(value, value + spread * LUCK)


def measured(
    ours: Pair,
    spread: float,
    ece: float = 0.02,
    *,
    not_fitted: dict[str, str] | None = None,
    others: Mapping[str, Pair] = NOBODY,
) -> Measured:
    """As it would come from `measure`: AUC and log-loss of the model, which draws move by `spread`, and of others."""
    figures = {NETWORK: ours, **others}
    mean = {name: {"auc": auc, "log_loss": loss, "ece": ece} for name, (auc, loss) in figures.items()}
    return Measured(
        rows=1000,
        customers=1000,
        positive_share=0.5,
        folds=(Contest(1000, 1000, 0.5, mean),),
        mean=mean,
        sampled={
            name: {
                figure: sampled(value, spread if name == NETWORK else 0)
                for figure, value in zip(RANGED, own, strict=True)
            }
            for name, own in figures.items()
        },
        chance_975=0.02,
        not_fitted=not_fitted or {},
    )


CHURN: dict[str, Pair] = {
    "logistic_regression": (0.776, 0.487),
    "lightgbm": (0.773, 0.487),
    "bg_nbd": (0.750, 0.506),
    "base_rate": (0.5, 0.61),
}
OFFERS: dict[str, Pair] = {
    "logistic_regression": (0.66, 0.36),
    "lightgbm": (0.66, 0.36),
    "offer_base_rate": (0.56, 0.38),
}
CHOICE: dict[str, Pair] = {"logistic_regression": (0.6, 1.9), "lightgbm": (0.6, 1.9), "popularity": (0.5, 2.0)}


def failed(found: list[gates.Gate]) -> list[str]:
    return [gate.name for gate in found if not gate.passed]


def churn(
    ours: Pair = (0.776, 0.486), spread: float = 0.01, ece: float = 0.02, others: Mapping[str, Pair] = NOBODY
) -> list[gates.Gate]:
    return gates.of_quality("churn", measured(ours, spread, ece, others={**CHURN, **others}), BARS)


def test_a_model_as_good_as_the_reference_passes() -> None:
    assert failed(churn()) == []
    assert failed(gates.of_quality("conversion", measured((0.66, 0.36), 0.01, others=OFFERS), BARS)) == []
    assert failed(gates.of_quality("choice", measured((0.6, 1.9), 0.01, others=CHOICE), BARS)) == []


@pytest.mark.parametrize("baseline", ["logistic_regression", "lightgbm", "bg_nbd"])
def test_a_comparison_fails_only_if_the_whole_interval_is_beyond_what_is_allowed(baseline: str) -> None:
    label = LABELS[baseline]
    better: dict[str, Pair] = {baseline: (0.79, 0.47)}
    assert failed(churn(spread=0.008, others=better)) == [f"AUC beside {label}", f"log-loss beside {label}"]
    remedies = [gate.sentence for gate in churn(spread=0.008, others=better) if not gate.passed]
    assert all(("customer_age_days" in remedy) == (baseline == "bg_nbd") for remedy in remedies)
    unsure = churn(spread=0.02, others=better)
    assert failed(unsure) == []
    told = {gate.name: gate.sentence for gate in unsure}
    assert told[f"AUC beside {label}"].startswith(f"AUC 0.776, where {label} has 0.790: worse by 0.014 (-0.0")
    assert told[f"AUC beside {label}"].endswith(gates.CANNOT_TELL)
    worse: dict[str, Pair] = {baseline: (0.72, 0.53)}
    sure = [gate.sentence for gate in churn(spread=0.02, others=worse) if label in gate.name]
    assert not any(gates.CANNOT_TELL in sentence for sentence in sure)


@pytest.mark.parametrize(
    ("value", "draws", "told"),
    [
        (-0.017, (-0.031, -0.003), "worse by 0.017 (0.003 to 0.031), where up to 0.005 worse is allowed. "),
        (0.004, (-0.002, 0.01), "better by 0.004 (-0.002 to 0.010), where up to 0.005 worse is allowed."),
        (-0.0001, (-0.0002, 0.0001), "a difference of 0.000 (0.000 to 0.000), where up to 0.005 worse is allowed."),
    ],
)
def test_a_comparison_says_worse_where_it_is_worse(value: float, draws: tuple[float, float], told: str) -> None:
    passed, sentence = gates.not_worse(Sampled(value, np.repeat(draws, 500)), 0.005)
    assert passed
    assert sentence == told + (gates.CANNOT_TELL if value == -0.017 else "")


def test_nothing_must_beat_bg_nbd() -> None:
    """Where purchases follow it, it is right, and a model that is as good is good."""
    assert failed(churn(spread=0.002, others={"bg_nbd": (0.776, 0.486)})) == []


def test_the_floor_must_be_below_the_whole_interval() -> None:
    others: dict[str, Pair] = dict.fromkeys(("logistic_regression", "lightgbm", "bg_nbd"), (0.58, 0.6))
    assert failed(churn((0.58, 0.6), 0.005, others=others)) == []
    assert failed(churn((0.58, 0.6), 0.04, others=others)) == [
        "ranks better than chance",
        "knows more than the share of all",
    ]
    assert failed(churn((0.60, 0.609), 0.005, others=others)) == ["knows more than the share of all"]
    offers: dict[str, Pair] = {**OFFERS, "offer_base_rate": (0.64, 0.361)}
    assert failed(gates.of_quality("conversion", measured((0.66, 0.36), 0.01, others=offers), BARS)) == [
        "knows more than the offers' base rates"
    ]
    assert failed(
        gates.of_quality("choice", measured((0.6, 1.9), 0.01, others={**CHOICE, "popularity": (0.5, 1.9)}), BARS)
    ) == ["knows more than the offers' popularity"]


def test_a_baseline_that_could_not_be_fitted_is_reported() -> None:
    others = {name: pair for name, pair in CHURN.items() if name != "bg_nbd"}
    why = {"bg_nbd": "BG/NBD cannot be fitted: alas."}
    found = gates.of_quality("churn", measured((0.776, 0.486), 0.01, not_fitted=why, others=others), BARS)
    assert failed(found) == []
    (line,) = [gate for gate in found if "BG/NBD" in gate.name]
    assert line.sentence == "Not compared. BG/NBD cannot be fitted: alas."


def test_calibration_is_judged_by_what_chance_makes() -> None:
    assert failed(churn(ece=0.0299)) == []
    assert failed(churn(ece=0.031)) == ["calibrated"]
    for ece, expected in ((0.099, []), (0.101, ["calibrated out of time"])):
        later = measured((0.75, 0.5), 0.01, ece)
        now = measured((0.776, 0.486), 0.01, others=CHURN)
        assert failed(gates.of_quality("churn", now, BARS, later=later)) == expected


def test_leakage_is_suspected_of_a_model_over_the_ceiling_and_of_one_feature_that_says_it_all() -> None:
    assert failed(churn((0.96, 0.1))) == ["not too good to be true"]
    strong = measured((0.93, 0.2), 0.01, others=CHURN)
    assert failed(gates.of_quality("churn", strong, BARS, feature_auc={"churn_score": 0.926})) == [
        "not one feature alone"
    ]
    # Strong, and the model knows more; and as good as the model, but no better than can be.
    assert failed(gates.of_quality("churn", strong, BARS, feature_auc={"engagement_score": 0.92})) == []
    good = measured((0.776, 0.486), 0.01, others=CHURN)
    assert failed(gates.of_quality("churn", good, BARS, feature_auc={"days_since_last": 0.775})) == []


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


def everyone(found: Examples) -> NDArray[np.bool_]:
    return np.ones(len(found), np.bool_)


def test_too_few_customers_or_too_few_of_the_rarer_outcome() -> None:
    def missing(found: Examples, active: NDArray[np.bool_] | None = None) -> list[str]:
        rows = everyone(found) if active is None else active
        return [gate.sentence for gate in gates.of_data(found, rows, BARS) if not gate.passed]

    assert missing(examples(1000, 100)) == []
    assert missing(examples(1000, 900)) == []
    assert missing(examples(999, 100)) == [
        "999 customers, where 1,000 are asked for: too few. Bring data of more customers, or lower [gates] "
        "minimum_customers."
    ]
    remedy = (
        "Bring data of a longer time or of more customers, raise [windows] active_days so that more of them count, or "
        "lower [gates] minimum_positives."
    )
    for positives, rarer in ((99, 99), (950, 50)):
        assert missing(examples(1000, positives)) == [
            f"{rarer} examples of the rarer outcome, where 100 are asked for: too few. {remedy}"
        ]
    assert missing(examples(1000, 1000, offers=True)) == []  # which offer was taken is asked, not whether
    few_active = np.arange(1000) < 60
    assert missing(examples(1000, 30), few_active) == [
        f"30 examples of the rarer outcome among active customers, where 100 are asked for: too few. {remedy}"
    ]


def test_an_operation_that_older_runtimes_do_not_know_is_named() -> None:
    assert gates.of_operations({"ADD": 1, "FULLY_CONNECTED": 1}).passed
    refused = gates.of_operations({"ADD": 1, "FULLY_CONNECTED": 12})
    assert not refused.passed
    assert "FULLY_CONNECTED 12" in refused.sentence


def test_worse_than_the_active_version_on_the_same_customers() -> None:
    unseen = examples(400, 100)
    good = np.where(unseen.happened, 0.9, 0.1)[:, np.newaxis] + np.random.default_rng(1).normal(0, 0.3, (400, 1))
    bad = np.random.default_rng(2).random((400, 1))
    found = beside_active.against_active("v1", "churn", unseen, ours=bad, theirs=good, gates=BARS)
    assert not found.passed
    assert "v1" in found.sentence
    assert "--force" in found.sentence
    assert beside_active.against_active("v1", "churn", unseen, ours=good, theirs=bad, gates=BARS).passed
    assert beside_active.against_active("v1", "churn", unseen, ours=good, theirs=good, gates=BARS).passed


def test_of_offers_the_probability_of_the_one_shown_is_compared() -> None:
    unseen = examples(400, 100, offers=True)
    assert unseen.offers is not None
    knows, guesses = np.full((400, 8), 0.5), np.full((400, 8), 0.5)
    knows[np.arange(400), unseen.offers] = np.where(unseen.happened, 0.9, 0.1)
    assert not beside_active.against_active("v1", "conversion", unseen, ours=guesses, theirs=knows, gates=BARS).passed
    assert beside_active.against_active("v1", "choice", unseen, ours=knows, theirs=guesses, gates=BARS).passed


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
    return beside_active.against_active_on_common_offers(
        "v1", kind, unseen, theirs, ours=guesses, theirs=answers, gates=BARS
    )


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
    found = beside_active.against_active_on_common_offers(
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
    found = beside_active.against_active_on_common_offers(
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

    refused = gates.of_refusal("served as trained", "fine", refuse)
    assert not refused.passed
    assert refused.sentence.startswith("it is collapsed Try another seed")
    assert gates.of_refusal("served", "fine", lambda: None) == gates.Gate("served", passed=True, sentence="fine")


def test_a_comparison_of_small_samples_says_that_it_cannot_tell() -> None:
    unseen = examples(60, 30)
    ours = np.random.default_rng(1).random((60, 1))
    theirs = ours + np.where(unseen.happened, 0.02, 0)[:, np.newaxis]
    found = beside_active.against_active("v1", "churn", unseen, ours=ours, theirs=theirs, gates=BARS)
    assert found.passed
    assert found.sentence.endswith(gates.CANNOT_TELL)


def test_every_gate_that_fails_says_what_to_do() -> None:
    bad: Pair = (0.5, 0.9)
    good: dict[str, Pair] = dict.fromkeys((*CHURN, *OFFERS, *CHOICE), (0.8, 0.4))
    few = examples(10, 5)

    def refuse() -> None:
        raise Refused("it is collapsed")

    worst = [
        *gates.of_data(few, everyone(few), BARS),
        *gates.of_quality("churn", measured(bad, 0, 0.5, others=good), BARS, later=measured(bad, 0, 0.5)),
        *gates.of_quality("conversion", measured(bad, 0, 0.5, others=good), BARS),
        *gates.of_quality("choice", measured(bad, 0, 0.5, others=good), BARS),
        *gates.of_quality("churn", measured((0.99, 0.1), 0, others=good), BARS, feature_auc={"leak": 0.99}),
        gates.of_refusal("served as trained", "fine", refuse),
        gates.of_operations({"FULLY_CONNECTED": 12}),
    ]
    unseen = examples(400, 100)
    right = unseen.happened[:, np.newaxis].astype(float)
    worst.append(beside_active.against_active("v1", "churn", unseen, ours=1 - right, theirs=right, gates=BARS))
    refused = {gate.name: gate for gate in worst if not gate.passed}
    assert set(refused) == set(gates.REMEDIES)
    keys = {f"[gates] {name}" for name in Gates.model_fields} | {"[features]", "[tables]", "make install"}
    for name, gate in refused.items():
        assert gate.sentence.endswith(gates.REMEDIES[name])
        assert any(key in gate.sentence for key in keys), name
        assert gate.forceable == (name == gates.BESIDE_ACTIVE)
