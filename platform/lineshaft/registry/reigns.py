"""Who held the slots of an environment, one row a slot however often it passed on: what servers follow.

A database gives up Python's lock at each row, and a busy server takes milliseconds to get it back: a row for each time
that a slot passed on would make a server the later, the longer the history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, String, case, cast, func, select

from lineshaft.registry.records import Slot, State
from lineshaft.registry.tables import ASSIGNMENT, VERSION


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Reign:
    """That a version held a slot, and still does while it is `open`; `state` is what the version is now."""

    id: int
    number: int
    state: State
    open: bool


Reigns = Mapping[tuple[str, Slot], Sequence[Reign]]
"""Those of one model by site, "" for none, and slot, oldest first."""


def reigns(connection: Connection, environment: str, model: str | None = None) -> dict[str, Reigns]:
    """Return by model who held its slots, of one model where it is named; ended ones of champions alone."""
    table = ASSIGNMENT.c
    parts = (cast(table.id, String), cast(table.number, String), VERSION.c.state)
    told = case((table.valid_to_us.is_(None), "open"), else_="")
    for part in reversed(parts):
        told = part + ":" + told
    query = select(table.model, table.site, table.slot, func.aggregate_strings(told, ",").label("told"))
    query = query.join(VERSION, (VERSION.c.model == table.model) & (VERSION.c.number == table.number))
    query = query.where(table.environment == environment)
    query = query.where((table.slot == str(Slot.CHAMPION)) | table.valid_to_us.is_(None))
    if model is not None:
        query = query.where(table.model == model)
    found: dict[str, dict[tuple[str, Slot], Sequence[Reign]]] = {}
    for row in connection.execute(query.group_by(table.model, table.site, table.slot)).all():
        found.setdefault(row.model, {})[row.site, Slot(row.slot)] = _read(row.told)
    return dict(found)


def _read(told: str) -> tuple[Reign, ...]:
    """Read what one row says of a slot.

    >>> [(one.number, one.open) for one in _read("12:3:validated:open,7:1:retired:")]
    [(1, False), (3, True)]
    """
    parts = sorted((one.split(":") for one in told.split(",")), key=lambda one: int(one[0]))
    return tuple(
        Reign(id=int(at), number=int(number), state=State(state), open=bool(is_open))
        for at, number, state, is_open in parts
    )
