"""Sites: slots of their own beside the environment's, and assets that stand at them; on both databases."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from lineshaft.clock import ManualClock
from lineshaft.errors import ConflictError, InputError, NotFoundError
from lineshaft.registry.audit import faults
from lineshaft.registry.models import ModelRegistry
from lineshaft.registry.records import Candidate, Slot, Verdict
from lineshaft.registry.tables import ASSIGNMENT

PROD: dict[str, Any] = {"environment": "prod", "actor": "ben"}
B: dict[str, Any] = {"site": "plant-b"}


@pytest.fixture
def three(registry: ModelRegistry, candidate: Candidate) -> ModelRegistry:
    """Return a registry with three versions that passed, the first of them champion."""
    for _ in range(3):
        number = registry.register(candidate, actor="ana").number
        registry.judge("rul", number, Verdict(gate="bar", outcome="pass", detail=""), actor="gate")
    registry.promote("rul", 1, **PROD, reason="first")
    return registry


def number_at(registry: ModelRegistry, site: str, slot: Slot = Slot.CHAMPION) -> int | None:
    """Return who holds a slot of a site itself."""
    held = registry.held("rul", "prod", slot, site=site)
    return None if held is None else held.number


def test_a_site_has_its_own_champion_beside_the_general_one(three: ModelRegistry) -> None:
    """Each is followed by its own promotions and rollbacks; the history says where, and audits."""
    three.promote("rul", 2, **PROD, **B, reason="its pumps differ")
    three.promote("rul", 3, **PROD, reason="newer")
    three.promote("rul", 3, **PROD, **B, reason="newer here too")

    assert three.rollback("rul", **PROD, **B, reason="not here").number == 2

    assert (number_at(three, ""), number_at(three, "plant-b"), number_at(three, "plant-c")) == (3, 2, None)
    assert three.champion("rul", "prod").number == 3
    assert {one.name: dict(one.champions) for one in three.models()} == {"rul": {"prod": 3}}
    assert three.history("rul")[-1].after == "prod:champion@plant-b=2"
    assert faults(three.account("rul")) == []
    assert three.rollback("rul", **PROD, reason="worse").number == 1
    assert number_at(three, "plant-b") == 2
    with pytest.raises(NotFoundError, match="no earlier champion in 'prod', site 'plant-b', to go back to"):
        three.rollback("rul", **PROD, **B, reason="worse")


def test_a_site_can_be_left_to_the_general_champion(three: ModelRegistry) -> None:
    """A site's champion goes without a follower, which no environment's does; what it was before does not come back."""
    three.promote("rul", 2, **PROD, **B, reason="try")
    three.promote("rul", 3, **PROD, **B, reason="try")

    three.clear("rul", **PROD, **B, slot=Slot.CHAMPION, reason="as good as the others")

    assert number_at(three, "plant-b") is None
    with pytest.raises(NotFoundError, match="no champion in 'prod', site 'plant-b'"):
        three.clear("rul", **PROD, **B, slot=Slot.CHAMPION, reason="again")
    three.promote("rul", 2, **PROD, **B, reason="again")
    with pytest.raises(NotFoundError, match="no earlier champion"):
        three.rollback("rul", **PROD, **B, reason="worse")
    assert faults(three.account("rul")) == []


def test_a_version_in_quarantine_leaves_sites_to_the_general_champion(three: ModelRegistry) -> None:
    """It serves nowhere any more: its site has whom all others have."""
    three.promote("rul", 2, **PROD, **B, reason="try")

    assert three.quarantine("rul", 2, actor="eve", reason="leak") == []

    assert (number_at(three, ""), number_at(three, "plant-b")) == (1, None)
    assert faults(three.account("rul")) == []


def test_a_challenger_leaves_its_slot_where_it_becomes_champion_and_nowhere_else(three: ModelRegistry) -> None:
    """The same version may be set beside the champions of two places, and win in one."""
    for site in ("", "plant-b"):
        three.promote("rul", 2, **PROD, site=site, reason="compare", slot=Slot.CHALLENGER)

    three.promote("rul", 2, **PROD, **B, reason="better there")

    assert (number_at(three, "plant-b", Slot.CHALLENGER), number_at(three, "", Slot.CHALLENGER)) == (None, 2)
    assert faults(three.account("rul")) == []


def test_a_site_alone_is_refused_and_so_is_what_is_no_name(registry: ModelRegistry, candidate: Candidate) -> None:
    """All that stand elsewhere would have nobody; the history writes a site's name beside a slot's."""
    registry.register(candidate, actor="ana")
    registry.judge("rul", 1, Verdict(gate="bar", outcome="pass", detail=""), actor="gate")

    with pytest.raises(ConflictError, match="all that stand elsewhere would have nobody"):
        registry.promote("rul", 1, **PROD, **B, reason="pilot")
    for name in ("plant=b", "a:b", "a@b", "-", "x" * 81):
        with pytest.raises(InputError, match="names no site"):
            registry.promote("rul", 1, **PROD, site=name, reason="pilot")


def test_the_database_lets_one_version_hold_a_sites_slot(three: ModelRegistry) -> None:
    """A second open row is refused by the index; a row of another site is not."""
    three.promote("rul", 2, **PROD, **B, reason="try")
    row = {"model": "rul", "environment": "prod", "slot": "champion", "number": 3, "valid_from_us": 1}

    with three.engine.begin() as connection:
        connection.execute(insert(ASSIGNMENT).values({**row, "site": "plant-c"}))
    with three.engine.begin() as connection, pytest.raises(IntegrityError):
        connection.execute(insert(ASSIGNMENT).values({**row, **B}))


def test_an_altered_site_of_an_assignment_is_found(three: ModelRegistry) -> None:
    """Whose champion it is follows from the history alone."""
    three.promote("rul", 2, **PROD, **B, reason="try")
    with three.engine.begin() as connection:
        connection.execute(ASSIGNMENT.update().where(ASSIGNMENT.c.number == 2).values(site="plant-c"))

    assert faults(three.account("rul")) == [
        "who held prod:champion@plant-c=2 and when is not what the history says",
    ]


def test_assets_stand_at_one_site_at_a_time(three: ModelRegistry, clock: ManualClock) -> None:
    """Moved, they stand at the new one; where they stood is kept, with who said so; servers are told once of each."""
    sites, generation = three.sites, three.generation("prod")
    assert sites.place({"p1": "plant-a", "p2": "plant-b"}, **PROD, reason="opening") == 2
    clock.advance(seconds=1)
    assert sites.place({"p1": "plant-b", "p2": "plant-b"}, **PROD, reason="moved") == 1
    assert sites.place({"p2": ""}, **PROD, reason="scrapped") == 1

    assert sites.placed("prod") == {"p1": "plant-b"}
    assert sites.placed("test") == {}
    told = [(one.site, one.reason, one.valid_from_us, one.valid_to_us) for one in sites.history("prod", asset_id="p1")]
    assert told == [("plant-a", "opening", 1_000_000, 2_000_000), ("plant-b", "moved", 2_000_000, None)]
    assert three.generation("prod") == generation + 3
    with pytest.raises(InputError, match="names no site"):
        sites.place({"p1": "plant b"}, **PROD, reason="typo")
