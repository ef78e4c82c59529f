"""A query or a name under [tables], on DuckDB and on PostgreSQL: what is run, what is found, and what is told."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import ibis
import psycopg
import pytest

from tests.training.warehouse.conftest import Fill, Open
from training import config
from training.config import Config
from training.errors import Problem
from training.warehouse import queries

pytestmark = pytest.mark.process

RECEIPTS = (
    "CREATE SCHEMA sales",
    "CREATE TABLE sales.receipts (customer_no INTEGER, bought_at TIMESTAMP, amount NUMERIC(12, 2), status VARCHAR, "
    "currency VARCHAR)",
    """INSERT INTO sales.receipts VALUES (1, '2025-05-01', 10, 'paid', 'EUR'),
    (1, '2025-05-03', 90, 'cancelled', 'EUR'), (2, '2025-05-02', 20, 'paid', 'GBP'),
    (3, '2025-05-02', 30, 'paid', 'EUR')""",
    "CREATE TABLE sales.customers (customer_no INTEGER, is_test BOOLEAN)",
    "INSERT INTO sales.customers VALUES (1, FALSE), (2, FALSE), (3, TRUE)",
)
AS_OF = datetime(2025, 5, 4, tzinfo=UTC)
PAID = """-- What the shop sold; 'cancelled' is not.
SELECT r.customer_no, r.bought_at,
    /* in euros; of "GBP" */ CASE r.currency WHEN 'GBP' THEN r.amount * 1.2 ELSE r.amount END AS amount
