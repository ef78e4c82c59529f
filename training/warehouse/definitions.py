"""What makes each feature: the part of the configuration that it depends on, and the number of its formula in the code.

Written into a model's card and into the snapshot's, so that a model goes on reading what it was trained on. A
definition is a text: a hash, then the parts that it is of, such as "1a2b3c4d5e6f: [windows] year_days = 365; ...".
"""

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

import sqlglot
from sqlglot.errors import TokenError

from training.config import OFFER_FEATURES, Config, FeatureSource, column_of, names_of

FORMULAS: Mapping[str, int] = {
    "revenue": 1,
    "transaction_count": 1,
    "days_since_last": 1,
    "avg_transaction_value": 1,
    "lifetime_value": 1,
    "customer_age_days": 1,
    "monthly_revenue": 1,
    "product_count": 1,
    "service_count": 1,
    "engagement_score": 1,
    "lifetime_transaction_count": 1,
    "rfm_transaction_count": 1,
    "rfm_revenue": 1,
    "offers_seen": 1,
    "offers_taken": 1,
    "offer_take_rate": 1,
    "days_since_offer": 1,
}
"""The features that are computed. Whoever changes how one is computed adds 1 to its number."""

_WINDOWS = {
    "year_days": ("revenue", "transaction_count", "avg_transaction_value", "days_since_offer"),
    "month_days": ("monthly_revenue",),
    "engagement_weeks": ("engagement_score",),
    "offer_days": OFFER_FEATURES,
    # Of labels, not of features.
    "churn_days": (),
    "churn_snapshots": (),
    "active_days": (),
}
"""The features that a window is for; one that is not here is for all that are computed."""
_COLUMNS = {"product": ("product_count",), "service": ("service_count",)}
_RFM = {"window_days": ("rfm_transaction_count", "rfm_revenue")}
"""The same of the columns of transactions, and of the keys under [rfm]."""


def definitions(config: Config) -> dict[str, str]:
    """Of each configured feature and of each that is computed, by name."""
    parts = {
        made: _of_column(name, made, source, config)
        for name, source in config.features.items()
        for made in names_of(name, source)
    }
    for name in FORMULAS:
        if getattr(config.tables, _table_of(name)) is None:
            continue
        parts[name] = parts.get(name, {}) | _of_formula(name, config)
    return {name: _definition(each) for name, each in parts.items()}


def definitions_of(config: Config, features: Iterable[str]) -> dict[str, str]:
    """Of these features only, as far as there is one."""
    all_of_them = definitions(config)
    return {name: all_of_them[name] for name in features if name in all_of_them}


def _of_column(name: str, made: str, source: FeatureSource, config: Config) -> dict[str, str]:
    """Of the feature `made` that an entry of [features] makes: a category more or less does not change the others."""
    settings = config.model_dump(mode="json")
    table = "customers" if name in config.customer_features else "features"
    parts = {}
    if settings["tables"][table]:
        parts[f"[tables] {table}"] = _shown(settings["tables"][table])
    if made != name:
        parts[f"category of {name}"] = _shown(made.removeprefix(f"{name}_"))
    return parts | {f"[features] {name}": _shown(column_of(source))}


def _table_of(name: str) -> str:
    return "offers" if name in OFFER_FEATURES else "transactions"


def _of_formula(name: str, config: Config) -> dict[str, str]:
    settings, table = config.model_dump(mode="json"), _table_of(name)
    parts = {
        f"formula of {name}": str(FORMULAS[name]),
        f"[tables] {table}": _shown(settings["tables"][table]),
    }
    for section, named, restricted in (
        (f"columns.{table}", settings["columns"][table], _COLUMNS),
        ("windows", settings["windows"], _WINDOWS),
        ("rfm", settings["rfm"], _RFM),
    ):
        for key, value in named.items():
            if name in restricted.get(key, (name,)):
                parts[f"[{section}] {key}"] = _shown(value)
    return parts


def _shown(value: Any) -> str:
    """A name or number as in the file; of a query its hash, which is short and tells nothing of what it reads."""
    if isinstance(value, Mapping) and "query" in value:  # the text of a file too, as the configuration has read it
        return f"query {sha256(_words(value['query']).encode()).hexdigest()[:12]}"
    return json.dumps(value, ensure_ascii=False).replace(";", ",")


def _words(sql: str) -> str:
    """The query without its comments, and with one blank wherever it has some outside quotes."""
    try:
        tokens = sqlglot.tokenize(sql)
    except TokenError:  # a warehouse's own way of writing
        return sql
    return " ".join(sql[token.start : token.end + 1] for token in tokens)


def _definition(parts: Mapping[str, str]) -> str:
    text = "; ".join(f"{key} = {value}" for key, value in parts.items())
    return f"{sha256(text.encode()).hexdigest()[:12]}: {text}"
