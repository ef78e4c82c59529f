"""python -m training.materialize: features from the warehouse into DynamoDB and the Parquet snapshot, with one as_of.

The order is what makes a run safe to kill: read and check everything, upload the parts, write the table, remove who
left, and only then switch snapshots/current.json. From the parts on, a run that is started again goes on where it was.
"""

import argparse
import errno
import fcntl
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import boto3
import duckdb
import ibis
from ibis.expr import types as ir
from pydantic import BaseModel, ConfigDict, ValidationError
from tqdm import tqdm

from loyalty_ml.customers.snapshot import SnapshotCard, SnapshotPart
from loyalty_ml.vocabulary import rfc3339
from training import commands, customers_table
from training.commands import Problem
from training.config import DEFAULT_CONFIG, load
from training.customers_table import ITEMS_PER_WRITE, CustomersTable, delete_requests, put_requests
from training.datasets import current_features
from training.snapshot_bucket import SnapshotBucket, SnapshotConflict
from training.snapshot_parts import Parts, file_sha256, not_in_parts, write_parts
from training.warehouse import URL_VARIABLE, connect

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

DEFAULT_WORK = Path("build/materialize")
CUSTOMERS_PER_CHECKPOINT = 1_000
IDS_PER_PAGE = 400 * ITEMS_PER_WRITE


@dataclass(frozen=True, slots=True)
class Materialized:
    """What both stores hold now: `rejects` is the file of the rejected rows, None where there are none.

    reasons:  rejected rows by reason.
    removed:  customers that this run took out of the table.
    """

    as_of: datetime
    customers: int
    reasons: dict[str, int]
    rejects: Path | None
    removed: int
    parts: tuple[str, ...]


class _Run(BaseModel):
    """A run in its work directory, from when its parts are whole to when it is done: run.json."""

    model_config = ConfigDict(frozen=True)

    source: str
    """A hash of what is read and where it goes: only the same run is resumed."""
    current_etag: str | None
    """Of what was published when the run began."""
    card: SnapshotCard
    """What is to be published, its parts by their names in the work directory."""
    reasons: dict[str, int]


class _Work:
    """The work directory of one run at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.parts = folder / "parts"
        self.spill = folder / "spill"
        self.rejects = folder / "rejects.csv"
        self._run = folder / "run.json"
        self._written = folder / "written"

    def unfinished(self, source: str) -> _Run | None:
        """The run of this source that was stopped after its parts were whole, if they still are."""
        try:
            run = _Run.model_validate_json(self._run.read_bytes())
            whole = all(file_sha256(self.parts / part.file) == part.sha256 for part in run.card.parts)
        except (FileNotFoundError, ValidationError):
            return None
        return run if run.source == source and whole else None

    def begin(self, run: _Run) -> None:
        self.checkpoint(0)
        _replace(self._run, run.model_dump_json())

    def written(self) -> int:
        """How many customers, in the parts' order, are in the table."""
        return int(self._written.read_text())

    def checkpoint(self, customers: int) -> None:
        _replace(self._written, str(customers))

    def clear(self) -> None:
        """Forgets the run; the rejects stay, for whoever reads them."""
        self._run.unlink(missing_ok=True)
        self._written.unlink(missing_ok=True)
        shutil.rmtree(self.parts, ignore_errors=True)


