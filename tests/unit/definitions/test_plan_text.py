"""A plan as a person reads it and as a program does: every kind of change, every word of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest

pytest.importorskip("feast")
from lineshaft.definitions.diff import Change, Plan, plan_changes
from lineshaft.definitions.faults import CODES, WARNINGS, Fault, refuse
from lineshaft.definitions.reader import Definitions
from lineshaft.errors import DefinitionError
from lineshaft.registry.catalog import FixedCatalog, SqlCatalog
from lineshaft.registry.migrate import upgrade
from lineshaft.specs import Feature, OnDemandFeature, OnDemandView, Service, ServiceView, Source, View

MEAN = Feature(name="mean", column="temperature", function="mean", window_us=60_000_000, unit="degC")
HEAT = View(
    name="heat",
    source=Source(name="readings", channels=("temperature", "current"), units=("degC", "A")),
    entity_keys=(("asset_id", "string"),),
    features=(MEAN, replace(MEAN, name="max", function="max")),
    team="process",
    owner="process@x",
    code_versions=(("mean", 1), ("moments", 1)),
)
LAB = View(
    name="lab",
    source=Source(name="lab_file", channels=("grade",), units=("",), kind="rows", path="lab.parquet"),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="grade", column="grade"),),
    team="lab",
    owner="lab@x",
)
EXCESS = OnDemandView(
    name="excess",
    features=(OnDemandFeature(name="over", function="difference", inputs=("heat__max", "heat__mean")),),
    team="process",
)


def service_of(*views: View, on_demand: tuple[OnDemandView, ...] = ()) -> Service:
    """Return a service of whole views."""
    used = tuple(ServiceView(view=v.name, version=v.version, features=v.feature_names) for v in views)
    return Service(name="health", views=used, on_demand=on_demand, team="process")


def one(old: View, new: View, pins: dict[str, tuple[str, ...]] | None = None) -> Change:
    """Return the one change between two states of a view."""
    wanted = Definitions(views=(new,), on_demand=(), services=())
    (change,) = plan_changes(wanted, FixedCatalog(all_views=(old,), all_pins=pins or {})).changes
    return change


DETAILS: dict[str, tuple[Callable[[View], View], tuple[str, ...]]] = {
    "a feature more": (lambda v: replace(v, features=(*v.features, replace(MEAN, name="min"))), ("+ min",)),
    "a feature less": (lambda v: replace(v, features=v.features[:1]), ("- max",)),
    "another function": (
        lambda v: replace(v, features=(replace(MEAN, function="median"), v.features[1])),
        ("~ mean",),
    ),
    "another window": (lambda v: replace(v, features=(replace(MEAN, window_us=1), v.features[1])), ("~ mean",)),
    "another channel": (lambda v: replace(v, features=(replace(MEAN, column="current"), v.features[1])), ("~ mean",)),
    "another slide": (lambda v: replace(v, tile_us=120_000_000), ("slide: 1m → 2m",)),
    "another grace": (lambda v: replace(v, grace_us=30_000_000), ("grace: 0us → 30s",)),
    "another lateness": (lambda v: replace(v, lateness_us=86_400_000_000), ("lateness: 7d → 1d",)),
    "other units": (
        lambda v: replace(v, source=replace(v.source, units=("K", "A"))),
        ("source readings → readings, its channels or units",),
    ),
    "another source": (
        lambda v: replace(v, source=replace(v.source, name="others")),
        ("source readings → others, its channels or units",),
    ),
    "newer code": (
        lambda v: replace(v, code_versions=(("mean", 3), ("moments", 2))),
        ("code of mean: 1 → 3", "code of moments: 1 → 2"),
    ),
    "another key": (
        lambda v: replace(v, entity_keys=(("asset_id", "string"), ("line", "int64"))),
        ("keys: asset_id string → asset_id string, line int64",),
    ),
    "another order": (lambda v: replace(v, features=v.features[::-1]), ("features in another order",)),
}


@pytest.mark.parametrize("what", DETAILS)
def test_a_new_version_says_what_differs(what: str) -> None:
    """Line by line; none is without a reason."""
    change, lines = DETAILS[what]

    made = one(HEAT, change(HEAT))

    assert (made.kind, made.verdict, made.details) == ("view", "new version", lines)
    assert (made.before, made.after) == (HEAT.version, change(HEAT).version)
    assert "lineshaft backfill heat" in made.recomputes


WORDS: dict[str, tuple[Callable[[View], View], str]] = {
    "owner": (lambda v: replace(v, owner="heat@x"), "owner: process@x → heat@x"),
    "description": (lambda v: replace(v, description="Hot."), "description:  → Hot."),
    "ttl": (lambda v: replace(v, ttl_us=5), "ttl_us: 0 → 5"),
    "online": (lambda v: replace(v, online=False), "online: True → False"),
    "tags": (lambda v: replace(v, tags=(("a", "b"),)), "tags: () → (('a', 'b'),)"),
}


@pytest.mark.parametrize("what", WORDS)
def test_other_words_are_told_and_cost_nothing(what: str) -> None:
    """No version, no backfill, and nobody keeps an old one."""
    change, line = WORDS[what]

    made = one(HEAT, change(HEAT), {HEAT.ref: ("m@1",)})

    assert (made.verdict, made.details, made.recomputes, made.pinned_by) == ("reworded", (line,), "", ())
    assert made.before == made.after == HEAT.version


@pytest.mark.parametrize(
    ("field", "value"), [("path", "new.parquet"), ("timestamp_field", "at"), ("created_field", "made")]
)
def test_rows_found_elsewhere_are_a_change(field: str, value: str) -> None:
    """Where rows made elsewhere lie makes no version, but the plan says it: it must not be taken for no change."""
    made = one(LAB, replace(LAB, source=replace(LAB.source, **{field: value})))  # type: ignore[arg-type]

    assert made.verdict == "reworded"
    assert made.details == (f"source {field}: {getattr(LAB.source, field)} → {value}",)


def test_another_line_of_the_file_is_no_change() -> None:
    """Moving a declaration is not changing it."""
    wanted = Definitions(views=(replace(HEAT, where="x.py:9"),), on_demand=(), services=())

    assert plan_changes(wanted, FixedCatalog(all_views=(HEAT,))).empty


def test_prose_of_a_feature_is_a_change_of_words() -> None:
    """What a reader of the catalogue sees is brought up to date."""
    told = replace(LAB, features=(replace(LAB.features[0], description="By hand."),))

    assert one(LAB, told).details == ("feature grade: description:  → By hand.",)


EVERY_FIELD: dict[str, object] = {
    "name": "warmth",
    "source": replace(HEAT.source, kind="rows", path="x.parquet"),
    "entity_keys": (("line", "int64"),),
    "features": (replace(MEAN, description="By hand."), HEAT.features[1]),
    "tile_us": 1,
    "grace_us": 1,
    "lateness_us": 1,
    "ttl_us": 1,
    "team": "process",
    "owner": "somebody",
    "description": "Hot.",
    "where": "x.py:1",
    "code_versions": (("mean", 2),),
    "online": False,
    "tags": (("a", "b"),),
}


def test_a_plan_is_empty_exactly_if_an_apply_changes_nothing(tmp_path: Path) -> None:
    """Field by field: who applies only where a plan says so misses nothing, and who applies anyway adds nothing."""
    url = f"sqlite:///{tmp_path / 'catalogue.db'}"
    upgrade(url)
    catalog = SqlCatalog(url)
    assert set(EVERY_FIELD) == {field.name for field in fields(View)}
    for name, value in EVERY_FIELD.items():
        catalog.apply(planned(catalog, HEAT), actor="test")

        plan = planned(catalog, replace(HEAT, **{name: value}))  # type: ignore[arg-type]
        generation = catalog.apply(plan, actor="test")

        assert (generation == plan.generation) == plan.empty, name
        assert plan.empty == (name in {"where", "team"}), name
    catalog.close()


def planned(catalog: SqlCatalog, view: View) -> Plan:
    """Plan a repository of one view."""
    return plan_changes(Definitions(views=(view,), on_demand=(), services=()), catalog)


def test_services_say_which_views_they_gain_lose_and_move() -> None:
    """And where the views are the same, that it is the features or functions."""
    newer = replace(HEAT, grace_us=1)
    had = service_of(HEAT)
    cases = {
        service_of(newer): (f"reads heat@{newer.version} instead of @{HEAT.version}",),
        service_of(HEAT, LAB): ("+ view lab",),
        service_of(LAB): ("+ view lab", "- view heat"),
        service_of(HEAT, on_demand=(EXCESS,)): ("features or on-demand functions changed",),
    }

    for wanted, lines in cases.items():
        definitions = Definitions(views=(), on_demand=(), services=(wanted,))
        (change,) = plan_changes(definitions, FixedCatalog(all_services=(had,))).changes
        assert (change.kind, change.verdict, change.details, change.recomputes) == ("service", "new version", lines, "")


def test_an_on_demand_view_that_computes_otherwise_needs_no_backfill() -> None:
    """It is computed when asked."""
    other = replace(EXCESS, features=(replace(EXCESS.features[0], function="ratio"),))
    definitions = Definitions(views=(), on_demand=(other,), services=())

    (change,) = plan_changes(definitions, FixedCatalog(all_on_demand=(EXCESS,))).changes

    assert (change.kind, change.verdict, change.details) == (
        "on-demand view",
        "new version",
        ("functions or inputs changed",),
    )
    assert change.recomputes == ""


def test_rows_made_elsewhere_are_copied_not_computed() -> None:
    """A plan names the file."""
    definitions = Definitions(views=(LAB,), on_demand=(), services=())

    (change,) = plan_changes(definitions, FixedCatalog()).changes

    assert change.recomputes == "1 features copied from lab.parquet"


def test_a_change_is_written_with_sign_versions_and_consequences() -> None:
    """Plus, minus or tilde; from which version to which; what to run; who stays behind."""
    changed = Change(
        kind="view",
        name="heat",
        verdict="new version",
        before="aaa",
        after="bbb",
        details=("+ max",),
        recomputes="2 features",
        pinned_by=("m@1", "m@2"),
    )

    assert str(changed).splitlines() == [
        "~ view heat  new version aaa → bbb",
        "    + max",
        "    backfill: 2 features",
        "    keep aaa: m@1, m@2",
    ]
    assert str(Change(kind="view", name="heat", verdict="new", after="bbb")) == "+ view heat  new bbb"
    assert str(Change(kind="service", name="s", verdict="removed", before="aaa")) == "- service s  removed aaa"
    assert str(Change(kind="view", name="v", verdict="reworded", before="a", after="a")) == "~ view v  reworded"


def test_who_pins_a_removed_view_is_named() -> None:
    """A removal takes nothing from those who pin it, and says who they are."""
    catalog = FixedCatalog(all_views=(HEAT, LAB), all_pins={HEAT.ref: ("m@1",)})
    (change,) = plan_changes(Definitions(views=(LAB,), on_demand=(), services=()), catalog).changes

    assert (change.verdict, change.before, change.after, change.pinned_by) == ("removed", HEAT.version, "", ("m@1",))
    assert "stay readable" in change.details[0]


def test_a_transfer_lets_a_name_change_hands() -> None:
    """Approved, it is a change of words; not approved, a fault at the line of the new declaration."""
    taken = Definitions(views=(replace(HEAT, team="vibration", where="v.py:3"),), on_demand=(), services=())
    held = FixedCatalog(all_views=(HEAT,), generation=4)

    refused, approved = plan_changes(taken, held), plan_changes(taken, held, transfers=frozenset({"heat"}))

    (fault,) = refused.faults
    assert (fault.code, fault.where) == ("LS-DEF-028", "v.py:3")
    assert fault.what == 'view "heat" belongs to team process (process@x), not vibration'
    assert "process@x approve" in fault.fix
    assert (approved.faults, approved.exit_code, approved.generation) == ((), 2, 4)
    assert approved.changes[0].details == ("team: process → vibration",)
    assert approved.transfers == {"heat"}


def plan(*faults: Fault, changes: tuple[Change, ...] = ()) -> Plan:
    """Return a plan of faults and changes."""
    return Plan(generation=1, views=(), on_demand=(), services=(), changes=changes, faults=faults)


ERROR = Fault(code="LS-DEF-011", what="no function meen", where="a.py:3", shown='function="meen"', fix="use mean")
WARNING = Fault(code="LS-DEF-029", what="two views mean the same")
NEW = Change(kind="view", name="heat", verdict="new", after="bbb")


@pytest.mark.parametrize(
    ("given", "code", "summary"),
    [
        (plan(), 0, "no changes"),
        (plan(WARNING), 0, "no changes"),
        (plan(changes=(NEW,)), 2, "new view heat"),
        (plan(WARNING, changes=(NEW, NEW)), 2, "new view heat, new view heat"),
        (plan(ERROR), 1, "no changes"),
        (plan(ERROR, WARNING, changes=(NEW,)), 1, "new view heat"),
    ],
)
def test_the_exit_code_says_what_to_do(given: Plan, code: int, summary: str) -> None:
    """0: nothing; 2: something to apply; 1: something to mend first, whatever else there is."""
    assert (given.exit_code, given.summary) == (code, summary)
    if code == 1:
        with pytest.raises(DefinitionError):
            given.checked()
    else:
        assert given.checked() is given


def test_faults_stand_before_changes() -> None:
    """What must be mended is read first; both are there for machines too, warnings marked."""
    both = plan(ERROR, WARNING, changes=(NEW,))

    assert both.text() == f"{ERROR}\n{WARNING}\n{NEW}"
    told = json.loads(both.to_json())
    assert [(fault["code"], fault["warning"]) for fault in told["faults"]] == [
        ("LS-DEF-011", False),
        ("LS-DEF-029", True),
    ]
    assert told["changes"][0]["pinned_by"] == []


def test_a_fault_is_written_with_place_line_cure_and_page() -> None:
    """Without a place or a cure it still says where to read on."""
    assert str(ERROR).splitlines() == [
        "LS-DEF-011  no function meen",
        '  a.py:3   function="meen"',
        "  use mean · docs/reference/definition-faults.md#ls-def-011",
    ]
    assert str(WARNING).splitlines()[1:] == ["  see · docs/reference/definition-faults.md#ls-def-029"]


@pytest.mark.parametrize(("faults", "says"), [((ERROR,), "1 fault in"), ((ERROR, WARNING, ERROR), "2 faults in")])
def test_a_refusal_counts_what_must_be_mended(faults: tuple[Fault, ...], says: str) -> None:
    """Warnings are not counted and not listed; nothing but warnings refuses nothing."""
    with pytest.raises(DefinitionError, match=says) as refused:
        refuse(faults)
    assert "LS-DEF-029" not in str(refused.value)
    refuse((WARNING,))


def test_codes_are_numbered_once() -> None:
    """A code never means another thing: they are in order, and warnings are codes."""
    assert list(CODES) == sorted(CODES)
    assert "LS-DEF-003" not in CODES
    assert set(CODES) > WARNINGS
