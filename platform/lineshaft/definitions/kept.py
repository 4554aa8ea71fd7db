"""What the files of a repository declared when they were last imported, kept so that they need not be imported again.

A file is taken from here only if its text, the texts of everything it imports, Python, every package that is installed
and our own readers are those it was kept with, and it is plain (`imports`). Everything after the import is done anew
each time: checks, compilation, comparison. What is kept is sealed by its hash; what is torn or altered is not used.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from lineshaft.definitions import written
from lineshaft.definitions.imports import Imports

_READERS = Path(__file__).parent
_TYPES: dict[str, type[Any]] = {
    kind.__name__: kind for kind in vars(written).values() if isinstance(kind, type) and is_dataclass(kind)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFile:
    """What is known of a text: what it imports; and what it declared, by line, with what it rested on then."""

    sha256: str  # of the text
    imports: Imports
    rests_on: str = ""  # of the texts of all that it rests on, itself among them; empty: not kept
    declared: tuple[tuple[int, written.Written], ...] = ()


@dataclass(frozen=True, slots=True)
class KeptDefinitions:
    """A file in `folder` for each repository; several processes may write it, and one of them wins."""

    folder: Path

    def load(self, root: Path) -> dict[str, KeptFile]:
        """Return what is kept of a repository, by file; nothing where it is not what this program would have kept."""
        try:
            seal, _, text = self._path(root).read_text(encoding="utf-8").partition("\n")
            if seal != _seal(text):
                return {}
            return {name: _file(raw) for name, raw in json.loads(text).items()}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def save(self, root: Path, files: Mapping[str, KeptFile]) -> None:
        """Keep what is known of a repository in place of what was; where the disk refuses, nothing is kept."""
        text = json.dumps({name: _raw(file) for name, file in files.items()})
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, torn = tempfile.mkstemp(dir=self.folder, suffix=".tmp")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(f"{_seal(text)}\n{text}")
            Path(torn).replace(self._path(root))

    def _path(self, root: Path) -> Path:
        return self.folder / f"{hashlib.sha256(str(root).encode()).hexdigest()[:16]}.json"


def to_plain(value: Any) -> Any:
    """Write a value as JSON has it.

    >>> from_plain(to_plain(written.Field(name="mean", dtype="Float64"))).name
    'mean'
    """
    if isinstance(value, timedelta):
        return {"us": value // timedelta(microseconds=1)}
    if is_dataclass(value):
        said = {f.name: to_plain(getattr(value, f.name)) for f in fields(value)}
        return {"is": type(value).__name__, **said}
    if isinstance(value, Mapping):
        return {"of": dict(value)}
    return [to_plain(one) for one in value] if isinstance(value, tuple) else value


def from_plain(raw: Any) -> Any:
    """Read a value back."""
    if isinstance(raw, list):
        return tuple([one if type(one) is str else from_plain(one) for one in raw])
    if not isinstance(raw, dict):
        return raw
    if "is" in raw:
        kind = _TYPES[raw.pop("is")]
        return kind(**{name: one if type(one) is str else from_plain(one) for name, one in raw.items()})
    return raw["of"] if "of" in raw else timedelta(microseconds=raw["us"])


def _raw(file: KeptFile) -> dict[str, Any]:
    return {
        "sha256": file.sha256,
        "modules": file.imports.modules,
        "plain": file.imports.plain,
        "wild": file.imports.wild,
        "rests_on": file.rests_on,
        "declared": [(line, to_plain(value)) for line, value in file.declared],
    }


def _file(raw: Mapping[str, Any]) -> KeptFile:
    modules = tuple((name, tuple(taken)) for name, taken in raw["modules"])
    return KeptFile(
        sha256=raw["sha256"],
        imports=Imports(modules=modules, plain=raw["plain"], wild=raw["wild"]),
        rests_on=raw["rests_on"],
        declared=tuple((line, from_plain(value)) for line, value in raw["declared"]),
    )


def _seal(text: str) -> str:
    return hashlib.sha256(f"{reader_versions()}\n{text}".encode()).hexdigest()


@cache
def reader_versions() -> str:
    """Return what reads a repository: another Python, package or reader of ours may read another thing.

    Packages are told by the names of their folders, which say name and version; none is opened.
    """
    ours = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(_READERS.glob("*.py")))).hexdigest()
    installed = {one.name for folder in sys.path for one in Path(folder or ".").glob("*.dist-info")}
    return f"Python {platform.python_version()}, {ours}, {' '.join(sorted(installed))}"
