"""Features that a table of labels brings, recomputed as of its moments: late ones are leaks, and refused."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.studies.data_sets import TABLE, cdnow
from tests.examples import examples
from tests.training.warehouse.conftest import Fill, Open
from training.cli.main import main
from training.config import OFFER_FEATURES, Config
from training.errors import Problem
from training.warehouse import features
from training.warehouse.comparison import Comparison, check_recomputed, compare
from training.warehouse.connection import Warehouse, connect
from training.warehouse.offer_history import with_history

pytestmark = pytest.mark.moto

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MOMENT = datetime(2025, 6, 1, tzinfo=UTC)
CUSTOMERS = 300
OF_TRANSACTIONS = ("days_since_last", "revenue", "transaction_count", "lifetime_value")
FEATURES = (*OF_TRANSACTIONS, *OFFER_FEATURES)


def shop() -> list[str]:
    draw = random.Random(3)
    start = datetime(2024, 9, 1)  # noqa: DTZ001  as a warehouse has it

    def moment(days: int) -> str:
        return str(start + timedelta(seconds=draw.randrange(days * 86_400)))

    sales = [(f"c-{draw.randrange(CUSTOMERS)}", moment(400), draw.randrange(100, 9_000) / 100) for _ in range(4_000)]
    # Everyone has bought before the moment.
    sales += [(f"c-{number}", moment(200), 5) for number in range(CUSTOMERS)]
    shown = [
        (f"c-{draw.randrange(CUSTOMERS)}", draw.randrange(3), draw.random() < 0.3, moment(400)) for _ in range(2_000)
    ]
    kinds: dict[str, tuple[str, list[Any]]] = {
        "sales": ("customer_id VARCHAR, sold TIMESTAMP, amount DECIMAL(12, 2)", sales),
        "shown": ("customer_id VARCHAR, offer_id INTEGER, converted BOOLEAN, created_at TIMESTAMP", shown),
    }
    statements = []
    for name, (columns, rows) in kinds.items():
        values = ", ".join("(" + ", ".join(f"'{value}'" for value in row) + ")" for row in rows)
        statements += [f"CREATE TABLE {name} ({columns})", f"INSERT INTO {name} VALUES {values}"]
    return statements


def configured(**changes: Any) -> Config:
    return Config.model_validate(
        {
            "tables": {"transactions": "sales", "offers": "shown", "churn": "labels"},
            "columns": {"transactions": {"date": "sold", "amount": "amount"}},
            "features": {name: name for name in FEATURES},
            **changes,
        }
    )


def label(warehouse: Warehouse, moment: datetime) -> None:
    """Makes a table of labels of MOMENT, with features as of `moment`."""
    transactions, exposures = warehouse.transactions(), warehouse.offers()
    assert transactions is not None
    assert exposures is not None
    windows = warehouse.config.windows
    known = features.as_of(transactions, moment, windows)
    known = with_history(known, exposures, moment, OFFER_FEATURES, windows)
    labels = known.select(
        "customer_id", *FEATURES, churned=known.lifetime_value > 50, snapshot_date=ibis.timestamp("2025-06-01 00:00:00")
    )
    # Of those who had bought: a customer who came later would be a row that nobody could have labelled.
    before = transactions.filter(transactions.date < ibis.timestamp("2025-06-01 00:00:00"))
    labels = labels.semi_join(before, "customer_id")
    warehouse.backend.create_table("labels", labels, overwrite=True)


@pytest.fixture(scope="module", name="warehouse")
def in_memory() -> Iterator[Warehouse]:
    backend = ibis.duckdb.connect()
    for statement in shop():
        backend.raw_sql(statement)
    with Warehouse(backend, configured(), NOW) as warehouse:
        yield warehouse


def compared(warehouse: Warehouse, *changes: str) -> Comparison:
    for change in changes:
        warehouse.backend.raw_sql(change)
    # Opened anew, as a warehouse keeps what it has counted of a table.
    found = compare(Warehouse(warehouse.backend, warehouse.config, NOW), "churn")
    assert found is not None
    return found


def test_features_of_the_moment_agree(warehouse: Warehouse) -> None:
    label(warehouse, MOMENT)
    found = compared(warehouse)
    assert (found.features, len(found.customer_ids)) == (FEATURES, CUSTOMERS)
    assert found.lines() == ["labels beside what is computed from sales and shown, for 300 rows: all 8 features agree."]
    assert found.refusal() is None


@pytest.mark.long
@given(days=st.integers(1, 90))
@settings(max_examples=examples(6), deadline=None)
def test_features_that_are_late_are_refused(warehouse: Warehouse, days: int) -> None:
    label(warehouse, MOMENT + timedelta(days=days))
    refused = compared(warehouse).refusal()
    assert refused is not None
    assert "300 of 300 sampled rows of labels have other features" in refused
    assert "days_since_last" in refused.partition("(")[2].partition(")")[0]


@pytest.mark.long
@given(by=st.integers(1, CUSTOMERS - 1))
@settings(max_examples=examples(4), deadline=None)
def test_features_of_another_customer_are_refused(warehouse: Warehouse, by: int) -> None:
    label(warehouse, MOMENT)
    moved = f"(CAST(substr(customer_id, 3) AS INTEGER) + {by}) % {CUSTOMERS}"
    assert compared(warehouse, f"UPDATE labels SET customer_id = 'c-' || {moved}").refusal() is not None


@pytest.mark.parametrize(("wrong", "is_refused"), [(3, False), (4, True)])
@pytest.mark.parametrize("feature", ["revenue", "offers_taken"])
def test_one_row_in_a_hundred_may_differ(warehouse: Warehouse, feature: str, wrong: int, *, is_refused: bool) -> None:
    label(warehouse, MOMENT)
    first = f"(SELECT customer_id FROM labels ORDER BY customer_id LIMIT {wrong})"
    found = compared(warehouse, f"UPDATE labels SET {feature} = {feature} + 1 WHERE customer_id IN {first}")
    assert [(one.feature, one.rows) for one in found.differences] == [(feature, wrong)]
    assert (found.refusal() is not None) == is_refused


LABELS = (
    "CREATE TABLE labels (customer_id VARCHAR, churned BOOLEAN, snapshot_date DATE, revenue INTEGER)",
    "INSERT INTO labels VALUES ('a', true, '2025-03-01', 5), ('b', false, '2025-03-01', 10), "
    "('c', false, '2025-03-02', NULL), ('d', true, '2025-03-01', 99), ('b', false, '2025-04-01', 10)",
)
SALES = (
    "CREATE TABLE sales (customer_id VARCHAR, sold TIMESTAMP, amount DECIMAL(12, 2))",
    "INSERT INTO sales VALUES ('a', '2025-01-01', 5), ('b', '2025-02-28', 7), ('c', '2025-03-01', 7.5), "
    "('d', '2025-03-01', 99)",
)


def test_rows_in_which_the_table_has_no_value_are_no_leak(fill: Fill, connect: Open) -> None:
    """They are left out of training anyway."""
    own = configured(tables={"transactions": "sales", "churn": "labels"}, features={"revenue": "revenue"})
    url = fill(*SALES, *LABELS, "DELETE FROM labels WHERE customer_id IN ('b', 'd')")
    found = compare(connect(url, own, now=NOW), "churn")
    assert found is not None
    assert [one.rows for one in found.differences] == [1]
    assert found.refusal() is None


def test_the_refusal_shows_rows_side_by_side_and_says_what_to_do(fill: Fill, connect: Open) -> None:
    own = configured(tables={"transactions": "sales", "churn": "labels"}, features={"revenue": "revenue"})
    said: list[str] = []
    with pytest.raises(Problem) as problem:
        check_recomputed(connect(fill(*SALES, *LABELS), own, now=NOW), "churn", said.append)
    assert str(problem.value) == (
        "3 of 4 sampled rows of labels have other features than are computed from sales as of their snapshot_date "
        "(revenue), so they may know what came later: compute them from what was before snapshot_date, map other "
        "columns under [features], give those that mean something else names of their own there, or leave these "
        "columns out of the table, so that they are computed. Such as customer b as of 2025-03-01 00:00: revenue 10 in "
        "the table and 7 computed; customer d as of 2025-03-01 00:00: revenue 99 in the table and NULL computed."
    )
    assert said == [
        "labels beside what is computed from sales, for 5 rows: 1 of 1 features differ.",
        "  revenue differs for 4, such as customer b: 10 in the table, 7 computed",
    ]


@pytest.mark.long
@pytest.mark.parametrize("command", ["train", "check"])
def test_both_commands_refuse_a_leak(
    fill: Fill, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toml = tmp_path / "own.toml"
    toml.write_text(
        '[tables]\ntransactions = "sales"\nchurn = "labels"\n[columns.transactions]\ndate = "sold"\namount = "amount"\n'
        '[features]\nrevenue = "revenue"\n'
    )
    out = ["--out", str(tmp_path / "models")] if command == "train" else []
    assert main([command, "--warehouse", fill(*SALES, *LABELS), "--config", str(toml), *out]) == 1
    printed = capsys.readouterr()
    assert "3 of 4 sampled rows of labels have other features" in (printed.err if out else printed.out)
    assert printed.err.count("\n") == 1
    assert not list((tmp_path / "models").glob("**/*.tflite"))


def test_the_history_that_an_offers_table_brings_is_recomputed_too(fill: Fill, connect: Open) -> None:
    shown = (
        "CREATE TABLE shown (customer_id VARCHAR, offer_id INTEGER, converted BOOLEAN, created_at DATE, "
        "offers_taken INTEGER)",
        # As if everyone's own exposure were already known to have been taken.
        "INSERT INTO shown VALUES ('a', 1, true, '2025-03-01', 1), ('b', 1, false, '2025-03-01', 0), "
        "('c', 2, true, '2025-03-01', 1), ('c', 1, false, '2025-05-01', 1)",
    )
    own = configured(tables={"transactions": "sales", "offers": "shown"}, features={"offers_taken": "offers_taken"})
    with pytest.raises(Problem, match=r"2 of 4 .* computed from shown as of their created_at \(offers_taken\)"):
        check_recomputed(connect(fill(*SALES, *shown), own, now=NOW), "offers", lambda _: None)


@pytest.mark.parametrize("table", ["features", "churn", "offers"])
def test_what_cannot_be_computed_is_not_compared(fill: Fill, connect: Open, table: Any) -> None:
    own = configured(tables={"features": "v", "churn": "labels"}, features={"revenue": "revenue"})
    view = (
        "CREATE VIEW v AS SELECT customer_id, snapshot_date AS updated_at, revenue FROM labels "
        "WHERE snapshot_date < '2025-04-01'"  # b again: an older row of the same customer is left out
    )
    assert compare(connect(fill(*SALES, *LABELS, view), own, now=NOW), table) is None


@pytest.mark.long
@pytest.mark.parametrize(("days", "is_refused"), [(0, False), (90, True)])
def test_cdnow_with_features_three_months_late_is_refused(tmp_path: Path, days: int, *, is_refused: bool) -> None:
    """They reach an AUC of .883, which no gate finds too good to be true."""
    data_set = cdnow(tmp_path)
    moment = datetime(1997, 10, 1, tzinfo=UTC)
    own = data_set.config.model_copy(
        update={
            "tables": data_set.config.tables.model_copy(update={"churn": "labels"}),
            "features": {name: name for name in OF_TRANSACTIONS},
        }
    )
    backend = ibis.duckdb.connect(data_set.url.removeprefix("duckdb://"))
    transactions = Warehouse(backend, data_set.config, NOW).transactions()
    assert transactions is not None
    late = features.as_of(transactions, moment + timedelta(days=days), own.windows)
    known = features.as_of(transactions, moment, own.windows)
    labels = features.bought_nothing(transactions, moment, timedelta(days=273), known, own.windows)
    labels = labels.select("customer_id", churned="happened", snapshot_date="moment")
    backend.create_table("labels", labels.join(late.select("customer_id", *OF_TRANSACTIONS), "customer_id"))
    backend.disconnect()
    with connect(data_set.url, own, NOW) as warehouse:
        assert warehouse.config.tables.transactions == TABLE
        found = compare(warehouse, "churn")
    assert found is not None
    assert 700 < len(found.customer_ids) < 1_300
    assert (found.refusal() is not None) == is_refused
