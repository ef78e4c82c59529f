"""docs/demo.md: what it says of the demo's models and households is what training gives."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loyalty_ml.customers.table import FeatureTable
from loyalty_ml.models.quality import ChurnQuality, OfferQuality
from loyalty_ml.models.store import LoadedModel, ModelSet
from loyalty_ml.scoring.predictions import predict
from loyalty_ml.vocabulary import PredictionType
from tests.docs.pages import DOCS
from training import config
from training.defaults import DEMO_URL
from training.learning.from_warehouse import train_from_warehouse
from training.registry.active_models import active_in_folder
from training.warehouse import queries
from training.warehouse.connection import connect

pytestmark = [pytest.mark.moto, pytest.mark.long]

PAGE = (DOCS / "demo.md").read_text()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, LoadedModel]:
    """What `make train` gives: it raises where a gate refuses a model."""
    folder: Path = tmp_path_factory.mktemp("models")
    train_from_warehouse(DEMO_URL, config.load(), folder)
    return active_in_folder(folder)


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading or a sentence, without its head."""
    below = PAGE[PAGE.index(heading) :]
    table = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)
    assert table
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.group().splitlines()[2:]]


def numbers(cell: str) -> list[float]:
    return [float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*(?:\.\d+)?", cell)]


def near(shown: float, found: float) -> bool:
    """A processor of another kind trains a model whose figures differ a little."""
    return abs(shown - found) <= max(0.02 * abs(found), 2)


def test_the_lists_and_bands_are_those_of_the_card(trained: Mapping[str, LoadedModel]) -> None:
    quality = trained["churn"].card.churn_quality
    assert isinstance(quality, ChurnQuality)
    for row, found in zip(rows("What a marketer reads first"), quality.lists, strict=True):
        share, size, left, rule, chance, word = row
        assert numbers(share) == [100 * found.share]
        assert numbers(size) == [found.customers]
        of_model = (found.found.value, found.found.low, found.found.high)
        assert all(map(near, numbers(left), of_model))
        assert all(map(near, numbers(rule), (found.rule.value, found.rule_days)))
        assert near(numbers(chance)[0], found.chance.value)
        assert word == found.word
    for (name, customers, left, share), band in zip(rows("what a band means"), quality.bands, strict=True):
        assert band.share is not None
        assert name == band.name
        assert near(numbers(customers)[0], band.customers)
        assert near(numbers(left)[0], band.happened)
        assert near(numbers(share)[0], 100 * band.share.value)


def test_the_recommendation_is_worth_what_the_page_says(trained: Mapping[str, LoadedModel]) -> None:
    quality = trained["nbo"].card.offer_quality
    assert isinstance(quality, OfferQuality)
    shown = re.search(r"Of 1,000 exposures.*?\n```", PAGE, re.DOTALL)
    assert shown
    worth = [
        ranged for each in (quality.recommended, quality.best_single, quality.shown) for ranged in dict(each).values()
    ]
    assert all(map(near, numbers(shown.group())[1:], [1000 * value for value in worth]))


def test_households_are_answered_as_the_page_says(trained: Mapping[str, LoadedModel]) -> None:
    ids = ["2467", "2046", "93"]
    with connect(DEMO_URL, config.load()) as warehouse:
        base = queries.base(warehouse, trained["churn"].card.features)
        assert base.names == trained["nbo"].card.features
    places = [base.customer_ids.tolist().index(customer_id) for customer_id in ids]

    def read(customer_ids: Any, names: Any) -> FeatureTable:
        columns = [base.names.index(name) for name in names]
        return FeatureTable(customer_ids, tuple(names), base.features[places][:, columns], None, None, "2018-01-02")

    table = {row[0]: row[1:] for row in rows("Three households")}
    models = ModelSet(loaded=trained)
    shown_of: dict[PredictionType, list[str]] = {"churn": table["churn"], "nbo": table["offer"]}
    for kind, line in shown_of.items():
        outcomes: Any = predict(kind, ids, models, read, "false").outcomes
        for customer_id, cell in zip(ids, line, strict=True):
            name, shown = cell.rsplit(", ", 1)
            found = outcomes[customer_id]
            said = found["churn_risk"] if kind == "churn" else found["top_offer"]["offer_name"]
            probability = found["churn_probability"] if kind == "churn" else found["confidence"]
            assert name == said
            assert float(shown) == pytest.approx(probability, abs=0.03)
    values = dict(zip(base.names, base.features[places].T, strict=True))
    for label, feature in (
        ("last purchase, days ago", "days_since_last"),
        ("purchases in the year", "transaction_count"),
    ):
        assert [float(cell) for cell in table[label]] == values[feature].tolist()
    weeks = np.round(values["engagement_score"] * 12 / 100)
    assert [float(cell) for cell in table["weeks with a purchase, of the last 12"]] == weeks.tolist()
    taken = [[seen, taken] for seen, taken in zip(values["offers_seen"], values["offers_taken"], strict=True)]
    assert [numbers(cell) for cell in table["offers seen, taken"]] == taken
