"""The customers of a snapshot on disk: rows as they were written, for whomever is meant, in blocks of any size."""

import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from loyalty_ml.arrow import texts_of
from loyalty_ml.customers import population
from loyalty_ml.customers.population import Block, Members, Population
from loyalty_ml.customers.snapshot import Snapshot, SnapshotPart
from loyalty_ml.customers.snapshot_store import LocalSnapshot
from loyalty_ml.errors import FeatureStoreUnavailable, StoreUnavailable
from tests.examples import examples

pytestmark = pytest.mark.unit

FEATURES = ("revenue", "a.b")
ODD_NAMES = ("revenue", "a.b", "two words", "select", 'with "quotes"', "Ünïcödé", "filename", "%s", "1", "a'; --")
ODD_ENDINGS = ("", " ", "'", '"', "'; DROP TABLE customers; --", "é", "😀", "%", "\\", "\n")
VALUES = (0.0, -0.0, 0.1, np.nextafter(0.1, 1), -7.0, 5e-324, 1e300, np.nan)
"""Few, so that equal ones meet; NaN is written as NULL."""


class Customers(NamedTuple):
    """A part's: ids ascending, and float64 (n, f), NaN for no value."""

    ids: list[str]
    values: NDArray[np.float64]


class Case(NamedTuple):
    features: tuple[str, ...]
    parts: list[Customers]
    row_group: int
    block_rows: int
    decoded_rows: int

    @property
    def ids(self) -> list[str]:
        return [customer_id for part in self.parts for customer_id in part.ids]

    @property
    def values(self) -> NDArray[np.float64]:
        return np.concatenate([part.values for part in self.parts])


@st.composite
def cases(draw: st.DrawFn) -> Case:
    features = tuple(draw(st.lists(st.sampled_from(ODD_NAMES), min_size=1, max_size=4, unique=True)))
    parts: list[Customers] = []
    for place, rows in enumerate(draw(st.lists(st.integers(0, 40), min_size=1, max_size=3))):
        endings = draw(st.lists(st.sampled_from(ODD_ENDINGS), min_size=rows, max_size=rows))
        ids = [f"{place}-{row:02}{ending}" for row, ending in enumerate(endings)]
        parts.append(Customers(ids, draw(arrays(np.float64, (rows, len(features)), elements=st.sampled_from(VALUES)))))
    return Case(features, parts, *(draw(st.integers(1, 50)) for _ in range(3)))


def write(folder: Path, features: Sequence[str], parts: Sequence[Customers], row_group: int = 100) -> LocalSnapshot:
    folder.mkdir(parents=True, exist_ok=True)
    paths, cards = [], []
    for place, part in enumerate(parts):
        path = folder / f"part-{place:05}.parquet"
        columns: dict[str, Any] = {"customer_id": pa.array(part.ids, pa.string())}
        for name, column in zip(features, part.values.T, strict=True):
            columns[name] = pa.array(column, pa.float64(), from_pandas=True)
        pq.write_table(pa.table(columns), path, row_group_size=row_group)
        key = f"snapshots/version/{path.name}"
        paths.append(path)
        cards.append(SnapshotPart(key=key, customers=len(part.ids), size=path.stat().st_size, sha256="0" * 64))
    customers = sum(len(part.ids) for part in parts)
    moment = datetime(2018, 1, 2, tzinfo=UTC)
    return LocalSnapshot(
        Snapshot(as_of=moment, customers=customers, features=tuple(features), parts=tuple(cards)), tuple(paths)
    )


@contextmanager
def population_of(case: Case) -> Iterator[Population]:
    with tempfile.TemporaryDirectory() as folder:
        snapshot = write(Path(folder), case.features, case.parts, case.row_group)
        yield Population(snapshot, block_rows=case.block_rows, decoded_rows=case.decoded_rows)


def copied(block: Block) -> Block:
    return Block(block.numbers.copy(), block.values.copy())


def assert_are(members: Members, case: Case, expected: NDArray[np.bool_]) -> None:
    """The members' blocks, one after another, are the rows of the table that are expected, to the bit."""
    blocks = list(members.measure(copied))
    empty = Block(np.empty(0, np.int64), np.empty((0, len(case.features))))
    numbers, values = map(np.concatenate, zip(empty, *blocks, strict=True))
    assert all(len(block.numbers) <= case.block_rows for block in blocks)
    assert numbers.dtype == np.int64
    assert numbers.tolist() == np.flatnonzero(expected).tolist()
    assert_same_bits(values, case.values[expected])


