"""Connections to a Redis or Valkey server that never cost more than the time given.

redis-py opens them (URL, TLS, password, database); requests are then exchanged on the bare socket, so that one deadline
covers sending, waiting and receiving, and so that a single row costs 0.03 ms instead of 0.11.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, NamedTuple, Protocol, TypeVar
from weakref import WeakSet

import hiredis
import redis

from lineshaft.errors import UnavailableError

T = TypeVar("T")

URL_FORMS = (
    "write redis://host:port/0, rediss://… for TLS, unix:///path, redis+sentinel://host:port,host:port/name/0, "
    "or redis+cluster://host:port,host:port"
)
_CHUNK = 1 << 18
_MAX_IDLE = 64
_MOST_DIALLING = 4
"""Connections that may be on their way at once: a name server that hangs holds so many threads and no more."""


class Place(NamedTuple):
    """Where a server listens."""

    host: str
    port: int


class Primary(Protocol):
    """Whoever knows which server is to be talked to, where that may change."""

    def heed(self, budget_s: float) -> None:
        """Make sure, before a connection is used, that it still leads to the right server."""
        ...

    def dial(self, connection: Any, budget_s: float) -> None:
        """Connect to the right server; raises `redis.RedisError` or `OSError`."""
        ...

    def close(self) -> None:
        """Close what it asks over."""
        ...


class Session:
    """One connection in use: send commands, receive their replies in order, until the deadline."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._socket = connection._sock  # noqa: SLF001 - redis-py has no way to bound a whole exchange in time
        self._reader = hiredis.Reader()
        self._watch: select.poll | None = None  # asked first: a third of what a read costs that finds nothing
        if not isinstance(self._socket, ssl.SSLSocket):  # by TLS there may be more than the socket shows
            self._watch = select.poll()
            self._watch.register(self._socket, select.POLLIN)
        self.reused = False
        self.deadline = 0.0

    def allow(self, budget_s: float) -> None:
        """Set the deadline anew, counted from now: each step of a long piece of work has its own."""
        self.deadline = time.monotonic() + budget_s

    def remaining_s(self) -> float:
        """Return the seconds left; raises `TimeoutError` when there are none."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def send(self, *command: Any) -> None:
        """Send one command without waiting for its reply."""
        self.send_raw(packed(*command))

    def send_raw(self, command: bytes) -> None:
        """Send one command that is written out already."""
        self._socket.settimeout(self.remaining_s())
        self._socket.sendall(command)

    def receive(self) -> Any:
        """Return the next reply; raises `UnavailableError` when it is the server's refusal."""
        while (reply := self._reader.gets()) is False:
            self._socket.settimeout(self.remaining_s())
            data = self._socket.recv(_CHUNK)
            if not data:
                raise ConnectionResetError("the server closed the connection")
            self._reader.feed(data)
        if isinstance(reply, hiredis.ReplyError):
            raise refused(reply)
        return reply

    def poll(self) -> list[Any]:
        """Return what the server has sent unasked, without waiting; raises `ConnectionResetError` when it hung up."""
        if self._watch is None or self._watch.poll(0):
            self._socket.settimeout(0)
            try:
                while data := self._socket.recv(_CHUNK):
                    self._reader.feed(data)
                raise ConnectionResetError("the server closed the connection")
            except (BlockingIOError, ssl.SSLWantReadError):  # nothing more for now, plain or by TLS
                pass
        messages = []
        while (message := self._reader.gets()) is not False:
            messages.append(message)
        return messages

    def call(self, *command: Any) -> Any:
        """Send one command and return its reply."""
        self.send(*command)
        return self.receive()

    def hang_up(self) -> None:
        """End the connection under whoever is using it, on any thread: he finds it closed by the server."""
        with suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)  # below TLS, which is not safe to end from here

    def fileno(self) -> int:
        """Return the socket's descriptor, for who waits on many."""
        descriptor: int = self._socket.fileno()
        return descriptor

    def close(self) -> None:
        """Drop the connection; unread replies go with it."""
        self._connection.disconnect()


