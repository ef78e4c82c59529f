"""What drives a segment's scores: means of its members' own reasons, of a sample that blocks do not change."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_ml.customers.population import Population
from loyalty_ml.customers.table import FeatureTable
from loyalty_ml.models.store import LoadedModel, ModelSet
from loyalty_ml.scoring.predictions import predict
from loyalty_ml.segments import drivers
from loyalty_ml.segments.statistics import measure_segment
from loyalty_ml.vocabulary import PREDICTION_TYPES
from tests import sample_set
from tests.customers.test_population import Customers, write
from tests.service import SNAPSHOT_FEATURES

pytestmark = pytest.mark.unit

CUSTOMERS = 60
IDS = [f"c-{number:03}" for number in range(CUSTOMERS)]
VALUES = np.floor(np.exp(np.random.default_rng(3).normal(3, 1, (CUSTOMERS, len(SNAPSHOT_FEATURES)))))
VALUES[:, SNAPSHOT_FEATURES.index("engagement_score")] %= 100
VALUES[5, 2] = np.nan
MODELS = sample_set.model_set()


@pytest.fixture(scope="module")
def population() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        yield Population(write(Path(folder), SNAPSHOT_FEATURES, [Customers(IDS, VALUES)]), block_rows=7)


def by_customer(name: Any) -> list[dict[str, float]]:
    """Each member's absolute contributions, of churn those who have not lapsed."""

    def read(customer_ids: Any, names: Any) -> FeatureTable:
        own = VALUES[:, [SNAPSHOT_FEATURES.index(each) for each in names]]
        return FeatureTable(customer_ids, tuple(names), own, np.isnan(own), None, sample_set.AS_OF)

    outcomes: Any = predict(name, IDS, MODELS, read, "false", explain=True).outcomes.values()
    results = [each for each in outcomes if isinstance(each, dict) and each.get("churn_risk") != "lapsed"]
    return [{reason["feature"]: abs(reason["contribution"]) for reason in each["reasons"]} for each in results]


def test_they_are_the_means_of_the_members_own_reasons(population: Population) -> None:
    measured = measure_segment(None, population, MODELS, "false").drivers
    assert measured.keys() == set(PREDICTION_TYPES)
    for name in PREDICTION_TYPES:
        own = by_customer(name)
        found = measured[name]
        assert found["customers"] == len(own) < CUSTOMERS
        means = {each["feature"]: each["mean_absolute_contribution"] for each in found["features"]}
        assert means == pytest.approx({feature: np.mean([each[feature] for each in own]) for feature in own[0]})
        assert list(means.values()) == sorted(means.values(), reverse=True)
        assert next(iter(means.values())) > 0


def test_a_larger_segment_has_a_sample_that_is_the_same_again(
    population: Population, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drivers, "SAMPLE", 20)
    first, again = (measure_segment(None, population, MODELS, "false").drivers for _ in range(2))
    assert first == again
    assert first["rfm"]["customers"] == 20


@given(numbers=st.lists(st.integers(0, 10**9), unique=True, max_size=60), cuts=st.lists(st.integers(0, 60)))
def test_a_sample_of_samples_is_that_of_all(numbers: list[int], cuts: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drivers, "SAMPLE", 7)
        whole = np.array(numbers, np.int64)
        kept = np.empty(0, np.int64)
        for part in np.split(whole, sorted(cut for cut in cuts if cut <= len(whole))):
            kept = drivers.sampled(np.concatenate([kept, drivers.sampled(part)]))
        assert sorted(kept.tolist()) == sorted(drivers.sampled(whole).tolist())
        assert len(kept) == min(7, len(whole))


def test_of_nobody_and_of_a_model_without_a_baseline_there_are_none(population: Population) -> None:
    loaded = {
        name: LoadedModel(model.card.model_copy(update={"baseline": None}), model.network)
        for name, model in MODELS.loaded.items()
    }
    assert measure_segment(None, population, ModelSet(MODELS.manifest, loaded), "false").drivers.keys() == {"rfm"}
    assert measure_segment(None, population, ModelSet(), "true").drivers.keys() == {"rfm"}
