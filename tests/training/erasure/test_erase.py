"""A customer erased: found wherever they are, gone from all that is kept, and not brought back by materialize."""

import bz2
import gzip
import io
import json
import lzma
import re
import sys
import zlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from backports import zstd
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from loyalty_ml.files.sizes import Sizes
from loyalty_ml.segments.lists import UPLOADS
from loyalty_ml.vocabulary import CUSTOMER_ID
from tests.files.deployed import Files
from tests.files.writings import as_csv, as_json, as_parquet, table_of
from tests.segments.test_segments import MOMENT, Deployment, some_customers
from tests.service import Service, new_process
from training.cli.main import main
from training.erasure import erase
from training.erasure.objects import Holding, holdings, is_in, versions_of
from training.errors import Problem
from training.snapshot.erased import PREFIX, ErasedCustomers, digest

pytestmark = pytest.mark.moto

ONE = "7"
"""An id that is a part of others, and a number that stands in many cells."""
DAY = timedelta(days=1)


class Erasing(Deployment):
    """A deployment with the command."""

    def erase(self, *arguments: str) -> int:
        ids = self.service.ids
        stores = ("--bucket", ids["DataBucket"], "--table", ids["CustomersTable"])
        return main(["erase", *arguments, *stores, "--segments-table", ids["SegmentsTable"]])

    def again(self, days: int) -> None:
        self.write_customers(self.customers, MOMENT + days * DAY)
        new_process()

    def holding(self, customer_id: str = ONE) -> list[Holding]:
        s3, bucket = self.service.s3, self.service.ids["DataBucket"]
        return holdings(s3, versions_of(s3, bucket), [customer_id])

    def keys_of(self, customer_id: str = ONE) -> set[str]:
        return {each.key for each in self.holding(customer_id)}

    def in_table(self, customer_id: str = ONE) -> bool:
        key = {CUSTOMER_ID: {"S": customer_id}}
        return "Item" in self.service.dynamodb.get_item(TableName=self.service.ids["CustomersTable"], Key=key)

    def snapshots(self) -> set[str]:
        """The newest versions below snapshots/."""
        listed = self.service.s3.list_objects_v2(Bucket=self.service.ids["DataBucket"], Prefix="snapshots/")
        return {entry["Key"] for entry in listed["Contents"] if entry["Key"].endswith(".parquet")}


@pytest.fixture
def deployment(service: Service, tmp_path: Path) -> Erasing:
    deployed = Erasing(service, tmp_path / "work")
    rows = some_customers(customers=60)
    deployed.write_customers({customer_id.removeprefix("c-"): row for customer_id, row in rows.items()})
    return deployed


