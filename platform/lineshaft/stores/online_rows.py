"""What every online store does alike with packed rows: check a batch, sum it up, hand it out."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lineshaft.specs import Status, View
from lineshaft.stores.ports import Found
from lineshaft.tiles.packed_keys import KeyCodec
from lineshaft.tiles.packing import RowCodec

PREFIX_WIDTH = 8


def prefix_of(project: str, ref: str) -> bytes:
    """Return the eight characters that the keys of a view begin with: two of its project, six of both.

    Short, because they stand in every key of every entity; of the project first, so that a server's access rules can
    name all that belongs to it (`~Zz*`).

    >>> len(prefix_of("dev", "pumps@1")), prefix_of("dev", "pumps@1")[:2] == prefix_of("dev", "fans@1")[:2]
    (8, True)
    """
    own, both = (urlsafe_b64encode(hashlib.sha256(text.encode()).digest()) for text in (project, f"{project}/{ref}"))
    return own[:2] + both[: PREFIX_WIDTH - 2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """Some rows as keys and values; `cells` holds the values (n x bytes) where keys and values are of one width."""

    keys: list[bytes]
    values: list[bytes]
    cells: NDArray[np.uint8] | None = None

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """Return key and value of each row."""
        values = self.values if self.cells is None else [row.tobytes() for row in self.cells]
        return zip(self.keys, values, strict=True)


class ViewCodec:
    """The two codecs of a view and its reference; made once."""

    def __init__(self, view: View) -> None:
        self.ref = view.ref
        self._prefixes: dict[str, bytes] = {}
        self.rows = RowCodec(view)
        self.keys = KeyCodec(view)

    def prefix(self, project: str) -> bytes:
        """Return `prefix_of` this view, worked out once."""
        known = self._prefixes.get(project)
        if known is None:
            known = self._prefixes[project] = prefix_of(project, self.ref)
        return known

    def pack(self, rows: pa.Table, *, batch: int) -> Iterator[Packed]:
        """Yield `batch` rows at a time; packed in larger pieces, which costs less a row.

        Rows of one entity keep their order; otherwise those whose keys are equally long come together.
        """
        piece = batch * 8
        for start in range(0, rows.num_rows, piece):
            part = rows.slice(start, piece)
            keys = self.keys.encode(part)
            if self.rows.has_tail:
                values = self.rows.encode(part)
                for at in range(0, len(keys), batch):
                    yield Packed(keys=keys[at : at + batch], values=values[at : at + batch])
                continue
            cells, widths = self.rows.matrix(part), np.array(list(map(len, keys)))
            for width in np.unique(widths).tolist():
                alike = np.flatnonzero(widths == width)
                for at in range(0, len(alike), batch):
                    these = alike[at : at + batch]
                    yield Packed(keys=[keys[i] for i in these.tolist()], values=[], cells=cells[these])

    def unpack(self, values: Sequence[bytes | None], features: Sequence[str]) -> Found:
        """Return the answer to one view of a request."""
        unpacked = self.rows.decode(values, features)
        return Found(rows=unpacked.sheet, status=unpacked.status)

    def found(self, rows: NDArray[np.uint8], status: NDArray[np.int8], features: Sequence[str]) -> Found:
        """Return the answer from rows that are checked already (n x bytes), of a view whose rows have no tail."""
        unpacked = self.rows.cut(rows, status, features)
        return Found(rows=unpacked.sheet, status=unpacked.status)

    def table(self, keys: Sequence[bytes], values: Sequence[bytes | None]) -> tuple[pa.Table, int]:
        """Return whole rows with their join keys, and how many were left out as unreadable."""
        unpacked = self.rows.decode(values)
        columns = {name: column for part in (self.keys.decode(keys), unpacked.rows) for name, column in _columns(part)}
        whole = unpacked.status == Status.PRESENT
        return pa.table(columns).filter(pa.array(whole)), int((~whole).sum())


_CODECS: OrderedDict[int, tuple[View, ViewCodec]] = OrderedDict()
_MOST = 4096


def codec_of(view: View) -> ViewCodec:
    """Return the codecs of a view, prepared once for each view object.

    Looked up by identity: hashing a view of 60 features costs more than reading its row. The entry holds the view, so
    its identity cannot be taken over by another.
    """
    entry = _CODECS.get(id(view))
    if entry is None:
        entry = view, ViewCodec(view)
        _CODECS[id(view)] = entry
        while len(_CODECS) > _MOST:
            _CODECS.popitem(last=False)
    return entry[1]


def digest_of(entries: Iterable[tuple[bytes, bytes]]) -> str:
    """Return a hash over (entity key, value) pairs, whatever their order.

    The SHA-256 of each pair, summed modulo 2^256: unlike XOR, a pair that is there twice does not vanish.

    >>> digest_of([(b"a", b"1"), (b"b", b"2")]) == digest_of([(b"b", b"2"), (b"a", b"1")])
    True
    """
    total = 0
    for key, value in entries:
        one = hashlib.sha256(len(key).to_bytes(4, "big") + key + value).digest()
        total += int.from_bytes(one, "big")
    return f"{total % (1 << 256):064x}"


def _columns(table: pa.Table) -> Iterator[tuple[str, pa.ChunkedArray]]:
    return zip(table.column_names, table.columns, strict=True)