def assert_same_bits(values: NDArray[np.float64], expected: NDArray[np.float64]) -> None:
    assert values.shape == expected.shape
    unknown = np.isnan(expected)
    assert np.array_equal(np.isnan(values), unknown)
    assert np.array_equal(values[~unknown].view(np.int64), expected[~unknown].view(np.int64))


@given(cases())
@settings(max_examples=examples(40))
def test_everyone_is_every_row_in_order(case: Case) -> None:
    with population_of(case) as customers:
        assert_are(customers.everyone(), case, np.ones(len(case.ids), np.bool_))


@given(cases(), st.data())
@settings(max_examples=examples(40))
def test_a_list_means_its_customers_and_names_the_ids_that_are_none(case: Case, data: st.DataObject) -> None:
    strangers = ["0-00 ", "nobody", "' OR '1'='1", "0-00%", "ñ"]
    listed = data.draw(st.lists(st.sampled_from([*case.ids, *strangers]), max_size=60))
    with population_of(case) as customers:
        members, unknown = customers.listed(listed)
        assert_are(members, case, np.array([customer_id in listed for customer_id in case.ids], np.bool_))
        assert unknown == sorted(set(listed) - set(case.ids))


@given(cases(), st.data())
@settings(max_examples=examples(40))
def test_customers_are_read_by_their_numbers_in_any_order(case: Case, data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(case.ids) - 1), unique=True)) if case.ids else []
    with population_of(case) as customers:
        assert customers.ids(rows) == [case.ids[row] for row in rows]
        table = customers.read(rows)
    assert list(table.customer_ids) == [case.ids[row] for row in rows]
    assert table.names == case.features
    assert table.as_of == "2018-01-02T00:00:00Z"
    expected = case.values[np.array(rows, np.int64)]
    assert_same_bits(table.values, expected)
    assert table.absent is not None
    assert np.array_equal(table.absent, np.isnan(expected))


def some_customers(seed: int = 1, sizes: Sequence[int] = (300, 200), features: int = len(FEATURES)) -> list[Customers]:
    draw = np.random.default_rng(seed)
    parts = []
    for place, rows in enumerate(sizes):
        values = draw.normal(size=(rows, features))
        values[draw.random(values.shape) < 0.1] = np.nan
        parts.append(Customers([f"{place}-{row:06}" for row in range(rows)], values))
    return parts


def everyone(customers: Population) -> NDArray[np.float64]:
    return np.concatenate([block.values for block in customers.everyone().measure(copied)])


small_population = partial(Population, block_rows=64, decoded_rows=90)


@pytest.fixture
def parts() -> list[Customers]:
    return some_customers()


@pytest.fixture
def snapshot(tmp_path: Path, parts: list[Customers]) -> LocalSnapshot:
    return write(tmp_path, FEATURES, parts)


def expected_of(parts: Sequence[Customers]) -> NDArray[np.float64]:
    return np.concatenate([part.values for part in parts])


class Stopped(Exception):
    pass


def stopping_after(calls: int) -> Callable[[int, int], None]:
    told = []

    def progress(done: int, total: int) -> None:
        told.append((done, total))
        if len(told) == calls:
            raise Stopped

    return progress


def test_no_customers_at_all(tmp_path: Path) -> None:
    nobody = small_population(write(tmp_path, FEATURES, some_customers(sizes=[0, 0])))
    for members in (nobody.everyone(), nobody.listed(["1"])[0]):
        assert list(members.measure(copied)) == []
    assert nobody.listed(["1"])[1] == ["1"]
    assert nobody.read([]).values.shape == (0, 2)


def test_progress_is_told_of_all_customers(snapshot: LocalSnapshot) -> None:
    decoded, measured = [], []
    customers = small_population(snapshot, lambda *told: decoded.append(told))
    members, _ = customers.listed(["0-000001"])
    list(members.measure(copied, lambda *told: measured.append(told)))
    assert decoded == [(300, 500), (500, 500)]
    assert measured == [(done, 500) for done in (64, 128, 192, 256, 300, 364, 428, 492, 500)]


