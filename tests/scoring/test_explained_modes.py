"""Reasons are the same however a customer is asked about; a customer who has none is an error of its own."""

import math
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from numpy.typing import NDArray

from loyalty_ml.arrow import texts_of
from loyalty_ml.customers.population import Population
from loyalty_ml.customers.table import FeatureTable
from loyalty_ml.files.scoring import answering, question
from loyalty_ml.files.table import Rows
from loyalty_ml.files.writing import Writer
from loyalty_ml.models.baseline import Baseline
from loyalty_ml.models.store import LoadedModel, ModelSet
from loyalty_ml.scoring.explainers import amount_in_words
from loyalty_ml.scoring.predictions import predict, predict_all
from loyalty_ml.segments.definition import Segment, SegmentDefinition
from loyalty_ml.segments.predictions import Ranking, predict_segment
from loyalty_ml.segments.side_by_side import predict_segment_all
from loyalty_ml.vocabulary import PREDICTION_TYPES, PredictionType
from tests import sample_set
from tests.customers.test_population import Customers, write
from tests.files.writings import read_results, written_as
from tests.service import SNAPSHOT_FEATURES

pytestmark = pytest.mark.unit

CUSTOMERS = 30
IDS = [f"c-{number:02}" for number in range(CUSTOMERS)]
GROUPS = {
    "activity": ("days_since_last", "engagement_score", "transaction_count"),
    "money": ("revenue", "lifetime_value"),
}


def values() -> NDArray[np.float64]:
    """Some of them lack a feature, one is the baseline."""
    drawn = np.floor(np.exp(np.random.default_rng(8).normal(2.5, 1, (CUSTOMERS, len(SNAPSHOT_FEATURES)))))
    drawn[:, SNAPSHOT_FEATURES.index("engagement_score")] %= 100
    drawn[3, 1] = np.nan
    return drawn


VALUES = values()


def models(groups: Mapping[str, tuple[str, ...]] | None = None) -> ModelSet:
    sample = sample_set.model_set()
    loaded = {}
    for name, model in sample.loaded.items():
        assert model.card.baseline
        baseline = Baseline.model_validate({**model.card.baseline.model_dump(), "groups": groups or {}})
        loaded[name] = LoadedModel(model.card.model_copy(update={"baseline": baseline}), model.network)
    return ModelSet(sample.manifest, loaded)


def read(customer_ids: Sequence[str], names: Sequence[str]) -> FeatureTable:
    rows = [IDS.index(customer_id) for customer_id in customer_ids]
    own = VALUES[rows][:, [SNAPSHOT_FEATURES.index(name) for name in names]]
    return FeatureTable(customer_ids, tuple(names), own, np.isnan(own), None, sample_set.AS_OF)


def in_file(asked_of: ModelSet, kind: Any, extension: str, folder: str) -> list[dict[str, Any]]:
    asked = question(kind, asked_of, "false", explain=True)
    rows = Rows(np.arange(CUSTOMERS) + 1, texts_of(IDS), VALUES, np.isnan(VALUES))
    scored = answering(asked, SNAPSHOT_FEATURES, None)(rows)
    writer = Writer(written_as(f"a.{extension}"), ",", asked, Path(folder))
    with duckdb.connect() as connection:
        content = writer.header() + writer.rows(connection, scored)[0]
    return read_results(f"a.{extension}", content)


def largest(result: Mapping[str, Any]) -> list[str]:
    """What a file's columns say."""
    words = [reason["words"] for reason in result["reasons"] if reason["contribution"]]
    return [*words, "", "", ""][:3]


