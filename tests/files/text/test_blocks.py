"""Any text, in any encoding, cut anywhere, becomes the same UTF-8; what is not valid spoils its own line only."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_ml.files.text.blocks import Encoding, detect_encoding, to_utf8

pytestmark = pytest.mark.unit

ENCODINGS: tuple[Encoding, ...] = ("utf-8", "utf-16-le", "utf-16-be")
MARKS = {"utf-8": b"\xef\xbb\xbf", "utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}

encodings = st.sampled_from(ENCODINGS)
cuts = st.lists(st.integers(0, 200), max_size=8)


def in_blocks(content: bytes, encoding: Encoding, cuts: Sequence[int]) -> bytes:
    """The content cut at these places, each block to UTF-8, and put together again."""
    places = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    utf8, carry = [], b""
    for place in range(len(places) - 1):
        block = content[places[place] : places[place + 1]]
        text, carry = to_utf8(block, encoding, carry, final=place == len(places) - 2)
        assert len(carry) <= 3
        utf8.append(text)
    assert not carry
    return b"".join(utf8)


@given(text=st.text(), encoding=encodings, cuts=cuts)
def test_where_blocks_are_cut_changes_nothing(text: str, encoding: Encoding, cuts: list[int]) -> None:
    assert in_blocks(text.encode(encoding), encoding, cuts) == text.encode()


@given(content=st.binary(), encoding=encodings, cuts=cuts)
def test_bytes_that_are_no_text_become_the_same_wherever_they_are_cut(
    content: bytes, encoding: Encoding, cuts: list[int]
) -> None:
    utf8 = in_blocks(content, encoding, cuts)
    assert utf8 == in_blocks(content, encoding, [])
    try:
        expected = content.decode(encoding)
    except UnicodeDecodeError:
        with pytest.raises(UnicodeDecodeError):
            utf8.decode()
    else:
        assert utf8.decode() == expected


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_broken_character_spoils_its_own_line_only(encoding: Encoding) -> None:
    lines = ["customer_id\n", "a\ud83d\n", "b\U0001f600\n", "\ude00c\n", "d\n"]
    content = b"".join(line.encode(encoding, "surrogatepass") for line in lines) + b"e"
    utf8 = in_blocks(content, encoding, [24, 27]).split(b"\n")
    valid = []
    for line in utf8:
        try:
            valid.append(line.decode())
        except UnicodeDecodeError:
            valid.append("")
    assert valid == ["customer_id", "", "b\U0001f600", "", "d", ""]


@given(text=st.text(), encoding=encodings)
def test_a_mark_says_what_the_encoding_is(text: str, encoding: Encoding) -> None:
    assert detect_encoding(MARKS[encoding] + text.encode(encoding)) == (encoding, len(MARKS[encoding]))


@given(text=st.text(st.characters(min_codepoint=1, max_codepoint=0x17F), min_size=1), encoding=encodings)
def test_without_a_mark_latin_text_is_known_by_its_nuls(text: str, encoding: Encoding) -> None:
    header = f"customer_id,revenue,{text}\n"
    assert detect_encoding(header.encode(encoding)) == (encoding, 0)


def test_an_empty_content_is_utf8() -> None:
    assert detect_encoding(b"") == ("utf-8", 0)
    assert to_utf8(b"", "utf-16-le", final=True) == (b"", b"")
