"""Which call is being answered: the id its caller gave, or one made here."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from contextvars import ContextVar

KEY = "x-request-id"
"""Metadata by which a caller names its call, to find it in the logs again."""
_MOST = 128

_CURRENT: ContextVar[str] = ContextVar("request_id", default="")


def begin(metadata: Iterable[tuple[str, str | bytes]] | None) -> None:
    """Note the id that the caller of this task's call gave, cut to 128 characters."""
    given = next((value for key, value in metadata or () if key == KEY), "")
    _CURRENT.set(given[:_MOST] if isinstance(given, str) else "")


def request_id() -> str:
    """Return the id of the call being answered, or a new one where none was given."""
    return _CURRENT.get() or uuid.uuid4().hex
