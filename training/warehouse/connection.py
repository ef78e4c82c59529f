"""The company's warehouse, through Ibis: one URL to connect to it, and its tables by what the configuration calls them.

A table comes as an Ibis expression with the project's own column names and types, whatever the warehouse calls them, so
that what is computed from it is the same code on every warehouse.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import ibis
import pyarrow as pa
from ibis.expr import datatypes as dt
from ibis.expr import types as ir

from loyalty_ml.models.card import Offer
from training.config import Config
from training.errors import Problem
from training.warehouse import catalogue

Backend = Any
"""A connected ibis.BaseBackend; Ibis declares its tables and queries on each backend apart."""


class Warehouse:
    """A connection, closed at the end of its `with`, and the configuration that says where things are in it."""

    def __init__(self, backend: Backend, config: Config) -> None:
        self.backend = backend
        self.config = config

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
        """customer_id: string, updated_at: timestamp, and each feature as float64. None as above. Raises Problem."""
        columns = self.config.columns.features
        return self._with_features(
            self.config.tables.features,
            {"customer_id": columns.customer_id},
            {"updated_at": columns.updated_at},
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
        """customer_id, offer: string (its code), moment: timestamp, happened: boolean, and features if there are any.

        The offer is NULL if the catalogue does not have it.
        """
        columns = self.config.columns.offers
        return self._with_features(
            self.config.tables.offers,
            {"customer_id": columns.customer_id},
            {"moment": columns.created_at},
            label=columns.converted,
            offer=columns.offer_id,
            optional=self.config.tables.transactions is not None,
        )

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
    ) -> ir.Table | None:
        if name is None:
            return None
        features = self.config.features
        labels = [column for column in (label, offer) if column is not None]
        table = self._table(name, [*ids.values(), *moments.values(), *labels])
        with_features = not optional or any(column in table.columns for column in features.values())
        if with_features:
            self._check_columns(table, name, features.values())
        return table.select(
            **{ours: table[theirs].cast("string") for ours, theirs in ids.items()},
            **{ours: _moment(table, name, theirs) for ours, theirs in moments.items()},
            **({"happened": _label(table, name, label)} if label else {}),
            **({"offer": _offer_code(table, name, offer, self.config.catalogue)} if offer else {}),
            **(
                {ours: _number(table, name, theirs).cast("float64") for ours, theirs in features.items()}
                if with_features
                else {}
            ),
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


def _offer_code(table: ir.Table, name: str, column: str, offers: Sequence[Offer]) -> ir.Value:
    if not catalogue.is_of_a_kind(table[column].type()):
        raise _wrong_kind(table, name, column, "a text, a whole number or a UUID")
    return catalogue.known_code_of(table[column], offers)


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
