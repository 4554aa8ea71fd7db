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
from dataclasses import dataclass
from itertools import compress
from typing import Any

import hiredis
import numpy as np
from numpy.typing import NDArray

from lineshaft.errors import UnavailableError
from lineshaft.specs import Status
from lineshaft.stores.online_rows import PREFIX_WIDTH, ViewCodec
from lineshaft.stores.ports import Found
from lineshaft.stores.redis_link import RedisLink, Session

_FIRST_ROWS = 1024
_MOST_ROWS = 100_000
_MOST_VIEWS = 64
_LEASE_S = 0.1
_RETRY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One view of a read: its codec, the part of the keys that is the same for all, the rest of each, the features."""

    codec: ViewCodec
    prefix: bytes
    keys: Sequence[bytes]
    features: tuple[str, ...]


class Shelf:
    """The rows of one view: packed and checked, one under the other, found by their keys.

    At most `most` rows are held; the one that was put first goes first.
    """

    def __init__(self, width: int, *, most: int = _MOST_ROWS) -> None:
        size = min(_FIRST_ROWS, most)
        self._most = most
        self._place: dict[bytes, int] = {}
        self._owner: list[bytes] = []
        self._next = 0
        self._rows = np.empty((size, width), np.uint8)
        self._status = np.empty(size, np.int8)
        self._fresh = np.zeros(size, np.uint8)

    def __len__(self) -> int:
        return len(self._place)

    def __bool__(self) -> bool:
        return True  # an empty one too

    def find(self, keys: Sequence[bytes]) -> tuple[list[int | None], list[bool]]:
        """Return where the rows of keys lie, and which are not here or not fresh; no list of those means none."""
        places = list(map(self._place.get, keys))
        if None in places:
            return places, [place is None or not self._fresh[place] for place in places]
        fresh = self._fresh[np.array(places, np.intp)]
        return places, [] if fresh.all() else (fresh == 0).tolist()

    def take(self, places: Sequence[int | None]) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
        """Return rows (n x bytes) and their statuses; what stands where no place is given means nothing."""
        at = np.array(places if None not in places else [place or 0 for place in places], np.intp)
        return self._rows[at], self._status[at]

    def known(self, keys: Sequence[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
        """Return the rows of keys as they were last read, fresh or not; UNAVAILABLE where none was."""
        places = list(map(self._place.get, keys))
        rows, status = self.take(places)
        status[[place is None for place in places]] = Status.UNAVAILABLE
        return rows, status

    def put(
        self, keys: Sequence[bytes], rows: NDArray[np.uint8], status: NDArray[np.int8], *, tracked: bool = True
    ) -> None:
        """Keep rows just read; fresh if the server tracks them, but corrupt ones are read again each time."""
        known = list(map(self._place.get, keys))
        places = np.array(known if None not in known else [self._place_of(key) for key in keys], np.intp)
        # A row may have had to make room for one after it: of those with one place the last is kept.
        self._rows[places], self._status[places] = rows, status
        self._fresh[places] = tracked & (status != Status.CORRUPT)

    def doubt(self, key: bytes | None = None) -> None:
        """Take a row, or every row, as no longer fresh."""
        if key is None:
            self._fresh[:] = 0
        elif (place := self._place.get(key)) is not None:
            self._fresh[place] = 0

    def _place_of(self, key: bytes) -> int:
        place = self._place.get(key)
        if place is None:
            place = self._place[key] = self._room(key)
        return place

    def _room(self, key: bytes) -> int:
        if len(self._owner) < self._most:
            place = len(self._owner)
            self._owner.append(key)
            if place == len(self._rows):
                self._grow(min(2 * place, self._most))
            return place
        place, self._next = self._next, (self._next + 1) % self._most
        del self._place[self._owner[place]]
        self._owner[place] = key
        return place

    def _grow(self, size: int) -> None:
        for name in ("_rows", "_status", "_fresh"):
            old = getattr(self, name)
            new = np.zeros((size, *old.shape[1:]), old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)


class NearCache:
    """Fresh rows for one reader at a time; whoever comes while it is in use reads from the server instead."""

    def __init__(self, link: RedisLink, *, most_rows: int = _MOST_ROWS, lease_s: float = _LEASE_S) -> None:
        self._link = link
        self._most_rows = most_rows
        self._lease_s = lease_s
        self._lock = threading.Lock()
        self._shelves: dict[bytes, Shelf] = {}
        self._session: Session | None = None
        self._pid = os.getpid()
        self._confirmed_s = 0.0
        self._asked_s: deque[float] = deque()  # when signs of life were asked for that have not come yet
        self._owed = 0  # replies that did not come in time and are still to come
        self._doubts = self._settled = 0  # how often somebody wrote; up to which of those the server has answered since
        self._doubting = threading.Lock()
        self._retry_s = 0.0
        self.held = 0
        self.fetched = 0
        """Rows answered since the start: held here, fetched from the server."""

    def read(self, asks: Sequence[Ask], *, budget_s: float) -> list[Found] | None:
        """Return the rows asked for; None where this cannot be done here (in use, or the server tracks no keys).

        Raises `UnavailableError` when the server is away or does not answer in time.
        """
        if time.monotonic() < self._retry_s:
            return None
        with self.in_use() as free:
            if not free:
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

    def remember(self, ask: Ask, rows: NDArray[np.uint8], status: NDArray[np.int8]) -> None:
        """Keep rows read over another connection, for when the server cannot be asked."""
        with self._lock:
            self._shelf(ask).put(ask.keys, rows, status, tracked=False)

    def known(self, asks: Sequence[Ask]) -> list[Found] | None:
        """Return what was last read of the rows asked for, fresh or not; None where nothing was."""
        with self._lock:
            held = [(ask, *self._shelf(ask).known(ask.keys)) for ask in asks]
        if all((status == Status.UNAVAILABLE).all() for _, _, status in held):
            return None
        return [ask.codec.found(rows, status, ask.features) for ask, rows, status in held]

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
        for shelf in self._shelves.values():
            shelf.doubt()

    def _read(self, asks: Sequence[Ask], budget_s: float) -> list[Found] | None:
        session = self._ready(budget_s)
        if session is None:
            return None
        for message in session.poll():
            self._note(message)
        if self._owed:
            return None
        self._confirm(session)
        held = []
        for ask in asks:
            shelf = self._shelf(ask)
            places, missing = shelf.find(ask.keys)
            held.append((ask, shelf, places, missing, list(compress(ask.keys, missing))))
        wanted = [ask.prefix + key for ask, _, _, _, lacking in held for key in lacking]
        values = self._exchange(session, "MGET", *wanted) if wanted else []
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
            self._asked_s.append(now_s)
            self._send(session, "PING")
        if doubted or age_s > self._lease_s:
            while self._asked_s:
                self._note(session.receive())
            self._settled = doubts

    def _ready(self, budget_s: float) -> Session | None:
        """Return the connection whose keys the server tracks; None where there can be none now."""
        if self._pid != os.getpid():  # the parent's socket is not ours to speak on, nor to close
            self._pid, self._session = os.getpid(), None
            self.forget()
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

    def _shelf(self, ask: Ask) -> Shelf:
        shelf = self._shelves.pop(ask.prefix, None) or Shelf(ask.codec.rows.width, most=self._most_rows)
        self._shelves[ask.prefix] = shelf  # the last to be asked for stands last
        while len(self._shelves) > _MOST_VIEWS:
            del self._shelves[next(iter(self._shelves))]
        return shelf

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
            for one in self._shelves.values():
                one.doubt()
            return
        for key in keys:
            shelf = self._shelves.get(key[:PREFIX_WIDTH])
            if shelf is not None:
                shelf.doubt(key[PREFIX_WIDTH:])
