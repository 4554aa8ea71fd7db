"""Evidently, in a process of its own: `python -m lineshaft_governance.drift.report`.

Asked {"columns", "path", "threshold"} with tables `reference` and `current`, it writes one HTML file and answers
{"p": {column: p-value}, "library"}.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import evidently
import pyarrow as pa
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

from lineshaft_governance.answering import answer_requests


def draw(request: dict[str, Any], tables: dict[str, pa.Table]) -> dict[str, Any]:
    """Write the report; a reader sees all of it or nothing."""
    columns = request["columns"]
    definition = DataDefinition(numerical_columns=columns)
    current, reference = (
        Dataset.from_pandas(tables[name].to_pandas(), data_definition=definition) for name in ("current", "reference")
    )
    preset = DataDriftPreset(columns=columns, num_method="ks", num_threshold=request["threshold"])
    snapshot = Report([preset]).run(current, reference)
    path = Path(request["path"])
    partial = path.with_suffix(".partial.html")
    snapshot.save_html(str(partial))
    partial.replace(path)
    drift = [metric for metric in snapshot.dict()["metrics"] if metric["config"]["type"].endswith("ValueDrift")]
    p = {metric["config"]["column"]: float(metric["value"]) for metric in drift}
    return {"p": p, "library": f"evidently {evidently.__version__}"}


if __name__ == "__main__":
    answer_requests(draw)
