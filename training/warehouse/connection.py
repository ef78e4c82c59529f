"""The company's warehouse, through Ibis: one URL to connect to it, and its tables by what the configuration calls them.

A table comes as an Ibis expression with the project's own column names and types, whatever the warehouse calls them, so
that what is computed from it is the same code on every warehouse.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Literal, Self
from urllib.parse import unquote, urlsplit

import ibis
import pyarrow as pa
from ibis.expr import datatypes as dt
from ibis.expr import types as ir

from loyalty_ml.models.manifest import LIFETIME_RFM_FEATURES
from training.config import NEEDS_OFFERS, OFFER_FEATURES, Config, FeatureSource, Query, column_of
from training.errors import Problem, did_you_mean
from training.warehouse import attributes, cleaning
from training.warehouse.cleaning import LeftOut, Marked, account
from training.warehouse.kinds import Kinds
from training.warehouse.source import Backend, listed, named_table, queries_in, query_table

TableName = Literal["transactions", "features", "churn", "offers", "customers"]


KEYS = {"features": ("updated_at", ""), "churn": ("snapshot_date", "churned"), "offers": ("created_at", "converted")}
"""The keys of [columns] that are a table's moment and its label."""


@ibis.udf.scalar.builtin(  # type: ignore[untyped-decorator]  # Ibis declares none
    name="timezone", signature=(("string", "timestamp('UTC')"), "timestamp")
)
def _on_the_clock_of(zone: str, moment: ir.Value) -> ir.Value:
    """DuckDB's and PostgreSQL's own."""


@ibis.udf.scalar.builtin(  # type: ignore[untyped-decorator]  # Ibis declares none
    name="timezone", signature=(("string", "timestamp"), "timestamp('UTC')")
)
def _at_the_clock_of(zone: str, local: ir.Value) -> ir.Value:
    """The way back."""


KNOW_ZONES = {"duckdb", "postgres"}
"""Warehouses that have this function."""


