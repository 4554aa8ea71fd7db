"""What changed in a sensor from one block to the next that no machine can do: its scale, its rate, its clock.

The machine changes the signal; only a person or a fault changes the grid on which samples lie, how many there are, or
by how many whole half hours the clock moved. Blocks after such a change are held until somebody says which was right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lineshaft.sources.facts import WAVE_HZ, WAVE_SAMPLES, entities

REASONS: dict[str, str] = {
    "contradicting": "another block of the same start, sequence and receipt says otherwise",
    "rate_changed": "the sampling rate is not what it was",
    "samples_dropped": "a waveform is shorter than those around it",
    "scale_changed": "the grid of the samples is not what it was: another unit, gain or sensitivity",
    "range_changed": "the converter's range is not what it was, as its sender says: another gain",
    "cut_off": "waveform after waveform stands on its ends: it is cut off, by a converter or an amplifier",
    "offset_changed": "the mean of a waveform moved by five of its own spreads",
    "clock_stepped": "the clock moved by whole half hours: a time zone, or summer time",
    "blocks_overlap": "a waveform begins before the one before it has ended",
}
"""Why a block is held, by slug, in order of precedence."""

HALF_HOUR_US = 1_800_000_000
MOST_HALF_HOURS = 28
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRules:
    """From which change on a block is held; shares are of what was before."""

    rate: float = 0.01
    length: float = 0.1
    grain: float = 0.02
    offset: float = 5.0  # spreads of the waveform: FEMTO has a real transient of two
    overlap: float = 0.1  # of a block's length
    cadence: float = 0.2  # how far from even a sensor's cadence may be for its clock to be judged
    least: int = 8  # blocks from which there is a cadence
    together: int = 8  # waveforms whose ends are counted together
    chance: float = 1e-9  # that so many samples lie on the ends of all these
    odd: float = 0.02  # the same of one of them, to begin or end those that are held


def history_reasons(
    facts: pa.Table, channels: tuple[str, ...], rules: HistoryRules | None = None, *, earlier: int = 0
) -> list[str]:
    """Return why each block is held, "" where it is not; rows of `block_facts` in order of arrival.

    The first block of an entity stands for what was before, so put facts of `earlier` blocks in front. Clocks are
    compared within a batch only: between two, a machine may stand still for as long as it likes.
    """
    rules = rules or HistoryRules()
    said = np.full(len(facts), "", dtype=object)
    columns = {name: facts[name].to_numpy(zero_copy_only=False) for name in _needed(channels)}
    for rows in by_entity(facts):
        mine = {name: values[rows] for name, values in columns.items()}
        waves = (mine["rate_hz"] >= WAVE_HZ) & (mine["samples"] >= WAVE_SAMPLES)
        flags = {
            "contradicting": _contradicting(mine, channels),
            "rate_changed": _moved(mine["rate_hz"].astype(np.float64), rules.rate),
            "samples_dropped": waves & _short(mine["samples"].astype(np.float64), rules.length),
            "scale_changed": waves & _any(_moved(mine[f"{name}_grain"], rules.grain) for name in channels),
            "range_changed": _moved(mine["full_scale"], rules.rate),
            "cut_off": waves & _any(_cut_off(mine, name, rules) for name in channels),
            "offset_changed": waves & _any(_offset(mine, name, rules.offset) for name in channels),
            "clock_stepped": waves & _stepped(mine["start_us"], rows >= earlier, rules),
            "blocks_overlap": waves & _overlapping(mine, rules.overlap),
        }
        for reason in REASONS:
            said[rows] = np.where((said[rows] == "") & flags[reason], reason, said[rows])
    return [str(reason) for reason in said]


def by_entity(facts: pa.Table) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the rows of each asset and position, in the order given."""
    number = entities(facts)
    order = np.argsort(number, kind="stable")
    yield from (part for part in np.split(order, np.flatnonzero(np.diff(number[order])) + 1) if len(part))


def _needed(channels: tuple[str, ...]) -> list[str]:
    per_channel = [f"{name}_{fact}" for name in channels for fact in ("grain", "mean", "std", "piled", "piled_due")]
    return ["start_us", "end_us", "known_us", "sequence", "rate_hz", "samples", "full_scale", *per_channel]


def _any(flags: Iterator[Flags]) -> Flags:
    return np.asarray(np.logical_or.reduce(list(flags)))


def _contradicting(mine: dict[str, Any], channels: tuple[str, ...]) -> Flags:
    """Return where the key of a block has been seen, received at the same time, with other samples."""
    keys = np.stack([mine[name] for name in ("start_us", "sequence", "known_us")], axis=1)
    _, group = np.unique(keys, axis=0, return_inverse=True)
    group = group.reshape(-1)
    said = np.stack([mine[f"{name}_{fact}"] for name in channels for fact in ("mean", "std")], axis=1)
    firsts = np.full(group.max(initial=-1) + 1, len(group))
    np.minimum.at(firsts, group, np.arange(len(group)))
    same = (said == said[firsts[group]]) | (np.isnan(said) & np.isnan(said[firsts[group]]))
    return np.asarray(~same.all(axis=1))


