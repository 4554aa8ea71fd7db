"""Deprecated views, live models, and what a change takes from whom."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("feast")
from lineshaft.definitions.diff import Plan, plan_changes
from lineshaft.definitions.markdown import MARK, markdown
from lineshaft.definitions.reader import Definitions, read_repo
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.specs import Feature, LiveModel, OnDemandFeature, OnDemandView, Service, ServiceView, Source, View

DAY_US = 86_400_000_000
MEAN = Feature(name="mean", column="temperature", function="mean", window_us=60_000_000, unit="degC")
HEAT = View(
    name="heat",
    source=Source(name="readings", channels=("temperature",), units=("degC",)),
    entity_keys=(("asset_id", "string"),),
    features=(MEAN, replace(MEAN, name="max", function="max")),
    team="process",
    owner="process@x",
    where="repo/heat.py:3",
)
RISE = OnDemandView(
    name="rise",
    features=(OnDemandFeature(name="over", function="difference", inputs=("heat__max", "heat__mean")),),
    team="process",
)


def service_of(view: View, name: str = "health", *, team: str = "lab") -> Service:
    """Return a service that reads a view."""
    used = ServiceView(view=view.name, version=view.version, features=view.feature_names)
    return Service(name=name, views=(used,), on_demand=(RISE,), team=team)


LIVE = LiveModel(
    ref="wear@3",
    slots=("champion",),
    service="health",
    team="models",
    views={"heat": HEAT.version},
    columns=("heat__mean", "rise__over"),
)
PRESENT = FixedCatalog(
    all_views=(HEAT,), all_services=(service_of(HEAT),), all_on_demand=(RISE,), all_live=(LIVE,), generation=4
)


def plan(*views: View, on_demand: tuple[OnDemandView, ...] = (RISE,), present: FixedCatalog = PRESENT) -> Plan:
    """Plan views with the service that reads the first of them."""
    services = (service_of(views[0]),) if views else ()
    return plan_changes(Definitions(views=views, on_demand=on_demand, services=services), present, allow_empty=True)


@pytest.mark.parametrize(
    ("view", "why"),
    [
        (replace(HEAT, features=HEAT.features[1:]), "mean is removed"),
        (replace(HEAT, features=(replace(MEAN, function="median"), HEAT.features[1])), "mean means something else"),
        (replace(HEAT, features=(replace(MEAN, window_us=7), HEAT.features[1])), "mean means something else"),
        (replace(HEAT, entity_keys=(("line", "string"),)), "it is asked by other keys"),
        (replace(HEAT, tile_us=120_000_000), "a row comes every 2m instead of 1m"),
        (replace(HEAT, source=replace(HEAT.source, name="others")), "it is computed from others instead of readings"),
    ],
)
def test_what_a_live_model_reads_is_not_changed_under_it(view: View, why: str) -> None:
    """Refused with the model, its slot, the feature and why; nothing is refused where no model is live."""
    made = plan(view)

    (fault,) = made.faults
    assert (fault.code, fault.where) == ("LS-DEF-036", HEAT.where)
    assert fault.what == f"live model wear@3 (champion) reads heat__mean: {why}"
    assert made.exit_code == 1
    assert why in made.changes[0].breaking
    assert plan(view, present=replace(PRESENT, all_live=())).faults == ()


def test_what_it_does_not_read_may_change() -> None:
    """A feature of the same view that no live model reads, and one more; the plan still says whom it breaks."""
    fewer = plan(replace(HEAT, features=(MEAN,)))
    more = plan(replace(HEAT, features=(*HEAT.features, replace(MEAN, name="min", function="min"))))

    assert fewer.faults == more.faults == ()
    assert fewer.changes[0].breaking == ("max is removed",)
    assert more.changes[0].breaking == ()
    assert more.changes[0].verdict == "new version"


def test_removing_what_a_model_needs_is_refused() -> None:
    """Its view, its on-demand view and its service, each at the line where it stood."""
    gone = plan(on_demand=())

    assert {fault.what.split(" reads ")[1] for fault in gone.faults} == {
        "heat__mean: it is removed",
        "rise__over: it is removed",
        "health: it is removed",
    }
    assert {change.verdict for change in gone.changes} == {"removed"}


def test_an_on_demand_feature_of_another_meaning_breaks_its_readers() -> None:
    """Its function is what a model reads, as much as a window is."""
    other = replace(RISE, features=(replace(RISE.features[0], function="ratio"),))

    made = plan(HEAT, on_demand=(other,))

    assert [fault.what for fault in made.faults] == [
        "live model wear@3 (champion) reads rise__over: over means something else"
    ]


def test_a_change_names_whom_it_reaches() -> None:
    """Services, live models and teams besides the owner's, in text and in Markdown."""
    made = plan(replace(HEAT, features=(MEAN,)))

    reach = made.changes[0].reaches
    assert (reach.services, reach.models, reach.teams) == (("health",), ("wear@3 (champion)",), ("lab", "models"))
    assert "    breaking: max is removed\n    services: health\n    models: wear@3 (champion)\n" in made.text()
    written = markdown(made)
    assert written.startswith(MARK)
    assert "**2 changes**, 2 of them breaking." in written
    assert (
        "| view `heat` | new version<br>- max | max is removed | health | wear@\u200b3 (champion) | lab, models |"
        in written
    )
    assert "No changes." in markdown(plan(HEAT))
    refused = markdown(plan(replace(HEAT, features=HEAT.features[1:], description="a | b")))
    assert "**Refused**: 1 fault to mend." in refused
    assert "| ❌ LS-DEF-036 |" in refused


@pytest.mark.parametrize(
    ("now", "new", "code"),
    [
        (1, False, "LS-DEF-042"),
        (1, True, "LS-DEF-042"),
        (3, False, "LS-DEF-042"),
        (3, True, "LS-DEF-043"),
    ],
)
def test_a_deprecated_view_warns_its_readers_and_takes_no_new_ones(now: int, new: bool, code: str) -> None:
    """Before its day everybody is warned; from then on who begins to read it is refused, who did goes on."""
    going = replace(HEAT, tags=(("lineshaft.deprecated", "1970-01-03"), ("lineshaft.instead", "heat_2")))
    reader = service_of(going, "newcomer" if new else "health")
    definitions = Definitions(
        views=(going,), on_demand=(RISE,), services=(service_of(going), reader) if new else (reader,)
    )

    faults = plan_changes(definitions, PRESENT, now_us=now * DAY_US).faults

    told = [fault for fault in faults if f'"{reader.name}"' in fault.what]
    assert [(fault.code, fault.warning) for fault in told] == [(code, code == "LS-DEF-042")]
    assert told[0].fix == "read heat_2 instead"


def test_an_object_with_a_fault_is_no_removal_and_hides_no_other_fault(tmp_path: Path) -> None:
    """A view that cannot be compiled is not taken for removed; one that is gone is told beside it."""
    repo = tmp_path / "repo"
    repo.mkdir()
    (repo / "heat.py").write_text("from feast import FeatureView\nheat = FeatureView(name='heat', source=None)\n")
    there = FixedCatalog(all_views=(HEAT, replace(HEAT, name="cold")), generation=1)

    made = plan_changes(read_repo(repo), there)

    assert [(change.name, change.verdict) for change in made.changes] == [("cold", "removed")]
    assert "LS-DEF-031" in {fault.code for fault in made.faults}