class Warehouse:
    """A connection, closed at the end of its `with`, and the configuration that says where things are in it.

    Its tables have only rows that can be used: left_out() says how many cannot, and why. Their customer_id is a text,
    the same for the same customer in all of them, and never NULL. Their moments are on the clock of windows.time_zone,
    without a zone.

    now: what is dated later cannot have happened.
    tell: is given a line about each table that is read: its rows, and those that are left out.
    """

    def __init__(
        self, backend: Backend, config: Config, now: datetime | None = None, tell: Callable[[str], None] | None = None
    ) -> None:
        self.backend = backend
        self.config = config
        self.now = now or datetime.now(UTC)
        self.kinds = Kinds(backend, self.rows)
        self._tell = tell
        self._counts: dict[TableName, LeftOut] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.backend.disconnect()

    def transactions(self, until: datetime | None = None) -> ir.Table | None:
        """customer_id: string, date: timestamp, amount: decimal, and transaction, product, service where mapped.

        None where the configuration names no such table. Rows after `until` are left out, by default those after now.
        Raises Problem, also if more rows are left out than reading.max_rejected_share.
        """
        kept = self._usable("transactions", until)
        if kept is None or isinstance(kept.amount.type(), dt.Decimal):
            return kept
        # Decimals are summed exactly, and so to the same sum in whatever order the rows come. The check once more, as
        # a warehouse may cast before it filters, and NaN is no decimal.
        amount = ibis.ifelse(cleaning.is_amount(kept.amount), kept.amount, ibis.null(kept.amount.type()))
        return kept.mutate(amount=amount.cast("decimal(18, 4)"))

    def features(self, until: datetime | None = None) -> ir.Table | None:
        """customer_id: string, updated_at: timestamp, and each feature as float64. As transactions().

        What RFM reads comes along if the table has a column of that name.
        """
        return self._usable("features", until)

    def churn(self) -> ir.Table | None:
        """customer_id, moment: timestamp, happened: boolean, and the features where the table has them."""
        return self._usable("churn")

    def offers(self, until: datetime | None = None) -> ir.Table | None:
        """customer_id, offer: its code, moment: timestamp, happened: boolean, and the features where there are any.

        As transactions().
        """
        return self._usable("offers", until)

    def left_out(self, table: TableName) -> LeftOut:
        """What was read of a table, by one query that is asked once. Raises Problem if ids are not whole numbers."""
        if table not in self._counts:
            marked = self._marked(table, None)
            counts = cleaning.left_out(self.rows(marked.counts()).to_pylist()) if marked else LeftOut()
            if marked and cleaning.NOT_WHOLE in counts.reasons:
                raise self._not_whole(marked, table)
            self._counts[table] = counts
            if marked and self._tell:
                for line in account(marked.name, counts):
                    self._tell(line)
        return self._counts[table]

    def _usable(self, table: TableName, until: datetime | None = None) -> ir.Table | None:
        marked = self._marked(table, until)
        if marked is None:
            return None
        reason = cleaning.refusal(marked, self.left_out(table), self.config.reading.max_rejected_share)
        if reason:
            raise Problem(reason)
        return marked.kept()

    def _marked(self, table: TableName, until: datetime | None) -> Marked | None:
        """The table with its rows' reasons to be left out; None where the configuration names no such table."""
        if getattr(self.config.tables, table) is None:
            return None
        last = self.config.windows.local(until or self.now)
        makers: dict[TableName, Callable[[datetime], Marked]] = {
            "transactions": self._marked_transactions,
            "features": self._marked_features,
            "churn": self._marked_churn,
            "offers": self._marked_offers,
            "customers": self._marked_customers,
        }
        return makers[table](last)

    def _marked_transactions(self, last: datetime) -> Marked:
        name, columns = str(self.config.tables.transactions), self.config.columns.transactions
        table = self._table(name, [column for column in columns.model_dump().values() if column is not None])
        optional = {"transaction": columns.transaction, "product": columns.product, "service": columns.service}
        mapped = {ours: theirs for ours, theirs in optional.items() if theirs is not None}
        rows = table.select(
            **_ids(table, name, columns.customer_id),
            date=self._local_moment(table, name, columns.date),
            amount=self.kinds.number(table, name, columns.amount),
            **{ours: table[theirs] for ours, theirs in mapped.items()},
        )
        dated = cleaning.moment_rule("date", last, cleaning.map_another("date", "transactions"))
        rules = [*cleaning.customer_rules("transactions"), dated, cleaning.amount_rule()]
        shown = {columns.customer_id: cleaning.RAW_ID, columns.date: "date", columns.amount: "amount"}
        kept = ("customer_id", "date", "amount", *mapped)
        return cleaning.mark(name, rows, rules, moment="date", shown=shown, columns=kept)

    def _marked_features(self, last: datetime) -> Marked:
        columns = self.config.columns.features
        marked = self._marked_with_features(
            "features",
            columns.customer_id,
            {"updated_at": columns.updated_at},
            last,
            also=LIFETIME_RFM_FEATURES,
        )
        return cleaning.once_each_moment(marked, newest_only=True)

    def _marked_churn(self, last: datetime) -> Marked:
        columns = self.config.columns.churn
        marked = self._marked_with_features(
            "churn",
            columns.customer_id,
            {"moment": columns.snapshot_date},
            last,
            label=columns.churned,
            optional=self.config.tables.transactions is not None,
        )
        return cleaning.once_each_moment(marked, newest_only=False)

    def _marked_offers(self, last: datetime) -> Marked:
        columns = self.config.columns.offers
        marked = self._marked_with_features(
            "offers",
            columns.customer_id,
            {"moment": columns.created_at},
            last,
            label=columns.converted,
            offer=columns.offer_id,
            optional=self.config.tables.transactions is not None,
        )
        return cleaning.once_each_exposure(marked)

    def customers(self) -> ir.Table | None:
        """customer_id: string, once each, registered_at: timestamp where mapped, and the features that it has.

        None as above. Raises Problem.
        """
        return self._usable("customers")

    def _marked_customers(self, _: datetime) -> Marked:
        name, columns = str(self.config.tables.customers), self.config.columns.customers
        table, registered = self._table_of("customers"), columns.registered_at
        features = attributes.values(table, self.config.customer_features, self._number_of(name))
        moment = self._local_moment(table, name, registered) if registered else ibis.null("timestamp")
        marked = cleaning.mark(
            name,
            table.select(**_ids(table, name, columns.customer_id), registered_at=moment, **features),
            cleaning.customer_rules("customers"),
            moment="registered_at",
            shown={columns.customer_id: cleaning.RAW_ID},
            columns=("customer_id", *(["registered_at"] if registered else []), *features),
        )
        return cleaning.once_each_customer(marked)

    def unknown_categories(
        self, table: Literal["customers", "features", "churn", "offers"]
    ) -> list[attributes.UnknownCategories]:
        """What the table has in columns with categories that none of these is. Raises Problem."""
        if getattr(self.config.tables, table) is None:
            return []
        rows = self._table_of(table)
        sources = self._sources(table) if table == "customers" else self.own_features(rows)
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

    def own_features(self, table: ir.Table) -> dict[str, FeatureSource]:
        """The features that this features, churn or offers table has to have: what offers give it may lack."""
        return {
            name: source
            for name, source in self.config.table_features.items()
            if not (self.config.tables.offers and is_of_offers(name, source) and column_of(source) not in table.columns)
        }

    def _sources(self, key: str) -> dict[str, FeatureSource]:
        return self.config.customer_features if key == "customers" else self.config.table_features

    def _number_of(self, name: str) -> attributes.Number:
        return lambda table, column: self.kinds.feature(table, name, column)

    def rows(self, expression: ir.Table) -> pa.Table:
        """Runs a query. Raises Problem with the warehouse's own first line where it fails."""
        with asking(self.backend, queries_in(expression)):
            return expression.to_pyarrow()

    def batches(self, expression: ir.Table, rows: int) -> Iterator[pa.RecordBatch]:
        """Runs a query whose answer need not fit in memory. Raises Problem."""
        with asking(self.backend, queries_in(expression)):
            yield from expression.to_pyarrow_batches(chunk_size=rows)

    def _marked_with_features(
        self,
        key: Literal["features", "churn", "offers"],
        customer_id: str,
        moments: Mapping[str, str],
        last: datetime,
        *,
        label: str | None = None,
        offer: str | None = None,
        optional: bool = False,
        also: Sequence[str] = (),
    ) -> Marked:
        name = str(getattr(self.config.tables, key))
        labels = [column for column in (label, offer) if column is not None]
        table = self._table(name, [customer_id, *moments.values(), *labels])
        features = self.own_features(table)
        if optional and not has_features(table, features):
            features = {feature: source for feature, source in features.items() if column_of(source) in table.columns}
        self._check_columns(table, name, map(column_of, features.values()))
        if features:
            features = {**{column: column for column in also if column in table.columns}, **features}
        given = attributes.values(table, features, self._number_of(name))
        values: dict[str, ir.Value] = {
            **{ours: self._local_moment(table, name, theirs) for ours, theirs in moments.items()},
            **({"happened": self.kinds.label(table, name, label)} if label else {}),
            **(_offer(id_of(table, name, offer)) if offer else {}),
            **given,
        }
        (moment,) = moments
        dated, labelled = KEYS[key]
        rules = [
            *cleaning.customer_rules(key),
            cleaning.moment_rule(moment, last, cleaning.map_another(dated, key)),
        ]
        if label:
            rules.append(cleaning.label_rule(cleaning.map_another(labelled, key)))
        if offer:
            rules.append(cleaning.offer_rule([known.offer_code for known in self.config.catalogue]))
        if label:  # a customer of today is materialize's to reject, which lists all in rejects.csv
            rules += cleaning.feature_rules(list(given))
        return cleaning.mark(
            name,
            table.select(**_ids(table, name, customer_id), **values),
            rules,
            moment=moment,
            shown={
                customer_id: cleaning.RAW_ID,
                moments[moment]: moment,
                **({offer: cleaning.RAW_OFFER} if offer else {}),
            },
            columns=("customer_id", *(column for column in values if column not in cleaning.OF_OFFER)),
        )

    def _not_whole(self, marked: Marked, table: TableName) -> Problem:
        bad = marked.table.filter(marked.table[cleaning.LEFT_OUT] == cleaning.NOT_WHOLE)
        examples = self.rows(bad.select(id=bad[cleaning.RAW_ID]).distinct().order_by("id").limit(3))["id"].to_pylist()
        column = next(theirs for theirs, ours in marked.shown.items() if ours == cleaning.RAW_ID)
        return Problem(
            f"Column {column} of {marked.name} has ids that are not whole numbers, such as "
            f"{', '.join(map(str, examples))}: map a column of whole numbers or texts as customer_id under "
            f"[columns.{table}]."
        )

    def _local_moment(self, table: ir.Table, name: str, column: str) -> ir.Value:
        """On the clock of windows.time_zone, on which a column without a zone is already."""
        moment, zone = self.kinds.moment(table, name, column), self.config.windows.time_zone
        if zone == "UTC" or moment.type().timezone is None:
            return moment.cast("timestamp")
        if self.backend.name not in KNOW_ZONES:
            raise Problem(
                f"Column {column} of {name} has a time zone, which {self.backend.name} cannot turn into {zone} here: "
                "leave out [windows] time_zone, or map a column without a zone."
            )
        return _on_the_clock_of(zone, moment.cast("timestamp('UTC')"))

    def in_utc(self, local: ir.Value) -> ir.Value:
        """The moment that was on the clock of windows.time_zone. Raises Problem."""
        zone = self.config.windows.time_zone
        if zone == "UTC":
            return local.cast("timestamp('UTC')")
        if self.backend.name not in KNOW_ZONES:
            raise Problem(
                f"{self.backend.name} cannot turn updated_at of {zone} into UTC here: leave out [windows] time_zone."
            )
        return _at_the_clock_of(zone, local)

    def _table(self, name: str, columns: Iterable[str]) -> ir.Table:
        table = self.table(name)
        self._check_columns(table, name, columns)
        return table

    def table(self, name: str) -> ir.Table:
        """The table, or the query that is called so, with its own columns. Raises Problem."""
        source = self.config.tables.source(name)
        with asking(self.backend, name if isinstance(source, Query) else ""):
            if isinstance(source, Query):
                table = query_table(self.backend, source)
            else:
                table = named_table(self.backend, source)
        return table

    def _check_columns(self, table: ir.Table, name: str, columns: Iterable[str]) -> None:
        columns = list(columns)
        missing = [
            f"{column}{did_you_mean(column, table.columns)}" for column in columns if column not in table.columns
        ]
        if missing:
            lost = [column for column in columns if column in OFFER_FEATURES and column not in table.columns]
            raise Problem(
                f"{name} has no column {' and no column '.join(missing)}; it has {listed(table.columns)}: "
                "put the right ones under [columns] or [features]."
                + (f" Of {', '.join(lost)}, {NEEDS_OFFERS}." if lost else "")
            )


