"""The join keys of a request, as they came: texts and whole numbers, an Arrow table only where somebody needs one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lineshaft.errors import InputError
from lineshaft.tiles.buffers import text_array

Column = Sequence[str] | NDArray[np.int64]


class Keys:
    """Columns of texts or int64 for n entities, none of them null; raises `InputError` for columns of several lengths.

    >>> Keys({"asset_id": ["pump-1", "pump-2"]}).num_rows
    2
    """

    __slots__ = ("_table", "columns", "num_rows")

    def __init__(self, columns: Mapping[str, Column]) -> None:
        self.columns = columns
        sizes = {len(column) for column in columns.values()}
        if len(sizes) > 1:
            lengths = {name: len(column) for name, column in columns.items()}
            raise InputError(
                f"entity columns of different length: {lengths}", fix="send one value of each key for each row"
            )
        self.num_rows = sizes.pop() if sizes else 0
        self._table: pa.Table | None = None

    def fit(self, entity_keys: Sequence[tuple[str, str]]) -> bool:
        """Tell whether these are the join keys (name, dtype) of a view, without a cast."""
        return all(_dtype(self.columns.get(name)) == dtype for name, dtype in entity_keys)

    @property
    def table(self) -> pa.Table:
        """Return them as an Arrow table."""
        if self._table is None:
            self._table = pa.Table.from_arrays(
                [_array(column) for column in self.columns.values()], names=list(self.columns)
            )
        return self._table


def table_of(keys: pa.Table | Keys) -> pa.Table:
    """Return join keys, however they came, as an Arrow table."""
    return keys.table if isinstance(keys, Keys) else keys


def _dtype(column: Column | None) -> str:
    if column is None:
        return ""
    return "int64" if isinstance(column, np.ndarray) else "string"


def _array(column: Column) -> pa.Array:
    """Return a column as Arrow has it."""
    if isinstance(column, np.ndarray):
        return pa.Array.from_buffers(pa.int64(), len(column), [None, pa.py_buffer(column)])
    return text_array(column)
