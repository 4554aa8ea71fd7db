"""A child process for a library that takes seconds to import: started once, asked in lines of JSON.

Tables travel as Arrow IPC files beside the questions. The child runs a module whose main calls `answer_requests`.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from lineshaft.errors import EnvironmentFault, UnavailableError


@dataclass(slots=True, kw_only=True)
class Worker:
    """Runs `python -m <module>` on first use and keeps it; after a fault or a timeout the next question starts anew."""

    module: str
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 120.0
    _child: subprocess.Popen[bytes] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, request: Mapping[str, Any], *, tables: Mapping[str, pa.Table] | None = None) -> dict[str, Any]:
        """Send a question with its tables; return the answer.

        Raises
        ------
        UnavailableError
            If the child ends, does not answer in time, or reports an error of its own.
        """
        with self._lock, tempfile.TemporaryDirectory(prefix="lineshaft-") as folder:
            paths = {name: _write(table, Path(folder) / f"{name}.arrow") for name, table in (tables or {}).items()}
            child = self._running()
            try:
                answer = self._exchange(child, json.dumps({**request, "tables": paths}).encode() + b"\n")
            except (OSError, UnavailableError) as error:
                self._stop()
                raise UnavailableError(
                    f"the worker {self.module} did not answer: {error}", fix="see its log"
                ) from error
        if "error" in answer:
            raise UnavailableError(f"the worker {self.module} failed: {answer['error']}", fix="see its log")
        return answer

    def close(self) -> None:
        """End the child, if there is one."""
        with self._lock:
            self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _running(self) -> subprocess.Popen[bytes]:
        """Return the child, started if need be."""
        if self._child is None or self._child.poll() is not None:
            self._stop()
            environment = {**os.environ.copy(), **self.environment}  # noqa: TID251 - the child's own
            command = [sys.executable, "-m", self.module]
            # In a session of its own: Ctrl-C at the terminal is for us, and we still have batches to ask about.
            self._child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, start_new_session=True
            )
        return self._child

    def _exchange(self, child: subprocess.Popen[bytes], line: bytes) -> dict[str, Any]:
        """Write one line and read one line, within the time given."""
        if child.stdin is None or child.stdout is None:
            raise EnvironmentFault("the worker has no pipes")
        child.stdin.write(line)
        child.stdin.flush()
        deadline = time.monotonic() + self.timeout_s
        received = b""
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            while not received.endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise UnavailableError(f"no answer within {self.timeout_s:g} s")
                part = os.read(child.stdout.fileno(), 1 << 16)
                if not part:
                    raise UnavailableError(f"it ended with code {child.wait()}")
                received += part
        answer: dict[str, Any] = json.loads(received)
        return answer

    def _stop(self) -> None:
        """Kill and reap the child, and close its pipes."""
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue  # what was buffered has no reader any more


def answer_requests(handle: Callable[[dict[str, Any], dict[str, pa.Table]], dict[str, Any]]) -> None:
    """Answer each line of standard input until it ends; the child's side.

    What libraries print goes to standard error, so that it cannot be taken for an answer.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in sys.stdin:
        request = json.loads(line)
        try:
            tables = {name: _read(path) for name, path in request.pop("tables").items()}
            answer = handle(request, tables)
        except Exception as error:  # noqa: BLE001 - the process's edge: the parent is told
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _write(table: pa.Table, path: Path) -> str:
    """Write a table as an Arrow IPC file and return its path."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return str(path)


def _read(path: str) -> pa.Table:
    """Read a table written by the parent; copied, since the parent removes the file."""
    with pa.OSFile(path, "rb") as source:
        return pa.ipc.open_file(source).read_all()
