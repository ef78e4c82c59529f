"""What models read beside what a snapshot has: which feature is missing, and which means something else now."""

import pytest

from loyalty_ml.models.card import ActiveRule
from loyalty_ml.models.manifest import FIXED_CUT_POINTS
from loyalty_ml.registry.inputs import ModelInputs, fit, inputs_of_card, inputs_of_cut_points
from tests import sample_set

pytestmark = pytest.mark.unit

YEAR = "0123456789ab: formula = 1; [windows] year_days = 365"
HALF = "ba9876543210: formula = 1; [windows] year_days = 180"
CHURN = ModelInputs("churn v1", ("revenue", "tier", "days"), {"revenue": YEAR, "tier": "aa: x = 1", "days": YEAR})


def test_what_is_there_and_means_the_same_fits() -> None:
    now = {"revenue": YEAR, "tier": "aa: x = 1", "days": YEAR, "other": HALF}
    assert fit([CHURN], ["days", "tier", "revenue", "other"], now) == ((), ())


def test_a_missing_feature_is_named_with_the_model_that_reads_it() -> None:
    assert CHURN.definitions is not None
    assert fit([CHURN], ["revenue"], CHURN.definitions).problems == (
        "churn v1 reads tier, days, which the snapshot does not have",
    )


@pytest.mark.parametrize("feature", ["days_since_last", "lifetime_transaction_count"])
def test_a_churn_model_reads_what_its_active_rule_needs_too(feature: str) -> None:
    card = sample_set.model_set().loaded["churn"].card
    ruled = card.model_copy(update={"active": ActiveRule(feature=feature, days=90)})
    assert inputs_of_card(ruled).features == tuple(dict.fromkeys((*card.features, feature)))
    lacking = [name for name in inputs_of_card(ruled).features if name != feature]
    assert fit([inputs_of_card(ruled)], lacking, None).problems == (
        f"churn {card.version} reads {feature}, which the snapshot does not have",
    )


def test_a_changed_definition_is_told_once_with_its_features() -> None:
    now = {"revenue": HALF, "tier": "aa: x = 1", "days": HALF}
    assert fit([CHURN], CHURN.features, now).problems == (
        "churn v1 was trained on another definition of revenue, days than the snapshot has "
        "([windows] year_days was 365 and is 180)",
    )


def test_a_missing_feature_has_no_definition_to_differ_in() -> None:
    now = {"revenue": YEAR, "tier": "aa: x = 2", "days": YEAR}
    assert fit([CHURN], ["revenue", "days"], now).problems == ("churn v1 reads tier, which the snapshot does not have",)


def test_models_that_one_sentence_is_true_of_are_told_together() -> None:
    nbo = CHURN._replace(name="nbo v1")
    cut_points = ModelInputs("rfm v1", ("days",), {"days": YEAR})
    now = {"revenue": HALF, "days": HALF}
    assert fit([CHURN, nbo, cut_points], ["revenue", "days"], now).problems == (
        "churn v1 and nbo v1 read tier, which the snapshot does not have",
        "churn v1 and nbo v1 were trained on another definition of revenue, days than the snapshot has "
        "([windows] year_days was 365 and is 180)",
        "rfm v1 was trained on another definition of days than the snapshot has "
        "([windows] year_days was 365 and is 180)",
    )


def test_what_was_written_before_there_were_definitions_is_not_compared_and_says_so() -> None:
    old = CHURN._replace(definitions=None)
    assert fit([old], CHURN.features, {"revenue": HALF}) == (
        (),
        ("The feature definitions of churn v1 were not compared: it has none.",),
    )
    assert fit([CHURN], CHURN.features, None) == (
        (),
        ("The feature definitions of churn v1 were not compared: the snapshot has none.",),
    )
    assert fit([old], ["revenue"], None).problems, "what it reads is known all the same"


def test_cut_points_read_the_features_that_they_name() -> None:
    points = FIXED_CUT_POINTS.model_copy(update={"features": ("days", "visits", "money")})
    assert fit([inputs_of_cut_points(points)], ["days", "money"], {}).problems == (
        "rfm fixed reads visits, which the snapshot does not have",
    )
