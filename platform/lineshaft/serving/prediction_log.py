"""Every prediction remembered, as Parquet by model and day: what drift checks and late labels read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lineshaft.ops.predictions import file_name, identity, read_predictions, together
from lineshaft.registry.records import Slot
from lineshaft.serving.predictions import Predictions
from lineshaft.serving.write_behind import WriteBehind, in_turns
from lineshaft.stores.whole_files import write_whole
from lineshaft.tiles.buffers import text_array, truth_array
from lineshaft.tiles.sheet import Block

DAY_US = 86_400_000_000


PER_ROW = ("at_us", "scores", "statuses", "values", "input_statuses", "contributions")
"""What predictions hold of each of their rows, beside keys and ages."""


class PredictionLog:
    """Predictions on their way to Parquet files of their model and day; `behind` says when they are written."""

    def __init__(self, root: Path, *, batch_rows: int = 1_000, every_s: float = 5.0, most_rows: int = 100_000) -> None:
        self.root = root
        self.behind = WriteBehind[Predictions](
            name="prediction",
            write=self._write,
            rows_of=lambda one: len(one.scores),
            bytes_of=lambda one: 1000 + 4 * one.values.nbytes,
            batch_rows=batch_rows,
            every_s=every_s,
            most_rows=most_rows,
        )

    def append(self, predictions: Predictions) -> None:
        """Hold one response until it is written; never waits, never fails."""
        self.behind.put(predictions)

    def read(self, model: str) -> pa.Table:
        """Return the remembered predictions of a model, each once, oldest first; an empty table if there are none."""
        return read_predictions(self.root, model)

    def _write(self, held: list[Predictions]) -> None:
        """Write what was held."""
        self.write(logged(held))

    def write(self, rows: Iterable[tuple[Predictions, pa.Table]]) -> None:
        """Write one file per model and day, now; its name is its content's hash, so a replay makes no second file."""
        parts: dict[tuple[str, int], list[pa.Table]] = {}
        for one, table in rows:
            days = one.at_us // DAY_US
            for day in np.unique(days).tolist():
                parts.setdefault((one.model, day), []).append(table.filter(truth_array(days == day)))
        for (model, day), tables in parts.items():
            table = together(tables)
            asked = pc.min_max(table["asked_at"].cast(pa.int64())).as_py()
            name = file_name(asked["min"], asked["max"], table["prediction_id"].to_pylist())
            write_whole(table, self.root / f"model={model}" / f"date={np.datetime64(day, 'D')}" / name)


def logged(held: Sequence[Predictions]) -> Iterator[tuple[Predictions, pa.Table]]:
    """Yield responses as they are remembered: those of one version together, with their rows; in turns with answers."""
    for many in in_turns(held, 256):
        joined = [one for few in in_turns(many) for one in alike([p for told in few for p in by_answerer(told)])]
        for one in alike(joined):
            yield one, prediction_rows(one)


def by_answerer(one: Predictions) -> list[Predictions]:
    """Return a response as it was answered: its own rows, and those that others answered for."""
    if not one.parts:
        return [one]
    own = ~np.any([part.rows for part in one.parts], axis=0)
    theirs = [answer for part in one.parts for answer in by_answerer(part.predictions)]
    if not own.any():
        return theirs
    parts: dict[str, Any] = {
        name: getattr(one, name)[own] if getattr(one, name) is not None else None for name in PER_ROW
    }
    ages = {view: np.asarray(age)[own] for view, age in one.ages_us.items()}
    return [replace(one, entities=one.keys.filter(truth_array(own)), ages_us=ages, parts=(), **parts), *theirs]


def alike(held: Sequence[Predictions]) -> list[Predictions]:
    """Return responses of one version, to keys of one kind, as one: a table of many rows costs what one of one does."""
    groups: dict[object, list[tuple[Predictions, pa.Table]]] = {}
    for one in held:
        keys = one.keys
        kind = (one.version, one.slot, one.features, one.degraded, one.contributions is None, str(keys.schema))
        groups.setdefault(kind, []).append((one, keys))
    return [_joined(group) for group in groups.values()]


def _joined(group: Sequence[tuple[Predictions, pa.Table]]) -> Predictions:
    """Return what the log keeps of responses, as of one."""
    first = group[0][0]
    parts: dict[str, Any] = {
        name: np.concatenate([getattr(one, name) for one, _ in group])
        for name in PER_ROW
        if getattr(first, name) is not None
    }
    ages = {view: np.concatenate([one.ages_us[view] for one, _ in group]) for view in first.ages_us}
    entities = pa.concat_tables([keys for _, keys in group]).combine_chunks()
    return replace(first, entities=entities, ages_us=ages, **parts)


def prediction_rows(predictions: Predictions) -> pa.Table:
    """Return one row per entity: id, keys, time, version, role, score, status, then the inputs as the model saw them.

    `contributions` stand in the order of the inputs, where they were asked for.
    """
    keys = [str(sorted(key.items())) for key in predictions.keys.to_pylist()]
    role = str(predictions.slot)
    apart = "" if predictions.slot is Slot.CHAMPION else f"|{role}"
    ids = [
        identity(at, f"{predictions.version}|{key}|{at}{apart}")
        for key, at in zip(keys, predictions.at_us.tolist(), strict=True)
    ]
    numbers = Block(
        dtype="float64", places=(0,), values=predictions.scores[None], valid=_known(predictions.scores[None])
    )
    times = Block(dtype="timestamp", places=(0,), values=np.ascontiguousarray(predictions.at_us)[None])
    values = np.ascontiguousarray(predictions.values.T)
    inputs = Block(dtype="float32", places=tuple(range(len(values))), values=values, valid=_known(values))
    statuses = pa.py_buffer(np.ascontiguousarray(predictions.statuses))
    told = {
        "prediction_id": text_array(ids),
        **{name: predictions.keys[name] for name in predictions.keys.column_names},
        "asked_at": times.arrays()[0],
        "version": text_array([predictions.version] * len(ids)),
        "role": text_array([role] * len(ids)),
        "score": numbers.arrays()[0],
        "status": pa.Array.from_buffers(pa.int8(), len(ids), [None, statuses]),
        "degraded": truth_array(np.full(len(ids), predictions.degraded)),
        "contributions": _lists(predictions.contributions, len(ids)),
    }
    return pa.Table.from_arrays([*told.values(), *inputs.arrays()], names=[*told, *predictions.features])


def _lists(values: NDArray[np.float64] | None, count: int) -> pa.ListArray:
    """Return a list of numbers a row, null where there are none; `pa.array` would load pandas."""
    if values is None:
        return pa.nulls(count, pa.list_(pa.float64()))
    flat = pa.py_buffer(np.ascontiguousarray(values, np.float64))
    numbers = pa.Array.from_buffers(pa.float64(), values.size, [None, flat])
    ends = pa.py_buffer(np.arange(count + 1, dtype=np.int32) * np.int32(values.shape[1]))
    return pa.Array.from_buffers(pa.list_(pa.float64()), count, [None, ends], children=[numbers])


def _known(values: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Return which values are numbers."""
    known: NDArray[np.bool_] = ~np.isnan(values)
    return known
