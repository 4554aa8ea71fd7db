"""The sketch of a training set, made when a version is trained: what every later check compares with."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lineshaft.drift.baseline import Baseline, baseline_of
from lineshaft.drift.policy import DriftPolicy, Regimes
from lineshaft.drift.rows import rows_of, times_of, usual_step_us
from lineshaft.drift.sketch import SCORE, Sketch
from lineshaft.models.spec import ModelSpec
from lineshaft.models.trained import TrainedModel

NEAR_END = 0.2
"""Of rows with a remaining life, the share with the least, which stand for what is near a failure."""


def sketch_of(spec: ModelSpec, table: pa.Table, trained: TrainedModel, *, policy: DriftPolicy) -> Sketch:
    """Return what a training set looked like, and what the model said of the part it had not seen.

    A baseline is of rows that no label puts near a failure; where the others lie is the direction of wear.
    """
    keys = entity_keys(spec, table)
    step_us = usual_step_us(table, keys=keys, time=spec.time)
    worn = worn_rows(spec, table)
    told = policy.regimes if policy.regimes.column in ("", *spec.features) else Regimes()
    window = max(policy.window_us // step_us, 1)
    mark = "is worn"
    rows = rows_of(
        table.append_column(mark, pa.array(worn.astype(np.float64))),
        (*spec.features, mark),
        step_us=step_us,
        regimes=told,
        keys=keys,
        time=spec.time,
    )
    near = rows.values[:, -1] > 0
    rows = rows.only(spec.features)
    parts = [rows.regimes == number for number in range(len(told.names()))]
    return Sketch(
        columns=spec.features,
        keys=keys,
        step_us=step_us,
        until_us=int(times_of(table, spec.time).max()),
        regimes=told,
        baselines=tuple(
            baseline_of(rows.take(part), worn=near[part], window=window) if part.any() else None for part in parts
        ),
        scores=_scores(spec, table, trained, keys=keys, step_us=step_us, window=window),
        errors=_errors(spec, trained),
    )


def entity_keys(spec: ModelSpec, table: pa.Table) -> tuple[str, ...]:
    """Return the columns that tell series apart: text or whole numbers that are neither label, time nor feature."""
    others = {spec.label, spec.time, "known_at", *spec.features}
    fields = [field for field in table.schema if field.name not in others and "__" not in field.name]
    found = [one.name for one in fields if pa.types.is_string(one.type) or pa.types.is_integer(one.type)]
    return (spec.group, *(name for name in found if name != spec.group))


def worn_rows(spec: ModelSpec, table: pa.Table) -> NDArray[np.bool_]:
    """Tell which rows a label puts near a failure; none where labels say nothing of it."""
    labels = np.asarray(table[spec.label].cast(pa.float64()).to_numpy(), dtype=np.float64)
    if spec.task == "binary":
        return labels > 0.5
    if spec.task == "rul":
        return labels <= np.quantile(labels, NEAR_END)
    return np.zeros(len(labels), dtype=bool)


def _scores(
    spec: ModelSpec, table: pa.Table, trained: TrainedModel, *, keys: tuple[str, ...], step_us: int, window: int
) -> Baseline | None:
    """Return the baseline of what was said of unseen rows that are not near a failure."""
    unseen = trained.unseen
    if not len(unseen.places):
        return None
    held = table.take(pa.array(unseen.places)).append_column(SCORE, pa.array(unseen.scores))
    held = held.filter(pa.array(~worn_rows(spec, held)))
    if not held.num_rows:
        return None
    rows = rows_of(held, (SCORE,), step_us=step_us, regimes=Regimes(), keys=keys, time=spec.time)
    return baseline_of(rows, window=window)


def _errors(spec: ModelSpec, trained: TrainedModel) -> tuple[float, ...]:
    """Return each unseen asset's mean squared error of a probability."""
    unseen = trained.unseen
    if spec.task != "binary" or not len(unseen.labels):
        return ()
    _, member = np.unique(unseen.groups, return_inverse=True)
    sums = np.bincount(member, weights=(unseen.scores - unseen.labels) ** 2)
    return tuple((sums / np.bincount(member)).tolist())
