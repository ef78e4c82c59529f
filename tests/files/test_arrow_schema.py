"""Durations in an Arrow schema: what pyarrow writes is found, whatever is beside it; what is no schema is refused."""

import contextlib

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loyalty_ml.files.arrow_schema import durations_of
from tests.examples import examples

pytestmark = pytest.mark.unit

DAYS = {"s": 86_400, "ms": 86_400 * 10**3, "us": 86_400 * 10**6, "ns": 86_400 * 10**9}
WHOLE = pa.schema([("a", pa.string_view()), ("b", pa.duration("s"))]).serialize().to_pybytes()
DURATIONS = st.sampled_from([pa.duration(unit) for unit in DAYS])
OTHERS = st.sampled_from(
    [
        pa.string_view(),
        pa.binary_view(),
        pa.list_view(pa.duration("s")),
        pa.list_(pa.duration("s")),
        pa.struct([("a", pa.duration("ms"))]),
        pa.run_end_encoded(pa.int32(), pa.int64()),
        pa.month_day_nano_interval(),
        pa.decimal32(5, 2),
        pa.float16(),
        pa.null(),
        pa.dictionary(pa.int8(), pa.string()),
        pa.map_(pa.string(), pa.int32()),
        pa.timestamp("ns", "Europe/Berlin"),
        pa.int64(),
    ]
)


@given(st.dictionaries(st.text(max_size=8), DURATIONS | OTHERS, max_size=6), st.booleans())
@settings(max_examples=examples(25))
def test_the_durations_of_any_schema_are_found(types: dict[str, pa.DataType], as_dictionary: bool) -> None:  # noqa: FBT001
    def of(kind: pa.DataType) -> pa.DataType:
        is_duration = as_dictionary and pa.types.is_duration(kind)
        return pa.dictionary(pa.int32(), kind) if is_duration else kind

    schema = pa.schema([(name, of(kind)) for name, kind in types.items()], metadata={"pandas": "{}"})
    expected = {name: DAYS[kind.unit] for name, kind in types.items() if pa.types.is_duration(kind)}
    assert durations_of(schema.serialize().to_pybytes()) == expected


@given(st.binary(max_size=60) | st.integers(0, 200).map(lambda size: WHOLE[:size]))
@settings(max_examples=examples(50))
def test_what_is_no_schema_is_a_value_error(message: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert all(isinstance(day, int) for day in durations_of(message).values())


@given(st.integers(0, 300), st.integers(0, 255))
@settings(max_examples=examples(50))
def test_a_damaged_schema_is_no_other_error(place: int, byte: int) -> None:
    damaged = bytearray(WHOLE)
    damaged[place % len(damaged)] = byte
    with contextlib.suppress(ValueError):
        durations_of(bytes(damaged))
