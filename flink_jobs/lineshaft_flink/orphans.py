"""Python workers that outlive their task manager: found by a mark in their environment, and ended."""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path

from lineshaft_flink.java import MARK

_log = logging.getLogger(__name__)


def marked(folder: Path) -> list[int]:
    """Return the processes of this user that a cluster in `folder` started, and their children (Linux only)."""
    wanted = f"{MARK}={folder.resolve()}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:  # gone meanwhile, or somebody else's
            continue
    return found


def orphaned_workers(folder: Path) -> list[int]:
    """Return Python workers of a cluster whose Java is gone: their parent is init, or a shell whose parent is."""
    return [pid for pid in marked(folder) if _is_worker(pid) and not _has_java_above(pid)]


def kill_marked(folder: Path) -> int:
    """Kill every process that a cluster in `folder` started; return how many there were."""
    return _kill(marked(folder))


def kill_orphans(folder: Path) -> int:
    """Kill the Python workers that a killed task manager left behind; return how many there were."""
    return _kill(orphaned_workers(folder))


def _kill(pids: list[int]) -> int:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
            _log.info("ended process %d, left behind", pid)
        except ProcessLookupError:
            continue
    return len(pids)


def _is_worker(pid: int) -> bool:
    return b"pyflink.fn_execution.beam" in _read(pid, "cmdline")


def _has_java_above(pid: int) -> bool:
    while pid > 1:
        if b"java" in _read(pid, "comm"):
            return True
        status = _read(pid, "status").decode(errors="replace")
        parents = [line.split()[1] for line in status.splitlines() if line.startswith("PPid:")]
        pid = int(parents[0]) if parents else 0
    return False


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
