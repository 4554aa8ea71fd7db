"""MLflow's JSON: what its client may say, what it hears, and the names it has for refusals."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import Any

from lineshaft.errors import (
    ConflictError,
    CorruptError,
    ForbiddenError,
    InputError,
    LineshaftError,
    NotFoundError,
    RateError,
    TakenError,
    UnauthenticatedError,
    UnavailableError,
)
from lineshaft.registry.cards import ModelCard, VersionCard
from lineshaft.serving.http_app import Refused

_CODES: tuple[tuple[type[LineshaftError], str], ...] = (
    (TakenError, "RESOURCE_ALREADY_EXISTS"),
    (ConflictError, "INVALID_STATE"),
    (InputError, "INVALID_PARAMETER_VALUE"),
    (NotFoundError, "RESOURCE_DOES_NOT_EXIST"),
    (UnauthenticatedError, "UNAUTHENTICATED"),
    (ForbiddenError, "PERMISSION_DENIED"),
    (RateError, "REQUEST_LIMIT_EXCEEDED"),
    (UnavailableError, "TEMPORARILY_UNAVAILABLE"),
    (CorruptError, "DATA_LOSS"),
)
STAGES = {"none": "None", "staging": "Staging", "production": "Production", "archived": "Archived"}
_FIX = "see MLflow's documentation of the registry's client"
_MOST_NAME, _MOST_KEY, _MOST_VALUE, _MOST_ALIAS = 200, 250, 100_000, 255


def mlflow_words(refused: Refused) -> dict[str, str]:
    """Return a refusal as MLflow's client reads it; what mends it stands in the message."""
    code = next((code for kind, code in _CODES if isinstance(refused.error, kind)), "INTERNAL_ERROR")
    parts = [f"{refused.code} {refused.what}".strip(), refused.where and f"at: {refused.where}"]
    parts.append(refused.fix and f"fix: {refused.fix}")
    if refused.error is None and refused.status.name == "NOT_FOUND":
        code = "ENDPOINT_NOT_FOUND"
    return {"error_code": code, "message": "; ".join(part for part in parts if part)}


def model_json(card: ModelCard, newest: VersionCard | None) -> dict[str, Any]:
    """Return a model; all its versions are in no stage, so at most one is the latest of a stage."""
    return {
        "name": card.name,
        "creation_timestamp": card.created_us // 1000,
        "last_updated_timestamp": card.changed_us // 1000,
        "user_id": "",
        "description": card.description,
        "latest_versions": [] if newest is None else [version_json(newest)],
        "tags": _pairs(card.tags),
        "aliases": [{"alias": alias, "version": str(number)} for alias, number in sorted(card.aliases.items())],
    }


def version_json(card: VersionCard) -> dict[str, Any]:
    """Return a version."""
    return {
        "name": card.model,
        "version": str(card.number),
        "creation_timestamp": card.created_us // 1000,
        "last_updated_timestamp": card.changed_us // 1000,
        "user_id": "",
        "current_stage": "None",
        "description": card.description,
        "source": card.source,
        "run_id": card.run_id,
        "run_link": card.run_link,
        "status": "READY",
        "status_message": "",
        "tags": _pairs(card.tags),
        "aliases": list(card.aliases),
    }


def _pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in sorted(tags.items())]


def text(said: Mapping[str, Any], key: str, *, needed: bool = False) -> str:
    """Return a text that a request has under a key; empty where it has none."""
    found = said.get(key)
    if found is None or found == "":
        if needed:
            raise InputError(f"the request lacks {key!r}", fix=_FIX)
        return ""
    if not isinstance(found, str):
        raise InputError(f"{key} is no text", fix=_FIX)
    return found


def texts(said: Mapping[str, Any], key: str) -> list[str]:
    """Return a list of texts."""
    found = said.get(key) or []
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise InputError(f"{key} is no list of texts", fix=_FIX)
    return found


def whole(said: Mapping[str, Any], key: str, usual: int) -> int:
    """Return a whole number."""
    found = said.get(key, usual)
    try:
        return int(found)
    except (TypeError, ValueError) as error:
        raise InputError(f"{key} is no whole number", fix=_FIX) from error


def model_name(said: Mapping[str, Any], key: str = "name") -> str:
    """Return a name that a model may have, here and in paths.

    >>> model_name({"name": "pump failure"})
    'pump failure'
    """
    name = text(said, key, needed=True)
    if not name.strip():
        raise InputError(f"the request lacks {key!r}", fix=_FIX)
    if "/" in name or ":" in name or _leads_elsewhere(name):
        raise InputError(f"{name!r} can be no model's name", fix="leave out / and :")
    if len(name) > _MOST_NAME:
        raise InputError(f"a model's name has at most {_MOST_NAME} characters", fix="use a shorter one")
    return name


def version_number(said: Mapping[str, Any]) -> int:
    """Return the number of a version."""
    found = text(said, "version", needed=True)
    try:
        number = int(found)
    except ValueError as error:
        raise InputError(f"{found!r} is no version's number", fix="give a whole number") from error
    return number if 0 < number < 1 << 31 else -1  # a number that no version has


def tag_key(said: Mapping[str, Any]) -> str:
    """Return the key of a tag."""
    key = text(said, "key", needed=True)
    if not re.match(r"^[/\w.\- :]*$", key) or _leads_elsewhere(key):
        raise InputError(f"{key!r} can be no tag's key", fix="use letters, digits, _ . - / : and spaces")
    return key


def tag(said: Mapping[str, Any]) -> tuple[str, str]:
    """Return a tag's key and value."""
    key, value = tag_key(said), text(said, "value")
    if len(key) > _MOST_KEY or len(value) > _MOST_VALUE:
        raise InputError(f"a tag has at most {_MOST_KEY} characters of key and {_MOST_VALUE} of value", fix=_FIX)
    return key, value


def tags(said: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of a request; of two with one key the later counts."""
    found = said.get("tags") or []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise InputError("tags are no list of pairs", fix=_FIX)
    return dict(tag(one) for one in found)


def alias(said: Mapping[str, Any], *, to_set: bool = False) -> str:
    """Return an alias; one that is set must not be a word that means a version already."""
    name = text(said, "alias", needed=True)
    if not re.match(r"^[\w\-]*$", name) or len(name) > _MOST_ALIAS:
        raise InputError(f"{name!r} can be no alias", fix="use letters, digits, _ and -")
    if to_set and (name.lower() == "latest" or re.match(r"^[vV]\d+$", name)):
        raise InputError(f"the alias {name!r} is reserved", fix="use another")
    return name


def stage(word: str) -> str:
    """Return a stage as MLflow writes it."""
    found = STAGES.get(word.lower())
    if found is None:
        raise InputError(f"there is no stage {word!r}", fix=f"use one of {', '.join(STAGES.values())}")
    return found


def _leads_elsewhere(name: str) -> bool:
    plain = posixpath.normpath(name)
    return plain != name or plain == "." or plain.startswith(("..", "/"))
