"""The catalogue's sealed history as rows: a line is added in the transaction of its apply, and read to be audited."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from lineshaft.registry.catalog_audit import AppliedLine, CatalogAccount, Kept, Pointed, genesis, seal
from lineshaft.registry.catalog_tables import APPLY, CURRENT, DEFINITION, GENERATION
from lineshaft.registry.records import Head


def add_line(connection: Connection, line: AppliedLine) -> Head:
    """Seal a line to the one before it, and write it; return the new head."""
    before = (APPLY.c.project == line.project) & (APPLY.c.generation == line.generation - 1)
    previous = connection.execute(select(APPLY.c.digest).where(before)).scalar() or genesis(line.project)
    line = replace(line, previous_digest=previous)
    line = replace(line, digest=seal(line))
    row = {field.name: getattr(line, field.name) for field in fields(line)}
    row["wrote_json"], row["retired_json"] = json.dumps(row.pop("wrote")), json.dumps(row.pop("retired"))
    connection.execute(insert(APPLY).values(row))
    return Head(length=line.generation, digest=line.digest)


def account_of(connection: Connection, project: str) -> CatalogAccount:
    """Return all that is recorded of a project's catalogue."""
    lines = connection.execute(select(APPLY).where(APPLY.c.project == project).order_by(APPLY.c.generation)).all()
    definitions = connection.execute(select(DEFINITION).where(DEFINITION.c.project == project)).all()
    current = connection.execute(select(CURRENT).where(CURRENT.c.project == project)).all()
    generation = connection.execute(select(GENERATION.c.generation).where(GENERATION.c.project == project)).scalar()
    return CatalogAccount(
        project=project,
        generation=int(generation or 0),
        lines=[_line(row) for row in lines],
        definitions=[Kept(**_chosen(row, Kept)) for row in definitions],
        current=[Pointed(**_chosen(row, Pointed)) for row in current],
    )


def _line(row: Row[Any]) -> AppliedLine:
    given = {name: getattr(row, name) for name in AppliedLine.__slots__ if name not in {"wrote", "retired"}}
    wrote = tuple(tuple(one) for one in json.loads(row.wrote_json))
    return AppliedLine(**given, wrote=wrote, retired=tuple(tuple(one) for one in json.loads(row.retired_json)))


def _chosen(row: Row[Any], kind: type[Any]) -> dict[str, Any]:
    return {field.name: getattr(row, field.name) for field in fields(kind)}
