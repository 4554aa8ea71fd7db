"""Rows last read, kept in a folder: what a process that starts while the server is away can still answer with.

One file a view and process, replaced whole. Values are packed rows with their own checksums, so that a file of an
older version of a view, or a damaged one, gives nothing rather than something wrong.
"""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lineshaft.tiles.packing import TIMES

_LOG = logging.getLogger(__name__)
_MOST_BYTES = 256 << 20


class KnownRows:
    """The files of one project; `owner` names this process among those that share the folder.

    A view of more than `most_bytes` is not kept.
    """

    def __init__(self, folder: Path, *, owner: str = "0", most_bytes: int = _MOST_BYTES) -> None:
        self._folder = folder
        self._owner = owner
        self._most_bytes = most_bytes

    def save(self, prefix: bytes, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Replace what this process kept of a view; a disk that is full or read-only is logged, no more."""
        if sum(map(len, values)) > self._most_bytes:
            _LOG.warning("rows of %s are not kept on disk: more than %d bytes", prefix.decode(), self._most_bytes)
            return
        path = self._folder / f"{prefix.decode()}.{self._owner}.npz"
        torn = path.with_suffix(".tmp")
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with torn.open("wb") as file:
                np.savez(
                    file,
                    keys=_joined(keys),
                    key_ends=_ends(keys),
                    values=_joined(values),
                    value_ends=_ends(values),
                )
            torn.replace(path)
        except OSError as error:
            _LOG.warning("rows last read cannot be kept on disk: %s", error)

    def load(self, prefix: bytes) -> tuple[list[bytes], list[bytes]]:
        """Return keys and values of a view, whoever kept them: of each key the newest row."""
        newest: dict[bytes, bytes] = {}
        for path in sorted(self._folder.glob(f"{prefix.decode()}.*.npz")):
            try:
                with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
                    keys, values = _cut(held["keys"], held["key_ends"]), _cut(held["values"], held["value_ends"])
            except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
                _LOG.warning("%s cannot be read and is left out: %s", path, error)
                continue
            for key, value in zip(keys, values, strict=False):
                if key not in newest or newest[key][TIMES] < value[TIMES]:
                    newest[key] = value
        return list(newest), list(newest.values())


def _joined(parts: Sequence[bytes]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(parts), np.uint8)


def _ends(parts: Sequence[bytes]) -> NDArray[np.int64]:
    return np.cumsum([0, *map(len, parts)], dtype=np.int64)


def _cut(joined: NDArray[np.uint8], ends: NDArray[np.int64]) -> list[bytes]:
    whole = joined.tobytes()
    return [whole[start:end] for start, end in pairwise(ends.tolist())]
