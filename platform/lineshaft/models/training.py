"""Train: sorted rows, one thread, a seed, groups apart: the same rows give the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from lineshaft.errors import InputError
from lineshaft.models.alarm_figures import alarm_figures, budget_figures, calibration_error
from lineshaft.models.alarms import AlarmRule
from lineshaft.models.anomaly import fit_detector, train_detector
from lineshaft.models.censored import concordance, fit_weibull
from lineshaft.models.fitting import fit_trees, judge_of, told_to, unseen
from lineshaft.models.matrix import Examples, examples
from lineshaft.models.scores import METRICS, Floats, curve, evaluate, half_width
from lineshaft.models.scoring import Scorer
from lineshaft.models.single import best_alone
from lineshaft.models.spec import ModelSpec
from lineshaft.models.splits import Part, judged_together, learned_from
from lineshaft.models.trained import Fitted, TrainedModel, Unseen, told_of
from lineshaft.models.tuning import Tuning, search


def train(spec: ModelSpec, table: pa.Table, *, tuning: Tuning | None = None) -> TrainedModel:
    """Train on a point-in-time training set; no figure is of a group, or by time of a future, that its judge has seen.

    The artifact is fitted on all groups where the spec has folds, on those not held out where it has none. With
    `tuning`, parameters are looked for first: of each judge, and of the artifact, among the rows that it learns from.
    table: the spec's group, time, label and feature columns, in any row order; nulls in features are missing values.

    Raises
    ------
    InputError
        If a column is missing, labels hold nulls or (binary) anything but 0 and 1, or there is nothing to learn.
    """
    rows = examples(spec, table)
    if spec.task == "anomaly":
        if tuning is not None:
            search(spec, rows, (), tuning)
        return train_detector(spec, rows)
    _check_labels(spec, rows)
    parts = judged_together(spec, rows)
    judged = np.logical_or.reduce([part.judged for part in parts])
    truth, learned = rows.take(judged), learned_from(spec, rows)
    name, metric = METRICS[spec.task]
    found, tuned = (None, [spec] * len(parts)) if tuning is None else search(spec, rows, parts, tuning)
    judges = _judges(tuned, rows, parts)
    scores = unseen(spec, judges, rows, parts)[judged]
    figures = evaluate(
        spec.task,
        train_labels=learned.labels,
        labels=truth.labels,
        scores=scores,
        groups=truth.groups,
        seed=spec.seed,
    )
    if found is not None:
        declared = _judges([spec] * len(parts), rows, parts)
        figures[f"untuned_{name}"] = metric(truth.labels, unseen(spec, declared, rows, parts)[judged])
    figures |= _beside(spec, rows, parts)
    if spec.task == "binary":
        figures["ece"] = calibration_error(truth.labels, scores)
        if spec.calibrate != "none":
            before = unseen(spec, [replace(judge, calibration=None) for judge in judges], rows, parts)[judged]
            figures["ece_uncalibrated"] = calibration_error(truth.labels, before)
        figures |= alarm_figures(spec.alert or AlarmRule(), truth, scores)
        figures |= budget_figures(spec.alert or AlarmRule(), truth, scores, budget=spec.budget)
    if spec.task == "survival":
        figures |= _beside_survival(tuned, rows, parts, scores)
    if spec.task == "rul":
        figures["half_width_90"] = half_width(scores - truth.labels, truth.groups, coverage=0.9)
    fitted = fit(spec if found is None else found.applied(spec), rows)
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
        search=found,
    )


def fit(spec: ModelSpec, rows: Examples, *, threads: int = 1) -> Fitted:
    """Fit the artifact of a spec; the number of threads changes no bit of it.

    It learns from all rows where the spec has folds, else from those that are not held out.
    """
    import xgboost

    if spec.task == "anomaly":
        return fit_detector(spec, rows)
    learned = learned_from(spec, rows)
    params = {**told_to(spec, learned, features=spec.features), "rounds": spec.rounds}
    return Fitted(
        artifact=fit_trees(spec, learned, features=spec.features, threads=threads),
        params={**params, **told_of(spec)},
        library=f"xgboost {xgboost.__version__}",
    )


def _beside(spec: ModelSpec, rows: Examples, parts: Sequence[Part]) -> dict[str, float]:
    """Return what stands beside every score: the figure of age alone, and of the one feature that says most."""
    spec = replace(spec, calibrate="none")
    judged = np.logical_or.reduce([part.judged for part in parts])
    name, metric = METRICS[spec.task]
    told = {"one_feature": [(best_alone(spec, rows.take(part.learned)),) for part in parts]}
    if spec.age:
        told["age_only"] = [(spec.age,)] * len(parts)
    figures = {}
    for what, features in told.items():
        judges = [judge_of(spec, rows, part, features=some) for part, some in zip(parts, features, strict=True)]
        figures[f"{what}_{name}"] = metric(rows.labels[judged], unseen(spec, judges, rows, parts)[judged])
    return figures


def _judges(specs: Sequence[ModelSpec], rows: Examples, parts: Sequence[Part]) -> list[Scorer]:
    """Return for each part a model, by its own spec, that never saw what it judges."""
    return [judge_of(spec, rows, part, features=spec.features) for spec, part in zip(specs, parts, strict=True)]


def _beside_survival(
    specs: Sequence[ModelSpec], rows: Examples, parts: Sequence[Part], scores: Floats
) -> dict[str, float]:
    """Return what stands beside a survival model: a law of age alone, and what one that knows no censoring would say.

    `naive_over_censored`: of the same rows, its median prediction over the model's; below 1, it is too dark.
    """
    spec = specs[0]
    judged = np.logical_or.reduce([part.judged for part in parts])
    told = replace(rows, labels=np.abs(rows.labels))
    naive = unseen(spec, _judges(specs, told, parts), rows, parts)[judged]
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
