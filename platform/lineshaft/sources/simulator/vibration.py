"""Snapshots of acceleration: harmonics, impacts that ring a resonance, noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy import signal

from lineshaft.sources.simulator.lives import Life, repaired, severities
from lineshaft.sources.simulator.machines import Machine, load, running, shaft_hz
from lineshaft.sources.simulator.plans import VibrationPlan
from lineshaft.specs.bearings import Bearing

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

IMPACT_G = 6.0  # peak of an impact on a part about to fail, at rated speed and load
JITTER = 0.005  # of the time between two impacts: the elements' random slip
IMPACTS = ("outer_race", "inner_race", "ball")


def snapshots(
    machine: Machine, lives: Sequence[Life], seconds: Floats, plan: VibrationPlan, dice: np.random.Generator
) -> tuple[Singles, Floats]:
    """Return snapshots that start at `seconds`, as (snapshots, samples) in g, and the shaft's speed in each, in Hz.

    Speed is held within a snapshot. A standing machine (0 Hz) gives a fifth of its noise and no line.
    """
    driven = running(machine, seconds) & ~repaired(lives, seconds)
    speed = np.where(driven, shaft_hz(machine, seconds), 0.0)
    worn = severities(lives, seconds)
    level = machine.noise_g * (1 + 2.5 * worn["lubrication"]) * np.where(driven, 1.0, 0.2)
    acceleration = dice.standard_normal((len(seconds), plan.samples), dtype=np.float32)
    acceleration *= level.astype(np.float32)[:, None]
    phase = dice.random(len(seconds))
    _add_harmonics(acceleration, machine, worn, speed, phase, plan.rate_hz)
    _add_impacts(acceleration, machine, worn, speed, load(machine, seconds), plan.rate_hz, dice)
    return acceleration.clip(-plan.full_scale, plan.full_scale), speed


def _add_harmonics(
    acceleration: Singles, machine: Machine, worn: Mapping[str, Floats], speed: Floats, phase: Floats, rate_hz: float
) -> None:
    """Add lines at 1, 2 and 3 times the shaft's speed; unbalance grows with the speed squared.

    The higher ones follow from the first by sin 2x = 2 sin x cos x and sin 3x = sin x (3 - 4 sin^2 x).
    """
    ratio = (speed / machine.rated_hz) ** 2
    first = ratio * machine.unbalance_g * (1 + 12 * worn["imbalance"])
    second = ratio * machine.misalignment_g * (1 + 20 * worn["misalignment"])
    third = 0.3 * second
    turns = speed[:, None] * (np.arange(acceleration.shape[1]) / rate_hz) + phase[:, None]
    angle = (2 * np.pi * (turns - np.floor(turns))).astype(np.float32)
    sine, cosine = np.sin(angle), np.cos(angle)
    one, two, three = (amplitude.astype(np.float32)[:, None] for amplitude in (first, second, third))
    acceleration += sine * (one + 2 * two * cosine + three * (3 - 4 * sine * sine))


def _add_impacts(
    acceleration: Singles,
    machine: Machine,
    worn: Mapping[str, Floats],
    speed: Floats,
    loads: Floats,
    rate_hz: float,
    dice: np.random.Generator,
) -> None:
    """Add the ringing of every worn rolling part.

    Dice are thrown whether or not a part is worn, so that one mode's wear never changes another's noise.
    """
    bearing = Bearing.parse(machine.bearing)
    orders = {"outer_race": bearing.bpfo, "inner_race": bearing.bpfi, "ball": 2 * bearing.bsf}
    gates = {"outer_race": 0.0, "inner_race": 1.0, "ball": bearing.ftf}  # how often the part passes the load zone
    for mode in IMPACTS:
        seeds = dice.integers(2**63)
        mine = np.flatnonzero((worn[mode] > 0) & (speed > 0))
        if len(mine) == 0:
            continue
        strength = IMPACT_G * worn[mode][mine] * loads[mine] * speed[mine] / machine.rated_hz
        own = np.random.default_rng([int(seeds), len(acceleration)])
        rate = orders[mode] * (1 - machine.slip) * speed[mine]
        train = _impact_train(rate, gates[mode] * speed[mine], strength, acceleration.shape[1], rate_hz, own)
        acceleration[mine] += _ring(train, machine, rate_hz)


def _impact_train(
    rate: Floats, gate_hz: Floats, strength: Floats, samples: int, rate_hz: float, dice: np.random.Generator
) -> Floats:
    """Return impulses as (snapshots, samples), `rate` a second, each split over the two samples next to it.

    `gate_hz` is how often the defect passes the load zone: its strength follows 0.65 + 0.35 cos; 0 Hz: always in it.
    """
    most = int(np.ceil(samples / rate_hz * rate.max())) + 3
    steps = 1 + JITTER * dice.standard_normal((len(rate), most))
    times = (np.cumsum(steps, axis=1) - 1 - dice.random((len(rate), 1))) / rate[:, None]
    zone = 0.65 + 0.35 * np.cos(2 * np.pi * (gate_hz[:, None] * times + dice.random((len(rate), 1))))
    weight = (
        strength[:, None] * (1 + 0.15 * dice.standard_normal(times.shape)) * np.where(gate_hz[:, None] > 0, zone, 1)
    )
    place = times * rate_hz
    left = np.floor(place).astype(np.int64)
    inside = (left >= 0) & (left < samples - 1)
    at = (np.arange(len(rate))[:, None] * samples + left)[inside]
    share = (place - left)[inside]
    size = len(rate) * samples
    train: Floats = np.bincount(at, weights=weight[inside] * (1 - share), minlength=size).astype(np.float64)
    train += np.bincount(at + 1, weights=weight[inside] * share, minlength=size)
    return train.reshape(len(rate), samples)


def _ring(train: Floats, machine: Machine, rate_hz: float) -> Singles:
    """Return the response of a resonance of one degree of freedom: exp(-z w t) sin(w sqrt(1 - z^2) t), peak near 1."""
    omega = 2 * np.pi * machine.resonance_hz / rate_hz
    radius = np.exp(-machine.damping * omega)
    turn = omega * np.sqrt(1 - machine.damping**2)
    feedback = [1.0, -2 * radius * np.cos(turn), radius**2]
    rung: Singles = signal.lfilter([0.0, np.sin(turn)], feedback, train, axis=1).astype(np.float32)
    return rung
