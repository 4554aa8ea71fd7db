"""People who act on alerts, laid over a history in which nobody did: so what would have been is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

DAY_US = 86_400_000_000
START_US = 1_704_067_200_000_000  # 2024-01-01
MOMENT = pa.timestamp("us", tz="UTC")
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """How people act on alerts. Acting is independent of what would have been where both shares are the same."""

    acted_if_right: float = 0.6
    acted_if_wrong: float = 0.6
    told: float = 0.5  # share of visits of which the finding is written down
    mistaken: float = 0.0  # share of written findings that are the contrary of what was so
    arrives_us: tuple[int, int] = (DAY_US // 10, DAY_US * 3 // 2)  # after the alert, evenly between
    report_us: int = 2 * DAY_US  # median delay of an entry, lognormal
    seed: int = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Acted:
    """The log that is left, and the truth that no log has: if each alert was `right`, and was `acted` on."""

    maintenance: pa.Table
    right: NDArray[np.bool_]
    acted: NDArray[np.bool_]


def act_on(assets: list[str], alerts_us: Ints, log: pa.Table, *, horizon_us: int, crew: Crew) -> Acted:
    """Let a crew act on alerts (one asset and time each), in a history of which the log is whole.

    log: `asset_id`, `event_time`, `kind` and, where it is known, `would_fail`: when a part that was replaced would have
    failed. A visit in time takes the failures of the alert's horizon out of the log; a late one changes nothing.
    """
    dice = np.random.default_rng(crew.seed)
    events = log.sort_by("event_time")
    names, kinds = np.array(events["asset_id"].to_pylist(), dtype=object), np.array(events["kind"].to_pylist())
    times = np.asarray(events["event_time"].cast(pa.int64()).to_numpy(), dtype=np.int64)
    fails = times
    if "would_fail" in events.column_names:
        fails = np.asarray(pc.coalesce(events["would_fail"], events["event_time"]).cast(pa.int64()).to_numpy())
    order = np.lexsort((times, names.astype(str)))
    assets_there, first = np.unique(names[order].astype(str), return_index=True)
    own = dict(zip(assets_there.tolist(), np.split(order, first[1:]), strict=True))
    is_end = (kinds == "failure") | (fails > times)
    averted = np.zeros(len(times), dtype=bool)
    right, acted, rows = [], [], []
    for asset, at in zip(assets, alerts_us.tolist(), strict=True):
        mine = own.get(asset, np.empty(0, dtype=np.intp))
        ahead = mine[(times[mine] > at) & (fails[mine] <= at + horizon_us) & is_end[mine]]
        right.append(bool(len(ahead)))
        acted.append(bool(dice.random() < (crew.acted_if_right if right[-1] else crew.acted_if_wrong)))
        visit, is_told, is_mistaken = at + int(dice.integers(*crew.arrives_us)), dice.random(), dice.random()
        if not acted[-1] or (times[ahead] <= visit).any():
            continue
        averted[ahead[kinds[ahead] == "failure"]] = True
        found = "damage" if right[-1] != (is_mistaken < crew.mistaken) else "ok"
        rows.append((asset, visit, f"intervention_{found}" if is_told < crew.told else "intervention"))
    left = events.select(["asset_id", "event_time", "kind"]).filter(pa.array(~averted))
    visits = pa.table([list(column) for column in zip(*rows, strict=True)] or [[], [], []], names=left.column_names)
    both = pa.concat_tables(
        [left, visits.set_column(1, "event_time", visits["event_time"].cast(MOMENT)).cast(left.schema)]
    )
    return Acted(
        maintenance=_reported(both, crew.report_us, dice),
        right=np.array(right, dtype=bool),
        acted=np.array(acted, dtype=bool),
    )


def _reported(log: pa.Table, delay_us: int, dice: np.random.Generator) -> pa.Table:
    """Return a log whose entries were written some time after they happened."""
    delays = np.rint(delay_us * dice.lognormal(0.0, 0.5, len(log))).astype(np.int64)
    known = pc.add(log["event_time"].cast(pa.int64()), pa.array(delays)).cast(MOMENT)
    return log.append_column("known_at", known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """A fleet that is predicted of and let run until it fails. Times in days."""

    assets: int = 400
    days: int = 730
    horizon: float = 5.0
    life: float = 60.0  # mean, Weibull of shape 2.5
    planned_every: float = 90.0  # a part this old is replaced
    noise: float = 1.75  # of the score's logarithm of odds: more of it, more false alarms
    seed: int = 7

    @property
    def until_us(self) -> int:
        """Return the end of the watch."""
        return START_US + self.days * DAY_US

    def run(self) -> tuple[pa.Table, pa.Table]:
        """Return daily predictions and the maintenance log of a fleet in which nobody acts on alerts."""
        times = np.arange(0, self.days, 1.0)
        names, events, kinds, fails, scores = [], [], [], [], []
        for asset in range(self.assets):
            dice = np.random.default_rng([self.seed, asset])
            turns, own, ends, shows = self._lives(dice)
            names += [f"machine-{asset:04d}"] * len(turns)
            events += turns
            kinds += own
            fails += ends
            scores.append(self._scores(times, np.array(turns), np.array(shows), dice))
        assets = [f"machine-{asset:04d}" for asset in range(self.assets) for _ in times]
        predictions = pa.table(
            {
                "prediction_id": [f"{asset}-{day}" for asset in range(self.assets) for day in range(len(times))],
                "asset_id": assets,
                "asked_at": _moments(np.tile(times, self.assets)),
                "version": ["simulated@1"] * len(assets),
                "role": ["champion"] * len(assets),
                "score": np.concatenate(scores),
            }
        )
        log = {"asset_id": names, "event_time": _moments(np.array(events)), "kind": kinds}
        return predictions, pa.table({**log, "would_fail": _moments(np.array(fails))})

    def _lives(self, dice: np.random.Generator) -> tuple[list[float], list[str], list[float], list[float]]:
        """Return when each part's life ends, how, when it would have failed, and from when on damage shows."""
        turns: list[float] = []
        kinds: list[str] = []
        would: list[float] = []
        shows: list[float] = []
        fitted = -float(dice.uniform(0, 0.8 * self.life))
        while fitted < self.days:
            scale = self.life / 0.8873  # gamma(1 + 1/2.5)
            fails = fitted + max(scale * float(dice.weibull(2.5)), 2 * self.horizon)
            wear, planned = float(dice.uniform(0.2, 1.0)) * self.horizon, fitted + self.planned_every
            end = min(fails, planned)
            if 0 < end < self.days:
                turns.append(end)
                kinds.append("failure" if fails <= planned else "planned")
                would.append(fails)
                shows.append(fails - wear)
            fitted = end
        return turns, kinds, would, shows

    def _scores(self, times: Floats, turns: Floats, shows: Floats, dice: np.random.Generator) -> Floats:
        """Return a score each day: noise that lasts some days, and a step while damage shows."""
        noise = np.empty(len(times))
        state = 0.0
        for day, step in enumerate(dice.normal(0.0, 0.6, len(times))):
            state = 0.8 * state + step
            noise[day] = state
        life = np.searchsorted(turns, times, side="left")
        is_worn = times >= np.append(shows, np.inf)[life]
        score: Floats = 1 / (1 + np.exp(3.0 - 4.0 * is_worn - self.noise * noise))
        return score


def _moments(days: Floats) -> pa.Array:
    """Return moments from days since the start."""
    return pa.array(START_US + np.rint(days * DAY_US).astype(np.int64)).cast(MOMENT)