def _moved(values: Floats, share: float) -> Flags:
    """Return where a value is another than the first that is known."""
    known = values[np.isfinite(values)]
    if not len(known):
        return np.zeros(len(values), dtype=bool)
    return np.asarray(np.abs(values / known[0] - 1) > share)


def _short(samples: Floats, share: float) -> Flags:
    """Return where a block is shorter than others; one alone at the end may be the rest of a recording."""
    short = samples < (1 - share) * samples.max(initial=0.0)
    short[-1:] &= short[-2:-1].any()
    return np.asarray(short)


def _offset(mine: dict[str, Any], channel: str, spreads: float) -> Flags:
    """Return where the mean is further from where it was than the block is wide."""
    mean, std = mine[f"{channel}_mean"], mine[f"{channel}_std"]
    known = np.flatnonzero(np.isfinite(mean))
    if not len(known):
        return np.zeros(len(mean), dtype=bool)
    before = np.median(mean[known[:8]])
    return np.asarray(np.abs(mean - before) > spreads * np.where(np.isfinite(std), std, np.inf))


def _cut_off(mine: dict[str, Any], channel: str, rules: HistoryRules) -> Flags:
    """Return which waveforms are cut off: they stand on their ends, and so do those around them, beyond chance.

    One wave may meet its largest value three times; eight that do not one after another. Those between two that are cut
    off are so too, though they may have gone no further than the end.
    """
    flags = np.zeros(len(mine["start_us"]), dtype=bool)
    known = np.flatnonzero(np.isfinite(mine[f"{channel}_piled"]))
    if not len(known):
        return flags
    piled, due = mine[f"{channel}_piled"][known], mine[f"{channel}_piled_due"][known]
    odd = chance_of(piled, due) < rules.odd
    last = np.arange(1, len(known) + 1)
    first = np.maximum(last - rules.together, 0)
    many, expected = (np.concatenate([[0.0], np.cumsum(part)]) for part in (piled, due))
    together = chance_of(many[last] - many[first], expected[last] - expected[first]) < rules.chance
    for end in np.flatnonzero(together).tolist():
        inside = first[end] + np.flatnonzero(odd[first[end] : end + 1])
        if len(inside):
            flags[known[inside[0] : inside[-1] + 1]] = True
    return flags


def chance_of(count: Floats, expected: Floats) -> Floats:
    """Return the largest chance that so many or more come where so many are expected (Chernoff, of a Poisson law).

    >>> chance_of(np.array([0.0, 1.0, 12.0]), np.array([0.5, 0.5, 0.5])).round(9).tolist()
    [1.0, 0.824360635, 0.0]
    """
    expected = np.maximum(expected, 1e-3)
    more = np.maximum(count, expected)
    return np.asarray(np.exp(more - expected + more * np.log(expected / more)))


def _stepped(starts: npt.NDArray[np.int64], now: Flags, rules: HistoryRules) -> Flags:
    """Return which blocks lie after a jump by whole half hours that was not taken back, where a cadence is even."""
    flags = np.zeros(len(starts), dtype=bool)
    if now.sum() < rules.least:
        return flags
    steps = np.diff(starts[now])
    cadence = float(np.median(steps))
    if cadence <= 0 or cadence > HALF_HOUR_US / 6 or np.median(np.abs(steps - cadence)) > rules.cadence * cadence:
        return flags
    halves = np.rint((steps - cadence) / HALF_HOUR_US)
    near = np.abs(steps - cadence - halves * HALF_HOUR_US) <= max(rules.cadence * cadence, 1e6)
    jump = np.where(near & (np.abs(halves) <= MOST_HALF_HOURS), halves, 0)
    flags[np.flatnonzero(now)[1:]] = np.cumsum(jump) != 0
    return flags


def _overlapping(mine: dict[str, Any], share: float) -> Flags:
    """Return where a block begins before the one that arrived before it has ended; one with a sequence may."""
    start, end = mine["start_us"], mine["end_us"]
    over = np.zeros(len(start), dtype=bool)
    over[1:] = (start[1:] < end[:-1] - share * (end - start)[:-1]) & (end[1:] > start[:-1])
    return np.asarray(over & (mine["sequence"] == 0) & _fresh(start))


def _fresh(starts: npt.NDArray[np.int64]) -> Flags:
    """Return which blocks are no repeat of one seen, which changes nothing."""
    fresh = np.zeros(len(starts), dtype=bool)
    fresh[np.unique(starts, return_index=True)[1]] = True
    return fresh
