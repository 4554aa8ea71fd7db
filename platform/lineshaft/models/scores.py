"""How good predictions are, beside what a model without features would have scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from lineshaft.models.censored import concordance
from lineshaft.specs import Evidence, Figure
from lineshaft.specs.evidence import known

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


def nasa_score(labels: Floats, scores: Floats) -> float:
    """Return the sum of exp(error/10) - 1 where life was overestimated and exp(-error/13) - 1 where it was not.

    Late warnings cost more (Saxena & Goebel, PHM 2008). It is a sum, and one engine far off rules it.

    >>> round(nasa_score(np.array([50.0, 50.0]), np.array([60.0, 37.0])), 6) == round(2 * (np.e - 1), 6)
    True
    """
    error = scores - labels
    return float(np.sum(np.expm1(np.where(error < 0, -error / 13, error / 10))))


def phm_score(labels: Floats, scores: Floats) -> float:
    """Return the mean of the PHM 2012 challenge: 1 for no error, 0.5 for 20 % early or 5 % late.

    The error is relative to the life left, so rows with none left are not counted; NaN where there are no others.

    >>> round(phm_score(np.array([100.0, 100.0, 100.0]), np.array([100.0, 80.0, 105.0])), 4)
    0.6667
    """
    left = labels > 0
    if not left.any():
        return float("nan")
    percent = 100 * (labels[left] - scores[left]) / labels[left]
    return float(np.mean(np.exp2(np.where(percent > 0, -percent / 20, percent / 5))))


def half_width(errors: Floats, groups: NDArray[np.str_], *, coverage: float) -> float:
    """Return how far from a score the truth of an unseen group is at most, with this probability.

    Conformal by group: every group weighs the same however many rows it has, and one more group at infinity stands
    for the unseen one, so the answer is infinite where there are too few groups to say.

    >>> half_width(np.array([1.0, -2.0, 3.0]), np.array(["a", "b", "c"]), coverage=0.75)
    3.0
    >>> half_width(np.array([1.0, -2.0, 3.0]), np.array(["a", "b", "c"]), coverage=0.9)
    inf
    """
    _, member, counts = np.unique(groups, return_inverse=True, return_counts=True)
    size = np.abs(errors)
    order = np.argsort(size, kind="stable")
    reached = np.cumsum(1 / counts[member][order]) / (len(counts) + 1)
    enough = np.flatnonzero(reached >= coverage - 1e-12)
    return float(size[order][enough[0]]) if len(enough) else float("inf")


def curve(task: str, *, labels: Floats, scores: Floats, points: int = 60) -> tuple[tuple[float, float], ...]:
    """Return what a model card draws: recall and precision of a probability, else the label and the mean error there.

    >>> curve("binary", labels=np.array([0.0, 1, 0, 1]), scores=np.array([0.1, 0.4, 0.5, 0.8]))
    ((0.5, 1.0), (0.5, 0.5), (1.0, 0.6667), (1.0, 0.5))
    >>> curve("rul", labels=np.array([0.0, 0, 10]), scores=np.array([1.0, -3, 10]), points=2)
    ((0.0, 2.0), (10.0, 0.0))
    """
    if task == "binary":
        order = np.argsort(-scores, kind="stable")
        hits = np.cumsum(labels[order])
        last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
        last = last[np.unique(np.linspace(0, len(last) - 1, min(points, len(last))).astype(int))]
        pairs = zip(hits[last] / max(hits[-1], 1), hits[last] / (last + 1), strict=True)
    else:
        order = np.argsort(labels, kind="stable")
        parts = np.array_split(order, min(points, len(order)))
        pairs = zip(
            [labels[part].mean() for part in parts],
            [np.abs(scores - labels)[part].mean() for part in parts],
            strict=True,
        )
    return tuple((round(float(x), 4), round(float(y), 4)) for x, y in pairs)


def _share(_labels: Floats, passed: Floats) -> float:
    """Return the share of healthy rows at which a detector would alarm, of 1 where it does and 0 where not."""
    return float(np.mean(passed))


METRICS: dict[str, tuple[str, Callable[[Floats, Floats], float]]] = {
    "binary": ("pr_auc", average_precision),
    "regression": ("rmse", rmse),
    "rul": ("rmse", rmse),
    "survival": ("c_index", concordance),
    "anomaly": ("false_alarm_share", _share),
}
"""The figure by which two models of a task are compared; of all tasks but `anomaly`, the one it is judged by."""

FIGURES = {
    "pr_auc": True,
    "rmse": False,
    "mae": False,
    "nasa_score_per_row": False,
    "phm_score": True,
    "half_width_90": False,
    "c_index": True,
    "false_alarm_share": False,
    "alarms_per_asset_day": False,
    "alarm_precision": True,
    "failures_alarmed": True,
    "precision_at_budget": True,
    "failures_alarmed_at_budget": True,
    "alarm_lead_h": True,
    "ece": False,
}
"""What a gate may ask for, and whether more of it is better."""

SHARES = frozenset({"pr_auc"})
"""Figures that are means over positives of something between 0 and 1."""


def evaluate(
    task: str, *, train_labels: Floats, labels: Floats, scores: Floats, groups: NDArray[np.str_], seed: int
) -> dict[str, float]:
    """Return the task's figure on held-out rows, its 90 % interval over groups, its baseline, and the counts.

    The baseline knows no features: it predicts the training rows' mean everywhere (for precision-recall this is the
    prevalence). The interval resamples whole groups, because rows of one asset are not independent.
    """
    name, metric = METRICS[task]
    constant = np.full(len(labels), train_labels.mean())
    low, high = asset_interval(lambda rows: metric(labels[rows], scores[rows]), groups, seed=seed)
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
    elif task != "survival":  # how far off a life is that was cut short, nobody knows
        figures["mae"] = float(np.mean(np.abs(scores - labels)))
    if task == "rul":
        figures["nasa_score_per_row"] = nasa_score(labels, scores) / len(labels)
        figures["phm_score"] = phm_score(labels, scores)
    return figures


def evidence_of(figures: Mapping[str, float], *, rows: str = "", unseen: tuple[str, ...] = ()) -> Evidence:
    """Return what `evaluate` found as gates read it.

    >>> found = evidence_of({"rmse": 2.0, "rmse_high": 3.0, "baseline_rmse": 9.0, "test_rows": 40.0})
    >>> found.n, found.groups, found.n_pos, found.figures["rmse"]
    (40, 0, None, Figure(value=2.0, low=None, high=3.0, baseline=9.0))
    """
    counts = {name: figures.get(f"test_{name}") for name in ("rows", "groups", "positives", "positive_groups")}
    n, groups, n_pos, pos_groups = (None if count is None else int(count) for count in counts.values())
    return Evidence(
        rows=rows,
        n=n or 0,
        groups=groups or 0,
        n_pos=n_pos,
        pos_groups=pos_groups,
        figures={
            name: Figure(
                value=known(figures[name]),
                low=known(figures.get(f"{name}_low")),
                high=known(figures.get(f"{name}_high")),
                baseline=known(figures.get(f"baseline_{name}")),
            )
            for name in FIGURES
            if name in figures
        },
        unseen=unseen,
    )


def gain(
    task: str, *, labels: Floats, scores: Floats, rival: Floats, groups: NDArray[np.str_], seed: int
) -> tuple[str, Figure]:
    """Return what scores gain over a rival's on the same rows: by how much, or of an error in units, by which share.

    The interval resamples assets and compares on each sample, so what is hard for both is no difference. Of false
    alarms, the scores are 1 where a detector would alarm and 0 where not, and what is gained is a difference: of a
    rival without any, no share can be told.

    >>> truth, groups = np.array([1.0, 2.0, 3.0, 4.0]), np.array(["a", "a", "b", "b"])
    >>> name, found = gain("rul", labels=truth, scores=truth + 1, rival=truth + 2, groups=groups, seed=1)
    >>> name, found.value, found.low, found.baseline
    ('rmse', 0.5, 0.5, 2.0)
    """
    name, metric = METRICS[task]

    def over(own: float, other: float) -> float:
        if FIGURES[name]:
            return own - other
        if name == "false_alarm_share":
            return other - own
        return 1 - own / other if other else float("nan")

    low, high = asset_interval(
        lambda rows: over(metric(labels[rows], scores[rows]), metric(labels[rows], rival[rows])), groups, seed=seed
    )
    base = metric(labels, rival)
    value = known(over(metric(labels, scores), base))
    return name, Figure(value=value, low=known(low), high=known(high), baseline=known(base))


def asset_interval(
    figure: Callable[[NDArray[np.int64]], float], groups: NDArray[np.str_], *, seed: int
) -> tuple[float, float]:
    """Return the 5 % and 95 % quantiles of a figure of rows over 200 resamples of groups."""
    names, member = np.unique(groups, return_inverse=True)
    rows_of = [np.flatnonzero(member == i) for i in range(len(names))]
    generator = np.random.default_rng(seed)
    figures = []
    for _ in range(200):
        rows = np.concatenate([rows_of[i] for i in generator.integers(0, len(names), len(names))])
        figures.append(figure(rows))
    known_ones = np.array(figures)[np.isfinite(figures)]
    if not len(known_ones):
        return float("nan"), float("nan")
    low, high = np.quantile(known_ones, [0.05, 0.95])
    return float(low), float(high)
