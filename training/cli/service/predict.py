"""loyalty predict: customers by their ids, or a file of them."""

import math
import sys
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.cli.command import Command
from training.cli.score import TYPES
from training.cli.service import connection
from training.cli.service.connection import share
from training.errors import Problem
from training.table import table

if TYPE_CHECKING:
    from loyalty_client import Loyalty, Predictions, ScoredFile


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("ids", nargs="*", metavar="ID", help="a customer's id")
    parser.add_argument("--ids-from", metavar="FILE", help="a file of ids, one a line; - for standard input")
    parser.add_argument(
        "--file",
        type=Path,
        metavar="FILE",
        help="a CSV, JSON Lines or Parquet file to score, by a job: as large as 5 GB",
    )
    parser.add_argument("--type", choices=TYPES, default="churn", help="default: %(default)s")
    parser.add_argument(
        "--explain",
        action="store_true",
        help="say why, too: the score beside the typical one, the three features that add or take most, and what all "
        "others add; each of them with --json",
    )
    parser.add_argument(
        "--keep", nargs="+", default=(), metavar="COLUMN", help="with --file: columns to keep in the results; * for all"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="with --file: where its results go (default: FILE-TYPE beside it)"
    )
    connection.add_arguments(parser)


def _mistake(chosen: Namespace) -> str:
    if sum(map(bool, (chosen.ids, chosen.ids_from, chosen.file))) != 1:
        return "give ids, or --ids-from, or --file: exactly one of them"
    if not chosen.file and (chosen.keep or chosen.out):
        return "--keep and --out go with --file only"
    return ""


def _predict(chosen: Namespace) -> None:
    with connection.service(chosen) as loyalty:
        if chosen.file:
            _show_file(_score_file(loyalty, chosen), chosen)
        else:
            ask = loyalty.explain if chosen.explain else loyalty.predict
            _show(ask(chosen.type, _ids(chosen)), chosen)


def _ids(chosen: Namespace) -> list[str]:
    """Blank lines are no ids."""
    if not chosen.ids_from:
        ids: list[str] = chosen.ids
        return ids
    try:
        text = sys.stdin.read() if chosen.ids_from == "-" else Path(chosen.ids_from).read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Problem(f"{chosen.ids_from} is no text in UTF-8: save it as UTF-8, one id a line.") from error
    found = [line.strip() for line in text.splitlines() if line.strip()]
    if not found:
        source = "standard input" if chosen.ids_from == "-" else chosen.ids_from
        raise Problem(f"{source} has no id: put one on each line.")
    return found


def _score_file(loyalty: "Loyalty", chosen: Namespace) -> "ScoredFile":
    keep = "*" if "*" in chosen.keep else tuple(chosen.keep)
    return loyalty.score_file(chosen.file, chosen.type, keep=keep, explain=chosen.explain, into=chosen.out)


def _show_file(scored: "ScoredFile", chosen: Namespace) -> None:
    files = {name: str(path) for name, path in scored.files.items()}
    if chosen.json:
        connection.print_json(
            {"job_id": scored.job_id, "status": scored.status, "summary": scored.summary, "files": files}
        )
        return
    summary = scored.summary
    print(f"Job {scored.job_id}: {summary['predictions']:,} of {summary['rows']:,} rows have an answer.")
    print(table(sorted(files.items())))


def _show(rows: "Predictions", chosen: Namespace) -> None:
    if chosen.json:
        connection.print_json(
            {
                "type": rows.type,
                "rows": rows,
                "models": rows.models,
                "features_as_of": rows.features_as_of,
                "mock": rows.mock,
            }
        )
    else:
        columns = COLUMNS[chosen.type]
        print(table([("customer", *columns, ""), *(_line(row, columns) for row in rows)]))
        for line in (*_notes(rows), *(_reasons(rows) if chosen.explain else ())):
            print(line)
    if rows.failed:
        codes = ", ".join(
            f"{code} {count:,}" for code, count in Counter(row["code"] for row in rows.failed).most_common()
        )
        raise Problem(f"There is no answer for {len(rows.failed):,} of {len(rows):,} customers ({codes}).")
    if partly := sum(bool(row.get("errors")) for row in rows):
        raise Problem(f"{partly:,} of {len(rows):,} customers lack the answer of a type, as their lines say.")


