"""Rows beside their baseline: every comparison judged together with all others of the check."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from lineshaft.drift import steps
from lineshaft.drift.baseline import Baseline, Moments, surprises, with_fleet
from lineshaft.drift.distances import ks_distance, ks_p, ks_p_of_rows, psi, psi_p
from lineshaft.drift.policy import METHODS, DriftPolicy
from lineshaft.drift.rows import FLEET, Rows
from lineshaft.drift.worth import Floats, effective_sizes

NEW = "new"
"""Stands for all assets that training never saw, together."""
PERFORMANCE = "performance"
"""The scope of a finding that predictions are worse than they were."""
_LEAST_ROWS = 3
_PER_BIN = 5  # independent values, below which the law of the index by chance does not hold
_MOST = 1e3  # of an effect: a baseline without any spread has no unit to tell it in


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One comparison: of a column, of whom (an asset, FLEET or NEW), in which regime, by which method.

    `effect`: of `distribution` the KS distance, of `stability` the index (PSI), of `level` and `step` standard
    deviations, of `spread` a ratio, of `missing` the difference of shares. `verdict`: "drift", "none", or "unknown"
    (too few independent values).
    """

    column: str
    scope: str
    regime: str
    method: str
    effect: float
    p: float
    q: float
    verdict: str
    rows: int
    reference_effective: float
    current_effective: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Told:
    """One method's comparisons: scopes x columns. `matters`: whether the effect is as large as asked for."""

    method: str
    scopes: Sequence[str]
    effect: Floats
    p: Floats  # NaN: unknown
    matters: NDArray[np.bool_]
    rows: Floats
    reference: Floats
    current: Floats


def find(baselines: Sequence[Baseline | None], rows: Rows, policy: DriftPolicy) -> list[Finding]:
    """Compare rows with the baseline of their regime and judge all together; drifts first, by q.

    Of single assets only what drifts is returned; of all of a baseline, of all new ones and of an only one, everything.
    """
    told: list[tuple[str, Baseline, _Told]] = []
    for number, (name, baseline) in enumerate(zip(policy.regimes.names(), baselines, strict=True)):
        mine = rows.take(rows.regimes == number)
        if baseline is not None and len(mine):
            told += [(name, baseline, one) for one in _compared(baseline, mine, policy)]
    if not told:
        return []
    p = np.concatenate([one.p.ravel() for _, _, one in told])
    # That values are missing is told apart: it says nothing of those that are there, and would only dilute them.
    apart = np.concatenate([np.full(one.p.size, one.method == "missing") for _, _, one in told])
    q = np.full_like(p, np.nan)
    for family in (apart, ~apart):
        known = family & ~np.isnan(p)
        if known.any():
            q[known] = stats.false_discovery_control(p[known])
    found: list[Finding] = []
    start = 0
    for name, baseline, one in told:
        stop = start + one.p.size
        found += _judged(name, baseline, one, q[start:stop].reshape(one.p.shape), policy)
        start = stop
    return sorted(found, key=lambda one: (one.verdict != "drift", one.q if one.q == one.q else 2.0))


def outcome_of(findings: Iterable[Finding]) -> str:
    """Return "drift" if anything drifts, "none" if anything could be judged, else "unknown".

    That no more values are missing than before, or that none stepped, says nothing of where they lie.
    """
    verdicts = {one.verdict for one in findings if one.verdict != "none" or one.method not in ("missing", "step")}
    return next((one for one in ("drift", "none") if one in verdicts), "unknown")


def _judged(regime: str, baseline: Baseline, told: _Told, q: Floats, policy: DriftPolicy) -> list[Finding]:
    """Return what is worth keeping of a method's comparisons."""
    drift = (q < policy.fdr) & told.matters
    found = []
    together = np.isin(np.array(told.scopes), (FLEET, NEW))[:, None] | (len(told.scopes) == 1)
    for row, place in zip(*np.nonzero(drift | together), strict=True):
        unknown = bool(np.isnan(told.p[row, place]))
        found.append(
            Finding(
                column=baseline.columns[place],
                scope=told.scopes[row],
                regime=regime,
                method=told.method,
                effect=float(told.effect[row, place]),
                p=float(told.p[row, place]),
                q=float(q[row, place]),
                verdict="unknown" if unknown else "drift" if drift[row, place] else "none",
                rows=int(told.rows[row, place]),
                reference_effective=float(told.reference[row, place]),
                current_effective=float(told.current[row, place]),
            )
        )
    return found


def _compared(baseline: Baseline, rows: Rows, policy: DriftPolicy) -> list[_Told]:
    """Return all comparisons with one baseline."""
    place = {name: number for number, name in enumerate(baseline.assets)}
    is_known = np.array([name in place for name in rows.names], dtype=bool)[rows.groups]
    found = []
    if is_known.any():
        mine = rows.take(is_known)
        found += _distribution(baseline, mine, FLEET, policy)
        if FLEET in place:
            mine = with_fleet(mine, baseline.assets[:-1], baseline.own.level.mean[:-1])
        codes = np.array([place[name] for name in mine.names])
        found += [method(baseline, mine, codes, policy) for method in (_level, _spread, _step, _missing)]
    if not is_known.all():
        new = rows.take(~is_known)
        found += [*_distribution(baseline, new, NEW, policy), *_new(baseline, new, policy)]
    return found


