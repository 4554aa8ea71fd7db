"""Drift over the connected parts: where a check finds its rows, and Evidently's report of a champion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lineshaft.drift.sketch import Sketch
from lineshaft.errors import NotFoundError
from lineshaft.ops.drift_sources import DriftSources
from lineshaft.ops.governance import Governance
from lineshaft.ops.reproduce import kept_training_set
from lineshaft.registry.drifts import drift_book
from lineshaft.registry.records import ModelVersion
from lineshaft.wiring.parts import Parts


def drift_sources(parts: Parts) -> DriftSources:
    """Return where a check finds what it compares."""
    return DriftSources(
        catalog=parts.catalog,
        offline=parts.offline,
        predictions=parts.settings.home / "predictions",
        tables=parts.tables,
    )


def champion_sketch(parts: Parts, model: str) -> tuple[ModelVersion, Sketch]:
    """Return the champion of a model, and the sketch of what it was trained on."""
    version = parts.registry.champion(model, parts.settings.project)
    return version, drift_book(parts.registry, parts.settings.project).sketch(model, version.number)


def run_report(parts: Parts, checks: Governance, model: str, *, at_us: int) -> tuple[list[dict[str, Any]], Path]:
    """Draw Evidently's report of a champion's newest window beside the very rows it was trained on."""
    version, sketch = champion_sketch(parts, model)
    reference = kept_training_set(version, parts.tables)
    if reference is None:
        raise NotFoundError(f"the rows {version.ref} was trained on are not kept", fix=f"`lineshaft train {model}`")
    policy = checks.drift_policies(model).check
    asked = drift_sources(parts).asked(version, sketch, declared=None, policy=policy, at_us=at_us)
    rows = (
        asked.rows
        if asked.time == "event_time"
        else asked.rows.rename_columns(
            ["event_time" if name == asked.time else name for name in asked.rows.column_names]
        )
    )
    return checks.drift(name=version.ref, model=model, reference=reference, current=rows, features=version.features)
