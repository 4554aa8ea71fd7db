"""Servers say what they serve, beside the calls; who waits for them learns who follows and who is late."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lineshaft.clock import ManualClock
from lineshaft.errors import UnavailableError
from lineshaft.ops.followers import followers
from lineshaft.registry.acks import FORGOTTEN_US, LIVE_US
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.models import ModelRegistry, open_registry
from lineshaft.registry.records import Ack, Assignment, Slot, Verdict, ViewPin
from lineshaft.serving.acknowledging import Acknowledging
from lineshaft.testing import small_candidate

CANDIDATE = small_candidate(
    service="s",
    pins=(ViewPin(view="v", version="1" * 12),),
)


@dataclass
class Ledger:
    """Acknowledgements in memory, from a registry that may be away or slow."""

    said: list[Ack | str] = field(default_factory=list)
    away: bool = False
    slow: threading.Event | None = None

    def note(self, ack: Ack) -> None:
        """Take one."""
        if self.slow is not None:
            self.slow.wait(5)
        if self.away:
            raise UnavailableError("nobody listens")
        self.said.append(ack)

    def forget(self, replica: str, _environment: str) -> None:
        """Take out a server."""
        self.said.append(replica)


def acknowledging(ledger: Any, **more: Any) -> Acknowledging:
    """Return what a server says, over a ledger."""
    plain = {"replica": "edge:7", "environment": "prod", "clock": ManualClock(time_us=5)}
    return Acknowledging(acks=ledger, **{**plain, **more})


def standing(number: int) -> Any:
    """Return that a version answers."""
    return {"rul": SimpleNamespace(ready=SimpleNamespace(version=SimpleNamespace(number=number)), sites={})}


def until(true: Callable[[], object]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[ModelRegistry]:
    """Return a registry in which a version is champion."""
    url = f"sqlite:///{tmp_path / 'registry.db'}"
    upgrade(url)
    clock = ManualClock(time_us=10**15)
    opened = open_registry(database_url=url, artifacts=tmp_path / "artifacts", clock=clock)
    opened.register(CANDIDATE, actor="ana")
    opened.judge("rul", 1, Verdict(gate="bar", outcome="pass", detail=""), actor="gate")
    yield opened
    opened.engine.dispose()


def test_the_newest_is_said_and_a_server_that_stops_is_forgotten() -> None:
    """Each change at once, with the version of each model; at the end nobody need wait for it."""
    ledger = Ledger()
    server = acknowledging(ledger)
    server.tell(3, standing(7))
    until(lambda: ledger.said)
    server.tell(4, standing(8))
    until(lambda: len(ledger.said) == 2)
    server.close()

    first, second = (
        Ack(replica="edge:7", environment="prod", generation=generation, models={"rul": number}, at_us=5)
        for generation, number in ((3, 7), (4, 8))
    )
    assert ledger.said == [first, second, "edge:7"]


def test_nothing_is_said_where_nothing_was_loaded() -> None:
    """A server of features alone writes nothing, also when it stops."""
    ledger = Ledger()
    acknowledging(ledger).close()

    assert ledger.said == []


def test_who_follows_does_not_wait_for_the_registry() -> None:
    """A registry that hangs holds up nothing; what was told meanwhile is said once, the newest."""
    ledger = Ledger(slow=threading.Event())
    server = acknowledging(ledger)
    start = time.monotonic()
    for generation in range(100):
        server.tell(generation, standing(1))
    took = time.monotonic() - start
    assert ledger.slow is not None
    ledger.slow.set()
    until(lambda: ledger.said and ledger.said[-1].generation == 99)  # type: ignore[union-attr]
    server.close()

    assert took < 1
    assert len(ledger.said) <= 3


def test_a_registry_that_is_away_is_told_when_it_is_back() -> None:
    """The sign of life says again what is served; until then nothing is lost but the word."""
    ledger = Ledger(away=True)
    server = acknowledging(ledger, every_s=0.01)
    server.tell(3, standing(7))
    time.sleep(0.05)
    assert ledger.said == []
    ledger.away = False
    until(lambda: len(ledger.said) > 1)
    server.close()

    assert {one.generation for one in ledger.said if isinstance(one, Ack)} == {3}


def test_a_promotion_is_waited_for_and_who_is_late_is_named(registry: ModelRegistry) -> None:
    """Servers of this environment that live: those that follow, those a generation behind, those that serve another."""
    made = registry.promote("rul", 1, environment="prod", actor="ben", reason="first")
    now = 10**15
    for replica, environment, generation, models, at_us in (
        ("follows", "prod", 1, {"rul": 1}, now),
        ("asked nothing yet", "prod", 1, {}, now),
        ("behind", "prod", 0, {"rul": 1}, now),
        ("cannot load it", "prod", 1, {"rul": 9}, now),
        ("dead", "prod", 0, {}, now - LIVE_US - 1),
        ("elsewhere", "dev", 0, {}, now),
    ):
        registry.acks.note(
            Ack(replica=replica, environment=environment, generation=generation, models=models, at_us=at_us)
        )

    found = followers(registry, made, patience_s=0.1)

    assert [one.replica for one in found.following] == ["asked nothing yet", "follows"]
    assert [one.replica for one in found.late] == ["behind", "cannot load it"]
    registry.acks.note(Ack(replica="behind", environment="prod", generation=1, models={"rul": 1}, at_us=now))
    registry.acks.forget("cannot load it", "prod")
    start = time.monotonic()
    assert followers(registry, made, patience_s=10).late == ()
    assert time.monotonic() - start < 5


def test_servers_that_are_long_gone_are_forgotten(registry: ModelRegistry) -> None:
    """A new server clears away what has been silent for a day."""
    old = Ack(replica="old", environment="prod", generation=1, models={}, at_us=10**15 - FORGOTTEN_US - 1)
    registry.acks.note(old)
    registry.acks.note(Ack(replica="new", environment="prod", generation=1, models={}, at_us=10**15))
    registry.clock.advance(seconds=-86_401)  # type: ignore[attr-defined]

    assert [one.replica for one in registry.acks.live("prod")] == ["new"]


def test_an_ack_follows_only_its_own_assignment() -> None:
    """A later generation is enough; the version must be the one that was assigned."""
    made = Assignment(
        id=1, model="rul", environment="prod", slot=Slot.CHAMPION, number=2, valid_from_us=0, valid_to_us=None
    )
    ack = Ack(replica="r", environment="prod", generation=5, models={"rul": 2, "rul, plant-b": 3}, at_us=0)

    assert ack.follows(made, 5)
    assert ack.follows(made, 4)
    assert not ack.follows(made, 6)
    assert not ack.follows(replace(made, site="plant-b"), 5)
    assert ack.follows(replace(made, site="plant-b", number=3), 5)
