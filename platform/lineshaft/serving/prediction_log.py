"""Every prediction remembered, as Parquet by model and day: what drift checks and late labels read."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa

from lineshaft.ops.predictions import read_predictions, together
from lineshaft.serving.predict import Predictions
from lineshaft.serving.write_behind import WriteBehind
from lineshaft.stores.whole_files import write_whole

DAY_US = 86_400_000_000


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
        """Write one file per model and day; its name is its content's hash, so a replay makes no second file."""
        parts: dict[tuple[str, int], list[pa.Table]] = {}
        for one in held:
            table, days = prediction_rows(one), one.at_us // DAY_US
            for day in np.unique(days).tolist():
                parts.setdefault((one.model, day), []).append(table.filter(pa.array(days == day)))
        for (model, day), tables in parts.items():
            table = together(tables)
            name = hashlib.sha256("".join(table["prediction_id"].to_pylist()).encode()).hexdigest()[:16]
            folder = self.root / f"model={model}" / f"date={np.datetime64(day, 'D')}"
            write_whole(table, folder / f"{name}.parquet")


def prediction_rows(predictions: Predictions) -> pa.Table:
    """Return one row per entity: id, keys, time, version, score, status, then the inputs as the model saw them."""
    keys = [str(sorted(key.items())) for key in predictions.keys.to_pylist()]
    ids = [
        hashlib.sha256(f"{predictions.version}|{key}|{at}".encode()).hexdigest()[:32]
        for key, at in zip(keys, predictions.at_us.tolist(), strict=True)
    ]
    count = len(ids)
    table = pa.table(
        {
            "prediction_id": ids,
            **{name: predictions.keys[name] for name in predictions.keys.column_names},
            "asked_at": pa.array(predictions.at_us).cast(pa.timestamp("us", tz="UTC")),
            "version": pa.array([predictions.version] * count),
            "score": pa.array(predictions.scores, mask=np.isnan(predictions.scores)),
            "status": pa.array(predictions.statuses),
            "degraded": pa.array([predictions.degraded] * count),
        }
    )
    for i, name in enumerate(predictions.features):
        column = predictions.values[:, i]
        table = table.append_column(name, pa.array(column, mask=np.isnan(column)))
    return table
