"""What stands in for a value that is not there: a constant that the service declares, never taken for a measurement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lineshaft.specs import Status
from lineshaft.specs.views import Constant
from lineshaft.tiles.buffers import truth_array
from lineshaft.tiles.sheet import Block, Parts, Sheet

REPLACED = (Status.NULL, Status.NOT_FOUND, Status.STALE)
"""What is true of a machine, of the past as of the present. What is wrong with the platform (CORRUPT, UNAVAILABLE) is
told as it is: no training set has it, so no model has learnt from a constant in its place."""
_Cells = tuple[Constant, NDArray[np.bool_]]


def imputed(
    constants: Sequence[tuple[str, Constant]], sheet: Sheet, status: NDArray[np.int8]
) -> tuple[Sheet, NDArray[np.int8]]:
    """Return an answer (statuses n x columns) with constants where their columns have nothing, as IMPUTED.

    >>> answer = Sheet.of(pa.table({"a__x": [1.5, None]}))
    >>> status = np.array([[Status.PRESENT], [Status.NULL]], np.int8)
    >>> filled, told = imputed([("a__x", 0.0)], answer, status)
    >>> filled.table["a__x"].to_pylist(), told.tolist()
    ([1.5, 0.0], [[1], [7]])
    """
    cells: dict[int, _Cells] = {}
    for name, constant in constants:
        place = sheet.names.index(name)
        lacking = np.isin(status[:, place], REPLACED)
        if lacking.any():
            cells[place] = constant, lacking
    if not cells:
        return sheet, status
    told = status.copy()
    for place, (_, lacking) in cells.items():
        told[lacking, place] = Status.IMPUTED
    blocks = [_filled(block, cells) for block in sheet.parts.blocks]
    loose = {place: _filled_array(array, cells.get(place)) for place, array in sheet.parts.loose.items()}
    return Sheet(names=sheet.names, rows=sheet.rows, parts=Parts(blocks=blocks, loose=loose)), told


def _filled(block: Block, cells: Mapping[int, _Cells]) -> Block:
    mine = [(at, *cells[place]) for at, place in enumerate(block.places) if place in cells]
    if not mine:
        return block
    values = block.values.copy()
    valid = np.ones(values.shape, bool) if block.valid is None else block.valid.copy()
    for at, constant, lacking in mine:
        values[at, lacking], valid[at, lacking] = constant, True
    return replace(block, values=values, valid=None if valid.all() else valid)


def _filled_array(array: pa.Array, mine: _Cells | None) -> pa.Array:
    if mine is None:
        return array
    constant, lacking = mine
    return pc.if_else(truth_array(lacking), pa.scalar(constant, array.type), array)
