"""What MLflow's registry is asked for, done to ours: who may, which words are slots, what is taken and what is not."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import unquote, urlsplit

from lineshaft.access.guard import Caller
from lineshaft.access.principal import Role
from lineshaft.errors import ConflictError, InputError, NotFoundError
from lineshaft.interop.mlflow_files import Brought, Incoming, brought
from lineshaft.models.columns import service_features
from lineshaft.registry.annotations import Annotations, Said
from lineshaft.registry.cards import OF_THE_MODEL, ModelCard, VersionCard
from lineshaft.registry.records import Candidate, Slot, ViewPin
from lineshaft.specs import Service

ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
"""Where MLflow's client puts files to and gets them from."""
INCOMING = "incoming"
SERVICE_TAG, TASK_TAG, TEAM_TAG, REASON_TAG = (
    "lineshaft.service",
    "lineshaft.task",
    "lineshaft.team",
    "lineshaft.reason",
)
"""What a version reads and predicts, whose a model is, and why a version is given a slot: said as tags."""
TASKS = ("binary", "regression", "rul")
_SLOTS = {str(slot): slot for slot in Slot}
_LOGGED = re.compile(r"m-[0-9a-f]{6,64}")


class Assigns(Protocol):
    """Whoever gives slots to versions: the gate and the approvals that every promotion passes."""

    def __call__(self, model: str, number: int, slot: Slot, *, actor: str, reason: str) -> object:
        """Give a slot, or raise why not."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mine:
    """A model as something of a team."""

    name: str
    team: str
    readers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MlflowRegistry:
    """MLflow's acts on a registry of ours. Every act is asked for by a caller."""

    annotations: Annotations
    incoming: Incoming
    assign: Assigns
    service: Callable[[str], Service]

    def model(self, caller: Caller, name: str) -> ModelCard:
        """Return a model that the caller may read."""
        card = self.annotations.model(name)
        if card.team:
            caller.must_read(_Mine(name=name, team=card.team))
        return card

    def models(self, caller: Caller) -> list[ModelCard]:
        """Return the models that the caller may read."""
        return [card for card in self.annotations.models() if _readable(caller, card)]

    def version(self, caller: Caller, name: str, number: int) -> VersionCard:
        """Return a version of a model that the caller may read."""
        self.model(caller, name)
        return self.annotations.version(name, number)

    def versions(self, caller: Caller, name: str | None = None) -> list[VersionCard]:
        """Return the versions of a model, or of all, that the caller may read."""
        return [card for card in self.annotations.versions(name) if _readable(caller, card)]

    def create(self, caller: Caller, name: str, *, description: str, tags: Mapping[str, str]) -> ModelCard:
        """Make a model; its team is the tag's, or the only one that the caller writes for."""
        team = tags.get(TEAM_TAG, "") or _only_team(caller)
        if team:
            caller.must_write(name, [team])
        return self.annotations.create(name, team=team, description=description, tags=tags)

    def changeable(self, caller: Caller, name: str) -> ModelCard:
        """Return a model that the caller may change."""
        card = self.annotations.model(name)
        if card.team:
            caller.must_write(name, [card.team])
        return card

    def register(self, caller: Caller, name: str, said: Said, *, host: str) -> VersionCard:
        """Register the model folder that a source names, if what it holds is plain data."""
        card = self.changeable(caller, name)
        found, origin = self._brought(caller, said.source, host)
        actor = caller.principal.name
        candidate = self._candidate(card, found, said, origin)
        version = self.annotations.registry.register(candidate, actor=actor, reason=f"through MLflow: {said.source}")
        return self.annotations.say(name, version.number, said)

    def set_alias(self, caller: Caller, name: str, alias: str, number: int) -> None:
        """Let an alias point at a version; the words of slots are decided on by gate and approvals."""
        self.changeable(caller, name)
        card = self.annotations.version(name, number)
        slot = _SLOTS.get(alias)
        if slot is None:
            self.annotations.alias(name, alias, number)
            return
        reason = card.tags.get(REASON_TAG) or f"alias {alias!r} set through MLflow"
        self.assign(name, number, slot, actor=caller.principal.name, reason=reason)

    def drop_alias(self, caller: Caller, name: str, alias: str) -> None:
        """Take an alias away; a champion can only be followed by another."""
        card = self.changeable(caller, name)
        slot = _SLOTS.get(alias)
        if slot is None:
            self.annotations.unalias(name, alias)
        elif alias in card.aliases:
            self.annotations.registry.clear(
                name,
                environment=self.annotations.environment,
                slot=slot,
                actor=caller.principal.name,
                reason=f"alias {alias!r} deleted through MLflow",
            )

    def by_alias(self, caller: Caller, name: str, alias: str) -> VersionCard:
        """Return the version that an alias points at; `latest` is the newest."""
        card = self.model(caller, name)
        if alias.lower() == "latest":
            newest = self.annotations.versions(name)
            if not newest:
                raise NotFoundError(f"{name!r} has no version", fix="register one")
            return newest[-1]
        if alias not in card.aliases:
            raise InputError(f"{name!r} has no alias {alias!r}", fix="see the model's aliases")
        return self.annotations.version(name, card.aliases[alias])

    def tag(self, caller: Caller, name: str, key: str, value: str, *, number: int = OF_THE_MODEL) -> None:
        """Set a tag; whose a model is, is no tag's to change."""
        self.changeable(caller, name)
        if key in {TEAM_TAG, SERVICE_TAG, TASK_TAG}:
            what = f"{key} is settled when something is registered"
            raise ConflictError(what, fix="say it in the tags of create_registered_model or create_model_version")
        self.annotations.tag(name, number, key, value)

    def _candidate(self, card: ModelCard, found: Brought, said: Said, origin: VersionCard | None) -> Candidate:
        """Return what is registered: pinned to a feature service where a tag names one, to nothing where none does."""
        tags = {**(origin.tags if origin is not None else {}), **said.tags}
        base = {"model": card.name, "team": card.team, "artifact": found.artifact, "library": found.library}
        wanted = tags.get(SERVICE_TAG, "")
        features, service_json, task = found.features, "", ""
        pins: tuple[ViewPin, ...] = ()
        if wanted:
            service, task = self.service(wanted), tags.get(TASK_TAG, "")
            if task not in TASKS:
                raise InputError(f"the tag {TASK_TAG} is {task!r}", fix=f"say one of {', '.join(TASKS)}")
            strange = [name for name in features if name not in service_features(service)]
            if strange or not features:
                what = f"service {wanted!r} has no feature {strange[0]!r}" if strange else "the model has no signature"
                raise InputError(what, fix="log the model with a signature that names features of the service")
            pins = tuple(ViewPin(view=used.view, version=used.version) for used in service.views)
            service_json = service.to_json()
        return Candidate(
            **base,  # type: ignore[arg-type]  # by name
            task=task,
            service=wanted,
            service_json=service_json,
            features=features,
            pins=pins,
            training_set="",
            rows=0,
            artifact_format=found.artifact_format,
            params={},
            metrics={},
            seed=0,
        )

    def _brought(self, caller: Caller, source: str, host: str) -> tuple[Brought, VersionCard | None]:
        """Return what lies at a source: files sent here, or a version of ours. Nothing else is ever opened."""
        parts = urlsplit(source)
        if parts.scheme in {"http", "https"} and parts.netloc == host and parts.path.startswith(f"{ARTIFACTS}/"):
            place, _, rest = unquote(parts.path).removeprefix(f"{ARTIFACTS}/").partition("/")
            if place == INCOMING and rest:
                return self._sent(rest.rstrip("/")), None
        if parts.scheme == "models" and not parts.netloc:
            name = source.removeprefix("models:").lstrip("/")
            if _LOGGED.fullmatch(name):
                return self._sent(f"models/{name}/artifacts"), None
            return self._ours(caller, name)
        raise InputError(
            f"the source {source!r} is not opened from here",
            fix=f"log the model to {ARTIFACTS}/{INCOMING} of this server, and register that",
        )

    def _sent(self, folder: str) -> Brought:
        try:
            return brought(lambda name: self.incoming.read(f"{folder}/{name}"))
        except NotFoundError as error:
            raise InputError(f"{error.what}: nothing to register", fix=error.fix) from error

    def _ours(self, caller: Caller, name: str) -> tuple[Brought, VersionCard]:
        """Return a version as if it were brought: `name/3`, or `name@alias`."""
        model, at, alias = name.partition("@")
        if not at:
            model, _, number = name.partition("/")
            if not number.isdecimal():
                raise InputError(f"models:/{name} names no version", fix="write models:/name/3 or models:/name@alias")
            card = self.version(caller, model, int(number))
        else:
            card = self.by_alias(caller, model, alias)
        version = self.annotations.registry.get(card.model, card.number)
        found = Brought(
            artifact=self.annotations.registry.load(version),
            artifact_format=version.artifact_format,
            features=version.features,
            library=version.library,
        )
        return found, card


def _readable(caller: Caller, card: ModelCard | VersionCard) -> bool:
    return not card.team or caller.may_read(_Mine(name="", team=card.team))


def _only_team(caller: Caller) -> str:
    """Return the one team that a caller writes for; none where there are several, or where nobody asks."""
    teams = [team for team, role in caller.principal.grants.items() if role >= Role.WRITER and team != "*"]
    return teams[0] if len(teams) == 1 else ""
