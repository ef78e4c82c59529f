"""The worker of two queues: statistics where customers or models are new, and answers too slow for a request.

A message of the statistics' queue, which nobody waits for, is one of:
- an event of EventBridge: a new feature snapshot, a new model set, or the daily schedule. It becomes a task for each
  segment, sent to the same queue;
- {"task": "statistics", "segment_id": "..."}, null for the whole base.
One of the queue of callers' jobs is one of:
- {"task": "job", "job_id": "..."};
- {"task": "segment_dataset", "job_id": "..."}: the members as files, which a state machine then has scored;
- {"task": "segment_file", "job_id": "..."}: the members as one file, which is scored as every file that comes;
- {"task": "remove", "job_id": "...", "kind": "...", "request": {}}: what a deleted job has made.
"""

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from loyalty_ml import telemetry
from loyalty_ml.aws.queue import Message, Queue, message_of
from loyalty_ml.customers import skew, snapshot, snapshot_store
from loyalty_ml.customers.snapshot import CURRENT_KEY
from loyalty_ml.errors import FeatureStoreUnavailable, JobNotFound, NotFound, RequestError
from loyalty_ml.jobs.attempt import attempt, end_after_last, look_again, new_owner
from loyalty_ml.jobs.heartbeat import HIDDEN_SECONDS, Heartbeat
from loyalty_ml.jobs.lease import LeaseLost
from loyalty_ml.jobs.record import Job
from loyalty_ml.models import store
from loyalty_ml.models.manifest import MANIFEST_KEY
from loyalty_ml.segments.drift import ALARM_PSI, alarming_psi
from loyalty_ml.segments.statistics_store import ALL_CUSTOMERS
from loyalty_ml.telemetry import logger
from loyalty_ml.vocabulary import rfc3339
from loyalty_ml.wiring import start
from loyalty_ml.wiring.segment_worker import SegmentWorkerParts
from loyalty_ml.wiring.settings import SegmentWorkerSettings

MAX_ATTEMPTS = 3
"""How often a job is tried. The queue brings it once more: a last worker that was killed could record no end."""

# An instance may have looked for models and snapshots a moment ago, and would store the old ones' statistics again.
PLAN_DELAY_SECONDS = 5 + math.ceil(max(store.REFRESH_SECONDS, snapshot_store.REFRESH_SECONDS))

PUBLISHED_KEYS = (CURRENT_KEY, MANIFEST_KEY)

SKEWED_SHARE = 0.01
"""Of the compared customers, more than so many of whom make a trouble: one may have changed at this moment."""

KILLED = "The answer could not be made: its worker was stopped for want of time or memory. Ask for less."

Work = Callable[[SegmentWorkerParts, Job, str, Heartbeat], None]
"""Does a job, under the owner's name of its lease."""

Handler = Callable[[Mapping[str, Any], LambdaContext], None]
"""Does the task of each message; what it raises leaves them in the queue. Each may be done twice without harm."""


def make_handler(parts: Callable[[], SegmentWorkerParts]) -> Handler:
    """The handler, over the parts of one deployment."""

    def handle(event: Mapping[str, Any], context: LambdaContext) -> None:
        for record in event["Records"]:
            _work(parts(), message_of(record))

    return telemetry.traced(handle)


def _work(parts: SegmentWorkerParts, message: Message) -> None:
    queue, statistics_queue = parts.queue, parts.statistics_queue
    match message.body:
        case {"detail-type": "Scheduled Event"}:
            with statistics_queue.work(message, "plan"):
                _plan(parts)
        case {"detail-type": "Object Created", "detail": {"object": {"key": key}}} if key in PUBLISHED_KEYS:
            with statistics_queue.work(message, "plan"):
                _plan(parts)
                _tell_what_is_live(parts, key)
        case {"task": "statistics", "segment_id": None | str() as segment_id}:
            with statistics_queue.work(message, "statistics"):
                _refresh(parts, segment_id)
        case {"task": "remove", "job_id": str(job_id), "kind": kind, "request": dict(request)}:
            with queue.work(message, "remove"):
                parts.removal.remove(job_id, kind, request)
        case {"task": "job", "job_id": str()}:
            with queue.work(message, "job", HIDDEN_SECONDS):
                _attempt(parts, queue, message, _answer)
        case {"task": "segment_dataset", "job_id": str(job_id)}:
            with queue.work(message, "segment_dataset", HIDDEN_SECONDS):
                if not parts.datasets.is_started(job_id):  # if it is, its record is the state machine's
                    _attempt(parts, queue, message, _start_dataset)
        case {"task": "segment_file", "job_id": str(job_id)}:
            with queue.work(message, "segment_file", HIDDEN_SECONDS):
                if not _is_written(parts, job_id):  # if it is, its record is that of whoever scores the file
                    _attempt(parts, queue, message, _write_file)
        case _:
            with queue.work(message, "unknown"):
                raise ValueError(
                    "The message is not a task of this queue: delete it, and check who else writes to the queue."
                )


