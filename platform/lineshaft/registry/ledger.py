"""What every act on the registry does inside its transaction: number, line of history, generation."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import Connection, func, insert, select, update

from lineshaft.errors import ConflictError
from lineshaft.registry.history import genesis, seal
from lineshaft.registry.records import Transition
from lineshaft.registry.tables import GENERATION, TRANSITION, VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What happened, before it is put into the chain."""

    action: str
    before: str
    after: str
    actor: str
    reason: str


def next_number(connection: Connection, model: str) -> int:
    """Return the number after the highest of a model; the primary key settles races."""
    highest = connection.execute(select(func.max(VERSION.c.number)).where(VERSION.c.model == model)).scalar()
    return (highest or 0) + 1


def append(connection: Connection, model: str, number: int, line: Line, *, at_us: int) -> None:
    """Put a line at the end of a model's chain; of two writers at one end, one fails on the unique digest."""
    last = select(TRANSITION.c.digest).where(TRANSITION.c.model == model).order_by(TRANSITION.c.id.desc()).limit(1)
    previous = connection.execute(last).scalar() or genesis(model)
    entry = Transition(
        model=model,
        number=number,
        action=line.action,
        before=str(line.before),
        after=str(line.after),
        actor=line.actor,
        reason=line.reason,
        at_us=at_us,
        previous_digest=previous,
        digest="",
    )
    entry = replace(entry, digest=seal(entry))
    connection.execute(insert(TRANSITION).values({name: getattr(entry, name) for name in entry.__slots__}))


def lines(connection: Connection, model: str) -> list[Transition]:
    """Return a model's chain, oldest line first."""
    rows = connection.execute(select(TRANSITION).where(TRANSITION.c.model == model).order_by(TRANSITION.c.id)).all()
    return [Transition(**{name: getattr(row, name) for name in Transition.__slots__}) for row in rows]


def advance(connection: Connection, environment: str, seen: int, at_us: int) -> None:
    """Count the environment's generation up from `seen`; ConflictError when it is no longer that."""
    if (
        seen == 0
        and connection.execute(select(GENERATION).where(GENERATION.c.environment == environment)).first() is None
    ):
        connection.execute(insert(GENERATION).values(environment=environment, generation=1, changed_us=at_us))
        return
    same = (GENERATION.c.environment == environment) & (GENERATION.c.generation == seen)
    changed = connection.execute(update(GENERATION).where(same).values(generation=seen + 1, changed_us=at_us))
    if changed.rowcount != 1:
        raise ConflictError(f"champions of {environment!r} changed since you looked", fix="look again and repeat")