def connect(
    url: str, config: Config, now: datetime | None = None, tell: Callable[[str], None] | None = None
) -> Warehouse:
    """Connects by an Ibis URL, such as duckdb://file or postgresql://user:password@host/database.

    now, tell: as Warehouse's.

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
        raise Problem(
            f"The warehouse cannot be opened: {_redacted(_first_line(error), url)}: correct the URL of --warehouse or "
            "WAREHOUSE_URL, or see that the warehouse runs and lets this user in."
        ) from error
    if backend.name == "postgres":
        # Whole tables are read. Of what a query computes PostgreSQL guesses a few rows, and would join 10,000 with as
        # many one by one: 40 s for a second's work. It still does so where there is no other way.
        backend.raw_sql("SET enable_nestloop = off").close()
    return Warehouse(backend, config, now, tell)


@contextmanager
def asking(backend: Backend, queries: str = "") -> Iterator[None]:
    """What a warehouse says when a query fails, as a Problem. queries: those of [tables] that are in it."""
    try:
        yield
    except (Problem, MemoryError):
        raise
    except Exception as error:  # each backend has exceptions of its own
        what = f" {queries}" if queries else ""
        line = _first_line(error)
        remedy = ": grant the user of the warehouse to read it" if "permission denied" in line.lower() else ""
        raise Problem(f"The warehouse ({backend.name}) could not answer{what}: {line}{remedy}.") from error


def is_of_offers(name: str, source: FeatureSource) -> bool:
    return name in OFFER_FEATURES and isinstance(source, str)


def has_features(table: ir.Table, features: Mapping[str, FeatureSource]) -> bool:
    """Whether the table has one of those that transactions give or that are the company's own: then it has them all."""
    return any(
        column_of(source) in table.columns for name, source in features.items() if not is_of_offers(name, source)
    )


