"""What JSON Lines alone have: objects, of which each names its own columns."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loyalty_ml.files.sizes import Sizes
from tests.examples import examples
from tests.files.deployed import TYPES, Answered, Files, assert_all_answered
from tests.files.generated import BROKEN, INFINITY, UNNAMED, Line, assert_all_told, ids, joined_lines, up_to, values
from tests.files.writings import as_json, in_members, packed
from tests.service import GOOD, SNAPSHOT_FEATURES

pytestmark = pytest.mark.moto


@st.composite
def json_lines(draw: st.DrawFn) -> Line:
    end = draw(st.sampled_from([b"\n", b"\r\n", b"\r"]))
    customer_id = draw(ids)
    texts, numbers = draw(values())
    row: dict[str, Any] = {"customer_id": customer_id}
    for name, text, number in zip(SNAPSHOT_FEATURES, texts, numbers, strict=True):
        is_plain = number is not None and np.isfinite(number) and draw(st.integers(0, 4)) > 0
        row[name] = number if is_plain else text
        if number is None:
            match draw(st.integers(0, 2)):
                case 0:
                    row[name] = None
                case 1:
                    del row[name]
    match draw(
        st.sampled_from(
            ["good"] * 6 + ["broken", "no object", "not UTF-8", "huge", "odd", "unnamed", "number", "blank"]
        )
    ):
        case "broken":
            return Line(json.dumps(row).encode()[:-2] + end, BROKEN)
        case "no object":
            return Line(draw(st.sampled_from([b"1", b'"a"', b"null", b"true"])) + end, BROKEN)
        case "not UTF-8":
            return Line(
                json.dumps(row | {"customer_id": "latin-1"}).encode().replace(b"latin-1", b"M\xfcller") + end, BROKEN
            )
        case "huge":
            written = json.dumps(row | {"revenue": INFINITY})
            numbers = [
                INFINITY if name == "revenue" else number
                for name, number in zip(SNAPSHOT_FEATURES, numbers, strict=True)
            ]
            return Line(
                written.replace("Infinity", draw(st.sampled_from(["1e400", "Infinity"]))).encode() + end,
                (customer_id, numbers),
            )
        case "odd":
            odd = draw(st.sampled_from([True, 1.5, ["a"], {}]))
            return Line(json.dumps(row | {"customer_id": odd}).encode() + end, BROKEN)
        case "unnamed":
            unusable = draw(st.sampled_from(["", None, "x" * 257]))
            return Line(json.dumps(row | {"customer_id": unusable}).encode() + end, UNNAMED)
        case "number":
            whole = draw(st.integers(-(2**63), 2**64 - 1))
            return Line(json.dumps(row | {"customer_id": whole}).encode() + end, (str(whole), numbers))
        case "blank":
            return Line(draw(st.sampled_from([b"", b"  "])) + end, None)
    return Line(json.dumps(row, ensure_ascii=draw(st.booleans())).encode() + end, (customer_id, numbers))


@given(up_to(25, json_lines()), st.sampled_from(["jsonl", "jsonl.gz", "jsonl.zst"]), st.sampled_from(list(TYPES)))
@settings(max_examples=examples(40))
def test_any_json_lines_add_up_and_their_good_rows_are_answered_as_over_http(
    files: Files, lines: list[Line], extension: str, kind: str
) -> None:
    first = Line(as_json([["first", *GOOD.values()]]), ("first", list(GOOD.values())))  # so that it has columns
    content, rows = joined_lines([first, *lines], 1)
    assert_all_told(files, files.key(extension, kind), packed(extension, content), rows)


WRITINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "a mark": ("jsonl", lambda lines: lines.decode().encode("utf-8-sig")),
    "gzip of several members": ("jsonl.gz", partial(in_members, "jsonl.gz")),
    "Zstandard of several frames": ("jsonl.zst", partial(in_members, "jsonl.zst")),
}


@pytest.mark.parametrize("writing", WRITINGS)
def test_one_table_has_the_same_answers_however_it_is_written(files: Files, answered: Answered, writing: str) -> None:
    extension, write = WRITINGS[writing]
    assert_all_answered(files, answered, extension, write(as_json(files.rows())))


def test_a_line_of_json_may_leave_out_what_it_has_no_value_for(files: Files) -> None:
    known = {"customer_id": "whole", **GOOD}
    rows = [{"customer_id": "none"}, {"note": "nobody"}, {"customer_id": "one", "revenue": 1}, known]
    ran = files.score(files.key("jsonl"), "\n".join(map(json.dumps, rows)).encode())
    predictions, errors = files.results(ran)
    assert [row["customer_id"] for row in predictions] == ["whole"]
    assert [(error["line"], error["code"]) for error in errors] == [
        ("1", "MISSING_FEATURES"),
        ("2", UNNAMED),
        ("3", "MISSING_FEATURES"),
    ]


def test_features_that_appear_only_after_a_block_of_ids_are_refused_line_by_line(files: Files) -> None:
    rows = as_json([["c-1"]], ["customer_id"]) * 200 + as_json([["c-1", *GOOD.values()]])
    predictions, errors = files.results(
        files.score(files.key("jsonl"), rows, worker=files.worker(Sizes(block_bytes=512)))
    )
    assert len(predictions) == 200
    assert [(error["line"], error["code"]) for error in errors] == [("201", BROKEN)]
    assert errors[0]["error"].startswith("The line has revenue, and the file's first lines have no features")


REFUSED: dict[str, tuple[bytes, str]] = {
    "JSON Lines of blank lines": (b"\n  \n\r\n", "The file is empty"),
    "a JSON array in a line": (b'[{"customer_id": "a"}]', "The file is a JSON array: write one object a line"),
    "a JSON array": (b'[\n{"customer_id": "a"},\n{"customer_id": "b"}\n]', "The file is a JSON array"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_json_file_that_cannot_be_scored_says_why(files: Files, name: str) -> None:
    content, sentence = REFUSED[name]
    assert sentence in files.refused("jsonl", content)
