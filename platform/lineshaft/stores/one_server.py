"""Packed rows on one server, or on the primary that sentinels name."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from itertools import chain
from typing import TypeVar

from lineshaft.stores import resp
from lineshaft.stores.online_rows import Packed
from lineshaft.stores.redis_link import RedisLink, Session
from lineshaft.stores.replacement import Swap
from lineshaft.stores.servers import scanned

T = TypeVar("T")

SCRIPT = resources.files("lineshaft.stores").joinpath("newer_wins.lua").read_bytes()
SHA = hashlib.sha1(SCRIPT, usedforsecurity=False).hexdigest()
IF_UNCHANGED = resources.files("lineshaft.stores").joinpath("if_unchanged.lua").read_bytes()
_IN_FLIGHT = 4


class OneServer:
    """`Servers` of which there is one."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self.connect, self.heed, self.unavailable, self.close = link.connect, link.heed, link.unavailable, link.close
        self.call = link.call

    def values(self, keys: Sequence[bytes], *, budget_s: float) -> list[bytes | None]:
        """Return the values of keys."""
        values: list[bytes | None] = self.call("MGET", *keys, budget_s=budget_s)
        return values

    def write(self, prefix: bytes, batches: Callable[[], Iterator[Packed]], *, first: bool, step_s: float) -> int:
        """Keep each row that is newer than the stored one; return how many were kept."""

        def work(session: Session) -> int:
            writing = _Writing(session, prefix=prefix, first=first, step_s=step_s)
            for batch in batches():
                writing.send(batch)
            return writing.finish()

        return self._link.run(work, budget_s=step_s)

    def swap(self, swaps: Sequence[Swap], *, budget_s: float) -> int:
        """Make each swap whose old value is still there."""
        values = chain.from_iterable((swap.old, swap.new) for swap in swaps)
        keys = [swap.key for swap in swaps]
        made: int = self.call("EVAL", IF_UNCHANGED, len(keys), *keys, *values, budget_s=budget_s)
        return made

    def unlink(self, keys: Sequence[bytes], *, budget_s: float) -> int:
        """Remove keys; return how many were there."""
        gone: int = self.call("UNLINK", *keys, budget_s=budget_s)
        return gone

    def scan(self, pattern: bytes, *, step_s: float) -> Iterator[list[bytes]]:
        """Yield the keys that match."""
        return scanned(self._link, pattern, step_s=step_s)

    def each(self, work: Callable[[Session], T], *, budget_s: float) -> list[T]:
        """Do something on the server."""
        return [self._link.run(work, budget_s=budget_s)]


class _Writing:
    """One write on its way: some batches in flight, so that the server works on one while the next is packed.

    A batch goes through the script. The first rows of an empty view do not have to: MSETNX sets all of a batch if none
    of its keys exists, at a third of the server's time, and a batch it refuses is sent again through the script.
    """

    def __init__(self, session: Session, *, prefix: bytes, first: bool, step_s: float) -> None:
        self._session = session
        self._prefix = prefix
        self._first = first
        self._step_s = step_s
        self._waiting: deque[tuple[bool, Packed]] = deque()
        self._kept = 0
        session.call("SCRIPT", "LOAD", SCRIPT)

    def send(self, batch: Packed) -> None:
        """Send one batch; wait for an earlier one when enough are in flight."""
        self._session.allow(self._step_s)
        first = self._first and len(set(batch.keys)) == len(batch.keys)
        if batch.cells is not None:
            keys = resp.joined(self._prefix, batch.keys)
            self._session.send_raw(
                resp.command(b"MSETNX", pairs=(keys, batch.cells))
                if first
                else resp.script(SHA.encode(), keys=keys, values=batch.cells)
            )
        else:
            full = [self._prefix + key for key in batch.keys]
            pairs = chain.from_iterable(zip(full, batch.values, strict=True))
            self._session.send(*(("MSETNX", *pairs) if first else ("EVALSHA", SHA, len(full), *full, *batch.values)))
        self._waiting.append((first, batch))
        if len(self._waiting) > _IN_FLIGHT:
            self._settle()

    def finish(self) -> int:
        """Wait for every reply; return how many rows were kept."""
        while self._waiting:
            self._settle()
        return self._kept

    def _settle(self) -> None:
        self._session.allow(self._step_s)
        reply = self._session.receive()
        first, batch = self._waiting.popleft()
        if not first:
            self._kept += reply
        elif reply:
            self._kept += len(batch.keys)
        else:
            self._first = False
            self.send(batch)
