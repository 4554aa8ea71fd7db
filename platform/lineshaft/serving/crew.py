"""Several servers on one port: started, watched, replaced one at a time, stopped together.

The kernel shares connections out among processes that listen on one port (SO_REUSEPORT). Each worker is a fresh
interpreter (gRPC must not be forked), joined to the crew by a pair of sockets: the worker says on it that it is ready,
and stops when it closes, so that no worker outlives its crew.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Literal

from lineshaft.errors import EnvironmentFault, InputError
from lineshaft.serving.addresses import host_and_port

_LOG = logging.getLogger(__name__)
_LOOK_S = 0.1
_LIVED_S = 10.0
_LONGEST_WAIT_S = 30.0
READY = b"ready"

Order = Literal["stop", "replace"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How to start a worker: by its number and the descriptor of its end of the pair, its command and environment."""

    command: Callable[[int, int], Sequence[str]]
    environment: Callable[[int], Mapping[str, str]]


@dataclass(slots=True, kw_only=True)
class _Worker:
    process: subprocess.Popen[bytes]
    lifeline: socket.socket
    started_s: float = field(default_factory=time.monotonic)


class Crew:
    """`count` workers. `run` returns when it is told to stop, or raises `EnvironmentFault` when one never comes up.

    A worker that ends is started again: at once if it was asked to end or had lived for ten seconds, otherwise after a
    growing wait.
    """

    def __init__(self, start: Start, *, count: int, start_s: float = 60.0, grace_s: float = 15.0) -> None:
        self._start = start
        self._count = count
        self._start_s = start_s
        self._grace_s = grace_s
        self._orders: SimpleQueue[Order] = SimpleQueue()
        self._workers: dict[int, _Worker] = {}
        self._due_s: dict[int, float] = {}
        self._falls: dict[int, int] = {}

    def stop(self) -> None:
        """Stop all workers and let `run` return."""
        self._orders.put("stop")

    def replace(self) -> None:
        """Replace the workers one at a time, each by one that is ready: new code, no call refused."""
        self._orders.put("replace")

    @property
    def pids(self) -> list[int]:
        """Return the process ids of the workers, by number."""
        return [worker.process.pid for _, worker in sorted(self._workers.items())]

    def run(self, ready: Callable[[], None]) -> None:
        """Start all, tell `ready`, and watch them until `stop`."""
        try:
            for number in range(self._count):
                self._workers[number] = self._launch(number)
            for worker in list(self._workers.values()):
                self._await(worker)
            ready()
            while (order := self._order()) != "stop":
                if order == "replace":
                    self._replace_all()
                self._watch()
        finally:
            self._end(list(self._workers.values()))

    def _order(self) -> Order | None:
        try:
            return self._orders.get(timeout=_LOOK_S)
        except Empty:
            return None

    def _launch(self, number: int) -> _Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                self._start.command(number, theirs.fileno()),
                env={**os.environ, **self._start.environment(number)},  # noqa: TID251 - a copy for the child
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
            )
        return _Worker(process=process, lifeline=ours)

    def _await(self, worker: _Worker) -> None:
        """Wait until a worker is ready; raises `EnvironmentFault` when it ends first, or takes too long."""
        worker.lifeline.settimeout(self._start_s)
        try:
            said = worker.lifeline.recv(len(READY))
        except (TimeoutError, ConnectionResetError):
            said = b""
        if said != READY:
            raise EnvironmentFault(
                f"a worker did not come up within {self._start_s:.0f} s", fix="read what it said above"
            )

    def _watch(self) -> None:
        """Start again whoever has ended."""
        now_s = time.monotonic()
        for number, worker in list(self._workers.items()):
            if worker.process.poll() is None:
                continue
            if number not in self._due_s:
                code = worker.process.returncode
                fell = code != 0 and now_s - worker.started_s < _LIVED_S  # one that was asked to end did not fall
                self._falls[number] = self._falls.get(number, 0) + 1 if fell else 0
                wait_s = min(_LONGEST_WAIT_S, 0.25 * 2 ** self._falls[number]) if fell else 0.0
                self._due_s[number] = now_s + wait_s
                _LOG.warning("worker %d ended with %d; started again in %.1f s", number, code, wait_s)
            if now_s >= self._due_s[number]:
                del self._due_s[number]
                worker.lifeline.close()
                self._workers[number] = self._launch(number)

    def _replace_all(self) -> None:
        for number, old in list(self._workers.items()):
            new = self._launch(number)
            try:
                self._await(new)
            except EnvironmentFault as error:
                _LOG.warning("the workers there are go on: %s", error.what)  # better old than none
                self._end([new])
                return
            self._workers[number] = new
            self._end([old])

    def _end(self, workers: Sequence[_Worker]) -> None:
        """Ask workers to finish their calls, and end those that do not in time."""
        for worker in workers:
            with suppress(ProcessLookupError):
                worker.process.terminate()
        deadline_s = time.monotonic() + self._grace_s
        for worker in workers:
            try:
                worker.process.wait(max(deadline_s - time.monotonic(), 0.0))
            except subprocess.TimeoutExpired:
                _LOG.warning("worker %d did not stop in time and is killed", worker.process.pid)
                worker.process.kill()
                worker.process.wait()
            worker.lifeline.close()


@contextmanager
def reserved(address: str, *, setting: str) -> Iterator[str]:
    """Hold `host:port` for workers to share; yield it with its port filled in.

    Raises `InputError` for no such address, `EnvironmentFault` when somebody listens there already: two crews on one
    port would each get some of the calls, and nobody would notice.
    """
    if address.startswith("unix:"):
        what = f"several workers cannot share {address}"
        raise InputError(what, where=setting, fix="listen on host:port, or start one worker")
    host, port = host_and_port(address, setting=setting)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that linger do not count
            probe.bind((host, port))
        held = socket.socket(family)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind((host, port))
    except OSError as error:
        what = f"cannot listen on {address}: {error}"
        raise EnvironmentFault(what, where=setting, fix="stop what listens there, or name another port") from error
    with held:
        yield f"{address.rpartition(':')[0]}:{held.getsockname()[1]}"


@contextmanager
def obeying_signals(crew: Crew) -> Iterator[None]:
    """Let SIGTERM and SIGINT stop a crew, and SIGHUP replace its workers."""
    wishes = {signal.SIGTERM: crew.stop, signal.SIGINT: crew.stop, signal.SIGHUP: crew.replace}
    before = {number: signal.signal(number, lambda *_, wish=wish: wish()) for number, wish in wishes.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
