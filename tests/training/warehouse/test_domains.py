"""Values outside their domains: training leaves such rows out and counts them, and loyalty check says how many."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from loyalty_ml.models.domain import Domain
from tests.training.warehouse.conftest import Fill, Open
from training.config import Config
from training.errors import Problem
from training.warehouse import queries
from training.warehouse.check.feature_values import check_features
from training.warehouse.check.findings import Findings

pytestmark = pytest.mark.moto

CUSTOMERS = 40
WRONG = {3: "engagement_score = 250", 4: "days_since_last = 2.5", 5: "days_since_last = -1, visits = -1"}
"""By customer; the last one is outside two domains."""
FEATURES = "engagement_score NUMERIC(12, 3), days_since_last NUMERIC(12, 3), visits INTEGER"
VIEW = f"customer_id INTEGER, updated_at TIMESTAMP, {FEATURES}"
LABELS = f"customer_id INTEGER, snapshot_date TIMESTAMP, {FEATURES}, churned BOOLEAN"


def tables(wrong: dict[int, str] = WRONG) -> tuple[str, ...]:
    rows = f"FROM generate_series(1, {CUSTOMERS}) AS numbers(i)"
    return (
        f"CREATE TABLE view ({VIEW})",
        f"INSERT INTO view SELECT i, TIMESTAMP '2025-06-01', i, 400 + i, i {rows}",
        f"CREATE TABLE labels ({LABELS})",
        f"INSERT INTO labels SELECT i, TIMESTAMP '2025-01-01', i, i, i, i % 2 = 0 {rows}",
        *(
            f"UPDATE {table} SET {value} WHERE customer_id = {i}"
            for table in ("view", "labels")
            for i, value in wrong.items()
        ),
    )


def settings(**changes: Any) -> Config:
    return Config.model_validate(
        {
            "tables": {"features": "view", "churn": "labels"},
            "features": {name: name for name in ("engagement_score", "days_since_last", "visits")},
            "domains": {"visits": {"least": 0, "whole": True}},
        }
        | changes
    )


def test_training_leaves_them_out_and_counts_each_row_once(fill: Fill, connect: Open) -> None:
    examples = queries.churn_examples(connect(fill(*tables()), settings()))
    assert examples.left_out == {
        "engagement_score is outside its domain (a number, at least 0 and at most 100)": 1,
        "days_since_last is outside its domain (a whole number, at least 0 and below 100,000)": 2,
    }
    assert len(examples) == CUSTOMERS - len(WRONG)
    assert not {3, 4, 5} & set(map(int, examples.customer_ids))


def test_the_base_is_of_those_who_would_be_answered(
    fill: Fill, connect: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    base = queries.base(connect(fill(*tables()), settings()), ("visits", "engagement_score"))
    assert base.days_since_last is not None
    assert len(base.customer_ids) == len(base.features) == len(base.days_since_last) == CUSTOMERS - len(WRONG)
    kept = [i for i in range(1, CUSTOMERS + 1) if i not in WRONG]
    assert sorted(base.features.tolist()) == [[i, i] for i in kept]
    assert sorted(base.days_since_last.tolist()) == [400 + i for i in kept]
    assert "1 customers of now are left out: engagement_score is outside its domain" in capsys.readouterr().out


def test_a_domain_of_the_configuration_takes_the_place_of_the_projects(fill: Fill, connect: Open) -> None:
    domains = {"engagement_score": {}, "days_since_last": {"least": -1}}
    examples = queries.churn_examples(connect(fill(*tables()), settings(domains=domains)))
    assert examples.left_out == {}
    assert np.max(examples.features[:, 0]) == 250


def test_too_many_of_them_are_refused(fill: Fill, connect: Open) -> None:
    wrong = dict.fromkeys(range(1, 6), "engagement_score = 1000")
    with pytest.raises(
        Problem,
        match=r"^5 of 40 examples of labels have a value outside its feature's domain \(5: engagement_score is outside "
        r"its domain \(a number, at least 0 and at most 100\)\), and \[reading\] max_rejected_share is 0.1: correct",
    ):
        queries.churn_examples(connect(fill(*tables(wrong)), settings()))


def test_check_says_how_many_there_are(fill: Fill, connect: Open) -> None:
    lines: list[str] = []
    findings = Findings(lines.append)
    check_features(
        connect(fill(*tables(), "UPDATE view SET visits = NULL WHERE customer_id = 9"), settings()), CUSTOMERS, findings
    )
    warned = [sentence for sentence in findings.warnings if "domain" in sentence]
    assert [sentence.partition(". ")[0] for sentence in warned] == [
        "[features] engagement_score is outside its domain (a number, at least 0 and at most 100) in 1 rows of view",
        "[features] days_since_last is outside its domain (a whole number, at least 0 and below 100,000) in 2 rows of "
        "view",
        "[features] visits is outside its domain (a whole number, at least 0) in 1 rows of view",
    ]


def test_computed_features_are_checked_in_a_sample(fill: Fill, connect: Open) -> None:
    """By a domain that is narrower than what is computed."""
    sales = (
        "CREATE TABLE sales (customer_id INTEGER, sold TIMESTAMP, amount INTEGER)",
        "INSERT INTO sales SELECT i, TIMESTAMP '2025-01-01' + i * INTERVAL '1 day', 5 "
        "FROM generate_series(1, 40) AS numbers(i)",
    )
    config = Config.model_validate(
        {
            "tables": {"transactions": "sales"},
            "columns": {"transactions": {"date": "sold", "amount": "amount"}},
            "features": {name: name for name in ("revenue", "days_since_last")},
            "domains": {"days_since_last": {"least": 10}},
        }
    )
    findings = Findings(lambda _: None)
    now = datetime(2025, 12, 1, tzinfo=UTC)
    check_features(connect(fill(*sales), config, now=now), CUSTOMERS, findings)
    (warned,) = [sentence for sentence in findings.warnings if "domain" in sentence]
    assert warned.startswith(
        "[features] days_since_last is outside its domain (a number, at least 10) in 9 of 40 customers of a sample."
    )


def test_categories_are_true_or_false() -> None:
    config = settings(features={"tier": {"column": "tier", "categories": ["gold", "silver"]}, "visits": "visits"})
    assert config.domains_of(config.feature_names) == {
        "tier_gold": Domain(least=0, most=1, whole=True),
        "tier_silver": Domain(least=0, most=1, whole=True),
        "visits": Domain(least=0, whole=True),
    }
