"""A map of squares, as a table that colours and that a screen reader reads: how far beyond what matters things lie."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from lineshaft.drift.policy import DriftPolicy
from lineshaft.registry.drift_maps import Cell

MOST_ROWS = 40
_STEPS = (2.0, 4.0)
"""From how many times the least effect that matters on a square is darker."""
_RATIO = "spread"
METHODS = {
    "distribution": "the whole distribution (KS distance)",
    "stability": "shares of bins (PSI)",
    "level": "the level, in standard deviations",
    "spread": "the spread, as a ratio",
    "step": "a sudden step, in standard deviations",
    "missing": "values missing, as a share",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Square:
    """One square: 0 calm, 1 to 3 a drift, None where nothing could be judged; and the same in words."""

    shade: int | None
    words: str


def least_effect(column: str, method: str, policy: DriftPolicy) -> float:
    """Return the least effect that a policy calls a drift of a column; NaN by a method of another version of us."""
    return policy.least_of(method, (column,))[0] if method in METHODS else math.nan


def times_least(method: str, effect: float, least: float) -> float:
    """Return how many times the least effect something is: ratios by their logarithms, either way.

    >>> times_least("level", -0.6, 0.3), round(times_least("spread", 1 / 1.25**3, 1.25), 9)
    (2.0, 3.0)
    """
    if method == _RATIO:
        return abs(math.log(effect)) / math.log(least) if effect > 0 and least > 1 else math.inf
    return abs(effect) / least if least > 0 else math.inf


def shade(times: float) -> int:
    """Return how dark the square of a drift is that is so many times the least effect, from 1 to 3."""
    return 1 + sum(times >= step for step in _STEPS)


def squares(cells: Sequence[Cell], policy: DriftPolicy) -> dict[tuple[str, str], Square]:
    """Return the squares of a map by column and place; of several drifts in one the darkest speaks for it."""
    found: dict[tuple[str, str], Square] = {}
    said: dict[tuple[str, str], list[str]] = {}
    for cell in cells:
        at = (cell.column, cell.place)
        before = found.get(at)
        if not cell.method:
            if before is None:
                found[at] = Square(shade=0 if cell.known else None, words="no drift" if cell.known else "unknown")
            continue
        least = least_effect(cell.column, cell.method, policy)
        effect = max((cell.low, cell.high), key=partial(times_least, cell.method, least=least))
        whom = f", {cell.scopes} of them" if cell.scopes > 1 else ""
        said.setdefault(at, []).append(f"{cell.method} {effect:+.2g}{whom}")
        dark = max(shade(times_least(cell.method, effect, least)), 0 if before is None else before.shade or 0)
        found[at] = Square(shade=dark, words=f"drift: {'; '.join(said[at])}")
    return found


def grid(
    found: Mapping[tuple[str, str], Square], places: Sequence[tuple[str, str]], *, most: int = MOST_ROWS
) -> dict[str, Any]:
    """Return the rows of a map, those that drift most first, with a square for each place (its key and its name)."""
    rows: dict[str, dict[str, Square]] = {}
    for (name, place), square in found.items():
        rows.setdefault(name, {})[place] = square
    last = places[-1][0] if places else ""

    def order(item: tuple[str, dict[str, Square]]) -> tuple[int, int, str]:
        name, mine = item
        newest = mine.get(last)
        return (-(newest.shade or 0 if newest else 0), -sum(one.shade or 0 for one in mine.values()), name)

    ordered = sorted(rows.items(), key=order)
    told = [
        {
            "name": name,
            "drifts": sum(bool(one.shade) for one in mine.values()),
            "squares": [
                {"place": key, "shade": mine[key].shade, "words": mine[key].words}
                if key in mine
                else {"place": key, "shade": None, "words": "not compared"}
                for key, _ in places
            ],
        }
        for name, mine in ordered[:most]
    ]
    return {"places": [name for _, name in places], "rows": told, "more": max(0, len(ordered) - most)}