def test_one_is_erased_everywhere_and_the_others_stay(deployment: Erasing, capsys: pytest.CaptureFixture[str]) -> None:
    service, files = deployment.service, Files(deployment.service)
    put = service.s3.put_object
    long = [str(number) for number in range(30_000)]
    deployment.define("long", customer_ids=long)
    deployment.define("short", customer_ids=["5", ONE, "17"])
    deployment.define("alone", customer_ids=[ONE])
    deployment.define("both", rule={}, customer_ids=["5", ONE])
    deployment.define("ruled", rule={"in": [{"var": CUSTOMER_ID}, ["5", ONE]]})
    deployment.define("others", customer_ids=["17", "70"])
    scored = files.score(files.key("csv"), b"customer_id\n5\n7\nnobody\n")
    files.score(files.key("csv"), b"customer_id\n5\n17\n77\n")
    upload = service.call("POST", "/segments/lists").body["upload_id"]
    put(Bucket=files.bucket, Key=f"{UPLOADS}{upload}", Body=gzip.compress(b"5\n7\n"))
    put(Bucket=files.bucket, Key="datasets/a/owned.csv", Body=b"customer_id\n7\n")
    put(Bucket=files.bucket, Key="datasets/a/not.parquet", Body=b"PAR1 damaged")
    put(Bucket=files.bucket, Key="results/0a/answer.json", Body=json.dumps({"results": [{CUSTOMER_ID: ONE}]}))
    put(Bucket=files.bucket, Key="incoming/churn/gone.csv", Body=b"customer_id\n7\n")
    service.s3.delete_object(Bucket=files.bucket, Key="incoming/churn/gone.csv")

    assert deployment.erase(ONE) == 1, "nobody can be asked"
    told = capsys.readouterr()
    assert "give --yes" in told.err
    assert deployment.in_table()
    for line in (
        "customers table: 1 of 1 (to be removed)",
        "segment short: its list has the customer (to be removed; 2 other(s) stay)",
        "segment long: its list has the customer (to be removed; 29,999 other(s) stay)",
        "segment alone: it lists nobody else (the segment is to be deleted)",
        "segment ruled: its rule names the customer: PUT the segment with another rule",
        "datasets/: 1 version(s), file of a dataset: stay",
        "datasets/: 1 version(s), file of a dataset: cannot be read, and may hold anyone",
        "datasets/a/not.parquet (newest version",
        "incoming/churn/gone.csv (replaced or deleted version",
        "results/: 2 version(s), result of a job: go after ResultDays (all versions a day later)",
    ):
        assert line in told.out, told.out
    assert "others:" not in told.out

    assert deployment.erase(ONE, "--yes") == 0
    assert not deployment.in_table()
    assert deployment.in_table("17")
    folders = {key.split("/")[0] for key in deployment.keys_of()}
    assert folders == {"results", "jobs", "incoming", "segment-lists", "datasets", "snapshots"}
    assert all(key.startswith(UPLOADS) for key in deployment.keys_of() if key.startswith("segment-lists/"))
    new_process()
    listed = service.call("GET", "/segments/long").body["customer_ids"]
    assert listed == [each for each in long if each != ONE]
    assert service.call("GET", "/segments/short").body["customer_ids"] == ["5", "17"]
    assert service.call("GET", "/segments/both").body["customer_ids"] == ["5"]
    assert service.call("GET", "/segments/alone").status == 404
    assert service.call("GET", "/segments/others").body["version"] == 1
    assert files.read(PREFIX + digest(ONE)).startswith(b'{"erased": "20')

    assert deployment.erase(ONE, "--yes", "--files") == 0
    left = {each.key: each.by for each in deployment.holding() if not each.key.startswith("snapshots/")}
    assert left == {"datasets/a/owned.csv": "row", "datasets/a/not.parquet": "nothing"}
    assert scored.summary
    named = scored.summary["files"]
    assert files.read(named["summary"]), "it holds nobody"

    deployment.again(1)
    assert not deployment.in_table()
    assert not deployment.snapshots() & deployment.keys_of(), "the snapshot before went at once: it had the customer"
    assert service.predict(ONE).status == 404
    assert service.predict("17").status == 200


def test_who_is_allowed_again_comes_back(deployment: Erasing, capsys: pytest.CaptureFixture[str]) -> None:
    assert deployment.erase(ONE, "59", "--yes") == 0
    deployment.again(1)
    assert (deployment.in_table(), deployment.in_table("59")) == (False, False)
    assert main(["erase", "--allow", ONE, "never", "--bucket", deployment.service.ids["DataBucket"]]) == 0
    assert "1 of 2 were erased" in capsys.readouterr().out
    deployment.again(2)
    assert (deployment.in_table(), deployment.in_table("59")) == (True, False)
    assert deployment.service.predict(ONE).status in (200, 422)


def test_who_is_erased_while_a_run_is_at_work_does_not_come_back(deployment: Erasing) -> None:
    """The run has read the warehouse, and is about to write: the erasure comes, and ends, before its writes."""
    client = boto3.client("dynamodb")
    bucket = deployment.service.ids["DataBucket"]
    before = deployment.snapshots()

    def meanwhile(**_: Any) -> None:
        client.meta.events.unregister("before-call.dynamodb.BatchWriteItem", meanwhile)
        assert deployment.erase(ONE, "--yes") == 0

    client.meta.events.register("before-call.dynamodb.BatchWriteItem", meanwhile)
    disturbed = Erasing(Service(deployment.service.s3, client, deployment.service.ids), deployment.work)
    with pytest.raises(Problem, match=r"1 of the customers were erased while this run was at work.*run this again"):
        disturbed.write_customers(deployment.customers, MOMENT + DAY)
    assert not deployment.in_table()
    assert digest(ONE) in ErasedCustomers(deployment.service.s3, bucket).record().digests
    assert deployment.snapshots() >= before, "what is published is as it was"
    deployment.again(1)
    assert not deployment.in_table()
    assert not deployment.snapshots() & deployment.keys_of()