def _distribution(baseline: Baseline, rows: Rows, scope: str, policy: DriftPolicy) -> list[_Told]:
    """Compare whole distributions, by Kolmogorov and Smirnov and by bins, counted by what they are worth."""
    counts = np.isfinite(rows.values).sum(axis=0).astype(np.float64)
    current = _worth(baseline, rows, scope, counts) if policy.effective else counts
    sizes = np.array([len(one) for one in baseline.grid], dtype=np.float64)
    reference = baseline.effective if policy.effective else sizes
    effects, chances = np.full((2, len(counts)), np.nan), np.full((2, len(counts)), np.nan)
    for number, grid in enumerate(baseline.grid):
        if not len(grid) or not counts[number]:
            continue
        values, worth = rows.values[:, number], (float(reference[number]), float(current[number]))
        values = values[np.isfinite(values)]
        effects[:, number] = ks_distance(grid, values), psi(grid, values, bins=policy.bins)
        if min(worth) >= policy.min_effective:
            by_worth = ks_p(effects[0, number], *worth) if policy.effective else ks_p_of_rows(grid, values)
            chances[0, number] = by_worth
        if min(worth) >= _PER_BIN * policy.bins:
            chances[1, number] = psi_p(effects[1, number], *worth, bins=policy.bins)
    return [
        _Told(
            method=METHODS[place],
            scopes=(scope,),
            effect=effects[place][None],
            p=chances[place][None],
            matters=effects[place][None] >= _least(policy, METHODS[place], rows),
            rows=counts[None],
            reference=reference[None],
            current=current[None],
        )
        for place in range(2)
    ]


def _worths(was: Moments, now: Moments, times: Floats, between: Floats) -> tuple[Floats, Floats]:
    """Return what series are worth: by how long a value lasts, and a window no more than windows differ."""
    most = np.divide(1.0, between, out=np.full_like(between, np.nan), where=between > 0)
    return was.count / times, np.maximum(np.minimum(now.count / times, most), 1.0)


def _worth(baseline: Baseline, rows: Rows, scope: str, counts: Floats) -> Floats:
    """Return what rows are worth: no more than as many of the baseline, for a short window knows no slow change."""
    sizes = np.array([len(one) for one in baseline.grid], dtype=np.float64)
    share = np.divide(baseline.effective, baseline.rows * baseline.known, out=np.zeros_like(sizes), where=sizes > 0)
    most = np.minimum(effective_sizes(rows.values, rows.groups), counts * share)
    if scope == FLEET:  # and none where nobody knows how much windows differ
        known: Floats = np.nan_to_num(np.minimum(most, baseline.window_worth))
        return np.minimum(np.maximum(known, 1.0), counts)
    return np.clip(most, np.minimum(len(rows.names), counts), counts)


def _level(baseline: Baseline, rows: Rows, codes: NDArray[np.int64], policy: DriftPolicy) -> _Told:
    """Compare the mean of each series with its own, in its own standard deviations."""
    own = baseline.own
    was, now = _rows_of(own.level, codes), Moments.of(rows.values, rows.starts)
    worth = _worths(was, now, own.time[codes], own.between[codes])
    effect, p = _apart(was, now, *worth, policy, freedom=own.freedom[codes])
    return _Told(
        method="level",
        scopes=rows.names,
        effect=effect,
        p=p,
        matters=np.abs(effect) >= _least(policy, "level", rows),
        rows=now.count,
        reference=worth[0],
        current=worth[1],
    )


def _spread(baseline: Baseline, rows: Rows, codes: NDArray[np.int64], policy: DriftPolicy) -> _Told:
    """Compare how far each row lies from what the one before let expect."""
    own = baseline.own
    was, now = _rows_of(own.spread, codes), Moments.of(surprises(rows, baseline.phi), rows.starts)
    worth = _worths(was, now, own.spread_time[codes], own.spread_between[codes])
    _, p = _apart(was, now, *worth, policy, freedom=own.freedom[codes])
    ratio = np.divide(now.mean, was.mean, out=np.full_like(p, np.nan), where=was.mean > 0)
    p = np.where(np.isnan(ratio), np.nan, p)
    return _Told(
        method="spread",
        scopes=rows.names,
        effect=np.minimum(ratio, _MOST),
        p=p,
        matters=_matters(ratio, _least(policy, "spread", rows)),
        rows=now.count,
        reference=worth[0],
        current=worth[1],
    )


def _step(baseline: Baseline, rows: Rows, codes: NDArray[np.int64], policy: DriftPolicy) -> _Told:
    """Compare the largest step of each series with those that were usual."""
    sd = baseline.own.level.sd[codes]
    size, count = steps.largest(rows, sd), Moments.of(rows.values, rows.starts).count
    worth = baseline.own.level.count[codes] / baseline.own.time[codes]
    p = steps.chance(size, count, baseline.step)
    return _Told(
        method="step",
        scopes=rows.names,
        effect=np.minimum(size, _MOST),
        p=np.where((count >= steps.REACH) & (sd > 0), p, np.nan),
        matters=size >= _least(policy, "step", rows),
        rows=count,
        reference=worth,
        current=count / steps.AROUND,
    )


