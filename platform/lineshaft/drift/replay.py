"""A history replayed: what checks every so often would have said of it, before anybody is told anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lineshaft.drift.baseline import Baseline, baseline_of
from lineshaft.drift.findings import Finding, find, size_of
from lineshaft.drift.persistence import standing
from lineshaft.drift.policy import DAY_US, DriftPolicy
from lineshaft.drift.rows import Rows

MONTH_US = 30 * DAY_US


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """An alarm: of whom, at the end of which window it was raised, and what was found then."""

    scope: str
    at_us: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What a replay found: checks made, how many found anything, alarms raised, and how many asset-months it is of."""

    checks: int
    found: int
    alarms: tuple[Raised, ...]
    asset_months: float
    lasting: Mapping[tuple[str, str], int]  # by scope and column: when it was first found as often as an alarm asks
    largest: Mapping[tuple[str, str], float]  # by column and method: the largest effect that was found

    @property
    def per_asset_month(self) -> float:
        """Return how many alarms an asset has a month."""
        return len(self.alarms) / self.asset_months if self.asset_months else float("nan")


def baselines_of(rows: Rows, policy: DriftPolicy, *, step_us: int) -> list[Baseline | None]:
    """Return what rows look like, regime by regime; None where there are none."""
    parts = [rows.take(rows.regimes == number) for number in range(len(policy.regimes.names()))]
    window = max(policy.window_us // step_us, 1)
    return [baseline_of(part, window=window) if len(part) else None for part in parts]


def replay(
    baselines: Sequence[Baseline | None], rows: Rows, policy: DriftPolicy, *, step_us: int, every_us: int
) -> Replayed:
    """Check rows every so often, from the end of their first window on."""
    if not len(rows):
        return Replayed(checks=0, found=0, alarms=(), asset_months=0.0, lasting={}, largest={})
    times = (rows.cells + 1) * step_us
    start = int(rows.cells.min()) * step_us
    ends = np.arange(start + policy.window_us, int(times.max()) + 1, every_us)
    seen: list[frozenset[str]] = []
    pairs: list[frozenset[tuple[str, str]]] = []
    lasting: dict[tuple[str, str], int] = {}
    largest: dict[tuple[str, str], float] = {}
    open_: frozenset[str] = frozenset()
    alarms: list[Raised] = []
    for end in ends.tolist():
        window = rows.take((times > end - policy.window_us) & (times <= end))
        drifts = [one for one in find(baselines, window, policy) if one.verdict == "drift"] if len(window) else []
        seen.append(frozenset(one.scope for one in drifts))
        pairs.append(frozenset((one.scope, one.column) for one in drifts))
        for one in drifts:
            largest[one.column, one.method] = max(size_of(one), largest.get((one.column, one.method), 0.0))
        last = pairs[-policy.among :]
        for pair in pairs[-1]:
            if sum(pair in one for one in last) >= policy.persist:
                lasting.setdefault(pair, end)
        now = standing(seen, policy, open_=open_)
        for scope in sorted(now - open_):
            told = tuple(one for one in drifts if one.scope == scope)
            alarms.append(Raised(scope=scope, at_us=end, findings=told))
        open_ = now
    watched = max(int(times.max()) - start - policy.window_us, 0) + every_us
    return Replayed(
        checks=len(ends),
        found=sum(map(bool, seen)),
        alarms=tuple(alarms),
        asset_months=len(rows.names) * watched / MONTH_US,
        lasting=lasting,
        largest=largest,
    )
