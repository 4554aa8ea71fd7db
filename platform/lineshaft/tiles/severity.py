"""Zones of vibration severity: broadband velocity (mm/s rms, 10-1000 Hz) against the tables of a named standard.

The standard and the machine's class are part of a function's name, because tables differ by a factor of four. Limits
not yet compared with the printed standard say so: web pages and public code show wrong ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineshaft.errors import DefinitionError
from lineshaft.tiles.algebra import Floats

ZONES = ("A", "B", "C", "D")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Upper limits of zones A, B and C in mm/s rms; above them is D."""

    limits: tuple[float, float, float]
    source: str


_ISO_3 = "ISO 10816-3:2009 (now ISO 20816-3), machines above 15 kW, 120-15000 rpm, on site"
_ISO_1 = "ISO 10816-1:1995 annex B, as the vibromera calculator prints it"
_UNCONFIRMED = "; limits NOT CONFIRMED against the printed standard"
_CONFIRMED = "; the limits agree with the Beckhoff TF3600 sample"

TABLES: dict[str, Table] = {
    "iso10816-3:group1:rigid": Table(limits=(2.3, 4.5, 7.1), source=f"{_ISO_3}, above 300 kW{_CONFIRMED}"),
    "iso10816-3:group1:flexible": Table(limits=(3.5, 7.1, 11.0), source=f"{_ISO_3}, above 300 kW{_UNCONFIRMED}"),
    "iso10816-3:group2:rigid": Table(limits=(1.4, 2.8, 4.5), source=f"{_ISO_3}, 15-300 kW{_UNCONFIRMED}"),
    "iso10816-3:group2:flexible": Table(limits=(2.3, 4.5, 7.1), source=f"{_ISO_3}, 15-300 kW{_CONFIRMED}"),
    "iso10816-1:class1": Table(limits=(0.71, 1.8, 4.5), source=f"{_ISO_1}, small machines{_UNCONFIRMED}"),
    "iso10816-1:class2": Table(limits=(1.12, 2.8, 7.1), source=f"{_ISO_1}, medium machines{_UNCONFIRMED}"),
    "iso10816-1:class3": Table(limits=(1.8, 4.5, 11.2), source=f"{_ISO_1}, large, rigid{_UNCONFIRMED}"),
    "iso10816-1:class4": Table(limits=(2.8, 7.1, 18.0), source=f"{_ISO_1}, large, soft{_UNCONFIRMED}"),
}


def table(name: str) -> Table:
    """Return a table by name.

    >>> table("iso10816-3:group2:rigid").limits
    (1.4, 2.8, 4.5)

    Raises
    ------
    DefinitionError
        If there is none of that name.
    """
    if name not in TABLES:
        raise DefinitionError(f"no severity table is called {name!r}", fix=f"use one of {', '.join(TABLES)}")
    return TABLES[name]


def zones(velocity_mm_s: Floats, limits: tuple[float, float, float]) -> NDArray[np.object_]:
    """Return the zone of each velocity, a limit belonging to the zone below it; None where the velocity is undefined.

    >>> zones(np.array([1.4, 1.5, 9.0, np.nan]), (1.4, 2.8, 4.5)).tolist()
    ['A', 'B', 'D', None]
    """
    above = sum((velocity_mm_s > limit).astype(np.int64) for limit in limits)
    named = np.array([*ZONES, None], dtype=object)
    return np.asarray(named[np.where(np.isnan(velocity_mm_s), len(ZONES), above)])
