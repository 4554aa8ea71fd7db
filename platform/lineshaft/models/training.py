"""Train: sorted rows, one thread, a seed, groups apart: the same rows give the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from lineshaft.errors import DefinitionError, InputError
from lineshaft.models import calibration, golden
from lineshaft.models.alarm_figures import alarm_figures, budget_figures, calibration_error
from lineshaft.models.alarms import AlarmRule
from lineshaft.models.anomaly import fit_detector, train_detector
from lineshaft.models.censored import bounds, concordance, fit_weibull
from lineshaft.models.golden import Golden, golden_rows
from lineshaft.models.matrix import Examples, examples
from lineshaft.models.scores import METRICS, Floats, curve, evaluate, half_width
from lineshaft.models.scoring import Scorer
from lineshaft.models.single import best_alone
from lineshaft.models.spec import ModelSpec
from lineshaft.models.splits import Part, judged_together, learned_from
from lineshaft.models.trained import Fitted, TrainedModel, Unseen, told_of

_CALIBRATING_FOLDS = 5

OBJECTIVES = {
    "binary": "binary:logistic",
    "regression": "reg:squarederror",
    "rul": "reg:squarederror",
    "survival": "survival:aft",
}


def train(spec: ModelSpec, table: pa.Table) -> TrainedModel:
    """Train on a point-in-time training set; no figure is of a group, or by time of a future, that its judge has seen.

    The artifact is fitted on all groups where the spec has folds, on those not held out where it has none.
    table: the spec's group, time, label and feature columns, in any row order; nulls in features are missing values.

    Raises
    ------
    InputError
        If a column is missing, labels hold nulls or (binary) anything but 0 and 1, or there is nothing to learn.
    """
    rows = examples(spec, table)
    if spec.task == "anomaly":
        return train_detector(spec, rows)
    _check_labels(spec, rows)
    parts = judged_together(spec, rows)
    judged = np.logical_or.reduce([part.judged for part in parts])
    truth, learned = rows.take(judged), learned_from(spec, rows)
    name, metric = METRICS[spec.task]
    judges = _judges(spec, rows, parts, features=spec.features)
    scores = _unseen(spec, judges, rows, parts)[judged]
    figures = evaluate(
        spec.task,
        train_labels=learned.labels,
        labels=truth.labels,
        scores=scores,
        groups=truth.groups,
        seed=spec.seed,
    )
    plain = replace(spec, calibrate="none")
    if spec.age:
        by_age = _unseen(spec, _judges(plain, rows, parts, features=(spec.age,)), rows, parts)[judged]
        figures[f"age_only_{name}"] = metric(truth.labels, by_age)
    alone = [_judges(plain, rows, [part], features=(best_alone(spec, rows.take(part.learned)),))[0] for part in parts]
    figures[f"one_feature_{name}"] = metric(truth.labels, _unseen(spec, alone, rows, parts)[judged])
    if spec.task == "binary":
        figures["ece"] = calibration_error(truth.labels, scores)
        if spec.calibrate != "none":
            before = _unseen(spec, [replace(judge, calibration=None) for judge in judges], rows, parts)[judged]
            figures["ece_uncalibrated"] = calibration_error(truth.labels, before)
        figures |= alarm_figures(spec.alert or AlarmRule(), truth, scores)
        figures |= budget_figures(spec.alert or AlarmRule(), truth, scores, budget=spec.budget)
    if spec.task == "survival":
        figures |= _beside_survival(spec, rows, parts, scores)
    if spec.task == "rul":
        figures["half_width_90"] = half_width(scores - truth.labels, truth.groups, coverage=0.9)
    fitted = fit(spec, rows)
    return TrainedModel(
        artifact=fitted.artifact,
        artifact_format="ubj",
        features=spec.features,
        params=fitted.params,
        metrics=figures,
        training_set=rows.fingerprint,
        rows=len(rows.labels),
        seed=spec.seed,
        library=fitted.library,
        unseen=Unseen.of(spec, truth, scores),
        curve=_curve(spec, truth.labels, scores),
    )


def fit(spec: ModelSpec, rows: Examples, *, threads: int = 1) -> Fitted:
    """Fit the artifact of a spec; the number of threads changes no bit of it.

    It learns from all rows where the spec has folds, else from those that are not held out.
    """
    import xgboost

    if spec.task == "anomaly":
        return fit_detector(spec, rows)
    learned = learned_from(spec, rows)
    params = {**_params(spec, learned, features=spec.features), "rounds": spec.rounds}
    return Fitted(
        artifact=_fit(spec, learned, features=spec.features, threads=threads),
        params={**params, **told_of(spec)},
        library=f"xgboost {xgboost.__version__}",
    )


def _judges(spec: ModelSpec, rows: Examples, parts: Sequence[Part], *, features: tuple[str, ...]) -> list[Scorer]:
    """Return for each part a model that never saw its groups."""
    return [Scorer.load(_fit(spec, rows.take(part.learned), features=features), features=features) for part in parts]


def _unseen(spec: ModelSpec, judges: Sequence[Scorer], rows: Examples, parts: Sequence[Part]) -> Floats:
    """Return each row's score by the model of its part; NaN where no part judges it."""
    scores = np.full(len(rows.labels), np.nan)
    for judge, part in zip(judges, parts, strict=True):
        chosen = [spec.features.index(name) for name in judge.features]
        scores[part.judged] = judge.predict(rows.values[part.judged][:, chosen])
    return scores


