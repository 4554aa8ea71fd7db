"""What a model that holds a slot reads is kept: in every slot and at every site, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from lineshaft.clock import ManualClock
from lineshaft.definitions.diff import Plan, plan_changes
from lineshaft.definitions.reader import Definitions
from lineshaft.registry.catalog import SqlCatalog
from lineshaft.registry.models import ModelRegistry
from lineshaft.registry.records import Slot, Verdict, ViewPin
from lineshaft.specs import Feature, LiveModel, Source, View
from lineshaft.testing import small_candidate

MEAN = Feature(name="mean_1m", column="temperature", function="mean", window_us=60_000_000, unit="degC")
PEAK = replace(MEAN, name="peak_1m", function="max")
HEAT = View(
    name="heat",
    source=Source(name="readings", channels=("temperature",), units=("degC",)),
    entity_keys=(("asset_id", "string"),),
    features=(MEAN, PEAK),
    team="process",
    owner="process@x",
)
OTHER = replace(HEAT, name="other", grace_us=5)


@pytest.fixture
def catalog(database_url: str, registry: ModelRegistry, clock: ManualClock) -> Iterator[SqlCatalog]:
    """Return a catalogue with a view of two features, and three versions of a model that read one of them."""
    opened = SqlCatalog(database_url, project="prod", clock=clock)
    opened.apply(planned(opened, HEAT, OTHER), actor="ana")
    for _ in range(3):
        register(registry, HEAT)
    yield opened
    opened.close()


def register(registry: ModelRegistry, view: View) -> None:
    """Register a model that reads a feature of a view, and passed its gates."""
    pins = (ViewPin(view=view.name, version=view.version),)
    reads = {"service": "health", "team": "reliability", "features": ("heat__mean_1m",), "pins": pins}
    number = registry.register(small_candidate(model="wear", **reads), actor="ana").number
    registry.judge("wear", number, Verdict(gate="bar", outcome="pass", detail=""), actor="gate")


def planned(catalog: SqlCatalog, *views: View) -> Plan:
    """Plan that there are these views and no others."""
    return plan_changes(Definitions(views=views, on_demand=(), services=()), catalog)


def promote(registry: ModelRegistry, number: int, *, slot: Slot = Slot.CHAMPION, site: str = "") -> None:
    """Give a version a slot of the environment, or of a site of it."""
    registry.promote("wear", number, environment="prod", slot=slot, site=site, actor="ben", reason="try")


def test_whoever_holds_a_slot_is_live_whatever_the_slot_and_the_site(
    catalog: SqlCatalog, registry: ModelRegistry
) -> None:
    """With pins, columns and team as registered; registered alone is not live, nor is who holds a slot elsewhere."""
    assert catalog.live() == ()
    promote(registry, 1)
    promote(registry, 2, slot=Slot.SHADOW)
    promote(registry, 3, site="plant-b")
    registry.promote("wear", 3, environment="test", actor="ben", reason="try")

    said = {"service": "health", "team": "reliability", "views": {"heat": HEAT.version}, "columns": ("heat__mean_1m",)}
    assert catalog.live() == tuple(
        LiveModel(ref=f"wear@{number}", slots=(slot,), **said)  # type: ignore[arg-type]
        for number, slot in ((1, "champion"), (2, "shadow"), (3, "champion"))
    )
    promote(registry, 3)
    assert {one.ref: one.slots for one in catalog.live()} == {
        "wear@2": ("shadow",),
        "wear@3": ("champion", "champion"),
    }


@pytest.mark.parametrize(
    ("slot", "site"), [(Slot.CHAMPION, ""), (Slot.CHALLENGER, ""), (Slot.SHADOW, ""), (Slot.CHAMPION, "plant-b")]
)
def test_what_a_slot_reads_is_not_taken_away_and_what_it_does_not_read_may_go(
    catalog: SqlCatalog, registry: ModelRegistry, slot: Slot, site: str
) -> None:
    """Changed, removed, and the view removed: each refused while the slot is held; nothing of the kind before."""
    taken = {
        "means something else": (replace(HEAT, features=(replace(MEAN, window_us=120_000_000), PEAK)), OTHER),
        "mean_1m is removed": (replace(HEAT, features=(PEAK,)), OTHER),
        "it is removed": (OTHER,),
    }
    assert [planned(catalog, *views).faults for views in taken.values()] == [(), (), ()]
    if slot is not Slot.CHAMPION or site:
        promote(registry, 2)
    promote(registry, 1, slot=slot, site=site)

    for words, views in taken.items():
        told = [one.what for one in planned(catalog, *views).faults if one.code == "LS-DEF-036"]
        assert any(f"live model wear@1 ({slot}) reads heat__mean_1m" in one and words in one for one in told), told
    assert planned(catalog, replace(HEAT, features=(MEAN,)), OTHER).faults == ()


def test_a_feature_beside_a_live_model_s_makes_a_second_version_that_is_computed_too(
    catalog: SqlCatalog, registry: ModelRegistry
) -> None:
    """Both versions are for jobs to compute while the old is pinned by a slot; then the new one alone."""
    promote(registry, 1)
    added = replace(HEAT, features=(MEAN, PEAK, replace(MEAN, name="low_1m", function="min")))

    plan = planned(catalog, added, OTHER)
    assert (plan.faults, [one.verdict for one in plan.changes]) == ((), ["new version"])
    catalog.apply(plan, actor="ana")

    assert {view.ref for view in catalog.computed()} == {HEAT.ref, added.ref, OTHER.ref}
    register(registry, added)
    promote(registry, 4)
    assert {view.ref for view in catalog.computed()} == {added.ref, OTHER.ref}
