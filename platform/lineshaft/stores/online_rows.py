"""What every online store does alike with packed rows: check a batch, sum it up, hand it out."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote

import pyarrow as pa

from lineshaft.specs import Status, View
from lineshaft.stores.ports import Found
from lineshaft.tiles.packed_keys import KeyCodec
from lineshaft.tiles.packing import RowCodec


class ViewCodec:
    """The two codecs of a view, its reference, and that as it stands in a key; made once."""

    def __init__(self, view: View) -> None:
        self.ref = view.ref
        self.quoted = f"/{quote(view.ref, safe='@')}/".encode()
        self.rows = RowCodec(view)
        self.keys = KeyCodec(view)

    def pack(self, rows: pa.Table, *, batch: int) -> Iterator[tuple[list[bytes], list[bytes]]]:
        """Yield keys and values of `batch` rows at a time; packed in larger pieces, which costs less a row."""
        piece = batch * 8
        for start in range(0, rows.num_rows, piece):
            part = rows.slice(start, piece)
            keys, values = self.keys.encode(part), self.rows.encode(part)
            for at in range(0, len(keys), batch):
                yield keys[at : at + batch], values[at : at + batch]

    def unpack(self, values: Sequence[bytes | None], features: Sequence[str]) -> Found:
        """Return the answer to one view of a request."""
        unpacked = self.rows.decode(values, features)
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
