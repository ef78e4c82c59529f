"""One customer, or several, erased: what is found of them, what is removed, and what stays for somebody to decide.

Removed are the item in the customers table and the entries in lists of segments: they are kept for ever. The id goes on
a record, by its digest, so that materialize leaves the customer out of the table and of the next snapshot. Files
(results, uploads, members' copies) hold many customers and go by themselves after the days that the template says: they
are listed, and removed if that is asked for. What is below datasets/ is its owner's: it is only listed.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from loyalty_ml.errors import LoyaltyError
from loyalty_ml.files.content import DOWNLOAD_AHEAD
from loyalty_ml.segments.lists import LISTS, UPLOADS
from loyalty_ml.vocabulary import CUSTOMER_ID
from loyalty_ml.wiring import clients
from training.aws import asking
from training.erasure.objects import LOOKERS, Holding, holdings, unfinished_uploads, versions_of
from training.erasure.segments import SegmentHolding, SegmentsTable
from training.errors import Problem
from training.snapshot import customers_table
from training.snapshot.erased import ErasedCustomers

if TYPE_CHECKING:
    from collections.abc import Callable

UNREADABLE = "cannot be read, and may hold anyone: look into them yourself, and delete those that do"
MOST_SHOWN = 20
"""Keys of one place that are shown one by one."""


class Place(NamedTuple):
    """Objects of one prefix: what they are, whether a run may remove them, and what becomes of those that stay.

    removed:  always, with `--files`, or never.
    """

    prefix: str
    what: str
    removed: str
    stays: str


_AFTER = "go after {days} (all versions a day later); --files removes them now"
PLACES = (
    Place(
        "snapshots/", "feature snapshot", "never", "the next materialize writes one without the customer and deletes it"
    ),
    Place(UPLOADS, "list as it was sent", "files", _AFTER.format(days="1 day")),
    Place(LISTS, "segment's list", "always", ""),
    Place("results/", "result of a job", "files", _AFTER.format(days="ResultDays")),
    Place("jobs/", "checkpoint of a job", "files", _AFTER.format(days="7 days")),
    Place("members/", "copy of a segment's members", "files", _AFTER.format(days="UploadDays")),
    Place("incoming/", "file that was sent to be scored", "files", _AFTER.format(days="UploadDays")),
    Place("datasets/", "file of a dataset", "never", "stay, as their owner's: write them again without the customer"),
    Place("", "other object", "never", "stay, as they are not this service's: look at them yourself"),
)
"""The first whose prefix a key has is its place."""


@dataclass(frozen=True, slots=True)
class Found:
    """What there is of the customers.

    customers:  ids that the customers table has.
    objects:    versions of objects of the data bucket.
    looked_into: how many versions there are.
    unfinished: uploads in parts, into which nobody can look.
    """

    customers: tuple[str, ...]
    segments: tuple[SegmentHolding, ...]
    objects: tuple[Holding, ...]
    looked_into: int
    unfinished: int


class Deployment:
    """The stores of one deployment. Every method raises Problem for what whoever runs it can put right."""

    def __init__(self, *, bucket: str, table: str, segments_table: str) -> None:
        self._bucket = bucket
        self._table = table
        self._s3 = clients.file_s3(LOOKERS * DOWNLOAD_AHEAD)
        self._dynamodb = customers_table.client()
        self._segments = SegmentsTable(clients.dynamodb(), self._s3, table=segments_table, bucket=bucket)

    def find(
        self, customer_ids: Sequence[str], begin: "Callable[[int], Callable[[int], object]]" = lambda _: lambda _: None
    ) -> Found:
        """Looks everywhere; `begin` is told of the bytes to look into, and gives what is told of each object's."""
        versions = versions_of(self._s3, self._bucket)
        try:
            objects = holdings(self._s3, versions, customer_ids, begin(sum(source.size for source, _ in versions)))
        except LoyaltyError as error:
            raise Problem(error.message) from error
        return Found(
            customers=tuple(self._stored(customer_ids)),
            segments=tuple(self._segments.holdings(customer_ids)),
            objects=tuple(objects),
            looked_into=len(versions),
            unfinished=unfinished_uploads(self._s3, self._bucket),
        )

    def erase(self, customer_ids: Sequence[str], found: Found, *, files: bool) -> int:
        """Removes what may be removed of that; gives the number of versions of objects that are gone.

        Each step may be done again: a run that was stopped is run once more.
        """
        ErasedCustomers(self._s3, self._bucket).add(customer_ids)  # first: a materialize may be at work
        for requests in customers_table.delete_requests(customer_ids):
            list(customers_table.CustomersTable(self._dynamodb, self._table).write([requests]))
        for segment in found.segments:
            if segment.in_list:
                self._segments.remove(segment, customer_ids)
        doomed = [each for each in found.objects if is_removed(each, files=files)]
        self._delete(doomed)
        return len(doomed)

    def _stored(self, customer_ids: Sequence[str]) -> Iterator[str]:
        with asking(f"the table {self._table}"):
            for customer_id in customer_ids:
                key = {CUSTOMER_ID: {"S": customer_id}}
                answer = self._dynamodb.get_item(
                    TableName=self._table, Key=key, ConsistentRead=True, ProjectionExpression=CUSTOMER_ID
                )
                if "Item" in answer:
                    yield customer_id

    def _delete(self, doomed: Sequence[Holding]) -> None:
        with asking(f"the bucket {self._bucket}"):
            for start in range(0, len(doomed), 1000):
                named = [{"Key": each.key, "VersionId": each.version_id} for each in doomed[start : start + 1000]]
                answer = self._s3.delete_objects(
                    Bucket=self._bucket,
                    Delete={"Objects": named, "Quiet": True},  # type: ignore[typeddict-item]
                )
                for refused in answer.get("Errors", ()):
                    raise Problem(
                        f"S3 answered {refused['Code']} to deleting a version of {refused['Key']}: check that you may "
                        "s3:DeleteObjectVersion there, then run this again."
                    )


