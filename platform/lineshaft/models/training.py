"""Train: sorted rows, one thread, a seed, groups apart: the same rows give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from lineshaft.errors import InputError
from lineshaft.models.matrix import Examples, examples, held_out
from lineshaft.models.scores import evaluate
from lineshaft.models.spec import ModelSpec

OBJECTIVES = {"binary": "binary:logistic", "regression": "reg:squarederror"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedModel:
    """A booster's bytes (UBJSON), how it was made, and how it did on assets it never saw."""

    artifact: bytes
    features: tuple[str, ...]
    params: Mapping[str, float | int | str]
    metrics: Mapping[str, float]
    training_set: str
    rows: int
    seed: int
    library: str


def train(spec: ModelSpec, table: pa.Table) -> TrainedModel:
    """Train on a point-in-time training set; the artifact is the booster fitted on the groups not held out.

    table: the spec's group, time, label and feature columns, in any row order; nulls in features are missing values.

    Raises
    ------
    InputError
        If a column is missing, labels hold nulls or (binary) anything but 0 and 1, or there is nothing to learn.
    """
    import xgboost

    from lineshaft.models.scoring import Scorer

    rows = examples(spec, table)
    _check_labels(spec, rows)
    test = held_out(rows.groups, share=spec.test_share, seed=spec.seed)
    fitted, judged = rows.take(~test), rows.take(test)
    params = {
        "objective": OBJECTIVES[spec.task],
        "tree_method": "hist",
        "max_depth": 5,
        "eta": 0.05,
        "min_child_weight": 5,
        "subsample": 0.8,
        "colsample_bytree": 0.6,
        "base_score": float(fitted.labels.mean()) if spec.task == "regression" else _prevalence(fitted),
        **spec.params,
        "seed": spec.seed,
        "nthread": 1,  # the bits are the same with two; the wall clock on a shared machine is not
    }
    booster = xgboost.train(params, _matrix(spec, fitted), num_boost_round=spec.rounds)
    artifact = bytes(booster.save_raw("ubj"))
    figures = evaluate(
        spec.task,
        train_labels=fitted.labels,
        labels=judged.labels,
        scores=Scorer.load(artifact, features=spec.features).score(judged.values).scores,
        groups=judged.groups,
        seed=spec.seed,
    )
    return TrainedModel(
        artifact=artifact,
        features=spec.features,
        params={**params, "rounds": spec.rounds, "test_share": spec.test_share},
        metrics=figures,
        training_set=rows.fingerprint,
        rows=len(rows.labels),
        seed=spec.seed,
        library=f"xgboost {xgboost.__version__}",
    )


def _matrix(spec: ModelSpec, rows: Examples) -> Any:
    """Return rows as XGBoost holds them."""
    import xgboost

    return xgboost.DMatrix(rows.values, label=rows.labels, feature_names=list(spec.features), nthread=1)


def _prevalence(rows: Examples) -> float:
    """Return the share of positives, kept off 0 and 1 where the log-odds are infinite."""
    return float(np.clip(rows.labels.mean(), 1e-4, 1 - 1e-4))


def _check_labels(spec: ModelSpec, rows: Examples) -> None:
    """Refuse labels nothing can be learned from."""
    if not np.isfinite(rows.labels).all():
        raise InputError("labels are not finite", where=spec.name, fix="drop or censor those rows first")
    distinct = np.unique(rows.labels)
    if spec.task == "binary" and set(distinct.tolist()) - {0.0, 1.0}:
        raise InputError("binary labels are 0 and 1", where=spec.name)
    if len(distinct) < 2:
        raise InputError(f"all {len(rows.labels)} labels are equal", where=spec.name, fix="add failures, or assets")
