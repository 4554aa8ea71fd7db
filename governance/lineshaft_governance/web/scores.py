"""What models said of one machine lately, from the newest files of the log of predictions."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lineshaft.specs import Service
from lineshaft_governance.web.parts import Asked, WebParts

MOST_FILES = 40
MOST_ROWS = 30
_COLUMNS = ("prediction_id", "asset_id", "asked_at", "version", "role", "score", "status", "degraded")


def recent_scores(parts: WebParts, asked: Asked, asset: str) -> dict[str, Any]:
    """Return the newest predictions of an asset by the models that the caller may ask, with how far back they reach."""
    rows: list[dict[str, Any]] = []
    files = 0
    for known in parts.registry.models():
        number, log = known.champions.get(parts.project), parts.predictions / f"model={known.name}"
        if number is None or not log.is_dir():
            continue
        service = Service.from_json(parts.registry.get(known.name, number).service_json)
        if not asked.caller.may_read(service):
            continue
        newest = sorted(log.glob("date=*/*.parquet"), reverse=True)[:MOST_FILES]
        files += len(newest)
        for file in newest:
            rows += _of(file, asset)
            if len(rows) >= MOST_ROWS:
                break
    rows.sort(key=lambda row: row["asked_us"], reverse=True)
    return {"rows": rows[:MOST_ROWS], "files": files}


def _of(file: Any, asset: str) -> list[dict[str, Any]]:
    names = set(pq.read_schema(file).names)
    if "asset_id" not in names:
        return []
    columns = [name for name in _COLUMNS if name in names]
    found = pq.read_table(file, partitioning=None, columns=columns, filters=pc.field("asset_id") == asset)
    told = found.append_column("asked_us", found["asked_at"].cast(pa.int64())).drop_columns(["asked_at"])
    rows: list[dict[str, Any]] = told.to_pylist()
    return rows
