"""Numbers with units as definitions write them: `5000-15000Hz`, `3`."""

from __future__ import annotations

import re

from lineshaft.errors import DefinitionError

_NUMBER = r"(\d+(?:\.\d+)?)"
_BAND = re.compile(rf"{_NUMBER}-{_NUMBER}Hz")


def band_of(text: str, *, where: str) -> tuple[float, float]:
    """Read a frequency band.

    >>> band_of("5000-15000Hz", where="band_power")
    (5000.0, 15000.0)

    Raises
    ------
    DefinitionError
        If the text is no band, or its ends are the wrong way round.
    """
    match = _BAND.fullmatch(text.replace(" ", ""))
    low, high = (float(group) for group in match.groups()) if match else (0.0, 0.0)
    if low >= high:
        raise DefinitionError(
            f"{text!r} is no frequency band", where=where, fix='write "low-highHz", e.g. 5000-15000Hz'
        )
    return low, high


def band_text(low: float, high: float) -> str:
    """Write a frequency band the one way.

    >>> band_text(10.0, 1000.0)
    '10-1000Hz'
    """
    return f"{low:.12g}-{high:.12g}Hz"


def count_of(text: str, *, low: int, high: int, where: str) -> int:
    """Read a whole number between `low` and `high`.

    >>> count_of("3", low=1, high=5, where="dominant_frequency")
    3

    Raises
    ------
    DefinitionError
        If the text is no such number.
    """
    if not (text.isdecimal() and low <= int(text) <= high):
        raise DefinitionError(f"{text!r} is not a whole number from {low} to {high}", where=where, fix=f"write {low}")
    return int(text)
