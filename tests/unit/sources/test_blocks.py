"""Block tables hold exactly the samples and times they were built from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineshaft.errors import InputError
from lineshaft.sources.blocks import blocks_table, heartbeat_block, reading_blocks, spans_us
from lineshaft.sources.catalogue import SOURCES
from lineshaft.specs import BLOCK_SCHEMA, block_end_us, tile_end_us

SECOND = 1_000_000


def test_a_block_gives_back_its_samples_channel_by_channel() -> None:
    """Payloads are little endian and channel-major."""
    samples = np.arange(24, dtype=np.float32).reshape(2, 3, 4)

    table = blocks_table(asset_id=["a", "b"], starts_us=[0, 5], samples=samples, rate_hz=4.0)

    assert table.schema == BLOCK_SCHEMA
    for row, payload in enumerate(table["payload"].to_pylist()):
        assert np.array_equal(np.frombuffer(payload, "<f4").reshape(3, 4), samples[row])
    assert table["known_us"].to_pylist() == [SECOND, SECOND + 5]
    assert table["bearing"].null_count == 2


@given(samples=st.integers(1, 10**7), rate_hz=st.floats(1e-4, 1e6))
def test_spans_agree_with_the_vocabulary(samples: int, rate_hz: float) -> None:
    """The vectorised end of a block is the one that specs define."""
    assert int(spans_us(samples, rate_hz)) == block_end_us(0, samples, rate_hz)


@settings(deadline=None)
@given(steps=st.lists(st.sampled_from([1, 1, 1, 1, 2, 61, 3600]), min_size=1, max_size=300), first=st.integers(0, 200))
def test_reading_blocks_lose_nothing_and_cross_no_tile(steps: list[int], first: int) -> None:
    """Whatever the gaps, readings come back in order, each at its time, and every block stays in its tile."""
    ends = (first + np.cumsum(steps)).astype(np.int64) * SECOND
    values = np.stack([np.arange(len(ends)), -np.arange(len(ends))], axis=1).astype(float)

    table = reading_blocks(asset_id="a", ends_us=ends, values=values, period_us=SECOND)

    found_ends, found_values = [], []
    for block in table.to_pylist():
        samples = np.frombuffer(block["payload"], "<f8").reshape(2, -1)
        times = block["start_us"] + SECOND * np.arange(1, samples.shape[1] + 1)
        assert tile_end_us(int(times[0]), 60 * SECOND) == tile_end_us(int(times[-1]), 60 * SECOND)
        assert block["known_us"] == times[-1]
        found_ends.append(times)
        found_values.append(samples.T)
    assert np.array_equal(np.concatenate(found_ends), ends)
    assert np.array_equal(np.concatenate(found_values), values)


def test_a_late_reading_is_not_hidden_in_a_block_of_prompt_ones() -> None:
    """A reading received much later than its neighbours gets a block of its own."""
    ends = np.arange(1, 5) * SECOND
    known = ends + np.array([0, 0, 3600 * SECOND, 0])

    table = reading_blocks(asset_id="a", ends_us=ends, values=np.ones((4, 1)), period_us=SECOND, known_us=known)

    assert table["known_us"].to_pylist() == [2 * SECOND, 3603 * SECOND, 4 * SECOND]


def test_no_readings_make_no_blocks() -> None:
    """An empty log is an empty table."""
    table = reading_blocks(asset_id="a", ends_us=np.zeros(0, np.int64), values=np.zeros((0, 1)), period_us=SECOND)

    assert table.schema == BLOCK_SCHEMA
    assert len(table) == 0


def test_a_heartbeat_says_the_time_and_nothing_else() -> None:
    """A heartbeat is one block of NaN that ends at the time told."""
    source = SOURCES["process_readings"]

    (block,) = heartbeat_block(source=source, end_us=90 * SECOND).to_pylist()

    assert np.isnan(np.frombuffer(block["payload"], "<f8")).all()
    assert block_end_us(block["start_us"], 1, block["rate_hz"]) == block["known_us"] == 90 * SECOND


@pytest.mark.parametrize(("shape", "dtype"), [((4, 5), "f4"), ((1, 1, 1), "i2")])
def test_arrays_that_are_no_blocks_are_refused(shape: tuple[int, ...], dtype: str) -> None:
    """The shape and the sample type are checked before anything is built."""
    with pytest.raises(InputError, match="no blocks"):
        blocks_table(asset_id="a", starts_us=[0], samples=np.zeros(shape), rate_hz=1.0, dtype=dtype)


def test_columns_of_another_length_are_refused() -> None:
    """One value a block means one for each."""
    with pytest.raises(InputError, match="2 values of asset_id for 1 blocks"):
        blocks_table(asset_id=["a", "b"], starts_us=[0], samples=np.zeros((1, 1, 1)), rate_hz=1.0)
