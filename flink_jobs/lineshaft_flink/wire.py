"""Blocks on Kafka: one block a record, in a compact binary form.

Key of the record: the asset. Timestamp of the record: `known_us` in milliseconds (the job's clock). Value: a fixed head
of 64 bytes, the texts, then the payload as it is. A block of 1,000 float32 samples takes 4,080 bytes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from lineshaft.specs import BLOCK_SCHEMA

_HEAD = struct.Struct("<4sHHHHqqqddd")
_MAGIC = b"LSB1"


def pack_block(block: dict[str, Any]) -> bytes:
    """Pack one block (a record of BLOCK_SCHEMA).

    >>> block = dict(asset_id="p1", position="de", start_us=1, known_us=2, sequence=0, rate_hz=10.0, dtype="f4",
    ...              payload=b"12345678", shaft_hz=None, bearing=None, full_scale=None)
    >>> unpack_block(pack_block(block)) == block
    True
    """
    texts = [str(block[name] or "").encode() for name in ("asset_id", "position", "dtype", "bearing")]
    numbers = [math.nan if block[name] is None else block[name] for name in ("shaft_hz", "full_scale")]
    times = [block[name] for name in ("start_us", "known_us", "sequence")]
    head = _HEAD.pack(_MAGIC, *(len(text) for text in texts), *times, block["rate_hz"], *numbers)
    return b"".join([head, *texts, block["payload"]])


def unpack_block(packed: bytes) -> dict[str, Any] | None:
    """Unpack `pack_block`; None for bytes that are no block."""
    try:
        magic, *sizes, start, known, sequence, rate, shaft, scale = _HEAD.unpack_from(packed)
        if magic != _MAGIC:
            return None
        at, texts = _HEAD.size, []
        for size in sizes:
            texts.append(packed[at : at + size].decode())
            at += size
    except (struct.error, UnicodeDecodeError):
        return None
    return {
        "asset_id": texts[0],
        "position": texts[1],
        "start_us": start,
        "known_us": known,
        "sequence": sequence,
        "rate_hz": rate,
        "dtype": texts[2],
        "payload": packed[at:],
        "shaft_hz": None if math.isnan(shaft) else shaft,
        "bearing": texts[3] or None,
        "full_scale": None if math.isnan(scale) else scale,
    }


_UNREADABLE: dict[str, Any] = {
    **dict.fromkeys(BLOCK_SCHEMA.names),
    "asset_id": "unreadable record",
    "payload": b"",
    "dtype": "unreadable",
}


def unpack_blocks(values: Iterable[bytes | None]) -> pa.Table:
    """Return records as a table; one that is no block becomes a row that validation rejects."""
    records = [(unpack_block(bytes(value)) if value is not None else None) or _UNREADABLE for value in values]
    fields = [pa.field(field.name, field.type) for field in BLOCK_SCHEMA]
    return pa.Table.from_pylist(records, schema=pa.schema(fields))
