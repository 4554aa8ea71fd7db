"""The repository we ship: sound, complete, and the same as what the readers fill."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("feast")
from lineshaft.definitions.reader import Definitions, read_repo
from lineshaft.errors import NotFoundError
from lineshaft.sources.catalogue import SOURCES
from lineshaft.specs import Service, View
from lineshaft.tiles.catalogue import function
from lineshaft.tiles.plan import TilePlan

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def shipped() -> Definitions:
    """Return what `feature_repo/` declares."""
    return read_repo(ROOT / "feature_repo")


def test_the_shipped_repository_has_no_fault(shipped: Definitions) -> None:
    """Nothing is refused, nothing is warned of."""
    assert [str(fault) for fault in shipped.faults] == []


def test_three_teams_share_one_machine(shipped: Definitions) -> None:
    """Every team's views are keyed by the machine."""
    assert {view.team for view in shipped.views} == {"vibration", "process", "turbofan"}
    assert {view.entity_keys[0] for view in shipped.views} == {("asset_id", "string")}


def test_declared_sources_are_those_the_readers_fill(shipped: Definitions) -> None:
    """Channels, their order and their units stand in two places and are one."""
    declared = {view.source.name: view.source for view in shipped.views}

    assert declared == {name: SOURCES[name] for name in declared}
    assert set(declared) == set(SOURCES)


def test_every_view_can_be_planned(shipped: Definitions) -> None:
    """A view that passes the checks has a computation."""
    for view in shipped.views:
        assert len(TilePlan.of(view).functions) == len(view.features)


def test_a_views_version_holds_the_versions_of_its_code(shipped: Definitions) -> None:
    """Functions and the aggregators they need are part of the meaning."""
    fast = next(view for view in shipped.views if view.name == "vibration_fast")
    entry = function("band_power[0-2000Hz]")

    assert (entry.name, entry.version) in fast.code_versions
    assert {(need.key, need.version) for need in entry.needs} <= set(fast.code_versions)


def test_services_pin_the_views_they_were_read_with(shipped: Definitions) -> None:
    """A service names exact versions, and every input of its on-demand features."""
    versions = {view.name: view.version for view in shipped.views}

    for service in shipped.services:
        assert all(used.version == versions[used.view] for used in service.views)
        answered = {f"{used.view}__{name}" for used in service.views for name in used.features}
        assert {text for view in service.on_demand for f in view.features for text in f.inputs} <= answered


def test_specs_survive_being_written_down(shipped: Definitions) -> None:
    """JSON and back is the same value with the same version."""
    assert all(View.from_json(view.to_json()) == view for view in shipped.views)
    assert all(Service.from_json(service.to_json()) == service for service in shipped.services)


def test_reading_leaves_no_module_behind() -> None:
    """A second reading sees the files as they are then, and nobody else's `process` is replaced."""
    before = set(sys.modules)

    read_repo(ROOT / "feature_repo")

    assert not {"vibration", "process", "windows", "entities"} & (set(sys.modules) - before)


def test_a_missing_repository_is_named(tmp_path: Path) -> None:
    """The message says where it looked."""
    with pytest.raises(NotFoundError, match="nowhere"):
        read_repo(tmp_path / "nowhere")