FROM sales.receipts AS r JOIN sales.customers AS c USING (customer_no)
WHERE r.status NOT LIKE 'can%' AND NOT c.is_test AND r.status <> 'a;b--c'; -- the end
;
"""


ANY_SHARE = {"max_rejected_share": 1}
"""One row of three may be bad."""


def settings(source: Any, **tables: Any) -> Config:
    columns = {"customer_id": "customer_no", "date": "bought_at", "amount": "amount"}
    return Config.model_validate({"tables": {"transactions": source, **tables}, "columns": {"transactions": columns}})


def revenue(connect: Open, url: str, chosen: Config) -> dict[str, float]:
    current = queries.current_features(warehouse := connect(url, chosen))
    return {row["customer_id"]: row["revenue"] for row in warehouse.rows(current.table).to_pylist()}


def test_a_query_filters_joins_and_converts(fill: Fill, connect: Open) -> None:
    url = fill(*RECEIPTS)
    assert revenue(connect, url, settings("sales.receipts")) == {"1": 100, "2": 20, "3": 30}
    assert revenue(connect, url, settings({"query": PAID})) == {"1": 10, "2": 24}


def test_a_query_is_sent_as_it_is_written(fill: Fill, connect: Open) -> None:
    """In words of each warehouse's own, which the library's own way would change."""
    url = fill(*RECEIPTS)
    own = (
        "customer_no = list_transform([customer_no], lambda x: x + 0)[1]"
        if url.startswith("duckdb")
        else "customer_no OPERATOR(pg_catalog.=) 2 AND status COLLATE pg_catalog.\"C\" ~~ 'p%'"
    )
    written = f"SELECT   customer_no,bought_at , amount FROM sales.receipts WHERE  customer_no<>1 AND {own} -- :x $1 %s"
    warehouse = connect(url, settings({"query": written}))
    table = warehouse.transactions()
    assert table is not None
    assert f"\n{written}\n" in warehouse.backend.compile(table)
    assert "2" in warehouse.rows(table)["customer_id"].to_pylist()
    # The types are the table's own, not what a first row looks like.
    assert table.amount.type().scale == 2
    # It is asked for as often as an expression needs it, and by itself.
    joined = table.join(table.group_by("customer_id").aggregate(rows=table.count()), "customer_id")
    assert warehouse.rows(joined).num_rows == warehouse.rows(table).num_rows


def test_a_query_file_is_beside_the_configuration(fill: Fill, connect: Open, tmp_path: Path) -> None:
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "receipts.sql").write_text(PAID)
    (tmp_path / "ours.toml").write_text(
        '[tables]\ntransactions = { query_file = "sql/receipts.sql" }\n[columns.transactions]\n'
        'customer_id = "customer_no"\ndate = "bought_at"\n amount = "amount"'
    )
    assert revenue(connect, fill(*RECEIPTS), config.load(tmp_path / "ours.toml")) == {"1": 10, "2": 24}


def test_each_table_may_be_a_query(fill: Fill, connect: Open) -> None:
    names = {"revenue": "r", "days_since_last": "r"}
    tables = {
        "features": {"query": "SELECT 'a' AS customer_id, 1 AS r, DATE '2025-01-01' AS updated_at"},
        "churn": {
            "query": "SELECT customer_id, left_us AS churned, DATE '2025-01-01' AS snapshot_date, 1 AS r "
            "FROM (VALUES ('a', 1), ('b', 0)) AS rows (customer_id, left_us)"
        },
        "offers": {
            "query": "SELECT customer_id, offer_id, taken AS converted, shown AS created_at, 1 AS r "
            "FROM (VALUES ('a', 0, 'Y', DATE '2025-01-01'), ('b', 1, 'N', DATE '2025-01-01'), "
            "('c', 0, NULL, DATE '2025-01-01'), ('d', 0, 'N', DATE '2025-03-01')) "
            "AS rows (customer_id, offer_id, taken, shown)"
        },
    }
    warehouse = connect(
        fill("SELECT 1"), Config.model_validate({"tables": tables, "features": names, "reading": ANY_SHARE})
    )
    assert queries.current_features(warehouse).names == ("revenue", "days_since_last")
    assert queries.churn_examples(warehouse).happened.tolist() == [True, False]
    offers = queries.offer_examples(warehouse)
    assert offers is not None
    assert offers.happened.tolist() == [True, False]
    assert offers.left_out == {"no label": 1, "shown less than 30 days before the data ends": 1}


def test_a_user_who_may_only_read_runs_queries(postgres_port: int, fill: Fill, connect: Open) -> None:
    url = fill(*RECEIPTS, "SELECT 1")
    if url.startswith("duckdb"):
        assert revenue(connect, url, settings({"query": PAID})) == {"1": 10, "2": 24}
        with pytest.raises(duckdb.InvalidInputException, match="read-only"):
            connect(url).backend.con.execute("CREATE VIEW v AS SELECT 1")
        return
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("DROP ROLE IF EXISTS reader")
        owner.execute("CREATE ROLE reader LOGIN PASSWORD 'reads'")
        owner.execute("ALTER ROLE reader SET default_transaction_read_only = on")
        owner.execute("REVOKE TEMPORARY ON DATABASE postgres FROM PUBLIC")
        owner.execute("GRANT USAGE ON SCHEMA sales TO reader")
        owner.execute("GRANT SELECT ON ALL TABLES IN SCHEMA sales TO reader")
    reader = f"postgresql://reader:reads@127.0.0.1:{postgres_port}/postgres"
    try:
        assert revenue(connect, reader, settings({"query": PAID})) == {"1": 10, "2": 24}
        with pytest.raises(psycopg.Error, match=r"permission denied|read-only"), psycopg.connect(reader) as connection:
            connection.execute("CREATE TEMPORARY VIEW v AS SELECT 1")
    finally:
        with psycopg.connect(url, autocommit=True) as owner:
            owner.execute("DROP OWNED BY reader")
            owner.execute("DROP ROLE reader")
            owner.execute("GRANT TEMPORARY ON DATABASE postgres TO PUBLIC")


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("SELECT * FROM nowhere", r"could not answer the query of \[tables\] transactions: .*nowhere"),
        ("SELEC 1", r"could not answer the query of \[tables\] transactions: .*syntax error"),
        ("SELECT 'never closed", r"could not answer the query of \[tables\] transactions: .*unterminated"),
        ("DELETE FROM sales.receipts", r"could not answer the query of \[tables\] transactions: .*syntax error"),
        ("SELECT 1; DROP TABLE sales.receipts", r"\[tables\] transactions has more than one statement"),
        ("-- nothing\n;", r"\[tables\] transactions is empty"),
        ("SELECT 1 AS x", r"the query of \[tables\] transactions has no column customer_no and .*; it has x"),
    ],
)
def test_a_query_that_fails_is_told_in_one_sentence(fill: Fill, connect: Open, query: str, sentence: str) -> None:
    with pytest.raises(Problem, match=sentence) as problem:
        connect(fill(*RECEIPTS), settings({"query": query})).transactions()
    assert "\n" not in str(problem.value)


def test_a_query_that_fails_on_a_row_is_named_too(fill: Fill, connect: Open) -> None:
    query = "SELECT customer_no, CAST(currency AS TIMESTAMP) AS bought_at, amount FROM sales.receipts"
    with pytest.raises(Problem, match=r"could not answer the query of \[tables\] transactions: .*EUR"):
        queries.current_features(connect(fill(*RECEIPTS), settings({"query": query})))


def test_a_column_that_a_query_gives_twice_is_named(fill: Fill, connect: Open) -> None:
    query = "SELECT r.*, c.customer_no FROM sales.receipts AS r JOIN sales.customers AS c USING (customer_no)"
    with pytest.raises(Problem, match="has the column customer_no more than once: rename one of them with AS"):
        connect(fill(*RECEIPTS), settings({"query": query})).transactions()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("receipts", "no table receipts; there is sales.receipts: write that under"),
        ("customers", "no table customers; there is crm.customers and sales.customers: write one of them under"),
        ("Sales.Receipts", "no table Sales.Receipts; there is sales.receipts: write that"),
        ("sales.receits", r"no table sales.receits; it has customers, receipts \(did you mean receipts\?\)"),
        ("receits", r"its schemas have .*sales.receipts \(did you mean sales.receipts\?\): name the right one under"),
        (
            "sale.receits",
            r"its schemas have .*sales.receipts \(did you mean sales.receipts\?\): name the right one under",
        ),
        ("customer", r"\(did you mean crm.customers or sales.customers\?\)"),
        (
            "nothing_like_it",
            "its schemas have crm.customers, sales.customers, sales.receipts: name the right one under",
        ),
    ],
)
def test_a_table_that_is_not_here_is_shown_where_it_is(fill: Fill, connect: Open, name: str, sentence: str) -> None:
    url = fill(*RECEIPTS, "CREATE SCHEMA crm", "CREATE TABLE crm.customers (customer_no INTEGER)")
    with pytest.raises(Problem, match=sentence):
        connect(url, settings(name)).transactions()


@pytest.mark.parametrize("schema", ["public", "sales"])
def test_views_of_every_kind_are_tables(fill: Fill, connect: Open, schema: str) -> None:
    url = fill(*RECEIPTS)
    kinds = ["VIEW"] if url.startswith("duckdb") else ["VIEW", "MATERIALIZED VIEW"]
    schema = "main" if (schema, kinds) == ("public", ["VIEW"]) else schema
    for number, kind in enumerate(kinds):
        view = f"CREATE {kind} {schema}.paid_{number} AS SELECT * FROM sales.receipts WHERE status = 'paid'"
        url = fill(view) if url.startswith("duckdb") else fill(*RECEIPTS, view)
        for name in {f"{schema}.paid_{number}", f"{'' if schema in ('public', 'main') else 'sales.'}paid_{number}"}:
            assert revenue(connect, url, settings(name)) == {"1": 10, "2": 20, "3": 30}


def test_a_foreign_table_is_a_table(fill: Fill, connect: Open) -> None:
    url = fill(*RECEIPTS)
    if url.startswith("duckdb"):
        pytest.skip("DuckDB has none")
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("CREATE FOREIGN DATA WRAPPER elsewhere")
        owner.execute("CREATE SERVER other FOREIGN DATA WRAPPER elsewhere")
        owner.execute("CREATE FOREIGN TABLE far (customer_no INT, bought_at TIMESTAMP, amount NUMERIC) SERVER other")
    try:
        assert connect(url, settings("far")).table("far").columns == ("customer_no", "bought_at", "amount")
    finally:
        with psycopg.connect(url, autocommit=True) as owner:
            owner.execute("DROP FOREIGN DATA WRAPPER elsewhere CASCADE")


def test_a_column_that_is_misspelt_is_shown_as_it_is(fill: Fill, connect: Open) -> None:
    chosen = Config.model_validate({"tables": {"transactions": "sales.receipts"}})
    with pytest.raises(Problem, match=r"no column customer_id \(did you mean customer_no\?\)"):
        connect(fill(*RECEIPTS), chosen).transactions()


def test_features_of_the_default_that_no_column_gives_are_left_out_and_told(fill: Fill, connect: Open) -> None:
    current = queries.current_features(warehouse := connect(fill(*RECEIPTS), settings("sales.receipts")))
    assert not {"product_count", "service_count"} & set(current.names)
    told = queries.features_left_out(warehouse)
    assert "left out: product_count, service_count, for which [columns.transactions] names" in told


def test_a_chosen_feature_that_transactions_cannot_give_as_of_then_is_refused(fill: Fill, connect: Open) -> None:
    """The view has it for today only, and labels that transactions make are of earlier moments."""
    view = {"query": "SELECT 'a' AS customer_id, 1 AS revenue, 0.5 AS opens, DATE '2025-01-01' AS updated_at"}
    chosen = Config.model_validate(
        {
            **settings("sales.receipts", features=view).model_dump(include={"tables", "columns"}),
            "features": {"revenue": "revenue", "email_open_rate": "opens"},
            "windows": {"churn_days": 1},
        }
    )
    warehouse = connect(fill(*RECEIPTS), chosen)
    assert queries.current_features(warehouse).names[:2] == ("revenue", "email_open_rate")
    with pytest.raises(
        Problem, match=r"features\.email_open_rate: transactions cannot give this feature: they give rev"
    ):
        queries.churn_examples(warehouse)
    with pytest.raises(Problem, match="email_open_rate"):
        queries.current_features(warehouse, datetime(2025, 5, 3, tzinfo=UTC))


def test_a_run_of_materialize_is_told_from_one_of_another_query(fill: Fill, connect: Open) -> None:
    """It goes on only with what came from the same SQL."""
    url = fill(*RECEIPTS)
    texts = {
        ibis.to_sql(queries.current_features(connect(url, settings({"query": query})), AS_OF).table)
        for query in (PAID, PAID.replace("1.2", "1.3"))
    }
    assert len(texts) == 2


def test_the_example_of_the_documentation_does_what_it_says(fill: Fill, connect: Open, tmp_path: Path) -> None:
    page = Path("docs/training.md").read_text()
    (tmp_path / "ours.toml").write_text(page.split("```toml\n")[1].split("```")[0])
    url = fill(
        "CREATE SCHEMA sales",
        "CREATE SCHEMA crm",
        "CREATE TABLE crm.customers (customer_no INTEGER, is_test BOOLEAN)",
        "INSERT INTO crm.customers VALUES (1, FALSE), (2, FALSE), (3, TRUE)",
        "CREATE TABLE sales.receipts (customer_no INTEGER, bought_at TIMESTAMPTZ, amount NUMERIC(12, 2), "
        "receipt_no BIGINT, status VARCHAR, currency VARCHAR)",
        """INSERT INTO sales.receipts VALUES (1, '2025-05-01 12:00:00+00', 10, 1, 'paid', 'EUR'),
        (1, '2025-05-02 12:00:00+00', 99, 2, 'cancelled', 'EUR'), (2, '2025-05-01 12:00:00+00', 100, 3, 'paid', 'GBP'),
        (3, '2025-05-01 12:00:00+00', 100, 4, 'paid', 'EUR')""",
    )
    assert revenue(connect, url, config.load(tmp_path / "ours.toml")) == {"1": 10, "2": 117}


def test_a_query_that_fails_on_a_row_is_named(fill: Fill, connect: Open) -> None:
    view = "SELECT customer_no, CAST(status AS INTEGER) AS revenue, bought_at AS updated_at FROM sales.receipts"
    chosen = Config.model_validate(
        {
            "tables": {"features": {"query": view}},
            "columns": {"features": {"customer_id": "customer_no"}},
            "features": {"revenue": "revenue"},
        }
    )
    warehouse = connect(fill(*RECEIPTS), chosen)
    with pytest.raises(Problem, match=r"could not answer the query of \[tables\] features: .*(paid|cancelled)"):
        queries.current_features(warehouse)
