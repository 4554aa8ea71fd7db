"""Forty contradictions between teams in one generated repository: each is named with file, line and a way out."""

from __future__ import annotations

import os
import runpy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("feast")
from lineshaft.access.teams import Team, Teams, read_teams
from lineshaft.definitions.diff import plan_changes
from lineshaft.definitions.reader import Definitions, read_repo
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.specs import LiveModel

ENGINEERS = int(os.environ.get("PLAN_ENGINEERS", "10"))  # noqa: TID251  50 a team make two thousand views
VIEWS = 5 if ENGINEERS == 10 else 10
GENERATED: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[2] / "bench" / "generated_repository.py"))


KINDS = {
    "LS-DEF-004",  # same name, other meaning
    "LS-DEF-014",  # a window that is no multiple of its slide
    "LS-DEF-023",  # taken away under a service
    "LS-DEF-028",  # another team's object
    "LS-DEF-029",  # same meaning, other name
    "LS-DEF-036",  # what a live model reads, changed
    "LS-DEF-037",  # a key of two types
    "LS-DEF-038",  # two units
    "LS-DEF-039",  # unlike units
    "LS-DEF-040",  # a team that nobody knows
}


@pytest.fixture
def teams(tmp_path: Path) -> Teams:
    """Return the teams of the generated repository."""
    GENERATED["write_teams"](tmp_path / "teams.yaml", engineers=ENGINEERS)
    return read_teams(tmp_path / "teams.yaml")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a generated repository without a fault."""
    GENERATED["write"](tmp_path / "repo", engineers=ENGINEERS, views=VIEWS)
    return tmp_path / "repo"


def catalogue(clean: Definitions) -> FixedCatalog:
    """Return a catalogue of what is declared, where a live model of each team reads a view of that team."""
    views = {view.name: view for view in clean.views}
    read = [views[f"{team}_e05_1"] for team in GENERATED["TEAMS"]]
    live = tuple(
        LiveModel(
            ref=f"{view.team}_wear@3",
            slots=("champion",),
            service="",
            team=view.team,
            views={view.name: view.version},
            columns=tuple(f"{view.name}__{name}" for name in view.feature_names),
        )
        for view in read
    )
    return FixedCatalog(
        all_views=clean.views, all_services=clean.services, all_on_demand=clean.on_demand, all_live=live, generation=1
    )


def test_forty_contradictions_are_named_and_a_clean_repository_has_none(root: Path, teams: Teams) -> None:
    """Ten kinds, four of each, all in one plan: code and file of each, a line that is there, a fix; nothing else."""
    clean = read_repo(root, teams=teams)
    present = catalogue(clean)
    assert len(clean.views) == 4 * ENGINEERS * VIEWS
    assert plan_changes(clean, present, teams=teams).faults == ()
    assert plan_changes(clean, present, teams=teams).empty

    planted = GENERATED["plant"](root)
    found = plan_changes(read_repo(root, teams=teams), present, teams=teams).faults

    wanted = Counter((one.code, one.file) for one in planted)
    told = Counter((fault.code, fault.where.rpartition(":")[0]) for fault in found)
    assert (told - wanted, wanted - told) == (Counter(), Counter())
    assert (len(planted), {one.code for one in planted}) == (40, KINDS)
    for fault in found:
        file, _, line = fault.where.rpartition(":")
        assert fault.shown == (root.parent / file).read_text().splitlines()[int(line) - 1].strip()
        assert fault.shown
        assert fault.fix


def test_who_changes_another_teams_view_is_told_whom_to_ask(root: Path, teams: Teams) -> None:
    """A member changes what is the team's, an owner removes it, an outsider does neither, an admin all."""
    present = catalogue(read_repo(root, teams=teams))
    GENERATED["change"](root, "vibration", "e07", 3)
    changed = read_repo(root, teams=teams)

    def refused(who: str, definitions: Definitions = changed) -> list[str]:
        plan = plan_changes(definitions, present, teams=teams, who=who)
        assert {fault.code for fault in plan.faults} <= {"LS-DEF-041"}
        return [fault.fix for fault in plan.faults]

    owner, members = "vibration_0", [f"vibration_{index}" for index in range(1, ENGINEERS)]
    assert refused(members[0], Definitions(views=changed.views, on_demand=(), services=changed.services)) == [
        f"ask {owner}"  # another window is another meaning: that is an owner's to decide
    ]
    assert refused("process_0") == [f"ask {owner}"]
    assert refused(owner) == refused("") == []
    token = "by token 0123456789ab (laptop)"  # whoever stands behind a name counts, as in approvals
    assert refused(f"{owner}, {token}") == refused(f"service token 0123456789ab, made by {owner} (ci)") == []
    assert refused(f"process_0, {token}") == [f"ask {owner}"]
    with_admin = Teams(teams={**teams.teams, "*": read_admin()})
    assert plan_changes(changed, present, teams=with_admin, who="ci").faults == ()


def read_admin() -> Team:
    """Return the team of those who may do everything."""
    return Team(name="*", owners=("ci",))
