"""Policies as data: what a model must show to be promoted."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lineshaft.access.teams import read_teams
from lineshaft.definitions.words import parse_duration
from lineshaft.errors import DefinitionError
from lineshaft.models.gate import Gate, Policy
from lineshaft.models.spec import TASKS
from lineshaft_governance.placed import Placed

DEFAULT = "default"
WORDS: dict[str, type] = {"name": str, "metric": str, "op": str, "vs": str, "use": str}
NUMBERS: dict[str, type] = {
    "value": float,
    "margin": float,
    "min_groups": int,
    "min_positive_groups": int,
    "min_positives": int,
}
LASTS_US = parse_duration("7d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How many must agree, who they may be, and how long it counts."""

    people: int = 0
    among: tuple[str, ...] = ()
    services: bool = False
    lasts_us: int = LASTS_US


def promotion_policy(folder: Path, model: str) -> Policy:
    """Read the policy of a model: its own file in `promotion/`, or the default; its hash goes into every verdict.

    Raises
    ------
    DefinitionError
        If it could not judge, or would judge otherwise than it says; names file, line, key and what to write.
    """
    name = f"{model}.yaml" if f"{model}.yaml" in _files(folder) else f"{DEFAULT}.yaml"
    return read_policy(folder / "promotion" / name)


def promotion_policies(folder: Path) -> dict[str, Policy | DefinitionError]:
    """Read every policy there is, by the model it is for; what is wrong with those that cannot be read."""
    found: dict[str, Policy | DefinitionError] = {}
    for name in _files(folder):
        try:
            found[name.removesuffix(".yaml")] = read_policy(folder / "promotion" / name)
        except DefinitionError as error:
            found[name.removesuffix(".yaml")] = error
    return found


def read_policy(path: Path) -> Policy:
    """Read one policy; see `promotion_policy`."""
    parts = Placed.read(path).mapping(known={"gates", "approvals", "promote"}, needed={"gates"})
    gates = [_gate(one) for one in parts["gates"].items()]
    twice = {one.name for one in gates if [other.name for other in gates].count(one.name) > 1}
    if twice or not gates:
        what = f"two gates are called {min(twice)!r}" if twice else "without gates everything would pass"
        raise parts["gates"].fault(what, "give each gate a name of its own")
    asked = Asked()
    if "approvals" in parts:
        asked = _approvals(parts["approvals"], path.parent.with_name("teams.yaml"))
    auto = False
    if "promote" in parts:
        given = parts["promote"].mapping(known={"auto"}, needed={"auto"})["auto"]
        auto = given.plain(bool)
        if auto and asked.people:
            raise given.fault("nothing that needs an approval is promoted by itself", "write auto: false")
    return Policy(
        name=path.stem,
        gates=tuple(gates),
        approvals=asked.people,
        approvers=asked.among,
        services_approve=asked.services,
        approvals_last_us=asked.lasts_us,
        auto=auto,
        # Who joins a team changes what an approval is worth.
        sha256=hashlib.sha256(path.read_bytes() + "\n".join(asked.among).encode()).hexdigest(),
    )


def _gate(placed: Placed) -> Gate:
    """Read one gate."""
    parts = placed.mapping(known={*WORDS, *NUMBERS, "tasks"}, needed={"name", "metric", "op"})
    given: dict[str, Any] = {
        name: parts[name].plain(kind) for name, kind in {**WORDS, **NUMBERS}.items() if name in parts
    }
    for name in ("min_groups", "min_positive_groups", "min_positives"):
        if given.get(name, 0) < 0:
            raise parts[name].fault("a count is 0 or more", "write how many are needed")
    tasks = tuple(one.plain(str) for one in parts["tasks"].items()) if "tasks" in parts else ()
    for one in tasks:
        if one not in TASKS:
            raise parts["tasks"].fault(f"there is no task {one!r}", f"use {', '.join(TASKS)}")
    try:
        return Gate(**given, tasks=tasks)
    except DefinitionError as error:
        raise placed.fault(error.what, error.fix) from error


def _approvals(placed: Placed, teams: Path) -> Asked:
    """Read who must agree."""
    parts = placed.mapping(known={"people", "from", "last", "services"}, needed={"people"})
    people = parts["people"].plain(int)
    if people < 0:
        raise parts["people"].fault("so few cannot approve", "write people: 0, or more")
    among: list[str] = []
    for team in parts["from"].items() if "from" in parts else ():
        able = read_teams(teams).of(team.plain(str)).people
        if not able:
            raise team.fault(f"there is no team {team.plain(str)!r}", f"name its people in {teams}")
        among.extend(able)
    among = sorted(set(among))
    if among and len(among) < people:
        raise parts["people"].fault(f"of {len(among)} who may approve {people} are asked for", f"see {teams}")
    lasts_us = LASTS_US
    if "last" in parts:
        try:
            lasts_us = parse_duration(parts["last"].plain(str))
        except ValueError as error:
            raise parts["last"].fault(str(error), "write a duration such as 7d") from error
    services = "services" in parts and parts["services"].plain(bool)
    return Asked(people=people, among=tuple(among), services=services, lasts_us=lasts_us)


def _files(folder: Path) -> list[str]:
    """Return the names of the files that are policies of promotion."""
    return sorted(path.name for path in (folder / "promotion").glob("*.yaml"))


def _read(path: Path) -> dict[str, Any]:
    """Read a YAML mapping."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise DefinitionError(f"cannot read a policy: {error}", where=str(path), fix="mend or restore it") from error
    if not isinstance(content, dict):
        raise DefinitionError("a policy is a mapping", where=str(path))
    return content
