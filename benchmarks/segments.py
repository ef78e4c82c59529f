"""A segment of 900,000 of a million customers, from the snapshot to statistics, beside what others would use."""

import dataclasses
import hashlib
import io
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb
import ibis
import nanoarrow
import numpy as np
from botocore.response import StreamingBody
from numpy.typing import NDArray

from benchmarks import sample_models
from benchmarks.measure import Result, alternate
from benchmarks.processes import alternate_processes, report
from benchmarks.scoring import CHUNK_SIZES, raw_interpreter
from loyalty_ml.customers.population import Population
from loyalty_ml.customers.snapshot import CURRENT_KEY, Snapshot, SnapshotCard, SnapshotPart
from loyalty_ml.customers.snapshot_store import LocalSnapshot, SnapshotStore
from loyalty_ml.customers.table import DEFAULT_FEATURES, LIFETIME_TRANSACTION_COUNT
from loyalty_ml.models import interpreter
from loyalty_ml.models.interpreter import RUNTIME_PACKAGE
from loyalty_ml.models.store import LoadedModel, ModelSet
from loyalty_ml.segments.contracts import SegmentAnswer
from loyalty_ml.segments.definition import Segment, SegmentDefinition
from loyalty_ml.segments.predictions import predict_segment
from loyalty_ml.segments.statistics import Measured, measure_segment
from training.snapshot.parts import file_sha256, write_parts

ROWS = 1_000_000
MANY = 10_000_000
FOLDER = Path("build/bench-snapshots")
LEAST_ENGAGEMENT = 10.0
"""Nine in ten customers have more."""
HIGH, MEDIUM, ACTIVE_DAYS = 0.7, 0.4, 90
MEMORY_ROUNDS, MEMORY_BAR = 3, 1.0
ROUNDS, REPEATS = 5, 3
"""Of each round the quickest repeat counts: other processes on the machine are in a median of all."""
SETTLE = 0.1
ORT_ROWS = 65_536
"""Of 8,192, 65,536 and all at once, the fastest here."""
KERAS_DEFAULT_ROWS, KERAS_ROWS = 32, 8192

# What a customer base looks like: money in cents, skewed; counts; days; shares that are often 0.
CUSTOMERS = """
WITH drawn AS (
  SELECT i, 1 + floor(exp(2.5 * random() + 1.5 * random())) AS purchases,
    exp(3 + 1.2 * (random() + random() - 1)) AS paid, floor(30 + 1000 * random()) AS age, random() AS luck
  FROM range(?) AS customers(i)
)
SELECT 'customer-' || lpad(i::VARCHAR, 9, '0') AS customer_id,
  round(purchases * paid, 2) AS revenue, purchases AS transaction_count,
  floor(least(age, 365) * luck * luck) AS days_since_last, round(paid, 2) AS avg_transaction_value,
  round(purchases * paid * (1 + age / 500), 2) AS lifetime_value, age AS customer_age_days,
  CASE WHEN luck < 0.4 THEN round(purchases * paid / 12, 2) ELSE 0 END AS monthly_revenue,
  floor(purchases * (0.5 + random())) AS product_count, floor(5 * random()) AS service_count,
  round(100 * random(), 1) AS engagement_score, floor(purchases * (1 + age / 500)) AS lifetime_transaction_count
FROM drawn
"""


