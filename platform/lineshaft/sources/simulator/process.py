"""Slow readings of a machine: temperature, current, pressure, speed, ambient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import signal

from lineshaft.sources.simulator.lives import Life, repaired, severities
from lineshaft.sources.simulator.machines import Machine, ambient, load, running, shaft_hz

Floats = npt.NDArray[np.float64]

STEP_S = 60.0
WARM_UP_S = 6 * 3600.0
HEAT_C = {"lubrication": 30.0, "outer_race": 14.0, "inner_race": 14.0, "ball": 12.0, "misalignment": 8.0}
NOISE = np.array([0.15, 0.08, 0.03, 0.02, 0.1])  # standard deviation: degC, A, bar, Hz, degC


def thermal_state(machine: Machine, lives: Sequence[Life], duration_s: float) -> tuple[Floats, Floats]:
    """Return the body's temperature over ambient on a grid of minutes, as (seconds, degC).

    First order: T' = (target - T) / tau, target = rise x load^2 while driven, plus the heat of worn parts.
    """
    seconds = np.arange(-WARM_UP_S, duration_s + 2 * STEP_S, STEP_S)
    driven = running(machine, seconds) & ~repaired(lives, seconds)
    worn = severities(lives, seconds)
    target = machine.rise_c * load(machine, seconds) ** 2
    for mode, heat in HEAT_C.items():
        target = target + heat * worn[mode]
    keep = np.exp(-STEP_S / machine.thermal_s)
    first = np.array([keep * 0.4 * machine.rise_c])
    state, _ = signal.lfilter([1 - keep], [1.0, -keep], target * driven, zi=first)
    return seconds, state


def readings(
    machine: Machine, lives: Sequence[Life], seconds: Floats, thermal: tuple[Floats, Floats], dice: np.random.Generator
) -> Floats:
    """Return (readings, 5) in the channel order of `process_readings`; a standing machine draws and turns nothing."""
    driven = running(machine, seconds) & ~repaired(lives, seconds)
    loads = load(machine, seconds)
    worn = np.max(list(severities(lives, seconds).values()), axis=0)
    air = ambient(machine, seconds)
    values = np.stack(
        [
            air + np.interp(seconds, *thermal),
            driven * machine.rated_a * (0.35 + 0.65 * loads) * (1 + 0.06 * worn),
            driven * machine.rated_bar * (0.7 + 0.3 * loads) * (1 - 0.05 * worn),
            driven * shaft_hz(machine, seconds),
            air,
        ],
        axis=1,
    )
    noisy: Floats = values + NOISE * dice.standard_normal(values.shape)
    noisy[:, 1:4] *= driven[:, None]
    return noisy
