"""Who may change what, by the teams file: members add and change, owners also break, remove and hand over."""

from __future__ import annotations

from collections.abc import Iterator

from lineshaft.access.principal import Principal, Role
from lineshaft.access.teams import Teams
from lineshaft.definitions.faults import Fault
from lineshaft.definitions.reader import Definitions
from lineshaft.specs import OnDemandView, Service, View

Definition = View | OnDemandView | Service
_WORDS = {Role.WRITER: "a member", Role.ADMIN: "an owner"}


def refused(
    definitions: Definitions,
    teams: Teams,
    who: str,
    *,
    kind: str,
    old: Definition | None,
    new: Definition | None,
    breaking: bool,
) -> Iterator[Fault]:
    """Return why somebody may not make a change; nothing where no teams are named, or where nobody is asked."""
    if not teams.names or not who:
        return
    asker = teams.principal(who)
    handed = old is not None and new is not None and old.team != new.team
    for value in (old, new):
        if value is None or (value is new and old is not None and not handed):
            continue
        needed = Role.ADMIN if value is old and (new is None or breaking or handed) else Role.WRITER
        if asker.role_in(value.team) < needed:
            yield _fault(definitions, teams, asker, kind, value, needed, removed=new is None)
            return


def _fault(
    definitions: Definitions,
    teams: Teams,
    asker: Principal,
    kind: str,
    value: Definition,
    needed: Role,
    *,
    removed: bool,
) -> Fault:
    team = teams.of(value.team)
    able = team.owners if needed is Role.ADMIN else (*team.owners, *team.members)
    act = "remove" if removed else "change"
    return definitions.fault(
        "LS-DEF-041",
        kind,
        value.name,
        f'{asker.name} may not {act} {kind} "{value.name}" so: it takes {_WORDS[needed]} of team {value.team}',
        fix=f"ask {', '.join(able) or 'whoever looks after teams.yaml'}",
        where=getattr(value, "where", ""),
    )
