"""Rules of a sensor's past: each sees the change it is named for, whole, and leaves a machine's own changes alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from lineshaft.sources.blocks import blocks_table
from lineshaft.sources.facts import block_facts
from lineshaft.sources.history import HistoryRules, history_reasons
from lineshaft.specs import BLOCK_SCHEMA, Source

SOURCE = Source(name="s", channels=("x",), units=("g",))
RATE = 2560.0
COUNT, HALF = 24, 12
START = 1_700_000_040_000_000
MINUTE = 60_000_000
Waves = npt.NDArray[np.float64]


def noise(seed: int = 1, *, count: int = COUNT, samples: int = 2560) -> Waves:
    """Return waves of a machine, in thousandths, with heavier tails as it wears."""
    dice = np.random.default_rng(seed)
    waves = 0.3 * dice.standard_t(df=8, size=(count, 1, samples))
    return np.asarray(np.rint(waves * 1000) / 1000)


def table(waves: Waves, **fields: Any) -> pa.Table:
    """Return blocks, one a minute."""
    starts = START + np.arange(len(waves)) * MINUTE
    return blocks_table(asset_id="a", starts_us=starts, samples=waves, rate_hz=RATE, dtype="f8", **fields)


def reasons(blocks: pa.Table) -> list[str]:
    """Return what is said of each block."""
    return history_reasons(block_facts(blocks, SOURCE), SOURCE.channels)


def later(blocks: pa.Table, **fields: Any) -> pa.Table:
    """Return blocks with fields of the second half changed."""
    rows = blocks.to_pylist()
    changed = [{**row, **{name: make(row) for name, make in fields.items()}} for row in rows[HALF:]]
    return pa.Table.from_pylist(rows[:HALF] + changed, schema=BLOCK_SCHEMA)


SPOILT: dict[str, pa.Table] = {
    "rate_changed": later(table(noise()), rate_hz=lambda _: RATE / 2),
    "samples_dropped": later(table(noise()), payload=lambda row: row["payload"][: 8 * 2048]),
    "scale_changed": table(np.concatenate([noise()[:HALF], noise()[HALF:] * 9.80665])),
    "range_changed": later(table(noise(), full_scale=50.0), full_scale=lambda _: 25.0),
    "cut_off": table(np.concatenate([noise()[:HALF], np.clip(noise()[HALF:], -0.75, 0.75)])),
    "offset_changed": table(np.concatenate([noise()[:HALF], noise()[HALF:] + 3.0])),
    "clock_stepped": later(
        table(noise()),
        start_us=lambda row: row["start_us"] + 60 * MINUTE,
        known_us=lambda row: row["known_us"] + 60 * MINUTE,
    ),
}


@pytest.mark.parametrize("reason", SPOILT)
def test_a_change_that_no_machine_can_make_is_held_from_where_it_was_made(reason: str) -> None:
    """The first half stands for what was before; of the second every block is held, for the reason that fits."""
    assert reasons(SPOILT[reason]) == [""] * HALF + [reason] * HALF


def test_a_machines_own_changes_are_not_held() -> None:
    """It gets louder and quieter, impulsive and one-sided, and its transducer is told of or is not."""
    waves = noise()
    waves[4:8] *= 4.7183
    waves[8:16, :, ::100] += 4
    waves[16:] = np.abs(waves[16:]) - 0.25
    waves = np.rint(waves * 1000) / 1000

    assert reasons(table(waves)) == [""] * COUNT
    assert reasons(later(table(noise()), full_scale=lambda _: 50.0)) == [""] * COUNT


@pytest.mark.parametrize("level", [0.02, 0.3, 3.0])
def test_waves_that_stand_on_their_ends_by_nature_are_not_cut_off(level: float) -> None:
    """A sine, a sine in noise, noise on a coarse grid, and one that repeats itself to the bit."""
    times = np.arange(2560) / RATE
    sine = np.broadcast_to(np.sin(2 * np.pi * 50 * times), (COUNT, 1, 2560))
    dice = np.random.default_rng(2)
    kinds = {
        "sine": level * sine,
        "sine in noise": level * (sine + 0.05 * dice.normal(size=(COUNT, 1, 2560))),
        "two tones": level * (sine + np.sin(2 * np.pi * 333 * times)),
        "noise": level * dice.normal(size=(COUNT, 1, 2560)),
    }
    for name, waves in kinds.items():
        assert reasons(table(np.rint(waves * 100) / 100)) == [""] * COUNT, name


def test_a_wave_cut_off_is_seen_when_blocks_come_one_by_one() -> None:
    """With the facts of the eight before it in front: from the second on at the latest."""
    facts = block_facts(SPOILT["cut_off"], SOURCE)
    together = HistoryRules().together
    said = [
        history_reasons(facts.slice(max(0, n - together), min(n, together) + 1), SOURCE.channels)[-1]
        for n in range(COUNT)
    ]

    assert said[:HALF] == [""] * HALF
    assert said[HALF + 1 :] == ["cut_off"] * (HALF - 1)


def test_a_block_that_contradicts_one_received_before_is_held_and_a_repeat_is_not() -> None:
    """The same start, sequence and receipt with other samples; the same with the same."""
    blocks = table(noise(count=2))
    other = later(table(noise(seed=2, count=2)))

    assert reasons(pa.concat_tables([blocks, blocks])) == [""] * 4
    assert reasons(pa.concat_tables([blocks, other])) == ["", "", "contradicting", "contradicting"]


def test_blocks_that_overlap_are_held_unless_they_are_counted() -> None:
    """Half a second into the one before; with sequence numbers both are wanted."""
    starts = START + np.arange(4) * 500_000
    waves = noise(count=4)
    counted = blocks_table(
        asset_id="a", starts_us=starts, samples=waves, rate_hz=RATE, dtype="f8", sequence=np.arange(1, 5)
    )

    assert (
        reasons(blocks_table(asset_id="a", starts_us=starts, samples=waves, rate_hz=RATE, dtype="f8"))[1:]
        == ["blocks_overlap"] * 3
    )
    assert reasons(counted) == [""] * 4