def materialize(
    features: ir.Table,
    as_of: datetime,
    s3: "S3Client",
    dynamodb: "DynamoDBClient",
    *,
    bucket: str,
    table: str,
    work: Path = DEFAULT_WORK,
    max_rejected_share: float = 0.1,
    max_removed_share: float = 0.5,
    warehouse: str = "",
) -> Materialized:
    """Makes both stores hold these customers and no others, with their features as of `as_of`.

    features:   customer_id and one column of numbers a feature, in the models' order, on any Ibis backend.
    dynamodb:   a client such as customers_table.client().
    work:       a directory for the parts, about 100 bytes a customer, and as much again to sort them.
    max_removed_share: of the customers published now; beyond it the warehouse is thought to be broken, not shrunk.
    warehouse:  what tells this warehouse from others with the same tables: only the same source is resumed.

    Raises Problem for what whoever runs it can put right; until the last step the published snapshot is the old one.
    """
    place = _Work(work)
    snapshots, customers = SnapshotBucket(s3, bucket), CustomersTable(dynamodb, table)
    source = hashlib.sha256("\n".join([warehouse, ibis.to_sql(features), rfc3339(as_of), bucket, table]).encode())
    with _alone_in(work), _room_in(work):
        run = place.unfinished(source.hexdigest())
        if run is None:
            # Asked first: what is refused here is known before any long work.
            current = snapshots.current()
            customers.check()
            written = _write_parts(features, place, max_rejected_share)
            _check_removed(current.customers, written.customers, max_removed_share, place)
            run = _Run(
                source=source.hexdigest(),
                current_etag=current.etag,
                card=_card(as_of, written, current.card),
                reasons=written.reasons,
            )
            place.begin(run)
        else:
            print(f"Going on with the run that was stopped; remove {work} to read the warehouse again.", flush=True)
        removed = _publish(run, place, snapshots, customers)
        place.clear()
    rejects = place.rejects if run.reasons else None
    parts = tuple(part.key for part in run.card.parts)
    return Materialized(as_of, run.card.customers, run.reasons, rejects, removed, parts)


def _write_parts(features: ir.Table, place: _Work, max_rejected_share: float) -> Parts:
    place.clear()
    try:
        with _bar("Reading the warehouse", None, "") as bar:
            return write_parts(features, place.parts, place.rejects, max_rejected_share, bar.update)
    except BaseException:
        place.clear()  # a full disk would stay full
        raise


def _card(as_of: datetime, written: Parts, published: SnapshotCard | None) -> SnapshotCard:
    content = hashlib.sha256("".join(part.sha256 for part in written.parts).encode()).hexdigest()[:8]
    version = f"{as_of.astimezone(UTC):%Y%m%dT%H%M%SZ}-{content}"
    # The same once more is not its own one before.
    again = published and published.version == version
    return SnapshotCard(
        as_of=as_of,
        customers=written.customers,
        features=written.features,
        parts=tuple(
            SnapshotPart(
                key=f"snapshots/{version}/{part.file}", customers=part.customers, size=part.size, sha256=part.sha256
            )
            for part in written.parts
        ),
        previous=published and (published.previous if again else published.alone()),
    )


def _check_removed(published: int | None, customers: int, max_removed_share: float, place: _Work) -> None:
    if published and customers < published * (1 - max_removed_share):
        place.clear()
        raise Problem(
            f"The warehouse has {customers:,} customers where {published:,} are published: nothing was "
            "changed; if they did leave, raise materialize.max_removed_share in the configuration "
            f"({max_removed_share:g})."
        )


def _publish(run: _Run, place: _Work, snapshots: SnapshotBucket, customers: CustomersTable) -> int:
    """Each step may be done again: a run that is resumed takes them all. Returns how many customers were removed."""
    card = run.card
    parts = [place.parts / part.file for part in card.parts]
    with _bar("Uploading the snapshot", card.size, "B") as bar:
        snapshots.upload(place.parts, card.parts, bar.update)
    _write_customers(card, parts, place, customers)
    removed = _remove_who_left(card, parts, place, customers)
    try:
        snapshots.switch(card, run.current_etag)
    except SnapshotConflict:
        place.clear()  # or the next run would go on with this one
        raise
    snapshots.remove_all_but([card, *([card.previous] if card.previous else [])])
    return removed


def _write_customers(card: SnapshotCard, parts: list[Path], place: _Work, customers: CustomersTable) -> None:
    written = saved = place.written()
    requests = put_requests(parts, card.as_of, written)
    with (
        _bar("Writing customers", card.customers, "", initial=written) as bar,
        closing(customers.write(requests)) as done,
    ):
        for items in done:
            written += items
            bar.update(items)
            if written - saved >= CUSTOMERS_PER_CHECKPOINT or written == card.customers:
                place.checkpoint(written)
                saved = written


def _remove_who_left(card: SnapshotCard, parts: list[Path], place: _Work, customers: CustomersTable) -> int:
    """All that is in the table and not in the snapshot, whatever put it there."""

    def counted(pages: Iterator[list[str]]) -> Iterator[list[str]]:
        with _bar("Looking for customers that left", None, "") as bar:
            for ids in pages:
                bar.update(len(ids))
                yield ids

    removed = 0
    with closing(customers.ids(card.customers)) as pages:
        for left in not_in_parts(counted(pages), parts, place.spill, IDS_PER_PAGE):
            with closing(customers.write(delete_requests(left))) as done:
                removed += sum(done)
    return removed


