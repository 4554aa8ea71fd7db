"""The log of predictions as it is read: Parquet below `model=<name>/date=<day>`, one row a prediction.

An identity begins with when it was asked, a file's name with from when to when its rows were asked: of a million
predictions one is found by reading one file, and which is known from names alone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lineshaft.errors import NotFoundError

COLUMNS = ("prediction_id", "asked_at", "version", "role", "score", "status", "degraded", "contributions")
"""What every row says beside its entity keys and the inputs."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_IDENTITY = re.compile(r"(?P<asked>[0-9a-f]{13})-[0-9a-f]{18}$")
_SPAN = re.compile(r"(?P<first>[0-9a-f]{13})-(?P<last>[0-9a-f]{13})-[0-9a-f]{16}\.parquet$")


def read_predictions(
    root: Path, model: str, *, columns: Sequence[str] | None = None, since_us: int | None = None
) -> pa.Table:
    """Return the remembered predictions of a model, each once, oldest first; an empty table if there are none.

    columns: those to read where a file has them, the id and the time among them; all unless given. since_us: whole days
    before the one of this moment are not read.
    """
    first_day = "" if since_us is None else f"date={np.datetime64(since_us, 'us').astype('datetime64[D]')}"
    files = [file for file in sorted((root / f"model={model}").rglob("*.parquet")) if file.parent.name >= first_day]
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


def identity(asked_us: int, told: str) -> str:
    """Return the name of a prediction: when it was asked, and a hash of what it is about.

    >>> identity(1_700_000_000_000_000, "pump@1|a")
    '60a24181e4000-e198c6a022a96dfbd9'
    """
    return f"{max(asked_us, 0):013x}-{hashlib.sha256(told.encode()).hexdigest()[:18]}"


def file_name(first_us: int, last_us: int, ids: Sequence[str]) -> str:
    """Return the name of a file of predictions that were asked between two moments; the same for the same ids."""
    told = hashlib.sha256("".join(ids).encode()).hexdigest()[:16]
    return f"{max(first_us, 0):013x}-{max(last_us, 0):013x}-{told}.parquet"


def span_us(file: Path) -> tuple[int, int]:
    """Return from when to when a file's rows were asked: by its name, or of a file of before names said so its day."""
    found = _SPAN.match(file.name)
    if found is not None:
        return int(found["first"], 16), int(found["last"], 16)
    day = datetime.fromisoformat(file.parent.name.removeprefix("date=")).replace(tzinfo=UTC)
    first_us = (day - _EPOCH) // timedelta(microseconds=1)
    return first_us, first_us + 86_400_000_000 - 1


def find_prediction(root: Path, prediction_id: str) -> pa.Table:
    """Return the one row of a prediction, whatever model it is of.

    Raises
    ------
    NotFoundError
        If no file of the log has it.
    """
    asked = _IDENTITY.match(prediction_id)
    for file in _files(root, int(asked["asked"], 16) if asked is not None else None):
        found = pq.read_table(file, partitioning=None, filters=pc.field("prediction_id") == prediction_id)
        if found.num_rows:
            return found.slice(0, 1)
    raise NotFoundError(
        f"no prediction {prediction_id!r} is remembered",
        where=str(root),
        fix="the log is written within seconds of an answer; its files hold the ids",
    )


def _files(root: Path, asked_us: int | None) -> list[Path]:
    """Return the files that may hold a prediction of a moment; all of them where it is not known."""
    if asked_us is None:  # an identity of before they began with a moment
        return sorted(root.glob("model=*/date=*/*.parquet"))
    day = (_EPOCH + timedelta(microseconds=asked_us)).date().isoformat()
    found = sorted(root.glob(f"model=*/date={day}/*.parquet"))
    return [file for file in found if span_us(file)[0] <= asked_us <= span_us(file)[1]]


def last_before(root: Path, model: str, entity: Mapping[str, Any], *, at_us: int, count: int) -> list[dict[str, Any]]:
    """Return the last predictions of an entity until a moment, oldest first: `at_us`, `version` and `score` of each.

    Files are read from the newest backwards, no more of them than it takes.
    """
    files = [(span_us(file), file) for file in (root / f"model={model}").glob("date=*/*.parquet")]
    found: dict[str, dict[str, Any]] = {}
    for (first_us, last_us), file in sorted(files, key=lambda one: (one[0][1], one[1]), reverse=True):
        newest = sorted((one["at_us"] for one in found.values()), reverse=True)
        if len(newest) >= count and last_us < newest[count - 1]:
            break
        if first_us <= at_us:
            found |= {one["prediction_id"]: one for one in _of_entity(file, entity) if one["at_us"] <= at_us}
    lines = sorted(found.values(), key=lambda one: (one["at_us"], one["prediction_id"]))
    return [{name: one[name] for name in ("at_us", "version", "score")} for one in lines[-count:]]


def _of_entity(file: Path, entity: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of an entity in one file; none where it has other keys."""
    if not entity.keys() <= set(pq.read_schema(file).names):
        return []
    columns = ["prediction_id", "asked_at", "version", "score", *entity]
    rows = pq.read_table(file, partitioning=None, columns=columns)
    for name, value in entity.items():
        rows = rows.filter(pc.equal(rows[name].cast(pa.string()), str(value)))
    rows = rows.append_column("at_us", rows["asked_at"].cast(pa.int64())).drop_columns(["asked_at"])
    found: list[dict[str, Any]] = rows.to_pylist()
    return found


def together(tables: Sequence[pa.Table]) -> pa.Table:
    """Return tables as one; a column that came as text from one caller and as a number from another is text."""
    if all(table.schema.equals(tables[0].schema) for table in tables):
        return pa.concat_tables(tables)
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
