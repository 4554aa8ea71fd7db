"""The log of predictions as it is read: Parquet below `model=<name>/date=<day>`, one row a prediction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lineshaft.errors import NotFoundError

COLUMNS = ("prediction_id", "asked_at", "version", "role", "score", "status", "degraded", "contributions")
"""What every row says beside its entity keys and the inputs."""


def read_predictions(root: Path, model: str, *, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the remembered predictions of a model, each once, oldest first; an empty table if there are none.

    columns: those to read where a file has them, the id and the time among them; all unless given.
    """
    files = sorted((root / f"model={model}").rglob("*.parquet"))
    if not files:
        return pa.table({})
    table = together([_part(file, columns) for file in files])
    ids = table["prediction_id"].to_pylist()
    first = {name: row for row, name in reversed(list(enumerate(ids)))}
    return table.take(sorted(first.values())).sort_by([("asked_at", "ascending"), ("prediction_id", "ascending")])


def _part(file: Path, columns: Sequence[str] | None) -> pa.Table:
    """Return the columns of one file that are asked for and there."""
    there = None if columns is None else [name for name in columns if name in pq.read_schema(file).names]
    return pq.read_table(file, partitioning=None, columns=there)


def find_prediction(root: Path, prediction_id: str) -> pa.Table:
    """Return the one row of a prediction, whatever model it is of.

    Raises
    ------
    NotFoundError
        If no file of the log has it.
    """
    for file in sorted(root.glob("model=*/date=*/*.parquet")):
        found = pq.read_table(file, partitioning=None, filters=pc.field("prediction_id") == prediction_id)
        if found.num_rows:
            return found.slice(0, 1)
    raise NotFoundError(
        f"no prediction {prediction_id!r} is remembered",
        where=str(root),
        fix="the log is written within seconds of an answer; its files hold the ids",
    )


def together(tables: Sequence[pa.Table]) -> pa.Table:
    """Return tables as one; a column that came as text from one caller and as a number from another is text."""
    if all(table.schema.equals(tables[0].schema) for table in tables):
        return pa.concat_tables(tables).combine_chunks()
    kinds: dict[str, set[pa.DataType]] = {}
    for table in tables:
        for field in table.schema:
            kinds.setdefault(field.name, set()).add(field.type)
    mixed = {name for name, types in kinds.items() if len(types) > 1}
    alike = [
        table.cast(
            pa.schema([field.with_type(pa.string()) if field.name in mixed else field for field in table.schema])
        )
        for table in tables
    ]
    return pa.concat_tables(alike, promote_options="default")
