"""What counts as drift, and what follows from it, as a reviewed file says it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from lineshaft.definitions.words import parse_duration
from lineshaft.drift.policy import METHODS, DriftPolicy, Least, Regimes, RetrainPolicy
from lineshaft.errors import DefinitionError
from lineshaft_governance.placed import Placed

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftPolicies:
    """How drift is told, and what is done about it."""

    check: DriftPolicy = field(default_factory=DriftPolicy)
    retrain: RetrainPolicy = field(default_factory=RetrainPolicy)


def drift_policies(folder: Path, model: str = "") -> DriftPolicies:
    """Read the policy of a model: its own file in `drift/`, or drift.yaml, which is that of all others.

    Raises
    ------
    DefinitionError
        If it could not judge, or would judge otherwise than it says; names file, line, key and what to write.
    """
    own = folder / "drift" / f"{model}.yaml"
    return read_drift(own if model and own.is_file() else folder / "drift.yaml")


def read_drift(path: Path) -> DriftPolicies:
    """Read one policy; see `drift_policies`."""
    root = Placed.read(path)
    parts = root.mapping(known={*_CHECK, "persist", "window", "regime", "least", "retrain"})
    given = {name: parts[name].plain(kind) for name, kind in _CHECK.items() if name in parts}
    if "window" in parts:
        given["window_us"] = _duration(parts["window"])
    if "persist" in parts:
        given |= _persist(parts["persist"])
    if "regime" in parts:
        given["regimes"] = _regime(parts["regime"])
    if "least" in parts:
        given["least"] = _least(parts["least"])
    check = _made(root, lambda: DriftPolicy(**given))
    return DriftPolicies(check=check, retrain=_retrain(parts["retrain"]) if "retrain" in parts else RetrainPolicy())


_CHECK: dict[str, type[Any]] = {
    "fdr": float,
    "min_effect": float,
    "min_stability": float,
    "min_shift": float,
    "min_step": float,
    "min_spread": float,
    "bins": int,
    "effective": bool,
    "min_effective": float,
}
_RETRAIN: dict[str, type[Any]] = {
    "auto": bool,
    "need_labels": int,
    "share": float,
    "metric": str,
    "effect": float,
    "alpha": float,
    "min_assets": int,
}


def _retrain(placed: Placed) -> RetrainPolicy:
    parts = placed.mapping(known={*_RETRAIN, "causes", "cool_down", "longest"})
    given: dict[str, Any] = {name: parts[name].plain(kind) for name, kind in _RETRAIN.items() if name in parts}
    given |= {f"{name}_us": _duration(parts[name]) for name in ("cool_down", "longest") if name in parts}
    if "causes" in parts:
        given["causes"] = tuple(one.plain(str) for one in parts["causes"].items())
    return _made(placed, lambda: RetrainPolicy(**given))


def _regime(placed: Placed) -> Regimes:
    parts = placed.mapping(known={"column", "edges"}, needed={"column", "edges"})
    edges = tuple(one.plain(float) for one in parts["edges"].items())
    return Regimes(column=parts["column"].plain(str), edges=edges)


def _least(placed: Placed) -> tuple[Least, ...]:
    """Read least effects of single columns: {column: {method: effect}}."""
    found = []
    for column, methods in placed.mapping().items():
        told = methods.mapping(known={*METHODS})
        found += [Least(column=column, method=name, effect=told[name].plain(float)) for name in told]
    return tuple(found)


def _persist(placed: Placed) -> dict[str, int]:
    """Read how many of how many windows, as 3/5."""
    first, _, among = placed.plain(str).partition("/")
    if not (first.isdecimal() and among.isdecimal()):
        raise placed.fault("this says not how many of how many windows", "write 3/5")
    return {"persist": int(first), "among": int(among)}


def _duration(placed: Placed) -> int:
    try:
        return parse_duration(placed.plain(str))
    except ValueError as error:
        raise placed.fault(str(error), "write a duration such as 24h") from error


def _made(placed: Placed, make: Callable[[], T]) -> T:
    """Return what is made, or say where the file asks for what cannot be."""
    try:
        return make()
    except DefinitionError as error:
        raise placed.fault(error.what, error.fix) from error
