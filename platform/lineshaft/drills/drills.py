"""The drills: what is hurt, how it is mended, and whether what clients saw in between keeps the promises."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lineshaft.drills.callers import Callers, Seen
from lineshaft.drills.plant import EVERY_S, MACHINES, Plant
from lineshaft.drills.wire import WELL, Manner
from lineshaft.errors import InputError

FRESH_S = 2.0
"""Rows that are older than this and not marked degraded are stale without saying so."""
AHEAD_S = 3600.0
_HURT = range(20)
_FRESH_AGAIN_S = EVERY_S + 0.75
_SETTLE_S = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """One fault: how it is caused, and how it is mended."""

    name: str
    says: str
    cause: Callable[[Plant], None]
    mend: Callable[[Plant], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What clients saw from the moment a fault was caused until some seconds after it was mended.

    `stale_unsaid`: answers with rows older than two seconds that were not marked degraded, while the plant wrote.
    `oldest_s`, `newest_s`: the ages of rows; below zero is a row of a clock that is ahead.
    `fresh_after_s`: from mending to the first answer that is fresh and not degraded; NaN if none came.
    """

    drill: str
    calls: int
    failed: int
    degraded: int
    corrupt_values: int
    missing_values: int
    wrong_values: int
    stale_unsaid: int
    p50_ms: float
    p99_ms: float
    longest_ms: float
    oldest_s: float
    newest_s: float
    fresh_after_s: float
    errors: tuple[str, ...]

    def broken(self) -> list[str]:
        """Return which promises were not kept, in words."""
        promises = {
            f"{self.failed} of {self.calls} calls failed ({'; '.join(self.errors)})": self.failed > self.calls / 10_000,
            f"99 % took up to {self.p99_ms:.0f} ms, not 100": self.p99_ms > 100,
            f"{self.wrong_values} values were wrong": self.wrong_values > 0,
            f"{self.missing_values} values of known machines were missing": self.missing_values > 0,
            f"{self.stale_unsaid} answers were stale and did not say so": self.stale_unsaid > 0,
            f"fresh again after {self.fresh_after_s:.1f} s, not 2": not self.fresh_after_s <= FRESH_S,
        }
        return [words for words, broken in promises.items() if broken]


def run(drill: Drill, plant: Plant, callers: Callers, *, hold_s: float) -> Report:
    """Cause a fault, hold it, mend it, and look at what the callers saw."""
    start_s = time.monotonic()
    drill.cause(plant)
    time.sleep(hold_s)
    mending_s = time.monotonic()
    drill.mend(plant)
    mended_s = time.monotonic()
    time.sleep(_SETTLE_S)
    seen = callers.between(start_s, time.monotonic())
    return report(drill.name, seen, mending_s=mending_s, mended_s=mended_s)


def report(name: str, seen: Sequence[Seen], *, mending_s: float, mended_s: float) -> Report:
    """Sum up calls; while a fault is mended, and two seconds on, old rows may be served and rows be away.

    A call that was asked before and answered within that time is of that time: a store that is there again answered it,
    rightly, with the rows of before.
    """
    took_ms = np.array([one.took_s for one in seen] or [np.nan]) * 1e3
    answered = [one for one in seen if not one.error]
    again = [one.due_s for one in answered if one.due_s >= mended_s and _fresh(one)]
    settled = [one for one in answered if one.ended_s < mending_s or one.due_s >= mended_s + FRESH_S]
    return Report(
        drill=name,
        calls=len(seen),
        failed=sum(bool(one.error) for one in seen),
        degraded=sum(one.degraded for one in answered),
        corrupt_values=sum(one.corrupt for one in answered),
        missing_values=sum(one.missing for one in settled),
        wrong_values=sum(one.wrong for one in answered),
        stale_unsaid=sum(one.oldest_s > FRESH_S and not one.degraded for one in settled),
        p50_ms=round(float(np.median(took_ms)), 2),
        p99_ms=round(float(np.quantile(took_ms, 0.99)), 1),
        longest_ms=round(float(took_ms.max()), 1),
        oldest_s=round(max((one.oldest_s for one in answered), default=np.nan), 1),
        newest_s=round(min((one.newest_s for one in answered), default=np.nan), 1),
        fresh_after_s=round(min(again, default=np.nan) - mended_s, 2),
        errors=tuple(sorted({one.error for one in seen if one.error}))[:3],
    )


