"""What checkpoints found, kept as JSON files that the admin page reads."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lineshaft.errors import InputError


@dataclass(frozen=True, slots=True)
class ResultFolder:
    """Results under `root/<kind>/<subject>/<time>-<id>.json`; writing one again replaces it."""

    root: Path

    def write(self, kind: str, subject: str, *, at_us: int, ident: str, content: dict[str, Any]) -> Path:
        """Store one result; NaN and infinity become null, because JSON has neither."""
        folder = self._folder(kind, subject)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{at_us:020d}-{_safe(ident)}.json"
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(json_ready(content), sort_keys=True, allow_nan=False), encoding="utf-8")
        partial.replace(path)
        return path

    def newest(self, kind: str, subject: str, *, count: int = 20) -> list[dict[str, Any]]:
        """Return the newest results of a subject, newest first."""
        paths = sorted(self._folder(kind, subject).glob("*.json"), reverse=True)[:count]
        return [json.loads(path.read_text(encoding="utf-8")) for path in paths]

    def subjects(self, kind: str) -> list[str]:
        """Return what there are results of."""
        folder = self.root / _safe(kind)
        return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []

    def _folder(self, kind: str, subject: str) -> Path:
        return self.root / _safe(kind) / _safe(subject)


def _safe(name: str) -> str:
    """Refuse names that would leave the folder.

    >>> _safe("bearing_failure@1")
    'bearing_failure@1'
    """
    if not re.fullmatch(r"[A-Za-z0-9_@.\-]{1,200}", name) or name.startswith("."):
        raise InputError(f"{name!r} is no name of a result", fix="use letters, digits, _ @ . -")
    return name


def json_ready(value: Any) -> Any:
    """Replace NaN and infinities by null, all the way down."""
    if isinstance(value, dict):
        return {key: json_ready(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [json_ready(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