def test_a_part_that_cannot_be_read_is_a_sentence_whatever_is_asked(snapshot: LocalSnapshot) -> None:
    customers = small_population(snapshot)
    for path in snapshot.paths:
        path.write_bytes(b"no Parquet")
    for ask in (
        lambda: customers.listed(["0-000001"]),
        lambda: customers.ids([1]),
        lambda: customers.numbers(texts_of(["0-000001"])),
        lambda: customers.read([1]),
    ):
        with pytest.raises(FeatureStoreUnavailable, match="on this disk cannot be read"):
            ask()
    for path in snapshot.paths:
        path.with_suffix(".features").unlink()
    with pytest.raises(FeatureStoreUnavailable, match="on this disk cannot be read"):
        customers.decode()


def test_a_query_without_enough_memory_says_what_to_do(snapshot: LocalSnapshot) -> None:
    small_population(snapshot)  # decodes it
    customers = small_population(snapshot, query_memory="100KB")
    with pytest.raises(FeatureStoreUnavailable, match="ask for fewer ids"):
        customers.listed(["0-000001"])


def test_features_are_decoded_once(snapshot: LocalSnapshot, parts: list[Customers]) -> None:
    small_population(snapshot)
    decoded = [path.with_suffix(".features").stat() for path in snapshot.paths]
    again = small_population(snapshot)
    written = [(file.st_ino, file.st_mtime_ns) for file in decoded]
    now = [path.with_suffix(".features").stat() for path in snapshot.paths]
    assert [(file.st_ino, file.st_mtime_ns) for file in now] == written
    assert_same_bits(everyone(again), expected_of(parts))


def test_decoding_that_was_given_up_goes_on_where_it_was(snapshot: LocalSnapshot, parts: list[Customers]) -> None:
    with pytest.raises(Stopped):
        small_population(snapshot, stopping_after(1))
    there = [path.with_suffix(".features").exists() for path in snapshot.paths]
    assert there == [True, False]
    assert_same_bits(everyone(small_population(snapshot)), expected_of(parts))


def test_decoding_that_fails_half_way_leaves_nothing(snapshot: LocalSnapshot, parts: list[Customers]) -> None:
    before = sorted(snapshot.paths[0].parent.iterdir())
    rows = population._rows
    blocks = iter(range(2))

    def failing(batch: Any) -> Iterator[NDArray[np.float64]]:
        if next(blocks) == 1:
            raise Stopped
        return rows(batch)

    # It fails within a part, which no argument can make it do.
    with mock.patch.object(population, "_rows", failing), pytest.raises(Stopped):
        small_population(snapshot)
    assert sorted(snapshot.paths[0].parent.iterdir()) == before
    assert_same_bits(everyone(small_population(snapshot)), expected_of(parts))


@pytest.mark.parametrize("left", ["part-00000.features.partial", "part-00000.features"])
@pytest.mark.parametrize("content", [b"", b"\1" * 1000, b"\1" * 10_000], ids=["empty", "short", "long"])
def test_what_a_killed_process_left_is_replaced(
    snapshot: LocalSnapshot, parts: list[Customers], left: str, content: bytes
) -> None:
    folder = snapshot.paths[0].parent
    (folder / left).write_bytes(content)
    assert_same_bits(everyone(small_population(snapshot)), expected_of(parts))
    assert list(folder.glob("*.partial")) == []


def test_no_room_is_said_plainly_and_takes_none(snapshot: LocalSnapshot, parts: list[Customers]) -> None:
    # A disk that is full: it opens files, and refuses what is written.
    partial = snapshot.paths[1].with_name("part-00001.features.partial")
    partial.symlink_to("/dev/full")
    with pytest.raises(StoreUnavailable) as refused:
        small_population(snapshot)
    assert (refused.value.details, refused.value.retry) == ({"store": "disk"}, False)
    assert refused.value.message == (
        "part-00001.features.partial needs 1 MB, but its disk has no room: raise the function's ephemeral "
        "storage (parameter SegmentStorage; for files, FileStorage)."
    )
    assert not partial.is_symlink()
    assert_same_bits(everyone(small_population(snapshot)), expected_of(parts))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda table: table.slice(1), id="a customer less"),
        pytest.param(lambda table: table.select(["customer_id", "a.b", "revenue"]), id="columns in another order"),
        pytest.param(lambda table: table.drop_columns(["a.b"]), id="a column less"),
        pytest.param(lambda table: table.append_column("more", table["a.b"]), id="a column more"),
        pytest.param(lambda table: table.set_column(2, "a.b", table["a.b"].cast(pa.float32())), id="another type"),
    ],
)
def test_a_part_that_is_not_as_its_card_says_is_refused(
    snapshot: LocalSnapshot, change: Callable[[pa.Table], pa.Table]
) -> None:
    pq.write_table(change(pq.read_table(snapshot.paths[1])), snapshot.paths[1])
    with pytest.raises(FeatureStoreUnavailable) as refused:
        small_population(snapshot)
    assert refused.value.message == (
        "part-00001.parquet does not have the customers and columns that its card says: write the snapshot again "
        "(loyalty materialize)."
    )
    assert not snapshot.paths[1].with_suffix(".features").exists()