def _fresh(one: Seen) -> bool:
    return not one.degraded and one.oldest_s <= _FRESH_AGAIN_S and not one.missing and not one.corrupt


def _nothing(_: Plant) -> None:
    """Mend what mends itself."""


def _well(plant: Plant) -> None:
    plant.wire.manner = WELL
    plant.wire.cut()  # what is still under way in the old manner would come late


def _manner(manner: Manner) -> Callable[[Plant], None]:
    def cause(plant: Plant) -> None:
        plant.wire.manner = manner

    return cause


def _end_a_worker(plant: Plant) -> None:
    for pid in plant.workers()[:1]:
        os.kill(pid, signal.SIGTERM)


def _mend_clock(plant: Plant) -> None:
    for number in _HURT:  # a row from the future beats every row of the present: it has to go first
        plant.forget([number])
        plant.write([number])


ALL = (
    Drill(
        name="redis-down",
        says="Redis is killed, and started again with what it had written down",
        cause=lambda plant: plant.signal_valkey(signal.SIGKILL),
        mend=lambda plant: plant.start_valkey(),
    ),
    Drill(
        name="redis-hang",
        says="Redis is stopped: it takes connections and says nothing",
        cause=lambda plant: plant.signal_valkey(signal.SIGSTOP),
        mend=lambda plant: plant.signal_valkey(signal.SIGCONT),
    ),
    Drill(
        name="redis-slow", says="every byte to and from Redis takes 5 s", cause=_manner(Manner(delay_s=5)), mend=_well
    ),
    Drill(
        name="redis-thin",
        says="a kilobyte a second passes between servers and Redis",
        cause=_manner(Manner(bytes_per_s=1000)),
        mend=_well,
    ),
    Drill(name="redis-hole", says="nothing passes, nothing is refused", cause=_manner(Manner(dead=True)), mend=_well),
    Drill(name="redis-reset", says="every connection to Redis is reset", cause=lambda p: p.wire.cut(), mend=_nothing),
    Drill(
        name="corrupt",
        says="rubbish lies in the rows of every other machine until they are written again",
        cause=lambda plant: plant.corrupt(range(0, MACHINES, 2)),
        mend=_nothing,
    ),
    Drill(
        name="clock-skew",
        says="twenty machines send rows from a clock that is an hour ahead, and are then written anew",
        cause=lambda plant: plant.write(_HURT, ahead_s=AHEAD_S),
        mend=_mend_clock,
    ),
    Drill(name="server-stop", says="a worker is asked to end under load", cause=_end_a_worker, mend=_nothing),
    Drill(name="apply", says="definitions change under load", cause=lambda plant: plant.apply(), mend=_nothing),
)


def named(names: Sequence[str]) -> list[Drill]:
    """Return drills by name, all of them for none; raises `InputError` for an unknown one."""
    known = {drill.name: drill for drill in ALL}
    if strange := [name for name in names if name not in known]:
        raise InputError(f"no drill {strange[0]!r}", fix=f"there are {', '.join(known)}")
    return [known[name] for name in names] or list(ALL)


def rounds(drills: Sequence[Drill], *, until_s: float) -> Iterator[Drill]:
    """Return each drill once, and all of them again and again until a time (seconds, monotonic)."""
    yield from drills
    while time.monotonic() < until_s:
        for drill in drills:
            if time.monotonic() >= until_s:
                return
            yield drill
