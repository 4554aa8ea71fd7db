"""Slots: who may hold them, who takes them from whom, and what the slower of two is told; on both databases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from lineshaft.clock import ManualClock
from lineshaft.errors import ConflictError, CorruptError, NotFoundError
from lineshaft.registry.audit import faults
from lineshaft.registry.models import ModelRegistry
from lineshaft.registry.records import Candidate, Slot, Verdict
from lineshaft.registry.tables import ASSIGNMENT

PROD: dict[str, Any] = {"environment": "prod", "actor": "ben"}


@pytest.fixture
def three(registry: ModelRegistry, candidate: Candidate) -> ModelRegistry:
    """Return a registry with three versions that passed."""
    for _ in range(3):
        number = registry.register(candidate, actor="ana").number
        registry.judge("rul", number, Verdict(gate="bar", outcome="pass", detail=""), actor="gate")
    return registry


def test_slots_are_held_side_by_side(three: ModelRegistry, clock: ManualClock) -> None:
    """One version answers, one is compared, one watches; each has its own time, and only the champion is champion."""
    for number, slot in ((1, Slot.CHAMPION), (2, Slot.CHALLENGER), (3, Slot.SHADOW), (2, Slot.SHADOW)):
        clock.advance(seconds=1)
        three.promote("rul", number, **PROD, reason="try", slot=slot)

    holders = {slot: (held.number if (held := three.held("rul", "prod", slot)) else None) for slot in Slot}
    assert holders == {Slot.CHAMPION: 1, Slot.CHALLENGER: 2, Slot.SHADOW: 2}
    assert three.champion("rul", "prod").number == 1
    assert {m.name: dict(m.champions) for m in three.models()} == {"rul": {"prod": 1}}
    told = [(one.number, one.slot, one.valid_from_us, one.valid_to_us) for one in three.assignments("rul")]
    assert told[:2] == [(2, Slot.SHADOW, 5_000_000, None), (3, Slot.SHADOW, 4_000_000, 5_000_000)]
    assert three.generation("prod") == 4


@pytest.mark.parametrize("slot", list(Slot))
def test_the_database_lets_one_version_hold_a_slot(three: ModelRegistry, slot: Slot) -> None:
    """A second open row is refused by the index, whoever writes it."""
    three.promote("rul", 1, **PROD, reason="first", slot=slot)
    row = {"model": "rul", "environment": "prod", "slot": str(slot), "number": 2, "valid_from_us": 1}

    with three.engine.begin() as connection, pytest.raises(IntegrityError):
        connection.execute(insert(ASSIGNMENT).values(row))


def test_the_slower_is_told_who_was_faster(three: ModelRegistry, clock: ManualClock) -> None:
    """By whom, when and why, although the version is the one that was there when they looked."""
    seen = three.promote("rul", 1, **PROD, reason="first")
    three.promote("rul", 2, **PROD, reason="second")
    clock.advance(seconds=8)
    three.promote("rul", 1, environment="prod", actor="eve", reason="second was worse")

    with pytest.raises(ConflictError) as late:
        three.promote("rul", 3, **PROD, reason="third", expected=seen.id)

    assert late.value.what == (
        "champion of 'prod' changed since you looked: it is rul@1, by eve at 1970-01-01T00:00:09Z: second was worse"
    )
    with pytest.raises(ConflictError, match="it is rul@1, by eve"):
        three.rollback("rul", **PROD, reason="back", expected=0)
    held = three.held("rul", "prod")
    assert held is not None
    assert three.promote("rul", 3, **PROD, reason="third", expected=held.id).number == 3


def test_another_models_promotion_takes_nobodys_turn(three: ModelRegistry, candidate: Candidate) -> None:
    """What was decided on is the slot, not the environment."""
    seen = three.promote("rul", 1, **PROD, reason="first")
    three.register(replace(candidate, model="wear"), actor="ana")
    three.judge("wear", 1, Verdict(gate="bar", outcome="pass", detail=""), actor="gate")
    three.promote("wear", 1, **PROD, reason="first", expected=0)

    assert three.promote("rul", 2, **PROD, reason="next", expected=seen.id).number == 2


def test_rollbacks_go_down_the_promotions(three: ModelRegistry) -> None:
    """Twice back is two versions back, not forth again; below the first there is nothing."""
    for number in (1, 2, 3):
        three.promote("rul", number, **PROD, reason="newer")

    back = [three.rollback("rul", **PROD, reason="worse").number for _ in range(2)]

    assert back == [2, 1]
    with pytest.raises(NotFoundError, match="no earlier champion in 'prod'"):
        three.rollback("rul", **PROD, reason="worse")
    assert [line.action for line in three.history("rul")[-3:]] == ["promote", "rollback", "rollback"]
    assert three.history("rul")[-1].after == "prod:champion=1"
    assert faults(three.account("rul")) == []


def test_a_rollback_to_a_file_that_is_lost_is_refused(three: ModelRegistry) -> None:
    """Who serves goes on serving: a server could not load the one before."""
    for number in (1, 2):
        three.promote("rul", number, **PROD, reason="newer")
    for path in three.artifacts.root.rglob("*.*"):
        path.unlink()

    with pytest.raises(NotFoundError, match="no artifact"):
        three.rollback("rul", **PROD, reason="worse")

    held = three.held("rul", "prod")
    assert held is not None
    assert held.number == 2


def test_a_rollback_passes_over_what_was_rejected_since(three: ModelRegistry) -> None:
    """A version whose gate took its word back does not return."""
    for number in (1, 2, 3):
        three.promote("rul", number, **PROD, reason="newer")
    three.judge("rul", 2, Verdict(gate="bar", outcome="fail", detail="leaked labels"), actor="gate")

    assert three.rollback("rul", **PROD, reason="worse").number == 1


def test_a_slot_can_be_left_but_not_the_champions(three: ModelRegistry, clock: ManualClock) -> None:
    """The challenger goes and its time is kept; an environment is not left without a champion."""
    three.promote("rul", 1, **PROD, reason="first")
    three.promote("rul", 2, **PROD, reason="compare", slot=Slot.CHALLENGER)
    clock.advance(seconds=1)
    three.clear("rul", **PROD, slot=Slot.CHALLENGER, reason="enough")

    assert three.held("rul", "prod", Slot.CHALLENGER) is None
    assert three.assignments("rul")[0].valid_to_us == 2_000_000
    with pytest.raises(NotFoundError, match="no challenger in 'prod'"):
        three.clear("rul", **PROD, slot=Slot.CHALLENGER, reason="enough")
    with pytest.raises(ConflictError, match="cannot be left without a champion"):
        three.clear("rul", **PROD, slot=Slot.CHAMPION, reason="holiday")
    assert three.champion("rul", "prod").number == 1
    with pytest.raises(ConflictError, match="'rul' has no challenger there any more"):
        three.promote("rul", 3, **PROD, reason="late", slot=Slot.CHALLENGER, expected=2)


def test_what_lacks_evidence_may_watch_and_no_more(registry: ModelRegistry, candidate: Candidate) -> None:
    """Unknown and error are no pass; in the shadow a version answers nobody and may gather what is missing."""
    registry.register(candidate, actor="ana")
    for outcome in ("unknown", "error"):
        registry.judge("rul", 1, Verdict(gate="bar", outcome=outcome, detail=""), actor="gate")

    for slot in (Slot.CHAMPION, Slot.CHALLENGER):
        with pytest.raises(ConflictError, match="rul@1 is registered, not validated"):
            registry.promote("rul", 1, **PROD, reason="hope", slot=slot)
    assert registry.promote("rul", 1, **PROD, reason="watch", slot=Slot.SHADOW).slot is Slot.SHADOW


@pytest.mark.parametrize("slot", list(Slot))
def test_a_damaged_file_takes_no_slot(three: ModelRegistry, slot: Slot) -> None:
    """What is promoted is what was registered: a file that was altered is refused, with what to do, and found."""
    assert three.damaged("rul") == []
    (path,) = three.artifacts.root.rglob("*.json")
    path.write_bytes(b"{ }")

    with pytest.raises(CorruptError, match="was altered after it was registered") as refused:
        three.promote("rul", 1, **PROD, reason="hope", slot=slot)

    assert refused.value.fix == "restore the file from a backup, or promote another version"
    assert three.held("rul", "prod", slot) is None
    assert [told.partition(":")[0] for told in three.damaged("rul")] == ["rul@3", "rul@2", "rul@1"]


def test_a_retired_version_is_told_to_be_so(three: ModelRegistry) -> None:
    """Judged again, as a promotion does first: what it is, and what to do instead."""
    three.retire("rul", 1, actor="ben", reason="old")

    with pytest.raises(ConflictError, match="rul@1 is retired: it cannot be validated any more") as refused:
        three.judge("rul", 1, Verdict(gate="bar", outcome="pass", detail=""), actor="gate")
    assert refused.value.fix == "choose another version, or train it again"


def test_a_clock_that_is_behind_does_not_hide_the_champion(three: ModelRegistry, clock: ManualClock) -> None:
    """A server asks who holds the slot, not who did by its own clock; and no reign ends before it began."""
    three.promote("rul", 1, **PROD, reason="first")
    clock.advance(seconds=-0.5)
    three.promote("rul", 2, **PROD, reason="from a machine that is late")
    clock.advance(seconds=-0.4)

    assert three.champion("rul", "prod").number == 2
    assert [(one.valid_from_us, one.valid_to_us) for one in three.assignments("rul")] == [
        (500_000, None),
        (1_000_000, 1_000_000),
    ]
    assert faults(three.account("rul")) == []


def test_a_challenger_that_is_promoted_leaves_its_slot(three: ModelRegistry) -> None:
    """In the same transaction, a line of the chain each; what was decided on is the last line; it audits."""
    three.promote("rul", 1, **PROD, reason="first")
    three.promote("rul", 2, **PROD, reason="compare", slot=Slot.CHALLENGER)
    three.promote("rul", 2, environment="test", actor="ben", reason="elsewhere", slot=Slot.CHALLENGER)
    generation = three.generation("prod")

    three.promote("rul", 2, **PROD, reason="it is better")

    assert three.champion("rul", "prod").number == 2
    assert three.held("rul", "prod", Slot.CHALLENGER) is None
    assert three.held("rul", "test", Slot.CHALLENGER) is not None
    told = [(line.action, line.before, line.after, line.reason) for line in three.history("rul")[-2:]]
    assert told == [
        ("clear", "prod:challenger=2", "", "it became champion: it is better"),
        ("promote", "prod:champion=1", "prod:champion=2", "it is better"),
    ]
    assert faults(three.account("rul")) == []
    assert three.generation("prod") > generation


def test_a_promotion_that_comes_too_late_leaves_the_challenger_where_it_was(three: ModelRegistry) -> None:
    """All or nothing: who lost the race for the champion's slot has lost no other."""
    three.promote("rul", 1, **PROD, reason="first")
    three.promote("rul", 2, **PROD, reason="compare", slot=Slot.CHALLENGER)
    three.promote("rul", 3, **PROD, reason="faster")
    lines = len(three.history("rul"))

    with pytest.raises(ConflictError, match="changed since you looked"):
        three.promote("rul", 2, **PROD, reason="late", expected=0)

    held = three.held("rul", "prod", Slot.CHALLENGER)
    assert (held is not None and held.number, len(three.history("rul"))) == (2, lines)


def test_a_rollback_takes_a_challenger_back_as_champion_alone(three: ModelRegistry) -> None:
    """The champion before is set beside the present one, and returns: it holds one slot."""
    three.promote("rul", 1, **PROD, reason="first")
    three.promote("rul", 2, **PROD, reason="newer")
    three.promote("rul", 1, **PROD, reason="how much better is it?", slot=Slot.CHALLENGER)

    assert three.rollback("rul", **PROD, reason="not at all").number == 1

    assert three.held("rul", "prod", Slot.CHALLENGER) is None
    assert three.history("rul")[-1].action == "rollback"
    assert faults(three.account("rul")) == []


@pytest.mark.parametrize("slot", [Slot.CHALLENGER, Slot.SHADOW])
def test_a_champion_is_not_set_beside_itself(three: ModelRegistry, slot: Slot) -> None:
    """It is refused and told; nothing has changed."""
    three.promote("rul", 1, **PROD, reason="first")

    with pytest.raises(ConflictError, match=f"as its {slot} it would be set beside itself"):
        three.promote("rul", 1, **PROD, reason="why not", slot=slot)

    assert three.held("rul", "prod", slot) is None
    assert three.champion("rul", "prod").number == 1
