"""Features from the warehouse into DynamoDB and the Parquet snapshot, with one as_of.

The order is what makes a run safe to kill: read and check everything, upload the parts, write the table, remove who
left, and only then switch snapshots/current.json. From the parts on, a run that is started again goes on where it was.
"""

import hashlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import ibis
from ibis.expr import types as ir
from tqdm import tqdm

from loyalty_ml.customers.snapshot import SnapshotCard, SnapshotPart
from loyalty_ml.vocabulary import rfc3339
from training import defaults
from training.errors import Problem
from training.snapshot.bucket import SnapshotBucket, SnapshotConflict
from training.snapshot.customers_table import (
    AS_USUAL,
    ITEMS_PER_WRITE,
    CustomersTable,
    Writing,
    delete_requests,
    put_requests,
)
from training.snapshot.parts import PART_SIZES, Parts, PartSizes, not_in_parts, write_parts
from training.snapshot.work import Run, Work, alone_in, room_in

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

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


def materialize(
    features: ir.Table,
    as_of: datetime,
    s3: "S3Client",
    dynamodb: "DynamoDBClient",
    *,
    bucket: str,
    table: str,
    work: Path = defaults.WORK,
    max_rejected_share: float = 0.1,
    max_removed_share: float = 0.5,
    warehouse: str = "",
    writing: Writing = AS_USUAL,
    customers_per_checkpoint: int = CUSTOMERS_PER_CHECKPOINT,
    sizes: PartSizes = PART_SIZES,
) -> Materialized:
    """Makes both stores hold these customers and no others, with their features as of `as_of`.

    features:   customer_id and one column of numbers a feature, in the models' order, on any Ibis backend.
    dynamodb:   a client such as customers_table.client().
    work:       a directory for the parts, about 100 bytes a customer, and as much again to sort them.
    max_removed_share: of the customers published now; beyond it the warehouse is thought to be broken, not shrunk.
    customers_per_checkpoint: after how many the table's progress is kept.
    sizes:      of the snapshot's parts.
    warehouse:  what tells this warehouse from others with the same tables: only the same source is resumed.

    Raises Problem for what whoever runs it can put right; until the last step the published snapshot is the old one.
    """
    place = Work(work)
    snapshots, customers = SnapshotBucket(s3, bucket), CustomersTable(dynamodb, table, writing)
    source = hashlib.sha256("\n".join([warehouse, ibis.to_sql(features), rfc3339(as_of), bucket, table]).encode())
    with alone_in(work), room_in(work):
        run = place.unfinished(source.hexdigest())
        if run is None:
            # Asked first: what is refused here is known before any long work.
            current = snapshots.current()
            customers.check()
            written = _write_parts(features, place, max_rejected_share, sizes)
            _check_removed(current.customers, written.customers, max_removed_share, place)
            run = Run(
                source=source.hexdigest(),
                current_etag=current.etag,
                card=_card(as_of, written, current.card),
                reasons=written.reasons,
            )
            place.begin(run)
        else:
            print(f"Going on with the run that was stopped; remove {work} to read the warehouse again.", flush=True)
        removed = _publish(run, place, snapshots, customers, customers_per_checkpoint)
        place.clear()
    rejects = place.rejects if run.reasons else None
    parts = tuple(part.key for part in run.card.parts)
    return Materialized(as_of, run.card.customers, run.reasons, rejects, removed, parts)


def _write_parts(features: ir.Table, place: Work, max_rejected_share: float, sizes: PartSizes) -> Parts:
    place.clear()
    try:
        with _bar("Reading the warehouse", None, "") as bar:
            return write_parts(features, place.parts, place.rejects, max_rejected_share, bar.update, sizes=sizes)
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


def _check_removed(published: int | None, customers: int, max_removed_share: float, place: Work) -> None:
    if published and customers < published * (1 - max_removed_share):
        place.clear()
        raise Problem(
            f"The warehouse has {customers:,} customers where {published:,} are published: nothing was "
            "changed; if they did leave, raise materialize.max_removed_share in the configuration "
            f"({max_removed_share:g})."
        )


def _publish(
    run: Run, place: Work, snapshots: SnapshotBucket, customers: CustomersTable, customers_per_checkpoint: int
) -> int:
    """Each step may be done again: a run that is resumed takes them all. Returns how many customers were removed."""
    card = run.card
    parts = [place.parts / part.file for part in card.parts]
    with _bar("Uploading the snapshot", card.size, "B") as bar:
        snapshots.upload(place.parts, card.parts, bar.update)
    _write_customers(card, parts, place, customers, customers_per_checkpoint)
    removed = _remove_who_left(card, parts, place, customers)
    try:
        snapshots.switch(card, run.current_etag)
    except SnapshotConflict:
        place.clear()  # or the next run would go on with this one
        raise
    snapshots.remove_all_but([card, *([card.previous] if card.previous else [])])
    return removed


def _write_customers(
    card: SnapshotCard, parts: list[Path], place: Work, customers: CustomersTable, customers_per_checkpoint: int
) -> None:
    written = saved = place.written()
    requests = put_requests(parts, card.as_of, written)
    with (
        _bar("Writing customers", card.customers, "", initial=written) as bar,
        closing(customers.write(requests)) as done,
    ):
        for items in done:
            written += items
            bar.update(items)
            if written - saved >= customers_per_checkpoint or written == card.customers:
                place.checkpoint(written)
                saved = written


def _remove_who_left(card: SnapshotCard, parts: list[Path], place: Work, customers: CustomersTable) -> int:
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


def _bar(what: str, total: int | None, unit: str, initial: int = 0) -> "tqdm[NoReturn]":
    # None: no bar where standard error is not a terminal.
    return tqdm(total=total, desc=what, unit=unit, unit_scale=True, initial=initial, leave=False, disable=None)
