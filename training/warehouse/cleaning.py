"""Which rows of a warehouse's table are left out, and why; and ids as one kind of text in every table.

Bad rows are no reason to stop a run. Each row gets the first reason that it is left out for, NULL if it stays, by
expressions that the warehouse works out: nothing is copied. One query counts them.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from typing import Any, NamedTuple

import ibis
from ibis.expr import datatypes as dt
from ibis.expr import types as ir

NO_CUSTOMER = "no customer id"
NO_DATE = "no date"
NOT_WHOLE = "an id that is not a whole number"
ID_IS_WHOLE, HAS_CUSTOMER, RAW_ID = "_id_is_whole", "_has_customer", "_raw_id"
OF_OFFER = OFFER_IS_WHOLE, RAW_OFFER = "_offer_is_whole", "_raw_offer"
LEFT_OUT, AGAIN, PLACE, RANK, NEWEST, KINDS = "_left_out", "_again", "_place", "_rank", "_newest", "_kinds"
"""Columns beside the warehouse's own. No feature's name begins with _, so none is taken for them."""
LARGEST_AMOUNT = 10**12
OLDEST = datetime(1900, 1, 1)  # noqa: DTZ001  # as the tables give moments
NEWEST_DATE = datetime(9999, 12, 31)  # noqa: DTZ001  # as the tables give moments
LARGEST_INTEGER = 2.0**63


@dataclass(frozen=True, slots=True)
class Reason:
    """Why rows are left out: how many, and one of them in the warehouse's own column names."""

    count: int
    example: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What was read of a table.

    rows:     all of them.
    reasons:  those that are left out, by reason, the most frequent first.
    first, last: the moments of the rows that stay, on the clock of windows.time_zone; None if no row stays.
    """

    rows: int = 0
    reasons: dict[str, Reason] = field(default_factory=dict)
    first: datetime | None = None
    last: datetime | None = None

    @property
    def total(self) -> int:
        return sum(reason.count for reason in self.reasons.values())

    @property
    def rejected(self) -> dict[str, Reason]:
        """The reasons that are faults. A row without a customer is none: guests are normal."""
        return {name: reason for name, reason in self.reasons.items() if name != NO_CUSTOMER}

    def rejected_share(self) -> float:
        """Of the rows that have a customer."""
        with_customer = self.rows - (self.reasons[NO_CUSTOMER].count if NO_CUSTOMER in self.reasons else 0)
        return sum(reason.count for reason in self.rejected.values()) / with_customer if with_customer else 0


class Fault(NamedTuple):
    """Why a row breaks a rule: which rows it is true of, and what to do if there are too many."""

    reason: str
    found: Callable[[ir.Table], ir.BooleanValue]
    remedy: str


def otherwise(_: ir.Table) -> ir.BooleanValue:
    """The fault of every row that breaks the rule in none of the ways before."""
    return ibis.literal(True)


class Rule(NamedTuple):
    """What rows that stay are like, and what is wrong with the others: the last fault is found in all that are left.

    good is one cheap condition, as all rows are held against it: over 2.2 million lines the faults one by one took
    DuckDB 1.8 s and this takes 0.7, where reading them takes 0.6. A row of which it is NULL breaks the rule.
    """

    good: Callable[[ir.Table], ir.BooleanValue]
    faults: Sequence[Fault]


@dataclass(frozen=True, slots=True)
class Marked:
    """A table with the column LEFT_OUT, each row's reason.

    name:     the table's, in the warehouse.
    good:     the rows that have no reason, by a condition that is cheaper than LEFT_OUT.
    moment:   the column that is the rows' moment.
    shown:    what an example shows: the warehouse's name of a column, and ours.
    remedies: what to do about each reason.
    """

    name: str
    table: ir.Table
    good: Sequence[ir.BooleanValue]
    columns: tuple[str, ...]
    moment: str
    shown: Mapping[str, str]
    remedies: Mapping[str, str]

    def kept(self) -> ir.Table:
        return self.table.filter(*self.good).select(*self.columns)

    def counts(self) -> ir.Table:
        """A row a reason, and one for the rows that stay: left_out, rows, example, first, last."""
        table = self.table
        pieces = [
            ibis.literal(f"{', ' if place else ''}{theirs} ") + table[ours].cast("string").fill_null("NULL")
            for place, (theirs, ours) in enumerate(self.shown.items())
        ]
        example = pieces[0]
        for piece in pieces[1:]:
            example = example + piece
        moment, stays = table[self.moment], table[LEFT_OUT].isnull()
        # Of rows that stay, as 'infinity' and the year 290,000 are moments to a warehouse and not to Python.
        known = stays & moment.between(OLDEST, NEWEST_DATE)
        return table.group_by(left_out=table[LEFT_OUT]).aggregate(
            rows=table.count(),
            example=ibis.ifelse(stays, ibis.null("string"), example).min(),
            first=moment.min(where=known),
            last=moment.max(where=known),
        )


def left_out(rows: Sequence[Mapping[str, Any]]) -> LeftOut:
    """From what Marked.counts() gives."""
    stay: Mapping[str, Any] = next((row for row in rows if row["left_out"] is None), {})
    found = sorted(
        (row for row in rows if row["left_out"] is not None), key=lambda row: (-row["rows"], row["left_out"])
    )
    return LeftOut(
        rows=sum(row["rows"] for row in rows),
        reasons={row["left_out"]: Reason(row["rows"], row["example"]) for row in found},
        first=stay.get("first"),
        last=stay.get("last"),
    )


def is_of_a_kind(kind: dt.DataType) -> bool:
    """Whether a column of this type can hold ids or codes."""
    return not isinstance(
        kind, dt.Boolean | dt.Temporal | dt.Interval | dt.Binary | dt.Array | dt.Map | dt.Struct | dt.JSON
    )


def id_text(column: ir.Value) -> ir.StringValue:
    """The id as text, the same for the same id whatever type a table has it in; NULL for none. Codes are read so too.

    A number that is whole has no point and no exponent: 1000.00 and 1e3 are "1000". NULL too for one that is not, see
    is_whole. A text loses its trailing blanks, which fixed-width columns add, and keeps leading ones and zeros.
    """
    kind = column.type()
    if isinstance(kind, dt.Floating):
        # A float's own text would be 1000.0 or 1e+16.
        return ibis.ifelse(is_whole(column), column.cast("float64"), ibis.null("float64")).cast("int64").cast("string")
    if isinstance(kind, dt.Decimal) and kind.scale != 0:
        return ibis.ifelse(is_whole(column), column.cast("string").re_replace(r"\.0*$", ""), ibis.null("string"))
    if isinstance(kind, dt.String):
        # Few end with one: to trim all of 2.3 million took DuckDB as long as half of the features.
        ends_blank = reduce(operator.or_, (column.endswith(blank) for blank in " \t\n\r\v\f"))
        # Joined to nothing, a column of fixed width is a text, which has none at its end.
        return ibis.ifelse(ends_blank, column.rstrip(), column + "").nullif("")
    return column.cast("string")


def is_whole(column: ir.Value) -> ir.BooleanValue:
    """Whether an id is a whole number, or of a type that has no others; True for NULL."""
    kind = column.type()
    if isinstance(kind, dt.Floating):
        number = column.cast("float64")
        finite = ibis.ifelse(number.abs() < LARGEST_INTEGER, number, ibis.null("float64"))  # NaN is over all numbers
        return column.isnull() | (finite.floor() == finite).fill_null(False)
    if isinstance(kind, dt.Decimal) and kind.scale != 0:
        # By its text: a decimal's floor overflows beyond 38 digits, and PostgreSQL's may be NaN.
        return column.cast("string").re_search(r"^-?[0-9]+(\.0*)?$").fill_null(True)
    return ibis.literal(True)


def has_customer(column: ir.Value) -> ir.BooleanValue:
    """Whether id_text() is one; cheaper, as a number is not made a text for it."""
    return id_text(column).notnull() if isinstance(column.type(), dt.String) else column.notnull()


def is_amount(column: ir.Value) -> ir.BooleanValue:
    """Whether it is a number that can be money. DuckDB and PostgreSQL have NaN over all numbers, decimals too."""
    return column.between(-LARGEST_AMOUNT, LARGEST_AMOUNT)


def map_another(key: str, section: str) -> str:
    """A remedy: the key of the configuration that names the column."""
    return f"map another column as {key} under [columns.{section}]"


def customer_rules(section: str) -> list[Rule]:
    """The table has ID_IS_WHOLE and HAS_CUSTOMER. section: its key under [tables] and [columns]."""
    remedy = map_another("customer_id", section)
    return [
        Rule(lambda table: table[ID_IS_WHOLE], [Fault(NOT_WHOLE, otherwise, remedy)]),
        Rule(lambda table: table[HAS_CUSTOMER], [Fault(NO_CUSTOMER, otherwise, remedy)]),
    ]


def moment_rule(column: str, until: datetime, remedy: str) -> Rule:
    """until: on the clock of windows.time_zone. remedy: what to do if there is none."""
    return Rule(
        lambda table: table[column].between(OLDEST, until),
        [
            Fault(NO_DATE, lambda table: table[column].isnull(), remedy),
            Fault("dated before 1900", lambda table: table[column] < OLDEST, "correct the dates"),
            Fault(
                "dated after this run",
                otherwise,
                "correct the dates, or name the zone that they are in as [windows] time_zone",
            ),
        ],
    )


def amount_rule() -> Rule:
    absurd = f"an amount that is not a number, infinite or over {LARGEST_AMOUNT:,}"
    return Rule(
        lambda table: is_amount(table.amount),
        [
            Fault("no amount", lambda table: table.amount.isnull(), map_another("amount", "transactions")),
            Fault(absurd, otherwise, "correct the amounts"),
        ],
    )


def label_rule(remedy: str) -> Rule:
    return Rule(lambda table: table.happened.notnull(), [Fault("no label", otherwise, remedy)])


def offer_rule(codes: Sequence[str]) -> Rule:
    """codes: those of the catalogue; none if all are known."""
    unknown, remedy = "an offer that the catalogue does not have", map_another("offer_id", "offers")
    return Rule(
        lambda table: table.offer.isin(codes) if codes else table.offer.notnull(),
        [
            Fault("an offer that is not a whole number", lambda table: ~table[OFFER_IS_WHOLE], remedy),
            Fault("no offer", lambda table: table.offer.isnull(), remedy),
            Fault(unknown, otherwise, f"put the offers under [[offers]], or {remedy}"),
        ],
    )


def feature_rules(names: Sequence[str]) -> list[Rule]:
    """NULL is no fault of a row: it says that the customer has no such value."""

    def rule(name: str) -> Rule:
        fault = Fault(f"{name} is infinite or not a number", otherwise, "correct the values, or make them NULL")
        return Rule(lambda table: (~(table[name].isnan() | table[name].isinf())).fill_null(True), [fault])

    return [rule(name) for name in names]


def mark(
    name: str, table: ir.Table, rules: Sequence[Rule], *, moment: str, shown: Mapping[str, str], columns: Sequence[str]
) -> Marked:
    """Each row with the fault by which it breaks the first of the rules that it breaks."""
    left_out: ir.Value = ibis.null("string")
    for rule in reversed(rules):
        *told, rest = rule.faults
        reason = ibis.literal(rest.reason)
        for fault in reversed(told):
            reason = ibis.ifelse(fault.found(table), fault.reason, reason)
        left_out = ibis.ifelse(rule.good(table), left_out, reason)
    marked = table.mutate(**{LEFT_OUT: left_out})
    remedies = {fault.reason: fault.remedy for rule in rules for fault in rule.faults}
    good = [rule.good(marked) for rule in rules]
    return Marked(name, marked, good, tuple(columns), moment, shown, remedies)


REPEATED_EXPOSURE = "the same customer, moment and offer again"
OLDER = "an older row of the same customer"
IDENTICAL = "the same row again"
DIFFERENT_CUSTOMER = "rows of the same customer that differ"
DIFFERENT = "rows of the same customer and moment that differ"


def once_each_exposure(marked: Marked) -> Marked:
    """Of the rows of a customer, moment and offer one stays, a converted one if there is one."""
    table = marked.table
    rest = [name for name in marked.columns if name not in {"customer_id", "moment", "offer", "happened"}]
    again = ibis.row_number().over(
        group_by=[table[LEFT_OUT].isnull(), table.customer_id, table.moment, table.offer],
        order_by=[table.happened.desc(), *(table[name] for name in rest)],
    )
    numbered = table.mutate(**{AGAIN: again})
    return _and_also(marked, numbered, [(numbered[AGAIN] > 0, REPEATED_EXPOSURE)], "leave the repeated rows out")


def once_each_moment(marked: Marked, *, newest_only: bool) -> Marked:
    """Of identical rows of a customer and moment one stays; of those that differ none, as no one knows which is right.

    newest_only: of a customer's moments only the newest stays.
    """
    by = [marked.table[LEFT_OUT].isnull(), marked.table.customer_id]
    newest = marked.table[marked.moment].max().over(group_by=by)
    compared = _compared(marked, marked.table.mutate(**{NEWEST: newest}), ("customer_id", marked.moment))
    cases = [(compared[KINDS] > 0, DIFFERENT), (compared[PLACE] > 0, IDENTICAL)]
    if newest_only:
        cases.insert(0, (compared[marked.moment] < compared[NEWEST], OLDER))
    return _and_also(marked, compared, cases, "give each customer and moment one row")


def once_each_customer(marked: Marked) -> Marked:
    """The same of a table that has no moments: a row a customer."""
    compared = _compared(marked, marked.table, ("customer_id",))
    cases = [(compared[KINDS] > 0, DIFFERENT_CUSTOMER), (compared[PLACE] > 0, IDENTICAL)]
    remedy = "give each customer one row, or choose one by a query under [tables] customers"
    return _and_also(marked, compared, cases, remedy)


def _compared(marked: Marked, table: ir.Table, key: Sequence[str]) -> ir.Table:
    """With each row's place among those of the same key, and whether these differ: KINDS over 0."""

    def of_key(rows: ir.Table) -> list[ir.Value]:
        return [rows[LEFT_OUT].isnull(), *(rows[name] for name in key)]

    same = ibis.window(group_by=of_key(table), order_by=[table[name] for name in marked.columns if name not in key])
    ranked = table.mutate(**{PLACE: ibis.row_number().over(same), RANK: ibis.rank().over(same)})
    return ranked.mutate(**{KINDS: ranked[RANK].max().over(group_by=of_key(ranked))})


