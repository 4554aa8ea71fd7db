"""A plan says what is new, what changes, what it recomputes, and who keeps the old."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

pytest.importorskip("feast")
from lineshaft.definitions.diff import Plan, plan_changes
from lineshaft.definitions.faults import Fault
from lineshaft.definitions.reader import Definitions
from lineshaft.errors import DefinitionError
from lineshaft.registry.catalog import FixedCatalog
from lineshaft.specs import Feature, OnDemandView, Service, ServiceView, Source, View

MEAN = Feature(name="mean_1m", column="temperature", function="mean", window_us=60_000_000, unit="degC")
HEAT = View(
    name="heat",
    source=Source(name="readings", channels=("temperature",), units=("degC",)),
    entity_keys=(("asset_id", "string"),),
    features=(MEAN,),
    team="process",
    owner="process@x",
)


def service_of(view: View) -> Service:
    """Return a service that pins a view."""
    used = ServiceView(view=view.name, version=view.version, features=view.feature_names)
    return Service(name="health", views=(used,), team="process")


def plan_of(
    view: View, *had: View, faults: tuple[Fault, ...] = (), pins: dict[str, tuple[str, ...]] | None = None
) -> Plan:
    """Plan a repository of one view against a catalogue of others."""
    definitions = Definitions(views=(view,), on_demand=(), services=(service_of(view),), faults=faults)
    services = tuple(service_of(v) for v in had[:1])
    present = FixedCatalog(all_views=had, all_services=services, generation=7, all_pins=pins or {})
    return plan_changes(definitions, present)


def test_nothing_changed_is_an_empty_plan() -> None:
    """Exit code 0, and it says so."""
    plan = plan_of(HEAT, HEAT)

    assert (plan.empty, plan.exit_code, plan.text()) == (True, 0, "no changes")


def test_a_new_view_must_be_backfilled() -> None:
    """The plan names the command."""
    plan = plan_of(HEAT)

    assert plan.exit_code == 2
    assert plan.changes[0].verdict == "new"
    assert "lineshaft backfill heat" in plan.text()


def test_a_changed_meaning_is_a_new_version_and_its_pins_are_named() -> None:
    """A model keeps the version it was trained on; services move on."""
    newer = replace(HEAT, features=(MEAN, replace(MEAN, name="max_1m", function="max")), grace_us=30_000_000)

    plan = plan_of(newer, HEAT, pins={HEAT.ref: ("overheating@3",)})

    view, service = plan.changes
    assert (view.verdict, view.before, view.after) == ("new version", HEAT.version, newer.version)
    assert "+ max_1m" in view.details
    assert any(line.startswith("grace") for line in view.details)
    assert view.pinned_by == ("overheating@3",)
    assert service.details == (f"reads heat@{newer.version} instead of @{HEAT.version}",)


def test_a_services_own_rules_are_told_when_they_change() -> None:
    """Another largest age, required column or constant is another contract, in words."""
    ruled = replace(service_of(HEAT), max_age_us=600_000_000, required=("heat__mean_1m",), impute=(("heat__x", 0.5),))
    present = FixedCatalog(all_views=(HEAT,), all_services=(service_of(HEAT),), generation=7)

    plan = plan_changes(Definitions(views=(HEAT,), on_demand=(), services=(ruled,)), present)

    (change,) = plan.changes
    assert change.verdict == "new version"
    assert change.details == (
        "max_age_us: 0 → 600000000",
        "required: () → ('heat__mean_1m',)",
        "impute: () → (('heat__x', 0.5),)",
    )


def test_a_new_code_version_is_a_change_of_meaning() -> None:
    """A function that computes otherwise makes every view that uses it anew."""
    plan = plan_of(replace(HEAT, code_versions=(("mean", 2),)), replace(HEAT, code_versions=(("mean", 1),)))

    assert plan.changes[0].details == ("code of mean: 1 → 2",)


def test_words_change_without_a_backfill() -> None:
    """Owner, ttl and prose make no version."""
    plan = plan_of(replace(HEAT, ttl_us=5), HEAT)

    (change,) = plan.changes
    assert (change.verdict, change.recomputes) == ("reworded", "")
    assert change.details == ("ttl_us: 0 → 5",)


def test_sharing_a_service_is_seen_in_the_plan() -> None:
    """Who may read it is a matter for whoever reviews the change, and makes no version."""
    shared = replace(service_of(HEAT), readers=("power",))
    definitions = Definitions(views=(HEAT,), on_demand=(), services=(shared,), faults=())
    (change,) = plan_changes(definitions, FixedCatalog(all_views=(HEAT,), all_services=(service_of(HEAT),))).changes

    assert (change.verdict, change.before == change.after) == ("reworded", True)
    assert change.details == ("readers: () → ('power',)",)


def test_a_removed_view_is_said_to_stay_readable() -> None:
    """Removal takes nothing from those who pin it."""
    plan = plan_of(HEAT, HEAT, replace(HEAT, name="cold"))

    assert [(change.name, change.verdict) for change in plan.changes] == [("cold", "removed")]


def test_another_teams_name_is_a_fault() -> None:
    """Whose name it is, is found while it is still a plan."""
    plan = plan_of(replace(HEAT, team="vibration"), HEAT)

    assert [fault.code for fault in plan.faults] == ["LS-DEF-028"]
    assert plan.exit_code == 1
    with pytest.raises(DefinitionError, match="belongs to team process"):
        plan.checked()


def test_what_could_not_be_read_is_not_removed() -> None:
    """A fault hides an object from the reading; the plan does not take that for a removal."""
    plan = plan_of(HEAT, HEAT, replace(HEAT, name="cold"), faults=(Fault(code="LS-DEF-011", what="cold is faulty"),))

    assert plan.changes == ()
    assert plan.exit_code == 1


def test_a_plan_can_be_read_by_a_machine() -> None:
    """JSON with faults and changes, for a pull request's comment."""
    written = json.loads(plan_of(HEAT).to_json())

    assert [change["name"] for change in written["changes"]] == ["heat", "health"]
    assert written["faults"] == []


