"""Arrow columns as the matrix a booster eats: nulls are NaN, rows in one order whatever order they came in."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lineshaft.errors import InputError
from lineshaft.tiles.buffers import is_valid, truths
from lineshaft.tiles.sheet import Sheet

if TYPE_CHECKING:
    from lineshaft.models.spec import ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """Sorted training rows: values (n x features, float32), labels, groups and times in us (n each), their SHA-256.

    `places` says where each row stood in the table it came from.
    """

    values: NDArray[np.float32]
    labels: NDArray[np.float64]
    groups: NDArray[np.str_]
    times: NDArray[np.int64]
    places: NDArray[np.int64]
    fingerprint: str

    def take(self, rows: NDArray[np.bool_]) -> Examples:
        """Return some of the rows, under the same fingerprint."""
        return replace(
            self,
            values=self.values[rows],
            labels=self.labels[rows],
            groups=self.groups[rows],
            times=self.times[rows],
            places=self.places[rows],
        )


def feature_matrix(rows: pa.Table | Sheet, features: Sequence[str]) -> NDArray[np.float32]:
    """Return the features as float32, n x features; nulls become NaN, which a tree sends its own way.

    >>> feature_matrix(pa.table({"a": [1.5, None]}), ["a"]).tolist()
    [[1.5], [nan]]

    Raises
    ------
    InputError
        If a feature is missing or is not a number.
    """
    names = rows.names if isinstance(rows, Sheet) else rows.column_names
    for name in features:
        if name not in names:
            raise InputError(f"feature {name!r} is not in the table", fix="ask the feature service the model pins")
    sheet = rows if isinstance(rows, Sheet) else Sheet.of(rows.select(list(features)))
    return matrix_of(sheet, [sheet.names.index(name) for name in features])


def matrix_of(sheet: Sheet, places: Sequence[int]) -> NDArray[np.float32]:
    """Return columns of a sheet, by place, as float32, n x columns, NaN under a null.

    Raises `InputError` if one is not a number. What is too large for float32 is infinite.
    """
    columns = np.empty((len(sheet.names), sheet.rows), dtype=np.float32)
    with np.errstate(over="ignore"):
        for block in sheet.parts.blocks:
            # By way of float64, as ever: a large whole number is rounded once to each.
            own = block.values if block.values.dtype.kind == "f" else block.values.astype(np.float64)
            columns[list(block.places)] = own if block.valid is None else np.where(block.valid, own, np.nan)
        for place, column in sheet.parts.loose.items():
            if place in places:
                columns[place] = _numbers(column, sheet.names[place])
    return columns.take(places, axis=0).T


def _numbers(column: pa.Array, name: str) -> NDArray[np.float64]:
    """Return truths, and numbers of rarer types, as float64."""
    if pa.types.is_boolean(column.type):
        return np.where(is_valid(column), truths(column), np.nan)
    numbers = _cast(pa.table({name: column}), name, pa.float64(), as_a="feature", wanted="a number")
    return np.asarray(numbers.to_numpy(), dtype=np.float64)


def _cast(table: pa.Table, name: str, kind: pa.DataType, *, as_a: str, wanted: str) -> pa.ChunkedArray:
    """Return a column as numbers or times; raise `InputError` where it is neither."""
    try:
        return table[name].cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(f"{as_a} {name!r} is {table[name].type}, not {wanted}") from error


def examples(spec: ModelSpec, table: pa.Table) -> Examples:
    """Return the training rows sorted by group, time and content; the order they came in does not matter.

    XGBoost's bits depend on the order of rows, so one set of rows must have one order. Rows without a label are
    refused, not dropped: what to do with them is the labelling's decision.
    """
    for name in (spec.group, spec.time, spec.label):
        if name not in table.column_names:
            raise InputError(f"the training set has no column {name!r}", where=spec.name)
        if table[name].null_count:
            raise InputError(f"column {name!r} holds nulls", where=spec.name, fix="drop or censor those rows first")
    values = feature_matrix(table, spec.features)
    labels = np.asarray(
        _cast(table, spec.label, pa.float64(), as_a="column", wanted="a number").to_numpy(), dtype=np.float64
    )
    groups = np.asarray(table[spec.group].cast(pa.string()).to_pylist(), dtype=np.str_)
    moments = _cast(table, spec.time, pa.timestamp("us", tz="UTC"), as_a="column", wanted="a time")
    times = np.asarray(moments.cast(pa.int64()).to_numpy())
    # Rows of one asset at one time (two bearings of one pump) are told apart by what they hold.
    content = [values[row].tobytes() + labels[row].tobytes() for row in range(len(labels))]
    order = np.array(
        sorted(range(len(labels)), key=lambda row: (groups[row], times[row], content[row])), dtype=np.int64
    )
    digest = hashlib.sha256("\n".join((*spec.features, spec.label)).encode())
    for part in (values[order], labels[order], times[order], "\n".join(groups[order]).encode()):
        digest.update(part if isinstance(part, bytes) else np.ascontiguousarray(part).tobytes())
    return Examples(
        values=values[order],
        labels=labels[order],
        groups=groups[order],
        times=times[order],
        places=order,
        fingerprint=digest.hexdigest(),
    )


def held_out(groups: NDArray[np.str_], *, share: float, seed: int) -> NDArray[np.bool_]:
    """Return which rows are for testing: whole groups, chosen by hash, at least one on each side.

    A group stays on its side when others are added, as far as the share allows.

    >>> rows = held_out(np.array(["a", "a", "b", "c"]), share=0.3, seed=1)
    >>> bool(rows[0]) == bool(rows[1]), 0 < int(rows.sum()) < 4
    (True, True)
    """
    names = np.unique(groups)
    if len(names) < 2:
        raise InputError("a model needs at least two groups, one of them to test on", fix="add assets")
    ranked = sorted(names.tolist(), key=lambda name: hashlib.sha256(f"{seed}|{name}".encode()).digest())
    count = min(max(1, round(share * len(ranked))), len(ranked) - 1)
    return np.isin(groups, ranked[:count])


def folds(groups: NDArray[np.str_], *, count: int, seed: int) -> NDArray[np.int64]:
    """Return each row's fold, 0 to count - 1: whole groups, dealt out by hash, as many to each as to the others.

    >>> rows = folds(np.array(["a", "a", "b", "c"]), count=3, seed=1)
    >>> bool(rows[0] == rows[1]), sorted(set(rows.tolist()))
    (True, [0, 1, 2])
    """
    names = np.unique(groups)
    if len(names) < count:
        raise InputError(f"{count} folds need {count} groups, there are {len(names)}", fix="add assets, or use fewer")
    ranked = sorted(names.tolist(), key=lambda name: hashlib.sha256(f"{seed}|{name}".encode()).digest())
    fold = {name: place % count for place, name in enumerate(ranked)}
    return np.array([fold[name] for name in groups.tolist()], dtype=np.int64)
