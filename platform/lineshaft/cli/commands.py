"""Every command: importing a module of commands registers them with the root."""

from __future__ import annotations

from lineshaft.cli import data, demo, drill, models, repo, serve, up, verify, web
from lineshaft.cli.app import app

__all__ = ["app", "data", "demo", "drill", "models", "repo", "serve", "up", "verify", "web"]
