"""Rounds of the fleet: each model once in each, through restarts and faults, by one process at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lineshaft.clock import ManualClock
from lineshaft.errors import ConflictError, UnavailableError
from lineshaft.registry.engine import open_engine
from lineshaft.registry.fleet_runs import FleetRuns
from lineshaft.registry.migrate import upgrade
from lineshaft.serving.fleet import FleetScored
from lineshaft.serving.fleet_rounds import FleetRounds, alone

HOUR_US = 3_600_000_000


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Scoring:
    """A fleet that is scored in no time, and whose models fail, or kill the process, as they are told to."""

    asked: list[str] = field(default_factory=list)
    faults: set[str] = field(default_factory=set)
    deadly: str = ""

    def score(self, models: Iterable[str]) -> Iterator[FleetScored]:
        """Score by each model in turn."""
        for model in models:
            self.asked.append(model)
            if model == self.deadly:
                raise Killed
            fault = "it failed" if model in self.faults else ""
            yield FleetScored(model=model, version=f"{model}@1", entities=2, scored=2, seconds=0.0, fault=fault)


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock in the middle of an hour."""
    return ManualClock(time_us=1_000 * HOUR_US + HOUR_US // 2)


@pytest.fixture
def runs(tmp_path: Path, clock: ManualClock) -> Iterator[FleetRuns]:
    """Return what is known of rounds."""
    url = f"sqlite:///{tmp_path / 'registry.db'}"
    upgrade(url)
    engine = open_engine(url)
    yield FleetRuns(engine=engine, project="prod", clock=clock, owner="here")
    engine.dispose()


def rounds(scoring: Any, runs: FleetRuns, clock: ManualClock) -> FleetRounds:
    """Return hourly rounds by three models."""
    return FleetRounds(fleet=scoring, runs=runs, every_us=HOUR_US, clock=clock, models=lambda: ["ant", "bee", "cat"])


def once(plan: FleetRounds) -> list[str]:
    """Look at the round of now; return who was scored."""
    return [one.model for one in plan.round(plan.due_us(), threading.Event())]


def test_each_model_is_scored_once_a_round(runs: FleetRuns, clock: ManualClock) -> None:
    """At once for the round that has begun, again when the next is due, and not for those that were slept through."""
    plan = rounds(Scoring(), runs, clock)
    assert plan.due_us() == 1_000 * HOUR_US

    assert once(plan) == ["ant", "bee", "cat"]
    assert once(plan) == []
    assert once(rounds(Scoring(), runs, clock)) == []  # started anew
    clock.advance(seconds=5 * 3600)
    assert once(plan) == ["ant", "bee", "cat"]
    assert once(plan) == []


def test_a_round_goes_on_where_the_process_died(runs: FleetRuns, clock: ManualClock) -> None:
    """What was done is not done again; the model under whom it died is tried again, and given up the third time."""
    for _ in range(3):
        dying = Scoring(deadly="bee")
        with pytest.raises(Killed):
            once(rounds(dying, runs, clock))
        assert dying.asked[-1] == "bee"

    assert once(rounds(Scoring(deadly="bee"), runs, clock)) == ["cat"]
    states = {one.model: (one.state, one.tries) for one in runs.of(1_000 * HOUR_US)}
    assert states == {"ant": ("done", 1), "bee": ("failed", 3), "cat": ("done", 1)}


def test_a_model_that_failed_is_tried_again_within_its_round(runs: FleetRuns, clock: ManualClock) -> None:
    """After a minute, while the others are left alone."""
    scoring = Scoring(faults={"bee"})
    plan = rounds(scoring, runs, clock)

    assert once(plan) == ["ant", "bee", "cat"]
    assert once(plan) == []
    clock.advance(seconds=60)
    scoring.faults.clear()
    assert once(plan) == ["bee"]
    assert [one.state for one in runs.of(plan.due_us())] == ["done"] * 3


def test_who_is_told_to_stop_stops_between_two_models(runs: FleetRuns, clock: ManualClock) -> None:
    """What waits then waits for the next start; each round is told of with what was scored."""
    stopping, told = threading.Event(), []

    def tell(due_us: int, scored: Any) -> None:
        told.append((due_us, [one.model for one in scored]))
        stopping.set()

    rounds(Scoring(), runs, clock).run(stopping, tell)

    assert told == [(1_000 * HOUR_US, ["ant", "bee", "cat"])]
    assert list(rounds(Scoring(), runs, clock).round(2_000 * HOUR_US, stopping)) == []


@dataclass
class Away:
    """Models that cannot be told for once: the registry is away."""

    stopping: threading.Event
    asked: int = 0

    def __call__(self) -> list[str]:
        """Fail the first time."""
        self.asked += 1
        if self.asked == 1:
            raise UnavailableError("the database does not answer", fix="wait")
        self.stopping.set()
        return []


def test_a_database_that_is_away_ends_no_schedule(
    runs: FleetRuns, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said, and asked again."""
    monkeypatch.setattr("lineshaft.serving.fleet_rounds._LOOK_S", 0.01)
    stopping = threading.Event()
    models = Away(stopping)
    scoring: Any = Scoring()

    FleetRounds(fleet=scoring, runs=runs, every_us=HOUR_US, clock=clock, models=models).run(stopping, print)

    assert models.asked == 2
    assert "the database does not answer" in caplog.text


def test_one_process_at_a_time_keeps_a_homes_schedule(tmp_path: Path) -> None:
    """A second is refused and told what to do; after the first there is room."""
    lock = tmp_path / "new" / "fleet.lock"
    with alone(lock), pytest.raises(ConflictError, match="another process scores this home's fleet"), alone(lock):
        pass
    with alone(lock):
        pass
