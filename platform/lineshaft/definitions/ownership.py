"""Who owns what, in the words of others: CODEOWNERS for a forge, catalog-info.yaml for Backstage."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import yaml

from lineshaft.access.teams import Teams
from lineshaft.definitions.compiler import DEPRECATED_TAG, TEAM_TAG
from lineshaft.definitions.loader import Repository
from lineshaft.definitions.reader import Definitions
from lineshaft.specs import Service, View

NOTICE = "# written by `lineshaft export`: edit the feature repository or teams.yaml, not this file"
_LONGEST = 63


def codeowners(repository: Repository, teams: Teams) -> str:
    """Return a line for each file of a repository: the teams of what it declares, or else the owners by name."""
    owners: dict[str, dict[str, None]] = {}
    for declared in repository.declared:
        asked = owners.setdefault(declared.file, {})
        team = declared.value.tags.get(TEAM_TAG, "")
        who = teams.of(team).code_owner or declared.value.owner
        if who:
            asked[who] = None
    lines = [f"/{file.replace(' ', chr(92) + ' ')} {' '.join(asked)}" for file, asked in owners.items() if asked]
    return "\n".join([NOTICE, *lines]) + "\n"


def backstage(definitions: Definitions, teams: Teams) -> str:
    """Return a Group for each team, a Resource for each view, and a Component for each service with what it reads."""
    own = {view.team for view in definitions.views} | {service.team for service in definitions.services}
    entities = [
        *(_group(name, teams) for name in sorted(own | set(teams.names))),
        *(_view(view, teams) for view in definitions.views),
        *(_service(service, teams) for service in definitions.services),
    ]
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return NOTICE + "\n" + yaml.dump_all(entities, Dumper=dumper, sort_keys=False, allow_unicode=True)


def _group(name: str, teams: Teams) -> dict[str, Any]:
    team = teams.of(name)
    links = [{"url": team.on_call, "title": "On call"}] if team.on_call else []
    spec = {"type": "team", "children": [], "members": list(dict.fromkeys((*team.owners, *team.members)))}
    return _entity("Group", name, team.description, {}, spec, links=links)


def _view(view: View, teams: Teams) -> dict[str, Any]:
    notes = {"lineshaft.dev/version": view.version, "lineshaft.dev/declared-at": view.where}
    going = DEPRECATED_TAG in dict(view.tags)
    spec = {"type": "feature-view", "owner": f"group:{_name(view.team)}"}
    return _entity("Resource", view.name, view.description, notes, spec, tags=[*_tags(teams, view.team, going=going)])


def _service(service: Service, teams: Teams) -> dict[str, Any]:
    spec = {
        "type": "feature-service",
        "lifecycle": "production",
        "owner": f"group:{_name(service.team)}",
        "dependsOn": [f"resource:{_name(used.view)}" for used in service.views],
    }
    notes = {"lineshaft.dev/version": service.version}
    return _entity("Component", service.name, service.description, notes, spec, tags=[*_tags(teams, service.team)])


def _tags(teams: Teams, team: str, *, going: bool = False) -> Iterator[str]:
    if teams.of(team).tier:
        yield f"tier-{teams.of(team).tier}"
    if going:
        yield "deprecated"


def _entity(
    kind: str, name: str, description: str, notes: dict[str, str], spec: dict[str, Any], **more: list[Any]
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": _name(name), "title": name}
    metadata |= {
        key: value for key, value in {"description": description, "annotations": notes, **more}.items() if value
    }
    return {"apiVersion": "backstage.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def _name(name: str) -> str:
    """Return a name that Backstage takes: at most 63 characters; what is cut off is told apart by its hash.

    >>> _name("vibration_condition"), len(_name("v" * 80))
    ('vibration_condition', 63)
    """
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
