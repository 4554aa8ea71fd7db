"""Every command: importing a module of commands registers them with the root."""

from __future__ import annotations

from lineshaft.cli import (
    access,
    alerts,
    data,
    demo,
    doctor,
    drill,
    experiments,
    export,
    models,
    outcomes,
    predict,
    promotion,
    quarantine,
    repo,
    reproduce,
    serve,
    standing,
    up,
    verify,
    watch,
    web,
)
from lineshaft.cli.app import app

__all__ = [
    "access",
    "alerts",
    "app",
    "data",
    "demo",
    "doctor",
    "drill",
    "experiments",
    "export",
    "models",
    "outcomes",
    "predict",
    "promotion",
    "quarantine",
    "repo",
    "reproduce",
    "serve",
    "standing",
    "up",
    "verify",
    "watch",
    "web",
]
