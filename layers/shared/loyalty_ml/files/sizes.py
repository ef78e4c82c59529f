"""How much of a file is at work at one time, and how often what is done is saved."""

from dataclasses import dataclass, replace
from typing import Self

from loyalty_ml.customers.snapshot import ROW_GROUP

BLOCKS = 8
"""How many blocks a small file has at least, so that one sees it move."""
LEAST_BLOCK_BYTES = 2**17
LEAST_BLOCK_ROWS = 8_192
"""But no smaller ones: each costs some milliseconds."""
EXPLAINED_ROWS = 2**25
"""That a block's customers are scored with for their reasons, at most: each takes 0.05 to 0.15 us, so some 2 to 5 s."""
LEAST_LINE_BYTES = 8
"""Of a file of ids alone."""
LEAST_EXPLAINED_BYTES = 2**15


@dataclass(frozen=True, slots=True)
class Sizes:
    """The defaults are a deployment's; tests take smaller ones, so that a file of some kilobytes has many blocks.

    block_bytes:           what is asked of S3 at a time, and what a text file is cut into.
    head_bytes:            of a text file, by which its columns are known, and what is asked of S3 at a time of a file
                           that is downloaded as a whole; None for block_bytes.
    parquet_rows:          rows of a Parquet file that are read at a time.
    json_rows:             rows that are Python's objects at one time: a block of very short lines has millions.
    expansion_free_bytes:  what may come out of a compressed file before it counts how many times its size that is.
    free_members:          members of a compressed file before it counts how small they are.
    part_bytes:            of each of the first `small_parts` parts of a result's upload; S3 takes none below 5 MB but
                           the last.
    large_part_bytes:      of each part after them, so that `most_parts`, which is all that S3 takes, hold 584 GB.
    checkpoint_seconds:    between two checkpoints.
    """

    block_bytes: int = 8 * 2**20
    head_bytes: int | None = None
    parquet_rows: int = ROW_GROUP
    json_rows: int = 100_000
    expansion_free_bytes: int = 64 * 10**6
    free_members: int = 100_000
    part_bytes: int = 8 * 2**20
    small_parts: int = 1_000
    large_part_bytes: int = 64 * 2**20
    most_parts: int = 10_000
    checkpoint_seconds: float = 15.0

    def part(self, number: int) -> int:
        """Bytes of the part of that number, from 1 on, unless it is the last."""
        return self.part_bytes if number <= self.small_parts else self.large_part_bytes

    @property
    def head(self) -> int:
        """As head_bytes: the same whatever is asked about a file's rows."""
        return self.head_bytes or self.block_bytes

    def explaining(self, scored_rows: int) -> Self:
        """Those of a file whose rows have their reasons, for each of which so many rows are scored.

        So a block's work stays within the seconds that a worker keeps to save what is done.
        """
        customers = max(1, EXPLAINED_ROWS // scored_rows)
        return replace(
            self,
            block_bytes=min(self.block_bytes, max(LEAST_EXPLAINED_BYTES, customers * LEAST_LINE_BYTES)),
            head_bytes=self.head,
            parquet_rows=min(self.parquet_rows, customers),
        )

    def of_text(self, stored_bytes: int, *, compressed: bool) -> Self:
        """Those of a text file of this size, which the same file always has: a small one has smaller blocks.

        What is compressed is taken to expand to four times its size.
        """
        wanted = -(-4 * stored_bytes // BLOCKS) if compressed else -(-stored_bytes // BLOCKS)
        return replace(self, block_bytes=min(self.block_bytes, max(LEAST_BLOCK_BYTES, wanted)))

    def rows_of_parquet(self, rows: int) -> int:
        """How many rows of a Parquet file that has so many are read at a time."""
        return min(self.parquet_rows, max(LEAST_BLOCK_ROWS, -(-rows // BLOCKS)))


DEPLOYED = Sizes()
