"""How good predictions are, beside what a model without features would have scored."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def average_precision(labels: Floats, scores: Floats) -> float:
    """Return the area under the precision-recall curve by steps, as scikit-learn's `average_precision_score`.

    Rows with one score share one step. NaN when there are no positives: not bad, but unknown.

    >>> round(average_precision(np.array([0.0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])), 4)
    0.8333
    """
    positives = labels.sum()
    if not positives:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    ranked, thresholds = labels[order], scores[order]
    last = np.flatnonzero(np.append(np.diff(thresholds) != 0, True))
    hits = np.cumsum(ranked)[last]
    precision, recall = hits / (last + 1), hits / positives
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def rmse(labels: Floats, scores: Floats) -> float:
    """Return the root of the mean squared error.

    >>> rmse(np.array([0.0, 0.0]), np.array([3.0, 4.0]))
    3.5355339059327378
    """
    return float(np.sqrt(np.mean((scores - labels) ** 2)))


METRICS: dict[str, tuple[str, Callable[[Floats, Floats], float]]] = {
    "binary": ("pr_auc", average_precision),
    "regression": ("rmse", rmse),
}
"""The figure a task is judged by."""


def evaluate(
    task: str, *, train_labels: Floats, labels: Floats, scores: Floats, groups: NDArray[np.str_], seed: int
) -> dict[str, float]:
    """Return the task's figure on held-out rows, its 90 % interval over groups, its baseline, and the counts.

    The baseline knows no features: it predicts the training rows' mean everywhere (for precision-recall this is the
    prevalence). The interval resamples whole groups, because rows of one asset are not independent.
    """
    name, metric = METRICS[task]
    constant = np.full(len(labels), train_labels.mean())
    low, high = _interval(metric, labels, scores, groups, seed=seed)
    figures = {
        name: metric(labels, scores),
        f"{name}_low": low,
        f"{name}_high": high,
        f"baseline_{name}": metric(labels, constant),
        "train_rows": float(len(train_labels)),
        "test_rows": float(len(labels)),
        "test_groups": float(len(np.unique(groups))),
    }
    if task == "binary":
        figures["test_positives"] = float(labels.sum())
        figures["test_positive_groups"] = float(len(np.unique(groups[labels > 0])))
    else:
        figures["mae"] = float(np.mean(np.abs(scores - labels)))
    return figures


def _interval(
    metric: Callable[[Floats, Floats], float], labels: Floats, scores: Floats, groups: NDArray[np.str_], *, seed: int
) -> tuple[float, float]:
    """Return the 5 % and 95 % quantiles over 200 resamples of groups."""
    names, member = np.unique(groups, return_inverse=True)
    rows_of = [np.flatnonzero(member == i) for i in range(len(names))]
    generator = np.random.default_rng(seed)
    figures = []
    for _ in range(200):
        rows = np.concatenate([rows_of[i] for i in generator.integers(0, len(names), len(names))])
        figures.append(metric(labels[rows], scores[rows]))
    known = np.array(figures)[np.isfinite(figures)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [0.05, 0.95])
    return float(low), float(high)