def id_of(table: ir.Table, name: str, column: str) -> ir.Value:
    """The column as it is. Raises Problem for one that cannot hold ids or codes: of a list there is no one text."""
    kind = table[column].type()
    if not cleaning.is_of_a_kind(kind):
        raise Problem(
            f"Column {column} of {name} is {kind}, where a text, a whole number or a UUID is needed: map another, or "
            "cast it."
        )
    return table[column]


def _ids(table: ir.Table, name: str, column: str) -> dict[str, ir.Value]:
    id_column = id_of(table, name, column)
    return {
        "customer_id": cleaning.id_text(id_column),
        cleaning.ID_IS_WHOLE: cleaning.is_whole(id_column),
        cleaning.HAS_CUSTOMER: cleaning.has_customer(id_column),
        cleaning.RAW_ID: id_column.cast("string"),
    }


def _offer(column: ir.Value) -> dict[str, ir.Value]:
    return {
        "offer": cleaning.id_text(column),
        cleaning.OFFER_IS_WHOLE: cleaning.is_whole(column),
        cleaning.RAW_OFFER: column.cast("string"),
    }


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0][:300] if lines else type(error).__name__).rstrip(".!")


def redacted(url: str) -> str:
    """The URL without its password, to be shown."""
    return _redacted(url, url)


def _redacted(text: str, url: str) -> str:
    """The text without the URL's password, in whichever form a driver repeats it."""
    password = urlsplit(url).password
    for form in filter(None, {password, unquote(password or "")}):
        text = text.replace(form, "***")
    return re.sub(r"(://[^:/@\s]*):[^@\s]*@", r"\1:***@", text)
