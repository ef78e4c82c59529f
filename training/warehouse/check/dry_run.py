"""The whole dry run: each step says what it found. What is wrong is kept for the end, and the next step goes on."""

from collections.abc import Callable
from copy import copy

from ibis.expr import types as ir

from training.warehouse import cleaning, queries
from training.warehouse.check import estimate
from training.warehouse.check.feature_values import check_features, check_view
from training.warehouse.check.findings import Findings
from training.warehouse.check.identity import check_ids
from training.warehouse.check.labels import Learnable, check_churn, check_offers
from training.warehouse.check.names import feature_problems, name_problems
from training.warehouse.connection import TableName, Warehouse, is_of_offers
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
    unusable = set(wrong)
    usable = _without(warehouse, unusable)
    tables = usable.config.tables
    if not (tables.features or tables.transactions):
        return findings
    customers = _read_tables(usable, findings)
    if customers:
        unusable |= check_ids(usable, findings)
        usable = _without(warehouse, unusable)
        tables = usable.config.tables
    with findings.keeping():
        for sentence in feature_problems(usable):
            findings.wrong(sentence)
        if told := queries.features_left_out(usable):
            findings.warn(f"[features] is not in the configuration: {told}")
    with findings.keeping():
        seconds = check_features(usable, customers, findings)
        say(f"  Estimate: materialize takes {estimate.of_materialize(seconds, customers)}.")
    with findings.keeping():
        check_view(usable, findings)
    learnable = dict[str, Learnable]()
    if (tables.churn or tables.transactions) and not unusable & {"churn", "transactions"}:
        findings.models.append("churn")
        with findings.keeping():
            learnable["churn"] = check_churn(usable, findings)
    if customers and not unusable & {"offers", "transactions"}:
        with findings.keeping():
            nbo = check_offers(usable, findings)
            if nbo is not None:
                findings.models.append("nbo")
                learnable["nbo"] = nbo
    if learnable:
        reading = sum(each.seconds for each in learnable.values())
        examples = {name: each.examples for name, each in learnable.items()}
        config = warehouse.config
        training = estimate.of_training(reading, examples, len(config.feature_names), config.evaluation.splits)
        say(f"Estimate, from the time that samples took to read: train takes {training}.")
    return findings


def _without(warehouse: Warehouse, tables: set[str]) -> Warehouse:
    """The same warehouse as if these tables were not configured, and of customers and offers their features neither."""
    config = warehouse.config
    changes: dict[str, object] = {}
    # Without these tables they would be looked for in the others.
    lost = set(config.customer_features) if "customers" in tables else set()
    if "offers" in tables and config.tables.offers:
        lost |= {name for name, source in config.table_features.items() if is_of_offers(name, source)}
    if lost:
        kept_features = {name: source for name, source in config.features.items() if name not in lost}
        changes["features"] = kept_features
        if not kept_features:
            tables = set(type(config.tables).model_fields)  # nothing is left to compute
    usable = copy(warehouse)
    kept = config.tables.model_copy(update=dict.fromkeys(tables))
    usable.config = config.model_copy(update={**changes, "tables": kept})
    return usable


def _read_tables(warehouse: Warehouse, findings: Findings) -> int:
    """Runs each table's query for some rows, so that a cast that fails is known. Returns the number of customers."""
    findings.say("Reading some rows of each table, and counting them ...")
    tables, customers = warehouse.config.tables, 0
    reads: dict[TableName, Callable[[], ir.Table | None]] = {
        "transactions": warehouse.transactions,
        "features": warehouse.features,
        "churn": warehouse.churn,
        "offers": warehouse.offers,
        "customers": warehouse.customers,
    }
    for key, read in reads.items():
        with findings.keeping():
            rows = read()
            if rows is None:
                continue
            warehouse.rows(rows.limit(CUSTOMERS))
            known = warehouse.rows(rows.aggregate(customers=rows.customer_id.nunique()))["customers"][0].as_py()
            read_and_left_out, *reasons = cleaning.account(str(getattr(tables, key)), warehouse.left_out(key))
            findings.say(f"  {read_and_left_out}, of {known:,} customers")
            for reason in reasons:
                findings.say(f"  {reason}")
            if key == ("features" if tables.features else "transactions"):
                customers = known
    return customers
