"""The dry run on a small shop, on DuckDB and on a real PostgreSQL: what it says, what it lists, and how it ends."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.training.warehouse.conftest import Fill, Open
from training.cli.main import main
from training.config import Config
from training.warehouse.check.dry_run import dry_run
from training.warehouse.check.findings import Findings
from training.warehouse.connection import Warehouse

pytestmark = pytest.mark.moto

CUSTOMERS = 1_500
SHOP = (
    # 12,000 lines in 400 days; a third of the customers stop in the first half.
    f"""CREATE TABLE receipts AS SELECT i * 7919 % {CUSTOMERS} + 1000 AS customer_no,
        TIMESTAMP '2025-01-01' + (i * 104729 % (CASE WHEN i * 7919 % {CUSTOMERS} % 3 = 0 THEN 200 ELSE 400 END))
            * INTERVAL '1 day' AS bought_at,
        CAST(5 + i % 90 AS NUMERIC(12, 2)) AS amount, i / 2 AS receipt_no, i % 200 AS sku
    FROM generate_series(0, 11999) AS lines(i)""",
    """CREATE TABLE mailings AS SELECT i * 31 % 1500 + 1000 AS customer_no, i % 3 AS offer, i % 7 = 0 AS taken,
        TIMESTAMP '2025-12-01' + (i % 20) * INTERVAL '1 day' + i * INTERVAL '1 second' AS shown_at
    FROM generate_series(0, 5999) AS shown(i)""",
)
COMPUTED = ("revenue", "transaction_count", "days_since_last", "avg_transaction_value", "product_count")


def settings(**changes: Any) -> Config:
    return Config.model_validate(
        {
            "tables": {"transactions": "receipts", "offers": "mailings"},
            "columns": {
                "transactions": {
                    "customer_id": "customer_no",
                    "date": "bought_at",
                    "amount": "amount",
                    "transaction": "receipt_no",
                    "product": "sku",
                },
                "offers": {
                    "customer_id": "customer_no",
                    "offer_id": "offer",
                    "converted": "taken",
                    "created_at": "shown_at",
                },
            },
            "features": {name: name for name in COMPUTED},
            "offers": [
                {"offer_id": number, "offer_name": name, "category": "shop"}
                for number, name in enumerate(("Free Shipping", "Ten Off", "Gift"))
            ],
        }
        | changes
    )


def found(warehouse: Warehouse) -> tuple[Findings, str]:
    """What the dry run kept, and all that it said."""
    lines: list[str] = []
    return dry_run(warehouse, lines.append), "\n".join(lines)


def row(text: str, start: str) -> list[str]:
    """The cells of the line that starts so."""
    (line,) = [line.strip() for line in text.splitlines() if line.strip().startswith(f"{start} ")]
    return re.split(r"\s{2,}", line)


def test_a_shop_that_is_fit_for_training_is_counted_and_has_no_problem(fill: Fill, connect: Open) -> None:
    findings, text = found(connect(fill(*SHOP), settings()))
    assert findings.problems == []
    assert "receipts: 12,000 rows read, of 1,500 customers" in text
    assert "mailings: 6,000 rows read, of 1,500 customers" in text
    for feature in COMPUTED:
        assert row(text, feature)[1] == "computed from receipts"
    assert "nbo: features are computed from receipts: revenue, transaction_count" in text
    taken = [sum(1 for i in range(6_000) if i % 3 == offer and i % 7 == 0) for offer in range(3)]
    for offer, name in enumerate(("Free Shipping", "Ten Off", "Gift")):
        counts = ["2,000", str(taken[offer]), f"{2_000 - taken[offer]:,}"]
        assert row(text, str(offer))[:5] == [str(offer), name, *counts]
        assert row(text, str(offer))[-1] == "yes"
    assert "are left out, shown less than" not in text
    assert "train takes about" in text


def test_exposures_that_are_too_young_are_counted_and_not_learnt_from(fill: Fill, connect: Open) -> None:
    # The data ends at the midnight before 2026-02-05; the offers were shown from December 1 on, some seconds later.
    findings, text = found(connect(fill(*SHOP), settings(windows={"offer_days": 60})))
    old = [i for i in range(6_000) if i % 20 <= 5]
    assert f"  mailings: {6_000 - len(old):,} exposures are left out, shown less than 60 days before the data" in text
    for offer in range(3):
        shown = [i for i in old if i % 3 == offer]
        taken = sum(i % 7 == 0 for i in shown)
        assert row(text, str(offer))[2:5] == [str(len(shown)), str(taken), str(len(shown) - taken)]
    (problem,) = findings.problems
    assert problem.startswith("nbo: about 450 customers of mailings can be learnt from")


def test_an_offers_table_that_is_wrong_makes_no_feature_wrong(fill: Fill, connect: Open) -> None:
    names = {name: name for name in ("revenue", "offers_seen", "offer_take_rate")}
    wrong = settings(tables={"transactions": "receipts", "offers": "mailing"}, features=names)
    findings, text = found(connect(fill(*SHOP), wrong))
    (problem,) = findings.problems
    assert problem.startswith("[tables] offers: The warehouse has no table mailing; it has mailings, receipts")
    assert row(text, "revenue")[1] == "computed from receipts"
    assert "Counting who churned" in text


def test_the_history_of_offers_is_shown_with_where_it_comes_from(fill: Fill, connect: Open) -> None:
    names = {name: name for name in ("revenue", "offers_seen", "offer_take_rate")}
    findings, text = found(connect(fill(*SHOP), settings(features=names)))
    assert findings.problems == []
    assert row(text, "offers_seen")[1] == "computed from mailings"
    assert "churn: features are computed from mailings: offers_seen, offer_take_rate" in text


def test_offers_of_which_too_little_is_known_are_named(fill: Fill, connect: Open) -> None:
    rarely = "UPDATE mailings SET taken = FALSE WHERE offer = 1 AND shown_at > '2025-12-02'"
    url = fill(*SHOP, rarely)
    findings, text = found(connect(url, settings()))
    assert [row(text, str(offer))[-1] for offer in range(3)] == ["yes", "no", "yes"]
    taken = sum(i % 3 == 1 and i % 20 == 0 and i % 7 == 0 for i in range(6_000))
    assert taken < 50
    assert any(
        warning.startswith(
            "Offers that would not be recommended, as they do not have at least 50 conversions and 50 refusals: "
            f"1 (Ten Off) about {taken} and "
        )
        for warning in findings.warnings
    ), findings.warnings
    findings, _ = found(connect(url, settings(nbo={"minimum_refusals": 2_000})))
    assert (
        "nbo: no offer of mailings has at least 50 conversions and 2000 refusals, so there would be nothing to "
        "choose from: show the offers more often, or lower [nbo] minimum_conversions or minimum_refusals."
    ) in findings.problems
    assert findings.trainable == ["churn"]


def test_customers_and_evidence_are_those_that_training_would_count(fill: Fill, connect: Open) -> None:
    """Half of the exposures are older than the first purchase: all customers are left, and half the evidence."""
    before = (
        "UPDATE mailings SET shown_at = shown_at - INTERVAL '2 years' "
        "WHERE shown_at - date_trunc('day', shown_at) >= INTERVAL '3000 seconds'"
    )
    findings, text = found(connect(fill(*SHOP, before), settings(nbo={"minimum_conversions": 200})))
    sampled, lost = re.findall(r"nbo: left out of a sample of ([\d,]+), no purchase before it: ([\d,]+)", text)[0]
    assert 2 * int(lost.replace(",", "")) == int(sampled.replace(",", ""))
    assert findings.problems == [
        "nbo: no offer of mailings has at least 200 conversions and 50 refusals, so there would be nothing to "
        "choose from: show the offers more often, or lower [nbo] minimum_conversions or minimum_refusals."
    ]
    assert [row(text, str(offer))[3] for offer in range(3)] == ["286", "286", "286"]


def test_one_offer_is_no_choice_and_does_not_withhold_churn(fill: Fill, connect: Open) -> None:
    findings, _ = found(connect(fill(*SHOP, "DELETE FROM mailings WHERE offer <> 1"), settings(offers=[])))
    assert findings.problems[0] == (
        "mailings has 1 different offer, but a model has 2 to 200: put the offers that count under [[offers]], or map "
        "another column as [columns.offers] offer_id."
    )
    assert findings.trainable == ["churn"]


def test_offers_that_were_all_taken_say_which_and_not_whether(fill: Fill, connect: Open) -> None:
    findings, text = found(connect(fill(*SHOP, "DELETE FROM mailings WHERE NOT taken"), settings()))
    assert [row(text, str(offer))[-1] for offer in range(3)] == ["no"] * 3
    assert any(warning.startswith("mailings has only exposures that converted") for warning in findings.warnings)


def test_it_is_told_how_many_are_active_at_each_moment(fill: Fill, connect: Open) -> None:
    windows = {"churn_days": 90, "churn_snapshots": 2, "active_days": 60}
    findings, text = found(connect(fill(*SHOP), settings(windows=windows)))
    assert row(text, "moment")[:3] == ["moment", "sampled", "active, 60 days"]
    for moment in ("2025-11-07", "2025-08-09"):
        sampled, active, left = row(text, moment)[1:]
        counts = [int(re.sub(r" .*|,", "", count)) for count in (sampled, active, left)]
        assert counts == sorted(counts, reverse=True)
        assert 0 < counts[1] < counts[0]
    assert findings.problems == []


def test_a_shop_without_an_active_customer_is_told_so(fill: Fill, connect: Open) -> None:
    windows = {"churn_days": 90, "churn_snapshots": 1, "active_days": 30}
    old = "UPDATE receipts SET bought_at = TIMESTAMP '2025-01-01' WHERE bought_at < '2025-11-07'"
    findings, _ = found(connect(fill(*SHOP, old), settings(windows=windows)))
    assert any("is no customer to lose: raise [windows] active_days" in problem for problem in findings.problems)


def test_who_has_not_bought_lacks_no_feature(fill: Fill, connect: Open) -> None:
    """A sample of the customers table has the customers of the other samples, and some who have not bought."""
    people = (
        "CREATE TABLE people AS SELECT i + 1000 AS customer_no, i % 5 AS mails FROM generate_series(0, 2999) AS p(i)"
    )
    known = settings()
    with_people = settings(
        tables=known.tables.model_dump(exclude_none=True) | {"customers": "people"},
        columns=known.columns.model_dump(exclude_none=True) | {"customers": {"customer_id": "customer_no"}},
        features={**{name: name for name in COMPUTED}, "mails": "mails"},
    )
    findings, text = found(connect(fill(*SHOP, people), with_people))
    bought, without = map(int, re.findall(r"(\d+) of 1,500 customers, (\d+) more without a purchase", text)[0])
    assert 400 < bought < 1_100
    assert 400 < without < 1_100
    for name in (*COMPUTED, "mails"):
        assert row(text, name)[-1] == "0.0%"
    assert not any("is missing for" in warning for warning in findings.warnings)


PEOPLE = "CREATE TABLE people AS SELECT {id} AS customer_no, i % 5 AS mails FROM generate_series(0, 1499) AS p(i)"


def with_people() -> Config:
    known = settings()
    return settings(
        tables=known.tables.model_dump(exclude_none=True) | {"customers": "people"},
        columns=known.columns.model_dump(exclude_none=True) | {"customers": {"customer_id": "customer_no"}},
        features={"revenue": "revenue", "mails": "mails"},
    )


def test_a_table_whose_ids_are_written_in_another_way_is_named_with_both(fill: Fill, connect: Open) -> None:
    """And not each of the features that are missing for everyone because of it."""
    people = PEOPLE.format(id="'C-' || (i + 1000)")
    findings, text = found(connect(fill(*SHOP, people), with_people()))
    assert findings.problems == [
        '[columns.customers] customer_id: no customer of people is in receipts (such as "C-1000" and "1000"): put the '
        "column that has the same ids there, or write them in the same way in a query."
    ]
    assert row(text, "revenue")[1] == "computed from receipts"


def test_ids_that_are_written_in_another_way_stop_what_reads_them(fill: Fill, connect: Open) -> None:
    mailings = "ALTER TABLE mailings ALTER COLUMN customer_no TYPE VARCHAR USING 'C-' || customer_no"
    findings, text = found(connect(fill(*SHOP, mailings), settings()))
    (problem,) = findings.problems
    assert problem.startswith("[columns.offers] customer_id: no customer of mailings is in receipts")
    assert "Counting who churned" in text


def test_a_customers_table_that_is_wrong_makes_no_feature_wrong(fill: Fill, connect: Open) -> None:
    """Its features are not looked for among those of the transactions."""
    people = PEOPLE.format(id="i + 1000").replace("customer_no", "person")
    findings, _ = found(connect(fill(*SHOP, people), with_people()))
    (problem,) = findings.problems
    assert problem.startswith("[columns.customers] customer_id: people has no column customer_no")


def test_an_empty_table_is_the_one_thing_to_change(fill: Fill, connect: Open) -> None:
    findings, _ = found(connect(fill(*SHOP, "DELETE FROM receipts"), settings()))
    assert findings.problems == [
        "receipts has no rows at all, so there is nothing to work on: fill it, or name another table or query as "
        "[tables] transactions."
    ]


def test_offers_that_were_shown_before_any_purchase_teach_nothing(fill: Fill, connect: Open) -> None:
    early = "UPDATE mailings SET shown_at = shown_at - INTERVAL '3 years'"
    findings, _ = found(connect(fill(*SHOP, early), settings()))
    assert any(
        "none of these customers had bought before. Correct the dates under [columns.offers], " in problem
        for problem in findings.problems
    ), findings.problems


def test_the_sample_is_the_same_each_time(fill: Fill, connect: Open) -> None:
    warehouse = connect(fill(*SHOP), settings())
    first, second = (re.sub(r"takes about.*", "", found(warehouse)[1]) for _ in range(2))
    assert first == second


def test_all_that_is_wrong_is_listed_with_its_key(fill: Fill, connect: Open) -> None:
    wrong = settings(
        tables={"transactions": "receipts", "offers": "mailings", "churn": "leavers"},
        columns={
            "transactions": {"customer_id": "customer", "date": "bought_at", "amount": "remark"},
            "offers": {"customer_id": "customer_no", "offer_id": "offer", "converted": "taken", "created_at": "shown"},
        },
        features={"revenue": "revenue"},
    )
    url = fill(*SHOP, "ALTER TABLE receipts ADD COLUMN remark VARCHAR")
    findings, _ = found(connect(url, wrong))
    starts = {
        "[columns.transactions] customer_id: receipts has no column customer (did you mean customer_no?)",
        "[columns.transactions] amount: Column remark of receipts is string, where a number is needed",
        "[columns.offers] created_at: mailings has no column shown (did you mean shown_at?)",
        "[tables] churn: The warehouse has no table leavers; it has",
    }
    assert len(findings.problems) == len(starts)
    for start in starts:
        assert any(problem.startswith(start) for problem in findings.problems), findings.problems


def test_what_can_be_read_is_looked_at_although_another_table_is_wrong(fill: Fill, connect: Open) -> None:
    wrong = settings(tables={"transactions": "receipts", "offers": "mailing"}, gates={"minimum_customers": 2_000})
    findings, text = found(connect(fill(*SHOP), wrong))
    assert row(text, "revenue")[1] == "computed from receipts"
    assert any(problem.startswith("[tables] offers: ") for problem in findings.problems)
    assert any("[gates] minimum_customers asks for 2,000" in problem for problem in findings.problems)


@pytest.mark.parametrize(
    ("change", "changes", "sentence"),
    [
        ("UPDATE mailings SET offer = 7 WHERE offer = 2", {}, "[[offers]]"),
        ("UPDATE mailings SET taken = FALSE", {}, "have the same label: map another column as converted"),
        ("DELETE FROM receipts WHERE bought_at > '2025-02-15'", {}, "lower [windows] churn_days"),
        ("SELECT 1", {"gates": {"minimum_positives": 5_000}}, "[gates] minimum_positives asks for 5,000"),
        ("UPDATE receipts SET amount = -amount", {}, "turn the sign of amount of [columns.transactions]"),
        (
            "UPDATE receipts SET customer_no = NULL",
            {},
            "map another column as customer_id under [columns.transactions]",
        ),
        ("UPDATE receipts SET sku = NULL", {}, ""),
    ],
)
def test_data_that_cannot_be_trained_on_is_told_with_what_to_change(
    fill: Fill, connect: Open, change: str, changes: dict[str, Any], sentence: str
) -> None:
    findings, _ = found(connect(fill(*SHOP, change), settings(**changes)))
    if sentence:
        assert any(sentence in problem for problem in findings.problems), findings.problems
    else:
        assert any("product_count is 0 for everyone" in warning for warning in findings.warnings)


@pytest.mark.parametrize("computed", [{}, {"revenue": "revenue"}])
def test_a_misspelt_attribute_is_told_once(fill: Fill, connect: Open, computed: dict[str, str]) -> None:
    tables = {"transactions": "receipts", "customers": "people"}
    columns = {**settings().columns.model_dump(), "customers": {"customer_id": "customer_no"}}
    features = {**computed, "opens": {"column": "open", "table": "customers"}}
    url = fill(*SHOP, "CREATE TABLE people AS SELECT DISTINCT customer_no, 0.5 AS opens FROM receipts")
    findings, text = found(connect(url, settings(tables=tables, columns=columns, features=features)))
    (problem,) = findings.problems
    assert problem.startswith("[features] opens: people has no column open (did you mean opens?)")
    assert ("Counting who churned" in text) == bool(computed)


def test_true_and_false_are_features(fill: Fill, connect: Open) -> None:
    tables = {"transactions": "receipts", "customers": "people"}
    columns = {**settings().columns.model_dump(), "customers": {"customer_id": "customer_no"}}
    url = fill(*SHOP, "CREATE TABLE people AS SELECT DISTINCT customer_no, customer_no % 2 = 0 AS even FROM receipts")
    findings, _ = found(connect(url, settings(tables=tables, columns=columns, features={"even": "even"})))
    assert findings.problems == []


def test_a_features_view_is_compared_with_what_the_transactions_give(fill: Fill, connect: Open) -> None:
    view = """CREATE TABLE today AS SELECT customer_no, TIMESTAMP '2026-02-05' AS updated_at, SUM(amount) AS revenue,
        COUNT(DISTINCT sku) + CASE WHEN customer_no = 1002 THEN 3 ELSE 0 END AS product_count
    FROM receipts WHERE bought_at >= TIMESTAMP '2025-02-05' GROUP BY customer_no"""
    both = settings(
        tables={"transactions": "receipts", "features": "today"},
        columns={**settings().columns.model_dump(exclude={"features"}), "features": {"customer_id": "customer_no"}},
        features={"revenue": "revenue", "product_count": "product_count"},
    )
    findings, text = found(warehouse := connect(fill(*SHOP, view), both))
    assert "revenue differs" not in text
    shown = re.search(r"product_count differs for [\d,]+, such as customer (\d+): (\d+) in the table, (\d+) comp", text)
    assert shown
    lines, today = (warehouse.backend.table(name) for name in ("receipts", "today"))
    ever = warehouse.rows(lines.filter(lines.customer_no == int(shown[1])).aggregate(kinds=lines.sku.nunique()))
    in_view = warehouse.rows(today.filter(today.customer_no == int(shown[1])).select("product_count"))
    assert int(shown[3]) == ever["kinds"][0].as_py()
    assert int(shown[2]) == in_view["product_count"][0].as_py() != int(shown[3])
    assert any("do not agree on product_count" in warning for warning in findings.warnings)


def command(tmp_path: Path, config: Config, url: str, *, offers: bool = False) -> list[str]:
    """offers: whether the file has the offers table and [nbo] too."""
    toml = tmp_path / "shop.toml"
    of_offers = [("columns.offers", config.columns.offers.model_dump())] if offers else []
    sections = [
        f"[{name}]\n" + "".join(f'{key} = "{value}"\n' for key, value in keys.items() if value is not None)
        for name, keys in (
            ("tables", {"transactions": "receipts", "offers": "mailings" if offers else None}),
            ("columns.transactions", config.columns.transactions.model_dump()),
            ("features", config.features),
            *of_offers,
        )
    ]
    nbo = "".join(f"{key} = {value}\n" for key, value in config.nbo.model_dump().items())
    toml.write_text("\n".join([*sections, f"[nbo]\n{nbo}"]))
    return ["check", "--warehouse", url, "--config", str(toml)]


def test_the_command_ends_with_the_next_one_and_never_shows_the_password(
    fill: Fill, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = fill(*SHOP)
    arguments = command(tmp_path, settings(), url)
    assert main(arguments) == 0
    printed = capsys.readouterr()
    shown = re.sub(r":[^:@/]*@", ":***@", url)
    assert printed.out.splitlines()[-1] == f"  loyalty train --warehouse '{shown}' --config {arguments[-1]}".replace(
        "'" if "@" not in shown else "", ""
    )
    assert printed.err == ""


def test_a_model_that_cannot_be_trained_does_not_withhold_the_other(
    fill: Fill, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = command(tmp_path, settings(nbo={"minimum_refusals": 2_000}), fill(*SHOP), offers=True)
    assert main(arguments) == 0
    printed = capsys.readouterr()
    assert "To change:\n  1. nbo: no offer of mailings has" in printed.out
    assert "\nTraining can start, without nbo. Next:\n" in printed.out
    assert printed.out.splitlines()[-1].endswith(" --only churn")


def test_the_command_fails_if_training_could_not_start(
    fill: Fill, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = command(tmp_path, settings(), fill(*SHOP, "DELETE FROM receipts WHERE customer_no > 1500"))
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert "To change:\n  1. churn: about" in printed.out
    assert "[gates] minimum_customers" in printed.out
    assert printed.err.startswith("loyalty check: training cannot start; change what is listed above")
    assert printed.err.count("\n") == 1
