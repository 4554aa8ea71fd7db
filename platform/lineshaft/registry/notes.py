"""Heads of chains, noted in files beside the artifacts: what only changes the database cannot hide from them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from lineshaft.errors import CorruptError
from lineshaft.registry.records import Head


@dataclass(frozen=True, slots=True)
class HeadNotes:
    """Files under `root`, one a model; each line is the length of the chain and the digest it then ended with."""

    root: Path

    @classmethod
    def beside(cls, artifacts: Path) -> HeadNotes:
        """Return the notes that lie beside the models' files: of models and of the catalogue alike."""
        return cls(artifacts / "heads")

    def note(self, model: str, head: Head) -> None:
        """Add a head, on disk when this returns; several processes may."""
        path = self._path(model)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as file:
            file.write(f"{head.length} {head.digest}\n".encode())
            os.fsync(file.fileno())

    def read(self, model: str) -> list[Head]:
        """Return what was noted, in the order of the chain; a last line cut off by a crash is left out.

        Raises `CorruptError` where a line is none of ours.
        """
        path = self._path(model)
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        heads = []
        for position, line in enumerate(lines):
            length, _, digest = line.decode(errors="replace").strip().partition(" ")
            if position == len(lines) - 1 and not line.endswith(b"\n"):
                break
            if not length.isdigit() or not int(length) or len(digest) != 64:
                raise CorruptError(f"line {position + 1} is no note of a head", where=str(path), fix="restore the file")
            heads.append(Head(length=int(length), digest=digest))
        return sorted(heads, key=lambda head: head.length)

    def _path(self, model: str) -> Path:
        return self.root / quote(model, safe="")
