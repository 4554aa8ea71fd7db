"""A process for a library that takes seconds to import: started by the first who asks, shared by all who ask after.

Whoever runs the same code as the same user on the same machine finds it by a socket in a folder of their own: five
trainings at once import Great Expectations once. It ends when nobody has asked for a while. One that was killed is
started anew by the next question, and a question that it was at is asked once more. Questions are lines of JSON; tables
travel as Arrow IPC files beside them.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from lineshaft.errors import EnvironmentFault, UnavailableError
from lineshaft_governance import answering

logger = logging.getLogger(__name__)

IDLE_S = 300.0
WAITING = 128
"""Questions that may wait at once."""


@dataclass(slots=True, kw_only=True)
class Worker:
    """Asks the process that runs `python -m <module>`; `alone`, one of its own that `close` ends."""

    module: str
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 120.0
    idle_s: float = IDLE_S
    alone: bool = False
    _name: str = field(default_factory=lambda: uuid.uuid4().hex)

    def ask(self, request: Mapping[str, Any], *, tables: Mapping[str, pa.Table] | None = None) -> dict[str, Any]:
        """Send a question with its tables; return the answer.

        Raises
        ------
        UnavailableError
            If it ends twice over the question, does not answer in time, or reports an error of its own.
        """
        with tempfile.TemporaryDirectory(prefix="lineshaft-") as folder:
            paths = {name: _write(table, Path(folder) / f"{name}.arrow") for name, table in (tables or {}).items()}
            answer = self._answer({**request, "tables": paths, "within_s": self.timeout_s})
        if "error" in answer:
            raise UnavailableError(f"the worker {self.module} failed: {answer['error']}", fix=f"see {self._log()}")
        return answer

    def pid(self) -> int:
        """Return which process answers; it is started if need be."""
        return int(self._answer({"who": True})["pid"])

    def close(self) -> None:
        """End a process that is ours alone, and leave nothing of it; one that is shared ends by itself."""
        if not self.alone:
            return
        with suppress(OSError), self._connected() as connection:
            connection.sendall(b'{"end": true}\n')
            connection.recv(1)  # until it has heard
        for path in (self._socket(), self._log()):
            path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Ask, and once more where the process went away over it."""
        line = json.dumps(request).encode() + b"\n"
        for _ in range(2):
            received = self._exchange(line)
            if received:
                answer: dict[str, Any] = json.loads(received)
                return answer
            logger.info("the worker %s went away and is started anew", self.module)
        what = f"the worker {self.module} ended twice without an answer: {_last_line(self._log())}"
        raise UnavailableError(what, fix=f"see {self._log()}")

    def _exchange(self, line: bytes) -> bytes:
        """Write one line and read one line; nothing where the process ended."""
        deadline = time.monotonic() + self.timeout_s
        received = b""
        with self._reached() as connection, suppress(ConnectionError, TimeoutError):
            connection.sendall(line)
            while not received.endswith(b"\n"):
                connection.settimeout(max(1e-3, deadline - time.monotonic()))
                part = connection.recv(1 << 16)
                if not part:
                    break
                received += part
            else:
                return received
        if time.monotonic() >= deadline:
            what = f"the worker {self.module} gave no answer within {self.timeout_s:g} s"
            raise UnavailableError(what, fix=f"ask less at once, or see {self._log()}")
        return b""

    def _reached(self) -> socket.socket:
        """Return a connection; where nobody listens a process is started, by one of all who want it."""
        try:
            return self._connected()
        except OSError:
            with _held(self._socket().parent / "lock"):
                try:
                    return self._connected()
                except OSError:
                    return self._started()

    def _connected(self) -> socket.socket:
        path = str(self._socket())
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(path)
        except OSError:
            connection.close()
            raise
        return connection

    def _started(self) -> socket.socket:
        """Listen, connect, and start the process that will answer: whoever connects before it is ready waits."""
        path = self._socket()
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as listener, self._log().open("wb") as log:
            listener.bind(str(path))
            listener.listen(WAITING)
            connection = self._connected()
            environment = {**os.environ.copy(), **self.environment}  # noqa: TID251 - the child's own
            number = listener.fileno()
            # In a session of its own: Ctrl-C at the terminal is for us, and others still have batches to ask about.
            child = subprocess.Popen(
                [sys.executable, "-m", self.module, str(number), f"{self.idle_s:g}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[number],
                env=environment,
                start_new_session=True,
            )
        threading.Thread(target=child.wait, daemon=True).start()  # no zombie is left
        return connection

    def _socket(self) -> Path:
        """Return where it listens: a name for the code that runs, so that a newer version starts its own."""
        spec = find_spec(self.module)
        source = Path(spec.origin) if spec is not None and spec.origin else None
        said = [self.module, sys.executable, sorted(self.environment.items()), self.idle_s, str(source)]
        digest = hashlib.blake2b(repr([*said, self._name if self.alone else ""]).encode(), digest_size=12)
        for file in (source, Path(answering.__file__)):
            digest.update(file.read_bytes() if file is not None else b"")
        return _folder() / f"{digest.hexdigest()}.sock"

    def _log(self) -> Path:
        return self._socket().with_suffix(".log")


def _folder() -> Path:
    """Return the user's own folder for sockets: short, since a socket's path may have no more than 107 bytes."""
    folder = Path(tempfile.gettempdir()) / f"lineshaft-{os.getuid()}-workers"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        what = "the folder for the sockets of checks belongs to others, or lets them in"
        raise EnvironmentFault(what, where=str(folder), fix="remove it, or set TMPDIR to a folder of your own")
    return folder


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Keep others out, of this process and of others."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _last_line(log: Path) -> str:
    """Return the last that a process said, which is mostly what ended it."""
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


def _write(table: pa.Table, path: Path) -> str:
    """Write a table as an Arrow IPC file and return its path."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return str(path)
