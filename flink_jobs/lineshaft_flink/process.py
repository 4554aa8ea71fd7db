"""A job's process, seen from outside: start it, hear from it, stop it, and never hang on it."""

from __future__ import annotations

import json
import logging
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from lineshaft.errors import EnvironmentFault, UnavailableError
from lineshaft_flink.java import child_environment

_log = logging.getLogger(__name__)
_LOG_LINES = 25
_PYTHON_ERROR = re.compile(r"[A-Za-z_.]*(Error|Fault|Exception): ")


class JobProcess:
    """One job on the mini-cluster, in a process of its own (a second job in one process is where the traps are)."""

    def __init__(self, job_file: Path, *, logs: Path, heap: str = "1g", isolated: bool = False) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self._log_file = logs / "job.log"
        environment = child_environment(heap=heap, logs=logs)
        if isolated:  # Python workers as processes of their own, as on a cluster
            environment["_python_worker_execution_mode"] = "process"
        with self._log_file.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "lineshaft_flink.driver", str(job_file.resolve())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment,
                cwd=logs,
                start_new_session=True,
            )
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """Return the process id; its group holds the Java machine and the workers too."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Tell whether it still runs."""
        return self._process.poll() is None

    def wait_started(self, timeout_s: float = 180.0) -> str:
        """Wait until Flink has taken the job; return its id.

        Raises `EnvironmentFault` with the last lines of its log where it does not come up.
        """
        return str(self._await("started", timeout_s)["job_id"])

    def wait_ended(self, timeout_s: float) -> bool:
        """Wait up to `timeout_s` for a bounded job to end; tell whether it has.

        Raises `UnavailableError` where it failed.
        """
        try:
            self._await("ended", timeout_s)
        except TimeoutError:
            return False
        return True

    def stop(self, savepoints: Path, *, drain: bool, timeout_s: float = 120.0) -> str:
        """Stop it with a savepoint and return where that lies."""
        savepoints.mkdir(parents=True, exist_ok=True)
        if self._process.stdin is None or not self.alive:
            raise UnavailableError("the job's process is gone", where=str(self._log_file), fix=self._tail())
        self._process.stdin.write(f"{'drain' if drain else 'stop'} {savepoints.resolve()}\n")
        self._process.stdin.flush()
        savepoint = str(self._await("stopped", timeout_s)["savepoint"])
        self._await("ended", timeout_s)
        self.close()
        return savepoint

    def close(self, grace_s: float = 15.0) -> None:
        """End the process and everything it started."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            _log.warning("job process %d does not end; killing it", self.pid)
        kill_group(self.pid)
        self._process.wait()
        self._listener.join(10.0)

    def _await(self, wanted: str, timeout_s: float) -> dict[str, Any]:
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                event = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise TimeoutError(f"the job did not report {wanted!r} within {timeout_s:.0f} s") from None
            if event["event"] == wanted:
                return event
            if event["event"] in ("failed", "gone", "stop_failed"):
                kind = EnvironmentFault if wanted == "started" else UnavailableError
                what = event.get("error", "the job's process ended without a word")
                raise kind(f"the Flink job failed: {_cause(what)}", where=str(self._log_file), fix=self._tail())

    def _listen(self) -> None:
        if self._process.stdout is not None:
            with self._process.stdout as lines:
                for line in lines:
                    self._hear(line)
        self._process.wait()
        self._events.put({"event": "gone"})

    def _hear(self, line: str) -> None:
        try:
            self._events.put(json.loads(line))
        except ValueError:
            _log.debug("job said: %s", line.rstrip())

    def _tail(self) -> str:
        lines = self._log_file.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        return "read its log; last lines:\n" + "\n".join(lines)


def kill_group(pid: int) -> None:
    """Kill what is left of a process group that we started."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _cause(text: str) -> str:
    """Return the line that says why, out of Java's many."""
    lines = [line.strip() for line in text.splitlines() if not line.strip().startswith(("at:", "fix:"))]
    java = [line.removeprefix("Caused by:").strip() for line in lines if line.startswith("Caused by:")]
    python = [line for line in lines[1:] if _PYTHON_ERROR.match(line)]
    return (python or java or lines or ["no reason given"])[-1][:600]
