"""loyalty segments: the segments of a service, or what one is made of and how it moves."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import Any

from training.cli.command import Command
from training.cli.service import connection
from training.cli.service.connection import share
from training.table import table


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "segment_id", nargs="?", metavar="SEGMENT", help="the segment to show; without it, all are listed"
    )
    parser.add_argument(
        "--history", type=int, default=5, metavar="N", help="of a segment: the latest snapshots (default: %(default)s)"
    )
    connection.add_arguments(parser)


def _segments(chosen: Namespace) -> None:
    with connection.service(chosen) as loyalty:
        if chosen.segment_id is None:
            listed = loyalty.segments()
            if chosen.json:
                connection.print_json(listed)
            else:
                names = ("segment_id", "segment_name", "kind", "version", "updated")
                print(table([names, *(tuple(str(each.get(name, "")) for name in names) for each in listed)]))
            return
        stats = loyalty.stats(chosen.segment_id, history=chosen.history)
        if chosen.json:
            connection.print_json(stats)
        else:
            print("\n".join(_report(stats)))


def _report(stats: Mapping[str, Any]) -> list[str]:
    members, by_type = stats["member_count"], stats["stats"]
    churn = by_type["churn"]
    lines = [
        f"{stats['segment_name']} ({stats['segment_id']}): {members:,} customers, features as of "
        f"{stats['features_as_of']}.",
        *([str(stats["message"])] if "message" in stats else []),
        *(["These are mock answers: no model is published."] if stats["mock"] else []),
    ]
    rows = [("churn", name, _count(churn[name]), _percent(churn[f"{name}_percentage"])) for name in RISKS]
    rows.append(("churn", "average", share(churn["avg_probability"]), ""))
    for title, name in (("offer", "nbo"), ("rfm", "rfm")):
        counted = by_type[name]
        for group, count in sorted(counted["distribution"].items(), key=lambda each: -each[1]):
            if count:
                rows.append((title, group, _count(count), _percent(100 * count / counted["count"])))
    for title, name in TYPES:
        if by_type[name]["failed"]:
            rows.append((title, "no answer", _count(by_type[name]["failed"]), ""))
    lines += ["", table(rows)]
    drivers = [
        (title, str(driver.get("group") or driver.get("feature")), f"{driver['mean_absolute_contribution']:.3f}")
        for title, name in TYPES
        if name in stats.get("drivers", {})  # those of an older server, or of a model without a baseline, are unknown
        for driver in stats["drivers"][name]["features"][:DRIVERS]
    ]
    if drivers:
        lines += ["", table([("", "what drives it", "mean effect"), *drivers])]
    if stats["history"]:
        entries = [
            (entry["features_as_of"], _count(entry["member_count"]), share(entry["stats"]["churn"]["avg_probability"]))
            for entry in stats["history"]
        ]
        lines += ["", table([("features as of", "customers", "average churn"), *entries])]
    return lines


TYPES = (("churn", "churn"), ("offer", "nbo"), ("rfm", "rfm"))
DRIVERS = 3
"""How many features of each type are shown, the strongest first."""
RISKS = ("high", "medium", "low", "lapsed")


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} %"


COMMAND = Command(
    name="segments",
    summary="list a service's segments, or show one and how it moves",
    description="Lists the segments of a running service; or shows one: how many are in it, who leaves, what is "
    "recommended, and how that was at the latest snapshots.",
    example="high-value --history 10",
    add_arguments=_add_arguments,
    work=_segments,
    when_stopped=lambda _: "nothing was changed.",
    needs=connection.NEEDS,
)
