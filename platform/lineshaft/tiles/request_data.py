"""What a request says itself: numbers beside its keys that on-demand features read, such as a load or a set-point."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lineshaft.errors import InputError
from lineshaft.specs.rows import ARROW_TYPES, PRESENT, Status
from lineshaft.tiles.buffers import one_piece
from lineshaft.tiles.keys import Keys, table_of
from lineshaft.tiles.sheet import Block, Parts, Sheet

REQUEST_DTYPES = ("float64", "float32", "int64", "int32")
"""Types that a field of a request may have."""


def request_sheet(fields: Mapping[str, str], rows: pa.Table | Keys | None) -> tuple[Sheet, NDArray[np.int8]]:
    """Return the fields of a request (name to dtype) in their own types, and their statuses (fields x n).

    rows: the keys of a request, or the entity rows of a training set, with these fields among their columns. A null or
    NaN is NULL. Raises `InputError` naming the field that is missing, or that is not of its type.
    """
    table = pa.table({}) if rows is None else table_of(rows)
    blocks = []
    for place, (name, dtype) in enumerate(fields.items()):
        if name not in table.column_names:
            raise InputError(
                f"the request lacks {name!r}, which an on-demand feature reads",
                where=f"columns given: {', '.join(table.column_names)}",
                fix=f"add a column {name!r} ({dtype}): one value for each entity",
            )
        blocks.append(_block(place, name, dtype, one_piece(table[name])))
    status = np.full((len(fields), table.num_rows), PRESENT, np.int8)
    for place, block in enumerate(blocks):
        if block.valid is not None:
            status[place, ~block.valid[0]] = Status.NULL
    return Sheet(names=tuple(fields), rows=table.num_rows, parts=Parts(blocks=blocks)), status


def _block(place: int, name: str, dtype: str, given: pa.Array) -> Block:
    kind = given.type
    if len(given) and not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)):
        raise InputError(f"request field {name!r} is {kind}, not {dtype}", fix="send numbers")
    try:
        column = given.cast(ARROW_TYPES[dtype])
    except pa.ArrowInvalid as error:
        raise InputError(f"request field {name!r} is not {dtype}: {error}", fix=f"send {dtype}") from error
    (block,) = Sheet.of(pa.Table.from_arrays([column], names=[name])).parts.blocks
    valid = np.ones((1, len(column)), bool) if block.valid is None else block.valid
    valid = valid & ~np.isnan(block.values)
    return Block(dtype=dtype, places=(place,), values=block.values, valid=None if valid.all() else valid)
