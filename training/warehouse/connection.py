"""The company's warehouse, through Ibis: one URL to connect to it, and its tables by what the configuration calls them.

A table comes as an Ibis expression with the project's own column names and types, whatever the warehouse calls them, so
that what is computed from it is the same code on every warehouse.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, Self
from urllib.parse import unquote, urlsplit

import ibis
import pyarrow as pa
from ibis.expr import datatypes as dt
from ibis.expr import types as ir

from loyalty_ml.models.manifest import LIFETIME_RFM_FEATURES
from training.config import Config, FeatureSource, column_of
from training.errors import Problem
from training.warehouse import attributes

Backend = Any
"""A connected ibis.BaseBackend; Ibis declares its tables and queries on each backend apart."""


class Warehouse:
    """A connection, closed at the end of its `with`, and the configuration that says where things are in it."""

    def __init__(self, backend: Backend, config: Config) -> None:
        self.backend = backend
        self.config = config
        self._checked: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.backend.disconnect()

    def transactions(self) -> ir.Table | None:
        """customer_id: string, date: timestamp (UTC), amount: decimal, and transaction, product, service where mapped.

        None where the configuration names no such table. Raises Problem.
        """
        name, columns = self.config.tables.transactions, self.config.columns.transactions
        if name is None:
            return None
        table = self._table(name, [column for column in columns.model_dump().values() if column is not None])
        amount = _number(table, name, columns.amount)
        mapped = {"transaction": columns.transaction, "product": columns.product, "service": columns.service}
        return table.select(
            customer_id=table[columns.customer_id].cast("string"),
            date=_moment(table, name, columns.date),
            # Decimals are summed exactly, and so to the same sum in whatever order the rows come.
            amount=amount if isinstance(amount.type(), dt.Decimal) else amount.cast("decimal(18, 4)"),
            **{ours: table[theirs] for ours, theirs in mapped.items() if theirs is not None},
        )

    def features(self) -> ir.Table | None:
        """customer_id: string, updated_at: timestamp, and each feature as float64. None as above. Raises Problem.

        What RFM reads comes along if the table has a column of that name.
        """
        columns = self.config.columns.features
        return self._with_features(
            self.config.tables.features,
            {"customer_id": columns.customer_id},
            {"updated_at": columns.updated_at},
            also=LIFETIME_RFM_FEATURES,
        )

    def churn(self) -> ir.Table | None:
        """customer_id, moment: timestamp, happened: boolean, and the features where the table has them."""
        columns = self.config.columns.churn
        return self._with_features(
            self.config.tables.churn,
            {"customer_id": columns.customer_id},
            {"moment": columns.snapshot_date},
            label=columns.churned,
            optional=self.config.tables.transactions is not None,
        )

    def offers(self) -> ir.Table | None:
        """customer_id, offer: int64, moment: timestamp, happened: boolean, and the features where there are any."""
        columns = self.config.columns.offers
        return self._with_features(
            self.config.tables.offers,
            {"customer_id": columns.customer_id},
            {"moment": columns.created_at},
            label=columns.converted,
            offer=columns.offer_id,
            optional=self.config.tables.transactions is not None,
        )

    def customers(self) -> ir.Table | None:
        """customer_id: string, once each, registered_at: timestamp where mapped, and the features that it has.

        None as above. Raises Problem.
        """
        name, columns = self.config.tables.customers, self.config.columns.customers
        if name is None:
            return None
        table = self._table_of("customers")
        registered = columns.registered_at
        customers = table.select(
            customer_id=table[columns.customer_id].cast("string").rstrip(),
            **({"registered_at": _moment(table, str(name), registered)} if registered else {}),
            **attributes.values(table, self.config.customer_features, self._number_of(str(name))),
        )
        known = customers.filter(customers.customer_id.notnull() & (customers.customer_id != ""))
        self._check_once_each(known, str(name))
        return known

    def unknown_categories(
        self, table: Literal["customers", "features", "churn", "offers"]
    ) -> list[attributes.UnknownCategories]:
        """What the table has in columns with categories that none of these is. Raises Problem."""
        if getattr(self.config.tables, table) is None:
            return []
        sources = self._sources(table)
        rows = self._table_of(table)
        if not {column_of(source) for source in sources.values()} <= set(rows.columns):
            return []  # its features are computed
        counts = attributes.unknown_categories(rows, sources)
        return attributes.unknown_in(self.rows(counts).to_pylist()[0], sources) if counts is not None else []

    def _table_of(self, key: Literal["customers", "features", "churn", "offers"]) -> ir.Table:
        name = str(getattr(self.config.tables, key))
        if key != "customers":
            return self._table(name, [])
        columns = [column for column in self.config.columns.customers.model_dump().values() if column is not None]
        return self._table(name, [*columns, *map(column_of, self._sources(key).values())])

    def _sources(self, key: str) -> dict[str, FeatureSource]:
        return self.config.customer_features if key == "customers" else self.config.table_features

    def _number_of(self, name: str) -> attributes.Number:
        return lambda table, column: _number(table, name, column)

    def _check_once_each(self, customers: ir.Table, name: str) -> None:
        if name in self._checked:
            return
        counts = customers.group_by("customer_id").aggregate(times=customers.count())
        twice = counts.filter(counts.times > 1)
        found = self.rows(twice.aggregate(ids=twice.count(), example=twice.customer_id.min())).to_pylist()[0]
        if found["ids"]:
            raise Problem(
                f"{name} has {found['ids']:,} customers more than once (such as {found['example']}): "
                "which row is right is not known; remove the others."
            )
        self._checked.add(name)

    def rows(self, expression: ir.Table) -> pa.Table:
        """Runs a query. Raises Problem with the warehouse's own first line where it fails."""
        with asking(self.backend):
            return expression.to_pyarrow()

    def batches(self, expression: ir.Table, rows: int) -> Iterator[pa.RecordBatch]:
        """Runs a query whose answer need not fit in memory. Raises Problem."""
        with asking(self.backend):
            yield from expression.to_pyarrow_batches(chunk_size=rows)

    def _with_features(
        self,
        name: str | None,
        ids: Mapping[str, str],
        moments: Mapping[str, str],
        *,
        label: str | None = None,
        offer: str | None = None,
        optional: bool = False,
        also: Sequence[str] = (),
    ) -> ir.Table | None:
        if name is None:
            return None
        features = self.config.table_features
        labels = [column for column in (label, offer) if column is not None]
        table = self._table(name, [*ids.values(), *moments.values(), *labels])
        with_features = not optional or any(column_of(source) in table.columns for source in features.values())
        if with_features:
            self._check_columns(table, name, map(column_of, features.values()))
            features = {**{column: column for column in also if column in table.columns}, **features}
        return table.select(
            **{ours: table[theirs].cast("string") for ours, theirs in ids.items()},
            **{ours: _moment(table, name, theirs) for ours, theirs in moments.items()},
            **({"happened": _label(table, name, label)} if label else {}),
            **({"offer": _whole_number(table, name, offer)} if offer else {}),
            **(attributes.values(table, features, self._number_of(name)) if with_features else {}),
        )

    def _table(self, name: str, columns: Iterable[str]) -> ir.Table:
        schema, _, bare = name.rpartition(".")
        with asking(self.backend):
            found = self.backend.list_tables(database=schema or None)
        if bare not in found:
            raise Problem(
                f"The warehouse has no table {name}; it has {_listed(found)}: name the right one under [tables], "
                "or leave it out there."
            )
        with asking(self.backend):
            table = self.backend.table(bare, database=schema or None)
        self._check_columns(table, name, columns)
        return table

    def _check_columns(self, table: ir.Table, name: str, columns: Iterable[str]) -> None:
        missing = [column for column in columns if column not in table.columns]
        if missing:
            raise Problem(
                f"{name} has no column {' and no column '.join(missing)}; it has {_listed(table.columns)}: "
                "map the right ones in the configuration."
            )


