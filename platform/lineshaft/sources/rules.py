"""Declared rules for dirty input: values, not code paths, so that a catalogue can show which were in force.

A rule never hides what it did: whoever applies it counts the records it changed or refused, by reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lineshaft.errors import InputError

HOUR_US = 3_600_000_000
YEAR_1990_US = 631_152_000_000_000

Integers = npt.NDArray[np.int64]
Choice = Literal["device", "receipt", "first"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FutureRule:
    """Which times are believed: not before `earliest_us`, not more than `limit_us` after receipt."""

    earliest_us: int = YEAR_1990_US
    limit_us: int = 24 * HOUR_US


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasRule:
    """How names of one thing are made one: exact aliases first, then "sensor1" becomes "sensor-1".

    >>> AliasRule(aliases={"old name": "pump-7"}).normal(" old name ")
    'pump-7'
    >>> AliasRule().normal("Sensor1"), AliasRule().normal("sensor-1"), AliasRule().normal("machine 21")
    ('sensor-1', 'sensor-1', 'machine-21')
    """

    aliases: Mapping[str, str] = field(default_factory=dict)
    pattern: str = r"([a-z]+)[-_ ]*0*(\d+)"

    def normal(self, name: str) -> str:
        """Return the one name that stands for `name`."""
        trimmed = name.strip()
        if trimmed in self.aliases:
            return self.aliases[trimmed]
        match = re.fullmatch(self.pattern, trimmed.lower())
        return f"{match[1]}-{match[2]}" if match else trimmed


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroRule:
    """Channels in which 0 is how the device says "not measured"."""

    channels: frozenset[str]

    def apply(self, name: str, values: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], int]:
        """Return a channel's values with such zeros made NaN, and how many there were.

        >>> ZeroRule(channels=frozenset({"y"})).apply("y", np.array([0.0, 2.0]))
        (array([nan,  2.]), 1)
        """
        if name not in self.channels:
            return values, 0
        zero = values == 0
        return np.where(zero, np.nan, values), int(zero.sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeRule:
    """What a channel can read at all; outside it the sensor spoke nonsense and the value is NaN."""

    low: float
    high: float

    def apply(self, values: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], int]:
        """Return the values with impossible ones made NaN, and how many there were.

        >>> RangeRule(low=-1, high=1).apply(np.array([0.5, 7.0, np.nan]))
        (array([0.5, nan, nan]), 1)
        """
        wrong = (values < self.low) | (values > self.high)
        return np.where(wrong, np.nan, values), int(wrong.sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class TemperatureRule:
    """In which unit a set that states none sent its temperatures; the catalogue's are degC.

    >>> TemperatureRule(sent="degF").apply(np.array([32.0, 212.0, np.nan]))
    array([  0., 100.,  nan])
    """

    sent: Literal["degC", "degF"] = "degC"

    def apply(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the values in degC."""
        return values if self.sent == "degC" else (values - 32.0) * 5.0 / 9.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatRule:
    """What to do when one asset reports the same time twice with different values.

    "first" and "last" keep one reading; "sequence" keeps all and tells them apart by the block's `sequence`.
    """

    keep: Literal["first", "last", "sequence"] = "sequence"

    def apply(self, times_us: Integers) -> tuple[npt.NDArray[np.bool_], Integers]:
        """Return which readings stay, and the sequence number of each, given times in order of arrival.

        >>> kept, sequence = RepeatRule(keep="last").apply(np.array([10, 20, 10]))
        >>> kept.tolist(), sequence.tolist()
        ([False, True, True], [0, 0, 0])
        >>> RepeatRule().apply(np.array([10, 20, 10]))[1].tolist()
        [0, 0, 1]
        """
        order = np.argsort(times_us, kind="stable")
        ordered = times_us[order]
        firsts = np.concatenate([[True], ordered[1:] != ordered[:-1]]) if len(ordered) else np.ones(0, bool)
        groups = np.cumsum(firsts) - 1
        number = np.arange(len(ordered)) - np.flatnonzero(firsts)[groups] if len(ordered) else groups
        sequence = np.zeros(len(times_us), dtype=np.int64)
        if self.keep == "sequence":
            sequence[order] = number
            return np.ones(len(times_us), dtype=bool), sequence
        kept = np.zeros(len(times_us), dtype=bool)
        kept[order] = firsts if self.keep == "first" else np.concatenate([firsts[1:], [True]])[: len(ordered)]
        return kept, sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockRule:
    """How the event time of a report is chosen from the device's clock and the time of receipt.

    For each device the offset (device - receipt) is tracked in order of receipt. The largest offset of the last
    `memory` reports is the clock's own error, since a report can be late but never early; what a report falls
    short of it is its delay, and its event time is receipt - delay. Hence an event time is never after receipt.

    - An offset beyond `tolerance_us`, either way, means a clock that was never set: event time = receipt.
    - An offset that rises by more than `step_us`, or falls by more than `max_delay_us`, is a step of the clock:
      the tracking starts anew there.
    """

    tolerance_us: int = HOUR_US
    step_us: int = 60_000_000
    max_delay_us: int = HOUR_US
    memory: int = 8

    def __post_init__(self) -> None:
        """Refuse a rule that cannot track.

        Raises
        ------
        InputError
            If a limit is not positive.
        """
        if min(self.tolerance_us, self.step_us, self.max_delay_us, self.memory) <= 0:
            raise InputError("every limit of a clock rule is positive", fix="leave out the ones you do not know")

    def apply(self, device_us: Integers, receipt_us: Integers) -> ClockReading:
        """Return the event times of one device's reports, which come in order of receipt.

        >>> second = 1_000_000
        >>> receipt = np.array([900, 1800, 2760]) * second  # the third was held up for 60 s
        >>> reading = ClockRule().apply(np.array([1000, 1900, 2800]) * second, receipt)  # a clock 100 s ahead
        >>> (reading.event_us // second).tolist(), reading.choices
        ([900, 1800, 2700], {'device': 3, 'receipt': 0})
        """
        offsets = (device_us - receipt_us).tolist()
        events, steps, by_receipt = receipt_us.copy(), [], 0
        recent: list[int] = []
        for row, offset in enumerate(offsets):
            if recent and (offset - max(recent) > self.step_us or max(recent) - offset > self.max_delay_us):
                steps.append(row)
                recent = []
            recent = [*recent[1 - self.memory :], offset] if self.memory > 1 else [offset]
            if abs(offset) > self.tolerance_us:
                by_receipt += 1
            else:
                events[row] -= max(recent) - offset
        choices = {"device": len(offsets) - by_receipt, "receipt": by_receipt}
        return ClockReading(event_us=events, offset_us=device_us - receipt_us, steps=tuple(steps), choices=choices)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockReading:
    """Event times chosen for one device, and how they were chosen."""

    event_us: Integers
    offset_us: Integers  # device clock minus receipt
    steps: tuple[int, ...]  # rows at which the device's clock was found set anew
    choices: Mapping[str, Any]  # how many event times came from the device's clock, how many from receipt
