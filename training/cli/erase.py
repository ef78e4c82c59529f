"""loyalty erase: a customer removed from everything that the service keeps."""

import sys
from argparse import ArgumentParser, Namespace

from training.cli.command import Command


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("customer_ids", nargs="+", metavar="CUSTOMER_ID", help="the id as in predictions; several too")
    parser.add_argument("--bucket", required=True, help="the data bucket, DataBucketName in the stack's outputs")
    parser.add_argument("--table", help="the customers table, CustomersTableName in the stack's outputs")
    parser.add_argument("--segments-table", help="SegmentsTableName in the stack's outputs")
    parser.add_argument(
        "--files",
        action="store_true",
        help="also remove results, uploads, members' copies and checkpoints that hold the customer, whole, although "
        "they hold others too; without it they are listed, and go after their days",
    )
    parser.add_argument("--yes", action="store_true", help="erase without being asked")
    parser.add_argument(
        "--allow",
        action="store_true",
        help="erase nothing, but let the next materialize bring the customer back from the warehouse",
    )


def _mistake(chosen: Namespace) -> str:
    if wrong := [each for each in chosen.customer_ids if not 0 < len(each) <= 256]:
        return f"an id has 1 to 256 characters, but here is one of {len(wrong[0])}"
    if any("\udc80" <= character <= "\udcff" for each in chosen.customer_ids for character in each):
        return "an id here is not in the terminal's encoding (Python reads it as UTF-8): type it in UTF-8"
    if chosen.allow and (chosen.files or chosen.yes):
        return "--allow erases nothing: give it without --files and --yes"
    if not chosen.allow and not (chosen.table and chosen.segments_table):
        return "--table and --segments-table are needed to erase"
    return ""


def _erase(chosen: Namespace) -> None:
    from tqdm import tqdm

    from training.erasure.erase import Deployment, allow, report
    from training.errors import Problem

    ids = list(dict.fromkeys(chosen.customer_ids))
    if chosen.allow:
        allowed = allow(chosen.bucket, ids)
        print(f"{len(allowed):,} of {len(ids):,} were erased, and come back with the next materialize that has them.")
        return
    deployment = Deployment(bucket=chosen.bucket, table=chosen.table, segments_table=chosen.segments_table)
    with tqdm(desc="Looking into the bucket", unit="B", unit_scale=True, leave=False, disable=None) as bar:

        def begin(total: int) -> object:
            bar.reset(total)
            return bar.update

        found = deployment.find(ids, begin)  # type: ignore[arg-type]
    print("\n".join(report(ids, found, files=chosen.files)), flush=True)
    if not chosen.yes:
        if not sys.stdin.isatty():
            raise Problem("nothing was erased, because nobody can be asked here: give --yes.")
        if input("Erase it? This cannot be undone. [y/N] ").strip().lower() not in ("y", "yes"):
            print("Nothing was erased.")
            return
    removed = deployment.erase(ids, found, files=chosen.files)
    print(f"Erased: {len(ids):,} customer(s) on the record, {removed:,} version(s) of objects removed.")
    print("Segments and files answer from the snapshot until the next 'loyalty materialize': run it now.")


COMMAND = Command(
    name="erase",
    summary="erase a customer, or list what holds them",
    description="Erases a customer: looks into the tables and into every version of every object of the data bucket, "
    "shows what it finds and asks. It removes the customer from the customers table and from segments' lists, and "
    "keeps materialize from bringing them back from the warehouse. Files that hold many customers are listed; they go "
    "after their days, or at once with --files. Logs hold no ids.",
    example="c-1234 --bucket my-data --table my-customers --segments-table my-segments",
    add_arguments=_add_arguments,
    work=_erase,
    when_stopped=lambda _: "some of it may be erased already: give the same command again.",
    place=lambda chosen: f"the bucket {chosen.bucket}",
    mistake=_mistake,
    needs=("duckdb", "ibis", "pyarrow", "tqdm"),
)