def _and_also(marked: Marked, table: ir.Table, cases: Sequence[tuple[ir.BooleanValue, str]], remedy: str) -> Marked:
    """The same with reasons more for the rows that have none."""
    more = ibis.cases(*cases, else_=ibis.null("string"))
    both = table.mutate(**{LEFT_OUT: table[LEFT_OUT].coalesce(more)})
    return Marked(
        marked.name,
        both,
        [both[LEFT_OUT].isnull()],
        marked.columns,
        marked.moment,
        marked.shown,
        {**marked.remedies, **{reason: remedy for _, reason in cases}},
    )


def refusal(marked: Marked, counts: LeftOut, max_rejected_share: float) -> str | None:
    """Why the run is refused; None if no more than max_rejected_share of the rows are left out."""
    share = counts.rejected_share()
    if share <= max_rejected_share:
        return None
    reason, most = next(iter(counts.rejected.items()))
    rejected = sum(each.count for each in counts.rejected.values())
    return (
        f"{rejected:,} of {counts.rows:,} rows of {marked.name} cannot be used, mostly ({most.count:,}) because of: "
        f"{reason} (such as {most.example}). That is {share:.1%}, over [reading] max_rejected_share "
        f"({max_rejected_share:g}): {marked.remedies[reason]}, leave such rows "
        "out in the warehouse, or raise that share."
    )


def account(name: str, counts: LeftOut) -> list[str]:
    """Lines for people: rows read, and those left out by reason with an example."""
    read = f"{name}: {counts.rows:,} rows read"
    if not counts.reasons:
        return [read]
    reasons = [f"  {one.count:,}: {reason} (such as {one.example})" for reason, one in counts.reasons.items()]
    return [f"{read}, {counts.total:,} left out", *reasons]
