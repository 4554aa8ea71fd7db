"""What a living sensor's waveform cannot look like, block by block: stuck, zeroed, frozen, clipped, torn by gaps.

Only waveforms are judged: a thermometer may say the same for an hour, an accelerometer at 25 kHz may not for a tenth
of a second. A block that is rejected here carries no signal, or one whose shape is the converter's and not the
machine's; features go on without it, and coverage counts it. Milder forms pass: they are the suites' to judge.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lineshaft.sources.facts import WAVE_HZ, WAVE_SAMPLES, payloads
from lineshaft.specs import Source

CLIPPED = 0.05
"""Share of samples at one end of the range from which a wave is cut off; of a sine that just fits it is 2 %."""
GAPS = 0.1
"""Share of NaN from which a wave is torn; a wave of nothing but NaN says "not measured", which is good."""
FROZEN = 64
"""Equal samples in a row, in a wave that moves otherwise: the sender repeated its last value."""
_VALUES = 16  # of fewer different values, as of a quiet machine on a coarse converter, runs and ends say nothing

WAVE_REASONS: dict[str, str] = {
    "zeroed_wave": "every sample of a waveform is 0: the channel is dead or not connected",
    "stuck_wave": "every sample of a waveform is the same: no sensor in use is that still",
    "gaps_in_wave": f"more than {GAPS:.0%} of a waveform's samples are NaN, and not all",
    "clipped_wave": f"{CLIPPED:.0%} or more of a waveform's samples stand at one end: it was cut off",
    "frozen_wave": f"{FROZEN} or more samples in a row are equal in a waveform that moves otherwise",
}
"""Why a waveform is rejected, by slug, in order of precedence."""

Flags = npt.NDArray[np.bool_]


def wave_faults(blocks: pa.Table, source: Source, *, rates: npt.NDArray[np.float64]) -> list[Flags]:
    """Return one flag a block for each of `WAVE_REASONS`, in its order; what is no waveform has none."""
    flags = [np.zeros(len(blocks), dtype=bool) for _ in WAVE_REASONS]
    if not len(blocks) or not (rates >= WAVE_HZ).any():
        return flags
    for rows, samples in payloads(blocks, source):
        if samples.shape[2] < WAVE_SAMPLES:
            continue
        fast = rates[rows] >= WAVE_HZ
        for flag, found in zip(flags, _faults(samples), strict=True):
            flag[rows] = (found & fast[:, None]).any(axis=1)
    return flags


def _faults(samples: npt.NDArray[np.floating[Any]]) -> list[Flags]:
    """Return one flag a block and channel for each reason."""
    low, high = samples.min(axis=2), samples.max(axis=2)  # NaN where there is a NaN
    stuck = low == high
    torn = np.zeros(low.shape, dtype=bool)
    gaps = np.isnan(low)
    if gaps.any():
        share = np.isnan(samples[gaps]).mean(axis=1)
        torn[gaps] = (share > GAPS) & (share < 1)
    top = np.maximum((samples == low[..., None]).mean(axis=2), (samples == high[..., None]).mean(axis=2))
    clipped = (top >= CLIPPED) & ~stuck
    still = (samples[..., 1:] == samples[..., :-1]).sum(axis=2)
    frozen = (still >= FROZEN - 1) & ~stuck
    for block, channel in zip(*np.nonzero(clipped | frozen), strict=True):
        wave = samples[block, channel]
        many = len(np.unique(wave)) >= _VALUES
        clipped[block, channel] &= many
        frozen[block, channel] &= many and longest_run(wave) >= FROZEN
    return [stuck & (low == 0), stuck & (low != 0), torn, clipped, frozen]


def longest_run(wave: npt.NDArray[np.floating[Any]]) -> int:
    """Return how many equal samples stand in a row at most.

    >>> longest_run(np.array([1.0, 2.0, 2.0, 2.0, 1.0]))
    3
    """
    changes = np.flatnonzero(np.diff(wave) != 0)
    return int(np.diff(np.concatenate([[-1], changes, [len(wave) - 1]])).max())
