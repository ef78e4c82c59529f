"""Names that people and programs give files: an extension tells the format, or else the content does."""

import bz2
import gzip
import io
import zipfile
from collections.abc import Mapping

import pytest
from backports import zstd

from loyalty_ml.files.source import job_id_of
from tests.files.deployed import Files
from tests.files.disturbed import rows_with_features
from tests.files.writings import HEADER, as_csv, as_json, as_parquet, as_table, packed, read_results, skippable
from tests.service import GOOD

pytestmark = pytest.mark.moto

ROW = [["a", *GOOD.values()]]
CSV, JSON, PARQUET = as_csv(ROW), as_json(ROW), as_parquet(as_table(ROW))

NAMED: Mapping[str, tuple[bytes, str]] = {
    "a.tsv": (as_csv(ROW, delimiter="\t"), "csv"),
    "a.TSV.GZ": (gzip.compress(as_csv(ROW, delimiter="\t")), "csv.gz"),
    "a.txt": (as_csv(ROW, delimiter="|"), "csv"),
    "a.txt.gz": (gzip.compress(JSON), "jsonl.gz"),
    "a.ndjson": (JSON, "jsonl"),
    "a.ndjson.gz": (gzip.compress(JSON), "jsonl.gz"),
    "a.json": (JSON, "jsonl"),
    "a.json.gz": (gzip.compress(JSON), "jsonl.gz"),
    "part-0000": (CSV, "csv"),
    "part-00000-3f5f61ed-c000.snappy.parquet": (PARQUET, "parquet"),
    "000": (as_csv(ROW, delimiter="|"), "csv"),
    "000.gz": (gzip.compress(CSV), "csv.gz"),
    "0000_part_00": (JSON, "jsonl"),
    "0000_part_00.gz": (gzip.compress(JSON), "jsonl.gz"),
    "0001_part_00": (PARQUET, "parquet"),
    "export": (gzip.compress(CSV), "csv.gz"),
    "export.2026-11": (b"\n \n" + JSON, "jsonl"),
    "utf-16": (CSV.decode().encode("utf-16"), "csv"),
    "marked": (JSON.decode().encode("utf-8-sig"), "jsonl"),
    "excel": (b"sep=,\r\n" + CSV, "csv"),
    "csv": (CSV, "csv"),
    "a.CSV.ZST": (zstd.compress(CSV), "csv.zst"),
    "a.tsv.zst": (zstd.compress(as_csv(ROW, delimiter="\t")), "csv.zst"),
    "a.jsonl.zst": (zstd.compress(JSON), "jsonl.zst"),
    "a.ndjson.zst": (zstd.compress(JSON), "jsonl.zst"),
    "a.json.zst": (zstd.compress(JSON), "jsonl.zst"),
    "a.zst": (zstd.compress(CSV), "csv.zst"),
    "part-00000-3f5f61ed-c000.txt.zst": (zstd.compress(JSON), "jsonl.zst"),
    "zstandard": (zstd.compress(CSV), "csv.zst"),
    "skipped": (skippable(100_000) + zstd.compress(JSON), "jsonl.zst"),
    "csv.gz/json": (JSON, "jsonl"),
}


@pytest.mark.parametrize("name", NAMED)
def test_a_name_or_else_the_content_tells_the_format(files: Files, name: str) -> None:
    content, extension = NAMED[name]
    ran = files.score(files.key("d", "churn").removesuffix(".d") + f"/{name}", content)
    predictions, errors = files.results(ran)
    assert ([row["customer_id"] for row in predictions], errors) == (["a"], [])
    assert ran.summary is not None
    assert ran.summary["files"]["predictions"] == f"results/{ran.job_id}/predictions.{extension}"


def zipped() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a.csv", CSV)
    return content.getvalue()


REFUSED: Mapping[str, tuple[bytes, str]] = {
    "a.xlsx": (zipped(), "The file is an Excel or zip file: save it as CSV, or unpack it."),
    "a.csv.bz2": (bz2.compress(CSV), "The file is compressed by bzip2: compress it by gzip."),
    "a.xls": (b"\r\n<html><table><tr><td>customer_id</td></tr></table></html>", "The file is HTML or XML, which some"),
    "a.orc": (b"ORC" + bytes(100), "The file is an ORC file: write it as Parquet."),
    "a.parquet.zst": (zstd.compress(PARQUET), "The file is Parquet inside of Zstandard: unpack it"),
    "005.zst": (skippable(100), "The file is empty"),
    "006": (zstd.compress(CSV)[:-20], "is cut off: its Zstandard ends too early"),
    "a.parquet.gz": (gzip.compress(PARQUET), "The file is Parquet inside of gzip: unpack it"),
    "000": (b"", "The file is empty"),
    "001.gz": (gzip.compress(b""), "The file is empty"),
    "002.gz": (gzip.compress(CSV)[:-20], "is cut off: its gzip ends too early"),
    "003": (b"\x7fELF" + bytes(100), "The header has NUL bytes, so this is not a text file"),
    "004": (b"[" + JSON + b"]", "The file is a JSON array"),
    "readme": (b"# How this came about\n\nText.\n", "The header has no column customer_id"),
    "a.json": (b'{"customer_id": [\n"a"\n]}', "No line of the file is a JSON object"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_content_that_is_no_format_is_refused(files: Files, name: str) -> None:
    content, sentence = REFUSED[name]
    ran = files.score(files.key("d", "churn").removesuffix(".d") + f"/{name}", content)
    assert sentence in files.failure(ran)


@pytest.mark.parametrize("name", ["000", "000.gz", "000.zst"])
def test_a_file_without_a_format_in_its_name_takes_as_many_workers_as_any(files: Files, name: str) -> None:
    rows = [["a" if not row[0] else row[0], *row[1:]] for row in rows_with_features()]
    content = packed(name, as_csv(rows))
    key = files.key("d", "churn").removesuffix(".d") + f"/{name}"
    source = files.put(key, content)
    assert files.run(source, remaining=0, worker=files.small).outcome == "unfinished"
    ran = files.run(source, worker=files.small)
    assert ran.summary is not None
    assert ran.summary["status"] == "succeeded"
    assert ran.job_id == job_id_of(source)
    predictions = read_results(
        f"predictions.csv{name.removeprefix('000')}", files.read(ran.summary["files"]["predictions"])
    )
    assert len(predictions) == ran.summary["predictions"]
    assert next(iter(predictions[0])) == HEADER[0]
