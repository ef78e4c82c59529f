"""Faults of the stores: what the caller sees, that the service recovers, and that counts still add up.

Each is a row of docs/faults.md, which has in its second column just the answers that are seen here.
"""

import json
from collections.abc import Callable, Mapping

import pytest

from tests.faults.page import rows, shown
from tests.faults.transport import Fault, away, cut_off, half_unprocessed, refused, slow
from tests.faults.world import IDS, LISTED, World, adds_up, seen
from tests.service import process

pytestmark = [pytest.mark.moto, pytest.mark.long]


def dynamodb_throttled(world: World) -> set[str]:
    with world.faults.of("dynamodb", THROTTLED, times=2):
        passing = world.batch()
    with world.lasting("dynamodb", THROTTLED):
        lasting = world.batch()
    return {seen(passing), seen(lasting)}


def dynamodb_slow(world: World) -> set[str]:
    with world.faults.of("dynamodb", slow(0.3)):
        slowed = world.batch()
    with world.lasting("dynamodb", slow(5)):
        hanging = world.batch()
    return {seen(slowed), seen(hanging)}


def dynamodb_partly_unprocessed(world: World) -> set[str]:
    undisturbed = world.batch()
    with world.faults.of("dynamodb", half_unprocessed, operation="BatchGetItem"):
        parted = world.batch()
        assert len(world.faults.calls) > 3
    assert parted.body == undisturbed.body
    assert adds_up(parted)
    return {seen(parted)}


def s3_slow(world: World) -> set[str]:
    with world.faults.of("s3", slow(0.1)):
        slowed = world.batch()
    return {seen(slowed)}


def s3_refuses(world: World) -> set[str]:
    with world.lasting("s3", refused(503, "SlowDown")):
        lasting = world.batch()
    world.new_instance()
    with world.faults.of("s3", refused(503, "SlowDown"), times=1):
        passing = world.batch()
    return {seen(passing), seen(lasting)}


def s3_cut_off_at_a_model(world: World) -> set[str]:
    with world.faults.of("s3", cut_off(100), path="tflite"):
        cut = world.batch()
    return {seen(cut)}


def s3_cut_off_at_the_snapshot(world: World) -> set[str]:
    undisturbed = world.segment()
    world.new_instance()
    with world.faults.of("s3", cut_off(500), path="parquet", times=2):
        cut = world.segment()
        assert world.faults.calls
    assert cut.body == undisturbed.body
    assert adds_up(cut)
    return {seen(cut)}


def s3_cut_off_at_a_file(world: World) -> set[str]:
    _, undisturbed = world.score_file()
    with world.faults.of("s3", cut_off(100), path="incoming", operation="GET", times=2):
        status, results = world.score_file()
        assert world.faults.calls
    assert results == undisturbed
    summary = json.loads(results["summary.json"])
    assert summary["rows"] == summary["predictions"] + summary["errors"] == len(LISTED)
    return {status}


def queue_away(world: World) -> set[str]:
    with world.lasting("sqs", away):
        refused_job = world.start_job(segment_id="everyone", type="churn")
    failed = world.service.call("GET", "/ml/jobs", queryStringParameters={"limit": "1"}).body["jobs"][0]
    assert (failed["status"], failed["code"]) == ("failed", "STORE_UNAVAILABLE"), "no job waits for ever"
    again = world.start_job(segment_id="everyone", type="churn")
    return {seen(refused_job), seen(again)}


def state_machine_away(world: World) -> set[str]:
    with world.lasting("states", away):
        refused_job = world.start_job(prefix="datasets/x/")
    again = world.start_job(prefix="datasets/x/")
    return {seen(refused_job), seen(again)}


def clock_skew(world: World) -> set[str]:
    """AWS refuses what is signed with a clock that is over 5 (S3: 15) minutes off."""
    with world.lasting("dynamodb", refused(400, "InvalidSignatureException")):
        table = world.batch()
    world.new_instance()
    with world.lasting("s3", refused(403, "RequestTimeTooSkewed")):
        models = world.batch()
    return {seen(table), seen(models)}


def dead_connections(world: World) -> set[str]:
    world.batch()
    process().batch.models.look_again()  # as after any half minute
    with world.faults.of("s3", away, times=1):
        first = world.batch()
        assert world.faults.calls
    with world.faults.of("dynamodb", away, times=1):
        second = world.batch()
        assert world.faults.calls
    assert first.body == second.body
    return {seen(first), seen(second)}


THROTTLED: Fault = refused(400, "ProvisionedThroughputExceededException")
FAULTS: Mapping[str, Callable[[World], set[str]]] = {
    "DynamoDB throttles": dynamodb_throttled,
    "DynamoDB is slow": dynamodb_slow,
    "DynamoDB leaves keys unprocessed": dynamodb_partly_unprocessed,
    "S3 is slow": s3_slow,
    "S3 answers 503": s3_refuses,
    "S3 breaks off in a model": s3_cut_off_at_a_model,
    "S3 breaks off in the snapshot": s3_cut_off_at_the_snapshot,
    "S3 breaks off in a file": s3_cut_off_at_a_file,
    "the queue is away": queue_away,
    "the state machine is away": state_machine_away,
    "an instance's clock is an hour off": clock_skew,
    "connections have died while an instance was frozen": dead_connections,
}


@pytest.mark.parametrize("title", FAULTS)
def test_a_fault_of_a_store_is_seen_as_the_page_says_and_passes(world: World, title: str) -> None:
    world.new_instance()
    assert FAULTS[title](world) == shown(title)
    after = world.batch()  # of the same instance
    assert (after.status, adds_up(after)) == (200, True)
    assert after.body["successful"] > len(IDS) / 2


def test_the_page_has_just_these_faults() -> None:
    of_processes = {
        "/tmp is full",
        "an instance is frozen for an hour",
        "a worker is out of memory",
        "the manifest is switched 100 times under load",
        "every store hangs",
    }
    assert rows().keys() == FAULTS.keys() | of_processes
