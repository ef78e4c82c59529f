"""Bills add up as AWS's do, by hand and in general, and every amount that is asked for has a price with a source."""

import json
import math
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import bills, cost, instances
from benchmarks.instances import WORKS, CpuNotLimitable, Measured, limited

pytestmark = pytest.mark.unit

PRICES = bills.read_prices()
MILLISECONDS = st.floats(0.001, 900_000)
MEMORY = st.integers(128, 10_240)
RATES = st.floats(0.01, 100_000)
USAGES = st.dictionaries(st.sampled_from(sorted(PRICES.dollars)), st.floats(0, 1e9))

SINGLE = Measured(
    memory_mb=1024,
    init_ms=500.0,
    first_ms=50.0,
    p50_ms=3.5,
    mean_ms=4.0,
    cpu_ms=2.0,
    peak_mb=100.0,
    log_bytes=1000,
    own_log_bytes=500,
    metrics=2,
    asked=500,
    answered=300,
    first_counts={"dynamodb.requests": 1, "dynamodb.read_unit": 0.5, "s3.get": 5},
    counts={"dynamodb.requests": 1, "dynamodb.read_unit": 0.5},
)
EVENT = cost.event_of(WORKS[0], SINGLE, PRICES.assumptions)


def test_a_million_single_predictions_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "access_log_bytes", lambda: 400)
    assert EVENT.warm_ms == 4 + 5
    assert EVENT.cold_ms == 500 + 50 + 5 + 5 * 30
    parts = cost.million(EVENT, PRICES, cold_share=0.01)
    restored = 0.01 * 0.0001397998  # of 1 GB, in one event of a hundred
    looks = 2 * 60 * 730  # of one instance, which is never busy
    gb_seconds = 0.99 * 0.009 + 0.01 * 0.705
    gb = 2**30
    assert parts == {
        "Lambda": pytest.approx(1e6 * (gb_seconds * 0.0000166667 + restored)),
        "its requests": pytest.approx(0.20),
        "API": pytest.approx(1.00 + 1e6 * 300 / gb * 0.09),
        "stores": pytest.approx(0.5 * 0.125 + 0.01 * 5 * 0.40 + looks * 0.0000004),
        "logs": pytest.approx(1e6 * (1000 + 400) / gb * 0.50),
        "traces": pytest.approx(5.00),  # one in three seconds, so each of them
    }


def test_what_is_always_on_by_hand() -> None:
    """Two small instances, their disks and addresses, and a balancer with its two; at no requests at all."""
    balanced = {way.name: way.month for way in cost.options(EVENT, PRICES, fixed=0.0)}["2 t4g.small or more, balanced"]
    hourly = 2 * (0.0168 + 0.005) + 0.0225 + 2 * 0.005
    assert balanced(0.0) == pytest.approx(730 * hourly + 2 * 8 * 0.08)


def test_instances_are_added_where_requests_keep_them_busy() -> None:
    """An instance may use 0.4 vCPUs for ever, of which 0.6 are filled: 120 requests a second of 2 ms each."""
    one = {way.name: way.month for way in cost.options(EVENT, PRICES, fixed=0.0)}[
        "1 t4g.small or more, nothing before it"
    ]
    step = one(60 * 121) - one(60 * 119)
    a_request_more = one(60 * 118) - one(60 * 116)
    assert step - a_request_more == pytest.approx(730 * (0.0168 + 0.005) + 8 * 0.08)


def test_snapshots_are_paid_for_without_a_request() -> None:
    """Those of single predictions and of batches."""
    ways = {way.name: way.month for way in cost.options(EVENT, PRICES, fixed=2.5)}
    assert ways["this service"](0.0) == pytest.approx(2.5 + 2 * 730 * 3600 * 0.0000015046)


def test_what_has_no_snapshot_is_never_restored() -> None:
    segment = next(work for work in WORKS if work.name == "segment")
    assert cost.restores(EVENT, 3) == {"lambda.snapstart_restore_gb": 3.0}
    assert cost.restores(EVENT._replace(work=segment), 3) == {}


def test_provisioned_instances_are_paid_for_without_a_request() -> None:
    """One of single predictions and one of batches: the template's parameter is for both."""
    ways = {way.name: way.month for way in cost.options(EVENT, PRICES, fixed=2.5)}
    assert ways["... without SnapStart"](0.0) == pytest.approx(2.5)
    assert ways["... with provisioned concurrency"](0.0) == pytest.approx(2.5 + 2 * 730 * 3600 * 0.0000041667)


@given(rate=RATES, more=RATES)
def test_more_requests_never_cost_less(rate: float, more: float) -> None:
    for way in cost.options(EVENT, PRICES, fixed=1.0):
        assert way.month(rate) <= way.month(rate + more) * (1 + 1e-12), way.name


@given(rate=RATES)
def test_traces_only_ever_add(rate: float) -> None:
    traced, untraced = cost.options(EVENT, PRICES, fixed=1.0)[:2]
    assert traced.month(rate) >= untraced.month(rate)


