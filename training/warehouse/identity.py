"""Whether two tables speak of the same customers: ids that are written in another way join nothing."""

from typing import NamedTuple

from ibis.expr import types as ir

from training.warehouse.connection import Warehouse


class Strangers(NamedTuple):
    """The first id of each of two tables that have no customer in common; None of a table that is empty."""

    one: str | None
    other: str | None


def strangers(warehouse: Warehouse, one: ir.Table, other: ir.Table) -> Strangers | None:
    """None if a customer of one is in the other. Both have a customer_id, never NULL. Raises Problem."""
    if warehouse.rows(one.semi_join(other, "customer_id").select("customer_id").limit(1)).num_rows:
        return None
    return Strangers(_first_id(warehouse, one), _first_id(warehouse, other))


def _first_id(warehouse: Warehouse, table: ir.Table) -> str | None:
    first: str | None = warehouse.rows(table.aggregate(first=table.customer_id.min()))["first"][0].as_py()
    return first
