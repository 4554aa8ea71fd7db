"""The catalogue: one of two applies wins, versions stay, names keep their owners; on SQLite and on Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pytest
from sqlalchemy import Integer, String, Text, create_engine, insert

from lineshaft.clock import ManualClock
from lineshaft.errors import ConflictError, DefinitionError, NotFoundError, UnavailableError
from lineshaft.registry.catalog import FixedCatalog, SqlCatalog
from lineshaft.registry.engine import open_engine
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.tables import MODEL, PIN, VERSION
from lineshaft.specs import Feature, OnDemandFeature, OnDemandView, Service, ServiceView, Source, View

HEAT = View(
    name="heat",
    source=Source(name="readings", channels=("temperature",), units=("degC",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="mean_1m", column="temperature", function="mean", window_us=60_000_000, unit="degC"),),
    team="process",
    owner="process@x",
    where="feature_repo/process.py:9",
)
EXCESS = OnDemandView(
    name="excess",
    features=(OnDemandFeature(name="over", function="difference", inputs=("heat__mean_1m", "heat__mean_1m")),),
    team="process",
)


def service_of(view: View) -> Service:
    """Return a service that pins a view."""
    used = ServiceView(view=view.name, version=view.version, features=view.feature_names)
    return Service(name="health", views=(used,), on_demand=(EXCESS,), team="process")


@dataclass(frozen=True, kw_only=True)
class Given:
    """A plan made by hand."""

    generation: int = 0
    views: tuple[View, ...] = (HEAT,)
    on_demand: tuple[OnDemandView, ...] = (EXCESS,)
    services: tuple[Service, ...] = (service_of(HEAT),)
    transfers: frozenset[str] = frozenset()
    summary: str = "by hand"
    fault: str = ""

    def checked(self) -> None:
        """Refuse where a fault is planted."""
        if self.fault:
            raise DefinitionError(self.fault)


@pytest.fixture
def catalog(database_url: str, clock: ManualClock) -> Iterator[SqlCatalog]:
    """Return an empty catalogue in a migrated database."""
    upgrade(database_url)
    opened = SqlCatalog(database_url, clock=clock)
    yield opened
    opened.close()


def test_the_catalogue_as_it_stood_is_read_back(catalog: SqlCatalog) -> None:
    """A wording that is no part of a version is that of the time; what came later is not there, what went is."""
    slow = replace(HEAT, ttl_us=7)
    assert catalog.apply(Given(), actor="ada") == 1
    assert catalog.apply(Given(views=(slow,), generation=1), actor="ada") == 2
    other = replace(HEAT, tile_us=30_000_000)
    assert catalog.apply(Given(views=(other,), services=(service_of(other),), generation=2), actor="ada") == 3

    assert [catalog.at(1).view("heat").ttl_us, catalog.at(2).view("heat").ttl_us] == [0, 7]
    assert catalog.at(3).view("heat") == other
    assert catalog.at(3).view("heat", HEAT.version) == slow
    assert catalog.at(2).service("health") == service_of(HEAT)
    assert catalog.at(0).views() == ()
    assert catalog.pinned_versions(HEAT) == []


def test_what_was_applied_is_what_is_read(catalog: SqlCatalog) -> None:
    """Views, on-demand views and services come back equal."""
    assert catalog.apply(Given(), actor="ada") == 1

    assert catalog.views() == (HEAT,)
    assert catalog.on_demand_views() == (EXCESS,)
    assert catalog.service("health") == service_of(HEAT)
    assert catalog.snapshot() == FixedCatalog(
        all_views=(HEAT,), all_services=(service_of(HEAT),), all_on_demand=(EXCESS,), generation=1
    )


def test_applying_the_same_again_changes_nothing(catalog: SqlCatalog) -> None:
    """No generation is spent, and a view that only moved to another line has not changed."""
    catalog.apply(Given(), actor="ada")

    moved = Given(generation=1, views=(replace(HEAT, where="feature_repo/process.py:99"),))

    assert catalog.apply(moved, actor="ada") == 1
    assert len(catalog.history()) == 1


def test_an_old_version_stays_beside_the_new_one(catalog: SqlCatalog) -> None:
    """A model that pins the old version reads it after the view has changed."""
    catalog.apply(Given(), actor="ada")
    newer = replace(HEAT, grace_us=30_000_000)

    catalog.apply(Given(generation=1, views=(newer,), services=(service_of(newer),)), actor="bob")

    assert catalog.view("heat") == newer
    assert catalog.view("heat", HEAT.version) == HEAT
    assert catalog.versions("heat") == (HEAT, newer)
    assert catalog.service("health", service_of(HEAT).version).views[0].version == HEAT.version


def test_a_new_owner_or_ttl_is_no_new_version(catalog: SqlCatalog) -> None:
    """The latest wording of a version is the one that is read."""
    catalog.apply(Given(), actor="ada")
    reworded = replace(HEAT, ttl_us=5_000_000, owner="heat@x")

    catalog.apply(Given(generation=1, views=(reworded,)), actor="ada")

    assert catalog.view("heat", HEAT.version) == reworded
    assert catalog.versions("heat") == (reworded,)


def test_the_loser_is_told_what_the_winner_did(catalog: SqlCatalog) -> None:
    """A plan made against an older generation is refused, and nothing of it is written."""
    catalog.apply(Given(summary="new view heat"), actor="ada")

    with pytest.raises(ConflictError, match=r"ada applied generation 1 at 1970-01-01T00:00:01Z \(new view heat\)"):
        catalog.apply(Given(views=(replace(HEAT, ttl_us=1),)), actor="bob")

    assert catalog.view("heat").ttl_us == 0


def test_of_many_writers_none_loses_an_edit(catalog: SqlCatalog) -> None:
    """Eight writers of five edits each: every edit that was acknowledged is in the history, in order."""

    def edit(writer: int) -> int:
        done = 0
        while done < 5:
            present = catalog.snapshot()
            kept = tuple(view for view in present.views() if view.name != f"heat{writer}")
            mine = replace(HEAT, name=f"heat{writer}", ttl_us=done + 1)
            plan = Given(generation=present.generation, views=(*kept, mine), services=(), on_demand=())
            try:
                catalog.apply(plan, actor=f"writer{writer}")
                done += 1
            except ConflictError:
                continue
        return done

    with ThreadPoolExecutor(8) as pool:
        acknowledged = sum(pool.map(edit, range(8)))

    assert acknowledged == len(catalog.history()) == catalog.generation() == 40
    assert {view.name: view.ttl_us for view in catalog.views()} == {f"heat{writer}": 5 for writer in range(8)}


def test_another_teams_name_is_refused_unless_handed_over(catalog: SqlCatalog) -> None:
    """The owner is asked; an approved transfer goes through."""
    catalog.apply(Given(), actor="ada")
    taken = Given(generation=1, views=(replace(HEAT, team="vibration"),))

    with pytest.raises(ConflictError, match=r"belongs to team 'process' \(process@x\)"):
        catalog.apply(taken, actor="eve")

    assert catalog.apply(replace(taken, transfers=frozenset({"heat"})), actor="eve") == 2


def test_a_removed_view_is_retired_not_deleted(catalog: SqlCatalog) -> None:
    """New readers do not find it, pins still do, and declaring it again brings it back."""
    catalog.apply(Given(), actor="ada")

    catalog.apply(Given(generation=1, views=(), services=()), actor="ada")

    assert catalog.views() == ()
    with pytest.raises(NotFoundError, match="heat"):
        catalog.view("heat")
    assert catalog.view("heat", HEAT.version) == HEAT
    assert catalog.apply(Given(generation=2), actor="ada") == 3
    assert catalog.view("heat") == HEAT


def test_a_plan_with_a_fault_is_never_written(catalog: SqlCatalog) -> None:
    """The catalogue asks the plan itself."""
    with pytest.raises(DefinitionError, match="window"):
        catalog.apply(Given(fault="a window is wrong"), actor="ada")

    assert catalog.generation() == 0


def test_models_that_pin_a_view_are_named(catalog: SqlCatalog, database_url: str) -> None:
    """A plan can say who keeps the old version."""
    engine = open_engine(database_url)
    with engine.begin() as connection:
        model = {"name": "hot", "task": "t", "team": "a", "owner": "o", "description": "", "created_us": 0}
        connection.execute(insert(MODEL).values(**model))
        text = {c.name: "" for c in VERSION.c if isinstance(c.type, (String, Text))}
        text |= {"model": "hot", "state": "registered", "artifact_format": "ubj"}
        numbers = {c.name: 3 for c in VERSION.c if isinstance(c.type, Integer)}
        connection.execute(insert(VERSION).values(**numbers, **text))
        connection.execute(insert(PIN).values(model="hot", number=3, view="heat", version="abc", table_version=7))
    engine.dispose()

    assert catalog.pins() == {"heat@abc": ("hot@3",)}


def test_projects_do_not_see_each_other(database_url: str, catalog: SqlCatalog) -> None:
    """One database holds several environments."""
    catalog.apply(Given(), actor="ada")

    other = SqlCatalog(database_url, project="staging")

    assert other.views() == ()
    assert other.generation() == 0
    other.close()


def test_the_history_says_who_and_when(catalog: SqlCatalog, clock: ManualClock) -> None:
    """Every apply is one line."""
    catalog.apply(Given(), actor="ada")
    clock.advance(seconds=5)
    catalog.apply(Given(generation=1, views=(replace(HEAT, ttl_us=9),)), actor="bob")

    assert [(line.generation, line.at_us, line.actor) for line in catalog.history()] == [
        (1, 1_000_000, "ada"),
        (2, 6_000_000, "bob"),
    ]


def test_a_fixed_catalog_answers_alike() -> None:
    """Tests and snapshots use a value that promises the same."""
    fixed = FixedCatalog(all_views=(HEAT,), all_services=(service_of(HEAT),))

    assert fixed.view("heat", HEAT.version) == HEAT
    with pytest.raises(NotFoundError, match="coldness"):
        fixed.service("coldness")


@pytest.mark.parametrize("url", ["postgresql://nobody:secret@127.0.0.1:1/none", "sqlite:////proc/none/catalog.db"])
def test_a_database_that_does_not_answer_is_told_without_its_secrets(url: str) -> None:
    """Reading and applying raise an error of ours with a remedy, not the driver's; no password is in it."""
    catalog = SqlCatalog.__new__(SqlCatalog)
    catalog._engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))  # noqa: SLF001 - no folder is made
    catalog._project = "dev"  # noqa: SLF001

    for ask in (catalog.generation, catalog.views, lambda: catalog.service("health"), catalog.history):
        with pytest.raises(UnavailableError, match="does not answer") as caught:
            ask()
        assert caught.value.fix
        assert "secret" not in str(caught.value)
