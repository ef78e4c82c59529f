"""Which columns of an Arrow schema are durations, as Arrow's writers (pandas, Polars) keep it beside a Parquet file.

nanoarrow refuses a whole schema for one type that it does not know, such as Polars' texts (Utf8View): the durations
beside it would be read as plain numbers. So of each field only the name and the type's number are read here, in which
newer types make no difference. The layout is that of FlatBuffers (flatbuffers.dev/internals) and of Arrow's Schema.fbs
and Message.fbs.
"""

import struct
from typing import NamedTuple, Self

_CONTINUATION = 0xFFFFFFFF
"""What a message begins with, since Arrow 0.15."""

_DURATION = 18
"""Of Schema.fbs's union Type."""

_DAY = {0: 86_400, 1: 86_400 * 10**3, 2: 86_400 * 10**6, 3: 86_400 * 10**9}
"""By Schema.fbs's TimeUnit: seconds, milliseconds, microseconds, nanoseconds."""
_DEFAULT_UNIT = 1


class _Table(NamedTuple):
    """A table of a FlatBuffer; a field is known by its number in the schema."""

    data: bytes
    place: int

    @classmethod
    def root(cls, data: bytes) -> Self:
        return cls(data, struct.unpack_from("<I", data)[0])

    def field(self, number: int) -> int | None:
        """Where it is; None if it is not written, because it has its default."""
        (back,) = struct.unpack_from("<i", self.data, self.place)
        fields = self.place - back
        (size,) = struct.unpack_from("<H", self.data, fields)
        entry = 4 + 2 * number
        (offset,) = struct.unpack_from("<H", self.data, fields + entry) if entry < size else (0,)
        return self.place + offset if offset else None

    def number(self, number: int, kind: str, default: int) -> int:
        place = self.field(number)
        return default if place is None else int(struct.unpack_from(f"<{kind}", self.data, place)[0])

    def _target(self, number: int) -> int | None:
        place = self.field(number)
        return None if place is None else place + int(struct.unpack_from("<I", self.data, place)[0])

    def table(self, number: int) -> "_Table | None":
        place = self._target(number)
        return None if place is None else _Table(self.data, place)

    def text(self, number: int) -> str:
        place = self._target(number)
        if place is None:
            return ""
        (size,) = struct.unpack_from("<I", self.data, place)
        return self.data[place + 4 : place + 4 + size].decode()

    def tables(self, number: int) -> "list[_Table]":
        place = self._target(number)
        if place is None:
            return []
        (count,) = struct.unpack_from("<I", self.data, place)
        starts = range(place + 4, min(place + 4 + 4 * count, len(self.data)), 4)
        return [_Table(self.data, start + struct.unpack_from("<I", self.data, start)[0]) for start in starts]


def durations_of(message: bytes) -> dict[str, int]:
    """The columns that are durations, each with how many of its units a day has.

    message: a schema as an encapsulated message of Arrow's IPC format. Raises ValueError if it is none.
    """
    try:
        (first,) = struct.unpack_from("<I", message)
        schema = _Table.root(message[8 if first == _CONTINUATION else 4 :]).table(2)
        days = {}
        for field in schema.tables(1) if schema else ():
            kind = field.table(3)
            if field.number(2, "B", 0) == _DURATION and kind:
                days[field.text(0)] = _DAY[kind.number(0, "h", _DEFAULT_UNIT)]
    except (struct.error, UnicodeDecodeError, KeyError) as error:
        raise ValueError("This is no schema of Arrow.") from error
    return days
