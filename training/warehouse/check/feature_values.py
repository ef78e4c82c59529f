"""The features of about a thousand customers: where each comes from, what values it has, and what a view says of it."""

from collections.abc import Sequence

import numpy as np

from loyalty_ml.customers.table import LIFETIME_TRANSACTION_COUNT
from loyalty_ml.models.domain import Domain
from training.warehouse import lineage, queries
from training.warehouse.check.findings import Findings
from training.warehouse.comparison import compare
from training.warehouse.connection import Warehouse
from training.warehouse.domains import count_outside, inside_domains
from training.warehouse.sample import CUSTOMERS, read_sample

MANY_MISSING = 0.2


def check_features(warehouse: Warehouse, customers: int, findings: Findings) -> float:
    """customers: how many there are. Returns how many seconds reading all of them would take. Raises Problem."""
    findings.say(f"Computing the features of about {CUSTOMERS:,} customers ...")
    current = queries.current_features(warehouse)
    with findings.keeping():
        queries.rfm_features(warehouse.config, current.names)
    as_of = None if warehouse.config.tables.features else current.as_of

    def read(part: Warehouse) -> np.ndarray:
        found = queries.current_features(part, as_of)
        return queries.matrix(part, found.table, found.names)

    values, seconds = read_sample(warehouse, customers, read)
    found = len(values)
    if LIFETIME_TRANSACTION_COUNT in current.names:  # of who has not bought nothing can be computed
        values = values[values[:, current.names.index(LIFETIME_TRANSACTION_COUNT)] != 0]
    if found and not len(values):
        findings.wrong(
            f"None of {found:,} customers has a purchase: if purchases are negative, turn the sign of amount of "
            "[columns.transactions] in a query under [tables] transactions, or map another column."
        )
    sources = lineage.lineage(warehouse, "features", current.names)
    rows = [("feature", "from", "min", "median", "max", "missing")]
    for name, column in zip(current.names, values.T, strict=True):
        rows.append((name, str(sources[name]), *_spread(column)))
        if len(values):
            _judge(f"[features] {name}", str(sources[name]), column, findings)
    _judge_domains(warehouse, current.names, values, findings)
    without = f", {found - len(values):,} more without a purchase" if found > len(values) else ""
    findings.say(f"  {len(values):,} of {customers:,} customers{without}, as of {current.newest:%Y-%m-%d %H:%M} UTC:")
    findings.show(rows)
    return seconds


def check_view(warehouse: Warehouse, findings: Findings) -> None:
    """Shows where a features view and computed features disagree, if there are both. Raises Problem."""
    compared = compare(warehouse, "features")
    if compared is None:
        return
    for line in compared.lines():
        findings.say(line)
    if compared.differences:
        different = ", ".join(difference.feature for difference in compared.differences)
        findings.warn(
            f"{compared.table} and {compared.sources} do not agree on {different}: make the view by the "
            "definitions in docs/features.md, or leave [tables] features out."
        )


def _judge_domains(warehouse: Warehouse, names: Sequence[str], values: np.ndarray, findings: Findings) -> None:
    """Warns of values outside their domains: in all rows of a table that has them, of what is computed in the sample.

    Raises Problem.
    """
    domains = warehouse.config.domains_of(names)
    counted: set[str] = set()
    tables = {"features": warehouse.features(), "customers": warehouse.customers()}
    for key, table in tables.items():
        columns = [name for name in domains if table is not None and name in table.columns and name not in counted]
        counted.update(columns)
        if table is not None and columns:
            source = f"{getattr(warehouse.config.tables, key)}"
            for name, rows in count_outside(warehouse, table, {name: domains[name] for name in columns}).items():
                _warn_of_domain(name, domains[name], f"{rows:,} rows of {source}", findings)
    for place, name in enumerate(names):
        if name in domains and name not in counted:
            of_domain = inside_domains([name], values[:, [place]], domains).left_out
            for rows in of_domain.values():
                _warn_of_domain(name, domains[name], f"{rows:,} of {len(values):,} customers of a sample", findings)


def _warn_of_domain(name: str, domain: Domain, where: str, findings: Findings) -> None:
    findings.warn(
        f"[features] {name} is outside its domain ({domain}) in {where}. Training leaves such rows out, and these "
        f"customers get no answer that needs it: correct the data, or give the feature's domain under [domains]."
    )


def _spread(column: np.ndarray) -> tuple[str, str, str, str]:
    known = column[~np.isnan(column)]
    missing = 1 - len(known) / len(column) if len(column) else 1.0
    if not len(known):
        return "-", "-", "-", f"{missing:.1%}"
    low, middle, high = (f"{value:.6g}" for value in (known.min(), np.median(known), known.max()))
    return low, middle, high, f"{missing:.1%}"


def _judge(name: str, source: str, column: np.ndarray, findings: Findings) -> None:
    known = column[~np.isnan(column)]
    if not len(known):
        findings.wrong(
            f"{name} has no value for any of {len(column):,} customers ({source}): map another column, or leave it out."
        )
    elif len(known) < (1 - MANY_MISSING) * len(column):
        findings.warn(
            f"{name} is missing for {1 - len(known) / len(column):.0%} of customers ({source}). Training "
            "leaves such rows out, and these customers get no answer that needs it: fill it in, or leave it out."
        )
    elif known.min() == known.max():
        findings.warn(f"{name} is {known[0]:g} for everyone ({source}): nothing can be learnt from it.")