def run() -> Iterator[Result]:
    """segments.*: memory of a process that answers, then the time of a warm request."""
    for rows in (ROWS, MANY):
        snapshot(rows)
    small, large, scanned = alternate_processes(
        "benchmarks.segments",
        *(["answer", str(ROWS)], ["answer", str(MANY)], ["scan", str(MANY)]),
        rounds=MEMORY_ROUNDS,
    )
    unit = "MB at most, whole process"
    yield Result("segments.memory.growth", large.megabytes, unit, "the same of 1 million", small.megabytes, 1.2)
    stream = f"DuckDB {duckdb.__version__}'s Arrow stream of the same rows"
    peer = f"{stream}, nothing scored"
    yield Result("segments.memory.10m", large.megabytes, unit, peer, scanned.megabytes, MEMORY_BAR)
    population = Population(snapshot(ROWS))
    network, models = networks()
    segment = Segment("engaged", 1, datetime.now(UTC), SegmentDefinition(segment_name="Engaged", rule=rule()))

    def ours() -> SegmentAnswer:
        return predict_segment(segment, "churn", population, models, "false")

    expected = ours()
    floor = scan_and_interpret(expected["successful"], models.loaded["churn"])
    mine, theirs = alternate(ours, floor, rounds=ROUNDS, repeats=REPEATS, settle=SETTLE, quickest=True)
    peer = f"{stream} + the bare interpreter of {RUNTIME_PACKAGE} {version(RUNTIME_PACKAGE)}"
    yield Result("segments.churn.900k", 1e3 * mine, "ms", peer, 1e3 * theirs, 1.5)
    for name, bar, (theirs_does, peer) in (
        ("polars", 0.5, polars_and_onnxruntime(network, expected, ROWS)),
        ("polars.chunked", 1.0, polars_and_onnxruntime(network, expected, ORT_ROWS)),
        ("keras", 0.05, pandas_and_keras(network, expected, KERAS_DEFAULT_ROWS)),
        ("keras.chunked", 1.0, pandas_and_keras(network, expected, KERAS_ROWS)),
    ):
        rounds, repeats = (ROUNDS, REPEATS) if name.startswith("polars") else (2, 1)
        mine, theirs = alternate(ours, theirs_does, rounds=rounds, repeats=repeats, settle=SETTLE, quickest=True)
        yield Result(f"segments.churn.900k.{name}", 1e3 * mine, "ms", peer, 1e3 * theirs, bar)

    for name, bar, described, asked in (
        ("predicted", 2.0, "a rule of columns", {"and": [rule(), {">=": [{"var": "churn_probability"}, 0]}]}),
        ("lists", 5.0, "a rule of one comparison", LISTS),
    ):
        other = dataclasses.replace(segment, definition=SegmentDefinition(segment_name=name, rule=asked))

        def theirs_is(other: Segment = other) -> SegmentAnswer:
            return predict_segment(other, "churn", population, models, "false")

        theirs, mine = alternate(ours, theirs_is, rounds=ROUNDS, repeats=REPEATS, settle=SETTLE, quickest=True)
        yield Result(f"segments.rule.{name}", 1e3 * mine, "ms, churn of its members", described, 1e3 * theirs, bar)

    cold, warm = s3_requests()
    yield Result("segments.churn.warm.s3", warm, "requests to S3, a warm request", "the first request", cold, 0.0)

    def statistics() -> Measured:
        return measure_segment(segment.definition, population, models, "false")

    def offers_alone() -> SegmentAnswer:
        return predict_segment(segment, "nbo", population, models, "false")

    mine, theirs = alternate(statistics, offers_alone, rounds=ROUNDS, repeats=REPEATS, settle=SETTLE, quickest=True)
    yield Result("segments.stats.900k", 1e3 * mine, "ms, all types and drift", "nbo alone", 1e3 * theirs, 2.0)


LISTS = {"or": [{"in": [{"var": "revenue"}, [*range(first, first + 5)]]} for first in range(0, 1000, 5)]}
"""Two hundred lists of five numbers, which DuckDB makes two hundred joins."""


def rule() -> dict[str, Any]:
    return {">": [{"var": "engagement_score"}, LEAST_ENGAGEMENT]}


