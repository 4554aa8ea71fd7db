"""Two registries that are asked the same through MLflow's own client: its server over its SQL store, and ours.

Versions are named by MLflow's numbers: ours go on where a deleted name is used again, so they are shifted.
"""

from __future__ import annotations

import os
import re
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class World:
    """What both registries hold, and the shifts of ours; `sealed` names had a version some time."""

    alive: dict[str, set[int]] = field(default_factory=dict)
    ever: Counter[str] = field(default_factory=Counter)
    shift: Counter[str] = field(default_factory=Counter)
    sealed: set[str] = field(default_factory=set)
    sources: dict[str, str] = field(default_factory=dict)  # ours to theirs

    def has(self, name: str, version: Any) -> bool:
        """Tell whether there is a version, named as a client may name it."""
        try:
            return int(version) in self.alive.get(name, ())
        except ValueError:
            return False

    def deleted(self, name: str) -> None:
        """Note that a model is gone: our numbers go on from there."""
        self.shift[name] += self.ever.pop(name, 0)
        del self.alive[name]


@dataclass
class Side:
    """One registry, asked in MLflow's numbers."""

    client: Any
    world: World
    ours: bool

    def number(self, name: str, version: str) -> str:
        """Return what this side calls a version."""
        try:
            return str(int(version) + self.world.shift[name]) if self.ours else version
        except ValueError:
            return version

    def source(self, name: str, version: str) -> str:
        """Return the URI of a version."""
        found = f"models:/{name}/{self.number(name, version)}"
        if self.world.has(name, version):  # a number of before the name was used again means another version
            self.world.sources[found] = f"models:/{name}/{int(version)}"
        return found

    def filtered(self, name: str, told: str) -> str:
        """Return a filter with the numbers of this side."""
        return re.sub(r"#(\d+)", lambda found: self.number(name, found[1]), told)

    def plain(self, found: Any, *, searched: bool = False) -> Any:
        """Return an answer as plain values, in MLflow's numbers, times left out but for their order."""
        if isinstance(found, list):
            return [self.plain(one, searched=searched) for one in found]
        kind = type(found).__name__
        if kind not in {"ModelVersion", "RegisteredModel"}:
            return found
        same = {"name": found.name, "description": found.description or "", "tags": dict(found.tags)}
        same["fresh"] = found.creation_timestamp == found.last_updated_timestamp
        if kind == "RegisteredModel":
            aliases = {alias: self.theirs(found.name, number) for alias, number in found.aliases.items()}
            latest = [(one.name, self.theirs(one.name, one.version)) for one in found.latest_versions]
            return {**same, "aliases": aliases, "latest": latest}
        if not searched:
            same["aliases"] = sorted(found.aliases)
        source = self.world.sources.get(found.source, found.source) if self.ours else found.source
        rest = {
            name: getattr(found, name) or "" for name in ("current_stage", "run_id", "run_link", "status", "user_id")
        }
        return {**same, **rest, "version": self.theirs(found.name, found.version), "source": source}

    def theirs(self, name: str, version: str) -> int:
        """Return MLflow's number of a version of this side."""
        return int(version) - (self.world.shift[name] if self.ours else 0)


def mlflow_server(folder: str) -> str:
    """Start MLflow's own server over its SQL store in a thread; return its address."""
    settings = {
        "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{folder}/m.db",
        "_MLFLOW_SERVER_REGISTRY_STORE": f"sqlite:///{folder}/m.db",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": folder,
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_ALLOWED_HOST_ADDRESSED_ARTIFACT_SCHEMES": "http",  # sources are on our server, for both
    }
    os.environ.update(settings)  # noqa: TID251 - MLflow's settings, in a process of its own
    from mlflow.server import app
    from sqlalchemy import Engine, event
    from werkzeug.serving import WSGIRequestHandler, make_server

    def unhurried(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA synchronous=OFF")  # what a power cut would leave is not compared

    event.listen(Engine, "connect", unhurried)

    class Quiet(WSGIRequestHandler):  # type: ignore[misc]
        """Log no request."""

        protocol_version = "HTTP/1.1"

        def log(self, kind: str, message: str, *args: object) -> None:
            """Say nothing."""

    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def logged(address: str, tracking: str, folder: str) -> dict[str, str]:
    """Log a model to our server in two runs, by MLflow's own means; return its folders by run."""
    import mlflow
    import numpy as np
    import xgboost

    rows = np.random.default_rng(7).normal(size=(40, 2))
    booster = xgboost.train({"nthread": 1}, xgboost.DMatrix(rows, rows[:, 0], feature_names=["a", "b"]), 2)
    mlflow.xgboost.save_model(booster, f"{folder}/model", model_format="ubj")
    client = mlflow.MlflowClient(tracking_uri=tracking)
    experiment = client.create_experiment("e", f"{address}/api/2.0/mlflow-artifacts/artifacts/incoming")
    found = {}
    for _ in range(2):
        run = client.create_run(experiment)
        client.log_artifacts(run.info.run_id, f"{folder}/model", "model")
        found[run.info.run_id] = f"{run.info.artifact_uri}/model"
    return found
