"""A file's content from S3, in bounded memory: blocks that are fetched ahead of need, and expanded."""

import errno
import shutil
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
from loyalty_ml.files.compression import CODECS, expanded
from loyalty_ml.files.sizes import DEPLOYED, Sizes
from loyalty_ml.files.source import Compression, FileSource

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

AHEAD = 2
"""Blocks that are fetched while the caller works on the one before them."""
DOWNLOAD_AHEAD = 8
"""The same where the caller only writes to disk: the client's max_pool_connections must be no less."""

OnRead = Callable[[int], object]
"""Is told how many of the stored bytes are read so far, in the caller's thread."""


def content_blocks(
    s3: "S3Client",
    source: FileSource,
    *,
    compression: Compression | None,
    start: int = 0,
    on_read: OnRead | None = None,
    sizes: Sizes = DEPLOYED,
) -> Generator[bytes, None, None]:
    """The object's content in blocks of sizes.block_bytes, the last one shorter; none of an empty object.

    compression:  the content is what the stored bytes expand to.
    start:        where in the content to begin, a multiple of the block. What is compressed is expanded from its
                  beginning even so.
    on_read:      of what is compressed, is told how much is expanded: a small file is fetched all at once.

    The threads that fetch end when this ends or is closed. Raises InvalidFile where the object is gone or replaced, or
    is not whole, as `expanded` does; StoreUnavailable where S3 does not do its part.
    """
    block_bytes = sizes.block_bytes
    if start % block_bytes:
        raise ValueError(f"start is {start}, which is no multiple of {block_bytes}.")
    if compression is None:
        yield from _stored_blocks(s3, source, start, AHEAD, on_read, block_bytes=block_bytes)
        return
    with closing(_stored_blocks(s3, source, 0, AHEAD, None, block_bytes=block_bytes)) as stored:
        pieces = expanded(stored, CODECS[compression], _name(source), sizes, on_read)
        yield from _blocks(pieces, start, block_bytes)


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
            closing(_stored_blocks(s3, source, 0, DOWNLOAD_AHEAD, on_read, block_bytes=sizes.head)) as blocks,
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
