"""One exchange with several servers at once: all are asked before any is waited for, and none holds up the others."""

from __future__ import annotations

import select
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import hiredis

from lineshaft.errors import UnavailableError
from lineshaft.stores.redis_link import Place, RedisLink, Session

_REST_S = 0.2


class Node:
    """One server of several: its connections, and whether it is left alone for a moment because it did not answer."""

    def __init__(self, place: Place, link: RedisLink) -> None:
        self.place = place
        self.link = link
        self._rests_until_s = 0.0

    def free(self) -> bool:
        """Tell whether it may be asked; of those who come after its rest the first tries, before the others do."""
        now_s = time.monotonic()
        if now_s < self._rests_until_s:
            return False
        if self._rests_until_s:
            self._rests_until_s = now_s + _REST_S
        return True

    def failed(self) -> None:
        """Leave it alone for a moment."""
        self._rests_until_s = time.monotonic() + _REST_S

    def answered(self) -> None:
        """Let everybody ask it."""
        self._rests_until_s = 0.0


@dataclass(slots=True, kw_only=True)
class Talk:
    """Commands for one server, each written out, and its replies in order, as far as they came in time."""

    node: Node
    commands: Sequence[bytes]
    replies: list[Any] = field(default_factory=list)
    stale: bool = False
    """The server had closed the connection while it lay idle: another may be tried."""
    late: bool = False
    _session: Session | None = None

    @property
    def done(self) -> bool:
        """Tell whether every reply came."""
        return len(self.replies) == len(self.commands)

    def send(self, *, until_s: float, deadline: float) -> None:
        """Take a connection, made by `until_s` if there is none, and send all."""
        try:
            self._session = self.node.link.take(until_s)
            self._session.deadline = until_s
            self._session.send_raw(b"".join(self.commands))
            self._session.deadline = deadline
        except UnavailableError:
            self._session = None
            self.late = time.monotonic() >= until_s
        except OSError as error:
            self.lost(error)

    def fileno(self) -> int:
        """Return what to wait on; -1 where nothing can come."""
        return -1 if self._session is None else self._session.fileno()

    def hear(self) -> None:
        """Take in what the server has sent."""
        if self._session is None:
            return
        try:
            self.replies += self._session.poll()
        except (OSError, hiredis.HiredisError) as error:
            self.lost(error)
            return
        if self.done:
            self.node.link.give_back(self._session)
            self._session = None

    def lost(self, error: Exception) -> None:
        """Drop the connection: it broke, or what is still to come over it came too late."""
        if self._session is not None:
            self._session.close()
            self.late = isinstance(error, TimeoutError)
            self.stale = self._session.reused and not self.late
            if self.stale:
                self.node.link.drop_idle()  # what lay idle beside it is as dead
        self._session = None


def together(talks: Sequence[Talk], *, deadline: float) -> None:
    """Hold talks side by side until all are done or the time is over.

    Servers to whom there is a connection come first; making one may take half of the time that is left, so that a
    server that is away leaves enough for the others.
    """
    for talk in sorted(talks, key=lambda one: not one.node.link.connected):
        now_s = time.monotonic()
        share = 1.0 if len(talks) == 1 else 0.5
        talk.send(until_s=now_s + (deadline - now_s) * share, deadline=deadline)
    poller, open_talks = select.poll(), {talk.fileno(): talk for talk in talks if talk.fileno() >= 0}
    for number in open_talks:
        poller.register(number, select.POLLIN)
    while open_talks:
        ready = poller.poll(max(deadline - time.monotonic(), 0.0) * 1e3)
        if not ready:
            break
        for number, _ in ready:
            talk = open_talks[number]
            talk.hear()
            if talk.fileno() < 0:
                poller.unregister(number)
                del open_talks[number]
    for talk in open_talks.values():
        talk.lost(TimeoutError())
