"""The teams file: who is in which team, who owns what is the team's, who agrees, who is called at night.

vibration:
  owners: [ana]                  # may remove, break, deprecate and hand over what is the team's
  members: [ben, eve]            # may add and change it
  approvers: [ana, joe]          # whom approvals of models ask, where not all of the team
  on_call: https://oncall.example/vibration
  tier: 1                        # 1: people are woken; 2: the next morning; 3: when there is time
  code_owner: "@acme/vibration"  # how GitHub or GitLab names the team
reliability: [ana, ben]          # members alone
"*": {owners: [ci]}              # may do everything
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lineshaft.access.actors import actor_of
from lineshaft.access.principal import EVERY_TEAM, Principal, Role
from lineshaft.errors import DefinitionError

_LISTS = ("owners", "members", "approvers")
_WORDS = ("on_call", "code_owner", "description")
_TIERS = (1, 2, 3)
_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """A team: its people by account name, and how it is reached."""

    name: str
    owners: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    approvers: tuple[str, ...] = ()
    on_call: str = ""
    tier: int = 0  # 0: not said
    code_owner: str = ""
    description: str = ""

    @property
    def people(self) -> tuple[str, ...]:
        """Return whom approvals ask: the approvers, or else everybody in the team."""
        return self.approvers or tuple(dict.fromkeys((*self.owners, *self.members)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Teams:
    """Every team of the file. A file that names none asks nothing of anybody: who works alone needs no teams."""

    teams: Mapping[str, Team] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Return the teams that may own something."""
        return sorted(name for name in self.teams if name != EVERY_TEAM)

    def of(self, name: str) -> Team:
        """Return a team; one that is not in the file has nobody."""
        return self.teams.get(name, Team(name=name))

    def principal(self, actor: str) -> Principal:
        """Return what somebody may do: owners ADMIN, members WRITER, everybody else READER in every team.

        It is the person who stands behind an act that counts, as in approvals (`lineshaft.access.actors`).

        >>> teams = Teams(teams={"heat": Team(name="heat", owners=("ana",), members=("ben",))})
        >>> [teams.principal(person).role_in("heat").name for person in ("ana", "ben", "eve")]
        ['ADMIN', 'WRITER', 'READER']
        >>> teams.principal("ben, by token 0123456789ab (laptop)").name
        'ben'
        """
        person = actor_of(actor).behind
        grants = {EVERY_TEAM: Role.READER}
        for team in self.teams.values():
            if person in team.owners:
                grants[team.name] = Role.ADMIN
            elif person in team.members:
                grants[team.name] = max(Role.WRITER, grants.get(team.name, Role.ANYONE))
        return Principal(name=person, grants=grants)


def read_teams(path: Path) -> Teams:
    """Read the teams file; where there is none, there are no teams.

    Raises
    ------
    DefinitionError
        If it says what nobody would read; it names file, line and what to write.
    """
    if not path.exists():
        return Teams()
    try:
        text = path.read_text(encoding="utf-8")
        content, lines = yaml.load(text, Loader=_LOADER), _lines(text)  # noqa: S506  a safe one
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DefinitionError(f"this is no YAML: {error}", where=str(path), fix="mend it") from error
    if content is None:
        return Teams()
    if not isinstance(content, dict):
        raise DefinitionError("here stand teams by name", where=f"{path}:1", fix="write `vibration: [ana, ben]`")
    return Teams(teams={str(n): _team(str(n), raw, f"{path}:{lines.get(str(n), 1)}") for n, raw in content.items()})


def _team(name: str, raw: Any, where: str) -> Team:
    if isinstance(raw, list):
        raw = {"members": raw}
    if not isinstance(raw, dict):
        raise DefinitionError(f"team {name!r} is no list of people", where=where, fix=f"write `{name}: [ana, ben]`")
    known = (*_LISTS, *_WORDS, "tier")
    for key, value in raw.items():
        if key not in known:
            raise DefinitionError(
                f"{key!r} of team {name!r} is not known", where=where, fix=f"known: {', '.join(known)}"
            )
        if key in _LISTS and (not isinstance(value, list) or not all(isinstance(one, str) and one for one in value)):
            raise DefinitionError(f"{key} of team {name!r} is no list of people", where=where, fix="write [ana, ben]")
        if key in _WORDS and not isinstance(value, str):
            raise DefinitionError(f"{key} of team {name!r} is no text", where=where, fix="put it in quotes")
        if key == "tier" and value not in _TIERS:
            raise DefinitionError(f"tier of team {name!r} is none", where=where, fix="write 1, 2 or 3")
    said: dict[str, Any] = {key: tuple(value) if key in _LISTS else value for key, value in raw.items()}
    return Team(name=name, **said)


def _lines(text: str) -> dict[str, int]:
    """Return the line at which each team stands."""
    node = yaml.compose(text, Loader=_LOADER)
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return {key.value: key.start_mark.line + 1 for key, _ in pairs}
