"""What fails at the door is kept aside with a reason; what passes is not touched."""

from __future__ import annotations

import json
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
from lineshaft.sources.rules import FutureRule
from lineshaft.sources.waves import WAVE_REASONS
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
    ("bad_shaft", {"shaft_hz": float("nan")}),
    ("bad_bearing", {"bearing": "9,5,3,0"}),
    ("bad_full_scale", {"full_scale": 0.0}),
    ("bad_full_scale", {"full_scale": -5.0}),
    ("bad_full_scale", {"full_scale": float("inf")}),
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
    """No reason is declared that no block can meet; those of waveforms have tests of their own."""
    assert {reason for reason, _ in FAULTS} == set(REASONS) - set(WAVE_REASONS)


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


LIMITS: list[tuple[str, dict[str, Any], str]] = [
    ("a moment before history", {"start_us": 999, "known_us": 10**9}, "before_history"),
    ("the first moment of it", {"start_us": 1000, "known_us": 10**9}, ""),
    ("as far ahead of its receipt as may be", {"start_us": 5_000_000, "known_us": 5_999_900}, ""),
    ("a microsecond further", {"start_us": 5_000_000, "known_us": 5_999_899}, "from_the_future"),
    ("a machine that stands", {"shaft_hz": 0.0}, ""),
    ("a shaft that turns back", {"shaft_hz": -1e-9}, "bad_shaft"),
    ("the slowest rate", {"rate_hz": 1e-3, "start_us": 10**10, "known_us": 10**12}, ""),
    ("one sample short of a whole number", {"payload": b"\0" * 7}, "bad_payload"),
    ("one sample", {"payload": b"\0" * 4}, ""),
    ("one sample of the other type", {"dtype": "f8", "payload": b"\0" * 8}, ""),
    ("half a sample of the other type", {"dtype": "f8", "payload": b"\0" * 12}, "bad_payload"),
    ("no known full scale", {"full_scale": None}, ""),
    ("a full scale", {"full_scale": 1e-9}, ""),
    ("infinity in float64", {"dtype": "f8", "payload": np.array([np.inf], "<f8").tobytes()}, "infinite_sample"),
    ("NaN beside a number", {"payload": np.array([np.nan, 1], "<f4").tobytes()}, ""),
    ("the largest number there is", {"payload": np.array([3.4e38], "<f4").tobytes()}, ""),
    ("the end of time", {"start_us": 2**63 - 1}, "from_the_future"),
    ("the beginning of time", {"start_us": -(2**63)}, "before_history"),
    ("received at the end of time", {"known_us": 2**63 - 1}, ""),
    ("a block as long as the world", {"rate_hz": 1e-300}, "from_the_future"),
    ("a block longer than numbers", {"rate_hz": 5e-324}, "from_the_future"),
]


@pytest.mark.parametrize(("change", "reason"), [case[1:] for case in LIMITS], ids=[case[0] for case in LIMITS])
def test_a_limit_is_exactly_where_it_is_declared(change: dict[str, Any], reason: str) -> None:
    """Each limit lets pass what lies on it and refuses what lies beside it; no absurd number wraps round to good."""
    plain = {"start_us": 5_000_000, "known_us": 10_000_000, "rate_hz": 4.0, "payload": b"\0" * 16}
    table = spoilt(good_blocks(1), 0, plain | change)

    good, rejects = validate_blocks(table, SOURCE, future=FutureRule(earliest_us=1000, limit_us=100))

    assert rejects["reason"].to_pylist() == ([reason] if reason else [])
    assert len(good) == 1 - len(rejects)


def test_a_block_with_several_faults_is_counted_under_the_first() -> None:
    """The order of `REASONS` decides: each fault hides the ones after it."""
    order, change = [reason for reason in REASONS if reason not in WAVE_REASONS], dict[str, Any]()
    told = []
    for reason in reversed(order):
        change |= next(fault for name, fault in FAULTS if name == reason)
        told.append(validate_blocks(spoilt(good_blocks(), 1, change), SOURCE)[1]["reason"].to_pylist())

    assert told == [[reason] for reason in reversed(order)]


def test_a_reject_tells_the_block_without_its_payload() -> None:
    """Source, reason in words, asset, position and start stand apart; the record says how long the payload was."""
    table = spoilt(good_blocks(2), 1, {"rate_hz": 0.0, "asset_id": "pump", "position": "de"})

    (reject,) = validate_blocks(table, SOURCE)[1].to_pylist()

    assert (reject["source"], reject["asset_id"], reject["position"]) == ("vibration_blocks", "pump", "de")
    assert (reject["start_us"], reject["detail"]) == (NOW + 1_000_000, REASONS["bad_rate"])
    record = json.loads(reject["raw"])
    assert (record["payload_bytes"], record["rate_hz"]) == (16, 0.0)
    assert "payload" not in record


def test_columns_beyond_those_of_a_block_are_left_out_and_types_are_cast() -> None:
    """A table written by other hands passes if its numbers fit: int32 sequences, large binaries, another order."""
    table = good_blocks()
    other = table.append_column("note", pa.array(["x"] * 4)).select(["note", *reversed(BLOCK_SCHEMA.names)])
    other = other.set_column(other.column_names.index("sequence"), "sequence", pa.array([0] * 4, pa.int32()))
    other = other.set_column(other.column_names.index("payload"), "payload", table["payload"].cast(pa.large_binary()))

    good, rejects = validate_blocks(other, SOURCE)

    assert good.equals(table)
    assert rejects.num_rows == 0


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_block_is_judged_alike_in_a_slice_of_a_larger_table(cut: int) -> None:
    """An infinite sample is found where it is, also where the table begins in the middle of its buffers."""
    infinite = next(change for reason, change in FAULTS if reason == "infinite_sample")
    table = pa.concat_tables([good_blocks(3), spoilt(good_blocks(3), 1, infinite).cast(BLOCK_SCHEMA)])

    good, rejects = validate_blocks(table.slice(cut), SOURCE)

    assert rejects["reason"].to_pylist() == ["infinite_sample"]
    assert len(good) == 5 - cut


def test_an_empty_table_passes() -> None:
    """Nothing is good."""
    good, rejects = validate_blocks(good_blocks(0), SOURCE)

    assert (good.num_rows, rejects.num_rows, good.schema) == (0, 0, BLOCK_SCHEMA)