def allow(bucket: str, customer_ids: Sequence[str]) -> list[str]:
    """Lets materialize bring these back from the warehouse; gives those that were erased. Raises Problem."""
    return ErasedCustomers(clients.file_s3(LOOKERS), bucket).allow(customer_ids)


def place_of(key: str) -> Place:
    return next(place for place in PLACES if key.startswith(place.prefix))


def is_removed(holding: Holding, *, files: bool) -> bool:
    """What cannot be read is never removed: whom it holds is not known."""
    removed = place_of(holding.key).removed
    return holding.by != "nothing" and (removed == "always" or (removed == "files" and files))


def report(customer_ids: Sequence[str], found: Found, *, files: bool) -> list[str]:
    """What is found and what is to become of it, a line each: it is shown before anything is erased."""
    lines = [
        f"customers table: {len(found.customers):,} of {len(customer_ids):,}"
        + (" (to be removed)" if found.customers else "")
    ]
    for segment in found.segments:
        lines += [f"segment {segment.segment_id}: {what}" for what in _of_segment(segment)]
    by_place = Counter(place_of(each.key) for each in found.objects)
    for place in PLACES:
        if not by_place[place]:
            continue
        here = [each for each in found.objects if place_of(each.key) == place]
        readable = [each for each in here if each.by != "nothing"]
        parts = (
            ([each for each in readable if is_removed(each, files=files)], "to be removed"),
            ([each for each in readable if not is_removed(each, files=files)], place.stays),
            # Whom they hold is not known: no option removes them, and the next materialize need not.
            ([each for each in here if each.by == "nothing"], UNREADABLE),
        )
        for those, what in parts:
            if those:
                lines.append(f"{place.prefix or 'elsewhere'}: {len(those):,} version(s), {place.what}: {what}")
                lines += [f"  {_of_object(each)}" for each in those[:MOST_SHOWN]]
                if len(those) > MOST_SHOWN:
                    lines.append(f"  and {len(those) - MOST_SHOWN:,} more")
    if found.unfinished:
        lines.append(f"{found.unfinished:,} unfinished upload(s), which nobody can look into: they end after 7 days")
    lines.append(f"{found.looked_into:,} version(s) of objects were looked into.")
    return lines


def _of_segment(segment: SegmentHolding) -> Iterator[str]:
    if segment.problem:
        yield f"cannot be looked into: {segment.problem}"
    if segment.in_list and segment.others:
        yield f"its list has the customer (to be removed; {segment.others:,} other(s) stay)"
    elif segment.in_list:
        yield "it lists nobody else (the segment is to be deleted)"
    if segment.in_rule:
        yield "its rule names the customer: PUT the segment with another rule"


def _of_object(holding: Holding) -> str:
    known = {
        "row": "",
        "text": "; the id's text is in it, but it is no table that can be read as a whole",
        "nothing": "",
    }
    state = "newest" if holding.is_latest else "replaced or deleted"
    return f"{holding.key} ({state} version {holding.version_id}, {holding.size:,} bytes{known[holding.by]})"
