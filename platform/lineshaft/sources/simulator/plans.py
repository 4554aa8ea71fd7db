"""What a simulated fleet samples, how often."""

from __future__ import annotations

from dataclasses import dataclass

from lineshaft.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class VibrationPlan:
    """Snapshots of acceleration: `samples` at `rate_hz`, one every `every_s` seconds from each position."""

    rate_hz: float = 25_600.0
    samples: int = 4096
    every_s: int = 60
    positions: tuple[str, ...] = ("drive_end",)
    full_scale: float = 50.0  # g

    def __post_init__(self) -> None:
        """Refuse snapshots that overlap, or that do not fit an hour evenly.

        Raises
        ------
        InputError
            If a snapshot lasts longer than its period, or 3600 is not a multiple of it.
        """
        if self.every_s <= 0 or 3600 % self.every_s or self.samples / self.rate_hz > self.every_s:
            what = f"{self.samples} samples at {self.rate_hz} Hz every {self.every_s} s is no plan"
            raise InputError(what, fix="take a period that divides an hour and is longer than a snapshot")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessPlan:
    """Slow readings at `rate_hz` in blocks of `block_s` seconds, none across the end of a minute."""

    rate_hz: float = 1.0
    block_s: int = 60

    def __post_init__(self) -> None:
        """Refuse blocks that cross minutes or hold a broken number of samples.

        Raises
        ------
        InputError
            If 60 is not a multiple of `block_s`, or a block does not hold a whole number of samples.
        """
        if self.block_s <= 0 or 60 % self.block_s or not (self.rate_hz * self.block_s).is_integer():
            what = f"blocks of {self.block_s} s at {self.rate_hz} Hz cross a minute or a sample"
            raise InputError(what, fix="take a divisor of 60 that holds a whole number of samples")
