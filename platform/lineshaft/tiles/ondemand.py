"""The on-demand catalogue: functions of features already answered, row by row.

Elementwise IEEE arithmetic only, so that a Feast UDF written in pandas gives the same bits.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from lineshaft.errors import DefinitionError, close_to
from lineshaft.tiles import severity
from lineshaft.tiles.algebra import Floats
from lineshaft.tiles.diagnosis import CLEAR, MARGIN, diagnose

Texts = NDArray[np.object_]


@dataclass(frozen=True, slots=True, kw_only=True)
class OnDemandFunction:
    """A function of other features: `compute` takes columns (n,) and returns one, NaN or None where undefined."""

    name: str
    unit: str
    formula: str
    source: str
    inputs: tuple[str, ...]  # what each input is, in order
    compute: Callable[[list[Floats]], Floats | Texts]
    dtype: str = "float64"


@dataclass(frozen=True, slots=True, kw_only=True)
class OnDemandEntry:
    """A named family of on-demand functions: `make` reads the text between the brackets ("" if none)."""

    name: str
    pattern: str
    example: str
    make: Callable[[str], OnDemandFunction]


def _ratio(inputs: list[Floats]) -> Floats:
    above, below = inputs
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        result = above / below
    return np.where(np.isfinite(result), result, np.nan)


def _difference(inputs: list[Floats]) -> Floats:
    left, right = inputs
    with np.errstate(invalid="ignore", over="ignore"):
        result = left - right
    return np.where(np.isfinite(result), result, np.nan)


def _plain(function: OnDemandFunction) -> OnDemandEntry:
    def make(argument: str) -> OnDemandFunction:
        if argument:
            raise DefinitionError(f"{function.name} takes no parameter, not {argument!r}", where=function.name)
        return function

    return OnDemandEntry(name=function.name, pattern=function.name, example=function.name, make=make)


def _severity(inputs: list[Floats], *, limits: tuple[float, float, float]) -> Texts:
    (velocity,) = inputs
    return severity.zones(velocity, limits)


def _make_severity(argument: str) -> OnDemandFunction:
    table = severity.table(argument)
    a, b, c = table.limits
    return OnDemandFunction(
        name=f"severity_zone[{argument}]",
        unit="zone",
        formula=f"A up to {a}, B up to {b}, C up to {c} mm/s rms, D above",
        source=table.source,
        inputs=("velocity_rms[10-1000Hz]",),
        compute=partial(_severity, limits=table.limits),
        dtype="string",
    )


_DIAGNOSIS = OnDemandFunction(
    name="bearing_diagnosis",
    unit="part",
    formula=f"the part whose line is >= {CLEAR:g} x background and >= {MARGIN:g} x any other part's, or not determined",
    source="rule of ours, held against CWRU and MFPT records; see lineshaft.tiles.diagnosis",
    inputs=tuple(f"envelope_ratio[{line}]" for line in ("bpfo", "bpfi", "bsf", "2bsf", "ftf")),
    compute=diagnose,
    dtype="string",
)

_ENTRIES: dict[str, OnDemandEntry] = {
    entry.name: entry
    for entry in (
        _plain(
            OnDemandFunction(
                name="ratio",
                unit="1",
                formula="a/b; undefined where b is 0",
                source="definition",
                inputs=("a", "b"),
                compute=_ratio,
            )
        ),
        _plain(
            OnDemandFunction(
                name="difference",
                unit="{unit}",
                formula="a-b",
                source="definition",
                inputs=("a", "b"),
                compute=_difference,
            )
        ),
        OnDemandEntry(
            name="severity_zone",
            pattern="severity_zone[standard:class]",
            example="severity_zone[iso10816-3:group2:rigid]",
            make=_make_severity,
        ),
        _plain(_DIAGNOSIS),
    )
}


def ondemand(text: str) -> OnDemandFunction:
    """Return the on-demand function that a definition names.

    >>> ondemand("ratio").compute([np.array([1.0, 1.0]), np.array([4.0, 0.0])])
    array([0.25,  nan])

    Raises
    ------
    DefinitionError
        If no entry has that name, with the nearest ones, or its parameters cannot be read.
    """
    match = re.fullmatch(r"([a-z][a-z0-9_]*)(?:\[([^\[\]]*)\])?", text.strip())
    entry = _ENTRIES.get(match[1]) if match else None
    if match is None or entry is None:
        near = close_to(re.split(r"\W", text.strip())[0], _ENTRIES)
        known = f"did you mean {' or '.join(_ENTRIES[name].pattern for name in near)}?" if near else ""
        raise DefinitionError(f"no on-demand function is called {text!r}", fix=known or f"use {', '.join(_ENTRIES)}")
    return entry.make(match[2] or "")


def entries() -> tuple[OnDemandEntry, ...]:
    """Return all on-demand entries."""
    return tuple(_ENTRIES.values())