@pytest.mark.long
def test_a_run_that_was_stopped_before_does_not_go_on_with_who_was_erased_since(deployment: Erasing) -> None:
    client = boto3.client("dynamodb")

    def stop(**_: Any) -> None:
        raise KeyboardInterrupt

    client.meta.events.register("before-call.dynamodb.BatchWriteItem", stop)
    stopped = Erasing(Service(deployment.service.s3, client, deployment.service.ids), deployment.work)
    with pytest.raises(KeyboardInterrupt):
        stopped.write_customers(deployment.customers, MOMENT + DAY)
    assert deployment.erase(ONE, "--yes") == 0
    deployment.again(1)
    assert not deployment.in_table()
    assert not deployment.snapshots() & deployment.keys_of()


@pytest.mark.parametrize(("answer", "is_erased"), [("YES", True), ("", False), ("maybe", False)])
def test_a_person_is_asked(
    deployment: Erasing, monkeypatch: pytest.MonkeyPatch, answer: str, *, is_erased: bool
) -> None:
    terminal = io.StringIO(f"{answer}\n")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    assert deployment.erase(ONE) == 0
    assert deployment.in_table() is not is_erased


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["x" * 257, "--bucket", "b", "--table", "t", "--segments-table", "s"], "256 characters"),
        (["", "--bucket", "b", "--table", "t", "--segments-table", "s"], "256 characters"),
        (["a\udcff", "--bucket", "b", "--table", "t", "--segments-table", "s"], "UTF-8"),
        (["a", "--bucket", "b", "--table", "t"], "--segments-table"),
        (["a", "--bucket", "b", "--allow", "--yes"], "without --files and --yes"),
    ],
)
def test_what_makes_no_sense_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    with pytest.raises(SystemExit):
        main(["erase", *arguments])
    assert sentence in capsys.readouterr().err


@pytest.mark.long
def test_a_checkpoint_holds_whom_its_pending_rows_and_what_it_has_not_read_hold(deployment: Erasing) -> None:
    files = Files(deployment.service)
    ids = [str(number) for number in range(60)] * 40
    source = files.put(files.key("csv"), as_csv([[each] for each in ids], [CUSTOMER_ID]))
    ran = files.run(source, remaining=0.0, worker=files.worker(Sizes(block_bytes=2048)))
    assert ran.outcome == "unfinished"
    assert f"jobs/{ran.job_id}/checkpoint" in deployment.keys_of("5")
    assert f"jobs/{ran.job_id}/checkpoint" not in deployment.keys_of("no such customer")


def _csv(ids: list[str]) -> tuple[str, bytes]:
    return "csv", as_csv([[each] for each in ids], [CUSTOMER_ID])


def _gzipped(ids: list[str]) -> tuple[str, bytes]:
    return "csv.gz", gzip.compress(as_csv([[each] for each in ids], [CUSTOMER_ID]))


def _zstandard(ids: list[str]) -> tuple[str, bytes]:
    return "jsonl.zst", zstd.compress(as_json([[each] for each in ids], [CUSTOMER_ID]))


def _jsonl(ids: list[str]) -> tuple[str, bytes]:
    return "jsonl", as_json([[each] for each in ids], [CUSTOMER_ID])


def _parquet(ids: list[str]) -> tuple[str, bytes]:
    return "parquet", as_parquet(table_of(ids, {}))


any_id = st.text("abc17é 🙂,;\"'-_.", min_size=1, max_size=6).filter(lambda text: text.strip() == text)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=8)
@given(
    ids=st.lists(any_id, min_size=2, max_size=4, unique=True),
    write=st.sampled_from([_csv, _gzipped, _zstandard, _jsonl, _parquet]),
    data=st.data(),
)
def test_a_file_holds_exactly_the_ids_of_its_rows(
    empty_service: Service, ids: list[str], write: Callable[[list[str]], tuple[str, bytes]], data: st.DataObject
) -> None:
    s3, bucket = empty_service.s3, empty_service.ids["DataBucket"]
    inside = data.draw(st.lists(st.sampled_from(ids), min_size=1, unique=True))
    extension, content = write(inside)
    s3.put_object(Bucket=bucket, Key=f"incoming/churn/x.{extension}", Body=content)
    newest = [(source, is_latest) for source, is_latest in versions_of(s3, bucket) if is_latest]
    for customer_id in ids:
        found = holdings(s3, newest, [customer_id])
        assert [each.by for each in found] == (["row"] if customer_id in inside else []), customer_id
    s3.delete_object(Bucket=bucket, Key=f"incoming/churn/x.{extension}")


