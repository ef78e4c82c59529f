"""What a job's record says while its file is scored: it moves, never back, and ends when the results are there."""

import random
import threading
from collections.abc import Callable, Mapping
from functools import partial

import pyarrow as pa
import pytest

from loyalty_ml.files.job_store import FileJobStore
from loyalty_ml.files.sizes import DEPLOYED
from loyalty_ml.jobs.heartbeat import Timing
from loyalty_ml.vocabulary import CUSTOMER_ID
from tests.files.deployed import Files
from tests.files.writings import as_parquet, packed
from tests.service import process

pytestmark = pytest.mark.moto

ROWS = 200_000
IDS = [f"c-{number % 20}" for number in range(ROWS)]


def noted() -> list[str]:
    """Lines that are little smaller compressed."""
    draw = random.Random(7)
    return [f"{each},{draw.getrandbits(64):x}" for each in IDS]


CONTENTS: Mapping[str, Callable[[], bytes]] = {
    "csv": lambda: "\n".join([CUSTOMER_ID, *IDS]).encode(),
    **{
        extension: partial(lambda name: packed(name, "\n".join([f"{CUSTOMER_ID},note", *noted()]).encode()), extension)
        for extension in ("csv.gz", "csv.zst")
    },
    "jsonl": lambda: b"".join(b'{"customer_id": "%s"}\n' % each.encode() for each in IDS),
    "parquet": lambda: as_parquet(pa.table({CUSTOMER_ID: IDS})),
}


class NeverWaits:
    """A clock on which a second has passed at each look, and a heart that beats only when it is told to."""

    now = 0.0

    def clock(self) -> float:
        self.now += 1.0
        return self.now

    def wait(self, event: threading.Event, _: float) -> bool:
        return event.wait()


def test_a_header_may_be_longer_than_the_blocks_of_a_small_file(files: Files) -> None:
    header = f"{CUSTOMER_ID},{'x' * 900_000}\n"
    source = files.put(files.key("csv"), (header + "".join(f"{each},\n" for each in IDS[:500])).encode())
    while (ran := files.run(source, remaining=0, worker=files.worker())).outcome == "unfinished":
        pass  # a worker that goes on within the header
    files.results(ran)
    assert ran.summary is not None
    assert ran.summary["rows"] == 500
    assert ran.summary["lines_by_kind"] == {"header": 1, "blank": 0, "rows": 500, "bad": 0}


@pytest.mark.parametrize(
    "extension", [pytest.param(name, marks=pytest.mark.long) if name == "csv.zst" else name for name in CONTENTS]
)
def test_a_file_under_8_mb_moves_and_ends_when_its_results_are_there(
    files: Files, extension: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = CONTENTS[extension]()
    assert len(content) < DEPLOYED.block_bytes
    store, told = process().files.file_jobs, list[Mapping[str, float]]()
    beat = store.leases.beat

    def listening(job_id: str, owner: str, progress: Mapping[str, float] | None = None) -> None:
        if progress is not None:
            told.append(dict(progress))
            key = f"results/{job_id}/summary.json"
            assert not files.service.s3.list_objects_v2(Bucket=files.bucket, Prefix=key)["KeyCount"]
        beat(job_id, owner, progress)

    monkeypatch.setattr(store.leases, "beat", listening)
    time = NeverWaits()
    worker = files.worker(timing=Timing(clock=time.clock, seconds=1.0, wait=time.wait))
    ran = files.score(files.key(extension), content, worker=worker)
    files.results(ran)
    shares = [each["share"] for each in told]
    assert len(set(shares)) >= 3
    assert shares == sorted(shares)
    assert 0 < shares[0] < 0.9 <= shares[-1] <= 1
    assert [each["processed"] for each in told] == sorted(each["processed"] for each in told)
    assert (shares[-1] > 0.9) == (extension == "parquet"), "whose results are copied once all are there"
    assert isinstance(store, FileJobStore)
    job = process().batch.jobs.get(ran.job_id)
    assert (job.share, job.processed, job.status) == (1, ROWS, "succeeded")
    assert job.rate is not None
    assert job.rate > 0
