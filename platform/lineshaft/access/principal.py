"""Who asks: a name, and a role in each of some teams."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

from lineshaft.access.actors import MACHINE
from lineshaft.errors import InputError

EVERY_TEAM = "*"
"""In a grant: a role in each team. Among the readers of a service: whoever has a role anywhere."""
_GRANT = re.compile(r"(?P<team>\*|[A-Za-z0-9][\w.-]{0,199}):(?P<role>reader|writer|admin)", re.ASCII)


class Role(IntEnum):
    """What somebody may do in a team; each role includes those before it. ANYONE needs no name."""

    ANYONE = 0
    READER = 1
    WRITER = 2
    ADMIN = 3


class Owned(Protocol):
    """What belongs to a team, which may let others read it: a feature service."""

    @property
    def name(self) -> str:
        """Return its name."""
        ...

    @property
    def team(self) -> str:
        """Return whose it is."""
        ...

    @property
    def readers(self) -> tuple[str, ...]:
        """Return the teams that may read it too."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Somebody known, by a token or by an OpenID provider.

    >>> ana = Principal(name="ana", grants=grants_of(["vibration:writer"]))
    >>> ana.role_in("vibration").name, ana.role_in("process").name, ana.highest.name
    ('WRITER', 'ANYONE', 'WRITER')
    """

    name: str
    grants: Mapping[str, Role]
    highest: Role = field(init=False, repr=False, compare=False)  # in any team

    def __post_init__(self) -> None:
        """Find the highest role: every call asks for it."""
        object.__setattr__(self, "highest", max(self.grants.values(), default=Role.ANYONE))

    def role_in(self, team: str) -> Role:
        """Return the role in a team; ANYONE where there is none."""
        grants = self.grants
        return max(grants.get(team, Role.ANYONE), grants.get(EVERY_TEAM, Role.ANYONE))

    def may_read(self, thing: Owned) -> bool:
        """Tell whether it may be read: by its own team, by those it names as readers, by readers of every team."""
        if self.role_in(thing.team) >= Role.READER:
            return True
        if EVERY_TEAM in thing.readers:
            return self.highest >= Role.READER
        return any(self.grants.get(team, Role.ANYONE) >= Role.READER for team in thing.readers)


STRANGER = Principal(name="", grants={})
"""Whoever shows nothing."""
HOST = Principal(name=MACHINE, grants={EVERY_TEAM: Role.ADMIN})
"""Whoever asks a server without a guard: it listens for its own machine alone."""


def grants_of(texts: Iterable[str]) -> dict[str, Role]:
    """Read grants such as `vibration:reader`; of two for one team, the higher counts. Raises `InputError`."""
    grants: dict[str, Role] = {}
    for text in texts:
        found = _GRANT.fullmatch(text)
        if found is None:
            raise InputError(f"{text!r} is no grant", fix="write team:role; roles are reader, writer and admin")
        team, role = found["team"], Role[found["role"].upper()]
        grants[team] = max(role, grants.get(team, Role.ANYONE))
    return grants


def grant_texts(grants: Mapping[str, Role]) -> list[str]:
    """Write grants as `grants_of` reads them."""
    return [f"{team}:{role.name.lower()}" for team, role in sorted(grants.items())]
