"""Does the catalogue follow from its sealed history? Pure: rows in, faults out.

Each apply is a line that covers the one before it and everything it wrote and retired. From the lines follows which
version of a name is current; what is kept of every definition is held against the digest in the line that wrote it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from lineshaft.registry.records import Head


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedLine:
    """One apply, as it is sealed: what it wrote as [kind, name, version, digest], what it retired as [kind, name]."""

    project: str
    generation: int
    at_us: int
    actor: str
    summary: str
    wrote: tuple[tuple[str, str, str, str], ...]
    retired: tuple[tuple[str, str], ...]
    previous_digest: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A definition in the table: whose it is and what it says, of which generation."""

    kind: str
    name: str
    version: str
    generation: int
    team: str
    owner: str
    spec: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointed:
    """Which version of a name is current."""

    kind: str
    name: str
    version: str
    generation: int
    retired: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogAccount:
    """All that is recorded of one project's catalogue, and the heads that were noted outside the database."""

    project: str
    generation: int
    lines: Sequence[AppliedLine]
    definitions: Sequence[Kept]
    current: Sequence[Pointed]
    noted: Sequence[Head] = field(default=())

    @property
    def head(self) -> Head:
        """Return the end of the chain."""
        return Head(length=len(self.lines), digest=self.lines[-1].digest if self.lines else genesis(self.project))


def genesis(project: str) -> str:
    """Return what the first line of a project's chain points at."""
    return hashlib.sha256(f"lineshaft catalogue:{project}".encode()).hexdigest()


def seal(line: AppliedLine) -> str:
    """Return the digest of a line, which covers every field of it and the digest before."""
    fields = asdict(line)
    del fields["digest"]
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def digest_of(kept: Kept) -> str:
    """Return the digest of a definition as a line names it."""
    fields = asdict(kept)
    del fields["generation"]
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def faults(account: CatalogAccount) -> list[str]:
    """Return everything that does not hold, in words; nothing is right.

    What this cannot find: a history that was cut off or made up anew in every table, together with the notes of its
    heads. Against that, keep a signed head elsewhere.
    """
    found = [*_chain(account), *_noted(account)]
    return found or [*_definitions(account), *_current(account)]


def _chain(account: CatalogAccount) -> list[str]:
    previous = genesis(account.project)
    for position, line in enumerate(account.lines, start=1):
        whole = line.generation == position and line.project == account.project
        if not whole or line.previous_digest != previous or seal(line) != line.digest:
            return [f"the history of the catalogue was altered at generation {position}"]
        previous = line.digest
    if len(account.lines) != account.generation:
        return [f"the catalogue is at generation {account.generation}, its history ends at {len(account.lines)}"]
    return []


def _noted(account: CatalogAccount) -> list[str]:
    for head in account.noted:
        if head.length > len(account.lines) or account.lines[head.length - 1].digest != head.digest:
            return [f"generation {head.length} was noted as {head.digest[:12]}… and is not there: it was rewritten"]
    return []


def _definitions(account: CatalogAccount) -> list[str]:
    """Compare every definition with the line that wrote it."""
    sealed = {
        (line.generation, kind, name, version): digest
        for line in account.lines
        for kind, name, version, digest in line.wrote
    }
    there = {(one.generation, one.kind, one.name, one.version): one for one in account.definitions}
    found = [f"{_told(key)} was written and is gone" for key in sealed if key not in there]
    for key, one in there.items():
        if key not in sealed:
            found.append(f"{_told(key)} is in no line of the history")
        elif sealed[key] != digest_of(one):
            found.append(f"{_told(key)} is not as it was written")
    return found


def _current(account: CatalogAccount) -> list[str]:
    """Make the pointers again from the history, and compare."""
    made: dict[tuple[str, str], Pointed] = {}
    for line in account.lines:
        for kind, name, version, _ in line.wrote:
            made[kind, name] = Pointed(kind=kind, name=name, version=version, generation=line.generation, retired=False)
        for kind, name in line.retired:
            was = made.get((kind, name))
            if was is not None:
                made[kind, name] = Pointed(**{**asdict(was), "retired": True})
    is_: Mapping[tuple[str, str], Pointed] = {(one.kind, one.name): one for one in account.current}
    return [
        f"which version of {kind} {name!r} is current is not what the history says"
        for kind, name in sorted(made.keys() | is_.keys())
        if made.get((kind, name)) != is_.get((kind, name))
    ]


def _told(key: tuple[int, str, str, str]) -> str:
    generation, kind, name, version = key
    return f"{kind} {name}@{version} of generation {generation}"
