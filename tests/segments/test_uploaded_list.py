"""A file of ids is read as it is meant, or refused in a sentence that names the line."""

import contextlib
import gzip
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loyalty_ml.errors import InvalidRequest
from loyalty_ml.segments import uploaded_list
from loyalty_ml.segments.uploaded_list import ids_of

pytestmark = pytest.mark.unit

IDS = ["7", "c-1", "Zoë", "O'Brien", "a b"]
lines = st.lists(
    st.text(
        st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='",;|\u2028\u2029\x85\ufeff['), min_size=1
    ),
    min_size=1,
).filter(lambda ids: all(map(str.strip, ids)) and "customer" not in ids[0].casefold() and not ids[0].startswith("{"))


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(IDS),
        "\r\n".join(IDS) + "\r\n",
        "\ufeff" + "\n".join(IDS),
        "\n\n" + "\n\n".join(IDS) + "\n\n",
        "\r".join(IDS),
        " \n\t\n" + "\n \n".join(IDS),
        "customer_id\n" + "\n".join(IDS),
        "customer_id\r" + "\r".join(IDS),
        "Customer ID\n" + "\n".join(IDS),
        "sep=;\r\ncustomer-id;note\r\n" + "\r\n".join(f"{name};a,b" for name in IDS),
        '"sep=,"\nCustomerId,note\n' + "\n".join(f"{name},x" for name in IDS),
        ";;\r\n\r\ncustomer_id;;\r\n" + "\r\n;;\r\n".join(f"{name};;" for name in IDS),
        "Customer_ID\r\n" + "\r\n".join(IDS),
        "name;customer_id;spend\n" + "\n".join(f'"x;{place}";{name};1,5' for place, name in enumerate(IDS)),
        "customer_id\tname\n" + "\n".join(f"{name}\tx" for name in IDS),
        'customer_id,name\n"7","x, y"\n"c-1",\nZoë,z\nO\'Brien,"two\nlines"\na b,',
        "a|customer_id\n" + "\n".join(f"|{name}" for name in IDS),
        "\n".join(f'"{name}"' for name in IDS),
        json.dumps(IDS),
        " " + json.dumps(IDS, ensure_ascii=False, indent=1),
    ],
)
def test_what_people_export_is_read(text: str) -> None:
    assert ids_of(text.encode()) == IDS
    assert ids_of(gzip.compress(text.encode())) == IDS


@given(lines)
def test_any_id_on_a_line_is_that_id(ids: list[str]) -> None:
    assert ids_of("\n".join(ids).encode()) == list(dict.fromkeys(ids))


def test_an_id_that_comes_twice_is_kept_at_its_first_place() -> None:
    assert ids_of(b"b\na\nb\nc\na\n") == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\n\n", "the file has no ids"),
        (b"customer_id\n", "the file has no ids"),
        (b"[]", "the file has no ids"),
        (b"1\nZo\xeb\n", "line 2 is not UTF-8"),
        ("1\n2\n".encode("utf-16"), "line 1 is not UTF-8"),
        (b"PK\x03\x04\x00\x00", "NUL bytes"),
        (b" \n\t\r\n;;\n", "the file has no ids"),
        (b'{"customer_ids": ["1"]}', "the file is JSON and no list"),
        (b'{"customer_id":"1"}\n{"customer_id":"2"}\n', "the file is JSON and no list"),
        (b"x" * 200_000, "is not CSV"),
        (b";;\nname;customer_id\nx;1\ny\n", "line 4 has no customer_id"),
        (b"1\n2,x\n", "line 2 has several columns"),
        (b"name,spend\nx,1\n", "line 1 has several columns, and the first line names none customer_id"),
        (b"name,customer_id\nx,1\ny\n", "line 3 has no customer_id"),
        (b"name,customer_id\nx,\n", "line 2 has no customer_id"),
        (b"1\n" + b"x" * 257, "line 2 has an id of over 256 characters"),
        (b'1\n"2\n', "is not CSV"),
        (b"[1]", "element 0 of the JSON list is not a text"),
        (b'["1", ""]', "element 1 of the JSON list"),
        (b'["1"', "begins as a JSON list and is none"),
        (gzip.compress(b"1\n2", mtime=0)[:-3], "the file is cut off"),
        (b"\x1f\x8bno gzip", "begins as gzip and is damaged"),
        (gzip.compress(b"1\n" * (40 * 1024**2)), "bytes unpacked"),
    ],
)
def test_what_is_no_list_is_refused_by_its_line(content: bytes, problem: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        ids_of(content)
    assert refused.value.message.startswith("The request is not valid: customer_list: ")
    assert problem in refused.value.message


def test_more_ids_than_a_segment_may_list_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploaded_list, "MAX_IDS", 3)
    with pytest.raises(InvalidRequest, match="over 3 ids"):
        ids_of(b"1\n2\n3\n4\n")
    assert ids_of(b"1\n2\n3\n3\n") == ["1", "2", "3"]


@given(st.binary(max_size=60) | st.text('\r\n",;|\t =[{sepcustomer_id1', max_size=60).map(str.encode))
@example(b"1\r2\r3")
def test_any_bytes_are_ids_or_refused(content: bytes) -> None:
    for attempt in (content, b"\x1f\x8b" + content, b"customer_id,x\n" + content, b"[" + content):
        ids: list[str] | None = None
        with contextlib.suppress(InvalidRequest):
            ids = ids_of(attempt)
        if ids is not None:
            assert ids
            assert all(1 <= len(customer_id) <= 256 for customer_id in ids)
