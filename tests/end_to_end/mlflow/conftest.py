"""A server that answers MLflow's client, and an environment of MLflow's own, apart from ours."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lineshaft.clock import SystemClock
from lineshaft.interop.mlflow_files import Incoming
from lineshaft.interop.mlflow_http import mlflow_http
from lineshaft.interop.mlflow_registry import MlflowRegistry
from lineshaft.registry.annotations import Annotations
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.models import open_registry
from lineshaft.registry.records import Assignment, Slot, Verdict
from lineshaft.serving.door import Door
from lineshaft.serving.server import Limits
from lineshaft.specs import Service, ServiceView

# Run by Python of an environment of its own, never imported here.
collect_ignore = ["differential.py", "registry_sides.py", "usual_flow.py"]
SERVICE = Service(
    name="pumps", views=(ServiceView(view="pump", version="1" * 12, features=("rms", "age")),), team="vibration"
)
ROOT = Path(__file__).resolve().parents[3]


def environment(lock: Path) -> Path:
    """Return the Python of an environment that holds exactly what a lock names; it is made once and kept."""
    digest = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:12]
    home = ROOT / ".cache" / f"{lock.parent.name}-{digest}"
    python, ready = home / "bin" / "python", home / "ready"
    if not ready.exists():
        uv = [str(Path(sys.executable).parent / "uv")]
        subprocess.run([*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(home)], check=True)
        install = [*uv, "pip", "install", "--quiet", "--require-hashes", "--no-deps", "--python", str(python)]
        subprocess.run([*install, "-r", str(lock)], check=True)
        ready.touch()
    return python


@pytest.fixture(scope="session")
def mlflow_python() -> Path:
    """Return a Python that has MLflow; never ours, whose lock it does not fit."""
    return environment(Path(__file__).parent / "environment.lock")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[MlflowRegistry]:
    """Return a registry of its own, where every version passes the gate."""
    url = f"sqlite:///{tmp_path / 'registry.db'}"
    upgrade(url)
    models = open_registry(database_url=url, artifacts=tmp_path / "artifacts", clock=SystemClock())

    def assign(model: str, number: int, slot: Slot, *, actor: str, reason: str) -> Assignment:
        models.judge(model, number, Verdict(gate="g", outcome="pass", detail=""), actor=actor)
        return models.promote(model, number, environment="dev", slot=slot, actor=actor, reason=reason)

    yield MlflowRegistry(
        annotations=Annotations(registry=models, environment="dev"),
        incoming=Incoming(tmp_path / "incoming"),
        assign=assign,
        service=lambda name: {"pumps": SERVICE}[name],
    )
    models.engine.dispose()


@pytest.fixture
def address(registry: MlflowRegistry) -> Iterator[str]:
    """Return where the registry answers."""
    with mlflow_http(registry, "127.0.0.1:0", limits=Limits(), door=Door()) as bound:
        yield f"http://{bound}"


@pytest.fixture
def run(mlflow_python: Path) -> Callable[..., dict[str, Any]]:
    """Return what runs a script of this folder where MLflow is, and returns the JSON of its last line."""

    def run_in(script: str, *arguments: str, timeout_s: float = 240) -> dict[str, Any]:
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # noqa: TID251 - a child's
        environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "GIT_PYTHON_REFRESH": "quiet"}
        environ |= {"MLFLOW_LOGGING_LEVEL": "ERROR"}
        command = [str(mlflow_python), "-W", "ignore", str(Path(__file__).parent / script), *arguments]
        # What is said on the way is shown: by -s at once, by a failure in the end.
        done = subprocess.run(command, env=environ, stdout=subprocess.PIPE, text=True, timeout=timeout_s, check=False)
        assert done.returncode == 0, done.stdout[-3000:]
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    return run_in
