"""Teams on the command line: who may apply, what a plan says of whom, who owns what, and environments of one's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("feast")
from pydantic import SecretStr
from sqlalchemy import text

from lineshaft.ops.account import account
from lineshaft.ops.quarantine import RELEASED
from lineshaft.ops.release import Decision, write_down
from lineshaft.registry.engine import open_engine
from lineshaft.settings import Settings
from lineshaft.stores.embedded import EmbeddedValkey

Lineshaft = Callable[..., Any]
PUMPS = """
from datetime import timedelta
from feast import Aggregation, Entity, FeatureService, Field, FileSource, PushSource, StreamFeatureView, ValueType
from feast.types import Float64

pump = Entity(name="pump", join_keys=["asset_id"], value_type=ValueType.STRING, owner="platform@x")
rows = FileSource(name="rows", path="none.parquet", timestamp_field="event_time")
readings = PushSource(name="readings", batch_source=rows, tags={"lineshaft.channels": "temperature [degC]"})
heat = StreamFeatureView(
    name="heat", entities=[pump], source=readings, timestamp_field="event_time", ttl=timedelta(minutes=10),
    aggregations=[Aggregation(column="temperature", function="mean", name="mean_5m",
                              time_window=timedelta(minutes=5), slide_interval=timedelta(minutes=1))],
    schema=[Field(name="mean_5m", dtype=Float64)], owner="heat@x", tags={"team": "a"},
)
health = FeatureService(name="health", features=[heat], owner="heat@x", tags={"team": "a"})
"""
TEAMS = "a: {owners: [OWNER], members: [MEMBER], tier: 1, on_call: 'https://call.example/a', code_owner: '@plant/a'}\n"


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a repository with a view and a service of team a, beside a home with a running online server."""
    folder = tmp_path / "definitions"
    folder.mkdir()
    (folder / "pumps.py").write_text(PUMPS)
    monkeypatch.setenv("LINESHAFT_REPO", str(folder))
    monkeypatch.setenv("LINESHAFT_POLICIES", str(tmp_path / "governance"))
    (tmp_path / "governance" / "policies").mkdir(parents=True)
    with EmbeddedValkey(tmp_path / "home" / "online"):
        yield folder


def write_teams(tmp_path: Path, **people: str) -> None:
    """Say who owns what is team a's, and who is a member."""
    named = TEAMS.replace("OWNER", people.get("owner", "somebody")).replace("MEMBER", people.get("member", "else"))
    (tmp_path / "governance" / "policies" / "teams.yaml").write_text(named)


def test_who_is_in_no_team_applies_nothing_and_who_is_a_member_breaks_nothing(
    lineshaft: Lineshaft, repo: Path, tmp_path: Path
) -> None:
    """The account counts, whatever `--actor` says; a plan may be made by everybody."""
    write_teams(tmp_path)
    refused = lineshaft("apply", "--actor", "somebody", at=tmp_path / "home")
    seen = lineshaft("plan", at=tmp_path / "home")
    write_teams(tmp_path, member=account())
    applied = lineshaft("apply", "--actor", "ann", at=tmp_path / "home")
    (repo / "pumps.py").write_text(PUMPS.replace('function="mean"', 'function="max"'))
    breaking = lineshaft("apply", at=tmp_path / "home")
    write_teams(tmp_path, owner=account())
    owned = lineshaft("apply", at=tmp_path / "home")

    assert (refused.code, seen.code, applied.code, breaking.code, owned.code) == (1, 2, 0, 1, 0)
    assert f'{account()} may not change view "heat" so: it takes a member of team a' in refused.err
    assert "ask somebody, else" in refused.err
    assert "it takes an owner of team a" in breaking.err
    verified = lineshaft("audit", "verify", "--json", at=tmp_path / "home")
    assert [(row["history"], row["lines"], row["faults"]) for row in verified.rows] == [("catalogue dev", 2, 0)]


def test_a_plan_knows_todays_teams_though_no_definition_changed(
    lineshaft: Lineshaft, repo: Path, tmp_path: Path
) -> None:
    """What is kept of the repository says nothing of who is who: another teams file, another answer."""
    write_teams(tmp_path)
    known = lineshaft("plan", at=tmp_path / "home")
    (tmp_path / "governance" / "policies" / "teams.yaml").write_text("b: [else]\n")
    stranger = lineshaft("plan", at=tmp_path / "home")

    assert (known.code, stranger.code) == (2, 1)
    assert 'LS-DEF-040  team "a" of "heat" is not in the teams file' in stranger.out
    assert (repo / "pumps.py").read_text() == PUMPS


