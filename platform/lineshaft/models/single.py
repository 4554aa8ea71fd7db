"""The one feature that says most by itself: what a glance at a single trend would have told."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lineshaft.models.matrix import Examples
from lineshaft.models.scores import Floats
from lineshaft.models.spec import ModelSpec


def best_alone(spec: ModelSpec, rows: Examples) -> str:
    """Return the feature whose ranks follow those of the labels best, up or down, weighed by how often it is known.

    Of lives, those that ended are looked at.
    """
    known = rows.labels > 0 if spec.task == "survival" else np.ones(len(rows.labels), dtype=bool)
    values, labels = rows.values[known], rows.labels[known]
    strength = [_agreement(values[:, place], labels) for place in range(len(spec.features))]
    return spec.features[int(np.argmax(strength))]


def _agreement(values: NDArray[np.float32], labels: Floats) -> float:
    """Return the size of Spearman's correlation where the values are known, times the share of rows where they are."""
    known = ~np.isnan(values)
    if known.sum() < 2:
        return 0.0
    first, second = (_centred(part[known]) for part in (values, labels))
    size = float(np.sqrt(np.sum(first**2) * np.sum(second**2)))
    return abs(float(np.sum(first * second))) / size * float(known.mean()) if size else 0.0


def _centred(values: NDArray[np.float32] | Floats) -> Floats:
    """Return ranks less their mean; equal values share one.

    >>> _centred(np.array([5.0, 1.0, 5.0])).tolist()
    [0.5, -1.0, 0.5]
    """
    _, member, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[member]
    return np.asarray(ranks - ranks.mean(), dtype=np.float64)
