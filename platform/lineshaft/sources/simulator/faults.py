"""Faults of sensors and of their delivery, laid over what a machine really did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lineshaft.sources.simulator.machines import generator

KINDS = ("stuck", "dropout", "clipping", "spike", "clock_jump", "duplicate", "late")
YEARS_US = 4 * 365 * 86_400_000_000  # how far back a clock jumps that lost its battery
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorFault:
    """One fault of one asset's sensor; seconds since the fleet's start."""

    asset_id: str
    source: str
    kind: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Blocks of one asset and position on their way: one row a block."""

    seconds: npt.NDArray[np.float64]  # true start, since the fleet's start
    starts_us: Integers  # start as the sensor's clock has it
    known_us: Integers
    samples: npt.NDArray[Any]  # (blocks, channels, n)
    shaft_hz: npt.NDArray[np.float64]
    full_scale: npt.NDArray[np.float64]

    def take(self, rows: npt.NDArray[Any]) -> Batch:
        """Return the blocks chosen by index or flag."""
        return Batch(**{name: getattr(self, name)[rows] for name in Batch.__slots__})


def make_faults(
    *, seed: int, asset: int, asset_id: str, sources: Sequence[str], duration_s: float, per_day: float
) -> tuple[SensorFault, ...]:
    """Return the faults of one asset, in order of time: `per_day` on average, a quarter hour to two hours long."""
    dice = generator(seed=seed, asset=asset, stream="faults")
    faults = []
    clock = 0.0
    while per_day > 0:
        clock += dice.exponential(86_400 / per_day)
        kind, source = KINDS[int(dice.integers(len(KINDS)))], sources[int(dice.integers(len(sources)))]
        lasting = dice.uniform(900, 7200)
        if clock >= duration_s:
            break
        faults.append(SensorFault(asset_id=asset_id, source=source, kind=kind, start_s=clock, end_s=clock + lasting))
    return tuple(faults)


def apply_faults(batch: Batch, faults: Sequence[SensorFault], dice: np.random.Generator) -> Batch:
    """Return the blocks as they arrive, every fault laid over those it meets, in order of time."""
    for fault in faults:
        met = (batch.seconds >= fault.start_s) & (batch.seconds < fault.end_s)
        if met.any():
            batch = _EFFECTS[fault.kind](batch, met, dice)
    return batch


def _stuck(batch: Batch, met: npt.NDArray[np.bool_], _dice: np.random.Generator) -> Batch:
    """Hold the first value of each channel."""
    samples = batch.samples.copy()
    samples[met] = samples[np.flatnonzero(met)[0], :, :1]
    return replace(batch, samples=samples)


def _dropout(batch: Batch, met: npt.NDArray[np.bool_], _dice: np.random.Generator) -> Batch:
    """Lose the blocks."""
    return batch.take(~met)


def _clipping(batch: Batch, met: npt.NDArray[np.bool_], _dice: np.random.Generator) -> Batch:
    """Set the range far too low: at the 90th percentile of what is there."""
    samples, full_scale = batch.samples.copy(), batch.full_scale.copy()
    level = float(np.quantile(np.abs(samples[met]), 0.9))
    samples[met] = samples[met].clip(-level, level)
    full_scale[met] = level
    return replace(batch, samples=samples, full_scale=full_scale)


def _spike(batch: Batch, met: npt.NDArray[np.bool_], dice: np.random.Generator) -> Batch:
    """Put one absurd sample into each block."""
    samples = batch.samples.copy()
    rows = np.flatnonzero(met)
    at = dice.integers(samples.shape[2], size=len(rows))
    peak = 8 * np.abs(samples[rows]).max(axis=(1, 2)) + 1
    samples[rows, 0, at] = np.minimum(peak, batch.full_scale[rows])
    return replace(batch, samples=samples)


def _clock_jump(batch: Batch, met: npt.NDArray[np.bool_], _dice: np.random.Generator) -> Batch:
    """Put the sensor's clock four years back."""
    return replace(batch, starts_us=np.where(met, batch.starts_us - YEARS_US, batch.starts_us))


def _duplicate(batch: Batch, met: npt.NDArray[np.bool_], dice: np.random.Generator) -> Batch:
    """Send the blocks again, half a minute later on average."""
    again = batch.take(met)
    again = replace(again, known_us=again.known_us + dice.integers(5_000_000, 60_000_000, size=int(met.sum())))
    both = {name: np.concatenate([getattr(batch, name), getattr(again, name)]) for name in Batch.__slots__}
    return Batch(**both)


def _late(batch: Batch, met: npt.NDArray[np.bool_], _dice: np.random.Generator) -> Batch:
    """Hold the blocks back while the network is down, then send them all, 50 ms apart."""
    known = batch.known_us.copy()
    rows = np.flatnonzero(met)
    known[rows] = known[rows].max() + 1_000_000 + 50_000 * np.arange(len(rows))
    return replace(batch, known_us=known)


_EFFECTS: dict[str, Callable[[Batch, npt.NDArray[np.bool_], np.random.Generator], Batch]] = {
    "stuck": _stuck,
    "dropout": _dropout,
    "clipping": _clipping,
    "spike": _spike,
    "clock_jump": _clock_jump,
    "duplicate": _duplicate,
    "late": _late,
}
