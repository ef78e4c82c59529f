"""From a name or a query of [tables] to an Ibis table: what the warehouse has, and a SELECT that nobody rewrites."""

from typing import Any

import sqlglot
import sqlglot.expressions as sge
from ibis.expr import operations as ops
from ibis.expr import schema as sch
from ibis.expr import types as ir
from sqlglot.errors import SqlglotError

from training.config import Query
from training.errors import Problem, did_you_mean

Backend = Any
"""A connected ibis.BaseBackend; Ibis declares its tables and queries on each backend apart."""


class WrittenQuery(ops.SQLQueryResult):  # type: ignore[misc]  # Ibis makes it at run time
    """A SELECT that is sent as its owner wrote it. `shown` is what messages call it."""

    shown: str


def query_table(backend: Backend, query: Query) -> ir.Table:
    """The query's rows as a table. Raises Problem, and what the backend raises where the query is wrong."""
    text = _one_statement(backend, query)
    _send_as_written(backend)
    columns = _columns(backend, f"SELECT * FROM (\n{text}\n) AS written")
    # DuckDB gives the second of two columns of one name another one in a subquery.
    described = backend.con.execute(f"DESCRIBE {text}").fetchall() if backend.name == "duckdb" else columns
    names = [name for name, *_ in described]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise Problem(f"{query} has the column {twice[0]} more than once: rename one of them with AS.")
    written = WrittenQuery(query=text, schema=sch.Schema(dict(columns)), source=backend, shown=str(query))
    table: ir.Table = written.to_expr()
    return table


def named_table(backend: Backend, name: str) -> ir.Table:
    """The table, view, materialized view or foreign table. Raises Problem where there is none of exactly this name."""
    schema, _, bare = name.rpartition(".")
    found = _tables(backend, schema)
    if bare not in found:
        elsewhere = _like(backend, bare)
        if elsewhere:
            told = f"there is {' and '.join(elsewhere)}: write {'one of them' if elsewhere[1:] else 'that'}"
        else:
            # Where the schema is empty, what the others have is what was meant.
            known = found or [f"{place}.{table}" for place, table in _everywhere(backend)]
            told = f"it has {listed(known)}{did_you_mean(bare, known)}: name the right one"
        raise Problem(f"The warehouse has no table {name}; {told} under [tables], or leave it out there.")
    table: ir.Table = backend.table(bare, database=schema or None)
    return table


def queries_in(expression: ir.Table) -> str:
    """What messages call the queries of [tables] that an expression runs; nothing if there are none."""
    return " and ".join(sorted({query.shown for query in expression.op().find(WrittenQuery)}))


def listed(names: Any) -> str:
    names = sorted(names)
    shown = ", ".join(names[:20]) or "none"
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown


def _one_statement(backend: Backend, query: Query) -> str:
    """The text without the semicolons at its end: it becomes part of a longer statement."""
    text = query.query
    try:
        # The tokenizer knows where a semicolon is in a text or a comment; the query is not parsed.
        tokens = sqlglot.tokenize(text, read=backend.dialect)
    except SqlglotError:
        return text  # The warehouse says what is wrong with it.
    while tokens and tokens[-1].token_type == sqlglot.TokenType.SEMICOLON:
        text = text[: tokens.pop().start]
    if not tokens:
        raise Problem(f"{query} is empty: write a SELECT.")
    if any(token.token_type == sqlglot.TokenType.SEMICOLON for token in tokens):
        raise Problem(f"{query} has more than one statement: write one SELECT.")
    return text


def _send_as_written(backend: Backend) -> None:
    """Makes this backend send a WrittenQuery unchanged.

    Ibis 12 has sqlglot parse and write each query of Backend.sql(): what sqlglot does not know is changed or refused.
    """
    kind = type(backend.compiler)
    if getattr(kind, "visit_WrittenQuery", None) is not _as_written:
        backend.compiler = type(kind.__name__, (kind,), {"__slots__": (), "visit_WrittenQuery": _as_written})()


def _as_written(compiler: object, op: ops.Node, *, query: str, **_: object) -> sge.Select:
    # On lines of its own, so that a comment ends where the query does. Var is the node that is written as it is.
    inner = sge.Subquery(this=sge.Var(this=f"\n{query}\n"), alias=sge.TableAlias(this=sge.to_identifier("written")))
    return sge.Select(expressions=[sge.Star()]).from_(inner)


def _columns(backend: Backend, select: str) -> list[tuple[str, Any]]:
    """The names and Ibis types of what a SELECT gives, without a row of it."""
    if backend.name == "postgres":
        return _postgres_columns(backend, select)
    return list(backend.sql(select).schema().items())


def _postgres_columns(backend: Backend, select: str) -> list[tuple[str, Any]]:
    """Ibis would create a temporary view for it, which a user who may only read cannot."""
    with backend.con.cursor() as cursor, backend.con.transaction():
        cursor.execute(f"{select} LIMIT 0".encode())
        described = cursor.description or []
        cursor.execute(
            "SELECT oid, CASE typtype WHEN 'e' THEN 'enum' ELSE pg_catalog.format_type(oid, NULL) END "
            "FROM pg_catalog.pg_type WHERE oid = ANY(%s)",
            [[column.type_code for column in described]],
        )
        kinds = dict(cursor.fetchall())
    read = backend.compiler.type_mapper.from_string
    return [
        (
            column.name,
            read(
                f"numeric({column.precision}, {column.scale})"
                if kinds[column.type_code] == "numeric" and column.precision
                else kinds[column.type_code]
            ),
        )
        for column in described
    ]


_POSTGRES_TABLES = """
SELECT namespace.nspname, class.relname
FROM pg_catalog.pg_class AS class JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
WHERE class.relkind IN ('r', 'p', 'v', 'm', 'f') AND namespace.nspname NOT IN ('pg_catalog', 'information_schema')
ORDER BY 1, 2
"""
"""Its information_schema has no materialized views."""


def _tables(backend: Backend, schema: str) -> list[str]:
    """The names in a schema; in the default one if it is ""."""
    if backend.name != "postgres":
        names: list[str] = backend.list_tables(database=schema or None)
        return names
    wanted = schema or backend.current_database
    return [name for place, name in _postgres_tables(backend) if place == wanted]


def _like(backend: Backend, bare: str) -> list[str]:
    """Those of any schema that have this name, in whatever case, as they are written under [tables]."""
    return sorted({f"{place}.{name}" for place, name in _everywhere(backend) if name.lower() == bare.lower()})


def _everywhere(backend: Backend) -> list[tuple[str, str]]:
    """The schema and name of every table that is not the warehouse's own."""
    if backend.name == "postgres":
        return _postgres_tables(backend)
    places = [place for place in backend.list_databases() if place not in ("information_schema", "pg_catalog")]
    return [(place, name) for place in places for name in backend.list_tables(database=place)]


def _postgres_tables(backend: Backend) -> list[tuple[str, str]]:
    with backend.con.cursor() as cursor, backend.con.transaction():
        found: list[tuple[str, str]] = cursor.execute(_POSTGRES_TABLES).fetchall()
    return found
