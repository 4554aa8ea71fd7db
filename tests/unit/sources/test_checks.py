"""What fails at the door is kept aside with a reason; what passes is not touched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineshaft.errors import InputError
from lineshaft.sources.blocks import blocks_table
from lineshaft.sources.catalogue import SOURCES
from lineshaft.sources.checks import REASONS, validate_blocks
from lineshaft.specs import BLOCK_SCHEMA

SOURCE = SOURCES["vibration_blocks"]
DAY = 86_400_000_000
NOW = 1_700_000_000_000_000
LOOSE = pa.schema([field.with_nullable(nullable=True) for field in BLOCK_SCHEMA])

FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("missing_field", {"asset_id": ""}),
    ("missing_field", {"rate_hz": None}),
    ("missing_field", {"payload": None}),
    ("unknown_dtype", {"dtype": "i2"}),
    ("bad_rate", {"rate_hz": 0.0}),
    ("bad_rate", {"rate_hz": -5.0}),
    ("bad_rate", {"rate_hz": float("nan")}),
    ("bad_rate", {"rate_hz": float("inf")}),
    ("bad_payload", {"payload": b""}),
    ("bad_payload", {"payload": b"\0" * 15}),
    ("infinite_sample", {"payload": np.array([1, -np.inf], "<f4").tobytes()}),
    ("before_history", {"start_us": 5}),
    ("from_the_future", {"start_us": NOW + 2 * DAY}),
    ("bad_shaft", {"shaft_hz": -1.0}),
    ("bad_bearing", {"bearing": "9,5,3,0"}),
]


def good_blocks(count: int = 4) -> pa.Table:
    """Return blocks that nobody could object to."""
    starts = NOW + np.arange(count) * 1_000_000
    samples = np.ones((count, 1, 4), np.float32)
    return blocks_table(asset_id="a", starts_us=starts, samples=samples, rate_hz=4.0, bearing="9,7.94,39.04,0")


def spoilt(table: pa.Table, row: int, change: dict[str, Any]) -> pa.Table:
    """Return the blocks with one of them changed."""
    rows = table.to_pylist()
    rows[row] |= change
    return pa.Table.from_pylist(rows, schema=LOOSE)


@pytest.mark.parametrize(("reason", "change"), FAULTS)
def test_each_fault_is_rejected_under_its_own_reason(reason: str, change: dict[str, Any]) -> None:
    """One spoilt block among good ones is the only one taken out, with its reason."""
    table = good_blocks()

    good, rejects = validate_blocks(spoilt(table, 2, change), SOURCE)

    assert rejects["reason"].to_pylist() == [reason]
    assert good.equals(pa.concat_tables([table.slice(0, 2), table.slice(3)]))
    assert good.schema == BLOCK_SCHEMA


def test_every_reason_has_a_fault_that_shows_it() -> None:
    """No reason is declared that no block can meet."""
    assert {reason for reason, _ in FAULTS} == set(REASONS)


@settings(max_examples=60, deadline=None)
@given(picks=st.lists(st.one_of(st.none(), st.sampled_from(FAULTS)), min_size=1, max_size=12))
def test_nothing_is_lost_at_the_door(picks: list[tuple[str, dict[str, Any]] | None]) -> None:
    """Good and rejected blocks add up, and the verdict of one block does not depend on its neighbours."""
    rows = good_blocks(len(picks)).to_pylist()
    for row, pick in enumerate(picks):
        rows[row] |= pick[1] if pick else {}

    good, rejects = validate_blocks(pa.Table.from_pylist(rows, schema=LOOSE), SOURCE)

    assert rejects["reason"].to_pylist() == [pick[0] for pick in picks if pick]
    assert good.to_pylist() == [row for row, pick in zip(rows, picks, strict=True) if pick is None]


def test_a_block_of_nothing_but_nan_is_good() -> None:
    """Not measured is an answer: coverage counts it."""
    samples = np.full((1, 1, 4), np.nan)

    good, rejects = validate_blocks(blocks_table(asset_id="a", starts_us=[NOW], samples=samples, rate_hz=4.0), SOURCE)

    assert (len(good), len(rejects)) == (1, 0)


def test_a_channel_short_of_samples_is_a_bad_payload() -> None:
    """Five channels need payloads in fives."""
    _, rejects = validate_blocks(good_blocks(1), SOURCES["process_readings"])

    assert rejects["reason"].to_pylist() == ["bad_payload"]


def test_a_table_of_other_columns_is_an_error_not_a_reject() -> None:
    """A caller's mistake is told to the caller."""
    with pytest.raises(InputError, match="lacks"):
        validate_blocks(good_blocks().drop_columns(["rate_hz"]), SOURCE)
