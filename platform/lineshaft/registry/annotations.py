"""What is said of models and versions, and may be said anew: descriptions, tags, aliases, and that they are deleted.

Nothing here decides what answers: that is a slot's business, with its gate and its sealed history. Deleting hides: a
version is retired in the history, which goes on under the model's name for good.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from lineshaft.clock import Clock
from lineshaft.errors import ConflictError, TakenError
from lineshaft.registry import ledger
from lineshaft.registry.annotation_tables import ALIAS, MODEL_NOTE, TAG, VERSION_NOTE
from lineshaft.registry.cards import (
    OF_THE_MODEL,
    ModelCard,
    VersionCard,
    model_card,
    model_cards,
    note_version,
    put_tags,
    version_card,
    version_cards,
)
from lineshaft.registry.engine import connected
from lineshaft.registry.models import ModelRegistry
from lineshaft.registry.records import State, refuse_name
from lineshaft.registry.tables import MODEL, VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What is said of a version when it is registered."""

    description: str = ""
    source: str = ""
    run_id: str = ""
    run_link: str = ""
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotations:
    """What is said of the models of a registry. Slots of the environment are aliases that others decide on."""

    registry: ModelRegistry
    environment: str

    @property
    def _clock(self) -> Clock:
        return self.registry.clock

    def create(self, name: str, *, team: str, description: str, tags: Mapping[str, str]) -> ModelCard:
        """Make a model without versions; one that was deleted begins anew, its history goes on.

        Raises `TakenError` where there is one of this name.
        """
        refuse_name(name)
        now = self._clock.now_us()
        with self._writing(taken=name) as connection:
            if connection.execute(select(MODEL.c.name).where(MODEL.c.name == name)).first() is None:
                row = {"name": name, "task": "", "team": team, "owner": "", "description": description}
                connection.execute(insert(MODEL).values(created_us=now, **row))
                ledger.begin(connection, name)
            elif model_cards(connection, self.environment, name):
                raise TakenError(f"there is a model {name!r}", fix="use another name")
            else:
                connection.execute(update(MODEL).where(MODEL.c.name == name).values(description=description))
                connection.execute(delete(MODEL_NOTE).where(MODEL_NOTE.c.model == name))
            note = {"model": name, "created_us": now, "changed_us": now, "deleted": False}
            connection.execute(insert(MODEL_NOTE).values(note))
            put_tags(connection, name, OF_THE_MODEL, tags)
            return model_cards(connection, self.environment, name)[0]

    def models(self) -> list[ModelCard]:
        """Return every model that is not deleted, by name."""
        with connected(self.registry.engine) as connection:
            return model_cards(connection, self.environment)

    def model(self, name: str) -> ModelCard:
        """Return one model; raises `NotFoundError`."""
        with connected(self.registry.engine) as connection:
            return model_card(connection, self.environment, name)

    def versions(self, name: str | None = None) -> list[VersionCard]:
        """Return the versions that are not deleted, of one model or of all, oldest first."""
        with connected(self.registry.engine) as connection:
            return version_cards(connection, self.environment, name)

    def version(self, name: str, number: int) -> VersionCard:
        """Return one version; raises `NotFoundError`."""
        with connected(self.registry.engine) as connection:
            return version_card(connection, self.environment, name, number)

    def say(self, name: str, number: int, said: Said) -> VersionCard:
        """Note what is said of a version that was just registered."""
        with self._writing() as connection:
            now = version_card(connection, self.environment, name, number).created_us
            note = {"description": said.description, "source": said.source, "run_id": said.run_id}
            row = {**note, "run_link": said.run_link, "changed_us": now, "deleted": False}
            connection.execute(insert(VERSION_NOTE).values(model=name, number=number, **row))
            put_tags(connection, name, number, said.tags)
            self._touch(connection, name, now)
            return version_card(connection, self.environment, name, number)

    def describe(self, name: str, description: str) -> ModelCard:
        """Describe a model anew."""
        with self._writing() as connection:
            model_card(connection, self.environment, name)
            connection.execute(update(MODEL).where(MODEL.c.name == name).values(description=description))
            self._touch(connection, name, self._clock.now_us())
            return model_card(connection, self.environment, name)

    def describe_version(self, name: str, number: int, description: str) -> VersionCard:
        """Describe a version anew."""
        with self._writing() as connection:
            card = version_card(connection, self.environment, name, number)
            note_version(connection, card, description=description, changed_us=self._clock.now_us())
            return version_card(connection, self.environment, name, number)

    def rename(self, name: str, new: str) -> ModelCard:
        """Give a model without versions another name: a sealed history names the model in every line.

        Raises `TakenError`, and `ConflictError` where there ever was a version.
        """
        refuse_name(new)
        with self._writing(taken=new) as connection:
            card = model_card(connection, self.environment, name)
            if new != name and connection.execute(select(MODEL.c.name).where(MODEL.c.name == new)).first() is not None:
                raise TakenError(f"there is, or was, a model {new!r}", fix="use another name")
            if _sealed(connection, name):
                raise ConflictError(
                    f"{name!r} has a sealed history under its name", fix="register new versions under the new name"
                )
            if new == name:
                self._touch(connection, name, self._clock.now_us())
                return model_card(connection, self.environment, name)
            now, row = self._clock.now_us(), connection.execute(select(MODEL).where(MODEL.c.name == name)).one()
            connection.execute(insert(MODEL).values({**row._mapping, "name": new}))  # noqa: SLF001 - SQLAlchemy's own
            ledger.begin(connection, new)
            connection.execute(update(TAG).where(TAG.c.model == name).values(model=new))
            note = {"created_us": card.created_us, "changed_us": now, "deleted": False}
            connection.execute(insert(MODEL_NOTE).values(model=new, **note))
            _forget(connection, name)
            return model_card(connection, self.environment, new)

    def tag(self, name: str, number: int, key: str, value: str) -> None:
        """Set a tag of a version, or `OF_THE_MODEL`."""
        with self._writing() as connection:
            self._known(connection, name, number)
            put_tags(connection, name, number, {key: value})

    def untag(self, name: str, number: int, key: str) -> None:
        """Take a tag away; one that is not there is gone already."""
        with self._writing() as connection:
            self._known(connection, name, number)
            same = (TAG.c.model == name) & (TAG.c.number == number) & (TAG.c.key == key)
            connection.execute(delete(TAG).where(same))

    def alias(self, name: str, alias: str, number: int) -> None:
        """Let a name that is no slot's point at a version."""
        with self._writing() as connection:
            self._known(connection, name, number)
            connection.execute(delete(ALIAS).where((ALIAS.c.model == name) & (ALIAS.c.alias == alias)))
            connection.execute(insert(ALIAS).values(model=name, alias=alias, number=number))

    def unalias(self, name: str, alias: str) -> None:
        """Take an alias away; one that is not there is gone already."""
        with self._writing() as connection:
            self._known(connection, name, OF_THE_MODEL)
            connection.execute(delete(ALIAS).where((ALIAS.c.model == name) & (ALIAS.c.alias == alias)))

    def delete(self, name: str, *, actor: str, reason: str) -> None:
        """Retire all versions of a model and show it no more; raises `ConflictError` where one holds a slot."""
        self.model(name)
        for card in self.versions(name):
            self._retire(name, card.number, actor, reason)
        with self._writing() as connection:
            for card in version_cards(connection, self.environment, name):
                note_version(connection, card, deleted=True, changed_us=self._clock.now_us())
            connection.execute(delete(TAG).where(TAG.c.model == name))
            connection.execute(delete(ALIAS).where(ALIAS.c.model == name))
            if _sealed(connection, name):
                self._touch(connection, name, self._clock.now_us(), deleted=True)
            else:
                _forget(connection, name)

    def delete_version(self, name: str, number: int, *, actor: str, reason: str) -> None:
        """Retire a version and show it no more; raises `ConflictError` where it holds a slot."""
        self.version(name, number)
        self._retire(name, number, actor, reason)
        now = self._clock.now_us()
        with self._writing() as connection:
            card = version_card(connection, self.environment, name, number)
            note_version(connection, card, deleted=True, changed_us=now)
            connection.execute(delete(TAG).where((TAG.c.model == name) & (TAG.c.number == number)))
            connection.execute(delete(ALIAS).where((ALIAS.c.model == name) & (ALIAS.c.number == number)))
            self._touch(connection, name, now)

    def _retire(self, name: str, number: int, actor: str, reason: str) -> None:
        if self.registry.get(name, number).state is not State.RETIRED:
            self.registry.retire(name, number, actor=actor, reason=reason)

    def _known(self, connection: Connection, name: str, number: int) -> None:
        if number == OF_THE_MODEL:
            model_card(connection, self.environment, name)
        else:
            version_card(connection, self.environment, name, number)

    def _touch(self, connection: Connection, name: str, now: int, **changed: object) -> None:
        """Note that a model changed."""
        same = MODEL_NOTE.c.model == name
        values = {"changed_us": now, **changed}
        if connection.execute(update(MODEL_NOTE).where(same).values(values)).rowcount == 0:
            born = connection.execute(select(MODEL.c.created_us).where(MODEL.c.name == name)).scalar_one()
            connection.execute(insert(MODEL_NOTE).values(model=name, created_us=born, deleted=False, **values))

    @contextmanager
    def _writing(self, *, taken: str = "") -> Iterator[Connection]:
        try:
            with connected(self.registry.engine, writing=True) as connection:
                yield connection
        except IntegrityError as error:
            if taken:
                raise TakenError(f"there is a model {taken!r}", fix="use another name") from error
            raise ConflictError("somebody else changed the registry first", fix="look again and repeat") from error


def _sealed(connection: Connection, name: str) -> bool:
    """Tell whether there is a history of a model, or ever was a version."""
    return connection.execute(select(VERSION.c.number).where(VERSION.c.model == name)).first() is not None


def _forget(connection: Connection, name: str) -> None:
    """Take away a model that never had a version."""
    connection.execute(delete(MODEL_NOTE).where(MODEL_NOTE.c.model == name))
    ledger.forget(connection, name)
    connection.execute(delete(MODEL).where(MODEL.c.name == name))
