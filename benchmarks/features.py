"""Features as of a date from 1.47 million transactions: the Ibis expressions against the same query written by hand."""

from collections.abc import Iterator

import duckdb
import pyarrow as pa

from benchmarks.measure import Result, alternate
from loyalty_ml.customers.table import DEFAULT_FEATURES
from training import config
from training.defaults import DEMO_URL
from training.warehouse import features
from training.warehouse.connection import connect
from training.warehouse.demo import AS_OF

BY_HAND = """
WITH known AS (
    SELECT
        *,
        transaction_date >= $as_of - INTERVAL 365 DAY AS in_year,
        transaction_date >= $as_of - INTERVAL 30 DAY AS in_month,
        ceil(epoch($as_of - transaction_date) / (7 * 86400)) AS week
    FROM customer_transaction_history
    WHERE transaction_date < $as_of
)
SELECT
    customer_id,
    coalesce(sum(transaction_amount) FILTER (in_year), 0)::DOUBLE AS revenue,
    count(DISTINCT transaction_id) FILTER (in_year)::DOUBLE AS transaction_count,
    floor(epoch($as_of - max(transaction_date)) / 86400)::DOUBLE AS days_since_last,
    revenue / nullif(transaction_count, 0) AS avg_transaction_value,
    sum(transaction_amount)::DOUBLE AS lifetime_value,
    floor(epoch($as_of - min(transaction_date)) / 86400)::DOUBLE AS customer_age_days,
    coalesce(sum(transaction_amount) FILTER (in_month), 0)::DOUBLE AS monthly_revenue,
    count(DISTINCT product_id)::DOUBLE AS product_count,
    count(DISTINCT service)::DOUBLE AS service_count,
    100 * count(DISTINCT week) FILTER (week <= 12) / 12 AS engagement_score
FROM known
GROUP BY customer_id
"""


def run() -> Iterator[Result]:
    """features.demo: the whole query, its answer as an Arrow table; both answers are compared to the bit first."""
    settings = config.load()
    with (
        connect(DEMO_URL, settings) as warehouse,
        duckdb.connect(DEMO_URL.removeprefix("duckdb://"), read_only=True) as raw,
    ):
        transactions = warehouse.transactions()
        assert transactions is not None
        expression = features.as_of(transactions, AS_OF, settings.windows).select("customer_id", *DEFAULT_FEATURES)
        as_of = {"as_of": AS_OF.replace(tzinfo=None)}

        def ours() -> pa.Table:
            return warehouse.rows(expression)

        def by_hand() -> pa.Table:
            return raw.execute(BY_HAND, as_of).to_arrow_table()

        in_order = [("customer_id", "ascending")]
        if not ours().sort_by(in_order).equals(by_hand().sort_by(in_order)):
            raise SystemExit("The two queries do not give the same features: the comparison would mean nothing.")
        mine, theirs = alternate(ours, by_hand, rounds=9)
        yield Result(
            "features.demo", mine * 1e3, "ms", f"the query by hand, DuckDB {duckdb.__version__}", theirs * 1e3, 1.5
        )