def test_features_that_were_removed_are_decoded_again(snapshot: LocalSnapshot, parts: list[Customers]) -> None:
    customers = small_population(snapshot)
    snapshot.paths[0].with_suffix(".features").unlink()
    customers.decode()
    assert_same_bits(everyone(customers), expected_of(parts))


def test_features_that_were_cut_off_meanwhile_are_never_made_up(snapshot: LocalSnapshot) -> None:
    customers = small_population(snapshot)
    decoded = snapshot.paths[1].with_suffix(".features")
    with decoded.open("r+b") as file:
        file.truncate(decoded.stat().st_size - 8)
    with pytest.raises(FeatureStoreUnavailable, match=r"^part-00001.features is cut off on this disk: try again\.$"):
        everyone(customers)


def test_a_measurement_that_is_given_up_leaves_the_population_usable(
    snapshot: LocalSnapshot, parts: list[Customers]
) -> None:
    customers = small_population(snapshot)
    with pytest.raises(Stopped):
        list(customers.everyone().measure(copied, stopping_after(2)))
    assert_same_bits(everyone(customers), expected_of(parts))


def test_what_measuring_raises_is_raised(snapshot: LocalSnapshot, parts: list[Customers]) -> None:
    customers = small_population(snapshot)

    def measure(block: Block) -> None:
        if 100 in block.numbers:
            raise Stopped

    with pytest.raises(Stopped):
        list(customers.everyone().measure(measure))
    assert_same_bits(everyone(customers), expected_of(parts))


def test_several_threads_ask_of_one_population(tmp_path: Path) -> None:
    """Of enough customers that each query is under way when the next begins."""
    parts = some_customers(sizes=[40_000])
    snapshot = write(tmp_path, FEATURES, parts, row_group=5000)
    customers = Population(snapshot, block_rows=4096, decoded_rows=20_000)
    values = expected_of(parts)
    threads = 4
    at_once = threading.Barrier(threads)

    def ask(limit: float) -> None:
        expected = values[:, 0] > limit
        listed = parts[0].ids[:: int(7 + limit)]
        for _ in range(3):
            at_once.wait(timeout=30)
            blocks = list(customers.everyone().measure(lambda block: block.values[block.values[:, 0] > limit]))
            assert_same_bits(np.concatenate(blocks), values[expected])
            assert customers.numbers(texts_of(listed)).tolist() == list(range(0, len(values), int(7 + limit)))
            members, unknown = customers.listed(listed)
            numbers = np.concatenate([block.numbers for block in members.measure(copied)]).tolist()
            assert unknown == []
            assert customers.ids(numbers) == listed

    with ThreadPoolExecutor(threads) as pool:
        for asked in [pool.submit(ask, limit) for limit in (-1.0, 0.0, 0.5, 2.0)]:
            asked.result()


def test_several_threads_decode_one_snapshot(tmp_path: Path) -> None:
    parts = some_customers(sizes=[20_000, 10_000])
    snapshot = write(tmp_path, FEATURES, parts)
    at_once = threading.Barrier(3)

    def decode() -> NDArray[np.float64]:
        at_once.wait(timeout=30)
        return everyone(Population(snapshot, block_rows=4096, decoded_rows=1000))

    with ThreadPoolExecutor(3) as pool:
        for decoded in [pool.submit(decode) for _ in range(3)]:
            assert_same_bits(decoded.result(), expected_of(parts))
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".features"] * 2 + [".parquet"] * 2
