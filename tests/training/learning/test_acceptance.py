"""What must hold of churn models, of a few of the draws; the study `acceptance` has them all."""

import numpy as np
import pytest

from benchmarks.studies import acceptance
from benchmarks.studies.acceptance import Company
from training.learning import metrics
from training.learning.contenders import NETWORK
from training.learning.held_out import HeldOut, said

pytestmark = [pytest.mark.moto]


@pytest.fixture(scope="module")
def companies() -> list[Company]:
    return acceptance.companies()


def test_a_degraded_model_has_lost_a_tenth_of_what_it_ranks() -> None:
    random = np.random.default_rng(1)
    truth = random.beta(2, 3, 5000)
    happened, rows = random.random(5000) < truth, np.arange(5000)
    answers = {NETWORK: said(happened, truth), "lightgbm": said(happened, truth)}
    before = HeldOut(rows, rows, rows % 3, np.ones(5000, np.bool_), answers, {})
    after = acceptance.degrade(before, 1).answers
    auc = metrics.auc(happened, truth)
    assert metrics.auc(happened, after[NETWORK].probability) == pytest.approx(auc - 0.1 * (auc - 0.5), abs=1e-4)
    assert after["lightgbm"] is answers["lightgbm"]
    assert metrics.ece(happened, after[NETWORK].probability) < 0.05


@pytest.mark.long
@pytest.mark.parametrize("transactions", [True, False])
def test_shuffled_labels_are_refused(companies: list[Company], transactions: bool) -> None:  # noqa: FBT001
    for company in companies:
        of_company = company if transactions else company.without_transactions()
        for names in acceptance.shuffled(of_company, 1):
            assert "ranks better than chance" in names


@pytest.mark.long
def test_honest_models_of_small_companies_are_not_refused(companies: list[Company]) -> None:
    refused = [names for company in companies for names in acceptance.honest(company, 1) if names]
    assert len(refused) <= 1, refused


@pytest.mark.long
def test_worse_models_of_large_companies_are_refused(companies: list[Company]) -> None:
    refused = [bool(names) for company in companies for names in acceptance.degraded(company, 1)]
    assert np.mean(refused) >= acceptance.DEGRADED_REFUSED


@pytest.mark.long
def test_of_the_demos_active_customers_who_left_most_are_high_or_medium() -> None:
    quality = acceptance.demo(splits=3)
    bands = {band.name: band.customers / quality.customers for band in quality.bands}
    assert bands["high"] + bands["medium"] == pytest.approx(0.3, abs=0.01)
    assert acceptance.caught(quality) >= acceptance.CAUGHT