def test_a_plan_tells_where_suites_say_less_where_that_is_asked(
    lineshaft: Lineshaft, repo: Path, tmp_path: Path
) -> None:
    """What `lineshaft checks diff` would say after the apply, beside the view that changes; not unasked."""
    (repo / "pumps.py").write_text(PUMPS.replace('function="mean"', 'function="std"'))
    plain = lineshaft("plan", at=tmp_path / "home")
    asked = lineshaft("plan", "--checks", at=tmp_path / "home")
    posted = lineshaft("plan", "--checks", "--format", "markdown", at=tmp_path / "home")
    lineshaft("apply", at=tmp_path / "home")
    rows = lineshaft("checks", "diff", "--json", at=tmp_path / "home").rows
    nothing = lineshaft("plan", "--checks", at=tmp_path / "home")

    wanted = [f"    checks: {row['column']}: {row['what']} ({row['fix']})" for row in rows]
    assert (plain.code, asked.code, nothing.code) == (2, 2, 0)
    assert wanted
    assert [line for line in asked.out.splitlines() if "checks:" in line] == wanted
    assert f"<br>{wanted[0].strip()}" in posted.out
    assert "checks:" not in plain.out + nothing.out


def test_a_plan_is_written_for_a_pull_request(lineshaft: Lineshaft, repo: Path, tmp_path: Path) -> None:
    """Markdown on standard output, the exit code as ever, and nothing but it."""
    first = lineshaft("plan", "--format", "markdown", at=tmp_path / "home")
    (repo / "pumps.py").write_text(PUMPS.replace('owner="heat@x", tags', "tags"))
    faulty = lineshaft("plan", "--format", "markdown", at=tmp_path / "home")
    as_json = lineshaft("plan", "--format", "json", at=tmp_path / "home")

    assert (first.code, faulty.code, as_json.code) == (2, 1, 1)
    assert first.out.startswith(
        "<!-- lineshaft plan -->\n### Lineshaft plan\n\n**2 changes**, none of them breaking.\n"
    )
    assert "| view `heat` | new | no | – | – | – | nothing of readings is there yet |" in first.out
    assert "| ❌ LS-DEF-005 |" in faulty.out
    assert {fault["code"] for fault in as_json.rows["faults"]} == {"LS-DEF-005"}


def test_owners_are_exported_and_held_to(lineshaft: Lineshaft, repo: Path, tmp_path: Path) -> None:
    """CODEOWNERS by file, Backstage by team, view and service; with --check a file that is out of date fails."""
    write_teams(tmp_path)
    owners, info = tmp_path / "CODEOWNERS", tmp_path / "catalog-info.yaml"
    (repo / "views.py").write_text("from pumps import heat as heat\n")
    for name, path in (("codeowners", owners), ("backstage", info)):
        assert lineshaft("export", name, "--to", str(path), "--check", at=tmp_path / "home").code == 1
        assert lineshaft("export", name, "--to", str(path), at=tmp_path / "home").code == 0
        assert lineshaft("export", name, "--to", str(path), "--check", at=tmp_path / "home").code == 0
        assert lineshaft("export", name, at=tmp_path / "home").out == path.read_text()

    assert owners.read_text().splitlines()[1:] == ["/definitions/pumps.py platform@x @plant/a"]
    entities = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(info.read_text())}
    assert set(entities) == {("Group", "a"), ("Resource", "heat"), ("Component", "health")}
    assert entities["Component", "health"]["spec"]["dependsOn"] == ["resource:heat"]
    assert entities["Resource", "heat"]["spec"]["owner"] == "group:a"
    assert entities["Resource", "heat"]["metadata"]["tags"] == ["tier-1"]
    assert entities["Group", "a"]["metadata"]["links"] == [{"url": "https://call.example/a", "title": "On call"}]
    write_teams(tmp_path, owner="new")
    assert lineshaft("export", "backstage", "--to", str(info), "--check", at=tmp_path / "home").code == 1


def test_what_was_cut_off_is_found_by_heads_kept_elsewhere(lineshaft: Lineshaft, repo: Path, tmp_path: Path) -> None:
    """Signed before, the last apply then taken out of every table with its notes: nothing but the signature knows."""
    home, kept = tmp_path / "home", tmp_path / "kept.json"
    lineshaft("apply", at=home)
    (repo / "pumps.py").write_text(PUMPS.replace("minutes=10", "minutes=20"))
    lineshaft("apply", at=home)
    assert lineshaft("audit", "heads", "--to", str(kept), at=home).code == 0
    assert lineshaft("audit", "verify", "--heads", str(kept), at=home).code == 0
    engine = open_engine(f"sqlite:///{home / 'lineshaft.db'}")
    with engine.begin() as connection:
        connection.execute(text("UPDATE ls_current SET generation = 1"))
        connection.execute(text("DELETE FROM ls_definition WHERE generation = 2"))
        connection.execute(text("DELETE FROM ls_catalog_apply WHERE generation = 2"))
        connection.execute(text("UPDATE ls_catalog_generation SET generation = 1"))
    engine.dispose()
    assert lineshaft("audit", "verify", at=home).code == 1  # the notes know
    (home / "artifacts" / "heads" / "catalogue%2Fdev").unlink()

    alone = lineshaft("audit", "verify", at=home)
    with_heads = lineshaft("audit", "verify", "--heads", str(kept), at=home)
    key = json.loads(kept.read_text())["public_key"]
    other = lineshaft("audit", "verify", "--heads", str(kept), "--key", "0" * 64, at=home)

    assert (alone.code, with_heads.code, other.code) == (0, 1, 1)
    assert "catalogue dev: line 2 was signed as" in with_heads.err
    assert "another key" in other.err
    assert lineshaft("audit", "verify", "--heads", str(kept), "--key", key, at=home).err == with_heads.err


