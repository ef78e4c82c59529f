"""How long what the service writes stays in its buckets: the template's lifecycle rules, acted out as S3 does."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_ml.customers.snapshot import CURRENT_KEY
from loyalty_ml.datasets.start import SEGMENT_COPIES
from loyalty_ml.files.checkpoint import checkpoint_key
from loyalty_ml.files.source import INCOMING, upload_key
from loyalty_ml.jobs.contracts import DATASETS
from loyalty_ml.jobs.record import KEPT, answer_key
from loyalty_ml.models.card import card_key, model_key
from loyalty_ml.models.manifest import MANIFEST_KEY
from loyalty_ml.segments.lists import LISTS, UPLOADS
from tests.test_template import as_list, statements_of
from training.erasure.erase import PLACES
from training.snapshot.erased import PREFIX as ERASED

pytestmark = pytest.mark.built

FOR_EVER = None
JOB = "0" * 32
DELETED_BY_HAND = 40
"""The day on which a test deletes what is there still."""
Days = tuple[str | int | None, int]
DATA: dict[str, Days] = {
    # key: days until it is deleted, then days until a version is gone that was deleted or replaced
    answer_key(JOB): ("ResultDays", 1),
    f"results/{JOB}/predictions.csv": ("ResultDays", 1),
    f"results/{JOB}/map/0/SUCCEEDED_0.json": ("ResultDays", 1),
    upload_key("churn", JOB, "csv"): ("UploadDays", 1),
    f"{INCOMING}nbo/dropped.parquet": ("UploadDays", 1),
    f"{SEGMENT_COPIES}{JOB}/0/part-00000.parquet": ("UploadDays", 1),
    checkpoint_key(JOB): (7, 1),
    f"jobs/{JOB}/parts/0/000000000000.parquet": (7, 1),
    f"{UPLOADS}upload-0": (1, 1),
    f"{LISTS}vip/0": (FOR_EVER, 30),
    "snapshots/20180102T000000Z-00000000/part-00000.parquet": (FOR_EVER, 1),
    CURRENT_KEY: (FOR_EVER, 1),
    f"{ERASED}{JOB}": (FOR_EVER, 30),
    f"{DATASETS}2026-11/part-0.csv": (FOR_EVER, 30),
}
MODELS: dict[str, Days] = dict.fromkeys(
    (MANIFEST_KEY, card_key("churn", "v1"), model_key("churn", "v1")), (FOR_EVER, 30)
)


class Versions:
    """One key's versions in a versioned bucket, from day to day.

    A version is [day it came, day it was replaced or None, whether it is a delete marker]; the newest is the last.
    """

    def __init__(self, rules: Sequence[Mapping[str, Any]], key: str) -> None:
        self._rules = [rule for rule in rules if key.startswith(rule["Prefix"])]
        self.versions: list[list[Any]] = []

    def put(self, day: int, *, marker: bool = False) -> None:
        if self.versions:
            self.versions[-1][1] = day
        self.versions.append([day, None, marker])

    def end(self, day: int) -> None:
        """What S3 does at a day's end. Of two rules the shorter is followed."""
        expiry = self._least("ExpirationInDays")
        noncurrent = min(
            (
                rule["NoncurrentVersionExpiration"]["NoncurrentDays"]
                for rule in self._rules
                if "NoncurrentVersionExpiration" in rule
            ),
            default=None,
        )
        if noncurrent is not None:
            kept = [each for each in self.versions if each[1] is None or day - each[1] < noncurrent]
            self.versions = kept
        if not self.versions:
            return
        newest = self.versions[-1]
        if newest[2]:
            aged = expiry is not None and day - newest[0] >= expiry
            if len(self.versions) == 1 and (aged or any(rule.get("ExpiredObjectDeleteMarker") for rule in self._rules)):
                self.versions = []
        elif expiry is not None and day - newest[0] >= expiry:
            self.put(day, marker=True)

    @property
    def is_readable(self) -> bool:
        return bool(self.versions) and not self.versions[-1][2]

    def _least(self, name: str) -> int | None:
        return min((rule[name] for rule in self._rules if name in rule), default=None)


