"""Arrow IPC streams from outside: read only when nothing in them can lie about memory or lead out of it.

Arrow trusts what it reads: offsets that point past a buffer are followed when somebody looks at the values, a column of
nulls may claim any number of rows, and a compressed buffer any size. A server looks first.
"""

from __future__ import annotations

import struct

import pyarrow as pa

from lineshaft.errors import InputError
from lineshaft.serving.convert import arrow_from

_FIX = "write them with pyarrow.ipc.new_stream"
_RECORD_BATCH, _DICTIONARY_BATCH = 3, 2  # MessageHeader of Arrow's Message.fbs


def entity_rows_from(raw: bytes) -> pa.Table:
    """Return the entity rows of a request; raises `InputError` where they cannot be trusted, or told apart."""
    try:
        if any(_is_compressed(message.metadata.to_pybytes()) for message in pa.ipc.MessageReader.open_stream(raw)):
            raise InputError("this Arrow IPC stream is compressed", fix="write it without compression")
        table = arrow_from(raw)
        if table.num_rows > len(raw):  # every row has a time and a key: what takes less than a byte is none
            raise InputError(f"{table.num_rows} rows in {len(raw)} bytes of Arrow", fix=_FIX)
        table.validate(full=True)
        names = table.column_names
    except (pa.ArrowException, OSError, ValueError, struct.error) as error:
        raise InputError(f"these bytes are no Arrow IPC stream: {error}", fix=_FIX) from error
    if len(set(names)) < len(names):
        raise InputError("the Arrow IPC stream has two columns of one name", fix="name each column once")
    return table


def _is_compressed(metadata: bytes) -> bool:
    """Tell whether a message's buffers are compressed, from its flatbuffer (Arrow's Message.fbs)."""
    message = struct.unpack_from("<I", metadata)[0]
    kind = _field(metadata, message, 1)
    header = _field(metadata, message, 2)
    if not kind or not header or metadata[kind] not in (_RECORD_BATCH, _DICTIONARY_BATCH):
        return False
    batch: int | None = header + struct.unpack_from("<I", metadata, header)[0]
    if batch is not None and metadata[kind] == _DICTIONARY_BATCH:
        data = _field(metadata, batch, 1)
        batch = data + struct.unpack_from("<I", metadata, data)[0] if data else None
    return batch is not None and _field(metadata, batch, 3) is not None


def _field(raw: bytes, table: int, number: int) -> int | None:
    """Return where a field of a flatbuffer's table lies; None where it has none."""
    vtable = table - struct.unpack_from("<i", raw, table)[0]
    if vtable < 0 or 4 + 2 * number >= struct.unpack_from("<H", raw, vtable)[0]:
        return None
    offset = struct.unpack_from("<H", raw, vtable + 4 + 2 * number)[0]
    return table + offset if offset else None
