"""How much of a file is at work at one time, and how often what is done is saved."""

from dataclasses import dataclass

from loyalty_ml.customers.snapshot import ROW_GROUP


@dataclass(frozen=True, slots=True)
class Sizes:
    """The defaults are a deployment's; tests take smaller ones, so that a file of some kilobytes has many blocks.

    block_bytes:           what is asked of S3 at a time, and what a text file is cut into.
    parquet_rows:          rows of a Parquet file that are read at a time.
    json_rows:             rows that are Python's objects at one time: a block of very short lines has millions.
    expansion_free_bytes:  what may come out of a gzip before it counts how many times its size that is.
    part_bytes:            of each of the first `small_parts` parts of a result's upload; S3 takes none below 5 MB but
                           the last.
    large_part_bytes:      of each part after them, so that `most_parts`, which is all that S3 takes, hold 584 GB.
    checkpoint_seconds:    between two checkpoints.
    """

    block_bytes: int = 8 * 2**20
    parquet_rows: int = ROW_GROUP
    json_rows: int = 100_000
    expansion_free_bytes: int = 64 * 10**6
    part_bytes: int = 8 * 2**20
    small_parts: int = 1_000
    large_part_bytes: int = 64 * 2**20
    most_parts: int = 10_000
    checkpoint_seconds: float = 15.0

    def part(self, number: int) -> int:
        """Bytes of the part of that number, from 1 on, unless it is the last."""
        return self.part_bytes if number <= self.small_parts else self.large_part_bytes


DEPLOYED = Sizes()
