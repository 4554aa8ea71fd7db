"""What every act on the registry does inside its transaction: hold the model, write a line, count the generation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from lineshaft.errors import ConflictError, CorruptError
from lineshaft.registry.engine import connected
from lineshaft.registry.history import genesis, seal
from lineshaft.registry.records import Head, Transition
from lineshaft.registry.tables import GENERATION, HEAD, TRANSITION, VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What happened, before it is put into the chain."""

    action: str
    before: str
    after: str
    actor: str
    reason: str
    evidence: str = ""


@contextmanager
def acting(engine: Engine, model: str) -> Iterator[Connection]:
    """Hold a model, commit all or nothing; a lost race is a ConflictError."""
    try:
        with connected(engine, writing=True) as connection:
            hold(connection, model)
            yield connection
    except IntegrityError as error:
        raise ConflictError("somebody else changed the registry first", fix="look again and repeat") from error


def hold(connection: Connection, model: str) -> Head | None:
    """Keep every other writer of a model waiting until this transaction ends; return its head, None for a new model.

    A write, not a read: it takes SQLite's one write lock and Postgres's lock of the row alike.
    """
    same = HEAD.c.model == model
    connection.execute(update(HEAD).where(same).values(length=HEAD.c.length))
    row = connection.execute(select(HEAD).where(same)).first()
    return None if row is None else Head(length=row.length, digest=row.digest)


def begin(connection: Connection, model: str) -> None:
    """Give a new model a chain without lines."""
    connection.execute(insert(HEAD).values(model=model, length=0, digest=genesis(model)))


def forget(connection: Connection, model: str) -> None:
    """Take away a chain without lines; one that has any stays."""
    connection.execute(delete(HEAD).where((HEAD.c.model == model) & (HEAD.c.length == 0)))


def next_number(connection: Connection, model: str) -> int:
    """Return the number after the highest of a model."""
    highest = connection.execute(select(func.max(VERSION.c.number)).where(VERSION.c.model == model)).scalar()
    return (highest or 0) + 1


def append(connection: Connection, model: str, number: int, line: Line, *, at_us: int) -> Head:
    """Put a line at the end of the chain of a model that is held; return the new head."""
    head = hold(connection, model)
    if head is None:
        raise CorruptError(f"model {model!r} has no chain", where="ls_chain_head", fix="restore it from a backup")
    entry = Transition(
        model=model,
        number=number,
        action=line.action,
        before=str(line.before),
        after=str(line.after),
        actor=line.actor,
        reason=line.reason,
        evidence=line.evidence,
        at_us=at_us,
        previous_digest=head.digest,
        digest="",
    )
    entry = replace(entry, digest=seal(entry))
    connection.execute(insert(TRANSITION).values({name: getattr(entry, name) for name in entry.__slots__}))
    grown = Head(length=head.length + 1, digest=entry.digest)
    connection.execute(update(HEAD).where(HEAD.c.model == model).values(length=grown.length, digest=grown.digest))
    return grown


def chain(connection: Connection, model: str) -> tuple[Head | None, list[Transition]]:
    """Return a model's head and its chain, oldest line first, both of one moment."""
    query = select(TRANSITION, HEAD.c.length.label("head_length"), HEAD.c.digest.label("head_digest"))
    rows = connection.execute(
        query.outerjoin(HEAD, HEAD.c.model == TRANSITION.c.model)
        .where(TRANSITION.c.model == model)
        .order_by(TRANSITION.c.id)
    ).all()
    if rows:
        length, digest = rows[0].head_length, rows[0].head_digest
    else:
        length, digest = connection.execute(
            select(HEAD.c.length, HEAD.c.digest).where(HEAD.c.model == model)
        ).first() or (None, None)
    head = None if length is None else Head(length=length, digest=digest)
    return head, [_transition(row) for row in rows]


def latest(connection: Connection, model: str, **fields: str | int) -> Transition | None:
    """Return the newest line of a model with these values."""
    same = [TRANSITION.c[name] == value for name, value in fields.items()]
    query = select(TRANSITION).where(TRANSITION.c.model == model, *same).order_by(TRANSITION.c.id.desc()).limit(1)
    row = connection.execute(query).first()
    return None if row is None else _transition(row)


def _transition(row: Row[Any]) -> Transition:
    return Transition(**{name: getattr(row, name) for name in Transition.__slots__})


def advance(connection: Connection, environment: str, at_us: int) -> None:
    """Count the environment's generation up: what servers poll."""
    same = GENERATION.c.environment == environment
    values = {"generation": GENERATION.c.generation + 1, "changed_us": at_us}
    if connection.execute(update(GENERATION).where(same).values(values)).rowcount == 0:
        connection.execute(insert(GENERATION).values(environment=environment, generation=1, changed_us=at_us))
