"""Several small Valkey servers of this machine that belong together, watched by sentinels or as a cluster."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lineshaft.errors import EnvironmentFault, UnavailableError
from lineshaft.stores.cluster_map import SLOTS
from lineshaft.stores.embedded import server_binary
from lineshaft.stores.redis_link import RedisLink

_UP_S = 20.0
_QUIET = ("--save", "", "--appendonly", "no", "--loglevel", "warning", "--bind", "127.0.0.1", "--protected-mode", "no")


@dataclass(slots=True, kw_only=True)
class Fleet:
    """Servers by their ports, each a process that may be killed, stopped and started again."""

    folder: Path
    processes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    _commands: dict[int, list[str]] = field(default_factory=dict)

    def start(self, port: int, *arguments: str, password: str = "") -> None:
        """Start a server on a port; without arguments with those it had before. Returns when it answers."""
        command = [str(server_binary()), *arguments] if arguments else self._commands[port]
        place = self.folder / str(port)
        place.mkdir(exist_ok=True)
        with (place / "log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=place, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._commands[port], self.processes[port] = command, process
        until(lambda: self.ask(port, "PING", password=password), what=f"a server on port {port} starts")

    def send(self, port: int, number: signal.Signals) -> None:
        """Send a server a signal; one that is killed is gone when this returns."""
        os.kill(self.processes[port].pid, number)
        if number == signal.SIGKILL:
            self.processes[port].wait()

    def ask(self, port: int, *command: str | int, password: str = "", budget_s: float = 1.0) -> Any:
        """Send one command to a server and return its reply."""
        link = RedisLink(f"redis://:{quote(password)}@127.0.0.1:{port}" if password else f"redis://127.0.0.1:{port}")
        try:
            return link.run(lambda session: session.call(*command), budget_s=budget_s)
        finally:
            link.close()

    def end(self) -> None:
        """Kill every server."""
        for process in self.processes.values():
            process.kill()
            process.wait()


@dataclass(slots=True, kw_only=True)
class Watched:
    """A primary, its replica and three sentinels."""

    fleet: Fleet
    data: tuple[int, ...]
    sentinels: tuple[int, ...]
    name: str = "line"

    @property
    def url(self) -> str:
        """Return what `LINESHAFT_REDIS_URL` would say."""
        return f"redis+sentinel://{','.join(f'127.0.0.1:{port}' for port in self.sentinels)}/{self.name}/0"

    def primary(self) -> int:
        """Return the port of the primary, as the first sentinel knows it."""
        return int(self.fleet.ask(self.sentinels[0], "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.name)[1])

    def replica(self) -> int:
        """Return the port of the other server."""
        return next(port for port in self.data if port != self.primary())

    def in_step(self) -> bool:
        """Tell whether the replica holds all that the primary holds, and every sentinel knows it."""
        primary = self.primary()
        role = self.fleet.ask(primary, "ROLE")
        known = [self.fleet.ask(port, "SENTINEL", "REPLICAS", self.name) for port in self.sentinels]
        healthy = all(replicas and _about(replicas[0])[b"flags"] == b"slave" for replicas in known)
        return healthy and bool(role[2]) and int(role[2][0][2]) == role[1]


@contextmanager
def watched(folder: Path, *, down_after_ms: int = 400) -> Iterator[Watched]:
    """Run a primary with one replica, watched by three sentinels; all end with it."""
    with _fleet(folder) as fleet:
        ports = free_ports(5)
        data, sentinels = ports[:2], ports[2:]
        fleet.start(data[0], *_server(data[0]))
        fleet.start(data[1], *_server(data[1]), "--replicaof", f"127.0.0.1 {data[0]}")
        whole = Watched(fleet=fleet, data=tuple(data), sentinels=tuple(sentinels))
        for port in sentinels:
            place = folder / str(port)
            place.mkdir()
            words = f"sentinel {{}} {whole.name} {{}}".format
            (place / "sentinel.conf").write_text(
                "\n".join(
                    [
                        f"port {port}",
                        "bind 127.0.0.1",
                        "protected-mode no",
                        words("monitor", f"127.0.0.1 {data[0]} 2"),
                        words("down-after-milliseconds", str(down_after_ms)),
                        words("failover-timeout", "3000"),
                    ]
                )
            )
            fleet.start(port, str(place / "sentinel.conf"), "--sentinel")
        until(
            lambda: all(_watchers(fleet, port, whole.name) == 2 for port in sentinels), what="sentinels find each other"
        )
        until(whole.in_step, what="the replica follows")
        yield whole


@dataclass(slots=True, kw_only=True)
class Shared:
    """A cluster of primaries that share the slots evenly, each with a replica if there are any."""

    fleet: Fleet
    primaries: tuple[int, ...]
    replicas: tuple[int, ...]

    @property
    def url(self) -> str:
        """Return what `LINESHAFT_REDIS_URL` would say."""
        return f"redis+cluster://{','.join(f'127.0.0.1:{port}' for port in self.primaries)}"

    def identity(self, port: int) -> str:
        """Return the name by which the servers call one of them."""
        return str(self.fleet.ask(port, "CLUSTER", "MYID").decode())


@contextmanager
def shared(folder: Path, *, primaries: int = 3, replicas: bool = False, timeout_ms: int = 1000) -> Iterator[Shared]:
    """Run a cluster; a server that does not answer for `timeout_ms` has failed. All end with it."""
    with _fleet(folder) as fleet:
        ports = free_ports(2 * primaries * (1 + replicas))
        data, buses = ports[::2], ports[1::2]
        whole = Shared(fleet=fleet, primaries=tuple(data[:primaries]), replicas=tuple(data[primaries:]))
        for port, bus in zip(data, buses, strict=True):
            own = ["--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-node-timeout", str(timeout_ms)]
            fleet.start(port, *_server(port), *own, "--cluster-require-full-coverage", "no")
        size = SLOTS // primaries + 1
        for i, port in enumerate(whole.primaries):
            fleet.ask(port, "CLUSTER", "SET-CONFIG-EPOCH", i + 1)
            fleet.ask(port, "CLUSTER", "ADDSLOTSRANGE", i * size, min((i + 1) * size, SLOTS) - 1)
        for port, bus in zip(data[1:], buses[1:], strict=True):
            fleet.ask(data[0], "CLUSTER", "MEET", "127.0.0.1", port, bus)
        until(lambda: all(_known(fleet, port) == len(data) for port in data), what="the cluster's servers meet")
        for port, primary in zip(whole.replicas, whole.primaries, strict=bool(whole.replicas)):
            identity = whole.identity(primary)
            until(lambda: fleet.ask(port, "CLUSTER", "REPLICATE", identity), what="a replica follows")  # noqa: B023
        until(lambda: all(b"cluster_state:ok" in fleet.ask(port, "CLUSTER", "INFO") for port in data), what="a cluster")
        for port in whole.replicas:
            until(lambda: fleet.ask(port, "ROLE")[3] == b"connected", what="a replica is in step")  # noqa: B023
        yield whole


@contextmanager
def _fleet(folder: Path) -> Iterator[Fleet]:
    folder.mkdir(parents=True, exist_ok=True)
    fleet = Fleet(folder=folder)
    with ExitStack() as stack:
        stack.callback(fleet.end)
        yield fleet


def free_ports(number: int) -> list[int]:
    """Return ports that nobody listens on now."""
    with ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]


def until(done: Callable[[], Any], *, what: str, within_s: float = _UP_S) -> None:
    """Wait until something holds; not being able to ask is not holding. Raises `EnvironmentFault` after a time."""
    end_s = time.monotonic() + within_s
    while time.monotonic() < end_s:
        try:
            if done():
                return
        except UnavailableError:
            pass
        time.sleep(0.02)
    raise EnvironmentFault(f"waited {within_s:.0f} s, and still not: {what}", fix="read the servers' logs")


def _server(port: int) -> list[str]:
    return ["--port", str(port), *_QUIET, "--repl-diskless-sync-delay", "0"]


def _known(fleet: Fleet, port: int) -> int:
    lines = fleet.ask(port, "CLUSTER", "NODES").decode().splitlines()
    return sum("handshake" not in line and "noaddr" not in line for line in lines)


def _watchers(fleet: Fleet, port: int, name: str) -> int:
    return int(_about(fleet.ask(port, "SENTINEL", "MASTER", name))[b"num-other-sentinels"])


def _about(words: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(words[::2], words[1::2], strict=True))
