"""The teams file: who is in it, and what is said of it when it cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from lineshaft.access.principal import Role
from lineshaft.access.teams import Teams, read_teams
from lineshaft.errors import DefinitionError

TEXT = """
vibration: {owners: [ana], members: [ben], approvers: [joe], tier: 2, on_call: "https://call.example"}
lab: [ben, eve]
"*": {owners: [ci]}
"""


def test_people_have_the_role_of_each_team(tmp_path: Path) -> None:
    """Owners, members, admins, and readers everywhere; a team that is not there has nobody."""
    (tmp_path / "teams.yaml").write_text(TEXT)
    teams = read_teams(tmp_path / "teams.yaml")

    roles = {name: [teams.principal(name).role_in(team) for team in ("vibration", "lab")] for name in ("ana", "ben")}
    assert roles == {"ana": [Role.ADMIN, Role.READER], "ben": [Role.WRITER, Role.WRITER]}
    assert teams.principal("ci").role_in("anything") is Role.ADMIN
    assert teams.principal("nobody").role_in("lab") is Role.READER
    assert teams.names == ["lab", "vibration"]
    assert (teams.of("vibration").people, teams.of("lab").people) == (("joe",), ("ben", "eve"))
    assert teams.of("nowhere").people == ()


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}"])
def test_a_file_without_teams_names_none(tmp_path: Path, text: str) -> None:
    """Neither does one that is not there."""
    (tmp_path / "teams.yaml").write_text(text)

    assert read_teams(tmp_path / "teams.yaml") == read_teams(tmp_path / "none.yaml") == Teams()


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("[a]", "1", "teams by name"),
        ("a: [x]\nb: 5", "2", "'b' is no list of people"),
        ("a: {boss: [x]}", "1", "'boss' of team 'a' is not known"),
        ("a: {owners: ana}", "1", "owners of team 'a' is no list"),
        ("a: {owners: [1]}", "1", "owners of team 'a' is no list"),
        ("a: {tier: 9}", "1", "tier of team 'a'"),
        ("a: {on_call: 5}", "1", "on_call of team 'a' is no text"),
    ],
)
def test_what_nobody_would_read_is_refused_at_its_line(tmp_path: Path, text: str, line: str, what: str) -> None:
    """A misspelt key must not leave a team without its owner."""
    (tmp_path / "teams.yaml").write_text(text)

    with pytest.raises(DefinitionError) as caught:
        read_teams(tmp_path / "teams.yaml")

    assert what in caught.value.what
    assert caught.value.where == f"{tmp_path / 'teams.yaml'}:{line}"
    assert caught.value.fix
