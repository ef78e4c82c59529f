"""Features from the warehouse into DynamoDB and the Parquet snapshot.

The order is what makes a run safe to kill: read and check everything, upload the parts, write what differs into the
table, remove who left, and only then switch snapshots/current.json. Once all is checked, a run that is started again
goes on with its parts, and what it wrote already no longer differs.

Who was erased (snapshot/erased.py) is left out. It is asked again before the switch, so that nobody who is erased while
a run is at work comes back by it.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import ibis
import pyarrow as pa
from ibis.expr import types as ir
from tqdm import tqdm

from loyalty_ml.customers.snapshot import SnapshotCard, SnapshotPart
from loyalty_ml.customers.table import AS_OF
from loyalty_ml.models.domain import Domain
from loyalty_ml.vocabulary import CUSTOMER_ID, rfc3339
from training import defaults
from training.errors import Problem
from training.registry.inputs import Definitions, ModelInputs
from training.snapshot.answerable import outside_domains
from training.snapshot.bucket import SnapshotBucket, SnapshotConflict
from training.snapshot.checks import check_answerable, check_fit, check_published, check_removed
from training.snapshot.customers_table import (
    AS_USUAL,
    ITEMS_PER_WRITE,
    CustomersTable,
    WriteRequest,
    Writing,
    delete_requests,
    put_requests,
)
from training.snapshot.differences import Differences, compare, ids_in
from training.snapshot.erased import ErasedCustomers
from training.snapshot.parts import PART_SIZES, Parts, PartSizes, ids_with, write_parts
from training.snapshot.work import Run, Work, alone_in, room_in

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

IDS_PER_PAGE = 400 * ITEMS_PER_WRITE
ERASURE_MARGIN = timedelta(hours=1)
"""A snapshot that went live this long after an erasure knew of it, whatever was at work in between."""


@dataclass(frozen=True, slots=True)
class Materialized:
    """What both stores hold now: `rejects` is the file of the rejected rows, None where there are none.

    reasons:    rejected rows by reason.
    written:    customers whose items this run wrote: they were not in the table, or otherwise.
    unchanged:  customers whose items were in the table as they are.
    removed:    customers that this run took out of the table.
    erased:     rows of the warehouse that were left out, because their customers were erased.
    """

    as_of: datetime
    customers: int
    reasons: dict[str, int]
    rejects: Path | None
    written: int
    unchanged: int
    removed: int
    erased: int
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
    min_answerable_share: float = 0.9,
    active: Sequence[ModelInputs] = (),
    definitions: Definitions | None = None,
    domains: Mapping[str, Domain] | None = None,
    force: str | None = None,
    warehouse: str = "",
    writing: Writing = AS_USUAL,
    sizes: PartSizes = PART_SIZES,
) -> Materialized:
    """Makes both stores hold these customers and no others, with their features as of `as_of`.

    features:   customer_id and one column of numbers a feature, in the models' order, on any Ibis backend; and
                features_as_of, a moment, where customers have their own. The others are of `as_of`.
    dynamodb:   a client such as customers_table.client().
    work:       a directory for the parts, about 100 bytes a customer, and as much again to sort them and for what
                differs.
    max_removed_share: of the ids in the table now; beyond it the warehouse is thought to be broken, not shrunk.
    min_answerable_share: of the customers with purchases, which each of `active` must be able to answer.
    active:     what the active models read, which the features must have, defined as in training.
    definitions: of the features, such as warehouse.definitions gives; None for ones that are not known.
    domains:    by feature, the values that it may have: customers with others are stored as they are, and counted.
    force:      why features are written that do not fit the active models; kept in the snapshot's card.
    sizes:      of the snapshot's parts.
    warehouse:  what tells this warehouse from others with the same tables: only the same source is resumed.

    Raises Problem for what whoever runs it can put right; until the last step the published snapshot is the old one.
    """
    place = Work(work)
    snapshots, customers = SnapshotBucket(s3, bucket), CustomersTable(dynamodb, table, writing)
    # Where customers have moments of their own, as_of is when the run began: the same source is resumed at another.
    of_all = "" if AS_OF in features.columns else rfc3339(as_of)
    erased_customers = ErasedCustomers(s3, bucket)
    erased = erased_customers.record()
    what = (warehouse, ibis.to_sql(features), of_all, bucket, table, json.dumps(definitions), *sorted(erased.digests))
    source = _source(*what)
    names = [name for name in features.columns if name not in (CUSTOMER_ID, AS_OF)]
    forced = check_fit(active, names, definitions, force)
    with alone_in(work), room_in(work):
        run = place.unfinished(source)
        if run is None:
            # Asked first: what is refused here is known before any long work.
            current = snapshots.current()
            customers.check()
            place.clear()
            try:
                written = _write_parts(features, place, max_rejected_share, sizes, erased.digests)
                check_published(current.customers, written.customers, max_removed_share)
                _say_outside(domains or {}, written, place)
                forced |= check_answerable(active, written, place, min_answerable_share, force)
                card = _card(as_of, written, current.card, definitions, force if forced else None)
                if erased.newest and current.published and current.published < erased.newest + ERASURE_MARGIN:
                    card = card.model_copy(
                        update={"previous": None}
                    )  # the one before may have who was erased: it goes at once
                differences = _compare(card, place, customers, current.customers or card.customers)
                check_removed(differences, table, max_removed_share)
            except BaseException:
                place.clear()  # a full disk would stay full, and the next run reads the warehouse again
                raise
            run = Run(
                source=source,
                current_etag=current.etag,
                card=card,
                reasons=written.reasons,
                dates_sha256=written.dates_sha256,
                erased=written.erased,
                erased_digests=sorted(erased.digests),
            )
            place.begin(run)
        else:
            print(f"Going on with the run that was stopped; remove {work} to read the warehouse again.", flush=True)
            # Where it stopped is not asked of this directory: the table says what it has.
            differences = _compare(run.card, place, customers, run.card.customers)
        _publish(run, place, snapshots, customers, differences, erased=erased_customers)
        place.clear()
    return Materialized(
        as_of=run.card.as_of,
        customers=run.card.customers,
        reasons=run.reasons,
        rejects=place.rejects if run.reasons else None,
        written=differences.new + differences.changed,
        unchanged=differences.unchanged,
        removed=differences.absent,
        erased=run.erased,
        parts=tuple(part.key for part in run.card.parts),
    )


def _source(*of: str) -> str:
    return hashlib.sha256("\n".join(of).encode()).hexdigest()


def _say_outside(domains: Mapping[str, Domain], written: Parts, place: Work) -> None:
    """Counts the customers who will get no answer because of a value outside its domain."""
    parts = [place.parts / part.file for part in written.parts]
    for name, count in outside_domains(domains, parts, written.features, place.spill).items():
        print(
            f"  {count:,} customers have {name} outside its domain ({domains[name]}): what reads it answers "
            "INVALID_FEATURES for them.",
            flush=True,
        )


def _write_parts(
    features: ir.Table, place: Work, max_rejected_share: float, sizes: PartSizes, erased: Collection[str]
) -> Parts:
    with _bar("Reading the warehouse", None, "") as bar:
        return write_parts(
            features, place.parts, place.rejects, max_rejected_share, bar.update, sizes=sizes, erased=erased
        )


def _card(
    as_of: datetime,
    written: Parts,
    published: SnapshotCard | None,
    definitions: Definitions | None,
    forced: str | None,
) -> SnapshotCard:
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
        feature_definitions=definitions
        and {name: definitions[name] for name in written.features if name in definitions},
        forced=forced,
        previous=published and (published.previous if again else published.alone()),
    )


def _compare(card: SnapshotCard, place: Work, customers: CustomersTable, expected: int) -> Differences:
    def counted(pages: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with _bar("Comparing with the table", None, "") as bar:
            for items in pages:
                bar.update(len(items))
                yield items

    parts = [place.parts / part.file for part in card.parts]
    with closing(customers.items(card.features, expected)) as pages:
        return compare(
            counted(pages),
            parts,
            card.features,
            card.as_of,
            dates=place.dates if place.dates.exists() else None,
            folder=place.differences,
            spill=place.spill,
        )


def _publish(
    run: Run,
    place: Work,
    snapshots: SnapshotBucket,
    customers: CustomersTable,
    differences: Differences,
    *,
    erased: ErasedCustomers,
) -> None:
    """Each step may be done again: a run that is resumed takes them all."""
    card = run.card
    with _bar("Uploading the snapshot", card.size, "B") as bar:
        snapshots.upload(place.parts, card.parts, bar.update)
    to_write = put_requests([differences.to_write], card.as_of)
    _write(customers, to_write, "Writing customers", differences.new + differences.changed)
    to_remove = (request for ids in ids_in(differences.to_remove, IDS_PER_PAGE) for request in delete_requests(ids))
    _write(customers, to_remove, "Removing customers that left", differences.absent)
    _check_erased_since(run, place, customers, erased)
    try:
        snapshots.switch(card, run.current_etag)
    except SnapshotConflict:
        place.clear()  # or the next run would go on with this one
        raise
    snapshots.remove_all_but([card, *([card.previous] if card.previous else [])])


def _check_erased_since(run: Run, place: Work, customers: CustomersTable, erased: ErasedCustomers) -> None:
    """Raises Problem if customers of the parts were erased while they were written, and takes them out of the table."""
    since = erased.record().digests - set(run.erased_digests)
    if not since:
        return
    back = ids_with(since, [place.parts / part.file for part in run.card.parts], place.spill)
    if back:
        _write(customers, delete_requests(back), "Removing customers that were erased", len(back))
        place.clear()  # or the next run would go on with parts that have them
        raise Problem(
            f"{len(back):,} of the customers were erased while this run was at work. They are not in the table any "
            "more, and the published snapshot is the old one: run this again, so that it leaves them out."
        )


def _write(customers: CustomersTable, requests: Iterator[list[WriteRequest]], what: str, total: int) -> None:
    with _bar(what, total, "") as bar, closing(customers.write(requests)) as done:
        for items in done:
            bar.update(items)


def _bar(what: str, total: int | None, unit: str) -> "tqdm[NoReturn]":
    # None: no bar where standard error is not a terminal.
    return tqdm(total=total, desc=what, unit=unit, unit_scale=True, leave=False, disable=None)
