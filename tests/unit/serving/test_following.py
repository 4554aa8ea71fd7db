"""What following the registry costs and what it waits for: neither a long history nor the models of others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import event

from lineshaft.clock import ManualClock
from lineshaft.models.scored import Scored
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.models import ModelRegistry, open_registry
from lineshaft.registry.records import ModelVersion, Slot, Verdict
from lineshaft.serving.champions import Champions
from lineshaft.serving.standing import Ready
from lineshaft.specs import Service
from lineshaft.testing import small_candidate


class Level:
    """A model that says the same of every row."""

    def score(self, values: np.ndarray, *, why: bool = True) -> Scored:
        """Score rows."""
        return Scored(scores=np.zeros(len(values)))


@dataclass(slots=True)
class Plant:
    """A registry, who follows it, and what was loaded for it: a version, and who answered for `wear` meanwhile."""

    registry: ModelRegistry
    loaded: list[tuple[str, int]] = field(default_factory=list)
    undo: str = ""
    champions: Champions = field(init=False)

    def __post_init__(self) -> None:
        """Follow."""
        self.champions = Champions(registry=self.registry, environment="prod", read=self.read)

    def read(self, registry: ModelRegistry, version: ModelVersion) -> Ready:
        """Load a version; while that of `undo` is loaded, somebody takes `wear` back."""
        self.loaded.append((version.ref, self.answering.get("wear", 0)))
        if version.model == self.undo:
            self.registry.rollback("wear", environment="prod", actor="ann", reason="it warns of everything")
        return Ready(version=version, service=Service(name="s", views=()), model=Level(), columns=(), required=())

    def promote(self, name: str, number: int = 0) -> None:
        """Make a version champion, a new one unless its number is given."""
        if not number:
            number = self.registry.register(small_candidate(model=name), actor="ann").number
            self.registry.judge(name, number, Verdict(gate="bar", outcome="pass", detail=""), actor="gate")
        self.registry.promote(name, number, environment="prod", actor="ann", reason="test")

    @property
    def answering(self) -> dict[str, int]:
        """Return which version answers for each model."""
        return {name: one.ready.version.number for name, one in self.champions.standing().items()}


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    """Return a plant where `wear@2` is champion, after `wear@1`."""
    url = f"sqlite:///{tmp_path / 'registry.db'}"
    upgrade(url)
    registry = open_registry(database_url=url, artifacts=tmp_path / "artifacts", clock=ManualClock(time_us=1))
    opened = Plant(registry)
    opened.promote("wear")
    opened.promote("wear")
    opened.champions.look()
    yield opened
    registry.engine.dispose()


def test_a_look_costs_the_same_after_any_history(plant: Plant) -> None:
    """Two questions to the database, answered by a row for each slot, after fifty swaps as after one."""
    asked: list[str] = []
    event.listen(plant.registry.engine, "before_cursor_execute", lambda *told: asked.append(told[2]))

    def cost() -> int:
        asked.clear()
        assert plant.champions.look()
        return len(asked)

    plant.registry.rollback("wear", environment="prod", actor="ann", reason="test")
    assert cost() == 2
    for _ in range(25):
        plant.promote("wear", 2)
        plant.registry.rollback("wear", environment="prod", actor="ann", reason="test")
    plant.promote("wear", 2)
    assert cost() == 2

    assert plant.answering == {"wear": 2}
    assert sorted(ref for ref, _ in plant.loaded) == ["wear@1", "wear@2"]
    assert {slot: len(held) for slot, held in plant.registry.reigns("prod")["wear"].items()} == {
        ("", Slot.CHAMPION): 54
    }


def test_a_rollback_does_not_wait_for_the_models_of_others(plant: Plant) -> None:
    """It came while the first of two new ones was loaded: it stands before the second is."""
    plant.promote("other")
    plant.promote("third")
    plant.loaded.clear()
    plant.undo = "other"

    plant.champions.look()

    assert plant.loaded == [("other@1", 2), ("third@1", 1)]
    assert plant.answering == {"wear": 1, "other": 1, "third": 1}
    assert plant.champions.generation == plant.registry.generation("prod")


def test_what_is_held_already_is_swapped_before_anything_is_loaded(plant: Plant) -> None:
    """A new model of another name, in the same look, loads once the rollback stands."""
    plant.registry.rollback("wear", environment="prod", actor="ann", reason="test")
    plant.promote("again")
    plant.loaded.clear()

    plant.champions.look()

    assert plant.loaded == [("again@1", 1)]


def test_no_more_is_kept_than_who_stood_last(plant: Plant) -> None:
    """Of many champions after one another, three are held: who answers, who stands behind, and who was let go last."""
    for _ in range(4):
        plant.promote("wear")
        plant.champions.look()
    plant.loaded.clear()

    plant.promote("wear", 4)
    plant.champions.look()
    assert [ref for ref, _ in plant.loaded] == ["wear@3"]
    plant.promote("wear", 1)
    plant.champions.look()

    assert [ref for ref, _ in plant.loaded] == ["wear@3", "wear@1"]