@contextmanager
def _alone_in(work: Path) -> Iterator[None]:
    work.mkdir(parents=True, exist_ok=True)
    with (work / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Problem(
                f"Another run is at work in {work}: wait for it, or name another directory with --work."
            ) from error
        yield


@contextmanager
def _room_in(work: Path) -> Iterator[None]:
    remedy = f"make room in {work}, or name another directory with --work; what was published is as it was"
    try:
        yield
    except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
        raise Problem(f"The features could not be sorted ({str(error).splitlines()[0]}): {remedy}.") from error
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise Problem(f"The disk is full: {remedy}.") from error


def _replace(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)


def _bar(what: str, total: int | None, unit: str, initial: int = 0) -> "tqdm[NoReturn]":
    # None: no bar where standard error is not a terminal.
    return tqdm(total=total, desc=what, unit=unit, unit_scale=True, initial=initial, leave=False, disable=None)


def main(arguments: list[str] | None = None) -> int:
    options = _arguments(arguments)
    stopped = "what was published is as it was; the same command goes on where it was, with the same --as-of"
    return commands.run("materialize", lambda: _materialize(options), stopped)


def _materialize(options: argparse.Namespace) -> None:
    started = time.perf_counter()
    config = load(options.config)
    with connect(options.warehouse, config) as warehouse:
        current = current_features(warehouse, options.as_of)
        print(f"Features as of {rfc3339(current.as_of)}", flush=True)
        done = materialize(
            current.table,
            current.as_of,
            boto3.client("s3"),
            customers_table.client(),
            bucket=options.bucket,
            table=options.table,
            work=options.work,
            max_rejected_share=config.materialize.max_rejected_share,
            max_removed_share=config.materialize.max_removed_share,
            warehouse=options.warehouse.rpartition("@")[2],  # without the password
        )
    print(f"{done.customers:,} customers in {options.table} and in {options.bucket}, as of {rfc3339(done.as_of)}")
    print(f"{done.removed:,} removed from {options.table} that are not in the warehouse")
    if done.rejects:
        rejected = sum(done.reasons.values())
        main_reason = next(iter(done.reasons))
        print(f"{rejected:,} rejected, mostly because {main_reason}; all are in {done.rejects}")
    print(f"{len(done.parts)} part(s), {time.perf_counter() - started:.1f} s")


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training.materialize",
        description="Puts every customer's features from the warehouse into the customers table and into a new "
        "snapshot in the data bucket, which becomes the current one at the end; customers that left the warehouse "
        "leave both. A run that was killed goes on where it was when the same command is given again.",
    )
    parser.add_argument(
        "--warehouse",
        default=os.environ.get(URL_VARIABLE),
        required=URL_VARIABLE not in os.environ,
        metavar="URL",
        help=f"duckdb://FILE, postgresql://..., any that Ibis speaks (default: {URL_VARIABLE})",
    )
    parser.add_argument(
        "--config",
        type=Path,
        default=DEFAULT_CONFIG,
        metavar="FILE",
        help="which tables and columns (default: %(default)s)",
    )
    parser.add_argument("--table", required=True, help="the customers table, CustomersTableName in the stack's outputs")
    parser.add_argument("--bucket", required=True, help="the data bucket, DataBucketName in the stack's outputs")
    parser.add_argument(
        "--as-of",
        type=_moment,
        metavar="RFC3339",
        help="compute the features from transactions as of this moment, such as 2018-01-02T00:00:00Z "
        "(default: as fresh as the warehouse has them)",
    )
    parser.add_argument(
        "--work",
        type=Path,
        default=DEFAULT_WORK,
        metavar="DIR",
        help="for the parts until they are uploaded, where a killed run stands, and rejects.csv (default: %(default)s)",
    )
    return parser.parse_args(arguments)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a moment with its time zone, such as 2018-01-02T00:00:00Z")
    return moment


if __name__ == "__main__":
    sys.exit(main())
