"""A file's content from S3, in bounded memory: blocks that are fetched ahead of need, and gunzipped."""

import errno
import shutil
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from loyalty_ml.aws.errors import asking
from loyalty_ml.aws.ranges import ObjectMissing, ObjectReplaced, read_range
from loyalty_ml.errors import InvalidFile, StoreUnavailable
from loyalty_ml.files.sizes import DEPLOYED, Sizes
from loyalty_ml.files.source import FileSource

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

AHEAD = 2
"""Blocks that are fetched while the caller works on the one before them."""
DOWNLOAD_AHEAD = 8
"""The same where the caller only writes to disk: the client's max_pool_connections must be no less."""

MAX_EXPANSION = 200
"""How many times its size a gzip may grow. Text that repeats itself a lot grows 20 times, a bomb 1,000 times.

Sizes.expansion_free_bytes may come out of it before that counts.
"""
_FED_BYTES = 64 * 2**10
"""What zlib is fed at a time: it copies what is left of that at the end of each member."""
_GZIP = 16 + zlib.MAX_WBITS

OnRead = Callable[[int], object]
"""Is told how many of the stored bytes are read so far, in the caller's thread."""


def content_blocks(
    s3: "S3Client",
    source: FileSource,
    *,
    gzipped: bool,
    start: int = 0,
    on_read: OnRead | None = None,
    sizes: Sizes = DEPLOYED,
) -> Generator[bytes, None, None]:
    """The object's content in blocks of sizes.block_bytes, the last one shorter; none of an empty object.

    gzipped:  the content is what the stored bytes, one or several gzip members, expand to.
    start:    where in the content to begin, a multiple of the block. A gzip is expanded from its beginning even so.

    The threads that fetch end when this ends or is closed. Raises InvalidFile where the object is gone or replaced, or
    is no whole gzip; StoreUnavailable where S3 does not do its part.
    """
    block_bytes = sizes.block_bytes
    if start % block_bytes:
        raise ValueError(f"start is {start}, which is no multiple of {block_bytes}.")
    if not gzipped:
        yield from _stored_blocks(s3, source, start, AHEAD, on_read, block_bytes=block_bytes)
        return
    with closing(_stored_blocks(s3, source, 0, AHEAD, None, block_bytes=block_bytes)) as stored:
        yield from _blocks(_gunzip(stored, _name(source), sizes, on_read), start, block_bytes)


def download(
    s3: "S3Client", source: FileSource, path: Path, on_read: OnRead | None = None, *, sizes: Sizes = DEPLOYED
) -> None:
    """Writes the whole object to a file, which is there afterwards only where all of it is.

    Raises as content_blocks does, and StoreUnavailable where the disk has no room.
    """
    if source.size > shutil.disk_usage(path.parent).free:
        raise _no_room(source)
    try:
        with (
            path.open("wb") as file,
            closing(_stored_blocks(s3, source, 0, DOWNLOAD_AHEAD, on_read, block_bytes=sizes.block_bytes)) as blocks,
        ):
            for block in blocks:
                file.write(block)
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _no_room(source) from error
        raise


def _stored_blocks(
    s3: "S3Client", source: FileSource, start: int, ahead: int, on_read: OnRead | None, *, block_bytes: int
) -> Generator[bytes, None, None]:
    wanted = (range(place, min(place + block_bytes, source.size)) for place in range(start, source.size, block_bytes))
    pool = ThreadPoolExecutor(ahead, "read_file")
    try:
        coming = deque(pool.submit(read_block, s3, source, each) for each in islice(wanted, ahead))
        read = start
        while coming:
            block = coming.popleft().result()
            coming.extend(pool.submit(read_block, s3, source, each) for each in islice(wanted, 1))
            read += len(block)
            if on_read:
                on_read(read)
            yield block
    finally:
        pool.shutdown(cancel_futures=True)


def read_block(s3: "S3Client", source: FileSource, wanted: range) -> bytes:
    """These bytes of the object, as they are stored. Raises as content_blocks does."""
    with asking("results", f"The file {source.key} could not be read from the bucket {source.bucket}"):
        try:
            return read_range(s3, source, wanted)
        except (ObjectMissing, ObjectReplaced) as error:
            raise _gone(source) from error


def _gunzip(stored: Iterable[bytes], name: str, sizes: Sizes, on_read: OnRead | None) -> Iterator[bytes]:
    """Pieces of at most a block; on_read is told what is expanded, of which a small file is fetched all at once."""
    member = None
    members = given = of_member = taken = 0
    for block in stored:
        for start in range(0, len(block), _FED_BYTES):
            fed = block[start : start + _FED_BYTES]
            taken += len(fed)
            if on_read:
                on_read(taken)
            while fed:
                if member is None:
                    if members:
                        fed = fed.lstrip(b"\0")  # some writers pad to a whole block of their medium
                        if not fed:
                            break
                    member, of_member = zlib.decompressobj(_GZIP), 0
                try:
                    piece = member.decompress(fed, sizes.block_bytes)
                except zlib.error as error:
                    raise _no_gzip(name, members, of_member, given) from error
                of_member += len(piece)
                given += len(piece)
                if given > max(sizes.expansion_free_bytes, MAX_EXPANSION * taken):
                    raise InvalidFile(
                        f"{name} expands to more than {MAX_EXPANSION} times its size (a gzip bomb): upload its content "
                        "uncompressed."
                    )
                if piece:
                    yield piece
                fed = member.unused_data if member.eof else member.unconsumed_tail
                if member.eof:
                    member = None
                    members += 1
    if member is not None:
        raise InvalidFile(
            f"{name} is cut off: the gzip ends too early, after {given:,} bytes of content: upload the whole file."
        )


def _no_gzip(name: str, members: int, of_member: int, given: int) -> InvalidFile:
    if of_member:
        return InvalidFile(f"{name} is a damaged gzip, after {given:,} bytes of content: compress and upload it again.")
    if members:
        return InvalidFile(f"{name} has trailing data after its gzip: compress and upload it again.")
    return InvalidFile(f"{name} is not gzip, but its name says so: correct its extension, or compress it.")


def _blocks(pieces: Iterable[bytes], start: int, block_bytes: int) -> Iterator[bytes]:
    """The pieces' bytes from `start` on, in blocks of that many."""
    pending = bytearray()
    skip = start
    for piece in pieces:
        pending += piece[skip:]
        skip = max(0, skip - len(piece))
        while len(pending) >= block_bytes:
            yield bytes(memoryview(pending)[:block_bytes])
            del pending[:block_bytes]
    if pending:
        yield bytes(pending)


def _name(source: FileSource) -> str:
    return source.key.rpartition("/")[2]


def _gone(source: FileSource) -> InvalidFile:
    return InvalidFile(
        f"The object is gone: {source.key} was deleted or replaced since it was put there; upload it again, if it "
        "is still to be scored."
    )


def _no_room(source: FileSource) -> StoreUnavailable:
    return StoreUnavailable(
        "disk",
        f"{_name(source)} needs {-(-source.size // 10**6):,} MB, but its disk has no room: raise the function's "
        "ephemeral storage (parameter FileStorage).",
        retry=False,
    )
