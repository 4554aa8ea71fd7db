"""Boosted trees as a few arrays, walked level by level with NumPy: no XGBoost, and the bits that XGBoost gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineshaft.boosters.forest import Forest
from lineshaft.errors import CorruptError

_AT_ONCE = 1 << 16
"""Walks (rows times trees) done together: what they touch stays in the processor's cache."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trees:
    """All nodes of all trees, roots first, then level by level; the right child of a node lies behind its left one.

    `column` is where a node looks in a row that lies there twice: missing values above everything, then below
    everything, so that a missing value goes the node's own way by the same comparison. A leaf is its own left child,
    and its threshold is NaN: nothing is above it, so a walk that has arrived stays.
    """

    width: int  # features of a row
    roots: int
    column: NDArray[np.intp]
    threshold: NDArray[np.float32]
    left: NDArray[np.intp]
    value: NDArray[np.float32]  # of a leaf: what it adds
    cover: NDArray[np.float64]  # weight of the training rows that came by
    steps: int  # from a root to the deepest leaf
    base: np.float32

    @property
    def leaf(self) -> NDArray[np.bool_]:
        """Return which nodes are leaves."""
        leaves: NDArray[np.bool_] = self.left == np.arange(len(self.left))
        return leaves

    def margins(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the sums of rows (n x features, NaN where unknown): the base, then tree by tree, in float32."""
        sums = np.empty(len(values), dtype=np.float32)
        for rows in chunks(len(values), _AT_ONCE // max(self.roots, 1)):
            terms = np.empty((rows.stop - rows.start, self.roots + 1), dtype=np.float32)
            terms[:, 0] = self.base
            self.value.take(self._arrived(values[rows]), out=terms[:, 1:])
            sums[rows] = np.add.accumulate(terms, axis=1)[:, -1]
        return sums

    def _arrived(self, values: NDArray[np.float32]) -> NDArray[np.intp]:
        """Return the leaf that each row reaches in each tree."""
        missing = np.isnan(values)
        twice = np.concatenate([np.where(missing, np.inf, values), np.where(missing, -np.inf, values)], axis=1)
        starts = np.arange(0, twice.size, 2 * self.width)[:, None]
        node = np.empty((len(values), self.roots), dtype=np.intp)
        node[:] = np.arange(self.roots)
        for _ in range(self.steps):
            right = twice.take(self.column.take(node) + starts) >= self.threshold.take(node)
            node = self.left.take(node)
            node += right
        return node


def chunks(rows: int, most: int) -> Iterator[slice]:
    """Yield slices of at most so many rows, at least one, that cover all.

    >>> list(chunks(5, 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    step = max(most, 1)
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def grown(forest: Forest, *, base: np.float32) -> Trees:
    """Return the trees of a sound model file, laid out for walking.

    Raises `CorruptError` where a threshold has nothing below it: a missing value could not be sent there.
    """
    nodes, steps = _by_levels(forest)
    roots, width = len(forest.starts) - 1, len(forest.features)
    inner, threshold = forest.left[nodes] >= 0, forest.threshold[nodes]
    if (inner & (threshold == -np.inf)).any():
        raise CorruptError("a tree splits at minus infinity", fix="train the model again")
    split = forest.split[nodes].astype(np.intp)
    own = np.arange(len(nodes), dtype=np.intp)
    return Trees(
        width=width,
        roots=roots,
        column=np.where(inner, np.where(forest.default_left[nodes] != 0, split + width, split), 0),
        threshold=np.where(inner, threshold, np.float32(np.nan)),
        left=np.where(inner, roots + 2 * (np.cumsum(inner) - 1), own),
        value=np.where(inner, np.float32(0), threshold),
        cover=forest.cover[nodes].astype(np.float64),
        steps=steps,
        base=base,
    )


def _by_levels(forest: Forest) -> tuple[NDArray[np.int64], int]:
    """Return the nodes of all trees together, level by level with siblings side by side, and the steps to the last."""
    first = np.repeat(forest.starts[:-1], np.diff(forest.starts))
    levels = [forest.starts[:-1]]
    while True:
        inner = levels[-1][forest.left[levels[-1]] >= 0]
        if not len(inner):
            return np.concatenate(levels), len(levels) - 1
        levels.append(np.stack([first[inner] + forest.left[inner], first[inner] + forest.right[inner]], axis=1).ravel())
