"""Which parameters a model may be trained with, and what each may be; XGBoost itself only warns of one it never reads.

A parameter that nobody reads is worse than none: the file says one thing and the model is another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from lineshaft.errors import InputError, close_to
from lineshaft.models.scoring import LINKS

Value = float | int | str
_DEEPEST = 128  # what a server walks


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """A number from `low` to `high`, both among them unless `above` says that the lower is not."""

    low: float = 0.0
    high: float = math.inf
    above: bool = False
    whole: bool = False

    def fault(self, value: object) -> str:
        """Return what a value is not; empty for one that may be.

        >>> Bounds(high=1, above=True).fault(0), Bounds(high=1, above=True).fault(0.5)
        ('a number above 0, at most 1', '')
        """
        if (
            isinstance(value, int if self.whole else int | float)
            and not isinstance(value, bool)
            and math.isfinite(value)
            and (self.low < value if self.above else self.low <= value)
            and value <= self.high
        ):
            return ""
        kind = "a whole number" if self.whole else "a number"
        begin = f"above {self.low:g}" if self.above else f"from {self.low:g}"
        return f"{kind} {begin}" + (f"{', at most' if self.above else ' to'} {self.high:g}" if self.high < 1e12 else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """One of a few words."""

    known: tuple[str, ...]

    def fault(self, value: object) -> str:
        """Return what a value is not; empty for one that may be."""
        return "" if value in self.known else f"one of {', '.join(self.known)}"


_SHARE, _COUNT = Bounds(high=1, above=True), Bounds(low=1, whole=True)
TREES: Mapping[str, Bounds | Words] = {
    "booster": Words(known=("gbtree",)),
    "objective": Words(known=tuple(LINKS)),
    "tree_method": Words(known=("hist", "approx", "exact")),
    "grow_policy": Words(known=("depthwise", "lossguide")),
    "sampling_method": Words(known=("uniform",)),
    "max_depth": Bounds(low=1, high=_DEEPEST, whole=True),
    "max_leaves": Bounds(whole=True),
    "max_bin": Bounds(low=2, high=65_536, whole=True),
    "num_parallel_tree": _COUNT,
    "eta": _SHARE,
    "gamma": Bounds(),
    "min_child_weight": Bounds(),
    "max_delta_step": Bounds(),
    **dict.fromkeys(("subsample", "colsample_bytree", "colsample_bylevel", "colsample_bynode"), _SHARE),
    "lambda": Bounds(),
    "alpha": Bounds(),
    "scale_pos_weight": Bounds(above=True),
    "base_score": Bounds(low=-math.inf),
    "huber_slope": Bounds(above=True),
    "tweedie_variance_power": Bounds(low=1, high=1.99, above=True),
}
"""Of trees: those of XGBoost that decide what it grows here."""

SURVIVAL: Mapping[str, Bounds | Words] = {
    "aft_loss_distribution": Words(known=("normal", "logistic", "extreme")),
    "aft_loss_distribution_scale": Bounds(above=True),
}
DETECTORS: Mapping[str, Bounds | Words] = {"trees": _COUNT}

UNSAID: Mapping[str, Value] = {
    **dict.fromkeys(("gamma", "alpha", "max_delta_step"), 0.0),
    **dict.fromkeys(("lambda", "scale_pos_weight", "aft_loss_distribution_scale"), 1.0),
    **dict.fromkeys(("colsample_bylevel", "colsample_bynode"), 1.0),
    "max_bin": 256,
    "max_leaves": 0,
    "num_parallel_tree": 1,
}
"""What XGBoost 3 does where nobody says."""

_ELSEWHERE = {
    "learning_rate": "write eta",
    "min_split_loss": "write gamma",
    "reg_lambda": "write lambda",
    "reg_alpha": "write alpha",
    **dict.fromkeys(("rounds", "num_boost_round", "n_estimators"), "write `rounds: 200` beside `params`"),
    **dict.fromkeys(("seed", "random_state"), "write `seed: 7` beside `params`"),
    **dict.fromkeys(("nthread", "n_jobs"), "drop it: the number of threads changes no bit"),
    "monotone_constraints": "name features under `rising` and `falling` beside `params`",
    "device": "drop it: models are trained on the processor, where the same rows give the same bits",
    **dict.fromkeys(("eval_metric", "early_stopping_rounds"), "drop it: `lineshaft train --tune` looks for `rounds`"),
}
"""What XGBoost knows by this name, and where it is written here."""


def known_to(task: str) -> Mapping[str, Bounds | Words]:
    """Return the parameters that training for a task reads."""
    if task == "anomaly":
        return DETECTORS
    return {**TREES, **SURVIVAL} if task == "survival" else TREES


def check_params(params: Mapping[str, Value], task: str, *, where: str) -> None:
    """Refuse a parameter that nobody would read, and a value that it cannot have.

    Raises
    ------
    InputError
        At the first such, with what was likely meant, or what it may be.
    """
    known = known_to(task)
    for name, value in params.items():
        if name not in known:
            raise InputError(f"params: {name} is read by nobody", where=where, fix=_meant(name, task, known))
        wrong = known[name].fault(value)
        if wrong:
            raise InputError(f"params: {name} is {value!r}, not {wrong}", where=where, fix=f"use {wrong}, or drop it")


def _meant(name: str, task: str, known: Mapping[str, object]) -> str:
    """Say what was likely meant by a name that nobody reads."""
    if name in SURVIVAL:
        return f"it belongs to a survival model, and this is a {task} model: drop it"
    if name in _ELSEWHERE and task != "anomaly":
        return _ELSEWHERE[name]
    near = close_to(name, [*known, *_ELSEWHERE], most=1)
    if near and near[0] in _ELSEWHERE:
        return _ELSEWHERE[near[0]]
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(known))}"
