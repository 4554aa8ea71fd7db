"""Fit trees to rows: sorted rows, a seed, whatever the number of threads: the same rows give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from lineshaft.errors import DefinitionError, InputError
from lineshaft.models import calibration, golden
from lineshaft.models.censored import bounds
from lineshaft.models.golden import Golden, golden_rows
from lineshaft.models.matrix import Examples
from lineshaft.models.parameters import Value
from lineshaft.models.scores import Floats
from lineshaft.models.scoring import Scorer
from lineshaft.models.spec import ModelSpec
from lineshaft.models.splits import Part, judged_together

_CALIBRATING_FOLDS = 5

OBJECTIVES = {
    "binary": "binary:logistic",
    "regression": "reg:squarederror",
    "rul": "reg:squarederror",
    "survival": "survival:aft",
}

DEFAULTS: Mapping[str, Value] = {
    "tree_method": "hist",
    "max_depth": 5,
    "eta": 0.05,
    "min_child_weight": 5,
    "subsample": 0.8,
    "colsample_bytree": 0.6,
}
"""What trees are grown with where a declaration does not say."""


def told_to(spec: ModelSpec, rows: Examples, *, features: tuple[str, ...]) -> dict[str, Value]:
    """Return what XGBoost is told."""
    signs = ",".join(str((name in spec.rising) - (name in spec.falling)) for name in features)
    physics = {"monotone_constraints": f"({signs})"} if spec.rising or spec.falling else {}
    return {
        "objective": OBJECTIVES[spec.task],
        **DEFAULTS,
        "base_score": _base_score(spec, rows),
        **physics,
        **spec.params,
        "seed": spec.seed,
    }


def fit_trees(spec: ModelSpec, rows: Examples, *, features: tuple[str, ...], threads: int = 1) -> bytes:
    """Return the booster of these rows and features, as UBJSON."""
    import xgboost

    chosen = [spec.features.index(name) for name in features]
    names, values = list(features), rows.values[:, chosen]
    held = xgboost.DMatrix(values, label=rows.labels, feature_names=names, nthread=1)
    if spec.task == "survival":
        least, most = bounds(rows.labels)
        held.set_float_info("label_lower_bound", least)
        held.set_float_info("label_upper_bound", most)
    # The bits are the same with two threads; the wall clock on a shared machine is not.
    params = {**told_to(spec, rows, features=features), "nthread": threads}
    try:
        booster = xgboost.train(params, held, num_boost_round=spec.rounds)
    except xgboost.core.XGBoostError as error:
        what = f"XGBoost refuses this: {str(error).splitlines()[0]}"
        raise DefinitionError(what, where=f"params of {spec.name!r}", fix="see XGBoost's parameters") from error
    known = xgboost.DMatrix(golden_rows(values), feature_names=names, nthread=1)
    scores = booster.predict(known)
    if spec.calibrate != "none":
        law = _calibration(spec, rows, features=features)
        booster.set_attr(**{calibration.ATTRIBUTE: law.text()})
        scores = law.apply(booster.predict(known, output_margin=True).astype(np.float64))
    booster.set_attr(**{golden.ATTRIBUTE: Golden(rows=golden_rows(values), scores=scores).text()})
    return bytes(booster.save_raw("ubj"))


def judge_of(spec: ModelSpec, rows: Examples, part: Part, *, features: tuple[str, ...]) -> Scorer:
    """Return a model that never saw the rows that a part judges."""
    return Scorer.load(fit_trees(spec, rows.take(part.learned), features=features), features=features)


def unseen(spec: ModelSpec, judges: Sequence[Scorer], rows: Examples, parts: Sequence[Part]) -> Floats:
    """Return each row's score by the model of its part; NaN where no part judges it."""
    scores = np.full(len(rows.labels), np.nan)
    for judge, part in zip(judges, parts, strict=True):
        chosen = [spec.features.index(name) for name in judge.features]
        scores[part.judged] = judge.predict(rows.values[part.judged][:, chosen])
    return scores


def _calibration(spec: ModelSpec, rows: Examples, *, features: tuple[str, ...]) -> calibration.Calibration:
    """Return the law of sums that models gave to groups they never saw, of these rows alone."""
    groups = len(np.unique(rows.groups))
    if groups < 2:
        raise InputError("a calibration needs at least two groups to learn from", where=spec.name, fix="add assets")
    inner = replace(spec, calibrate="none", split="asset", embargo_us=0, folds=min(_CALIBRATING_FOLDS, groups))
    parts = judged_together(inner, rows)
    judges = [replace(judge_of(inner, rows, part, features=features), objective="binary:logitraw") for part in parts]
    return calibration.fit_calibration(spec.calibrate, unseen(spec, judges, rows, parts), rows.labels)


def _base_score(spec: ModelSpec, rows: Examples) -> float:
    """Return what every score begins with: a prevalence kept off 0 and 1, a mean, of lives the median seen."""
    if spec.task == "binary":
        return float(np.clip(rows.labels.mean(), 1e-4, 1 - 1e-4))
    return float(np.median(np.abs(rows.labels)) if spec.task == "survival" else rows.labels.mean())
