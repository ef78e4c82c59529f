"""Files with bytes that do not belong: each is scored or refused, and its rows add up."""

import gzip
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.files.deployed import Files
from tests.files.writings import as_csv, as_json, as_parquet, table_of
from tests.service import GOOD, SNAPSHOT_FEATURES, Service

pytestmark = [pytest.mark.moto, pytest.mark.long]

HEADER = ["customer_id", *SNAPSHOT_FEATURES]
ROWS: list[list[Any]] = [[f"c-{number}", *GOOD.values()] for number in range(6)]
WRITTEN = {
    "csv": as_csv(ROWS, HEADER),
    "csv.gz": gzip.compress(as_csv(ROWS, HEADER), mtime=0),
    "jsonl": as_json(ROWS, HEADER),
    "parquet": as_parquet(table_of([row[0] for row in ROWS])),
}
BYTES = st.sampled_from(
    [b"", b"\0", b'"', b"\n", b"\r", b",", b";", b"\xff\xfe", b"\xef\xbb\xbf", b"NaN", b"1e999", b"{", b"["]
)


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    """A file of six whole rows in one of the formats, with one to four runs of its bytes replaced; or cut off."""
    extension = draw(st.sampled_from(sorted(WRITTEN)))
    content = bytearray(WRITTEN[extension])
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        content[start : start + draw(st.integers(0, 12))] = draw(BYTES | st.binary(max_size=6))
    if draw(st.booleans()):
        del content[draw(st.integers(0, len(content))) :]
    return extension, bytes(content)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(12))
@given(damaged())
def test_a_damaged_file_is_scored_or_refused_and_its_rows_add_up(service: Service, file: tuple[str, bytes]) -> None:
    extension, content = file
    files = Files(service)
    key = f"incoming/rfm/{abs(hash(content))}.{extension}"
    ran = files.score(key, content)
    assert ran.outcome == "finished"
    summary = ran.summary
    assert summary is not None
    assert summary["status"] in ("succeeded", "failed")
    if "files" in summary:
        files.results(ran)  # which holds every count against what was written
    else:
        assert summary["code"] == "INVALID_FILE"
        assert summary["error"].endswith("."), summary["error"]