@pytest.mark.parametrize("groups", [None, GROUPS])
def test_every_mode_gives_the_same_reasons(groups: Mapping[str, tuple[str, ...]] | None) -> None:
    own = models(groups)
    everyone: Segment = Segment(
        "a", 1, datetime(2018, 1, 2, tzinfo=UTC), SegmentDefinition.model_validate({"segment_name": "A", "rule": {}})
    )
    together = predict_all(IDS, own, read, "false", explain=True)
    with tempfile.TemporaryDirectory() as folder:
        population = Population(write(Path(folder), SNAPSHOT_FEATURES, [Customers(IDS, VALUES)]), block_rows=7)
        by_type: dict[PredictionType, list[Any]] = {}
        for name in PREDICTION_TYPES:
            batch = predict(name, IDS, own, read, "false", explain=True).outcomes
            results: list[Any] = [outcome for outcome in batch.values() if isinstance(outcome, dict)]
            by_type[name] = results
            assert len(results) >= CUSTOMERS - 1
            for result in results:
                customer_id = result["customer_id"]
                assert predict(name, [customer_id], own, read, "false", explain=True).outcomes[customer_id] == result
                assert together[name].outcomes[customer_id] == result
                added = math.fsum(reason["contribution"] for reason in result["reasons"])
                explained = result["explained"]
                assert explained["baseline_score"] + added == pytest.approx(explained["score"], abs=1e-5)
            answer = predict_segment(everyone, name, population, own, "false", explain=True)
            assert [entry["result"] for entry in answer["results"]] == results
            plain = predict_segment(everyone, name, population, own, "false")
            assert all("reasons" not in entry["result"] for entry in plain["results"])
            for extension in ("csv", "jsonl", "parquet"):
                rows = in_file(own, name, extension, folder)
                assert [row["customer_id"] for row in rows] == [result["customer_id"] for result in results]
                assert [[row[f"reason_{place}"] for place in (1, 2, 3)] for row in rows] == [
                    largest(result) for result in results
                ]
        top: Any = predict_segment(everyone, "churn", population, own, "false", ranking=Ranking(5), explain=True)
        assert all(entry["result"]["reasons"] for entry in top["results"])
        shown: Any = predict_segment_all(everyone, population, own, "false", explain=True)["results"]
        assert [entry["results"]["churn"] for entry in shown if "churn" in entry["results"]] == by_type["churn"]
        rows = in_file(own, "all", "jsonl", folder)
        whole = [result for result in by_type["rfm"] if result["customer_id"] != IDS[3]]
        words = [[row[f"rfm_reason_{place}"] for place in (1, 2, 3)] for row in rows]
        assert words == [largest(each) for each in whole]
        assert {"churn_reason_1", "nbo_reason_3"} <= rows[0].keys()


def test_features_of_a_group_are_one_reason_that_names_them_all() -> None:
    outcome: Any = predict("churn", IDS[:1], models(GROUPS), read, "false", explain=True).outcomes[IDS[0]]
    alone: Any = predict("churn", IDS[:1], models(), read, "false", explain=True).outcomes[IDS[0]]
    by_group = {reason["group"]: reason for reason in outcome["reasons"] if "group" in reason}
    assert len(outcome["reasons"]) == 10 - 3 - 2 + 2
    assert outcome["explained"] == alone["explained"]
    activity = by_group["activity"]
    assert {each["feature"] for each in activity["features"]} == set(GROUPS["activity"])
    assert activity["words"].startswith("activity: ")
    assert "no purchase for" in activity["words"]
    assert activity["words"].endswith(f": {amount_in_words(activity['contribution'])}")
    assert "value" not in activity


def test_who_has_an_answer_and_no_reasons_is_an_error_and_the_others_have_theirs() -> None:
    """A network that is a number for each customer, and none between the second and the baseline."""
    sample = sample_set.model_set().loaded["churn"]
    assert sample.card.baseline
    whole = VALUES[1, : len(sample.card.features)].astype(np.float32)
    typical = np.array([sample.card.baseline.values[name] for name in sample.card.features], np.float32)

    def network(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        own, of_baseline = (matrix == whole).sum(axis=1), (matrix == typical).sum(axis=1)
        between = (own > 0) & (of_baseline > 0) & (own + of_baseline >= len(whole))
        return np.where(between, np.float32(np.nan), np.float32(0.25))[:, np.newaxis]

    broken = ModelSet(loaded={"churn": LoadedModel(sample.card, network)})  # type: ignore[arg-type]
    outcomes: Any = predict("churn", IDS[:3], broken, read, "false", explain=True).outcomes
    assert outcomes[IDS[1]].code == "NOT_EXPLAINED"
    assert outcomes[IDS[0]]["reasons"]
    assert outcomes[IDS[2]]["reasons"]
    without: Any = predict("churn", IDS[:3], broken, read, "false").outcomes
    assert without[IDS[1]]["churn_probability"] == 0.25
