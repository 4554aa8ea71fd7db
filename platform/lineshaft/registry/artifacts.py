"""Model files, named by their content: what is loaded is what was registered, or it is refused."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lineshaft.errors import CorruptError, InputError, NotFoundError

FORMATS = frozenset({"ubj", "json"})
"""Formats that hold data only. A pickle can run code when it is read, so none is taken."""


@dataclass(frozen=True, slots=True)
class ArtifactStore:
    """Files under `root`, each at `<first two hex digits>/<sha256>.<format>`."""

    root: Path

    def put(self, content: bytes, *, artifact_format: str) -> str:
        """Store bytes and return their sha256; storing the same bytes twice is one file.

        Raises
        ------
        InputError
            If the format is not one that holds data only, or the bytes are not of that format.
        """
        _refuse_foreign(content, artifact_format)
        digest = hashlib.sha256(content).hexdigest()
        path = self._path(digest, artifact_format)
        if path.exists():
            return digest
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)  # a reader sees all of it or nothing
        return digest

    def get(self, digest: str, *, artifact_format: str) -> bytes:
        """Return the bytes with this sha256.

        Raises
        ------
        NotFoundError
            If there is no such file.
        CorruptError
            If the file no longer has the content it is named by.
        """
        path = self._path(digest, artifact_format)
        if not path.exists():
            raise NotFoundError(
                f"no artifact {digest[:12]}….{artifact_format}", where=str(path), fix="register it again"
            )
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise CorruptError(
                f"artifact {digest[:12]}… was altered after it was registered",
                where=str(path),
                fix="restore the file from a backup, or promote another version",
            )
        return content

    def _path(self, digest: str, artifact_format: str) -> Path:
        """Return where a digest lives; refuse names that are no digests."""
        if len(digest) != 64 or set(digest) - set("0123456789abcdef") or artifact_format not in FORMATS:
            raise InputError(f"{digest!r}.{artifact_format!r} names no artifact")
        return self.root / digest[:2] / f"{digest}.{artifact_format}"


def _refuse_foreign(content: bytes, artifact_format: str) -> None:
    """Refuse what is not UBJSON or JSON; both of XGBoost's formats begin with an object."""
    fix = "save the model with save_raw('ubj') or save_raw('json')"
    if artifact_format not in FORMATS:
        raise InputError(f"artifacts of format {artifact_format!r} are not taken", fix=fix)
    if not content.startswith(b"{"):
        raise InputError(f"these bytes are not {artifact_format}", fix=fix)
    if artifact_format == "json":
        try:
            json.loads(content)
        except ValueError as error:
            raise InputError("these bytes are not json", fix=fix) from error
