"""What a rule of alerts would have done over scores of assets that the model never saw: the figures operators feel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lineshaft.models.alarms import DAY_US, AlarmRule, alarms
from lineshaft.models.matrix import Examples

Floats = NDArray[np.float64]
HOUR_US = DAY_US / 24
_LEVELS = 50


def alarm_rate(rule: AlarmRule, rows: Examples, scores: Floats) -> float:
    """Return alerts a day and asset, over the time that each asset was looked at; NaN where that is no time."""
    tracks = list(_tracks(rule, rows, scores))
    watched_us = sum(int(rows.times[own].max() - rows.times[own].min()) for own, _ in tracks)
    return sum(len(raised) for _, raised in tracks) * DAY_US / watched_us if watched_us else float("nan")


def alarm_figures(rule: AlarmRule, rows: Examples, scores: Floats) -> dict[str, float]:
    """Return how many alerts were right, how many failures had one, and how long before the last row that is positive.

    An alert is right where its row is positive. A failure is a run of positive rows of one asset; only alerts within
    it count for it, because what came before the horizon was a false alarm when it came. What nothing is known of is
    not there.
    """
    right, raised_in_all, runs, lead = 0, 0, 0, []
    for own, raised in _tracks(rule, rows, scores):
        times, positive = rows.times[own], rows.labels[own] > 0
        raised_in_all += len(raised)
        right += int(np.isin(times[positive], raised).sum())
        for first, last in _runs(positive):
            runs += 1
            within = [at for at in raised if times[first] <= at <= times[last]]
            lead += [(times[last] - within[0]) / HOUR_US] if within else []
    figures = {"alarms_per_asset_day": alarm_rate(rule, rows, scores)}
    if raised_in_all:
        figures["alarm_precision"] = right / raised_in_all
    if runs:
        figures["failures_alarmed"] = len(lead) / runs
    if lead:
        figures["alarm_lead_h"] = float(np.median(lead))
    return figures


def budget_figures(rule: AlarmRule, rows: Examples, scores: Floats, *, budget: float) -> dict[str, float]:
    """Return what alerts could be worth within a budget, counted in alerts a day of 100 assets.

    Of fifty thresholds, closer together the higher they are, those within the budget are held beside each other: the
    one that finds most failures counts, then the one with fewest false alerts. (The lowest one that is within it would
    often be an alert that never ends.) It is sought on the very rows it is then judged on; so these figures say how
    well scores rank, for who has so many hands, and not what an alert at this threshold will be worth. Without a
    budget, or where no threshold keeps to it with an alert to show, they are not there.
    """
    if not budget:
        return {}
    best: dict[str, float] = {}
    for level in np.unique(np.quantile(scores, 1 - np.geomspace(1 / len(scores), 1, _LEVELS)))[::-1]:
        found = alarm_figures(replace(rule, threshold=float(level)), rows, scores)
        if found["alarms_per_asset_day"] * 100 > budget or "alarm_precision" not in found:
            continue
        said = {
            "failures_alarmed_at_budget": found.get("failures_alarmed", 0.0),
            "precision_at_budget": found["alarm_precision"],
            "threshold_at_budget": float(level),
        }
        if tuple(said.values())[:2] > tuple(best.values())[:2]:
            best = said
    return best


def calibration_error(labels: Floats, scores: Floats, *, bins: int = 10) -> float:
    """Return how far probabilities are from what came of them on average, in bins of as many rows each (ECE).

    >>> calibration_error(np.array([0.0, 1, 1, 1]), np.array([0.25, 0.25, 1.0, 1.0]), bins=2)
    0.125
    """
    parts = np.array_split(np.argsort(scores, kind="stable"), min(bins, len(scores)))
    off = [abs(labels[part].mean() - scores[part].mean()) * len(part) for part in parts]
    return float(np.sum(off) / len(scores))


def _tracks(rule: AlarmRule, rows: Examples, scores: Floats) -> Iterator[tuple[NDArray[np.int64], list[int]]]:
    """Yield each asset's rows, which are in order of time, and the moments at which it would have alerted."""
    for name in np.unique(rows.groups):
        own = np.flatnonzero(rows.groups == name)
        yield own, list(alarms(rule, zip(rows.times[own].tolist(), scores[own].tolist(), strict=True)))


def _runs(positive: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Yield the first and the last place of each run.

    >>> list(_runs(np.array([True, False, True, True])))
    [(0, 0), (2, 3)]
    """
    edges = np.diff(np.concatenate([[0], positive.astype(np.int8), [0]]))
    yield from zip(np.flatnonzero(edges > 0).tolist(), (np.flatnonzero(edges < 0) - 1).tolist(), strict=True)