class RedisLink:
    """A pool of connections to one server; threads share it, a forked child starts with none.

    Nothing is tried twice, save on a connection that the server had closed while it lay idle.
    """

    def __init__(self, url: str, *, where: str = "online store") -> None:
        try:
            pool = redis.ConnectionPool.from_url(url, lib_name=None, lib_version=None)
        except ValueError as error:
            raise UnavailableError(f"{where}: not a Redis URL", fix=URL_FORMS) from error
        self._open: Callable[..., Any] = pool.connection_class
        self._options = pool.connection_kwargs
        self.where = where
        self._idle: deque[Session] = deque()
        self._dialling = threading.BoundedSemaphore(_MOST_DIALLING)
        self._pid = os.getpid()
        self._primary: Primary | None = None
        self._out: WeakSet[Session] = WeakSet()
        self._closed = False
        self._turns = 0  # how often all connections were ended

    def follow(self, primary: Primary) -> None:
        """Connect to whom `primary` names from now on, whatever the URL says."""
        self._primary = primary

    def run(self, work: Callable[[Session], T], *, budget_s: float) -> T:
        """Do `work` on a connection within the budget; it must be safe to do twice.

        Raises `UnavailableError` when the server is away, hung or refuses.
        """
        deadline = time.monotonic() + budget_s
        while True:
            session = self.take(deadline)
            try:
                result = work(session)
            except (OSError, hiredis.HiredisError) as error:
                session.close()
                if session.reused and not isinstance(error, TimeoutError):
                    self.drop_idle()  # what lay idle beside it is as dead
                    continue
                raise self.unavailable(error) from error
            except UnavailableError as error:
                session.close()
                if session.reused and self._primary is not None and "READONLY" in error.what:
                    self.hang_up()  # it was the primary when the connection was made
                    continue
                error.where = self.where
                raise
            except BaseException:
                session.close()
                raise
            self.give_back(session)
            return result

    def call(self, *command: Any, budget_s: float) -> Any:
        """Send one command on a connection of the pool and return its reply."""
        return self.run(lambda session: session.call(*command), budget_s=budget_s)

    def hang_up(self) -> None:
        """End every connection, also those in use: they lead to a server that is not the right one any more."""
        self._turns += 1
        for session in list(self._out):
            session.hang_up()
        self.drop_idle()

    def heed(self, budget_s: float) -> None:
        """Make sure that connections made earlier still lead to the right server, where that may change."""
        if self._primary is not None:
            self._primary.heed(budget_s)

    def close(self) -> None:
        """Close connections: those nobody uses at once, those in use when they come back, on whatever thread."""
        self._closed = True
        self.drop_idle()
        if self._primary is not None:
            self._primary.close()

    @property
    def connected(self) -> bool:
        """Tell whether a connection is there that nobody uses now."""
        return bool(self._idle)

    def drop_idle(self) -> None:
        """Close the connections that nobody uses now."""
        while self._idle:
            try:
                self._idle.pop().close()
            except IndexError:
                return

    def take(self, deadline: float) -> Session:
        """Return a connection for oneself, to be given back unless it broke; raises `UnavailableError`."""
        self._mind_fork()
        self.heed(max(deadline - time.monotonic(), 0.001))
        try:
            session = self._idle.pop()
            session.reused = True
        except IndexError:
            session = self.connect(max(deadline - time.monotonic(), 0.001))
        session.deadline = deadline
        return session

    def connect(self, budget_s: float, *, protocol: int = 2) -> Session:
        """Return a connection of its own, which the pool knows nothing of; raises `UnavailableError`.

        The time given covers all of it: looking up the name, TLS, logging in. One that comes too late is closed.
        """
        limits = {"socket_timeout": budget_s, "socket_connect_timeout": budget_s}
        self._mind_fork()
        bounded = {**self._options, **limits, "protocol": protocol}
        if "path" in bounded:
            bounded.pop("socket_connect_timeout")
        connection, turns = self._open(**bounded), self._turns
        try:
            self._dial(connection, budget_s)
        except (redis.RedisError, OSError) as error:
            raise self.unavailable(error) from error
        session = Session(connection)
        self._out.add(session)
        if turns != self._turns:  # the right server became another while this one was dialled
            session.hang_up()
        return session

    def _dial(self, connection: Any, budget_s: float) -> None:
        """Connect on a thread of its own: nothing else bounds a name look-up or a whole TLS handshake."""
        start_s, held = time.monotonic(), self._dialling
        if not held.acquire(timeout=budget_s):
            raise TimeoutError("earlier connections are still on their way")
        done: Future[None] = Future()

        def work() -> None:
            try:
                if self._primary is None:
                    connection.connect()
                else:
                    self._primary.dial(connection, budget_s)
            except BaseException as error:  # noqa: BLE001 - handed to whoever waits
                if done.set_running_or_notify_cancel():
                    done.set_exception(error)
            else:
                if done.set_running_or_notify_cancel():
                    done.set_result(None)
                else:
                    connection.disconnect()
            finally:
                held.release()

        threading.Thread(target=work, name="redis-dial", daemon=True).start()
        try:
            done.result(max(budget_s - (time.monotonic() - start_s), 0.0))
        except TimeoutError:
            if not done.cancel():  # it came at the last moment
                done.result()
                return
            raise

    def _mind_fork(self) -> None:
        """In a child, begin with no connection: the parent's are not ours to speak on, and its threads are not here."""
        if self._pid != os.getpid():
            self._idle, self._out, self._pid = deque(), WeakSet(), os.getpid()
            self._dialling = threading.BoundedSemaphore(_MOST_DIALLING)

    def give_back(self, session: Session) -> None:
        """Keep a connection for the next one; every reply was received over it."""
        if len(self._idle) < _MAX_IDLE and not self._closed:
            self._idle.append(session)
        else:
            session.close()

    def unavailable(self, error: Exception) -> UnavailableError:
        """Return a failure of the connection as whoever asked for something should see it."""
        slow = isinstance(error, TimeoutError | redis.TimeoutError)
        what = "does not answer in time" if slow else f"cannot be reached: {error}"
        return UnavailableError(
            f"the online store {what}",
            where=self.where,
            fix="check that the server runs and that LINESHAFT_REDIS_URL names it; "
            "`lineshaft online rebuild` refills an empty one",
        )


