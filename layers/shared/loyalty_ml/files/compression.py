"""What a file's content is compressed by, gzip or Zstandard: in pieces from stored bytes, and as bytes to store.

Of either a file is members that follow one another, as its writer or `cat` has put them: Zstandard's are called frames.
"""

import gzip
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from backports import zstd

from loyalty_ml.errors import InvalidFile
from loyalty_ml.files.sizes import Sizes
from loyalty_ml.files.source import Compression

MAX_EXPANSION = 200
"""How many times its size a file may grow. Text that repeats itself a lot grows 20 times, a bomb 1,000 times.

Sizes.expansion_free_bytes may come out of it before that counts.
"""
LEAST_MEMBER_BYTES = 64
"""What a member takes at least, on average: each costs some 40 microseconds, so that smaller ones would hold a worker.

Sizes.free_members may be smaller before that counts.
"""
_FED_BYTES = 64 * 2**10
"""What a decompressor is fed at a time: what is left of that at the end of each member is copied."""
_MAGIC_BYTES = 4

_GZIP = 16 + zlib.MAX_WBITS
_GZIP_LEVEL = 6

_ZSTD_WINDOW = 27
"""As a power of two: 128 MiB, which the command zstd too takes unasked, and which are in memory while one reads."""
_ZSTD_READ: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW}
_ZSTD_WRITTEN: dict[int, int] = {
    zstd.CompressionParameter.compression_level: 3,
    zstd.CompressionParameter.checksum_flag: 1,
}
_ZSTD_TROUBLE = {
    "requires too much memory": f"was compressed with a window of more than {2**_ZSTD_WINDOW // 2**20} MB: compress it "
    f"again, without --long or with --long={_ZSTD_WINDOW} at most.",
    "Dictionary mismatch": "was compressed with a dictionary, which is not in it: compress it again without one.",
}
"""What libzstd says of a frame that it does not expand, though it may be whole."""


class Decompressor(Protocol):
    """Of one member, as those of the standard library are: it keeps what it was fed and has not expanded yet."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gunzip:
    """zlib's, which leaves it to the caller to feed again what it has not expanded."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)

    @property
    def eof(self) -> bool:
        return self._member.eof

    @property
    def needs_input(self) -> bool:
        return not self._member.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._member.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._member.decompress(self._member.unconsumed_tail + data, max_length)


@dataclass(frozen=True)
class Codec:
    """One way to compress.

    begins:      how a member does.
    padding:     bytes that may be after a member, as some writers fill a whole block of their medium.
    error:       raised by the decompressor.
    compressed:  one member of these bytes, always the same.
    """

    name: str
    begins: re.Pattern[bytes]
    padding: bytes
    error: type[Exception]
    decompressor: Callable[[], Decompressor]
    compressed: Callable[[bytes], bytes]


CODECS: dict[Compression, Codec] = {
    "gzip": Codec(
        "gzip",
        re.compile(rb"\x1f\x8b"),
        b"\0",
        zlib.error,
        _Gunzip,
        lambda content: gzip.compress(content, _GZIP_LEVEL, mtime=0),
    ),
    "zstd": Codec(
        "Zstandard",
        re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),  # a frame, or one that is to be skipped
        b"",
        zstd.ZstdError,
        lambda: zstd.ZstdDecompressor(options=_ZSTD_READ),
        lambda content: zstd.compress(content, options=_ZSTD_WRITTEN),
    ),
}


def compression_of(head: bytes) -> Compression | None:
    """By a file's first bytes."""
    return next((name for name, codec in CODECS.items() if codec.begins.match(head)), None)


def expanded(
    stored: Iterable[bytes], codec: Codec, name: str, sizes: Sizes, on_read: Callable[[int], object] | None
) -> Iterator[bytes]:
    """The content of a file's stored bytes in pieces of at most a block.

    name:     the file's, for sentences.
    on_read:  is told how many of the stored bytes are expanded.

    Raises InvalidFile where they are not whole members, grow more than MAX_EXPANSION lets them, or are
    too small and too many.
    """
    member, head = None, b""
    members = given = 0
    for fed, taken in _fed(stored, on_read):
        while True:
            if member is None:
                if members:
                    fed = fed.lstrip(codec.padding)  # noqa: PLW2901
                if not fed:
                    break
                member, head = codec.decompressor(), b""
            head += fed[: _MAGIC_BYTES - len(head)]
            try:
                piece = member.decompress(fed, sizes.block_bytes)
            except codec.error as error:
                raise _trouble(codec, name, str(error), head, members=members, given=given) from error
            given += len(piece)
            if trouble := _hostile(codec, sizes, given=given, taken=taken, members=members):
                raise InvalidFile(f"{name} {trouble}")
            if piece:
                yield piece
            if member.eof:
                fed, member = member.unused_data, None  # noqa: PLW2901
                members += 1
            elif member.needs_input:
                break
            else:
                fed = b""  # noqa: PLW2901
    if member is not None:
        raise InvalidFile(
            f"{name} is cut off: its {codec.name} ends too early, after {given:,} bytes of content: upload the whole "
            "file."
        )


def _fed(stored: Iterable[bytes], on_read: Callable[[int], object] | None) -> Iterator[tuple[bytes, int]]:
    """What a decompressor is fed at a time, and how much that is in all."""
    taken = 0
    for block in stored:
        for start in range(0, len(block), _FED_BYTES):
            fed = block[start : start + _FED_BYTES]
            taken += len(fed)
            if on_read:
                on_read(taken)
            yield fed, taken


def _hostile(codec: Codec, sizes: Sizes, *, given: int, taken: int, members: int) -> str | None:
    """Why a file, of which so much is expanded, would cost more than it can be worth."""
    if given > max(sizes.expansion_free_bytes, MAX_EXPANSION * taken):
        return (
            f"expands to more than {MAX_EXPANSION} times its size (a {codec.name} bomb): upload its content "
            "uncompressed."
        )
    if members > sizes.free_members and taken < LEAST_MEMBER_BYTES * members:
        return (
            f"is made of {codec.name} members (frames) of less than {LEAST_MEMBER_BYTES} bytes: compress its content "
            "as a whole."
        )
    return None


def _trouble(codec: Codec, name: str, said: str, head: bytes, *, members: int, given: int) -> InvalidFile:
    for cause, sentence in _ZSTD_TROUBLE.items():
        if cause in said:
            return InvalidFile(f"{name} {sentence}")
    if codec.begins.match(head):
        return InvalidFile(
            f"{name} is a damaged {codec.name} file, after {given:,} bytes of content: compress and upload it again."
        )
    if members:
        return InvalidFile(f"{name} has trailing data after its {codec.name}: compress and upload it again.")
    return InvalidFile(f"{name} is not {codec.name}, but its name says so: correct its extension, or compress it.")
