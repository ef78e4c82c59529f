"""Which form the model of conversion takes."""

from dataclasses import replace

import numpy as np
import pytest

from loyalty_ml.customers.table import model_matrix
from tests.training.learning.exposure_simulator import OFFERS, world
from training.learning import contenders, conversion, networks, splits
from training.learning.contenders import Fitted, Learning
from training.registry import model_set
from training.warehouse.examples import Examples

pytestmark = pytest.mark.moto

SEED = 3


def fitted(examples: Examples) -> Fitted:
    stopping = splits.for_stopping(examples.customer_ids)
    return contenders.fit_network(Learning("conversion", examples, stopping, OFFERS, SEED))


def test_the_simplest_form_that_is_as_good_is_taken() -> None:
    draw = np.random.default_rng(1)
    customers = np.arange(2000)
    best = draw.exponential(size=2000)
    much_worse, barely_worse = best + 0.3 + draw.normal(size=2000), best + 0.001 + draw.normal(size=2000)
    assert conversion.simplest([much_worse, barely_worse, best], customers) == 1
    assert conversion.simplest([much_worse, best], customers) == 1
    assert conversion.simplest([best, best], customers) == 0


@pytest.mark.long
def test_what_suits_each_customer_is_found_and_served_by_operations_that_all_runtimes_know() -> None:
    company = world(1, "biased")
    found = fitted(company.exposures(4000))
    assert found.form.startswith("without hidden layers")
    customers = company.customers(5000, 9)
    answers = networks.answers(found.network, customers)
    assert company.regret(customers, answers.argmax(axis=1)) <= 0.1
    model = networks.to_tflite(found.network)
    assert set(networks.op_versions(model).values()) == {1}
    serving = model_set.serving_network("nbo", model, customers.shape[1], OFFERS)
    np.testing.assert_allclose(serving(model_matrix(customers)), answers, atol=1e-6)


def test_where_offers_do_not_differ_in_whom_they_suit_the_best_one_is_for_everyone() -> None:
    draw = np.random.default_rng(5)
    company = world(1, "uniform")
    examples = company.exposures(4000)
    assert examples.offers is not None
    log_odds = np.log(examples.features[:, 0]) - 3.5 + 0.2 * (examples.offers == 4)
    alike = replace(examples, happened=draw.random(4000) < 1 / (1 + np.exp(-log_odds)))
    assert conversion.choose_spread(alike, OFFERS) <= 0.05


@pytest.mark.long
def test_what_no_line_can_say_is_left_to_the_network() -> None:
    """An offer that suits those in the middle, and another that suits those at either end."""
    draw = np.random.default_rng(7)
    company = world(2, "uniform")
    examples = company.exposures(6000)
    assert examples.offers is not None
    distance = np.abs(np.log(examples.features[:, 0]) - 2)
    log_odds = np.where(examples.offers < 4, 2 - 4 * distance, -3 + 3 * distance)
    curved = replace(examples, happened=draw.random(6000) < 1 / (1 + np.exp(-log_odds)))
    assert fitted(curved).form == networks.HIDDEN_FORM
