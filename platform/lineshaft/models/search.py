"""Where `lineshaft train --tune` looks for parameters: ranges and choices, declared or the usual."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lineshaft.errors import InputError
from lineshaft.models.parameters import Bounds, Value, check_params

ROUNDS = "rounds"
"""How many rounds of trees: searched like a parameter, though it is written beside them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Numbers from `low` to `high`: whole ones where both are; with `log`, small ones are looked at as closely."""

    low: float | int
    high: float | int
    log: bool = False

    @property
    def whole(self) -> bool:
        """Return whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def ends(self) -> tuple[Value, ...]:
        """Return what must be allowed for all of it to be."""
        return self.low, self.high

    def holds(self, value: object) -> bool:
        """Return whether a value lies within.

        >>> Range(low=2, high=8).holds(4.5), Range(low=0.5, high=1.0).holds(1)
        (False, True)
        """
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        return self.low <= value <= self.high

    def to_plain(self) -> list[Any]:
        """Return it as a model's file has it."""
        return [self.low, self.high, *(["log"] if self.log else [])]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of some values."""

    among: tuple[Value, ...]

    @property
    def ends(self) -> tuple[Value, ...]:
        """Return what must be allowed for all of it to be."""
        return self.among

    def holds(self, value: object) -> bool:
        """Return whether it is one of them."""
        return value in self.among

    def to_plain(self) -> dict[str, Any]:
        """Return it as a model's file has it."""
        return {"one_of": list(self.among)}


Space = Mapping[str, Range | Choice]

USUAL: Space = {
    ROUNDS: Range(low=50, high=600, log=True),
    "max_depth": Range(low=2, high=8),
    "eta": Range(low=0.02, high=0.3, log=True),
    "min_child_weight": Range(low=1.0, high=50.0, log=True),
    "subsample": Range(low=0.5, high=1.0),
    "colsample_bytree": Range(low=0.3, high=1.0),
    "lambda": Range(low=0.1, high=30.0, log=True),
}
"""What is searched where a model's file does not say."""

_USUAL_LIVES: Space = {"aft_loss_distribution_scale": Range(low=0.2, high=2.0, log=True)}


def usual(task: str) -> Space:
    """Return the space that is searched for a task where its file names none."""
    return {**USUAL, **_USUAL_LIVES} if task == "survival" else USUAL


def read_space(content: Mapping[str, Any]) -> Space:
    """Read a space as a model's file has it: `eta: [0.02, 0.3, log]`, `max_bin: {one_of: [64, 256]}`.

    >>> read_space({"max_depth": [2, 8]})["max_depth"]
    Range(low=2, high=8, log=False)

    Raises
    ------
    InputError
        If one is neither a range nor a choice.
    """
    return {name: _read(name, told) for name, told in content.items()}


def _read(name: str, told: object) -> Range | Choice:
    if isinstance(told, Mapping) and list(told) == ["one_of"] and _plain(told["one_of"]):
        return Choice(among=tuple(told["one_of"]))
    if isinstance(told, list) and len(told) in (2, 3) and all(_number(one) for one in told[:2]):
        low, high = told[:2]
        log = told[2:] == ["log"]
        if low < high and (log or len(told) == 2) and (low > 0 or not log):
            return Range(low=low, high=high, log=log)
    fix = f"write {name}: [low, high], [low, high, log] with low above 0, or {{one_of: [64, 256]}}"
    raise InputError(f"tune: {name} is {told!r}, neither a range nor a choice", fix=fix)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _plain(values: object) -> bool:
    return isinstance(values, list) and len(values) > 1 and all(_number(one) or isinstance(one, str) for one in values)


def check_space(space: Space, task: str, *, where: str) -> None:
    """Refuse to search for what nobody reads, or where a parameter cannot lie.

    Raises
    ------
    InputError
        At the first such.
    """
    if space and task == "anomaly":
        what = "tune: a detector learns from healthy rows alone, by which no parameters can be told better than others"
        raise InputError(what, where=where, fix="drop `tune`")
    for name, one in space.items():
        for end in one.ends:
            if name != ROUNDS:
                check_params({name: end}, task, where=where)
            elif Bounds(low=1, high=100_000, whole=True).fault(end):
                raise InputError(f"tune: rounds may not be {end!r}", where=where, fix="write rounds: [50, 600, log]")


def names_of(space: Space) -> Sequence[str]:
    """Return the names in the order in which a sampler is asked, whatever the order they were written in."""
    return sorted(space)
