"""Lives of a machine: how each ends, how far it has worn at any time, and what the maintenance log says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lineshaft.sources.simulator.machines import generator

Floats = npt.NDArray[np.float64]

MODES: dict[str, tuple[str, float]] = {
    "outer_race": ("bearing", 0.30),
    "inner_race": ("bearing", 0.22),
    "ball": ("bearing", 0.10),
    "imbalance": ("rotor", 0.14),
    "misalignment": ("coupling", 0.12),
    "lubrication": ("lubricant", 0.12),
}
"""Failure modes: the part that is replaced, and how often the mode occurs."""

DAY_S = 86_400.0
WEIBULL_SHAPE = 2.5  # wear-out: between 2 and 3.5 for rolling bearings
GROWTH = 4.0  # severity grows by e in a quarter of the worn stretch


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """From one fitting of a part to the next; seconds since the fleet's start (negative: before it)."""

    mode: str
    part: str
    installed_s: float
    onset_s: float  # when wear begins to show
    failure_s: float  # when it fails if nobody replaces it first
    end_s: float  # when it failed or was replaced
    back_s: float  # when the machine runs again
    ended_by: str  # "failure" or "preventive"


def make_lives(*, seed: int, asset: int, duration_s: float, life_days: float, preventive: float) -> tuple[Life, ...]:
    """Return the lives, repair included, that touch the first `duration_s` seconds of one machine.

    Ages at failure are Weibull with mean `life_days` (shape 2.5). A share `preventive` of the parts is replaced
    before failing: labels made from these are censored.
    """
    dice = generator(seed=seed, asset=asset, stream="lives")
    names = list(MODES)
    weights = np.array([MODES[name][1] for name in names])
    scale = life_days * DAY_S / 0.8873  # gamma(1 + 1/2.5)
    lives: list[Life] = []
    installed = -dice.uniform(0.0, 0.8) * life_days * DAY_S
    while installed < duration_s:
        mode = names[int(dice.choice(len(names), p=weights / weights.sum()))]
        failure = installed + max(scale * dice.weibull(WEIBULL_SHAPE), 0.1 * life_days * DAY_S)
        onset = failure - (failure - installed) * dice.uniform(0.15, 0.45)
        replaced = dice.random() < preventive
        end = installed + (failure - installed) * (dice.uniform(0.6, 0.95) if replaced else 1.0)
        repair = dice.uniform(1, 2) if replaced else dice.uniform(3, 9)
        back = end + repair * 3600
        if back > 0:
            lives.append(
                Life(
                    mode=mode,
                    part=MODES[mode][0],
                    installed_s=installed,
                    onset_s=onset,
                    failure_s=failure,
                    end_s=end,
                    back_s=back,
                    ended_by="preventive" if replaced else "failure",
                )
            )
        installed = back
    return tuple(lives)


def severities(lives: Sequence[Life], seconds: Floats) -> dict[str, Floats]:
    """Return how far each mode has gone, 0 (new) to 1 (fails), at each time: exponential growth from onset."""
    worn = {mode: np.zeros(len(seconds)) for mode in MODES}
    for life in lives:
        mine = (seconds >= max(life.onset_s, life.installed_s)) & (seconds < life.end_s)
        if mine.any():
            done = (seconds[mine] - life.onset_s) / (life.failure_s - life.onset_s)
            worn[life.mode][mine] = np.expm1(GROWTH * done) / np.expm1(GROWTH)
    return worn


def repaired(lives: Sequence[Life], seconds: Floats) -> npt.NDArray[np.bool_]:
    """Return when the machine stands still because it is being repaired."""
    down = np.zeros(len(seconds), dtype=bool)
    for life in lives:
        down |= (seconds >= life.end_s) & (seconds < life.back_s)
    return down
