"""A standalone Flink cluster from the wheel, for one machine: the same scripts, settings and faults as a larger one.

Processes run in the foreground and are held here, not by Flink's pid files: those go stale when one is killed.
"""

from __future__ import annotations

import logging
import re
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyflink

from lineshaft.errors import EnvironmentFault, UnavailableError
from lineshaft_flink.java import MARK, child_environment
from lineshaft_flink.orphans import kill_marked
from lineshaft_flink.rest import FlinkRest

_log = logging.getLogger(__name__)
_HOME = Path(pyflink.__file__).parent
PYTHON_JAR = next((_HOME / "opt").glob("flink-python-*.jar"))
"""What `flink run -py` adds by itself, unless a job names jars of its own: then it must name this one too."""


@dataclass(slots=True, kw_only=True)
class StandaloneCluster:
    """One job manager and some task managers, in `folder`. Use it in a `with`; everything it started ends with it."""

    folder: Path
    task_managers: int = 1
    slots: int = 2
    settings: dict[str, str] = field(default_factory=dict)
    rest: FlinkRest = field(init=False)
    _processes: dict[str, subprocess.Popen[bytes]] = field(init=False, default_factory=dict)
    _environment: dict[str, str] = field(init=False, default_factory=dict)

    def start(self, *, timeout_s: float = 180.0) -> Self:
        """Start everything and wait until the task managers have reported.

        Raises `EnvironmentFault` where they do not in time.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        rest_port, rpc_port = _free_ports(2)
        self.rest = FlinkRest(f"http://127.0.0.1:{rest_port}")
        self._environment = child_environment(heap="", logs=self.folder / "log")
        self._environment |= {
            "FLINK_CONF_DIR": str(self._configure(rest_port=rest_port, rpc_port=rpc_port)),
            "FLINK_HOME": str(_HOME),
            MARK: str(self.folder.resolve()),
        }
        self._launch("jobmanager")
        for number in range(self.task_managers):
            self.start_task_manager(number)
        deadline = time.monotonic() + timeout_s
        while self.rest.task_managers() < self.task_managers:
            if time.monotonic() > deadline:
                self.stop()
                raise EnvironmentFault(
                    f"the cluster is not up after {timeout_s:.0f} s",
                    where=str(self.folder / "log"),
                    fix="read its logs",
                )
            time.sleep(0.5)
        return self

    def start_task_manager(self, number: int) -> int:
        """Start a task manager, again if it was killed; return its pid."""
        killed = self._processes.get(f"taskmanager-{number}")
        if killed is not None:
            killed.wait(10.0)
        return self._launch("taskmanager", number)

    def task_manager_pid(self, number: int = 0) -> int:
        """Return the pid of a task manager."""
        return self._processes[f"taskmanager-{number}"].pid

    def submit(self, script: Path, job_file: Path, *, timeout_s: float = 180.0) -> str:
        """Submit a job script with its job file; return the job's id.

        Raises `UnavailableError` with Flink's words where the cluster refuses it.
        """
        command = [
            str(_HOME / "bin" / "flink"),
            "run",
            "-d",
            "-pyclientexec",
            sys.executable,
            "-pyexec",
            sys.executable,
        ]
        command += ["-py", str(script), str(job_file), "--detached"]
        run = subprocess.run(
            command,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
            cwd=self.folder,
        )
        found = re.search(r"JobID ([0-9a-f]{32})", run.stdout)
        if found is None:
            raise UnavailableError(
                f"the cluster did not take the job: {(run.stdout + run.stderr)[-2000:]}",
                where=str(script),
                fix="read above",
            )
        return found.group(1)

    def stop(self) -> None:
        """End all its processes, and the Python workers that outlived a killed task manager."""
        for process in self._processes.values():
            process.terminate()
        for name, process in self._processes.items():
            try:
                process.wait(10.0)
            except subprocess.TimeoutExpired:
                _log.warning("%s does not end; killing it", name)
                process.kill()
                process.wait()
        self._processes.clear()
        kill_marked(self.folder)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self, role: str, number: int = 0) -> int:
        name = role if role == "jobmanager" else f"{role}-{number}"
        log = self.folder / "log" / f"{name}.out"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out:
            self._processes[name] = subprocess.Popen(
                [str(_HOME / "bin" / f"{role}.sh"), "start-foreground"],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self._processes[name].pid

    def _configure(self, *, rest_port: int, rpc_port: int) -> Path:
        """Write the cluster's own copy of Flink's configuration."""
        folder = self.folder / "conf"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(_HOME / "conf", folder)
        settings = {
            "rest.port": str(rest_port),
            "rest.bind-address": "127.0.0.1",
            "jobmanager.rpc.address": "127.0.0.1",
            "jobmanager.rpc.port": str(rpc_port),
            "jobmanager.memory.process.size": "1g",
            "taskmanager.memory.process.size": "1300m",
            "taskmanager.memory.managed.fraction": "0.2",
            "taskmanager.numberOfTaskSlots": str(self.slots),
            "web.refresh-interval": "500",  # the REST interface answers from a cache this old
            # Past this time a job without task managers fails at once: its restarts are used up before one is back.
            "resourcemanager.standalone.start-up-time": "86400000",
            "heartbeat.timeout": "10000",
            "heartbeat.interval": "2000",
            "python.executable": sys.executable,
            "python.client.executable": sys.executable,
            **self.settings,
        }
        config = folder / "config.yaml"
        text = config.read_text(encoding="utf-8")
        opts = next(line.strip() for line in text.splitlines() if line.strip().startswith("all: --add"))
        lines = [
            f"env.java.opts.all: {opts.removeprefix('all: ')}",
            *(f"{name}: {value}" for name, value in settings.items()),
        ]
        config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return folder


def _free_ports(count: int) -> list[int]:
    """Return ports that were free a moment ago."""
    sockets: list[Any] = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
