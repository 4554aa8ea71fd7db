"""The catalogue: every feature function by name, with formula, unit, variant and source.

`function("band_power[5000-15000Hz]")` reads a name as definitions write it. A team adds its own by naming an `Entry`
(or an iterable of them) under the entry-point group `lineshaft.functions` of its package, and tests its aggregators
with `lineshaft.tiles.laws.check_laws`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import entry_points

from lineshaft.errors import ConflictError, DefinitionError, close_to
from lineshaft.tiles import baseline, spectra, statistics
from lineshaft.tiles.algebra import Function
from lineshaft.tiles.entry import Entry

GROUP = "lineshaft.functions"
_TEXT = re.compile(r"([a-z][a-z0-9_]*)(?:\[([^\[\]]*)\])?")
_BUILT_IN: tuple[Entry, ...] = (*statistics.ENTRIES, *baseline.ENTRIES, *spectra.ENTRIES)
_registered: dict[str, Entry] = {entry.name: entry for entry in _BUILT_IN}


def function(text: str) -> Function:
    """Return the function that a definition names.

    >>> function("kurtosis").unit
    '1'
    >>> function("deviation_from_baseline[10]").baseline_tiles
    10

    Raises
    ------
    DefinitionError
        If no entry has that name, with the nearest ones, or its parameters cannot be read.
    """
    match = _TEXT.fullmatch(text.strip())
    _load_installed()
    entry = _registered.get(match[1]) if match else None
    if match is None or entry is None:
        near = close_to(re.split(r"\W", text.strip())[0], _registered)
        known = f"did you mean {' or '.join(_registered[name].pattern for name in near)}?" if near else ""
        raise DefinitionError(f"no function is called {text!r}", fix=known or "`lineshaft functions` lists all")
    return entry.make(match[2] or "")


def entries() -> tuple[Entry, ...]:
    """Return all entries, built in and registered."""
    _load_installed()
    return tuple(_registered.values())


def register(entry: Entry) -> None:
    """Add an entry. The same entry again is no fault.

    Raises
    ------
    ConflictError
        If another entry has its name.
    """
    if _registered.setdefault(entry.name, entry) is not entry:
        raise ConflictError(f"a function called {entry.name!r} exists", fix="choose another name, e.g. with the team's")


@lru_cache(maxsize=1)
def _load_installed() -> None:
    """Register what installed packages offer, once."""
    for point in entry_points(group=GROUP):
        offered = point.load()
        for entry in offered if isinstance(offered, Iterable) else (offered,):
            register(entry)
