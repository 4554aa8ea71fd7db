"""Which models hold a slot of an environment, and what they were trained to read."""

from __future__ import annotations

import json

from sqlalchemy import Connection, select

from lineshaft.registry.tables import ASSIGNMENT, MODEL, PIN, VERSION
from lineshaft.specs import LiveModel


def live_models(connection: Connection, environment: str) -> tuple[LiveModel, ...]:
    """Return the models that hold a slot of an environment now, each version once."""
    held = ASSIGNMENT.c.valid_to_us.is_(None) & (ASSIGNMENT.c.environment == environment)
    slots: dict[tuple[str, int], list[str]] = {}
    for row in connection.execute(select(ASSIGNMENT).where(held).order_by(ASSIGNMENT.c.id)):
        slots.setdefault((row.model, row.number), []).append(row.slot)
    if not slots:
        return ()
    pins: dict[tuple[str, int], dict[str, str]] = {}
    for row in connection.execute(select(PIN)):
        pins.setdefault((row.model, row.number), {})[row.view] = row.version
    columns = (VERSION.c.model, VERSION.c.number, VERSION.c.service, VERSION.c.features_json, MODEL.c.team)
    query = select(*columns).join(MODEL, MODEL.c.name == VERSION.c.model)
    rows = connection.execute(query.order_by(VERSION.c.model, VERSION.c.number)).all()
    return tuple(
        LiveModel(
            ref=f"{row.model}@{row.number}",
            slots=tuple(slots[row.model, row.number]),
            service=row.service,
            team=row.team,
            views=pins.get((row.model, row.number), {}),
            columns=tuple(json.loads(row.features_json)),
        )
        for row in rows
        if (row.model, row.number) in slots
    )
