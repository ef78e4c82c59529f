"""An attempt at a claimed job: the heartbeat while it lasts, and in the job's record what stops it."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from loyalty_ml import telemetry
from loyalty_ml.aws.queue import Queue
from loyalty_ml.errors import StoreUnavailable
from loyalty_ml.jobs.heartbeat import Heartbeat, Timing
from loyalty_ml.jobs.lease import SECONDS_AFTER_LEASE, Claim, LeaseLost, Leases
from loyalty_ml.telemetry import logger

MAX_LOOKS = 5_000
"""How often one message is replaced by a copy that looks again; at a minute each, that is over three days.

Lambda ends such a chain by itself after 16, which a job of half an hour has; the template turns that off.
"""


class WorkerKilled(Exception):
    """The last attempt, which is left to say what the attempts before it could not."""

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"The worker of job {job_id} was killed: look for a timeout or for too little memory or disk in the log."
        )


@contextmanager
def attempt(
    leases: Leases,
    job_id: str,
    owner: str,
    *,
    claim: Claim,
    is_last: bool,
    on_beat: Callable[[float], object],
    killed: str,
    described: Callable[[Exception], tuple[str, str]] = telemetry.described,
    timing: Timing | None = None,
) -> Iterator[Heartbeat]:
    """An attempt at a claimed job: its heartbeat, and in the record what stops it.

    is_last:    if this attempt fails the job fails, until someone sends it again; else another worker goes on.
    killed:     the sentence for whoever asked, if the attempt before the last one was killed.
    described:  the code and the sentence of what stopped it.
    Raises what stops it, LeaseLost if another worker goes on meanwhile, and WorkerKilled.
    """
    if claim.was_killed and is_last:
        # This one would be killed as well, and then nobody could say so.
        leases.fail(job_id, owner, "INTERNAL", killed, final=False)
        raise WorkerKilled(job_id)
    with Heartbeat(leases, job_id, owner, on_beat, timing) as heartbeat:
        try:
            yield heartbeat
        except LeaseLost:
            raise
        except Exception as error:
            code, sentence = described(error)
            with suppress(LeaseLost, StoreUnavailable):  # or what went wrong first would not be told
                if is_last:
                    leases.fail(job_id, owner, code, sentence, final=False)
                else:
                    leases.release(job_id, owner, sentence, code)
            raise


def look_again(queue: Queue, task: Mapping[str, Any], *, attempts: int, lease_left: float) -> None:
    """Replaces the message of a job that another worker has by a copy, which comes once that lease has passed.

    It may be a second message; it may also be the message of the worker that has the lease, and the last one that there
    is. So the copy stays until the job is finished. attempts: how often the job was received, this time included.
    Raises RuntimeError after MAX_LOOKS copies: the message becomes a dead letter.
    """
    looks = task.get("looks", 0) + 1
    if looks > MAX_LOOKS:
        raise RuntimeError(f"The job is at work still after {MAX_LOOKS} looks: see in its record who works on it.")
    logger.info("A job is at work already: looked at again later", job_id=task["job_id"])
    queue.send({**task, "looks": looks}, attempts=attempts - 1, delay_seconds=lease_left + SECONDS_AFTER_LEASE)


def end_after_last(
    leases: Leases, queue: Queue, task: Mapping[str, Any], *, attempts: int, most: int, killed: str
) -> None:
    """What is left to do if a job was tried `most` times: the record says so, even if the last worker was killed.

    killed: the sentence for whoever asked. Raises RuntimeError, so that the message becomes a dead letter, unless a
    worker still has the lease.
    """
    if lease_left := leases.give_up(task["job_id"], "INTERNAL", killed):
        look_again(queue, task, attempts=attempts, lease_left=lease_left)
    else:
        raise RuntimeError(f"{most} attempts failed or were killed: the log has the cause of each.")


def new_owner() -> str:
    """A name for an attempt."""
    return uuid.uuid4().hex