TEXTS: dict[str, Callable[[str], bytes]] = {
    "elsewhere.txt": lambda one: f"Call {one}. Then go home.".encode(),
    "elsewhere.json": lambda one: json.dumps({"note": {"of": one}}).encode(),
    "utf-8.json": lambda one: json.dumps({"note": {"of": one}}, ensure_ascii=False).encode(),
    "results/j/cut-off.json": lambda one: json.dumps([{CUSTOMER_ID: one}, 1]).encode()[:-4],
    "incoming/churn/bad-line.jsonl": lambda one: f"{{}}\n{json.dumps({CUSTOMER_ID: one})[:-1]}\n".encode(),
    "incoming/churn/no-id.csv": lambda one: as_csv([[one, "x"]], ["client", "other"]),
    "incoming/churn/": lambda one: as_csv([[one]], ["client"]),
    "incoming/churn/utf-16.txt": lambda one: f"of {one}, too".encode("utf-16"),
    "incoming/churn/utf-16-be.txt": lambda one: b"\xfe\xff" + f"of {one}, too".encode("utf-16-be"),
    f"{PREFIX}note": lambda one: as_csv([[one]], ["client"]),
}
"""What is no table with the id as its customer's, below any name."""


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=8)
@given(one=st.text('7é🙂"\\日', min_size=1, max_size=4), key=st.sampled_from(sorted(TEXTS)))
@example(one="日7", key="elsewhere.txt")
@example(one="77", key="incoming/churn/utf-16.txt")
@example(one='é"7', key="results/j/cut-off.json")
def test_an_id_is_found_in_what_is_no_table_as_json_and_csv_write_it(
    empty_service: Service, one: str, key: str
) -> None:
    s3, bucket = empty_service.s3, empty_service.ids["DataBucket"]
    put = s3.put_object(Bucket=bucket, Key=key, Body=TEXTS[key](one))
    # An example that fails leaves its object behind.
    own = [each for each in versions_of(s3, bucket) if each[0].version_id == put["VersionId"]]
    assert [each.by for each in holdings(s3, own, [one])] == ["text"]
    # Rather one too many: beside a quote, and beside what is no ASCII, which may be one, 7 is a word.
    part = {one[1:]} - {""} if set(one) == {"7"} else set[str]()
    for other in {f"{one}7", f"7{one}x", "日本8", "8日"} | part:
        assert not holdings(s3, own, [other]), other


@given(st.lists(st.text("17 .-,", max_size=9).map(str.encode), max_size=9))
def test_where_a_block_ends_makes_no_word_and_hides_none(blocks: list[bytes]) -> None:
    words = re.compile(rb"(?<![\w.-])7(?!\w|[.-]\w)")
    assert is_in(words, blocks, most_bytes=1) is (words.search(b"".join(blocks)) is not None)


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress, lambda content: b"PK\x03\x04" + zlib.compress(content)])
def test_what_is_packed_in_another_way_may_hold_anyone(empty_service: Service, pack: Callable[[bytes], bytes]) -> None:
    s3, bucket = empty_service.s3, empty_service.ids["DataBucket"]
    keys = {"incoming/churn/x.csv.packed", "datasets/d/x", "elsewhere"}
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=pack(as_csv([["8"]] * 99, [CUSTOMER_ID])))
    found = holdings(s3, versions_of(s3, bucket), [ONE])
    assert {each.key: each.by for each in found} == dict.fromkeys(keys, "nothing")
    assert not any(erase.is_removed(each, files=True) for each in found)
    for files in (False, True):
        told = erase.report([ONE], erase.Found((), (), tuple(found), len(found), 0), files=files)
        assert not [line for line in told if "--files" in line], "it would not remove them"
        assert sum(erase.UNREADABLE in line for line in told) == len(keys)


def test_every_place_of_the_bucket_is_named_once() -> None:
    prefixes = [place.prefix for place in erase.PLACES]
    assert len(prefixes) == len(set(prefixes))
    assert erase.place_of(f"{PREFIX}x").removed == "never"