def packed(*command: Any) -> bytes:
    """Return a command written out.

    >>> packed("GET", b"a").split()
    [b'*2', b'$3', b'GET', b'$1', b'a']
    """
    written: bytes = hiredis.pack_command(command)
    return written


def refused(reply: Exception, *, where: str = "") -> UnavailableError:
    """Return a server's refusal as whoever asked for something should see it."""
    return UnavailableError(f"the online store refuses: {reply}", where=where, fix=_fix_of(str(reply)))


def _fix_of(refusal: str) -> str:
    kind = refusal.split(" ", 1)[0]
    return {
        "OOM": "raise the server's maxmemory or remove views that no model needs",
        "NOAUTH": "put the password into LINESHAFT_REDIS_URL",
        "WRONGPASS": "put the right user and password into LINESHAFT_REDIS_URL",
        "NOPERM": "allow this user EVAL, EVALSHA, SCRIPT LOAD, GET, SET, MGET, MSET, MSETNX, SCAN and UNLINK on its "
        "project's keys, and HSETNX, HGET and HDEL on lineshaft:views",
        "LOADING": "wait until the server has read its data set",
        "READONLY": "name the primary, not a replica, in LINESHAFT_REDIS_URL, or its sentinels",
        "MISCONF": 'the server cannot save its snapshots: mend its disk or set save ""',
    }.get(kind, "read the server's log")
