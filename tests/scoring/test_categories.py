"""A text that is read by its categories is one thing: one reason, and one category at a time."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from loyalty_ml.customers.table import FeatureTable
from loyalty_ml.errors import InvalidRequest
from loyalty_ml.models.baseline import Baseline
from loyalty_ml.models.store import LoadedModel, ModelSet
from loyalty_ml.scoring.scorers import Scorer, scorer_for
from loyalty_ml.scoring.what_if import predict_as_if
from loyalty_ml.vocabulary import PredictionType
from tests import sample_set

pytestmark = pytest.mark.unit

TIERS = {"tier_gold": "gold", "tier_silver": "silver", "tier_bronze": "bronze"}
FEATURES = ("spent", *TIERS, "tickets")
CARD = sample_set.model_set().loaded["churn"].card
Tier = tuple[float, float, float]
A_TIER = st.sampled_from([(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.0, 0.0, 0.0)])
"""The last one is of a text that is none of the categories."""


def said(tier: Tier) -> str:
    return next((name for name, value in zip(TIERS.values(), tier, strict=True) if value), "another")


class Model:
    """Answers customers of one tier or of none, and keeps all that it was asked about."""

    def __init__(self) -> None:
        self.tiers: set[Tier] = set()

    def __call__(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        self.tiers |= {tuple(row) for row in matrix[:, 1:4].tolist()}
        score = matrix @ np.array([0.01, 0.3, -0.2, 0.1, 0.02], np.float32) * (1 + matrix[:, 1])
        return (1 / (1 + np.exp(-score)))[:, np.newaxis].astype(np.float32)


def models(network: Any, typical: Tier = (0, 0, 1), groups: dict[str, tuple[str, ...]] | None = None) -> ModelSet:
    baseline = Baseline(
        values=dict(zip(FEATURES, (20.0, *typical, 1.0), strict=True)),
        groups=groups or {},
        categories={"tier": TIERS},
        words={"tier": "{value} tier"},
    )
    changes = {"features": FEATURES, "baseline": baseline, "domains": None, "active": None}
    return ModelSet(sample_set.manifest(), {"churn": LoadedModel(CARD.model_copy(update=changes), network)})


def result(own: Sequence[float], models: ModelSet, overrides: dict[str, float]) -> Any:
    """What the customer "a" is answered."""

    def read(customer_ids: Sequence[str], names: Sequence[str]) -> FeatureTable:
        row = dict(zip(FEATURES, own, strict=True))
        values = np.array([[row[name] for name in names]])
        return FeatureTable(customer_ids, tuple(names), values, np.isnan(values), None, sample_set.AS_OF)

    scorers: dict[PredictionType, Scorer] = {"churn": scorer_for("churn", models, "false")}
    return predict_as_if(scorers, "a", overrides, read, explain=True)["churn"].outcomes["a"]


@given(
    tier=A_TIER, typical=A_TIER, spent=st.integers(0, 99), groups=st.sampled_from([{}, {"status": (*TIERS, "tickets")}])
)
def test_it_is_one_reason_and_nobody_of_two_categories_is_scored(
    tier: Tier, typical: Tier, spent: int, groups: dict[str, tuple[str, ...]]
) -> None:
    network = Model()
    answer = result((spent, *tier, 4.0), models(network, typical, groups), {"tickets": 3.0})
    assert network.tiers <= {tier, typical}
    reasons = {reason.get("group", reason.get("feature")): reason for reason in answer["reasons"]}
    added = math.fsum(reason["contribution"] for reason in reasons.values())
    assert added + answer["explained"]["baseline_score"] == pytest.approx(answer["churn_probability"], abs=1e-5)
    if groups:
        assert set(reasons) == {"spent", "status"}
        words = f"status: {said(tier)} tier (typical {said(typical)}); tickets is 3 (typical 1): "
        assert reasons["status"]["words"].startswith(words)
    else:
        assert set(reasons) == {"spent", "tier", "tickets"}
        assert reasons["tier"]["words"].startswith(f"{said(tier)} tier, typical {said(typical)}: ")
        assert [each["value"] for each in reasons["tier"]["features"]] == list(tier)
        assert bool(reasons["tier"]["contribution"]) <= (tier != typical)


@given(tier=A_TIER | st.just((math.nan,) * 3), given=st.sampled_from(list(TIERS)))
def test_a_category_that_is_given_takes_the_place_of_the_customers_own(tier: Tier, given: str) -> None:
    network = Model()
    answer = result((5.0, *tier, 1.0), models(network), {given: 1.0})
    own = dict(zip(TIERS, tier, strict=True))
    changed = {name for name, value in own.items() if value != 0 and name != given}
    assert set(answer["what_if"]["overrides"]) == {given} | changed
    for name, override in answer["what_if"]["overrides"].items():
        assert override == {"before": None if math.isnan(own[name]) else own[name], "after": float(name == given)}
    assert all(sum(each) <= 1 for each in network.tiers if not any(map(math.isnan, each)))
    assert f"{TIERS[given]} tier, typical bronze" in " ".join(reason["words"] for reason in answer["reasons"])


def test_no_category_can_be_taken_away_and_two_cannot_be_given() -> None:
    answer = result((5.0, 1.0, 0.0, 0.0, 1.0), models(Model()), {"tier_gold": 0.0})
    assert answer["what_if"]["overrides"] == {"tier_gold": {"before": 1.0, "after": 0.0}}
    assert "another tier, typical bronze" in " ".join(reason["words"] for reason in answer["reasons"])
    with pytest.raises(InvalidRequest) as refused:
        result((5.0, 1.0, 0.0, 0.0, 1.0), models(Model()), {"tier_silver": 1.0, "tier_bronze": 1.0})
    assert "overrides.tier_bronze: a customer has one tier: give only one of tier_silver, tier_bronze" in str(
        refused.value
    )
