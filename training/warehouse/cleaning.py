"""Which rows of a warehouse's table are left out, and why; and ids as one kind of text in every table.

Bad rows are no reason to stop a run. Each row gets the first reason that it is left out for, NULL if it stays, by
expressions that the warehouse works out: nothing is copied. One query counts them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import ibis
from ibis.expr import datatypes as dt
from ibis.expr import types as ir

NO_CUSTOMER = "no customer id"
NO_DATE = "no date"
NOT_WHOLE = "an id that is not a whole number"
LARGEST_AMOUNT = 10**12
OLDEST = datetime(1900, 1, 1)  # noqa: DTZ001  # as the tables give moments
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


class Check(NamedTuple):
    """A reason to leave rows out: which they are, and what to do if there are too many.

    bad may be NULL only for rows that an earlier check has.
    """

    reason: str
    bad: Callable[[ir.Table], ir.BooleanValue]
    remedy: str


@dataclass(frozen=True, slots=True)
class Marked:
    """A table with the column left_out, each row's reason.

    name:     the table's, in the warehouse.
    moment:   the column that is the rows' moment.
    shown:    what an example shows: the warehouse's name of a column, and ours.
    remedies: what to do about each reason.
    """

    name: str
    table: ir.Table
    columns: tuple[str, ...]
    moment: str
    shown: Mapping[str, str]
    remedies: Mapping[str, str]

    def kept(self) -> ir.Table:
        return self.table.filter(self.table.left_out.isnull()).select(*self.columns)

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
        return table.group_by("left_out").aggregate(
            rows=table.count(),
            example=ibis.ifelse(table.left_out.notnull(), example, ibis.null("string")).min(),
            first=table[self.moment].min(),
            last=table[self.moment].max(),
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


def customer_id(column: ir.Value) -> ir.StringValue:
    """The id as text, the same for the same id whatever type a table has it in; NULL for none.

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
        return column.rstrip().nullif("")
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


def is_amount(column: ir.Value) -> ir.BooleanValue:
    """Whether it is a number that can be money. DuckDB and PostgreSQL have NaN over all numbers, decimals too."""
    return column.abs() <= LARGEST_AMOUNT


def customer_checks() -> list[Check]:
    """The table has customer_id and id_is_whole."""
    return [
        Check(NOT_WHOLE, lambda table: ~table.id_is_whole, "map a column of whole numbers or texts"),
        Check(NO_CUSTOMER, lambda table: table.customer_id.isnull(), "map another column"),
    ]


def moment_checks(column: str, until: datetime) -> list[Check]:
    """until: on the clock of windows.time_zone."""
    return [
        Check(NO_DATE, lambda table: table[column].isnull(), "map another column"),
        Check("dated before 1900", lambda table: table[column] < OLDEST, "correct the dates"),
        Check(
            "dated after this run",
            lambda table: table[column] > until,
            "correct the dates, or name the zone that they are in as [windows] time_zone",
        ),
    ]


def feature_checks(names: Sequence[str]) -> list[Check]:
    """NULL is no fault of a row: it says that the customer has no such value."""

    def check(name: str) -> Check:
        return Check(
            f"{name} is infinite or not a number",
            lambda table: (table[name].isnan() | table[name].isinf()).fill_null(False),
            "correct the values, or make them NULL",
        )

    return [check(name) for name in names]


def mark(
    name: str,
    table: ir.Table,
    checks: Sequence[Check],
    *,
    moment: str,
    shown: Mapping[str, str],
    columns: Sequence[str],
) -> Marked:
    """Each row with the first of the checks that finds it bad."""
    reason = ibis.cases(*((check.bad(table), check.reason) for check in checks), else_=ibis.null("string"))
    remedies = {check.reason: check.remedy for check in checks}
    return Marked(name, table.mutate(left_out=reason), tuple(columns), moment, shown, remedies)


REPEATED_EXPOSURE = "the same customer, moment and offer again"
OLDER = "an older row of the same customer"
IDENTICAL = "the same row again"
DIFFERENT = "rows of the same customer and moment that differ"


def once_each_exposure(marked: Marked) -> Marked:
    """Of the rows of a customer, moment and offer one stays, a converted one if there is one."""
    table = marked.table
    rest = [name for name in marked.columns if name not in {"customer_id", "moment", "offer", "happened"}]
    again = ibis.row_number().over(
        group_by=[table.left_out.isnull(), table.customer_id, table.moment, table.offer],
        order_by=[table.happened.desc(), *(table[name] for name in rest)],
    )
    numbered = table.mutate(again=again)
    return _and_also(marked, numbered, [(numbered.again > 0, REPEATED_EXPOSURE)], "leave the repeated rows out")


def once_each_moment(marked: Marked, *, newest_only: bool) -> Marked:
    """Of identical rows of a customer and moment one stays; of those that differ none, as no one knows which is right.

    newest_only: of a customer's moments only the newest stays.
    """
    table = marked.table
    rest = [table[name] for name in marked.columns if name not in {"customer_id", marked.moment}]
    by = [table.left_out.isnull(), table.customer_id]
    same = ibis.window(group_by=[*by, table[marked.moment]], order_by=rest)
    ranked = table.mutate(
        place=ibis.row_number().over(same),
        rank=ibis.rank().over(same),
        newest=table[marked.moment].max().over(group_by=by),
    )
    at_moment = [ranked.left_out.isnull(), ranked.customer_id, ranked[marked.moment]]
    compared = ranked.mutate(kinds=ranked["rank"].max().over(group_by=at_moment))
    cases = [(compared.kinds > 0, DIFFERENT), (compared.place > 0, IDENTICAL)]
    if newest_only:
        cases.insert(0, (compared[marked.moment] < compared.newest, OLDER))
    return _and_also(marked, compared, cases, "give each customer and moment one row")


def _and_also(marked: Marked, table: ir.Table, cases: Sequence[tuple[ir.BooleanValue, str]], remedy: str) -> Marked:
    """The same with reasons more for the rows that have none."""
    more = ibis.cases(*cases, else_=ibis.null("string"))
    return Marked(
        marked.name,
        table.mutate(left_out=table.left_out.coalesce(more)),
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
