"""Model files, named by their content: what is loaded is what was registered, or it is refused."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from lineshaft.boosters.document import read_document
from lineshaft.boosters.ubjson import MAX_BYTES
from lineshaft.errors import CorruptError, EnvironmentFault, InputError, NotFoundError


def _check_booster(content: bytes, artifact_format: str) -> None:
    """Refuse what is no document, and a booster that is not sound; another document is data that no scorer loads."""
    if "learner" in read_document(content, artifact_format):
        # Whoever only reads artifacts does not hold what checks one that comes in.
        from lineshaft.boosters.forest import read_forest

        read_forest(content, artifact_format=artifact_format)


FORMATS: Mapping[str, Callable[[bytes, str], None]] = {"ubj": _check_booster, "json": _check_booster}
"""Formats that hold data only, and what reads them first. A pickle can run code when it is read, so none is taken."""


@dataclass(frozen=True, slots=True)
class ArtifactStore:
    """Files under `root`, each at `<first two hex digits>/<sha256>.<format>`, of the formats that are taken there."""

    root: Path
    formats: Mapping[str, Callable[[bytes, str], None]] = field(default_factory=lambda: FORMATS)

    def put(self, content: bytes, *, artifact_format: str) -> str:
        """Store bytes and return their sha256; storing the same bytes twice is one file.

        Raises
        ------
        InputError
            If the format is not one that holds data only, or the bytes are not sound in it, or too many.
        CorruptError
            If the folder they belong in is a link to somewhere else.
        EnvironmentFault
            If they cannot be written, as on a disk that is full; nothing of them stays.
        """
        if artifact_format not in self.formats:
            fix = "save the model with save_raw('ubj') or save_raw('json')"
            raise InputError(f"artifacts of format {artifact_format!r} are not taken", fix=fix)
        self.formats[artifact_format](content, artifact_format)
        if len(content) > MAX_BYTES:
            what = f"a file of {len(content):,} bytes is too large: {MAX_BYTES:,} is the most"
            raise InputError(what, fix="keep it elsewhere, and its address and SHA-256 here")
        digest = hashlib.sha256(content).hexdigest()
        path = self._path(digest, artifact_format)
        try:
            with suppress(FileExistsError):
                path.parent.mkdir(parents=True, exist_ok=True)
            os.close(_opened(path.parent))
            try:
                self.get(digest, artifact_format=artifact_format)
            except (NotFoundError, CorruptError):  # what lies there under this name is none of it, and makes way
                _write(content, path)
        except OSError as error:
            what = f"a file of {len(content):,} bytes cannot be kept: {error.strerror}"
            raise EnvironmentFault(what, where=str(path.parent), fix="make room, or mend the folder") from error
        return digest

    def get(self, digest: str, *, artifact_format: str) -> bytes:
        """Return the bytes with this sha256.

        Raises
        ------
        NotFoundError
            If there is no such file.
        CorruptError
            If what is there is no file of the store's own, or no longer has the content it is named by.
        """
        path = self._path(digest, artifact_format)
        content = _read(path)
        if content is None:
            raise NotFoundError(
                f"no artifact {digest[:12]}….{artifact_format}", where=str(path), fix="register it again"
            )
        if hashlib.sha256(content).hexdigest() != digest:
            raise CorruptError(
                f"artifact {digest[:12]}… was altered after it was registered",
                where=str(path),
                fix="restore the file from a backup, or promote another version",
            )
        return content

    def _path(self, digest: str, artifact_format: str) -> Path:
        """Return where a digest lives; refuse names that are no digests."""
        if len(digest) != 64 or set(digest) - set("0123456789abcdef") or artifact_format not in self.formats:
            raise InputError(f"{digest!r}.{artifact_format!r} names no artifact")
        return self.root / digest[:2] / f"{digest}.{artifact_format}"


def _write(content: bytes, path: Path) -> None:
    """Write a file beside its place, then put it there: a reader sees all of it or nothing."""
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            Path(name).replace(path)
        except OSError as error:
            raise _foreign(path, "cannot be replaced") from error
    except BaseException:
        Path(name).unlink()
        raise


def _read(path: Path) -> bytes | None:
    """Return the bytes of a plain file in a plain folder, None where there is none; links lead outside the store."""
    try:
        folder = _opened(path.parent)
    except FileNotFoundError:
        return None
    try:
        # Without waiting: whoever opens a pipe waits for somebody to write into it.
        handle = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _foreign(path, "is a link") from error
    finally:
        os.close(folder)
    told = os.fstat(handle)
    if not stat.S_ISREG(told.st_mode) or told.st_size > MAX_BYTES:
        os.close(handle)
        raise _foreign(path, f"is no file of at most {MAX_BYTES} bytes")
    with os.fdopen(handle, "rb") as file:
        return file.read(MAX_BYTES + 1)


def _opened(folder: Path) -> int:
    """Open a folder that is no link."""
    try:
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _foreign(folder, "is a link, or no folder") from error


def _foreign(path: Path, why: str) -> CorruptError:
    return CorruptError(
        f"{path.name[:12]}… {why}", where=str(path), fix="find out who put it into the artifacts' folder"
    )
