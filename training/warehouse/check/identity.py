"""The tables of which no customer is in the table that features come from."""

import json
from typing import Literal, get_args

from training.warehouse.check.findings import Findings
from training.warehouse.connection import Warehouse
from training.warehouse.identity import strangers

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
    rows, known = (getattr(warehouse, table)() for table in (key, base))
    found = strangers(warehouse, rows, known) if rows is not None and known is not None else None
    if found is None or None in found:
        return ""
    here, there = (json.dumps(example, ensure_ascii=False) for example in found)
    tables = warehouse.config.tables
    return (
        f"[columns.{key}] customer_id: no customer of {getattr(tables, key)} is in {getattr(tables, base)} (such as "
        f"{here} and {there}): put the column that has the same ids there, or write them in the same way in a query."
    )