def _line(row: Mapping[str, Any], columns: Mapping[str, Callable[[Mapping[str, Any]], str]]) -> tuple[str, ...]:
    cells = [_cell(row, shown) for shown in columns.values()]
    problems = [row["error"]] if "error" in row else [f"{k}: {v['error']}" for k, v in row.get("errors", {}).items()]
    return row["customer_id"], *cells, "; ".join(problems)


def _cell(row: Mapping[str, Any], shown: Callable[[Mapping[str, Any]], str]) -> str:
    try:
        return shown(row)
    except KeyError as error:
        if "code" in row or error.args[0] in row.get("errors", {}):  # no answer at all, or none of this type
            return ""
        raise


def _notes(rows: "Predictions") -> list[str]:
    models = ", ".join(f"{model['name']} {model['version']}" for model in rows.models)
    notes = [f"{models or 'no model'}; features as of {rows.features_as_of or 'no moment'}."]
    if rows.mock:
        notes.append("These are mock answers: no model is published.")
    elif any(model.get("placeholder") for model in rows.models):
        notes.append("These are a placeholder's answers: it learnt from generated data.")
    return notes


def _reasons(rows: "Predictions") -> list[str]:
    """A table of the largest reasons, if there are any, under what they add up to."""
    lines = []
    for row in rows:
        results = (
            [(row["customer_id"], row)]
            if rows.type != "all"
            else [(f"{row['customer_id']} {name}", row[name]) for name in TYPES if name in row]
        )
        for whose, result in results:
            if "code" not in result:
                lines += [(whose, line) for line in _told(result)]
    return ["", table(lines)] if lines else []


def _told(result: Mapping[str, Any]) -> list[str]:
    """The score beside the typical one, the largest reasons, and what all others add: so that it adds up as shown."""
    explained, others = result["explained"], result["reasons"][REASONS:]
    score, typical = (
        f"{value}" if isinstance(value, int) else share(value)
        for value in (explained["score"], explained["baseline_score"])
    )
    told = [f"{explained['of']}: {score}, typical {typical}"]
    told += [reason["words"] for reason in result["reasons"][:REASONS]]
    if others:
        added = math.fsum(reason["contribution"] for reason in others)
        told.append(f"{len(others)} more: {added:+.3f}" if abs(added) >= 0.0005 else f"{len(others)} more: 0.000")
    return told


REASONS = 3
"""How many of each customer a table shows, as many as a results file has."""
COLUMNS: dict[str, dict[str, Callable[[Mapping[str, Any]], str]]] = {
    "churn": {
        "probability": lambda row: share(row["churn_probability"]),
        "risk": lambda row: row["churn_risk"],
    },
    "nbo": {
        "offer": lambda row: row["top_offer"]["offer_code"],
        "name": lambda row: row["top_offer"]["offer_name"],
        "probability": lambda row: share(row["confidence"]),
    },
    "rfm": {
        "r f m": lambda row: f"{row['r_score']} {row['f_score']} {row['m_score']}",
        "segment": lambda row: row["segment"],
        "days": lambda row: f"{row['recency']:g}",
        "purchases": lambda row: f"{row['frequency']:g}",
        "spent": lambda row: f"{row['monetary']:.2f}",
    },
    "all": {
        "leaves": lambda row: share(row["churn"]["churn_probability"]),
        "risk": lambda row: row["churn"]["churn_risk"],
        "offer": lambda row: row["nbo"]["top_offer"]["offer_name"],
        "takes it": lambda row: share(row["nbo"]["confidence"]),
        "segment": lambda row: row["rfm"]["segment"],
    },
}
"""What a table shows of a row, by the column's heading."""

COMMAND = Command(
    name="predict",
    summary="predict for customers by id, or for a file of them",
    description="Asks a running service about customers: some by their ids, many at a time, or a file by a job whose "
    "results are downloaded. The exit code is 0 only if every customer who was asked for by id has an answer, or if "
    "the file's job succeeded.",
    example="1 2 3 --type nbo",
    add_arguments=_add_arguments,
    work=_predict,
    when_stopped=lambda _: "a job that has been started goes on, and 'loyalty jobs' lists it.",
    mistake=_mistake,
    needs=connection.NEEDS,
)