def _missing(baseline: Baseline, rows: Rows, codes: NDArray[np.int64], policy: DriftPolicy) -> _Told:
    """Compare the share of values that are not known; each row counts, for there is nothing to be correlated."""
    was = _rows_of(baseline.own.level, codes)
    total = np.add.reduceat(np.ones(len(rows)), rows.starts)[:, None]
    now = Moments.of(rows.values, rows.starts).count
    before, after = 1 - baseline.known, 1 - now / total
    effect = after - before
    expected = np.sqrt(np.maximum(before * (1 - before), 0.25 / np.maximum(was.count, 1.0)) / total)
    p = 2 * stats.norm.sf(np.abs(effect) / expected)
    return _Told(
        method="missing",
        scopes=rows.names,
        effect=effect,
        p=np.where(was.count >= policy.min_effective, p, np.nan),
        matters=effect >= _least(policy, "missing", rows),
        rows=np.broadcast_to(total, effect.shape).astype(np.float64),
        reference=was.count,
        current=now,
    )


def _new(baseline: Baseline, rows: Rows, policy: DriftPolicy) -> list[_Told]:
    """Compare assets that training never saw with those it saw, in level and in spread: each asset counts once."""
    seen = np.array([name != FLEET for name in baseline.assets])
    then, now = baseline.own, Moments.of(rows.values, rows.starts)
    restless = Moments.of(surprises(rows, baseline.phi), rows.starts)
    found = []
    for method, was, own in (("level", then.level, now), ("spread", then.spread, restless)):
        values = [np.where(one.count >= _LEAST_ROWS, one.mean, np.nan) for one in (was, own)]
        if method == "spread":
            values = [np.log(_positive(one)) for one in values]
        start = np.zeros(1, np.int64)
        before, after = Moments.of(values[0][seen], start), Moments.of(values[1], start)
        _, p = _apart(before, after, before.count, after.count, policy, pooled=True)
        away = after.mean - before.mean
        effect = np.exp(away) if method == "spread" else away / np.where(baseline.sd > 0, baseline.sd, np.nan)
        enough, least = after.count >= policy.min_effective, _least(policy, method, rows)
        found.append(
            _Told(
                method=method,
                scopes=(NEW,),
                effect=np.clip(effect, -_MOST, _MOST),
                p=np.where(enough & np.isfinite(effect), p, np.nan),
                matters=_matters(effect, least) if method == "spread" else np.abs(effect) >= least,
                rows=after.count,
                reference=before.count,
                current=after.count,
            )
        )
    return found


def _positive(values: Floats) -> Floats:
    """Return values with NaN for what has no logarithm."""
    return np.where(values > 0, values, np.nan)


def _least(policy: DriftPolicy, method: str, rows: Rows) -> Floats:
    """Return the least effect of each column."""
    return np.array(policy.least_of(method, rows.columns))


def _matters(ratio: Floats, least: Floats) -> NDArray[np.bool_]:
    """Tell which ratios are as far from one as asked for, either way."""
    with np.errstate(divide="ignore", invalid="ignore"):
        far: NDArray[np.bool_] = np.maximum(ratio, 1 / ratio) >= least
    return far


def size_of(one: Finding) -> float:
    """Return how large an effect is, either way: what a least effect is held against."""
    if one.method == "spread":
        return max(one.effect, 1 / one.effect) if one.effect > 0 else _MOST
    return abs(one.effect)


def _apart(
    was: Moments,
    now: Moments,
    reference: Floats,
    current: Floats,
    policy: DriftPolicy,
    *,
    freedom: Floats | None = None,
    pooled: bool = False,
) -> tuple[Floats, Floats]:
    """Return the difference of means in deviations of the reference, and its p by Student for what rows are worth."""
    own = np.maximum(reference - 1, 1.0)
    freedom = own if freedom is None else np.minimum(own, freedom)
    variance = was.sd**2 * reference / own
    if pooled:
        variance = np.maximum(variance, now.sd**2 * current / np.maximum(current - 1, 1.0))
    scale = np.sqrt(np.maximum(variance, (1e-6 * np.abs(was.mean)) ** 2 + 1e-24))
    effect = (now.mean - was.mean) / scale
    p = 2 * stats.t.sf(np.abs(effect) / np.sqrt(1 / np.maximum(reference, 1) + 1 / np.maximum(current, 1)), freedom)
    enough = (reference >= policy.min_effective) & (now.count >= _LEAST_ROWS)
    return np.clip(effect, -_MOST, _MOST), np.where(enough, p, np.nan)


def _rows_of(moments: Moments, codes: NDArray[np.int64]) -> Moments:
    """Return the moments of these series."""
    return replace(moments, count=moments.count[codes], mean=moments.mean[codes], sd=moments.sd[codes])
