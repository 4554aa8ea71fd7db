"""A worker's own side: answer questions that come by a socket, one after another, and end when none came for long.

A module whose main calls `answer_requests` is started by `lineshaft_governance.worker`, which hands it a socket that
listens already: questions may wait in it before the module is imported, and none is lost while it goes.
"""

from __future__ import annotations

import faulthandler
import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

Handle = Callable[[dict[str, Any], dict[str, pa.Table]], dict[str, Any]]

READ_S = 10.0
"""How long a question may take to arrive once somebody has connected."""


def answer_requests(handle: Handle) -> None:
    """Answer each connection's one line until none comes for as long as the command line says, or until told to end.

    What libraries print goes to the log, which is gone after an end in peace. A question that takes longer than its
    sender waits ends the process: what hangs cannot be asked to stop.
    """
    descriptor, idle_s = int(sys.argv[1]), float(sys.argv[2])
    with socket.socket(fileno=descriptor) as listener:
        path = Path(listener.getsockname())
        listener.settimeout(idle_s)
        while (connection := _next(listener)) is not None:
            if not _answered(connection, handle):
                break
        path.unlink(missing_ok=True)  # from here on nobody else can connect: those who have are answered still
        listener.settimeout(0)
        while (connection := _next(listener)) is not None:
            _answered(connection, handle)
    path.with_suffix(".log").unlink(missing_ok=True)


def _next(listener: socket.socket) -> socket.socket | None:
    """Return the next connection, None where none comes in time."""
    try:
        return listener.accept()[0]
    except (TimeoutError, BlockingIOError):
        return None


def _answered(connection: socket.socket, handle: Handle) -> bool:
    """Answer one connection; return whether to go on."""
    with connection:
        connection.settimeout(READ_S)
        try:
            with connection.makefile("rb") as received:
                line = received.readline()
            if not line.endswith(b"\n"):
                return True  # it went away
            request = json.loads(line)
            if "end" in request:
                return False
            connection.settimeout(None)
            connection.sendall(json.dumps(_answer(request, handle)).encode() + b"\n")
        except OSError:
            return True  # nobody waits for it any more
    return True


def _answer(request: dict[str, Any], handle: Handle) -> dict[str, Any]:
    """Return the answer to one question, or what went wrong with it."""
    if "who" in request:
        return {"pid": os.getpid()}
    faulthandler.dump_traceback_later(request.pop("within_s"), exit=True)
    try:
        tables = {name: _read(path) for name, path in request.pop("tables").items()}
        return handle(request, tables)
    except Exception as error:  # noqa: BLE001 - the process's edge: who asked is told
        return {"error": f"{type(error).__name__}: {error}"}
    finally:
        faulthandler.cancel_dump_traceback_later()


def _read(path: str) -> pa.Table:
    """Read a table written by who asks; copied, since the file is removed."""
    with pa.OSFile(path, "rb") as source:
        return pa.ipc.open_file(source).read_all()
