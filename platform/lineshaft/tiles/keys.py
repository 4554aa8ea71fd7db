"""What a request gives, as it came: join keys and the numbers beside them; an Arrow table only where one is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lineshaft.errors import InputError
from lineshaft.tiles.buffers import text_array

Column = Sequence[str] | NDArray[np.int64]
_NOTHING: Mapping[str, pa.Array] = MappingProxyType({})


class Keys:
    """Columns of texts or int64 for n entities, none of them null; raises `InputError` for columns of several lengths.

    numbers: columns that are no keys, since they are fractions or have nulls, or were given as data of the request.

    >>> Keys({"asset_id": ["pump-1", "pump-2"]}).num_rows
    2
    """

    __slots__ = ("_table", "columns", "num_rows", "numbers")

    def __init__(self, columns: Mapping[str, Column], numbers: Mapping[str, pa.Array] = _NOTHING) -> None:
        self.columns = columns
        self.numbers = numbers
        sizes = {len(column) for column in columns.values()}
        if numbers:
            sizes |= {len(column) for column in numbers.values()}
            if twice := sorted(columns.keys() & numbers.keys()):
                raise InputError(f"{twice[0]!r} is given twice, as a key and as data", fix="send each column once")
        if len(sizes) > 1:
            lengths = {name: len(column) for name, column in [*columns.items(), *numbers.items()]}
            raise InputError(
                f"entity columns of different length: {lengths}", fix="send one value of each column for each entity"
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
            arrays = [*(array_of(column) for column in self.columns.values()), *self.numbers.values()]
            self._table = pa.Table.from_arrays(arrays, names=[*self.columns, *self.numbers])
        return self._table


def table_of(keys: pa.Table | Keys) -> pa.Table:
    """Return the columns of a request, however they came, as an Arrow table."""
    return keys.table if isinstance(keys, Keys) else keys


def _dtype(column: Column | None) -> str:
    if column is None:
        return ""
    return "int64" if isinstance(column, np.ndarray) else "string"


def array_of(column: Column | pa.Array) -> pa.Array:
    """Return a column as Arrow has it."""
    if isinstance(column, pa.Array):
        return column
    if isinstance(column, np.ndarray):
        return pa.Array.from_buffers(pa.int64(), len(column), [None, pa.py_buffer(column)])
    return text_array(column)