def _plan(parts: SegmentWorkerParts) -> None:
    segment_ids = [None, *parts.segments.ids()]
    tasks = [{"task": "statistics", "segment_id": segment_id} for segment_id in segment_ids]
    parts.statistics_queue.send_all(tasks, delay_seconds=PLAN_DELAY_SECONDS)
    telemetry.write_values({"Refreshes": 1})
    _tell_age(parts)


def _tell_age(parts: SegmentWorkerParts) -> None:
    """Writes how old the features are that are served now; nothing if there were never any."""
    try:
        card = snapshot.read_current(parts.s3, parts.settings.data_bucket)
    except snapshot.SnapshotUnavailable as error:
        logger.error("The age of the features is not known", reason=str(error))
        telemetry.write_trouble("features")
        return
    if card is None:
        return
    hours = (datetime.now(UTC) - card.as_of).total_seconds() / 3600
    if hours > parts.settings.feature_max_age_hours:
        telemetry.write_trouble("features", {"FeatureAgeHours": hours}, snapshot=card.version)
    else:
        telemetry.write_values({"FeatureAgeHours": hours}, snapshot=card.version)


def _tell_skew(parts: SegmentWorkerParts) -> None:
    """Writes how many of a sample of customers the two stores do not agree on; the next refresh draws another."""
    population = parts.service.customers()
    if not population.customers:
        return
    try:
        found = skew.compare(population, parts.customers)
    except FeatureStoreUnavailable as error:
        # The statistics are stored: they are not to be measured again for this.
        logger.error("Customers were not compared in both stores", reason=error.message)
        if not error.retry:
            telemetry.write_trouble("skew")
        return
    values = {"ComparedCustomers": found.compared, "SkewedCustomers": found.skewed}
    facts: dict[str, Any] = {"snapshot": population.version, "unknown": found.unknown, "features": found.features}
    if found.skewed > SKEWED_SHARE * found.compared:
        logger.error("The table and the snapshot have other features of the same customers", **facts)
        telemetry.write_trouble("skew", values, **facts)
    else:
        telemetry.write_values(values, **facts)


def _tell_what_is_live(parts: SegmentWorkerParts, key: str) -> None:
    """Sends the event of a model set or a snapshot that is now served; more than once if the message comes again.

    What cannot be served has no event, and does not keep the message: its plan would be made again and again.
    """
    if key == CURRENT_KEY:
        try:
            card = snapshot.read_current(parts.s3, parts.settings.data_bucket)
        except snapshot.SnapshotUnavailable as error:
            logger.warning("No event of the new snapshot", reason=str(error))
            return
        if card is not None:
            parts.events.send(
                "loyalty.snapshot",
                {"snapshot": card.version, "features_as_of": rfc3339(card.as_of), "customers": card.customers},
            )
        return
    parts.models.look_again()
    manifest = parts.models.current().manifest
    if manifest is not None:
        versions = {name: model.version for name, model in sorted(manifest.models.items())}
        parts.events.send("loyalty.models", {"models": versions, "created": rfc3339(manifest.created)})


