"""Before alarms are switched on: least effects taken from a healthy history, and what can be told at all.

No statistics of a week know what a healthy machine does in a month. Where a history is longer than a baseline, what
was found in it although nothing was wrong says how far healthy machines go; that much and half again is asked for from
then on. A part of the history that had no say in this tells what comes of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import stats

from lineshaft.drift.baseline import Baseline, Moments
from lineshaft.drift.policy import DriftPolicy, Least
from lineshaft.drift.replay import Replayed, baselines_of, replay
from lineshaft.drift.rows import FLEET, Rows
from lineshaft.drift.worth import Floats

MARGIN = 1.5
"""How much more is asked for than healthy machines showed: chosen before anything was judged by it."""
_METHODS = 3  # that compare each series: level, spread, step


@dataclass(frozen=True, slots=True, kw_only=True)
class Detectable:
    """What a single window of one asset tells of a column with even odds; NaN where nobody can say.

    `shift` is in standard deviations, `spread` a ratio; `values` is how many independent ones a window holds.
    """

    column: str
    shift: float
    spread: float
    values: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """Least effects by the earlier part of a healthy history, and the later part judged without and with them."""

    least: tuple[Least, ...]
    chosen: Replayed
    before: Replayed
    after: Replayed


def calibrate(
    baselines: Sequence[Baseline | None],
    chosen: Rows,
    held_out: Rows,
    policy: DriftPolicy,
    *,
    step_us: int,
    every_us: int,
) -> Calibrated:
    """Choose least effects on one part of a healthy history, and judge another by them."""
    found = replay(baselines, chosen, policy, step_us=step_us, every_us=every_us)
    least = least_effects([found])
    before, after = (
        replay(baselines, held_out, one, step_us=step_us, every_us=every_us) for one in (policy, policy.asking(least))
    )
    return Calibrated(least=least, chosen=found, before=before, after=after)


def least_effects(replayed: Iterable[Replayed], *, margin: float = MARGIN) -> tuple[Least, ...]:
    """Return the largest effect that was found of each column by each method in healthy histories, and half again."""
    largest: dict[tuple[str, str], float] = {}
    for one in replayed:
        for key, size in one.largest.items():
            largest[key] = max(size, largest.get(key, 0.0))
    return tuple(
        Least(column=column, method=method, effect=float(size**margin if method == "spread" else size * margin))
        for (column, method), size in sorted(largest.items())
    )


def detectable(baselines: Sequence[Baseline | None], policy: DriftPolicy, *, step_us: int) -> list[Detectable]:
    """Return what a window can tell, in the regime with most rows, as the policy judges all comparisons of a check."""
    baseline = max((one for one in baselines if one is not None), key=lambda one: one.rows, default=None)
    if baseline is None:
        return []
    own, alone = baseline.own, [place for place, name in enumerate(baseline.assets) if name != FLEET]
    compared = len(baseline.columns) * (_METHODS * len(baseline.assets) + 2)
    full = max(policy.window_us // step_us, 1)
    parts = []
    for moments, time, between in (
        (own.level, own.time, own.between),
        (own.spread, own.spread_time, own.spread_between),
    ):
        values = np.minimum(full / time, np.divide(1.0, between, out=np.full_like(between, np.nan), where=between > 0))
        parts.append((_least_told(moments, time, values, own.freedom, policy.fdr / compared), values))
    (shift, values), (wider, _) = parts
    ratio = 1 + wider * np.divide(
        own.spread.sd, own.spread.mean, out=np.full_like(wider, np.nan), where=own.spread.mean > 0
    )
    least = {method: np.array(policy.least_of(method, baseline.columns)) for method in ("level", "spread")}
    middle = [_median(one[alone]) for one in (np.fmax(shift, least["level"]), np.fmax(ratio, least["spread"]), values)]
    unknown = np.isnan(_median(shift[alone]))
    return [
        Detectable(
            column=name,
            shift=float("nan") if unknown[place] else float(middle[0][place]),
            spread=float("nan") if unknown[place] else float(middle[1][place]),
            values=float(middle[2][place]),
        )
        for place, name in enumerate(baseline.columns)
    ]


def at_most(alarms: int, asset_months: float, *, sure: float = 0.95) -> float:
    """Return the rate that so few alarms leave possible: none in a month may still be three.

    >>> round(at_most(0, 1.0), 2), round(at_most(0, 12.0), 2)
    (3.0, 0.25)
    """
    return float(stats.chi2.ppf(sure, 2 * (alarms + 1)) / 2 / asset_months) if asset_months else float("nan")


def written(least: Sequence[Least]) -> Mapping[str, Mapping[str, float]]:
    """Return least effects as a policy file has them: by column and method."""
    found: dict[str, dict[str, float]] = {}
    for one in least:
        found.setdefault(one.column, {})[one.method] = round(one.effect, 3)
    return found


def split(rows: Rows, shares: Sequence[float]) -> list[Rows]:
    """Return the rows in parts of such shares of their time, in order."""
    first, last = int(rows.cells.min()), int(rows.cells.max())
    edges = [first + round(one * (last + 1 - first)) for one in np.cumsum((0.0, *shares))]
    edges[-1] = last + 1
    return [rows.take((rows.cells >= a) & (rows.cells < b)) for a, b in pairwise(edges)]


def history(
    rows: Rows, policy: DriftPolicy, *, share: float, held_out: float, step_us: int, every_us: int
) -> tuple[list[Baseline | None], Calibrated]:
    """Return the baselines of the first share of a healthy history, and what the rest says by them."""
    was, chosen, last = split(rows, (share, 1 - share - held_out, held_out))
    baselines = baselines_of(was, policy, step_us=step_us)
    return baselines, calibrate(baselines, chosen, last, policy, step_us=step_us, every_us=every_us)


def _least_told(was: Moments, time: Floats, values: Floats, freedom: Floats, rate: float) -> Floats:
    """Return the difference of means that has a p-value of so much, in standard deviations."""
    reference = np.maximum(was.count / time, 1.0)
    free = np.where(np.isnan(freedom), np.nan, np.fmin(np.maximum(reference - 1, 1.0), freedom))
    told: Floats = stats.t.isf(rate / 2, free) * np.sqrt(1 / reference + 1 / values)
    return told


def _median(values: Floats) -> Floats:
    """Return the median over series of each column, of those that are known."""
    parts = [one[np.isfinite(one)] for one in values.T]
    return np.array([np.median(one) if len(one) else np.nan for one in parts])