def snapshot(rows: int) -> LocalSnapshot:
    """A generated snapshot as `loyalty materialize` writes it, made once and kept."""
    folder = FOLDER / f"{rows}-{hashlib.sha256(CUSTOMERS.encode()).hexdigest()[:8]}"
    if not folder.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        connection = ibis.duckdb.connect()
        connection.raw_sql("SELECT setseed(0.5)")
        customers = connection.sql(CUSTOMERS.replace("?", str(rows)), dialect="duckdb")
        with tempfile.TemporaryDirectory(dir=FOLDER) as work:  # another run may make the same now
            write_parts(customers, Path(work, "parts"), Path(work, "rejects.csv"), 0.0)
            try:
                Path(work, "parts").rename(folder)
            except OSError:
                if not folder.exists():
                    raise
    parts = sorted(folder.glob("*.parquet"))
    described = tuple(
        SnapshotPart(
            key=f"snapshots/bench/{part.name}",
            customers=duckdb.execute("SELECT count(*) FROM read_parquet(?)", [str(part)]).fetchall()[0][0],
            size=part.stat().st_size,
            sha256=file_sha256(part),
        )
        for part in parts
    )
    names = (*DEFAULT_FEATURES, LIFETIME_TRANSACTION_COUNT)
    card = Snapshot(as_of=datetime(2026, 1, 31, tzinfo=UTC), customers=rows, features=names, parts=described)
    return LocalSnapshot(card, tuple(parts))


def networks() -> tuple[Any, ModelSet]:
    """A Keras network with the sample model set, in which it is the churn model."""
    from training.learning import networks  # noqa: PLC0415  it imports TensorFlow, which only this part wants

    table = duckdb.read_parquet([str(path) for path in snapshot(ROWS).paths]).limit(10_000).fetchnumpy()
    networks.reproducible(1)
    network = networks.churn_network(np.column_stack([table[name] for name in DEFAULT_FEATURES]))
    models = sample_models.model_store().current()
    churn = models.loaded["churn"]
    served = LoadedModel(churn.card, interpreter.Network(networks.to_tflite(network), len(DEFAULT_FEATURES), 1))
    return network, dataclasses.replace(models, loaded={**models.loaded, "churn": served})


def scan_and_interpret(members: int, model: LoadedModel) -> Callable[[], object]:
    """The least that there is to do: the members' columns out of Parquet, and the interpreter over a matrix of them."""
    connection = duckdb.connect()
    served = model.network._model
    matrix = np.ones((members, len(DEFAULT_FEATURES)), np.float32)
    raws = [raw_interpreter(served, size, matrix, 1) for size in CHUNK_SIZES]
    times = alternate(*raws, rounds=3)
    interpret = raws[times.index(min(times))]

    def work() -> None:
        assert scan(connection, snapshot(ROWS)) == members
        interpret()

    return work


def scan(connection: duckdb.DuckDBPyConnection, customers: LocalSnapshot) -> int:
    """Streams the members' features in Arrow's batches; returns how many members there are."""
    column = duckdb.ColumnExpression
    engaged = column("engagement_score") > duckdb.ConstantExpression(LEAST_ENGAGEMENT)
    relation = connection.read_parquet([str(path) for path in customers.paths]).filter(engaged)
    with nanoarrow.c_array_stream(relation.select(*map(column, DEFAULT_FEATURES))) as batches:
        return sum(batch.length for batch in batches)


def polars_and_onnxruntime(network: Any, expected: SegmentAnswer, rows: int) -> tuple[Callable[[], object], str]:
    """As their users write it, with `rows` in a call of the session; and what it is called."""
    import onnxruntime  # noqa: PLC0415  as the others here, only this part wants it
    import polars  # noqa: PLC0415

    from benchmarks.onnx_network import to_onnx  # noqa: PLC0415

    session = onnxruntime.InferenceSession(to_onnx(network))
    paths = [str(path) for path in snapshot(ROWS).paths]

    def work() -> None:
        members = polars.scan_parquet(paths).filter(polars.col("engagement_score") > LEAST_ENGAGEMENT)
        columns = [polars.col(name).cast(polars.Float32) for name in DEFAULT_FEATURES]
        matrix = np.ascontiguousarray(members.select(columns).collect().to_numpy())
        starts = range(0, len(matrix), rows)
        chunks = [session.run(None, {"features": matrix[start : start + rows]})[0] for start in starts]
        check(np.concatenate(chunks)[:, 0], matrix, expected)

    return work, f"Polars {polars.__version__} + onnxruntime {onnxruntime.__version__}, {rows:,} rows a call"


