"""The shape of feature rows and blocks: columns, types and times as every store writes them."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineshaft.specs import (
    BLOCK_SCHEMA,
    Feature,
    Source,
    Status,
    View,
    block_end_us,
    entity_columns,
    row_schema,
    tile_end_us,
)
from lineshaft.specs.rows import ARROW_TYPES, TIMESTAMP

DTYPES = {
    "float64": pa.float64(),
    "float32": pa.float32(),
    "int64": pa.int64(),
    "int32": pa.int32(),
    "bool": pa.bool_(),
    "string": pa.string(),
    "bytes": pa.binary(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}
VIEW = View(
    name="v",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("line", "int64"), ("asset_id", "string")),
    features=tuple(Feature(name=f"of_{dtype}", dtype=dtype) for dtype in DTYPES),
)


def test_a_row_is_keys_then_times_then_features() -> None:
    """In declared order, keys and times never null, features nullable, each of its own type."""
    schema = row_schema(VIEW)

    assert schema.names == ["line", "asset_id", "event_time", "known_at", *(f.name for f in VIEW.features)]
    assert [field.nullable for field in schema] == [False] * 4 + [True] * len(DTYPES)
    assert schema.types == [pa.int64(), pa.string(), TIMESTAMP, TIMESTAMP, *DTYPES.values()]
    assert entity_columns(VIEW) == [schema.field("line"), schema.field("asset_id")]


@pytest.mark.parametrize(
    ("asked", "answered"),
    [([], []), (["of_bool"], ["of_bool"]), (["of_bool", "of_int64"], ["of_int64", "of_bool"]), (["none"], [])],
    ids=["none", "one", "in declared order", "unknown"],
)
def test_a_choice_of_features_keeps_the_declared_order(asked: list[str], answered: list[str]) -> None:
    """Keys and times are always there; what a view does not have is left out."""
    assert row_schema(VIEW, asked).names[4:] == answered


def test_every_type_has_its_column() -> None:
    """The eight dtypes, timestamps in microseconds of UTC."""
    assert ARROW_TYPES == DTYPES


def test_statuses_keep_their_numbers() -> None:
    """They are stored and sent: a number that changes its meaning would turn stale into present."""
    assert {status.name: status.value for status in Status} == {
        "UNSPECIFIED": 0,
        "PRESENT": 1,
        "NULL": 2,
        "NOT_FOUND": 3,
        "STALE": 4,
        "CORRUPT": 5,
        "UNAVAILABLE": 6,
        "IMPUTED": 7,
    }


def test_only_what_may_be_unknown_is_nullable_in_a_block() -> None:
    """Shaft speed, geometry and full scale; the rest is the block."""
    assert [field.name for field in BLOCK_SCHEMA if field.nullable] == ["shaft_hz", "bearing", "full_scale"]


@pytest.mark.parametrize(
    ("start", "samples", "rate", "end"),
    [(0, 1, 1.0, 1_000_000), (7, 0, 1.0, 7), (0, 1, 3.0, 333_333), (0, 2, 3.0, 666_667), (-5, 10, 10.0, 999_995)],
)
def test_a_block_ends_a_period_after_its_last_sample(start: int, samples: int, rate: float, end: int) -> None:
    """Rounded to the microsecond."""
    assert block_end_us(start, samples, rate) == end


@given(st.integers(-(10**16), 10**16), st.integers(1, 10**12))
def test_a_moment_belongs_to_the_tile_that_ends_at_or_after_it(end_us: int, tile_us: int) -> None:
    """Tiles are aligned and half open on the left: (T - tile, T], before 1970 too."""
    tile_end = tile_end_us(end_us, tile_us)

    assert tile_end % tile_us == 0
    assert tile_end - tile_us < end_us <= tile_end
