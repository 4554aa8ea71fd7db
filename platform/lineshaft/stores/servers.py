"""Where packed rows lie: what the online store asks of one server, or of several that share the keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from lineshaft.errors import UnavailableError
from lineshaft.stores.online_rows import Packed
from lineshaft.stores.redis_link import RedisLink, Session
from lineshaft.stores.replacement import Swap

T = TypeVar("T")

_SCAN_BATCH = 1000


class Link(Protocol):
    """Who connects to the server, or to several."""

    def connect(self, budget_s: float, *, protocol: int = 2) -> Session:
        """Return a connection of one's own, over which keys may be tracked."""
        ...

    def heed(self, budget_s: float) -> None:
        """Make sure that connections made earlier still lead to the right server, where that may change."""
        ...

    def unavailable(self, error: Exception) -> UnavailableError:
        """Return a failure of a connection as whoever asked for something should see it."""
        ...


class Servers(Link, Protocol):
    """Keys and values on one server or several. All raise `UnavailableError` when a server they need is away."""

    def values(self, keys: Sequence[bytes], *, budget_s: float) -> list[bytes | None]:
        """Return the values of keys in one round trip; raises `PartlyAwayError` with those that could be asked for."""
        ...

    def write(self, prefix: bytes, batches: Callable[[], Iterator[Packed]], *, first: bool, step_s: float) -> int:
        """Keep each row that is newer than the stored one; return how many were kept.

        `first` says that the view may be empty; each batch may take `step_s`. May ask for `batches` twice.
        """
        ...

    def swap(self, swaps: Sequence[Swap], *, budget_s: float) -> int:
        """Make each swap whose old value is still there; return how many were made."""
        ...

    def call(self, *command: bytes | str | int, budget_s: float) -> Any:
        """Send a command about one key, its first argument, to the server that holds it; return its reply."""
        ...

    def unlink(self, keys: Sequence[bytes], *, budget_s: float) -> int:
        """Remove keys; return how many were there."""
        ...

    def scan(self, pattern: bytes, *, step_s: float) -> Iterator[list[bytes]]:
        """Yield the keys that match, from every server; one may come twice."""
        ...

    def each(self, work: Callable[[Session], T], *, budget_s: float) -> list[T]:
        """Do something on every server; it must be safe to do twice."""
        ...

    def close(self) -> None:
        """Close idle connections."""
        ...


class PartlyAwayError(UnavailableError):
    """Of several servers some do not answer, each for itself: `away` says which values are missing."""

    def __init__(self, error: UnavailableError, *, values: list[bytes | None], away: list[bool]) -> None:
        super().__init__(error.what, where=error.where, fix=error.fix)
        self.values = values
        self.away = away


def scanned(link: RedisLink, pattern: bytes, *, step_s: float) -> Iterator[list[bytes]]:
    """Yield the keys of one server that match; one may come twice while the server's table grows."""
    cursor = b"0"
    while True:
        command = ("SCAN", cursor, "MATCH", pattern, "COUNT", _SCAN_BATCH)
        cursor, keys = link.call(*command, budget_s=step_s)
        yield keys
        if cursor == b"0":
            return
