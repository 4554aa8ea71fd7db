"""`feast apply` asks what our own apply asks: the teams file says who may, and the end of the history is noted."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("feast")
from feast.repo_config import RepoConfig

from lineshaft.errors import DefinitionError
from lineshaft.feast_plugin.applying import apply_repository
from lineshaft.feast_plugin.parts import parts_of
from lineshaft.ops.account import account
from lineshaft.registry.notes import HeadNotes

FAN = """
from feast import Entity, Field, FileSource, FeatureView, ValueType
from feast.types import Float64

fan = Entity(name="fan", join_keys=["asset_id"], value_type=ValueType.STRING, owner="a@x")
rows = FileSource(name="rows", path="rows.parquet", timestamp_field="event_time")
view = FeatureView(
    name="fans", entities=[fan], source=rows, schema=[Field(name="load", dtype=Float64, tags={"unit": "1"})],
    owner="a@x", tags={"team": "a"},
)
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RepoConfig:
    """Return what Feast knows of a repository with one view of team a."""
    for name, folder in (("HOME", "home"), ("REPO", "repo"), ("POLICIES", "governance")):
        monkeypatch.setenv(f"LINESHAFT_{name}", str(tmp_path / folder))
    (tmp_path / "repo").mkdir()
    (tmp_path / "home").mkdir()
    (tmp_path / "governance" / "policies").mkdir(parents=True)
    (tmp_path / "repo" / "fans.py").write_text(FAN)
    return RepoConfig(project="dev", registry=str(tmp_path / "r.db"), provider="local", repo_path=tmp_path / "repo")


def test_who_is_in_no_team_applies_nothing_by_feast_either(config: RepoConfig, tmp_path: Path) -> None:
    """Refused with whom to ask, and nothing is current; a member of the team applies, and it is noted who did."""
    teams, catalog = tmp_path / "governance" / "policies" / "teams.yaml", parts_of(config).catalog()
    teams.write_text("a: {owners: [somebody]}\n")
    with pytest.raises(DefinitionError, match=f'{account()} may not change view "fans" so'):
        apply_repository(config)
    assert catalog.views() == ()

    teams.write_text(f"a: {{owners: [somebody], members: [{account()}]}}\n")
    apply_repository(config)

    assert [view.name for view in catalog.views()] == ["fans"]
    assert [line.actor for line in catalog.history()] == [f"{account()} (feast apply)"]
    noted = HeadNotes.beside(tmp_path / "home" / "artifacts").read("catalogue/dev")
    assert noted == [catalog.account().head]
    catalog.close()
