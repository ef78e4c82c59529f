"""Labels that teach too little: what is refused, in a sentence, and what is read all the same."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from tests.training.warehouse.conftest import Fill, Open
from training.config import Config
from training.errors import Problem
from training.warehouse import queries

pytestmark = pytest.mark.moto

NOW = datetime(2025, 12, 1, tzinfo=UTC)
SALES = (
    "CREATE TABLE sales (customer_id VARCHAR, sold TIMESTAMP, amount DECIMAL(12, 2))",
    "INSERT INTO sales VALUES ('a', '2025-01-01', 5), ('b', '2025-01-02', 7), ('c', '2025-01-03', 8), "
    "('a', '2025-06-30', 5)",
)
SHOWN = "CREATE TABLE shown (customer_id VARCHAR, offer_id INTEGER, converted BOOLEAN, created_at DATE)"


def settings(**tables: str) -> Config:
    return Config.model_validate(
        {
            "tables": {"transactions": "sales"} | tables,
            "columns": {"transactions": {"date": "sold", "amount": "amount"}},
            "features": {name: name for name in ("revenue", "offers_seen", "days_since_offer")},
        }
    )


def exposures(*rows: tuple[str, int, str, str]) -> tuple[str, ...]:
    values = ", ".join(f"('{customer}', {offer}, {taken}, '{at}')" for customer, offer, taken, at in rows)
    return (*SALES, SHOWN, f"INSERT INTO shown VALUES {values}")


REFUSED: dict[str, tuple[tuple[tuple[str, int, str, str], ...], str]] = {
    "one exposure": (
        (("a", 1, "true", "2025-02-01"),),
        r"shown has 1 different offer, but a model has 2 to 200: put the offers that count under \[\[offers\]\]",
    ),
    "one offer": (
        (("a", 1, "true", "2025-02-01"), ("b", 1, "false", "2025-02-01")),
        "shown has 1 different offer, but a model has 2 to 200",
    ),
    "no exposure that converted": (
        (("a", 1, "false", "2025-02-01"), ("b", 2, "false", "2025-02-01")),
        "All 2 examples of shown have the same label, False, so there is nothing to tell apart: correct its labels",
    ),
    "labels that are all young": (
        (("a", 1, "true", "2025-06-15"), ("b", 2, "false", "2025-06-20")),
        r"All 2 exposures of shown were shown less than 30 days before the data ends \(2025-07-01\).*lower \[windows\] "
        "offer_days",
    ),
    "those that are old were shown before any purchase": (
        (("a", 1, "true", "2024-02-01"), ("b", 2, "false", "2025-06-20")),
        r"No row of shown is complete \(1: shown less than 30 days before the data ends, 1: no purchase before it\)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_exposures_that_teach_nothing_are_refused(fill: Fill, connect: Open, case: str) -> None:
    rows, sentence = REFUSED[case]
    with pytest.raises(Problem, match=sentence):
        queries.offer_examples(connect(fill(*exposures(*rows)), settings(offers="shown"), now=NOW))


def test_exposures_that_all_converted_are_read(fill: Fill, connect: Open) -> None:
    """They say which offer was taken: whether that is enough is for those who learn from them."""
    rows = (("a", 1, "true", "2025-02-01"), ("b", 2, "true", "2025-03-05"), ("a", 2, "true", "2025-03-05"))
    young = ("c", 2, "true", "2025-06-20")
    examples = queries.offer_examples(connect(fill(*exposures(*rows, young)), settings(offers="shown"), now=NOW))
    assert examples is not None
    assert examples.happened.tolist() == [True] * 3
    assert examples.left_out == {"shown less than 30 days before the data ends": 1}
    assert examples.features.tolist() == [[5, 0, 365], [5, 1, 32], [7, 0, 365]]


def test_a_churn_table_without_the_feature_has_it_from_transactions(fill: Fill, connect: Open) -> None:
    """Also for customers who have not bought by then, of whom it is not known."""
    labels = (
        "CREATE TABLE gone (customer_id VARCHAR, churned BOOLEAN, snapshot_date DATE, revenue INTEGER)",
        "INSERT INTO gone VALUES ('a', false, '2025-02-01', 5), ('b', true, '2025-02-01', 7), "
        "('new', true, '2025-02-01', 0)",
    )
    shown = exposures(("b", 1, "true", "2025-01-02"))[len(SALES) :]
    chosen = settings(churn="gone", offers="shown")
    examples = queries.churn_examples(connect(fill(*SALES, *labels, *shown), chosen, now=NOW))
    assert examples.customer_ids.tolist() == ["a", "b", "new"]
    assert examples.days_since_last is not None
    np.testing.assert_array_equal(examples.days_since_last, [31, 30, np.nan])
    assert examples.features.tolist() == [[5, 0, 365], [7, 1, 30], [0, 0, 365]]


@pytest.mark.parametrize("features", ["", ", days_since_last INTEGER"])
def test_a_churn_table_without_transactions_has_to_say_who_is_active(fill: Fill, connect: Open, features: str) -> None:
    own: dict[str, Any] = {"tables": {"features": "v", "churn": "gone"}, "features": {"revenue": "revenue"}}
    values = ", 9" if features else ""
    labels = (
        f"CREATE TABLE gone (customer_id VARCHAR, churned BOOLEAN, snapshot_date DATE, revenue INTEGER{features})",
        f"INSERT INTO gone VALUES ('a', false, '2025-02-01', 5{values}), ('b', true, '2025-02-01', 7{values})",
    )
    if features:
        own["features"]["days_since_last"] = "days_since_last"
        examples = queries.churn_examples(connect(fill(*labels), Config.model_validate(own), now=NOW))
        assert examples.days_since_last is not None
        assert examples.days_since_last.tolist() == [9, 9]
        return
    with pytest.raises(Problem, match=r"active_days needs days_since_last, which gone does not give: map its column"):
        queries.churn_examples(connect(fill(*labels), Config.model_validate(own), now=NOW))
