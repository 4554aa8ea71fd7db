"""Redis Sentinel: several watchers agree which server is the primary, and make a replica the primary when it fails.

The watchers are asked which it is when a connection is made, and once a second while connections are used: a primary
that only froze does not know, when it goes on, that another has taken its place.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import redis

from lineshaft.errors import UnavailableError
from lineshaft.stores.redis_link import Place, RedisLink, Session
from lineshaft.stores.votes import latest
from lineshaft.stores.watch import Watch


class Sentinels:
    """The watchers of one primary. `changed` is called when they name another."""

    def __init__(
        self, links: Sequence[RedisLink], *, name: str, changed: Callable[[], None], lease_s: float = 1.0
    ) -> None:
        self._links = links
        self._name = name
        self._watch = Watch(self.primary, changed=lambda _: changed(), lease_s=lease_s)

    def heed(self, budget_s: float) -> None:
        """Make sure that who is the primary was heard within the lease, if that can be known in time."""
        self._watch.heed(budget_s)

    def dial(self, connection: Any, budget_s: float) -> None:
        """Connect to the primary; raises `ConnectionError` where whoever is named is none, or not any more."""
        end_s = time.monotonic() + budget_s
        connection.host, connection.port = self._watch.now(budget_s)
        try:
            connection.socket_timeout = connection.socket_connect_timeout = max(end_s - time.monotonic(), 0.001)
            connection.connect()
            connection.send_command("ROLE")
            role = connection.read_response()[0]
            if role not in (b"master", "master"):
                connection.disconnect()
                raise redis.ConnectionError(f"{connection.host}:{connection.port} is not the primary yet, or no more")
        except (redis.RedisError, OSError):
            self._watch.doubt()
            raise

    def primary(self, budget_s: float) -> Place:
        """Return the primary that the latest vote named, as far as most watchers know; raises `UnavailableError`."""
        asks = [partial(link.run, self._say, budget_s=budget_s) for link in self._links]
        try:
            return latest(asks, budget_s=budget_s)
        except UnavailableError as error:
            raise UnavailableError(
                f"no sentinel names the primary of {self._name!r}: {error.what}",
                where="online store",
                fix="check that the sentinels in LINESHAFT_REDIS_URL run, know this name, and take its password",
            ) from error

    def close(self) -> None:
        """Close the connections to the watchers."""
        for link in self._links:
            link.close()

    def _say(self, session: Session) -> tuple[int, Place]:
        """Return the number of the vote and whom it named, as one watcher knows it."""
        session.send("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._name)
        session.send("SENTINEL", "MASTER", self._name)
        place, words = session.receive(), session.receive()
        if place is None:
            raise UnavailableError(f"a sentinel knows no {self._name!r}", fix="write the name that sentinels monitor")
        about = dict(zip(words[::2], words[1::2], strict=True))
        return int(about[b"config-epoch"]), Place(place[0].decode(), int(place[1]))
