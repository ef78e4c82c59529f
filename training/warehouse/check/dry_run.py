"""The whole dry run: each step says what it found. What is wrong is kept for the end, and the next step goes on."""

from collections.abc import Callable
from copy import copy

from training.warehouse import queries
from training.warehouse.check import estimate
from training.warehouse.check.feature_values import check_features, check_view
from training.warehouse.check.findings import Findings
from training.warehouse.check.labels import Learnable, check_churn, check_offers
from training.warehouse.check.names import feature_problems, name_problems
from training.warehouse.connection import Warehouse
from training.warehouse.sample import CUSTOMERS


def dry_run(warehouse: Warehouse, say: Callable[[str], None]) -> Findings:
    """Takes every step that can be taken. `say` gets the lines for the person at the terminal."""
    findings = Findings(say)
    say("Looking at every configured name and type ...")
    wrong = name_problems(warehouse)
    for sentences in wrong.values():
        findings.problems.extend(sentences)
    if wrong:
        say(f"  {len(findings.problems)} wrong. What can be read without {', '.join(wrong)} follows.")
    else:
        say("  All are there and can be read.")
    usable = _without(warehouse, set(wrong))
    tables = usable.config.tables
    if not (tables.features or tables.transactions):
        return findings
    customers = _read_tables(usable, findings)
    with findings.keeping():
        for sentence in feature_problems(usable):
            findings.wrong(sentence)
        if told := queries.features_left_out(usable):
            findings.warn(f"[features] is not in the configuration: {told}")
    if customers:
        with findings.keeping():
            seconds = check_features(usable, customers, findings)
            say(f"  Estimate: materialize takes {estimate.of_materialize(seconds, customers)}.")
        with findings.keeping():
            check_view(usable, findings)
    learnable = dict[str, Learnable]()
    if (tables.churn or tables.transactions) and not wrong.keys() & {"churn", "transactions"}:
        with findings.keeping():
            learnable["churn"] = check_churn(usable, findings)
    if not wrong.keys() & {"offers", "transactions"}:
        with findings.keeping():
            nbo = check_offers(usable, findings)
            if nbo is not None:
                learnable["nbo"] = nbo
    if learnable:
        reading = sum(each.seconds for each in learnable.values())
        examples = {name: each.examples for name, each in learnable.items()}
        config = warehouse.config
        training = estimate.of_training(reading, examples, len(config.feature_names), config.evaluation.splits)
        say(f"Estimate, from the time that samples took to read: train takes {training}.")
    return findings


def _without(warehouse: Warehouse, tables: set[str]) -> Warehouse:
    """The same warehouse as if these tables were not configured."""
    config = warehouse.config
    kept = config.tables.model_copy(update=dict.fromkeys(tables))
    usable = copy(warehouse)
    usable.config = config.model_copy(update={"tables": kept})
    return usable


def _read_tables(warehouse: Warehouse, findings: Findings) -> int:
    """Runs each table's query for some rows, so that a cast that fails is known. Returns the number of customers."""
    findings.say("Reading some rows of each table, and counting them ...")
    tables, customers = warehouse.config.tables, 0
    for source, read in (
        (tables.transactions, warehouse.transactions),
        (tables.features, warehouse.features),
        (tables.churn, warehouse.churn),
        (tables.offers, warehouse.offers),
        (tables.customers, warehouse.customers),
    ):
        with findings.keeping():
            rows = read()
            if rows is None:
                continue
            warehouse.rows(rows.limit(CUSTOMERS))
            counts = rows.aggregate(rows=rows.count(), customers=rows.customer_id.nunique())
            row = warehouse.rows(counts).to_pylist()[0]
            findings.say(f"  {source}: {row['rows']:,} rows of {row['customers']:,} customers")
            if source == (tables.features or tables.transactions):
                customers = row["customers"]
    return customers