def _beside_survival(spec: ModelSpec, rows: Examples, parts: Sequence[Part], scores: Floats) -> dict[str, float]:
    """Return what stands beside a survival model: a law of age alone, and what one that knows no censoring would say.

    `naive_over_censored`: of the same rows, its median prediction over the model's; below 1, it is too dark.
    """
    judged = np.logical_or.reduce([part.judged for part in parts])
    told = replace(rows, labels=np.abs(rows.labels))
    naive = _unseen(spec, _judges(spec, told, parts, features=spec.features), rows, parts)[judged]
    figures = {
        "censored_share": float(np.mean(rows.labels < 0)),
        "naive_over_censored": float(np.median(naive) / np.median(scores)),
        "median_life_left": float(np.median(scores)),
    }
    if spec.age:
        by_law = np.full(len(rows.labels), np.nan)
        age = rows.values[:, spec.features.index(spec.age)].astype(np.float64)
        for part in parts:
            law = fit_weibull(age[part.learned], rows.labels[part.learned])
            by_law[part.judged] = law.median_left(age[part.judged])
        figures["weibull_c_index"] = concordance(rows.labels[judged], by_law[judged])
    return figures


def _curve(spec: ModelSpec, labels: Floats, scores: Floats) -> tuple[tuple[float, float], ...]:
    """Return what a model card draws; of lives, those that ended."""
    known = labels > 0 if spec.task == "survival" else np.ones(len(labels), dtype=bool)
    return curve(spec.task, labels=labels[known], scores=scores[known])


def _params(spec: ModelSpec, rows: Examples, *, features: tuple[str, ...]) -> dict[str, float | int | str]:
    """Return what XGBoost is told."""
    signs = ",".join(str((name in spec.rising) - (name in spec.falling)) for name in features)
    physics = {"monotone_constraints": f"({signs})"} if spec.rising or spec.falling else {}
    return {
        "objective": OBJECTIVES[spec.task],
        "tree_method": "hist",
        "max_depth": 5,
        "eta": 0.05,
        "min_child_weight": 5,
        "subsample": 0.8,
        "colsample_bytree": 0.6,
        "base_score": _base_score(spec, rows),
        **physics,
        **spec.params,
        "seed": spec.seed,
    }


def _fit(spec: ModelSpec, rows: Examples, *, features: tuple[str, ...], threads: int = 1) -> bytes:
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
    params = {**_params(spec, rows, features=features), "nthread": threads}
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


def _calibration(spec: ModelSpec, rows: Examples, *, features: tuple[str, ...]) -> calibration.Calibration:
    """Return the law of sums that models gave to groups they never saw, of these rows alone."""
    groups = len(np.unique(rows.groups))
    if groups < 2:
        raise InputError("a calibration needs at least two groups to learn from", where=spec.name, fix="add assets")
    inner = replace(spec, calibrate="none", split="asset", embargo_us=0, folds=min(_CALIBRATING_FOLDS, groups))
    parts = judged_together(inner, rows)
    judges = _judges(inner, rows, parts, features=features)
    margins = _unseen(spec, [replace(judge, objective="binary:logitraw") for judge in judges], rows, parts)
    return calibration.fit_calibration(spec.calibrate, margins, rows.labels)


def _base_score(spec: ModelSpec, rows: Examples) -> float:
    """Return what every score begins with: a prevalence kept off 0 and 1, a mean, of lives the median seen."""
    if spec.task == "binary":
        return float(np.clip(rows.labels.mean(), 1e-4, 1 - 1e-4))
    return float(np.median(np.abs(rows.labels)) if spec.task == "survival" else rows.labels.mean())


def _check_labels(spec: ModelSpec, rows: Examples) -> None:
    """Refuse labels nothing can be learned from."""
    if not np.isfinite(rows.labels).all():
        raise InputError("labels are not finite", where=spec.name, fix="drop or censor those rows first")
    distinct = np.unique(rows.labels)
    if spec.task == "binary" and set(distinct.tolist()) - {0.0, 1.0}:
        raise InputError("binary labels are 0 and 1", where=spec.name)
    if spec.task == "survival" and not ((distinct > 0).any() and (distinct != 0).all()):
        raise InputError("no life ended, or one lasted no time", where=spec.name, fix="follow for longer")
    if len(distinct) < 2:
        raise InputError(f"all {len(rows.labels)} labels are equal", where=spec.name, fix="add failures, or assets")