@given(usage=USAGES, other=USAGES, factor=st.floats(0, 1000))
def test_bills_are_linear_and_nothing_is_free(usage: bills.Usage, other: bills.Usage, factor: float) -> None:
    def priced(amounts: bills.Usage) -> float:
        return bills.total(amounts, PRICES.dollars)

    assert priced(bills.together(usage, other)) == pytest.approx(priced(usage) + priced(other))
    assert priced(bills.times(factor, usage)) == pytest.approx(factor * priced(usage))
    assert priced(usage) > 0 or not any(amount > 1e-300 for amount in usage.values())


def test_what_has_no_price_is_no_bill() -> None:
    with pytest.raises(KeyError, match=r"lambda\.wish"):
        bills.bill({"lambda.wish": 1.0}, PRICES.dollars)


@given(milliseconds=MILLISECONDS, memory=MEMORY)
def test_a_begun_millisecond_is_a_whole_one(milliseconds: float, memory: int) -> None:
    begun = bills.invocation(milliseconds, memory)
    assert begun == bills.invocation(math.ceil(milliseconds), memory)
    assert begun["lambda.gb_second.x86_64"] == pytest.approx(math.ceil(milliseconds) * memory / 1_024_000)


@given(milliseconds=MILLISECONDS, longer=MILLISECONDS, memory=MEMORY, larger=MEMORY)
def test_time_and_memory_never_cost_less(milliseconds: float, longer: float, memory: int, larger: int) -> None:
    def dollars(time: float, size: int) -> float:
        return bills.total(bills.invocation(time, size), PRICES.dollars)

    assert dollars(milliseconds, memory) <= dollars(milliseconds + longer, memory)
    assert dollars(milliseconds, memory) <= dollars(milliseconds, memory + larger)


def test_tmp_costs_from_512_mb_on() -> None:
    assert "lambda.storage_gb_second" not in bills.invocation(1000, 1024, storage_mb=512)
    assert bills.invocation(1000, 1024, storage_mb=2560)["lambda.storage_gb_second"] == 2.0


@pytest.mark.parametrize(
    ("sent", "received", "requests"), [(0, 0, 1), (500, 300, 1), (0, 524_288, 1), (1, 524_288, 2), (0, 5_000_000, 10)]
)
def test_an_api_counts_each_512_kb(sent: int, received: int, requests: int) -> None:
    assert bills.api_request(sent, received)["http_api.request"] == requests


@pytest.mark.parametrize(("size", "consistent", "units"), [(1, False, 0.5), (4096, False, 0.5), (4097, True, 2.0)])
def test_reads_count_each_4_kb(size: int, consistent: bool, units: float) -> None:  # noqa: FBT001
    assert bills.read_units(size, consistent=consistent) == units


@given(rate=st.floats(0, 1000))
def test_x_ray_takes_one_a_second_and_then_a_share(rate: float) -> None:
    traced = rate * bills.share_traced(rate, 1.0, 0.05)
    assert traced == pytest.approx(rate if rate <= 1 else 1 + 0.05 * (rate - 1))


@given(machine=st.floats(0, 100), each=st.floats(0.001, 10), fixed=st.floats(0, 50))
def test_the_break_even_is_where_two_bills_are_the_same(machine: float, each: float, fixed: float) -> None:
    def ours(rate: float) -> float:
        return fixed + each * rate

    found = bills.break_even(ours, lambda _: machine, most=1_000_000)
    if machine < fixed:
        assert found == 0.0
    else:
        assert found == pytest.approx((machine - fixed) / each, rel=1e-4, abs=1e-9)


def test_there_is_no_break_even_with_what_is_always_dearer() -> None:
    assert bills.break_even(lambda rate: rate, lambda rate: 2 * rate + 1) is None


def test_every_price_says_where_it_is_from() -> None:
    listed: Mapping[str, Any] = json.loads(bills.PATH.read_text())
    for name, price in listed["prices"].items():
        assert price["dollars"] > 0, name
        assert price["source"].startswith("https://aws.amazon.com/"), name
        assert price["per"], name
        assert price["known_by"], name
        assert isinstance(price["verified"], bool), name


def test_what_the_template_has_costs_without_a_caller() -> None:
    fixed = cost.fixed_month(EVENT, PRICES)
    assert fixed["cloudwatch.alarm_month"] >= 5
    assert fixed["sqs.request"] == 2 * 15 * 60 * 730  # the segments' queue and the files'


def test_cpu_time_of_threads_that_have_ended_counts() -> None:
    def work() -> None:
        while time.thread_time() < 0.05:
            pass

    before = instances._cpu_seconds(os.getpid())
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert instances._cpu_seconds(os.getpid()) - before >= 0.05


def test_cgroups_that_can_only_be_read_limit_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(_: Path) -> None:
        raise OSError(30, "Read-only file system")

    (tmp_path / "cgroup.procs").touch()
    monkeypatch.setattr(instances, "_CGROUPS", (tmp_path,))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(CpuNotLimitable, match="CPU cannot be limited here"), limited(0.5):
        pass


@pytest.mark.parametrize("wrong", [["--cold-share", "0"], ["--cold-share", "2"], ["--store-ms", "-1"]])
def test_what_cannot_be_is_refused_before_anything_is_measured(
    wrong: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["cost", *wrong])
    with pytest.raises(SystemExit, match="2"):
        cost.main()
    assert f"error: {wrong[0]} is" in capsys.readouterr().err
