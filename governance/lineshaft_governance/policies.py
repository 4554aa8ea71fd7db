"""Policies as data: what a model must show to be promoted, and what counts as drift."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import yaml

from lineshaft.errors import DefinitionError
from lineshaft.models.gate import GatePolicy
from lineshaft_governance.drift import DriftPolicy


def promotion_policy(path: Path, task: str) -> GatePolicy:
    """Read the gate of a task ("binary", "regression", "rul"); its hash goes into every verdict."""
    content = _read(path)
    if task not in content:
        raise DefinitionError(f"no gate for task {task!r}", where=str(path), fix="add one")
    try:
        return GatePolicy(**content[task], sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    except TypeError as error:
        raise DefinitionError(f"cannot read the gate of {task!r}", where=str(path), fix=str(error)) from error


def drift_policy(path: Path) -> DriftPolicy:
    """Read what counts as drift."""
    try:
        return DriftPolicy(**_read(path))
    except TypeError as error:
        raise DefinitionError("cannot read the drift policy", where=str(path), fix=str(error)) from error


def _read(path: Path) -> dict[str, Any]:
    """Read a YAML mapping."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise DefinitionError(f"cannot read a policy: {error}", where=str(path), fix="mend or restore it") from error
    if not isinstance(content, dict):
        raise DefinitionError("a policy is a mapping", where=str(path))
    return content
