"""Machines of a fleet: each one's constants, drawn from its own seed, and how it is driven."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

BEARING = "9,7.94,39.04,0"  # 6205, mm: CWRU's 0.3126 in and 1.537 in
STREAMS = {"machine": 0, "lives": 1, "vibration": 2, "process": 3, "faults": 4, "maintenance": 5, "delivery": 6}


def generator(*, seed: int, asset: int, stream: str, index: int = 0) -> np.random.Generator:
    """Return the dice of one asset, purpose and hour: independent of fleet size and of the order of asking.

    >>> a, b = (generator(seed=7, asset=3, stream="lives").random() for _ in range(2))
    >>> a == b
    True
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(asset, STREAMS[stream], index)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One machine's constants. Frequencies in Hz, accelerations in g, temperatures in degC, times in s."""

    index: int
    asset_id: str
    rated_hz: float
    variable_speed: bool
    bearing: str
    resonance_hz: float
    damping: float  # of critical
    slip: float  # of the rolling elements, 1-2 %
    noise_g: float
    unbalance_g: float
    misalignment_g: float
    rated_a: float
    rated_bar: float
    ambient_c: float
    rise_c: float  # over ambient at full load
    thermal_s: float
    cycle_s: float  # of the load
    shift_s: float  # between two stops
    duty: float  # fraction of a shift in which it runs
    phase: float  # 0..1, where in its cycles it starts
    stagger: float  # 0..1, where in a sampling period its snapshots lie


def make_machine(*, seed: int, index: int) -> Machine:
    """Return machine `index` of the fleet with this seed.

    >>> make_machine(seed=7, index=0).asset_id
    'machine-0001'
    """
    dice = generator(seed=seed, asset=index, stream="machine")
    return Machine(
        index=index,
        asset_id=f"machine-{index + 1:04d}",
        rated_hz=float(dice.choice([24.3, 29.2, 48.5])),
        variable_speed=bool(dice.random() < 0.4),
        bearing=BEARING,
        resonance_hz=dice.uniform(2600, 3600),
        damping=dice.uniform(0.03, 0.06),
        slip=dice.uniform(0.01, 0.02) * 0.5,
        noise_g=dice.uniform(0.02, 0.05),
        unbalance_g=dice.uniform(0.04, 0.12),
        misalignment_g=dice.uniform(0.01, 0.05),
        rated_a=dice.uniform(8, 30),
        rated_bar=dice.uniform(3, 8),
        ambient_c=dice.uniform(16, 24),
        rise_c=dice.uniform(22, 38),
        thermal_s=dice.uniform(1200, 2400),
        cycle_s=dice.uniform(600, 2400),
        shift_s=dice.choice([4, 8, 12]) * 3600.0,
        duty=dice.uniform(0.85, 0.97),
        phase=dice.random(),
        stagger=dice.random(),
    )


def running(machine: Machine, seconds: Floats) -> npt.NDArray[np.bool_]:
    """Return whether the machine is driven, by the seconds since the fleet's start."""
    return np.asarray((seconds / machine.shift_s + machine.phase) % 1.0 < machine.duty)


def load(machine: Machine, seconds: Floats) -> Floats:
    """Return the load as a fraction of rated: two cycles on a mean, 0.2 to 1."""
    turns = seconds / machine.cycle_s + machine.phase
    wave: Floats = 0.62 + 0.28 * np.sin(2 * np.pi * turns) + 0.08 * np.sin(2 * np.pi * 3.7 * turns)
    return wave.clip(0.2, 1.0)


def shaft_hz(machine: Machine, seconds: Floats) -> Floats:
    """Return the shaft speed while driven: 3 % motor slip at full load, and cycles where it has a drive."""
    speed: Floats = machine.rated_hz * (1 - 0.03 * load(machine, seconds))
    if machine.variable_speed:
        speed = speed * (1 + 0.08 * np.sin(2 * np.pi * (seconds / 3600 + machine.phase)))
    return speed


def ambient(machine: Machine, seconds: Floats) -> Floats:
    """Return the air's temperature: a day's cycle, coldest at 04:00 where the fleet starts at midnight."""
    air: Floats = machine.ambient_c - 4.0 * np.cos(2 * np.pi * (seconds / 86_400 - 4 / 24))
    return air


def constants(machine: Machine) -> dict[str, Any]:
    """Return the machine's constants as a record, for the table of truth."""
    return {name: getattr(machine, name) for name in machine.__slots__}
