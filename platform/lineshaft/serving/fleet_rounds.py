"""Score the fleet on a schedule: a round every so often, each model once in each, whatever happened to the process."""

from __future__ import annotations

import fcntl
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lineshaft.clock import Clock
from lineshaft.errors import ConflictError, LineshaftError
from lineshaft.registry.fleet_runs import FleetRuns
from lineshaft.serving.fleet import Fleet, FleetScored

_LOG = logging.getLogger(__name__)
_LOOK_S = 30.0
"""How often a round is looked at: for models that failed, were left behind by a crash, or are new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetRounds:
    """Rounds begin at whole multiples of `every_us` since 1970; one that was missed is made up for once, not more."""

    fleet: Fleet
    runs: FleetRuns
    every_us: int
    clock: Clock
    models: Callable[[], Sequence[str]]

    def run(self, stopping: threading.Event, tell: Callable[[int, Sequence[FleetScored]], None]) -> None:
        """Go on until told to stop; `tell` is told of each round, and what was scored in it just now."""
        while not stopping.is_set():
            due_us = self.due_us()
            try:
                scored = list(self.round(due_us, stopping))
            except LineshaftError as error:
                _LOG.warning("the fleet is not scored for now, tried again in %.0f s: %s", _LOOK_S, error.what)
                scored = []
            if scored:
                tell(due_us, scored)
            left_s = (due_us + self.every_us - self.clock.now_us()) / 1e6
            stopping.wait(max(0.0, min(_LOOK_S, left_s)))

    def due_us(self) -> int:
        """Return when the round of now began."""
        return self.clock.now_us() // self.every_us * self.every_us

    def round(self, due_us: int, stopping: threading.Event) -> Iterator[FleetScored]:
        """Score what waits to be scored in a round, as of now: rows that came since it was due are not of its past."""
        waiting = (name for name in self.models() if not stopping.is_set() and self.runs.claim(due_us, name))
        for found in self.fleet.score(waiting):
            self.runs.ended(
                due_us,
                found.model,
                version=found.version,
                entities=found.entities,
                scored=found.scored,
                fault=found.fault,
            )
            yield found


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Be the only one who holds a file until the end, which comes with the process at the latest.

    Raises
    ------
    ConflictError
        If somebody else holds it.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            what = "another process scores this home's fleet on a schedule"
            raise ConflictError(what, where=str(lock), fix="stop it first; one is enough for all models") from error
        yield
