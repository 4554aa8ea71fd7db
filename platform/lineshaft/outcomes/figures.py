"""How good a model was by what happened: figures of episodes, each with the share of them that may be judged yet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.special import stdtrit

from lineshaft.outcomes.states import State

Floats = NDArray[np.float64]
MOST_GROUPS = 200
"""Assets are left out one by one, or in so many groups."""
MIN_TOLD = 20
"""Findings that must be written down before they stand for those that are not."""
RIGHT = (State.TRUE_POSITIVE, State.PREVENTED)
UNTOLD = (State.ACTED_UNKNOWN, State.CENSORED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share with its 95 % interval, and of how many it is; NaN of none."""

    value: float
    low: float
    high: float
    of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What became of the alerts of one version in one slot, and of the failures it should have seen.

    `precision` is that of all alerts, by the assumption that `precision()` names. `floor` and `ceiling` hold whoever
    acted on what: every alert without a known outcome was wrong, or right. `naive` is what a join of alerts with
    failures says. `recall` counts alerts of untold outcome as `precision` does.
    """

    version: str
    slot: str
    counts: dict[State, int]  # of alerts; false negatives of failures and damage; true negatives of quiet stretches
    precision: Share
    floor: float
    ceiling: float
    naive: float
    recall: float
    lead_s: float  # median, of true positives
    matured: float  # share of alerts that may be judged


def figures(table: pa.Table) -> list[Figures]:
    """Return the figures of each version and slot in a table of episodes."""
    groups = table.group_by(["version", "slot"]).aggregate([])
    keys = sorted((row["version"], row["slot"]) for row in groups.to_pylist())
    return [_figures_of(table, version, slot) for version, slot in keys]


def _figures_of(table: pa.Table, version: str, slot: str) -> Figures:
    own = table.filter(pc.and_(pc.equal(table["version"], version), pc.equal(table["slot"], slot)))
    alerts, found = (own.filter(pc.equal(own["kind"], kind)) for kind in ("alert", "event"))
    counts = count_states(own)
    judged = sum(counts[state] for state in (*RIGHT, *UNTOLD, State.FALSE_POSITIVE))
    right, untold = (sum(counts[state] for state in group) for group in (RIGHT, UNTOLD))
    share = precision(alerts)
    warned = pc.sum(pc.equal(found["state"], str(State.TRUE_POSITIVE))).as_py() or 0
    caught = warned + (judged * share.value - right if untold else 0)
    leads = alerts.filter(pc.equal(alerts["state"], str(State.TRUE_POSITIVE)))["after_s"].to_numpy()
    return Figures(
        version=version,
        slot=slot,
        counts=counts,
        precision=share,
        floor=_ratio(right, judged),
        ceiling=_ratio(right + untold, judged),
        naive=_ratio(counts[State.TRUE_POSITIVE], judged),
        recall=_ratio(caught, caught + counts[State.FALSE_NEGATIVE]),
        lead_s=float(np.median(leads)) if len(leads) else math.nan,
        matured=_ratio(judged, judged + counts[State.PENDING]),
    )


def count_states(table: pa.Table) -> dict[State, int]:
    """Return how many alerts came to each state, with the failures that were missed and the quiet that was right."""
    counts = dict.fromkeys(State, 0)
    kind_of = {State.FALSE_NEGATIVE: "event", State.TRUE_NEGATIVE: "quiet"}
    for row in table.group_by(["kind", "state"]).aggregate([([], "count_all")]).to_pylist():
        state = State(row["state"])
        if row["kind"] == kind_of.get(state, "alert"):
            counts[state] = row["count_all"]
    return counts


def precision(alerts: pa.Table) -> Share:
    """Return how likely an alert was right, whether or not somebody came.

    Leaving out alerts that were acted upon is not enough: a machine that fails before anybody comes stays in, a false
    alarm that somebody comes to does not, and the share of those left is too good. Where findings were written down of
    MIN_TOLD visits or more, they stand for the visits of which none was; the alerts nobody came to are followed to
    their end, by Kaplan and Meier until they were renewed for another reason. With fewer findings a visit is such a
    reason too, which assumes that people acted whatever would have been.
    """
    ripe = alerts.filter(pc.not_equal(alerts["state"], str(State.PENDING)))
    states, after = np.array(ripe["state"].to_pylist(), dtype=object), pc.fill_null(ripe["after_s"], np.inf).to_numpy()
    hits, untold = np.isin(states, RIGHT), np.isin(states, UNTOLD)
    looked = np.isin(states, (State.PREVENTED, State.FALSE_POSITIVE)) & (after < np.inf)
    visited = (
        looked | (states == str(State.ACTED_UNKNOWN)) if looked.sum() >= MIN_TOLD else np.zeros(len(hits), dtype=bool)
    )
    claims = Claims(hits=hits, told=~untold, visited=visited, ended=np.where(looked, np.inf, after))
    return share_of(claims, ripe["asset_id"].to_pylist())


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """Alerts of which a share was right: those `told` for certain, the others followed until `ended`."""

    hits: NDArray[np.bool_]
    told: NDArray[np.bool_]
    visited: NDArray[np.bool_]  # judged by the visits that were told, not by how long they were followed
    ended: Floats

    @staticmethod
    def all_told(hits: NDArray[np.bool_]) -> Claims:
        """Return claims of which every outcome is known."""
        return Claims(hits=hits, told=np.ones_like(hits), visited=np.zeros_like(hits), ended=np.zeros(len(hits)))

    def in_order(self) -> tuple[Claims, NDArray[np.intp]]:
        """Return claims by the time they ended, of one moment the right ones first, and their places before."""
        order = np.lexsort((~(self.hits & self.told), self.ended))
        return Claims(**{name: getattr(self, name)[order] for name in self.__slots__}), order

    def right(self, weights: Floats) -> Floats:
        """Return the share that was right for each row of weights; the claims are in order."""
        rest = weights * ~self.visited
        left = np.cumsum(rest[:, ::-1], axis=1)[:, ::-1]
        steps = np.where((self.hits & self.told)[None, :] & (left > 0), 1 - rest / np.maximum(left, 1e-12), 1.0)
        followed = 1 - np.prod(steps, axis=1)
        found = weights * (self.visited & self.told)
        looked = (found * self.hits).sum(axis=1) / np.maximum(found.sum(axis=1), 1e-12)
        part = (weights * self.visited).sum(axis=1) / np.maximum(weights.sum(axis=1), 1e-12)
        share: Floats = part * looked + (1 - part) * followed
        return share


def share_of(claims: Claims, assets: Sequence[str]) -> Share:
    """Return a share with Wilson's interval for as many independent rows as the assets make of them.

    How much the share moves as assets are left out tells how much less than itself each row is worth; where all rows
    agree nothing can be told of it, and each asset counts once. The quantile is Student's, for assets are few.

    >>> found = share_of(Claims.all_told(np.array([True, True, False, True])), ["a", "b", "c", "d"])
    >>> found.value, round(found.low, 2), round(found.high, 2)
    (0.75, 0.13, 0.98)
    """
    rows = int(claims.told.sum())
    if not rows:
        return Share(value=math.nan, low=math.nan, high=math.nan, of=0)
    ordered, order = claims.in_order()
    _, member = np.unique(np.array(assets)[order], return_inverse=True)
    count = int(member.max()) + 1
    value = float(ordered.right(np.ones((1, len(order))))[0])
    if count < 2:
        return Share(value=value, low=0.0, high=1.0, of=rows)
    groups = min(count, MOST_GROUPS)
    without = (member % groups)[None, :] != np.arange(groups)[:, None]
    moved = ordered.right(without.astype(np.float64))
    spread = (groups - 1) / groups * float(np.sum((moved - moved.mean()) ** 2))
    worth = min(float(rows), value * (1 - value) / spread) if spread > 0 and 0 < value < 1 else float(count)
    z = float(stdtrit(groups - 1, 0.975))
    middle = (value + z**2 / (2 * worth)) / (1 + z**2 / worth)
    half = z / (1 + z**2 / worth) * math.sqrt(value * (1 - value) / worth + z**2 / (4 * worth**2))
    return Share(value=value, low=max(0.0, middle - half), high=min(1.0, middle + half), of=rows)


def over_time(table: pa.Table, *, by: str) -> list[dict[str, object]]:
    """Return a row for each version, slot and period (`week` or `month`) in which alerts began, or failures came."""
    period = pc.strftime(pc.floor_temporal(table["start"], unit=by), format="%Y-%m-%d")
    dated = table.append_column("period", period)
    rows = []
    for name in sorted(pc.unique(period).to_pylist()):
        for one in figures(dated.filter(pc.equal(dated["period"], name)).drop_columns(["period"])):
            alerts = sum(one.counts.values()) - one.counts[State.FALSE_NEGATIVE] - one.counts[State.TRUE_NEGATIVE]
            row = {by: name, "version": one.version, "slot": one.slot, "alerts": alerts, "matured": one.matured}
            told = {"precision": one.precision.value, "low": one.precision.low, "high": one.precision.high}
            rows.append({**row, **told, "of": one.precision.of, "missed": one.counts[State.FALSE_NEGATIVE]})
    return rows


def changes(before: pa.Table, after: pa.Table) -> dict[str, int]:
    """Return how many episodes went from one state to another since they were judged last, "from to to" by words."""
    was = dict(zip(before["episode_id"].to_pylist(), before["state"].to_pylist(), strict=True))
    found: dict[str, int] = {}
    for name, state in zip(after["episode_id"].to_pylist(), after["state"].to_pylist(), strict=True):
        move = f"{was.pop(name, 'new')} to {state}"
        if not move.startswith(f"{state} "):
            found[move] = found.get(move, 0) + 1
    for state in was.values():
        found[f"{state} to gone"] = found.get(f"{state} to gone", 0) + 1
    return dict(sorted(found.items()))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
