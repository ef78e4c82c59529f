"""What would count as churn, counted in the warehouse and again a customer at a time."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from tests.training.warehouse.conftest import Fill, Open
from training.config import Config
from training.warehouse import queries
from training.warehouse.check.churn_windows import churn_windows

pytestmark = pytest.mark.moto

DAY = timedelta(days=1)
START = datetime(2025, 1, 1, tzinfo=UTC)


def purchases(days: int) -> list[tuple[int, datetime]]:
    draw = random.Random(5)
    return [(draw.randrange(60), START + draw.randrange(days) * DAY + timedelta(hours=12)) for _ in range(400)]


def bought(known: list[tuple[int, datetime]], start: datetime, end: datetime) -> set[int]:
    return {customer for customer, at in known if start <= at < end}


@pytest.mark.parametrize("days", [300, 700])
def test_churned_returned_and_examples_are_those_of_each_customer(fill: Fill, connect: Open, days: int) -> None:
    known = [*purchases(days), (1, START), (2, START + (days - 1) * DAY)]
    end = START + days * DAY
    rows = ", ".join(f"({customer}, TIMESTAMP '{at:%Y-%m-%d %H:%M:%S}', 10)" for customer, at in known)
    url = fill(
        "CREATE TABLE sales (customer_id INTEGER, transaction_date TIMESTAMP, transaction_amount INTEGER)",
        f"INSERT INTO sales VALUES {rows}",
        # Goods that are brought back: no purchase, and nobody's return to the shop.
        f"INSERT INTO sales VALUES (3, TIMESTAMP '{end - DAY:%Y-%m-%d} 09:00:00', -10000)",
    )
    known = [one for one in known if one[0] != 3 or one[1].date() != (end - DAY).date()]
    config = Config.model_validate({"tables": {"transactions": "sales"}, "windows": {"churn_snapshots": 3}})
    warehouse = connect(url, config, now=end)
    transactions = warehouse.transactions()
    assert transactions is not None
    windows = churn_windows(warehouse, transactions, (START, end), (30, 120, 180, 900))
    assert [each.days for each in windows] == [30, 120, 180, 900]
    assert windows[-1].moments == ()
    assert windows[-1].returned is None
    for each in windows[:-1]:
        length = each.days * DAY
        for number, moment in enumerate(each.moments):
            assert moment.at == end - (number + 1) * length
            before = bought(known, START, moment.at)
            assert moment.customers == len(before)
            assert moment.churned == len(before - bought(known, moment.at, moment.at + length))
        assert 1 <= len(each.moments) <= 3
        if each.returned is None:
            assert days == 300
            continue
        earlier = end - length - each.return_days * DAY
        gone = bought(known, START, earlier) - bought(known, earlier, earlier + length)
        back = gone & bought(known, earlier + length, end)
        assert each.returned == pytest.approx(len(back) / len(gone))
    assert windows[1].returned is None or days == 700


def test_the_configured_window_is_counted_as_training_labels_it(fill: Fill, connect: Open) -> None:
    rows = ", ".join(f"({customer}, TIMESTAMP '{at:%Y-%m-%d %H:%M:%S}', 10)" for customer, at in purchases(400))
    url = fill(
        "CREATE TABLE sales (customer_id INTEGER, transaction_date TIMESTAMP, transaction_amount INTEGER)",
        f"INSERT INTO sales VALUES {rows}",
    )
    warehouse = connect(url, Config.model_validate({"tables": {"transactions": "sales"}}))
    transactions = warehouse.transactions()
    assert transactions is not None
    span = queries.transaction_span(warehouse)
    (window,) = churn_windows(warehouse, transactions, span, (warehouse.config.windows.churn_days,))
    examples = queries.churn_examples(warehouse)
    assert (window.examples, window.churned) == (len(examples), int(examples.happened.sum()))