def rules_of(
    translated: Mapping[str, Any], bucket: str, parameters: Mapping[str, int] | None = None
) -> list[dict[str, Any]]:
    """The bucket's rules with the parameters' values: those given, and else their defaults."""
    defaults = {name: each.get("Default") for name, each in translated["Parameters"].items()}
    values = defaults | dict(parameters or {})
    rules = []
    for rule in translated["Resources"][bucket]["Properties"]["LifecycleConfiguration"]["Rules"]:
        assert rule["Status"] == "Enabled", rule["Id"]
        flat = {"Prefix": "", **rule, **rule.get("NoncurrentVersionExpiration", {})}
        rules.append({name: values[each["Ref"]] if "Ref" in str(each) else each for name, each in flat.items()})
    return rules


@pytest.mark.parametrize(("bucket", "expected"), [("DataBucket", DATA), ("ModelBucket", MODELS)])
@given(
    writes=st.lists(st.integers(0, 20), min_size=1, max_size=4),
    result_days=st.integers(32, 60),
    upload_days=st.integers(15, 60),
)
def test_all_versions_are_gone_when_the_parameters_say_so(
    translated: dict[str, Any],
    bucket: str,
    expected: dict[str, Any],
    writes: list[int],
    result_days: int,
    upload_days: int,
) -> None:
    parameters = {"ResultDays": result_days, "UploadDays": upload_days}
    rules = rules_of(translated, bucket, parameters)
    for key, (until, behind) in expected.items():
        days = parameters.get(str(until), until)
        there = Versions(rules, key)
        last = max(writes)
        for day in range(last + 150):
            for _ in range(writes.count(day)):
                there.put(day)
            there.end(day)
            if day < last:
                continue
            since = day - last
            if days is FOR_EVER:
                assert there.is_readable, (key, day)
                assert len(there.versions) == 1 or since < behind, (key, day)
                continue
            assert there.is_readable == (since < days), (key, day)
            assert bool(there.versions) == (since < days + behind), (key, day)


@pytest.mark.parametrize("key", [key for key, (days, _) in DATA.items() if days is FOR_EVER])
def test_what_is_deleted_by_hand_leaves_nothing_behind(translated: dict[str, Any], key: str) -> None:
    there = Versions(rules_of(translated, "DataBucket"), key)
    there.put(0)
    there.put(1)
    for day in range(DELETED_BY_HAND, DELETED_BY_HAND + 40):
        if day == DELETED_BY_HAND:
            there.put(day, marker=True)
        there.end(day)
        assert bool(there.versions) == (day < DELETED_BY_HAND + DATA[key][1]), day


def test_unfinished_uploads_end_in_a_week_in_every_place(translated: dict[str, Any]) -> None:
    for bucket in ("DataBucket", "ModelBucket"):
        (rule,) = (rule for rule in rules_of(translated, bucket) if "AbortIncompleteMultipartUpload" in rule)
        assert not rule["Prefix"]
        assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}


def test_every_place_that_a_function_may_write_has_its_days_here(translated: dict[str, Any]) -> None:
    """And `loyalty erase` knows it."""
    known: dict[str, dict[str, Days]] = {"DataBucket": DATA, "ModelBucket": MODELS}
    places = set(_written(translated))
    assert len(places) > 5
    for bucket, prefix in places:
        assert any(key.startswith(prefix) for key in known[bucket]), (bucket, prefix)
        if bucket == "DataBucket":
            assert any(place.prefix and prefix.startswith(place.prefix) for place in PLACES), prefix


def test_a_record_never_outlives_its_answer_and_a_message_not_its_file(translated: dict[str, Any]) -> None:
    parameters = translated["Parameters"]
    assert timedelta(days=parameters["ResultDays"]["MinValue"]) > KEPT
    kept = [
        each["Properties"]["MessageRetentionPeriod"]
        for each in translated["Resources"].values()
        if each["Type"] == "AWS::SQS::Queue" and "MessageRetentionPeriod" in each["Properties"]
    ]
    assert timedelta(days=parameters["UploadDays"]["MinValue"]) > timedelta(seconds=max(kept))


def _written(translated: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The bucket, and what keys begin with, of each s3:PutObject that the template grants."""
    for resource in translated["Resources"].values():
        if resource["Type"] not in ("AWS::IAM::Role", "AWS::IAM::ManagedPolicy"):
            continue
        for statement in statements_of(resource):
            if "s3:PutObject" in as_list(statement["Action"]):
                for named in as_list(statement["Resource"]):
                    bucket, _, key = named["Fn::Sub"].partition(".Arn}/")
                    yield bucket.removeprefix("${"), key.partition("*")[0]