def _refresh(parts: SegmentWorkerParts, segment_id: str | None) -> None:
    try:
        point = parts.service.refresh(segment_id)
    except (RequestError, NotFound) as error:
        # Deleted meanwhile, or its rule names what the new snapshot lacks: it says so to whoever asks about it.
        logger.warning("No statistics of a segment", segment_id=segment_id, reason=error.message)
        telemetry.count_failure(error.code)
        return
    for name, found in point.drift.items():
        inputs = {feature: drift["psi"] for feature, drift in found["features"].items()}
        all_psi = {**inputs, "score": found["score"]["psi"]}
        alarming = alarming_psi(found)
        telemetry.write_drift(segment_id or ALL_CUSTOMERS, name, alarming, all_psi)
        # Placeholders learnt from generated customers: nobody has to be told that others are not like them.
        is_own = not point.infos[name]["placeholder"]
        if segment_id is None and is_own and alarming is not None and alarming >= ALARM_PSI:
            telemetry.write_trouble("drift", model=name)
    if segment_id is None:
        _tell_skew(parts)


def _answer(parts: SegmentWorkerParts, job: Job, owner: str, heartbeat: Heartbeat) -> None:
    answer = parts.service.answer(job.request, heartbeat.progress)
    heartbeat.raise_if_lost()
    parts.jobs.put_answer(job.job_id, answer)
    parts.leases.succeed(job.job_id, owner)


def _start_dataset(parts: SegmentWorkerParts, job: Job, owner: str, heartbeat: Heartbeat) -> None:
    def before_start() -> None:
        # A state machine that has failed the job meanwhile must not see it running again.
        heartbeat.raise_if_lost()
        heartbeat.note(processed=0)  # from here on what is counted is what is scored, and no longer what is written

    parts.segment_datasets.execute(job.job_id, job.request, heartbeat.progress, before_start)
    with suppress(LeaseLost):  # the state machine has ended it already
        parts.leases.hand_over(job.job_id, owner)


def _is_written(parts: SegmentWorkerParts, job_id: str) -> bool:
    with suppress(JobNotFound):  # which the attempt says
        return parts.segment_datasets.is_written(parts.jobs.get(job_id).request)
    return False


def _write_file(parts: SegmentWorkerParts, job: Job, owner: str, heartbeat: Heartbeat) -> None:
    def progress(processed: int, total: int) -> None:
        heartbeat.raise_if_lost()  # the record counts what is scored, and not what is written

    with parts.segment_datasets.file_of_members(job.request, progress) as path:
        heartbeat.raise_if_lost()
        # Before the file is there, and another worker at it. If this one dies in between, the message comes again.
        parts.leases.release(job.job_id, owner)
        with parts.jobs.failing(job.job_id):
            parts.segment_datasets.put_file(job.request, path)


def _attempt(parts: SegmentWorkerParts, queue: Queue, message: Message, work: Work) -> None:
    """Does a job's work unless another worker does, and records where it fails: for good, or until it comes again."""
    job_id, owner, leases = message.body["job_id"], new_owner(), parts.leases
    if message.attempts > MAX_ATTEMPTS:
        end_after_last(leases, queue, message.body, attempts=message.attempts, most=MAX_ATTEMPTS, killed=KILLED)
        return
    try:
        claim = leases.claim(job_id, owner)
    except JobNotFound:
        logger.warning("The job is no longer kept: its message is dropped", job_id=job_id)
        return
    if claim.outcome == "finished":
        return
    if claim.outcome == "running":
        look_again(queue, message.body, attempts=message.attempts, lease_left=claim.lease_left)
        return
    assert claim.job is not None
    is_last = message.attempts >= MAX_ATTEMPTS
    try:
        with attempt(
            leases, job_id, owner, claim=claim, is_last=is_last, on_beat=partial(queue.hide, message), killed=KILLED
        ) as heartbeat:
            try:
                work(parts, claim.job, owner, heartbeat)
            except (RequestError, NotFound) as error:
                leases.fail(job_id, owner, error.code, error.message, final=True)
                telemetry.count_failure(error.code)
    except LeaseLost:
        logger.warning("Another worker has taken the job over", job_id=job_id)
        look_again(queue, message.body, attempts=message.attempts, lease_left=leases.seconds)


_parts = start.once(SegmentWorkerParts, SegmentWorkerSettings)
start.initialize(_parts, lambda parts: (parts.service,))
handler = start.answering_golden(_parts, make_handler(_parts))
