"""What is known of a call while it is answered: what its numbers, its line in the log and its record are made of."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import TypeAlias

KEY = "x-request-id"
"""Metadata by which a caller names its call, to find it in the logs again."""
_MOST = 128


class Call:
    """One call, known better while it is answered.

    `given` is the id its caller gave, if any. `feature_service` stays empty until a service is found: a name that is
    none is nothing to count by. `error` is the code of the refusal it ended with. A `lasting` call is a stream: how
    long it takes is its caller's choice. The store was read for `read_s` from `read_at_s` on (`perf_counter`).
    """

    __slots__ = (
        "_id",
        "degraded",
        "error",
        "feature_service",
        "given",
        "lasting",
        "metadata",
        "method",
        "read_at_s",
        "read_s",
    )

    def __init__(self, method: str = "", metadata: Sequence[tuple[str, str | bytes]] | None = None) -> None:
        self.method, self.metadata = method, metadata or ()
        given = next((value for key, value in self.metadata if key == KEY), "")
        self.given = given[:_MOST] if isinstance(given, str) else ""
        self._id = self.given
        self.feature_service = ""
        self.degraded = self.lasting = False
        self.error = ""
        self.read_at_s = self.read_s = 0.0

    @property
    def id(self) -> str:
        """Return the id the caller gave, or one made here."""
        self._id = self._id or uuid.uuid4().hex
        return self._id


Told: TypeAlias = Callable[[Call, str, float], None]
"""Be told of a call that ended: the name of its gRPC status, and the seconds it took."""

_CURRENT: ContextVar[Call] = ContextVar("call")


def begin(method: str, metadata: Sequence[tuple[str, str | bytes]] | None) -> Call:
    """Return the call that this task answers from now on."""
    call = Call(method, metadata)
    _CURRENT.set(call)
    return call


def current() -> Call:
    """Return the call being answered; one of nobody where there is none."""
    return _CURRENT.get(None) or Call()


def request_id() -> str:
    """Return the id that the caller gave, or a new one for each answer where none was given."""
    return current().given or uuid.uuid4().hex


def told_to(listeners: Sequence[Told]) -> Told:
    """Return one listener for all of them."""
    if len(listeners) == 1:
        return listeners[0]

    def tell(call: Call, code: str, seconds: float) -> None:
        for listener in listeners:
            listener(call, code, seconds)

    return tell
