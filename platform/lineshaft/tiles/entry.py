"""An entry of the catalogue: how a name in a definition becomes a function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lineshaft.errors import DefinitionError
from lineshaft.tiles.algebra import Aggregator, Context, Floats, Function, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A named family of functions: `make` turns the text between the brackets ("" if none) into one of them.

    `pattern` shows how it is written ("band_power[low-highHz]"), `example` is a text that `make` accepts.
    """

    name: str
    pattern: str
    example: str
    unit: str
    formula: str
    source: str  # where the definition comes from, and which variant it is
    make: Callable[[str], Function]


def plain(
    name: str,
    *,
    unit: str,
    formula: str,
    source: str,
    needs: tuple[Aggregator, ...],
    finish: Callable[[State, Context], Floats],
) -> Entry:
    """Return the entry of a function without parameters."""
    function = Function(name=name, unit=unit, formula=formula, source=source, needs=needs, finish=finish)

    def make(argument: str) -> Function:
        if argument:
            raise DefinitionError(f"{name} takes no parameter, not {argument!r}", where=name, fix=f"write {name}")
        return function

    return Entry(name=name, pattern=name, example=name, unit=unit, formula=formula, source=source, make=make)


def known(values: Floats) -> Floats:
    """Return values with NaN where they are not finite: undefined."""
    return np.where(np.isfinite(values), values, np.nan)


def quotient(above: Floats, below: Floats) -> Floats:
    """Divide; NaN where the divisor is zero or the result is not finite.

    >>> quotient(np.array([1.0, 1.0]), np.array([4.0, 0.0]))
    array([0.25,  nan])
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return known(above / below)