def connect(url: str, config: Config) -> Warehouse:
    """Connects by an Ibis URL, such as duckdb://file or postgresql://user:password@host/database.

    Raises Problem, without the password, where there is no such warehouse or it lets nobody in.
    """
    scheme = urlsplit(url).scheme
    if not scheme:
        raise Problem(
            f"{_redacted(url, url)} is no warehouse URL: write one such as duckdb://FILE or postgresql://HOST."
        )
    try:
        backend = ibis.connect(url, **({"read_only": True} if scheme == "duckdb" else {}))
    except ImportError as error:
        raise Problem(f"Ibis lacks its part for {scheme}: pip install 'ibis-framework[{scheme}]'.") from error
    except Exception as error:  # each backend has exceptions of its own
        raise Problem(f"The warehouse cannot be opened: {_redacted(_first_line(error), url)}.") from error
    return Warehouse(backend, config)


@contextmanager
def asking(backend: Backend) -> Iterator[None]:
    """What a warehouse says when a query fails, as a Problem."""
    try:
        yield
    except (Problem, MemoryError):
        raise
    except Exception as error:  # each backend has exceptions of its own
        raise Problem(f"The warehouse ({backend.name}) could not answer: {_first_line(error)}.") from error


def _moment(table: ir.Table, name: str, column: str) -> ir.Value:
    kind = table[column].type()
    if isinstance(kind, dt.Timestamp | dt.Date):
        return table[column].cast("timestamp")
    raise _wrong_kind(table, name, column, "a date or timestamp")


def _number(table: ir.Table, name: str, column: str) -> ir.Value:
    if not isinstance(table[column].type(), dt.Numeric) or isinstance(table[column].type(), dt.Boolean):
        raise _wrong_kind(table, name, column, "a number")
    return table[column]


def _whole_number(table: ir.Table, name: str, column: str) -> ir.Value:
    if not isinstance(table[column].type(), dt.Integer):
        raise _wrong_kind(table, name, column, "a whole number")
    return table[column].cast("int64")


def _label(table: ir.Table, name: str, column: str) -> ir.Value:
    if not isinstance(table[column].type(), dt.Boolean):
        raise _wrong_kind(table, name, column, "a boolean")
    return table[column]


def _wrong_kind(table: ir.Table, name: str, column: str, wanted: str) -> Problem:
    return Problem(
        f"Column {column} of {name} is {table[column].type()}, where {wanted} is needed: map another, or cast it."
    )


def _listed(names: Iterable[str]) -> str:
    names = sorted(names)
    shown = ", ".join(names[:20]) or "none"
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0][:300] if lines else type(error).__name__).rstrip(".!")


def _redacted(text: str, url: str) -> str:
    """The text without the URL's password, in whichever form a driver repeats it."""
    password = urlsplit(url).password
    for form in filter(None, {password, unquote(password or "")}):
        text = text.replace(form, "***")
    return re.sub(r"(://[^:/@\s]*):[^@\s]*@", r"\1:***@", text)
