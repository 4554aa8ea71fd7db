"""An isolation forest (Liu, Ting and Zhou 2008) as plain arrays, its depths taken apart by feature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineshaft.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
SAMPLE = 256
_MOST_DEPTH = 64


def usual_depth(rows: int) -> float:
    """Return how many cuts it takes on average to set one of so many rows apart.

    >>> usual_depth(1), usual_depth(2), round(usual_depth(256), 3)
    (0.0, 1.0, 10.245)
    """
    if rows < 3:
        return float(rows == 2)
    return 2 * (float(np.log(rows - 1)) + float(np.euler_gamma)) - 2 * (rows - 1) / rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Forest:
    """Trees beside each other (trees x nodes), children always after their parent; a leaf is its own child.

    `expected` is how deep a row of the node ends on average: a cut moves it, and what it moves is due to its feature.
    """

    feature: Ints
    cut: Floats
    low: Ints  # where values up to the cut go
    high: Ints
    missing: Ints  # where a row without the value goes: with most
    expected: Floats
    unit: float  # the usual depth
    depth: int

    def depths(self, values: Floats) -> tuple[float, Floats]:
        """Return the usual ending depth, and how far each feature moves each row's (n x features), in usual depths."""
        trees = np.arange(len(self.feature))
        moved = np.zeros(values.shape)
        at = np.zeros((len(values), len(trees)), dtype=np.int64)
        rows = np.arange(len(values))[:, None]
        for _ in range(self.depth):
            feature = self.feature[trees, at]
            found = values[rows, feature]
            with np.errstate(invalid="ignore"):
                child = np.where(found <= self.cut[trees, at], self.low[trees, at], self.high[trees, at])
            child = np.where(np.isnan(found), self.missing[trees, at], child)
            np.add.at(moved, (rows, feature), self.expected[trees, child] - self.expected[trees, at])
            at = child
        scale = len(trees) * self.unit
        return float(self.expected[:, 0].sum()) / scale, moved / scale

    def numbers(self) -> dict[str, Any]:
        """Return what has to be stored."""
        arrays = {name: getattr(self, name).tolist() for name in _ARRAYS}
        return {**arrays, "unit": self.unit, "depth": self.depth}

    @staticmethod
    def read(told: Mapping[str, Any], *, features: int) -> Forest:
        """Read a forest; raises `ValueError` where its arrays do not fit together or a walk would not end."""
        arrays: dict[str, Any] = {name: np.array(told[name], dtype=kind) for name, kind in _ARRAYS.items()}
        forest = Forest(**arrays, unit=float(told["unit"]), depth=int(told["depth"]))
        shape = forest.feature.shape
        nodes = np.arange(shape[1]) if len(shape) == 2 else np.zeros(0)
        whole = len(shape) == 2 and all(array.shape == shape for array in arrays.values()) and forest.feature.size
        if not whole or not (forest.unit > 0 and 0 <= forest.depth <= _MOST_DEPTH):
            raise ValueError("shape")
        onward = all(
            bool(((nodes <= way) & (way < shape[1])).all()) for way in (forest.low, forest.high, forest.missing)
        )
        known = bool(((forest.feature >= 0) & (forest.feature < features)).all())
        if not (onward and known and np.isfinite(forest.cut).all() and np.isfinite(forest.expected).all()):
            raise ValueError("numbers")
        return forest


_ARRAYS: dict[str, type] = {
    "feature": np.int64,
    "cut": np.float64,
    "low": np.int64,
    "high": np.int64,
    "missing": np.int64,
    "expected": np.float64,
}


def grow(values: Floats, *, seed: int, trees: int = 100) -> Forest:
    """Grow trees, each of 256 rows at most, cut at random until rows stand alone or the usual depth is reached."""
    if len(values) < 2:
        raise InputError("a forest needs rows to grow from", fix="give more healthy history")
    generator = np.random.default_rng(seed)
    size = min(SAMPLE, len(values))
    deepest = int(np.ceil(np.log2(size)))
    grown = [_Tree(values[generator.permutation(len(values))[:size]], generator, deepest) for _ in range(trees)]
    width = max(len(tree.rows) for tree in grown)
    arrays: dict[str, Any] = {name: np.zeros((trees, width), dtype=kind) for name, kind in _ARRAYS.items()}
    for number, tree in enumerate(grown):
        for name, array in arrays.items():
            found = getattr(tree, name)
            array[number, : len(found)] = found
            if name in ("low", "high", "missing"):
                array[number, len(found) :] = np.arange(len(found), width)
    return Forest(**arrays, unit=usual_depth(size), depth=deepest)


class _Tree:
    """A tree while it grows: a list for each array, a node at each place."""

    def __init__(self, values: Floats, generator: np.random.Generator, deepest: int) -> None:
        self.feature: list[int] = []
        self.cut: list[float] = []
        self.low: list[int] = []
        self.high: list[int] = []
        self.missing: list[int] = []
        self.expected: list[float] = []
        self.rows: list[int] = []
        self._cut_up(values, generator, 0, deepest)

    def _cut_up(self, values: Floats, generator: np.random.Generator, depth: int, deepest: int) -> int:
        """Add the node of these rows and all below; return its place."""
        place = len(self.rows)
        self.rows.append(len(values))
        for column, nothing in ((self.feature, 0), (self.low, place), (self.high, place), (self.missing, place)):
            column.append(nothing)
        self.cut.append(0.0)
        self.expected.append(depth + usual_depth(len(values)))
        usable = self._usable(values) if depth < deepest and len(values) > 1 else np.zeros(0, np.int64)
        if not len(usable):
            return place
        feature = int(generator.choice(usable))
        least, most = np.nanmin(values[:, feature]), np.nanmax(values[:, feature])
        cut = min(float(generator.uniform(least, most)), float(np.nextafter(most, least)))
        below = values[:, feature] <= cut
        known = np.isfinite(values[:, feature])
        below |= ~known & bool(2 * np.count_nonzero(below) >= np.count_nonzero(known))
        low = self._cut_up(values[below], generator, depth + 1, deepest)
        high = self._cut_up(values[~below], generator, depth + 1, deepest)
        self.feature[place], self.cut[place], self.low[place], self.high[place] = feature, cut, low, high
        self.missing[place] = low if self.rows[low] >= self.rows[high] else high
        share = self.rows[low] / self.rows[place]
        self.expected[place] = share * self.expected[low] + (1 - share) * self.expected[high]
        return place

    @staticmethod
    def _usable(values: Floats) -> Ints:
        """Return the features that tell these rows apart."""
        known = np.where(np.isfinite(values), values, np.nan)
        counts = np.isfinite(known).sum(axis=0) > 1
        usable = np.zeros(values.shape[1], dtype=bool)
        usable[counts] = np.nanmin(known[:, counts], axis=0) < np.nanmax(known[:, counts], axis=0)
        return np.flatnonzero(usable)
