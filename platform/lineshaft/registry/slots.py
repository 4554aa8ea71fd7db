"""Who holds a slot, who held it, and how it passes on: inside a transaction that holds the model."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, insert, or_, select, update

from lineshaft.clock import moment
from lineshaft.errors import ConflictError
from lineshaft.registry import ledger
from lineshaft.registry.records import Assignment, Slot, Transition
from lineshaft.registry.tables import ASSIGNMENT


def held(connection: Connection, model: str, environment: str, slot: Slot, site: str = "") -> Assignment | None:
    """Return the open assignment of a slot: of a site its own, not who answers there because it has none."""
    found = assignments(connection, model, environment=environment, slot=slot, site=site, ended=False)
    return found[0] if found else None


def assignments(
    connection: Connection,
    model: str,
    *,
    environment: str | None = None,
    slot: Slot | None = None,
    site: str | None = None,
    at_us: int | None = None,
    ended: bool = True,
) -> list[Assignment]:
    """Return who held which slot and when, newest first; of one environment, slot, site or time where it is named."""
    table = ASSIGNMENT.c
    query = select(ASSIGNMENT).where(table.model == model)
    if environment is not None:
        query = query.where(table.environment == environment)
    if slot is not None:
        query = query.where(table.slot == str(slot))
    if site is not None:
        query = query.where(table.site == site)
    if at_us is not None:
        query = query.where(
            (table.valid_from_us <= at_us) & or_(table.valid_to_us.is_(None), table.valid_to_us > at_us)
        )
    if not ended:
        query = query.where(table.valid_to_us.is_(None))
    rows = connection.execute(query.order_by(table.id.desc())).all()
    names = [name for name in Assignment.__slots__ if name != "slot"]
    return [Assignment(**{name: getattr(row, name) for name in names}, slot=Slot(row.slot)) for row in rows]


def end(connection: Connection, was: Assignment, *, at_us: int) -> None:
    """End an assignment, not before it began: clocks of two machines differ."""
    until = max(at_us, was.valid_from_us)
    connection.execute(update(ASSIGNMENT).where(ASSIGNMENT.c.id == was.id).values(valid_to_us=until))


def assign(connection: Connection, wanted: Assignment) -> Assignment:
    """Open an assignment; return it with its id."""
    row = {name: getattr(wanted, name) for name in wanted.__slots__ if name != "id"}
    added = connection.execute(insert(ASSIGNMENT).values({**row, "slot": str(wanted.slot)}))
    (number,) = added.inserted_primary_key or (0,)
    return Assignment(**{**row, "id": number})


def told(environment: str, slot: Slot, number: int | None, site: str = "") -> str:
    """Return how the history writes that a version holds a slot; of none, nothing.

    >>> told("prod", Slot.CHAMPION, 3), told("prod", Slot.CHAMPION, 3, "plant-b")
    ('prod:champion=3', 'prod:champion@plant-b=3')
    """
    return "" if number is None else f"{place(environment, slot, site)}={number}"


def place(environment: str, slot: Slot, site: str) -> str:
    """Return how the history writes a slot, of a site where it is one's own."""
    return f"{environment}:{slot}@{site}" if site else f"{environment}:{slot}"


def parsed(written: str) -> tuple[str, str, str]:
    """Read what `place` wrote: environment, slot and site.

    >>> parsed("prod:champion"), parsed("a:b:shadow@plant-b")
    (('prod', 'champion', ''), ('a:b', 'shadow', 'plant-b'))
    """
    environment, _, slot = written.rpartition(":")
    slot, _, site = slot.partition("@")
    return environment, slot, site


def refuse_late(connection: Connection, model: str, slot: Slot, now: Assignment | None) -> None:
    """Tell who decided on another state of a slot who was faster, when and why.

    Raises
    ------
    ConflictError
        Always.
    """
    if now is None:
        raise ConflictError(f"{model!r} has no {slot} there any more", fix="look again and repeat")
    here = told(now.environment, slot, now.number, now.site)
    line = ledger.latest(connection, model, after=here)
    by = "" if line is None else f", by {line.actor} at {moment(line.at_us)}: {line.reason}"
    raise ConflictError(
        f"{slot} of {now.environment!r} changed since you looked: it is {model}@{now.number}{by}",
        fix="look again (`lineshaft models history`) and repeat if you still want it",
    )


def earlier(lines: Sequence[Transition], environment: str, slot: Slot, site: str = "") -> list[int]:
    """Return the versions a rollback may go back to, the latest first: promotions stack up, rollbacks take them down.

    A site that was left to the general champion begins anew.

    >>> def line(action, after):
    ...     return Transition(model="m", number=0, action=action, before="", after=after, actor="", reason="", at_us=0,
    ...         previous_digest="", digest="")
    >>> acts = [line("promote", f"prod:champion={n}") for n in (1, 2, 3)]
    >>> earlier(acts, "prod", Slot.CHAMPION)
    [2, 1]
    >>> earlier([*acts, line("rollback", "prod:champion=2")], "prod", Slot.CHAMPION)
    [1]
    """
    stack: list[int] = []
    here = place(environment, slot, site)
    for line in lines:
        if line.action == "clear" and line.before.rpartition("=")[0] == here:
            stack.clear()
        there, _, number = line.after.rpartition("=")
        if there != here or line.action not in {"promote", "rollback"}:
            continue
        if line.action == "rollback":
            while stack and stack[-1] != int(number):
                stack.pop()
        elif not stack or stack[-1] != int(number):
            stack.append(int(number))
    return [number for number in reversed(stack[:-1]) if number != stack[-1]]
