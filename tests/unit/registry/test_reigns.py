"""Who held the slots of an environment, as servers follow it: one row a slot; on both databases."""

from __future__ import annotations

from typing import Any

from lineshaft.clock import ManualClock
from lineshaft.registry.models import ModelRegistry
from lineshaft.registry.records import Candidate, Slot, State, Verdict
from lineshaft.registry.reigns import Reign, reigns


def test_reigns_are_the_assignments_of_each_slot(
    registry: ModelRegistry, candidate: Candidate, clock: ManualClock
) -> None:
    """Oldest first, with what each version is now; of slots that are compared, who holds them; of no other place."""
    for _ in range(3):
        number = registry.register(candidate, actor="ana").number
        registry.judge("rul", number, Verdict(gate="bar", outcome="pass", detail=""), actor="gate")
    told: dict[str, Any] = {"actor": "ben", "reason": "try"}
    for swap in range(12):  # ids of one and of two digits: as texts they would stand otherwise
        clock.advance(seconds=1)
        registry.promote("rul", 1 + swap % 2, environment="prod", **told)
    registry.promote("rul", 3, environment="prod", slot=Slot.SHADOW, **told)
    registry.promote("rul", 3, environment="prod", slot=Slot.CHALLENGER, **told)
    registry.clear("rul", environment="prod", slot=Slot.SHADOW, **told)
    registry.promote("rul", 3, environment="prod", site="plant-b", **told)
    registry.promote("rul", 3, environment="dev", **told)
    registry.judge("rul", 1, Verdict(gate="bar", outcome="fail", detail=""), actor="gate")

    found = registry.reigns("prod")

    assert found == registry.reigns("prod", "rul")
    assert set(found) == {"rul"}
    assert set(found["rul"]) == {("", Slot.CHAMPION), ("", Slot.CHALLENGER), ("plant-b", Slot.CHAMPION)}
    states = {1: State.REJECTED, 2: State.VALIDATED, 3: State.VALIDATED}
    for (site, slot), held in found["rul"].items():
        same = [
            one for one in registry.assignments("rul") if (one.environment, one.slot, one.site) == ("prod", slot, site)
        ]
        assert list(held) == [
            Reign(id=one.id, number=one.number, state=states[one.number], open=one.valid_to_us is None)
            for one in reversed(same)
        ]
    assert registry.reigns("nowhere") == {} == registry.reigns("prod", "nothing")
    with registry.engine.connect() as connection:
        assert reigns(connection, "prod") == found
