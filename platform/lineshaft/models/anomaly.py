"""Train a detector: healthy rows in, and how often it would cry wolf over healthy assets that it never saw."""

from __future__ import annotations

import numpy as np

from lineshaft.errors import InputError
from lineshaft.models.alarm_figures import alarm_rate
from lineshaft.models.detectors import Detector, fit, to_bytes
from lineshaft.models.matrix import Examples
from lineshaft.models.scores import asset_interval
from lineshaft.models.spec import ModelSpec
from lineshaft.models.splits import judged_together, learned_from
from lineshaft.models.trained import Fitted, TrainedModel, Unseen, told_of

TREES = 100
_LEVELS = {"healthy_p50": 0.5, "healthy_p99": 0.99, "healthy_p999": 0.999}


def train_detector(spec: ModelSpec, rows: Examples) -> TrainedModel:
    """Fit a detector to healthy rows; every figure is of assets that the detector it judges never saw.

    `false_alarm_share` is of rows that pass the threshold, `alarms_per_asset_day` of alerts that the rule would raise;
    the baseline is to alarm always.

    Raises
    ------
    InputError
        If fewer than two assets are healthy for a while, or a feature never moves.
    """
    rule = spec.alert
    if rule is None:
        raise InputError("an anomaly model needs its alert", where=spec.name, fix="write alert: {threshold: 6}")
    rows = _told_of(spec, rows)
    parts = judged_together(spec, rows)
    judged = np.logical_or.reduce([part.judged for part in parts])
    scores = np.full(len(rows.groups), np.nan)
    for part in parts:
        scores[part.judged] = _fit(spec, rows.take(part.learned)).score(rows.values[part.judged]).scores
    truth, scores = rows.take(judged), scores[judged]
    passed = rule.passed(scores).astype(np.float64)
    low, high = asset_interval(lambda some: float(passed[some].mean()), truth.groups, seed=spec.seed)
    fitted = fit_detector(spec, rows)
    return TrainedModel(
        artifact=fitted.artifact,
        artifact_format="json",
        features=spec.features,
        params=fitted.params,
        metrics={
            "false_alarm_share": float(passed.mean()),
            "false_alarm_share_low": low,
            "false_alarm_share_high": high,
            "baseline_false_alarm_share": 1.0,
            "alarms_per_asset_day": alarm_rate(rule, truth, scores),
            **{name: float(np.quantile(scores, level)) for name, level in _LEVELS.items()},
            "train_rows": float(len(rows.groups) if spec.folds else (~judged).sum()),
            "test_rows": float(len(scores)),
            "test_groups": float(len(np.unique(truth.groups))),
        },
        training_set=rows.fingerprint,
        rows=len(rows.groups),
        seed=spec.seed,
        library=fitted.library,
        unseen=Unseen.of(spec, truth, scores),
    )


def fit_detector(spec: ModelSpec, rows: Examples) -> Fitted:
    """Fit the detector of a spec to all healthy rows, or, where it has no folds, to those of assets not held out."""
    rows = _told_of(spec, rows)
    return Fitted(
        artifact=to_bytes(_fit(spec, learned_from(spec, rows))),
        params={"detector": spec.detector, **spec.params, **told_of(spec)},
        library=f"numpy {np.__version__}",
    )


def _told_of(spec: ModelSpec, rows: Examples) -> Examples:
    """Return the rows that have a feature: before an asset has a baseline there is nothing to say of it."""
    rows = rows.take(np.asarray(np.isfinite(rows.values).any(axis=1)))
    if not len(rows.groups):
        raise InputError("no feature is known while assets are healthy", where=spec.name, fix="call more of it healthy")
    return rows


def _fit(spec: ModelSpec, rows: Examples) -> Detector:
    """Return the detector of healthy rows."""
    trees = int(spec.params.get("trees", TREES))
    return fit(spec.detector, rows.values, spec.features, seed=spec.seed, trees=trees)
