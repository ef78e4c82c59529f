"""Text as it is stored, block by block, to UTF-8: what a character is does not depend on where blocks were cut."""

from typing import Literal

Encoding = Literal["utf-8", "utf-16-le", "utf-16-be"]

_MARKS: tuple[tuple[bytes, Encoding], ...] = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_HEAD_BYTES = 64
_NOT_UTF8 = b"\xff"


def detect_encoding(block: bytes) -> tuple[Encoding, int]:
    """The encoding of a content that begins with this block, and the bytes of its byte order mark, 0 without one.

    UTF-16 without a mark is known by its NULs: they are every other byte of a header in Latin letters.
    """
    for mark, encoding in _MARKS:
        if block.startswith(mark):
            return encoding, len(mark)
    head = block[:_HEAD_BYTES]
    first, second = head[0::2].count(0), head[1::2].count(0)
    if max(first, second) * 4 <= len(head) or first == second:
        return "utf-8", 0
    return ("utf-16-be" if first > second else "utf-16-le"), 0


def to_utf8(block: bytes, encoding: Encoding, carry: bytes = b"", *, final: bool = False) -> tuple[bytes, bytes]:
    """The block as UTF-8, and the at most three bytes of a cut character that belong before the next one.

    carry:  what the call for the block before has left.
    final:  no block follows, so nothing is left.

    The mark at a content's beginning is for the caller to remove. UTF-8 passes as it is, valid or not, and what is not
    valid UTF-16 becomes bytes that are not valid UTF-8: so the lines that have it can be refused, and no others.
    """
    raw = carry + block if carry else block
    if encoding == "utf-8":
        return raw, b""
    whole = len(raw) - len(raw) % 2
    if not final and whole and _is_high_surrogate(raw[whole - 2 : whole], encoding):
        whole -= 2
    text = raw[:whole].decode(encoding, "surrogatepass")
    utf8 = text.encode("utf-8", "surrogatepass")
    left = raw[whole:]
    if final and left:
        return utf8 + _NOT_UTF8, b""
    return utf8, left


def _is_high_surrogate(unit: bytes, encoding: Encoding) -> bool:
    return 0xD8 <= unit[1 if encoding == "utf-16-le" else 0] <= 0xDB
