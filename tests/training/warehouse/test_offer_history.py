"""What an earlier offer did, as of each moment: the same on every way to it, on DuckDB and on a real PostgreSQL."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from tests.training.warehouse.conftest import Fill, Open
from training.config import OFFER_FEATURES, Config
from training.errors import Problem
from training.warehouse import lineage, queries
from training.warehouse.examples import Examples

pytestmark = pytest.mark.moto

DAY = timedelta(days=1)
NOW = datetime(2025, 7, 1, tzinfo=UTC)
START = datetime(2024, 6, 1)  # noqa: DTZ001  as a warehouse has it
OFFER_DAYS, YEAR_DAYS = 20, 100
CUSTOMERS = [f"c-{number}" for number in range(30)]

Exposure = tuple[str, int, bool, datetime]


def random_exposures(seed: int) -> list[Exposure]:
    """Half of them at midnight, where windows begin and end. The last six customers are never shown an offer."""
    draw = random.Random(seed)
    found: dict[tuple[Any, ...], Exposure] = {}
    for number in range(240):
        at = START + timedelta(seconds=draw.randrange(360 * 86_400))
        at = at if number % 2 else at.replace(hour=0, minute=0, second=0)
        row = (draw.choice(CUSTOMERS[:24]), draw.randrange(3), draw.random() < 0.3, at)
        found[row[0], row[1], row[3]] = row
    return list(found.values())


def expected(exposures: list[Exposure], customer: str, moment: datetime) -> list[float]:
    """The definitions of docs/features.md, a customer at a time."""
    old = [row for row in exposures if row[0] == customer and row[3] + OFFER_DAYS * DAY <= moment]
    taken = sum(row[2] for row in old)
    days = [(moment - row[3]) // DAY for row in old]
    return [len(old), taken, (taken + 1) / (len(old) + 10), min([*days, YEAR_DAYS])]


def table(name: str, columns: str, rows: list[tuple[Any, ...]]) -> list[str]:
    values = ", ".join("(" + ", ".join(f"'{value}'" for value in row) + ")" for row in rows)
    return [f"CREATE TABLE {name} ({columns})", *([f"INSERT INTO {name} VALUES {values}"] if rows else [])]


def shop(exposures: list[Exposure]) -> list[str]:
    """Everyone bought ten days before the first exposure, every second one 330 days after it; m-1 has never bought."""
    bought = [(customer, START - 10 * DAY, 10) for customer in CUSTOMERS]
    bought += [(customer, START + 330 * DAY, 10) for customer in CUSTOMERS[::2]]
    return [
        *table("sales", "customer_id VARCHAR, sold TIMESTAMP, amount DECIMAL(12, 2)", bought),
        *table("shown", "customer_id VARCHAR, offer_id INTEGER, converted BOOLEAN, created_at TIMESTAMP", exposures),
        *table("people", "customer_id VARCHAR, tickets INTEGER", [(customer, 3) for customer in (*CUSTOMERS, "m-1")]),
    ]


def settings(names: tuple[str, ...] = ("revenue", *OFFER_FEATURES), **sections: Any) -> Config:
    tables = {"transactions": "sales", "offers": "shown"} | sections.pop("tables", {})
    return Config.model_validate(
        {
            "tables": {key: name for key, name in tables.items() if name},
            "columns": {"transactions": {"date": "sold", "amount": "amount"}},
            "windows": {"offer_days": OFFER_DAYS, "year_days": YEAR_DAYS, "churn_days": 60},
            "features": {name: name for name in names},
            **sections,
        }
    )


def assert_as_expected(examples: Examples, exposures: list[Exposure]) -> None:
    places = [examples.names.index(name) for name in OFFER_FEATURES]
    moments = examples.moments.astype("datetime64[us]").tolist()
    for customer, moment, found in zip(examples.customer_ids, moments, examples.features[:, places], strict=True):
        assert found.tolist() == expected(exposures, customer, moment)


LABELS = [
    (customer, number % 2 == 0, START + 30 * (number // 2) * DAY) for number, customer in enumerate(CUSTOMERS[:22])
]


@pytest.mark.parametrize("churn", [None, "labels"])
def test_churn_examples_have_the_history_of_their_moment(fill: Fill, connect: Open, churn: str | None) -> None:
    exposures = random_exposures(1)
    labels = table("labels", "customer_id VARCHAR, churned BOOLEAN, snapshot_date TIMESTAMP", LABELS)
    warehouse = connect(fill(*shop(exposures), *labels), settings(tables={"churn": churn}), now=NOW)
    examples = queries.churn_examples(warehouse)
    assert len(examples) == (22 if churn else 60)
    assert examples.left_out == {}
    assert_as_expected(examples, exposures)
    origins = lineage.lineage(warehouse, "churn", examples.names)
    assert {str(origins[name]) for name in OFFER_FEATURES} == {"computed from shown"}


def test_an_exposure_knows_what_came_before_it_and_not_itself(fill: Fill, connect: Open) -> None:
    exposures = random_exposures(2)
    examples = queries.offer_examples(connect(fill(*shop(exposures)), settings(), now=NOW))
    assert examples is not None
    assert_as_expected(examples, exposures)
    first = {customer: min(row[3] for row in exposures if row[0] == customer) for customer in CUSTOMERS[:24]}
    moments = examples.moments.astype("datetime64[us]").tolist()
    of_first = [first[each] == moment for each, moment in zip(examples.customer_ids, moments, strict=True)]
    assert examples.features[of_first][:, 1:].tolist() == [[0, 0, 0.1, YEAR_DAYS]] * 24
    assert examples.horizon_days == OFFER_DAYS


@pytest.mark.parametrize("as_of", [None, datetime(2025, 1, 15, 12, tzinfo=UTC)])
def test_everyone_has_a_history_now_also_who_was_never_shown_an_offer(
    fill: Fill, connect: Open, as_of: datetime | None
) -> None:
    exposures = [*random_exposures(3), ("m-1", 1, True, START), ("m-1", 1, False, START + 5 * DAY)]
    warehouse = connect(fill(*shop(exposures)), settings(tables={"customers": "people"}), now=NOW)
    current = queries.current_features(warehouse, as_of)
    assert current.names[:5] == ("revenue", *OFFER_FEATURES)
    moment = (as_of or datetime(2025, 4, 28, tzinfo=UTC)).replace(tzinfo=None)
    assert current.as_of.replace(tzinfo=None) == moment
    rows = {row["customer_id"]: row for row in warehouse.rows(current.table).to_pylist()}
    assert set(rows) == {*CUSTOMERS, "m-1"}
    for customer, row in rows.items():
        assert [row[name] for name in OFFER_FEATURES] == expected(exposures, customer, moment)
    base = queries.base(warehouse, current.names)
    assert as_of or dict(zip(base.customer_ids, base.features.tolist(), strict=True)) == {
        customer: pytest.approx([np.nan if row[name] is None else row[name] for name in current.names], nan_ok=True)
        for customer, row in rows.items()
    }


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_a_view_gets_the_history_as_of_each_of_its_rows(fill: Fill, connect: Open, zone: str) -> None:
    exposures = random_exposures(4)
    moments = {customer: START + 12 * place * DAY for place, customer in enumerate(CUSTOMERS)}
    view = table(
        "v", "customer_id VARCHAR, updated_at TIMESTAMP, revenue INTEGER", [(*row, 5) for row in moments.items()]
    )
    windows = {"offer_days": OFFER_DAYS, "year_days": YEAR_DAYS, "time_zone": zone}
    tables = {"features": "v", "transactions": None, "customers": "people"}
    chosen = settings(tables=tables, windows=windows, features={name: name for name in ("revenue", *OFFER_FEATURES)})
    warehouse = connect(fill(*shop(exposures), *view, "ALTER TABLE shown ADD revenue INTEGER"), chosen, now=NOW)
    current = queries.current_features(warehouse)
    rows = {row["customer_id"]: row for row in warehouse.rows(current.table).to_pylist()}
    assert set(rows) == {*CUSTOMERS, "m-1"}
    assert rows["m-1"]["features_as_of"] is None
    for customer, row in rows.items():
        moment = moments.get(customer, max(moments.values()))
        assert [row[name] for name in OFFER_FEATURES] == expected(exposures, customer, moment)


def test_a_tables_own_columns_are_used(fill: Fill, connect: Open) -> None:
    """Each of those that it has: the others are computed."""
    exposures = random_exposures(5)
    own = ("ALTER TABLE shown ADD offers_seen INTEGER", "UPDATE shown SET offers_seen = 77")
    view = table(
        "v", "customer_id VARCHAR, updated_at TIMESTAMP, offers_seen INTEGER", [("c-1", START + 200 * DAY, 88)]
    )
    chosen = settings(("offers_seen", "offers_taken"), tables={"features": "v"})
    warehouse = connect(fill(*shop(exposures), *own, *view), chosen, now=NOW)
    examples = queries.offer_examples(warehouse)
    assert examples is not None
    moments = examples.moments.astype("datetime64[us]").tolist()
    assert examples.features.tolist() == [
        [77, expected(exposures, customer, moment)[1]]
        for customer, moment in zip(examples.customer_ids, moments, strict=True)
    ]
    origins = {name: str(origin) for name, origin in lineage.lineage(warehouse, "offers", examples.names).items()}
    assert origins == {"offers_seen": "column offers_seen of shown", "offers_taken": "computed from shown"}
    (row,) = warehouse.rows(queries.current_features(warehouse).table).to_pylist()
    assert (row["offers_seen"], row["offers_taken"]) == (88, expected(exposures, "c-1", START + 200 * DAY)[1])


WITHOUT_OFFERS = {
    "nothing gives it": ({"transactions": "sales", "offers": None}, "features.offers_seen: exposures of offers give"),
    "the view has no such column": (
        {"features": "shown", "transactions": None, "offers": None},
        r"shown has no column offers_seen.* Of offers_seen, exposures of offers give",
    ),
}


@pytest.mark.parametrize("case", WITHOUT_OFFERS)
def test_history_without_an_offers_table_is_refused_by_name(fill: Fill, connect: Open, case: str) -> None:
    tables, sentence = WITHOUT_OFFERS[case]
    columns = {"features": {"updated_at": "created_at"}, "transactions": {"date": "sold", "amount": "amount"}}
    url = fill(*shop(random_exposures(6)))
    with pytest.raises(
        (Problem, ValueError), match=f"{sentence} this feature: name their table as \\[tables\\] offers"
    ):
        queries.current_features(connect(url, settings(("offers_seen",), tables=tables, columns=columns)))


def test_a_misspelt_feature_is_told_the_one_that_may_be_meant() -> None:
    with pytest.raises(ValueError, match=r"features\.offer_seen: .*\(did you mean offers_seen\?\)"):
        settings(("offer_seen",))


ENDS = {
    "the midnight after the last purchase": ({}, NOW, START + 331 * DAY),
    "the newest exposure": ({"features": "v", "transactions": None}, NOW, START + 300 * DAY),
    "now": ({}, datetime(2025, 4, 27, 6, tzinfo=UTC), datetime(2025, 4, 27, 6)),  # noqa: DTZ001
}


@pytest.mark.parametrize("case", ENDS)
def test_exposures_that_may_still_be_taken_are_left_out_and_counted(fill: Fill, connect: Open, case: str) -> None:
    tables, now, end = ENDS[case]
    limit = end - OFFER_DAYS * DAY
    moments = [START, START + 100 * DAY, START + 300 * DAY, limit, limit + timedelta(seconds=1)]
    exposures = [(f"c-{place}", place % 2, place == 0, at) for place, at in enumerate(moments) if at <= end]
    names = ("offers_seen",) if tables else ("revenue",)
    warehouse = connect(fill(*shop(exposures)), settings(names, tables=tables), now=now)
    examples = queries.offer_examples(warehouse)
    assert examples is not None
    young = [row for row in exposures if row[3] > limit]
    assert young
    assert examples.left_out == {"shown less than 20 days before the data ends": len(young)}
    assert sorted(examples.customer_ids) == sorted(row[0] for row in exposures if row not in young)


def test_exposures_that_are_all_young_are_refused(fill: Fill, connect: Open) -> None:
    exposures = [("c-1", 0, False, START + 320 * DAY), ("c-2", 1, True, START + 321 * DAY)]
    refused = (
        r"^All 2 exposures of shown were shown less than 20 days before the data ends \(2025-04-28\), so it is not "
        r"known which of them are refused: lower \[windows\] offer_days, or bring exposures that are older\.$"
    )
    with pytest.raises(Problem, match=refused):
        queries.offer_examples(connect(fill(*shop(exposures)), settings(), now=NOW))
