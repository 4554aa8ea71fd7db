"""Models and versions with what is said of them, read inside a transaction; and single changes to what is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select, update

from lineshaft.errors import NotFoundError
from lineshaft.registry.annotation_tables import ALIAS, MODEL_NOTE, TAG, VERSION_NOTE
from lineshaft.registry.records import Slot
from lineshaft.registry.tables import ASSIGNMENT, MODEL, VERSION

OF_THE_MODEL = 0
"""Where the number of a version stands in a tag of the model itself."""
OURS = "lineshaft:"
"""How the source of a version begins that nobody brought from elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """A model and what is said of it."""

    name: str
    team: str
    description: str
    created_us: int
    changed_us: int
    tags: Mapping[str, str]
    aliases: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionCard:
    """A version and what is said of it."""

    model: str
    number: int
    team: str
    actor: str
    description: str
    source: str
    run_id: str
    run_link: str
    created_us: int
    changed_us: int
    tags: Mapping[str, str]
    aliases: tuple[str, ...]


def model_cards(connection: Connection, environment: str, name: str | None = None) -> list[ModelCard]:
    """Return every model that is not deleted, by name; or one, if it is there."""
    rows = _rows(connection, MODEL, MODEL.c.name, name)
    notes = {row.model: row for row in _rows(connection, MODEL_NOTE, MODEL_NOTE.c.model, name)}
    born: dict[str, int] = {}
    for card in version_cards(connection, environment, name):
        born[card.model] = max(born.get(card.model, 0), card.created_us)
    tags = _tags(connection, name)
    aliases = _aliases(connection, environment, name)
    cards = []
    for row in rows:
        note = notes.get(row.name)
        if note is not None and note.deleted and row.name not in born:
            continue
        created = row.created_us if note is None else note.created_us
        cards.append(
            ModelCard(
                name=row.name,
                team=row.team,
                description=row.description,
                created_us=created,
                changed_us=max(created if note is None else note.changed_us, born.get(row.name, 0)),
                tags=tags.get((row.name, OF_THE_MODEL), {}),
                aliases=aliases.get(row.name, {}),
            )
        )
    return sorted(cards, key=lambda card: card.name)


def model_card(connection: Connection, environment: str, name: str) -> ModelCard:
    """Return one model; raises `NotFoundError`."""
    found = model_cards(connection, environment, name)
    if not found:
        raise NotFoundError(f"there is no model {name!r}", fix="see `lineshaft models`")
    return found[0]


def version_cards(connection: Connection, environment: str, name: str | None = None) -> list[VersionCard]:
    """Return the versions that are not deleted, of one model or of all, oldest first."""
    query = select(VERSION.c.model, VERSION.c.number, VERSION.c.actor, VERSION.c.created_us, MODEL.c.team)
    query = query.join(MODEL, MODEL.c.name == VERSION.c.model)
    if name is not None:
        query = query.where(VERSION.c.model == name)
    notes = {(row.model, row.number): row for row in _rows(connection, VERSION_NOTE, VERSION_NOTE.c.model, name)}
    tags = _tags(connection, name)
    aliases = _aliases(connection, environment, name)
    cards = []
    for row in connection.execute(query.order_by(VERSION.c.model, VERSION.c.number)):
        note = notes.get((row.model, row.number))
        if note is not None and note.deleted:
            continue
        cards.append(
            VersionCard(
                model=row.model,
                number=row.number,
                team=row.team,
                actor=row.actor,
                description=(note and note.description) or "",
                source=note.source if note is not None else f"{OURS}{row.model}@{row.number}",
                run_id=(note and note.run_id) or "",
                run_link=(note and note.run_link) or "",
                created_us=row.created_us,
                changed_us=row.created_us if note is None else note.changed_us,
                tags=tags.get((row.model, row.number), {}),
                aliases=tuple(sorted(one for one, at in aliases.get(row.model, {}).items() if at == row.number)),
            )
        )
    return cards


def version_card(connection: Connection, environment: str, name: str, number: int) -> VersionCard:
    """Return one version; raises `NotFoundError`."""
    for card in version_cards(connection, environment, name):
        if card.number == number:
            return card
    raise NotFoundError(f"model {name!r} has no version {number}", fix="see `lineshaft models`")


def put_tags(connection: Connection, name: str, number: int, tags: Mapping[str, str]) -> None:
    """Set tags of a version, or of the model."""
    for key, value in tags.items():
        same = (TAG.c.model == name) & (TAG.c.number == number) & (TAG.c.key == key)
        connection.execute(delete(TAG).where(same))
        connection.execute(insert(TAG).values(model=name, number=number, key=key, value=value))


def note_version(connection: Connection, card: VersionCard, **changed: object) -> None:
    """Note what changed of a version; of one that was made here, its source too."""
    same = (VERSION_NOTE.c.model == card.model) & (VERSION_NOTE.c.number == card.number)
    if connection.execute(update(VERSION_NOTE).where(same).values(changed)).rowcount == 0:
        row = {"model": card.model, "number": card.number, "source": card.source, "changed_us": card.changed_us}
        connection.execute(insert(VERSION_NOTE).values({**row, "deleted": False, **changed}))


def _rows(connection: Connection, table: Table, column: Any, name: str | None) -> list[Any]:
    query = select(table) if name is None else select(table).where(column == name)
    return list(connection.execute(query).all())


def _tags(connection: Connection, name: str | None) -> dict[tuple[str, int], dict[str, str]]:
    found: dict[tuple[str, int], dict[str, str]] = {}
    for row in _rows(connection, TAG, TAG.c.model, name):
        found.setdefault((row.model, row.number), {})[row.key] = row.value
    return found


def _aliases(connection: Connection, environment: str, name: str | None) -> dict[str, dict[str, int]]:
    """Return by model what each alias points at: those that were set, and the slots of an environment."""
    found: dict[str, dict[str, int]] = {}
    for row in _rows(connection, ALIAS, ALIAS.c.model, name):
        found.setdefault(row.model, {})[row.alias] = row.number
    query = select(ASSIGNMENT).where(ASSIGNMENT.c.valid_to_us.is_(None), ASSIGNMENT.c.environment == environment)
    for row in connection.execute(query if name is None else query.where(ASSIGNMENT.c.model == name)):
        found.setdefault(row.model, {})[str(Slot(row.slot))] = row.number
    return found