EMPTY = Definitions(views=(), on_demand=(), services=())
LEVEL = OnDemandView(name="level", features=())
HELD = FixedCatalog(all_views=(HEAT,), all_services=(service_of(HEAT),), all_on_demand=(LEVEL,), generation=7)


def test_a_repository_that_declares_nothing_removes_nothing() -> None:
    """The wrong folder is more likely than the wish to remove everything: it is a fault, and nothing is planned."""
    plan = plan_changes(EMPTY, HELD)

    assert [(fault.code, fault.warning) for fault in plan.faults] == [("LS-DEF-032", False)]
    assert "all 3 views and services" in plan.faults[0].what
    assert (plan.changes, plan.exit_code) == ((), 1)
    with pytest.raises(DefinitionError, match="LS-DEF-032"):
        plan.checked()


def test_who_means_to_remove_everything_says_so() -> None:
    """With `allow_empty` each object is a removal."""
    plan = plan_changes(EMPTY, HELD, allow_empty=True)

    assert [change.name for change in plan.changes] == ["heat", "level", "health"]
    assert {change.verdict for change in plan.changes} == {"removed"}
    assert (plan.faults, plan.exit_code) == ((), 2)


@pytest.mark.parametrize(
    "definitions",
    [
        replace(EMPTY, services=(service_of(HEAT),)),
        replace(EMPTY, views=(HEAT,)),
        replace(EMPTY, faults=(Fault(code="LS-DEF-001", what="cannot be imported"),)),
    ],
    ids=["a service", "a view", "a fault"],
)
def test_one_object_is_a_repository(definitions: Definitions) -> None:
    """Whoever still declares something, or has another fault to mend first, is not asked for a flag."""
    assert "LS-DEF-032" not in {fault.code for fault in plan_changes(definitions, HELD).faults}


def test_nothing_on_nothing_is_no_fault() -> None:
    """A first plan of an empty folder changes nothing."""
    assert plan_changes(EMPTY, FixedCatalog()).text() == "no changes"
