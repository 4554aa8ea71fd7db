"""Why a score is what it is: exact Shapley values of boosted trees, the numbers that XGBoost's `pred_contribs` gives.

A feature's contribution is its mean effect over all orders in which features become known, where what is not known yet
follows the training rows (Lundberg et al. 2020, path-dependent TreeSHAP). For one leaf of value v, with for each
feature i on its path o_i = 1 if the row goes the path's way and z_i the share of training rows that did, that is
v (o_i - z_i) times the integral over t from 0 to 1 of the product over the other features j of (1 - t) z_j + t o_j: a
polynomial in t, which Gauss-Legendre quadrature of half its degree integrates exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lineshaft.models.trees import Trees, chunks

_AT_ONCE = 1 << 17
"""Steps on paths (rows times leaves times features) done together."""
_LEAST = 1e-12
"""Share of rows below which none counts: dividing by it must stay possible."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Paths:
    """The paths to all leaves: of each leaf at most `d` features, each with the values that lead to it (d x leaves).

    A bound that is NaN bounds nothing; where a path has fewer features, the rest bound nothing and have share 1.
    """

    width: int
    feature: NDArray[np.intp]
    least: NDArray[np.float32]  # no value below it
    below: NDArray[np.float32]  # no value from it on
    missing: NDArray[np.bool_]  # a missing value goes this way
    share: NDArray[np.float64]
    value: NDArray[np.float64]  # of the leaves
    base: float  # the mean over training rows

    def contributions(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return what each feature adds to the margin of each row, n x features; with `base` they sum to it."""
        found = np.zeros(values.shape, dtype=np.float64)
        for rows in chunks(len(values), _AT_ONCE // max(self.feature.size, 1)):
            found[rows] = self._of(values[rows])
        return found

    def _of(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        met = values.T[self.feature].transpose(0, 2, 1) if len(values) > 1 else values[0].take(self.feature)[:, None]
        off = (met < self.least[:, None]) | (met >= self.below[:, None])
        unknown = np.isnan(met)
        if unknown.any():
            off |= unknown & ~self.missing[:, None]
        on = (~off).astype(np.float64)
        share, total = self.share[:, None], np.zeros(on.shape)
        for t, weight in _quadrature(len(on)):
            factors = t * on
            factors += (1 - t) * share
            total += (weight * factors.prod(axis=0)) / factors
        parts = self.value * (on - share) * total
        n, place = len(values), self.feature[:, None]
        if n > 1:
            place = place + np.arange(0, n * self.width, self.width)[:, None]
        sums = np.bincount(place.ravel(), weights=parts.ravel(), minlength=n * self.width)
        return np.asarray(sums, dtype=np.float64).reshape(n, self.width)


@lru_cache
def _quadrature(features: int) -> tuple[tuple[float, float], ...]:
    """Return points from 0 to 1 and their weights that integrate products over one feature fewer exactly."""
    points, weights = np.polynomial.legendre.leggauss((features + 1) // 2)
    return tuple(zip(((points + 1) / 2).tolist(), (weights / 2).tolist(), strict=True))


def paths(trees: Trees) -> Paths:
    """Return the paths of all trees, the splits of one on the same feature made one."""
    inner = np.flatnonzero(~trees.leaf)
    parent = np.full(len(trees.left), -1, dtype=np.intp)
    parent[trees.left[inner]] = parent[trees.left[inner] + 1] = inner
    leaves = np.flatnonzero(trees.leaf)
    shape = (max(trees.steps, 1), len(leaves))
    feature, used = np.zeros(shape, dtype=np.intp), np.zeros(shape, dtype=np.bool_)
    least, below = np.full(shape, np.nan, dtype=np.float32), np.full(shape, np.nan, dtype=np.float32)
    missing, share = np.ones(shape, dtype=np.bool_), np.ones(shape)
    node = leaves
    for step in range(trees.steps):
        above = parent[node]
        open_, above = above >= 0, np.maximum(above, 0)
        here, right = trees.column[above] % trees.width, node != trees.left[above]
        bound, way = trees.threshold[above], right == (trees.column[above] < trees.width)
        part = np.divide(trees.cover[node], trees.cover[above], out=np.zeros(len(node)), where=trees.cover[above] > 0)
        for slot in range(step + 1):  # the place of its feature, or the next of its own
            mine = open_ & (used[slot] & (feature[slot] == here) if slot < step else True)
            feature[slot] = np.where(mine, here, feature[slot])
            used[slot] |= mine
            least[slot] = np.where(mine & right, np.fmax(least[slot], bound), least[slot])
            below[slot] = np.where(mine & ~right, np.fmin(below[slot], bound), below[slot])
            missing[slot] &= way | ~mine
            share[slot] *= np.where(mine, part, 1.0)
            open_ = open_ & ~mine
        node = np.where(parent[node] >= 0, parent[node], node)
    value = trees.value[leaves].astype(np.float64)
    return Paths(
        width=trees.width,
        feature=feature,
        least=least,
        below=below,
        missing=missing,
        share=np.maximum(share, _LEAST),
        value=value,
        base=float(trees.base) + float(value @ share.prod(axis=0)),
    )
