"""Rows that this process has read, kept beside the server until the server says that they changed.

The server remembers which keys were read over one connection and pushes a message over the same connection when one
of them changes (client-side caching of Redis 6 and Valkey: `CLIENT TRACKING`). Messages and replies come in order, so
what is held is what the server holds, but for messages still under way: a reader may see a row as it was some
microseconds ago, never one that was overwritten before its own last exchange. A server that says nothing for
`lease_s` is asked for a sign of life first; after a lost connection nothing held counts as fresh.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import compress
from typing import Any, cast

import hiredis
import numpy as np

from lineshaft.errors import UnavailableError
from lineshaft.specs import Status
from lineshaft.stores.emptied import Emptied
from lineshaft.stores.known_rows import KnownRows
from lineshaft.stores.online_rows import PREFIX_WIDTH, ViewCodec
from lineshaft.stores.ports import Found
from lineshaft.stores.rack_room import RackRoom
from lineshaft.stores.racks import Rack
from lineshaft.stores.redis_link import Session
from lineshaft.stores.servers import Link
from lineshaft.stores.shelves import Shelf, TextShelf
from lineshaft.tiles.joined import join

_MOST_ROWS = 100_000
_MOST_VIEWS = 64
_LEASE_S = 0.1
_RETRY_S = 1.0
_IDLE_S = 10.0


class Ask:
    """One view of a read: its codec, the part of the keys that is the same for all, the rest of each, the features."""

    __slots__ = ("codec", "features", "keys", "prefix")

    def __init__(self, *, codec: ViewCodec, prefix: bytes, keys: Sequence[bytes], features: tuple[str, ...]) -> None:
        self.codec, self.prefix, self.keys, self.features = codec, prefix, keys, features


class NearCache:
    """Fresh rows for one reader at a time; whoever comes while it is in use reads from the server instead."""

    def __init__(
        self,
        link: Link,
        *,
        most_rows: int = _MOST_ROWS,
        lease_s: float = _LEASE_S,
        kept: KnownRows | None = None,
        emptied: Emptied | None = None,
    ) -> None:
        self._link = link
        self._most_rows = most_rows
        self._lease_s = lease_s
        self._kept = kept
        self._emptied = emptied or Emptied(lambda: True)
        self._saved: dict[bytes, int] = {}  # how many changes of a shelf are on disk
        self._restored: set[bytes] = set()
        self._lock = threading.Lock()
        self._shelves: dict[bytes, Shelf | TextShelf] = {}
        self._racks = RackRoom(most_rows=most_rows)
        self._session: Session | None = None
        self._pid = os.getpid()
        self._confirmed_s = 0.0
        self._asked_s: deque[float] = deque()  # when signs of life were asked for that have not come yet
        self._owed = 0  # replies that did not come in time and are still to come
        self._doubts = self._settled = 0  # how often somebody wrote; up to which of those the server has answered since
        self._doubting = threading.Lock()
        self._retry_s = self._asked_for_s = 0.0
        self.held = 0
        self.fetched = 0
        """Rows answered since the start: held here, fetched from the server."""

    def read(self, asks: Sequence[Ask], *, budget_s: float) -> Sequence[Found] | None:
        """Return the rows asked for; None where this cannot be done here (in use, or the server tracks no keys).

        Raises `UnavailableError` when the server is away or does not answer in time.
        """
        self._asked_for_s = time.monotonic()
        if self._asked_for_s < self._retry_s or not self._lock.acquire(blocking=False):
            return None
        try:
            return self._read(asks, budget_s)
        except UnavailableError:  # the server refuses
            self.forget()
            raise
        except TimeoutError as error:  # slow, but in order: what it owes is taken when it comes
            raise self._link.unavailable(error) from error
        except (OSError, hiredis.HiredisError) as error:
            self.forget()
            raise self._link.unavailable(error) from error
        finally:
            self._lock.release()

    def standing(self, asks: Sequence[Ask]) -> Sequence[Found] | None:
        """Return the rows asked for if they are held and known to be fresh, else None. Never waits.

        A server, or a machine, that is too busy to answer in time is not asked for what is known anyway.
        """
        self._asked_for_s = time.monotonic()
        with self._listening() as heard:
            return self._ready_made(asks) if heard else None

    def attend(self) -> None:
        """Take in what the server has said, and ask it for a sign of life before one is missed. Never waits.

        Called more often than the lease lasts, this is why no reader has to wait for one; while nobody reads it does
        nothing.
        """
        if time.monotonic() - self._asked_for_s <= _IDLE_S:
            with self._listening():
                pass

    def remember(self, ask: Ask, values: Sequence[bytes | None]) -> Found:
        """Keep values read over another connection, for when the server cannot be asked; return them unpacked."""
        with self._lock:
            shelf = self._shelf(ask)
            found = shelf.remember(ask.codec, ask.keys, values, ask.features)
            self._racks.doubt(ask.prefix, shelf.doubtful(ask.keys))
            return found

    def known(self, asks: Sequence[Ask]) -> list[Found] | None:
        """Return what was last read of the rows asked for, fresh or not; None where nothing was.

        What earlier processes kept on disk is looked up once a view, when it is first needed.
        """
        with self._lock:
            for ask in asks:
                self._restore(ask)
            held = [self._shelf(ask).known(ask.codec, ask.keys, ask.features) for ask in asks]
        return None if all((found.status == Status.UNAVAILABLE).all() for found in held) else held

    def save(self) -> None:
        """Write the rows of views that changed since the last time to disk, if they are to be kept there."""
        if self._kept is None:
            return
        with self._lock:
            changed = [(prefix, s) for prefix, s in self._shelves.items() if self._saved.get(prefix) != s.changes]
        for prefix, shelf in changed:
            with self._lock:
                self._saved[prefix] = shelf.changes
                keys, values = shelf.kept()
            if keys:
                self._kept.save(prefix, keys, values)

    @contextmanager
    def in_use(self) -> Iterator[bool]:
        """Take the cache for oneself; False where somebody else has it."""
        free = self._lock.acquire(blocking=False)
        try:
            yield free
        finally:
            if free:
                self._lock.release()

    @property
    def views(self) -> int:
        """Return how many view versions are held."""
        return len(self._shelves)

    def doubt(self) -> None:
        """Ask the server for a sign of life before the next answer: whoever has just written sees what was written."""
        with self._doubting:
            self._doubts += 1

    def forget(self) -> None:
        """Hang up; nothing held counts as fresh."""
        if self._session is not None:
            self._session.close()
        self._session, self._owed = None, 0
        self._asked_s.clear()
        self._doubt_all()

    def _read(self, asks: Sequence[Ask], budget_s: float) -> Sequence[Found] | None:
        session = self._ready(budget_s)
        if session is None:
            return None
        for message in session.poll():
            self._note(message)
        if self._owed:
            return self._ready_made(asks)
        self._confirm(session)
        ready = self._ready_made(asks)
        if ready is not None:
            return ready
        answers, rack = self._fetched(session, asks), self._rack(asks)
        if rack is not None and answers is not None:
            known_us = np.stack([found.sheet.integers("known_at") for found in answers])
            parts = [(found.sheet, found.status, ask.features) for ask, found in zip(asks, answers, strict=True)]
            rack.put(asks[0].keys, join(parts), known_us)
            for ask in asks:  # what changed while the others were fetched
                rack.doubt(self._matrix(ask).doubtful(ask.keys))
        return answers

    def _ready_made(self, asks: Sequence[Ask]) -> Sequence[Found] | None:
        """Return rows held side by side, if the server has spoken within the lease and since the last doubt."""
        if self._doubts != self._settled or time.monotonic() - self._confirmed_s > self._lease_s:
            return None
        rack = self._rack(asks)
        ready = rack.take(asks[0].keys) if rack is not None else None
        if ready is not None:
            self.held += len(asks) * len(asks[0].keys)
        return ready

    @contextmanager
    def _listening(self) -> Iterator[bool]:
        """Take the cache for oneself and hear what the server has said; False where either cannot be done at once."""
        with self.in_use() as free:
            session = self._session if free and self._pid == os.getpid() else None
            yield session is not None and self._heard(session)

    def _heard(self, session: Session) -> bool:
        """Take in what the server has said, and ask for the next sign of life; tell whether the connection is whole."""
        session.allow(self._lease_s)  # a few bytes go at once; this thread may be held up
        try:
            for message in session.poll():
                self._note(message)
            now_s = time.monotonic()
            if not self._owed and not self._asked_s and now_s - self._confirmed_s > self._lease_s / 4:
                self._ask_for_life(session, now_s)
        except (OSError, hiredis.HiredisError):
            self.forget()
            return False
        return True

    def _fetched(self, session: Session, asks: Sequence[Ask]) -> list[Found] | None:
        """Return the rows asked for: those that are fresh from here, the others from the server.

        None where some are missing from a server that was emptied.
        """
        held = []
        for ask in asks:
            shelf = self._matrix(ask)
            places, missing = shelf.find(ask.keys)
            held.append((ask, shelf, places, missing, list(compress(ask.keys, missing))))
        wanted = [ask.prefix + key for ask, _, _, _, lacking in held for key in lacking]
        values = self._exchange(session, "MGET", *wanted) if wanted else []
        if None in values and self._emptied():
            return None
        self.held += sum(len(ask.keys) for ask in asks) - len(wanted)
        self.fetched += len(wanted)
        answers, start = [], 0
        for ask, shelf, places, missing, lacking in held:
            rows, status = shelf.take(places)
            if lacking:
                absent, fetched = np.array(missing), ask.codec.rows.checked(values[start : start + len(lacking)])
                rows[absent], status[absent] = fetched
                shelf.put(lacking, *fetched)
                start += len(lacking)
            answers.append(ask.codec.found(rows, status, ask.features))
        return answers

    def _confirm(self, session: Session) -> None:
        """Make sure that the server gave a sign of life within the lease.

        The next one is asked for when half of the lease is over, and not waited for: at a steady pace nobody waits.
        """
        now_s, doubts = time.monotonic(), self._doubts
        age_s, doubted = now_s - self._confirmed_s, doubts != self._settled
        if doubted or (age_s > self._lease_s / 2 and not self._asked_s):
            self._ask_for_life(session, now_s)
        if doubted or age_s > self._lease_s:
            while self._asked_s:
                self._note(session.receive())
            self._settled = doubts

    def _ask_for_life(self, session: Session, now_s: float) -> None:
        self._asked_s.append(now_s)
        self._send(session, "PING")

    def _ready(self, budget_s: float) -> Session | None:
        """Return the connection whose keys the server tracks; None where there can be none now."""
        if self._pid != os.getpid():  # the parent's socket is not ours to speak on, nor to close
            self._pid, self._session = os.getpid(), None
            self.forget()
        self._link.heed(budget_s)
        if self._session is None:
            try:
                self._session = self._link.connect(budget_s, protocol=3)
                self._session.allow(budget_s)
                self._session.call("CLIENT", "TRACKING", "ON")
            except (OSError, UnavailableError, hiredis.HiredisError):
                self.forget()
                self._retry_s = time.monotonic() + _RETRY_S
                return None
            self._confirmed_s = time.monotonic()
        self._session.allow(budget_s)
        return self._session

    def _shelf(self, ask: Ask) -> Shelf | TextShelf:
        shelf = self._shelves.pop(ask.prefix, None) or self._new(ask)
        self._shelves[ask.prefix] = shelf  # the last to be asked for stands last
        while len(self._shelves) > _MOST_VIEWS:
            del self._shelves[next(iter(self._shelves))]
        return shelf

    def _new(self, ask: Ask) -> Shelf | TextShelf:
        rows = ask.codec.rows
        return TextShelf(most=self._most_rows) if rows.has_tail else Shelf(rows.width, most=self._most_rows)

    def _matrix(self, ask: Ask) -> Shelf:
        return cast("Shelf", self._shelf(ask))  # rows with texts are not asked for here

    def _restore(self, ask: Ask) -> None:
        if self._kept is not None and ask.prefix not in self._restored:
            self._restored.add(ask.prefix)
            keys, values = self._kept.load(ask.prefix)
            if keys:
                self._shelf(ask).restore(ask.codec, keys, values)

    def _exchange(self, session: Session, *command: bytes | str) -> Any:
        """Send a command and return its reply, minding what the server says before it."""
        asked_s = time.monotonic()
        self._send(session, *command)
        self._owed += 1
        while self._owed:
            reply = session.receive()
            self._note(reply)
        self._confirmed_s = asked_s
        return reply

    def _send(self, session: Session, *command: bytes | str) -> None:
        """Send a command; one that was sent in part leaves the connection of no use."""
        try:
            session.send(*command)
        except TimeoutError as error:
            raise ConnectionResetError("a command could not be sent in time") from error

    def _note(self, message: Any) -> None:
        """Take in one message: a sign of life, a reply that is owed, or the keys that changed (None: all of them)."""
        if message == b"PONG":
            self._confirmed_s = self._asked_s.popleft()
            return
        if not isinstance(message, hiredis.PushNotification):
            self._owed -= 1
            return
        kind, keys = message[0], message[1]
        if kind != b"invalidate":
            return
        if keys is None:
            self._doubt_all()
            return
        for key in keys:
            prefix, own = key[:PREFIX_WIDTH], key[PREFIX_WIDTH:]
            shelf = self._shelves.get(prefix)
            if shelf is not None:
                shelf.doubt(own)
            self._racks.doubt(prefix, (own,))

    def _doubt_all(self) -> None:
        self._emptied.doubt()
        for shelf in self._shelves.values():
            shelf.doubt()
        self._racks.doubt_all()

    def _rack(self, asks: Sequence[Ask]) -> Rack | None:
        """Return what holds the views asked for side by side; None where they are not keyed alike."""
        keys = asks[0].keys
        if any(ask.keys is not keys for ask in asks):
            return None
        return self._racks.of(tuple([(ask.prefix, ask.features) for ask in asks]))
