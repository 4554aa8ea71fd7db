"""The few small languages that declarations use beside Feast's: channels, durations, units."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lineshaft.errors import InputError
from lineshaft.specs.views import Constant

UNITS = frozenset(
    (
        *("1", "%", "count", "cycles"),
        *("g", "mg", "m/s^2", "mm/s", "mm", "um", "m"),
        *("Hz", "rpm", "deg", "rad"),
        *("degC", "degF", "degR", "K"),
        *("Pa", "kPa", "bar", "psia", "pps/psi"),
        *("V", "mV", "A", "mA", "W", "kW", "ohm"),
        *("N", "kN", "Nm", "kg"),
        *("L/min", "m3/h", "lbm/s"),
        *("kft", "Mach"),
        *("s", "min", "h", "d"),
        *("dB", "lx", "mol/L", "pH"),
    )
)
"""Units a channel may have. A new one is added here, once, so that two teams do not spell it in two ways."""

_CHANNEL = re.compile(r"^\s*(?P<name>[A-Za-z_]\w*)\s*\[(?P<unit>[^\]]+)\]\s*$")
_DURATION = re.compile(r"^\s*(?P<count>\d+(?:\.\d+)?)\s*(?P<unit>ms|s|m|h|d)\s*$")
_MICROSECONDS = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}


def parse_channels(text: str) -> tuple[tuple[str, str], ...]:
    """Read channels with units.

    >>> parse_channels("temperature [degC], current [A]")
    (('temperature', 'degC'), ('current', 'A'))

    Raises
    ------
    ValueError
        If a part is not `name [unit]`, or a channel stands there twice.
    """
    channels = []
    for part in text.split(","):
        match = _CHANNEL.match(part)
        if match is None:
            raise ValueError(f"{part.strip()!r} is not `name [unit]`")
        channels.append((match["name"], match["unit"].strip()))
    names = [name for name, _ in channels]
    if len(set(names)) < len(names):
        raise ValueError(f"a channel stands there twice: {', '.join(sorted({n for n in names if names.count(n) > 1}))}")
    return tuple(channels)


def parse_duration(text: str) -> int:
    """Read a duration as microseconds.

    >>> parse_duration("30s"), parse_duration("7d")
    (30000000, 604800000000)

    Raises
    ------
    ValueError
        If the text is not a number with ms, s, m, h or d.
    """
    match = _DURATION.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration like 30s, 5m, 2h or 7d")
    return round(float(match["count"]) * _MICROSECONDS[match["unit"]])


def duration_option(text: str, *, option: str, like: str) -> int:
    """Read a duration that stands with an option of a command, as microseconds.

    >>> duration_option("12h", option="--every", like="1h")
    43200000000

    Raises
    ------
    InputError
        If it is none; it names the option, and shows how one is written (`like`).
    """
    try:
        return parse_duration(text)
    except ValueError as error:
        raise InputError(str(error), where=option, fix=f"write it like {like}") from error


def parse_constants(text: str, dtypes: Mapping[str, str]) -> tuple[tuple[str, Constant], ...]:
    """Read `column=value`, …, each value as its column's type has it, by column; unknown columns hold numbers.

    >>> parse_constants("b__on=true, a__x=0.5", {"b__on": "bool"})
    (('a__x', 0.5), ('b__on', True))

    Raises
    ------
    ValueError
        If a part is not `column=value`, a column stands there twice, or a value is not of the column's type.
    """
    constants: dict[str, Constant] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        column, equals, value = (word.strip() for word in part.partition("="))
        if not (column and equals and value):
            raise ValueError(f"{part!r} is not `view__feature=value`")
        if column in constants:
            raise ValueError(f"{column} stands there twice")
        dtype = dtypes.get(column, "float64")
        try:
            constants[column] = _CONSTANTS[dtype](value)
        except (KeyError, ValueError, OverflowError):
            raise ValueError(f"{value!r} is no constant of {column}, which is {dtype}") from None
    return tuple(sorted(constants.items()))


def _finite(text: str, kind: type[np.floating[Any]] = np.float64) -> float:
    value = float(text)
    if not abs(value) <= float(np.finfo(kind).max):  # not a number is not less either
        raise ValueError(text)
    return value


def _whole(text: str, kind: type[np.integer[Any]] = np.int64) -> int:
    value = int(text)
    if not np.iinfo(kind).min <= value <= np.iinfo(kind).max:
        raise ValueError(text)
    return value


_CONSTANTS: Mapping[str, Callable[[str], Constant]] = {
    "float64": _finite,
    "float32": lambda text: _finite(text, np.float32),
    "int64": _whole,
    "int32": lambda text: _whole(text, np.int32),
    "bool": lambda text: {"true": True, "false": False}[text],
    "string": str,
}
