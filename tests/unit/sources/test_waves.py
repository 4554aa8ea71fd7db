"""Waveforms that no living sensor sends are rejected, each for its own reason; everything else is let be."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from lineshaft.sources.blocks import blocks_table
from lineshaft.sources.catalogue import SOURCES
from lineshaft.sources.checks import validate_blocks
from lineshaft.sources.waves import CLIPPED, FROZEN, WAVE_REASONS
from lineshaft.specs import Source

SOURCE = SOURCES["vibration_blocks"]
SAMPLES = 1024
Wave = npt.NDArray[np.float64]


def noise() -> Wave:
    """Return what a quiet accelerometer says, in steps of a converter."""
    return np.rint(np.random.default_rng(5).normal(scale=100.0, size=SAMPLES)) / 1000


def with_gaps(share: float) -> Wave:
    """Return noise of which a share is missing."""
    return np.where(np.arange(SAMPLES) < share * SAMPLES, np.nan, noise())


def held(count: int) -> Wave:
    """Return noise in which so many samples in a row are equal."""
    wave = noise()
    wave[100 : 100 + count] = 0.123
    wave[100 + count] = 0.124
    wave[99] = 0.122
    return wave


def cut(share: float) -> Wave:
    """Return noise of which a share stands at the upper end."""
    wave = noise()
    edge = np.sort(wave)[-max(1, round(share * SAMPLES))]
    return np.asarray(np.minimum(wave, edge))


def reasons(*waves: Wave, rate_hz: float = 25_600.0, dtype: str = "f4", source: Source = SOURCE) -> list[str]:
    """Return why blocks of these waves are rejected, one block a second between good ones; "" for those that pass."""
    samples = np.stack(waves).reshape(len(waves), len(source.channels), -1)
    starts = np.arange(len(waves)) * 1_000_000 + 1_700_000_000_000_000
    blocks = blocks_table(asset_id="a", starts_us=starts, samples=samples, rate_hz=rate_hz, dtype=dtype)
    _, rejects = validate_blocks(blocks, source)
    said = dict(zip(rejects["start_us"].to_pylist(), rejects["reason"].to_pylist(), strict=True))
    return [said.get(int(start), "") for start in starts]


FAULTS: list[tuple[str, Wave]] = [
    ("zeroed_wave", np.zeros(SAMPLES)),
    ("stuck_wave", np.full(SAMPLES, -0.25)),
    ("gaps_in_wave", with_gaps(0.2)),
    ("gaps_in_wave", with_gaps(0.99)),
    ("clipped_wave", cut(0.08)),
    ("clipped_wave", -cut(0.3)),
    ("frozen_wave", held(FROZEN + 1)),
]


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(("reason", "wave"), FAULTS)
def test_each_fault_is_rejected_under_its_own_reason(reason: str, wave: Wave, dtype: str) -> None:
    """Between good waves only the spoilt one goes, in either type of sample."""
    assert reasons(noise(), wave, noise(), dtype=dtype) == ["", reason, ""]


def test_every_reason_has_a_fault_that_shows_it() -> None:
    """No reason is declared that no wave can meet."""
    assert {reason for reason, _ in FAULTS} == set(WAVE_REASONS)


@pytest.mark.parametrize(
    "wave",
    [
        with_gaps(0.09),
        with_gaps(1.0),
        cut(CLIPPED / 2),
        held(FROZEN - 1),
        np.sin(np.arange(SAMPLES) / 7),
        np.rint(np.sin(np.arange(SAMPLES) / 300) * 3),
        np.where(np.arange(SAMPLES) % 128 == 0, 1.0, 0.0),
    ],
    ids=[
        "a tenth missing",
        "not measured",
        "a few at the end",
        "a short hold",
        "a sine",
        "a coarse converter",
        "ticks",
    ],
)
def test_what_a_sensor_may_say_is_let_be(wave: Wave) -> None:
    """Up to each limit, and of few values nothing is concluded."""
    assert reasons(wave) == [""]


@pytest.mark.parametrize(("rate_hz", "samples"), [(999.0, SAMPLES), (25_600.0, 255)])
def test_what_is_no_waveform_is_not_judged(rate_hz: float, samples: int) -> None:
    """A slow channel may say the same for as long as it likes, and of a short block there is too little to tell."""
    assert reasons(np.zeros(samples), rate_hz=rate_hz) == [""]
    assert reasons(np.zeros(256), rate_hz=1000.0) == ["zeroed_wave"]


def test_one_dead_axis_of_three_is_told() -> None:
    """A block is taken as a whole: whoever wants the other axes sends each as a block of its own."""
    three = Source(name="s", channels=("x", "y", "z"), units=("g", "g", "g"))
    live, dead = np.concatenate([noise()] * 3), np.concatenate([noise(), np.zeros(SAMPLES), noise()])

    assert reasons(live, dead, source=three) == ["", "zeroed_wave"]


def test_blocks_of_several_lengths_and_faults_are_judged_each_by_itself() -> None:
    """Lengths are grouped to be judged together, and the reasons go back to where the blocks stand."""
    parts: list[Any] = [noise(), np.zeros(SAMPLES), noise()[:300], np.zeros(300), noise()[:8]]
    tables = [
        blocks_table(asset_id="a", starts_us=[number * 10**6 + 10**15], samples=part[None, None], rate_hz=25_600.0)
        for number, part in enumerate(parts)
    ]
    arrival = [3, 0, 4, 1, 2]
    whole = pa.concat_tables([tables[number] for number in arrival])

    good, rejects = validate_blocks(whole, SOURCE)

    assert [start // 10**6 % 10 for start in good["start_us"].to_pylist()] == [0, 4, 2]
    assert [start // 10**6 % 10 for start in rejects["start_us"].to_pylist()] == [3, 1]
