"""A connection on which Redis or Valkey says which keys changed (`CLIENT TRACKING` in its broadcasting mode).

The server remembers prefixes, not keys: nothing has to be read for a change to be told, by whatever path it is read,
and a connection that was lost leaves nothing behind. The price is that all writes to a view that somebody watches are
told to each process that watches it: some 30 bytes a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import hiredis

from lineshaft.specs import View
from lineshaft.stores.servers import Link

_BUDGET_S = 1.0


class KeyChanges:
    """One connection for one reader, who waits on `fileno` and then takes what `poll` returns.

    changed: called when something changed, before it is told. What is held near this process may be older than what is
    told here: messages over two connections come in no order.
    """

    def __init__(self, link: Link, *, prefix_of: Callable[[View], bytes], changed: Callable[[], None]) -> None:
        self._link, self._prefix_of, self._changed = link, prefix_of, changed
        self._followed: set[bytes] = set()
        self._owes = False  # a sign of life
        self._session = link.connect(_BUDGET_S, protocol=3)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when the server says something."""
        return self._session.fileno()

    def follow(self, views: Iterable[View]) -> None:
        """Ask to be told of the keys of views; what is followed already is not asked for twice, which is refused."""
        prefixes = {self._prefix_of(view) for view in views} - self._followed
        if prefixes:
            self._send("CLIENT", "TRACKING", "ON", "BCAST", *(word for p in prefixes for word in (b"PREFIX", p)))
            self._followed |= prefixes

    def poll(self) -> set[bytes] | None:
        """Return the keys that changed since the last time; None where any may have."""
        try:
            messages = self._session.poll()
        except (OSError, hiredis.HiredisError) as error:
            raise self._link.unavailable(error) from error
        keys: set[bytes] = set()
        whole = False
        for message in messages:
            if isinstance(message, hiredis.ReplyError):
                raise self._link.unavailable(message)
            if message == b"PONG":
                self._owes = False
            elif not isinstance(message, hiredis.PushNotification):
                whole = True  # the reply to `follow`: what changed before it was not told
            elif message[0] == b"invalidate":
                if message[1] is None:  # the server was emptied
                    whole = True
                else:
                    keys.update(message[1])
        if whole or keys:
            self._changed()
        return None if whole else keys

    def beat(self) -> None:
        """Ask for a sign of life; raises `UnavailableError` where the one asked for before has not come."""
        if self._owes:
            raise self._link.unavailable(TimeoutError())
        self._link.heed(0.0)  # another server may be the right one by now: then this connection ends
        self._owes = True
        self._send("PING")

    def close(self) -> None:
        """Hang up."""
        self._session.close()

    def _send(self, *command: bytes | str) -> None:
        self._session.allow(_BUDGET_S)
        try:
            self._session.send(*command)
        except (OSError, hiredis.HiredisError) as error:
            raise self._link.unavailable(error) from error