def pandas_and_keras(network: Any, expected: SegmentAnswer, rows: int) -> tuple[Callable[[], object], str]:
    """As their users write it, with `rows` in a batch of predict."""
    import pandas as pd  # noqa: PLC0415

    paths = [str(path) for path in snapshot(ROWS).paths]

    def work() -> None:
        table = pd.concat(pd.read_parquet(path, columns=list(DEFAULT_FEATURES)) for path in paths)
        members = table[table["engagement_score"] > LEAST_ENGAGEMENT]
        matrix = members.to_numpy(np.float32)
        check(network.predict(matrix, batch_size=rows, verbose=0)[:, 0], matrix, expected)

    return work, f"pandas {pd.__version__} + Keras {version('keras')} predict, {rows:,} rows a batch"


class FolderBucket:
    """An S3 client over the generated snapshot, that counts what it is asked."""

    def __init__(self) -> None:
        self.requests = 0
        self._snapshot = snapshot(ROWS)

    def get_object(self, Bucket: str, Key: str, Range: str = "", **_: Any) -> dict[str, Any]:
        self.requests += 1
        card = self._snapshot.card
        if Key == CURRENT_KEY:
            text = SnapshotCard(**dict(card)).model_dump_json().encode()
            return {"Body": io.BytesIO(text), "ContentLength": len(text), "ETag": "one"}
        path = dict(zip((part.key for part in card.parts), self._snapshot.paths, strict=True))[Key]
        start, last = map(int, Range.removeprefix("bytes=").split("-"))
        with path.open("rb") as file:
            file.seek(start)
            content = file.read(last + 1 - start)
        body = StreamingBody(io.BytesIO(content), len(content))
        return {"Body": body, "ContentRange": f"{Range.replace('=', ' ')}/{path.stat().st_size}"}


def s3_requests() -> tuple[int, int]:
    """How many requests to S3 a segment's first prediction makes, and its second."""
    bucket = FolderBucket()
    with tempfile.TemporaryDirectory(dir=FOLDER) as cache:
        snapshots = SnapshotStore(bucket, "bench", Path(cache))  # type: ignore[arg-type]
        models = sample_models.model_store()
        segment = Segment("engaged", 1, datetime.now(UTC), SegmentDefinition(segment_name="Engaged", rule=rule()))
        counted = []
        for _ in range(2):
            before = bucket.requests
            population = Population(snapshots.current())
            predict_segment(segment, "churn", population, models.current(), "false")
            counted.append(bucket.requests - before)
    return counted[0], counted[1]


def check(probability: NDArray[np.float32], matrix: NDArray[np.float32], expected: SegmentAnswer) -> None:
    """The same statistics as ours: whoever makes less of the work is not a peer."""
    aggregate: Any = expected["aggregated_stats"]
    active = probability[matrix[:, DEFAULT_FEATURES.index("days_since_last")] <= ACTIVE_DAYS]
    high, medium = (int(np.count_nonzero(active >= bar)) for bar in (HIGH, MEDIUM))
    assert len(probability) == expected["successful"]
    assert len(probability) - len(active) == aggregate["lapsed"]
    # A probability on the very threshold may be rounded to either side of it by another runtime.
    assert abs(high - aggregate["high"]) + abs(medium - high - aggregate["medium"]) <= 20
    assert abs(float(probability.mean(dtype=np.float64)) - aggregate["avg_probability"]) < 1e-6


def answer_and_measure(rows: int) -> None:
    """A segment's churn, then its statistics, of nine in ten of so many customers."""
    population = Population(snapshot(rows))
    models = sample_models.model_store().current()
    definition = SegmentDefinition(segment_name="Engaged", rule=rule())
    predict_segment(Segment("engaged", 1, datetime.now(UTC), definition), "churn", population, models, "false")
    measure_segment(definition, population, models, "false")


if __name__ == "__main__":
    os.environ.setdefault("POWERTOOLS_LOG_LEVEL", "WARNING")
    work, rows = sys.argv[1], int(sys.argv[2])
    report(lambda: scan(duckdb.connect(), snapshot(rows)) if work == "scan" else answer_and_measure(rows))
