"""Overload: what servers answer when several times as much is asked as they can, and how they refuse the rest."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from lineshaft.drills.open_loop import Ended, drive, peak, quantiles_ms
from lineshaft.drills.plant import MACHINES, SERVICE, machine, plant_at
from lineshaft.serving.client import question

NAME = "overload"
SAYS = "five times as many calls as the servers can answer"
PATH = "/lineshaft.rpc.v1.FeatureService/GetFeatures"
RECOVERED_S = 2.0
_ASKED = 10
_TIMES = 5.0
_AFTER_S = 4.0
_REFUSED = ("CANCELLED", "RESOURCE_EXHAUSTED", "UNAVAILABLE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Overload:
    """What came of an overload; times in milliseconds from when a call was due.

    `goodput`: what was answered in a second, as a share of the most that was ever answered in one.
    `unanswered`: calls that were neither answered nor refused within a second.
    `recovered_after_s`: from the end of it until, at half the peak, every call was answered.
    """

    drill: str = NAME
    peak_per_s: int
    asked_per_s: int
    answered_per_s: int
    goodput: float
    answered_p50_ms: float
    answered_p99_ms: float
    refused: int
    refused_p50_ms: float
    refused_p99_ms: float
    unanswered: int
    recovered_after_s: float

    def broken(self) -> list[str]:
        """Return which promises were not kept, in words."""
        promises = {
            "nothing was answered": not self.answered_per_s,
            f"all is answered again after {self.recovered_after_s:.1f} s, not {RECOVERED_S:.0f}": (
                self.recovered_after_s > RECOVERED_S
            ),
        }
        return [words for words, broken in promises.items() if broken]


def overload(*, workers: int, hold_s: float, step_s: float = 2.0) -> Overload:
    """Find the peak of a private plant, ask five times as much for a time, and see how it recovers."""
    with (
        cores_apart() as others,
        tempfile.TemporaryDirectory(prefix="overload") as folder,
        plant_at(Path(folder), workers=workers) as plant,
    ):
        os.sched_setaffinity(0, others)
        messages = questions()
        drive(plant.address, PATH, messages, rate=300.0, seconds=1.0)
        most, _ = peak(plant.address, PATH, messages, seconds=step_s)
        over = drive(plant.address, PATH, messages, rate=_TIMES * most, seconds=hold_s)
        after = drive(plant.address, PATH, messages, rate=most / 2, seconds=_AFTER_S)
    return report(over, after, peak_per_s=most, seconds=hold_s)


def report(over: Sequence[Ended], after: Sequence[Ended], *, peak_per_s: float, seconds: float) -> Overload:
    """Sum up the calls of an overload, and those right after it."""
    answered = [call.took_s * 1e3 for call in over if call.code == "OK"]
    refused = [call.took_s * 1e3 for call in over if call.code in _REFUSED]
    answers_ms, refusals_ms = quantiles_ms(answered or [0.0]), quantiles_ms(refused or [0.0])
    late = [call.due_s for call in after if call.code != "OK"]
    return Overload(
        peak_per_s=round(peak_per_s),
        asked_per_s=round(len(over) / seconds),
        answered_per_s=round(len(answered) / seconds),
        goodput=round(len(answered) / seconds / peak_per_s, 3),
        answered_p50_ms=answers_ms["p50_ms"],
        answered_p99_ms=answers_ms["p99_ms"],
        refused=len(refused),
        refused_p50_ms=refusals_ms["p50_ms"],
        refused_p99_ms=refusals_ms["p99_ms"],
        unanswered=len(over) - len(answered) - len(refused),
        recovered_after_s=round(max(late, default=0.0), 2),
    )


def questions() -> list[bytes]:
    """Return calls for ten machines each, all of them in turn."""
    starts = range(0, MACHINES, _ASKED)
    tables = [pa.table({"asset_id": [machine(start + i) for i in range(_ASKED)]}) for start in starts]
    return [question(SERVICE.name, table).SerializeToString() for table in tables]


@contextmanager
def cores_apart() -> Iterator[set[int]]:
    """Run what is started here on all cores but the last, and yield that one for callers: neither takes the other's."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:-1] or cores)
    try:
        yield set(cores[-1:])
    finally:
        os.sched_setaffinity(0, cores)