@pytest.mark.usefixtures("repo")
def test_decisions_about_what_was_held_are_a_history_like_others(lineshaft: Lineshaft, tmp_path: Path) -> None:
    """Verified and signed with the rest: altered it is told, and cut off it is missed by heads kept elsewhere."""
    home, kept = tmp_path / "home", tmp_path / "kept.json"
    for batch in ("b1", "b2"):
        decision = Decision(act=RELEASED, batch=batch, what="heat", rows=3, actor="ana", reason="fine", at_us=5)
        write_down(decision, home / "work")
    (log,) = (home / "work").rglob("decisions.jsonl")
    whole = log.read_text()
    sound = lineshaft("audit", "verify", "--json", at=home)
    assert lineshaft("audit", "heads", "--to", str(kept), at=home).code == 0
    log.write_text(whole.replace("ana", "eve", 1))
    altered = lineshaft("audit", "verify", at=home)
    log.write_text(whole.splitlines(keepends=True)[0])
    alone, beside = (lineshaft("audit", "verify", *more, at=home) for more in ((), ("--heads", str(kept))))

    assert [(row["history"], row["lines"], row["faults"]) for row in sound.rows][-1] == ("quarantine", 2, 0)
    assert (altered.code, alone.code, beside.code) == (1, 0, 1)
    assert f"a decision about quarantine was altered, or one before it is gone ({log}:1)" in altered.err
    assert "quarantine: line 2 was signed as" in beside.err


@pytest.mark.usefixtures("repo")
def test_a_catalogue_that_does_not_verify_is_not_signed(lineshaft: Lineshaft, tmp_path: Path) -> None:
    """A signature under an altered history would make it look sound."""
    lineshaft("apply", at=tmp_path / "home")
    engine = open_engine(f"sqlite:///{tmp_path / 'home' / 'lineshaft.db'}")
    with engine.begin() as connection:
        connection.execute(text("UPDATE ls_catalog_apply SET actor = 'eve'"))
    engine.dispose()

    said = lineshaft("audit", "heads", at=tmp_path / "home")

    assert (said.code, said.out) == (1, "")
    assert "altered at generation 1" in said.err


def test_engineers_environments_do_not_touch_each_other(
    lineshaft: Lineshaft, repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One setting: what one applies, nobody else's environment sees, nor is a file there changed."""
    home = tmp_path / "home"
    lineshaft("apply", at=home)
    before = snapshot(home)
    seen: dict[str, list[str]] = {}
    for name, function in (("dev-ana", "max"), ("dev-ben", "min")):
        monkeypatch.setenv("LINESHAFT_PROJECT", name)
        (repo / "pumps.py").write_text(PUMPS.replace('function="mean"', f'function="{function}"'))
        with EmbeddedValkey(home / name / "online"):
            assert lineshaft("apply", at=home).code == 0
            seen[name] = [row["version"] for row in lineshaft("views", "--json", at=home).rows]
    monkeypatch.delenv("LINESHAFT_PROJECT")
    seen["dev"] = [row["version"] for row in lineshaft("views", "--json", at=home).rows]

    assert len({tuple(versions) for versions in seen.values()}) == 3
    assert snapshot(home) == before


def snapshot(home: Path) -> dict[str, int]:
    """Return the files of a home and their sizes, but for own environments and what a database keeps open."""
    kept = ("online", "dev-ana", "dev-ben", "read_definitions")
    files = [file for file in home.rglob("*") if file.is_file() and file.relative_to(home).parts[0] not in kept]
    return {str(file.relative_to(home)): file.stat().st_size for file in files if "db-" not in file.name}


def test_an_own_environment_has_its_own_place_everywhere(tmp_path: Path) -> None:
    """Folders, offline store and database follow from the project's name; a name that leads elsewhere is refused."""
    shared = {
        "home": tmp_path,
        "offline_url": "s3://plant/offline/",
        "database_url": "postgresql://u@h/d?sslmode=require",
    }
    own, other, common = (Settings.model_validate({**shared, "project": n}) for n in ("dev-ana", "dev-ben", "prod"))

    assert (own.home, common.home) == (tmp_path / "dev-ana", tmp_path)
    assert own.offline_root() == "s3://plant/offline/dev-ana"
    assert own.database().endswith("?sslmode=require&options=-csearch_path%3D%22dev-ana%22")
    assert len({one.database() for one in (own, other, common)}) == 3
    assert Settings(home=own.home, project="dev-ana").home == own.home
    lite = Settings(home=tmp_path, project="dev-ana", database_url=SecretStr("sqlite:////x/a.db"))
    assert lite.database() == "sqlite:////x/a.dev-ana.db"
    for name in ("dev-../prod", 'dev-"x', "dev-a/b", f"dev-{'x' * 60}"):
        with pytest.raises(ValueError, match="no name of an environment"):
            Settings(home=tmp_path, project=name)
