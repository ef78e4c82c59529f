"""Whether the tables speak of the same customers: ids that are written in another way join nothing."""

import json
from typing import Literal, get_args

import ibis
from ibis.expr import types as ir

from training.warehouse.check.findings import Findings
from training.warehouse.connection import Warehouse

OtherTable = Literal["transactions", "churn", "offers", "customers"]


def check_ids(warehouse: Warehouse, findings: Findings) -> set[str]:
    """Finds the tables of which no customer is in the table that features come from. Returns their keys."""
    base: Literal["features", "transactions"] = "features" if warehouse.config.tables.features else "transactions"
    strangers = set[str]()
    for key in get_args(OtherTable):
        with findings.keeping():
            if key != base and (sentence := _stranger(warehouse, key, base)):
                findings.wrong(sentence)
                strangers.add(key)
    return strangers


def _stranger(warehouse: Warehouse, key: OtherTable, base: Literal["features", "transactions"]) -> str:
    """What is wrong with the table; empty if one of its customers is known, or if either table is empty."""
    rows, known = _ids(warehouse, key), _ids(warehouse, base)
    if rows is None or known is None or warehouse.rows(rows.semi_join(known, "customer_id").limit(1)).num_rows:
        return ""
    examples = [_example(warehouse, ids) for ids in (rows, known)]
    if None in examples:
        return ""
    here, there = (json.dumps(example, ensure_ascii=False) for example in examples)
    tables = warehouse.config.tables
    return (
        f"[columns.{key}] customer_id: no customer of {getattr(tables, key)} is in {getattr(tables, base)} (such as "
        f"{here} and {there}): put the column that has the same ids there, or write them in the same way in a query."
    )


def _ids(warehouse: Warehouse, key: OtherTable | Literal["features"]) -> ir.Table | None:
    rows: ir.Table | None = getattr(warehouse, key)()
    return None if rows is None else rows.select("customer_id").filter(ibis._.customer_id.notnull())


def _example(warehouse: Warehouse, ids: ir.Table) -> str | None:
    example: str | None = warehouse.rows(ids.aggregate(example=ids.customer_id.min()))["example"][0].as_py()
    return example
