"""Where a stream goes on: its last savepoint, or after a crash its last checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

_NAME = "resume.json"


def remember_savepoint(work: Path, savepoint: str) -> None:
    """Note that the stream of this folder was stopped here."""
    hidden = work / f".{_NAME}"
    hidden.write_text(json.dumps({"savepoint": savepoint}), encoding="utf-8")
    hidden.rename(work / _NAME)


def resume_point(work: Path) -> str:
    """Return the newest of savepoint and complete checkpoints; empty where there is none."""
    note = work / _NAME
    points = [path.parent for path in (work / "checkpoints").glob("*/chk-*/_metadata")]
    newest = max(points, key=lambda point: (point / "_metadata").stat().st_mtime, default=None)
    if note.exists() and (newest is None or note.stat().st_mtime >= (newest / "_metadata").stat().st_mtime):
        return str(json.loads(note.read_text(encoding="utf-8"))["savepoint"])
    return str(newest) if newest is not None else ""
