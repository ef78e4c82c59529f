"""What there is to learn from: labels, positives and exposures counted over all, and what a sample leaves out."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Literal, NamedTuple

from training.config import MIN_OFFERS, Nbo
from training.errors import Problem
from training.warehouse import lineage, queries, young
from training.warehouse.check.active import show_active
from training.warehouse.check.churn_windows import DAYS, RETURN_DAYS, ChurnWindow, churn_windows
from training.warehouse.check.exposures import Exposures, exposures
from training.warehouse.check.findings import Findings, share
from training.warehouse.comparison import check_recomputed
from training.warehouse.connection import Warehouse
from training.warehouse.domains import is_of_domain
from training.warehouse.examples import Examples
from training.warehouse.lineage import FeatureTable
from training.warehouse.sample import read_sample, sample
from training.warehouse.source import listed

MANY_RETURNED = 0.3
OF_SAMPLE = {queries.NO_PURCHASE, queries.FEATURE_MISSING, queries.NOT_FINITE}
"""What is known of a sample only, and values outside their domains; other reasons are counted over all rows."""
READ = {"churn": queries.churn_examples, "nbo": queries.offer_examples}


class Labels(NamedTuple):
    """Counts of a labelled table, or of labels made from transactions, over all customers."""

    source: str
    examples: int
    positives: int
    customers: int


class Learnable(NamedTuple):
    """About how many examples a model would have, how many seconds reading them would take, and those of a sample."""

    examples: int
    seconds: float
    sampled: Examples | None


def check_churn(warehouse: Warehouse, findings: Findings) -> Learnable:
    """Raises Problem."""
    findings.say("Counting who churned ...")
    tables, windows = warehouse.config.tables, warehouse.config.windows
    transactions = warehouse.transactions()
    labels = None
    if transactions is not None:
        span = queries.transaction_span(warehouse)
        found = churn_windows(warehouse, transactions, span, sorted({*DAYS, windows.churn_days}))
        _show_windows(found, windows.churn_days, findings)
        (ours,) = (each for each in found if each.days == windows.churn_days)
        if tables.churn is None:
            _judge_window(ours, findings)
            labels = Labels(str(tables.transactions), ours.examples, ours.churned, ours.customers)
    labels = labels or _labelled(warehouse)
    findings.say(
        f"  churn, from {labels.source}: {labels.examples:,} examples of {labels.customers:,} customers, "
        f"{labels.positives:,} churned ({share(labels.positives, labels.examples)})"
    )
    remedy = (
        "map another column as churned under [columns.churn], or correct its data"
        if tables.churn
        else "choose another length for [windows] churn_days"
    )
    return _check_examples(warehouse, "churn", labels, remedy, findings)


def check_offers(warehouse: Warehouse, findings: Findings) -> Learnable | None:
    """None if there is no offers table. Raises Problem."""
    table = warehouse.offers()
    if table is None:
        findings.say("There is no offers table ([tables] offers): nbo would not be trained.")
        return None
    findings.say("Counting exposures and conversions by offer ...")
    name, minimum = str(warehouse.config.tables.offers), warehouse.config.nbo
    table, young_ones = young.old_enough(warehouse, table)
    if young_ones:
        findings.say(f"  {name}: {young_ones:,} exposures are left out, {young.reason(warehouse)}.")
    found = exposures(warehouse, table)
    customers = warehouse.rows(table.aggregate(customers=table.customer_id.nunique()))["customers"][0].as_py()
    labels = Labels(
        name,
        sum(each.shown for each in found),
        sum(each.converted for each in found),
        customers,
    )
    remedy = "map another column as converted under [columns.offers], or correct its data"
    learnable = _check_examples(warehouse, "nbo", labels, remedy, findings)
    left = found if learnable.sampled is None else _learnable(warehouse, found, learnable.sampled, customers)
    rows: list[tuple[str, ...]] = [("offer", "name", "shown", "converted", "refused", "rate", "learnt")]
    rows += [
        (
            each.offer,
            each.name,
            *(f"{count:,}" for count in (each.shown, each.converted, each.refused)),
            share(each.converted, each.shown),
            "yes" if kept.is_learnt(minimum) else "no",
        )
        for each, kept in zip(found, left, strict=True)
    ]
    findings.show(rows)
    _judge_offers(name, left, minimum, findings)
    return learnable


def _learnable(warehouse: Warehouse, shown: Sequence[Exposures], examples: Examples, customers: int) -> list[Exposures]:
    """About how many exposures of each offer training would count as evidence: its examples, not all that was shown.

    examples: of a sample. Which share of an offer's exposures they are is the offer's own: what lacks a feature may be
    one early campaign.
    """
    part = sample(warehouse, customers)
    table = part.offers()
    if table is None or examples.offers is None:
        return list(shown)
    in_sample = {each.offer: each.shown for each in exposures(part, young.old_enough(part, table)[0])}
    kept = Counter(examples.catalogue[place].offer_code for place in examples.offers)
    return [
        each.reduced(kept[each.offer] / in_sample[each.offer]) if in_sample.get(each.offer) else each for each in shown
    ]


def _labelled(warehouse: Warehouse) -> Labels:
    table = warehouse.churn()
    if table is None:
        raise Problem("There is neither a churn table nor transactions: name churn or transactions under [tables].")
    labelled = table.filter(table.happened.notnull())
    counts = labelled.aggregate(
        examples=labelled.count(), positives=labelled.happened.sum(), customers=labelled.customer_id.nunique()
    )
    row = warehouse.rows(counts).to_pylist()[0]
    return Labels(str(warehouse.config.tables.churn), row["examples"], row["positives"] or 0, row["customers"])


def _check_examples(
    warehouse: Warehouse, model: Literal["churn", "nbo"], labels: Labels, remedy: str, findings: Findings
) -> Learnable:
    """Makes examples of a sample as training makes them of all, and holds the counts to [gates]."""
    table: FeatureTable = "churn" if model == "churn" else "offers"
    read: Callable[[Warehouse], Examples | None] = READ[model]
    with findings.keeping():
        check_recomputed(warehouse, table, lambda line: findings.say(f"  {line}"))
    gates, found, seconds, kept = warehouse.config.gates, None, 0.0, 1.0
    customers = labels.customers
    # Of a rare outcome a sample may have none: the counts of all decide that below.
    with findings.keeping(model), suppress(queries.SameLabel, young.AllYoung):
        found, seconds = read_sample(warehouse, labels.customers, read)
    if found is not None:
        left_out = {
            reason: rows for reason, rows in found.left_out.items() if reason in OF_SAMPLE or is_of_domain(reason)
        }
        sampled = len(found) + sum(left_out.values())
        kept = len(found) / sampled
        # Not the share of the rows: who lacks one of several examples is still a customer.
        customers = min(customers, len(set(found.customer_ids)) * sample(warehouse, labels.customers).every)
        for reason, rows in left_out.items():
            findings.say(f"  {model}: left out of a sample of {sampled:,}, {reason}: {rows:,}")
        for line in lineage.lines(lineage.lineage(warehouse, table, found.names)):
            findings.say(f"  {model}: features are {line}")
        show_active(found, warehouse.config.windows.days_of_the_active, findings)
    rarer = min(labels.positives, labels.examples - labels.positives)
    if model == "nbo" and labels.positives == labels.examples:
        rarer = labels.examples  # those taken may be all that is known: then it is learnt which one was
    if not labels.examples:
        findings.wrong(
            f"{model}: {labels.source} gives no example: bring data, or name another table under [tables].", model
        )
    elif not rarer:
        findings.wrong(
            f"{model}: all {labels.examples:,} examples of {labels.source} have the same label: {remedy}.", model
        )
    else:
        for unit, count, key in (
            ("examples of the rarer outcome", rarer * kept, "minimum_positives"),
            ("customers", customers, "minimum_customers"),
        ):
            if count < getattr(gates, key):
                findings.wrong(
                    f"{model}: about {count:,.0f} {unit} of {labels.source} can be learnt from, and [gates] "
                    f"{key} asks for {getattr(gates, key):,}: bring more data, or lower it.",
                    model,
                )
    return Learnable(round(labels.examples * kept), seconds, found)


def _show_windows(found: Sequence[ChurnWindow], configured: int, findings: Findings) -> None:
    rows = [("days without a purchase", "churned", "came back later", "examples")]
    for each in found:
        days = f"{each.days} (configured)" if each.days == configured else str(each.days)
        if not each.moments:
            rows.append((days, "the data is too short", "", ""))
            continue
        latest = each.moments[0]
        back = "the data is too short" if each.returned is None else f"{each.returned:.1%}"
        if each.returned is not None and each.return_days != RETURN_DAYS:
            back += f" in {each.return_days} days"
        rows.append((days, share(latest.churned, latest.customers), back, f"{each.examples:,}"))
    findings.show(rows)
    findings.say(
        f"  Came back later: of those who churned at an earlier moment, who bought in the {RETURN_DAYS} days after the "
        "window."
    )
    findings.say("  Few should come back from what you call churn: choose [windows] churn_days by that.")


def _judge_window(ours: ChurnWindow, findings: Findings) -> None:
    if not ours.moments:
        findings.wrong(
            f"The transactions are too short to look {ours.days} days ahead: lower [windows] churn_days, or bring an "
            "older history.",
            "churn",
        )
    elif ours.returned is not None and ours.returned > MANY_RETURNED:
        findings.warn(
            f"{ours.returned:.0%} of those who count as churned came back by themselves within "
            f"{ours.return_days} days: raise [windows] churn_days ({ours.days})."
        )


def _judge_offers(name: str, found: Sequence[Exposures], minimum: Nbo, findings: Findings) -> None:
    few = [each for each in found if not each.is_learnt(minimum)]
    asked = f"at least {minimum.minimum_conversions} conversions and {minimum.minimum_refusals} refusals"
    if any(each.shown for each in found) and not any(each.refused for each in found):
        findings.warn(
            f"{name} has only exposures that converted, so it says which offer was taken and not whether one is: bring "
            "those that did not convert too."
        )
    elif few and len(found) - len(few) < MIN_OFFERS:
        which = "no offer" if len(few) == len(found) else "only one offer"
        findings.wrong(
            f"nbo: {which} of {name} has {asked}, so there would be nothing to choose from: show the offers more "
            "often, or lower [nbo] minimum_conversions or minimum_refusals.",
            "nbo",
        )
    elif few:
        findings.warn(
            f"Offers that would not be recommended, as they do not have {asked}: "
            f"{listed(f'{each.title} about {each.converted:,} and {each.refused:,}' for each in few)}. To learn of "
            f"them, set explore under their [[offers]], which gives them to a share of the customers, or remove them "
            f"from [[offers]] and from {name}."
        )
