"""What became of a model's predictions: figures with the share that may be judged, and how experiments stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from lineshaft.errors import LineshaftError
from lineshaft.ops.aftermath import alerting, judge_all, rule_of
from lineshaft.ops.model_file import ModelFile, parse_model
from lineshaft.ops.predictions import read_predictions
from lineshaft.ops.tables import read_table
from lineshaft.ops.trial import standing_of
from lineshaft.outcomes.figures import figures
from lineshaft.outcomes.findings import with_findings
from lineshaft.registry.records import Experiment, ModelVersion
from lineshaft_governance.web.parts import Asked, WebParts

_COLUMNS = ("prediction_id", "asset_id", "asked_at", "version", "role", "score", "status")
_FRESH_S = 60.0


def outcomes(parts: WebParts, _asked: Asked, model: str, versions: Sequence[ModelVersion]) -> dict[str, Any]:
    """Return what `lineshaft outcomes` says of a model, with when it was judged; or why nothing can be said."""
    declared = _declared(versions)
    if declared is None or not declared.log:
        return {"rows": [], "why": "no version names a log of what happened", "at_us": None}
    look = parts.looks.at(("outcomes", model), lambda: _judged(parts, model, declared), fresh_s=_FRESH_S)
    if look.error is not None:
        return {"rows": [], "why": look.error.what, "at_us": look.at_us}
    return {"rows": look.value or [], "why": "" if look.value is not None else "being judged", "at_us": look.at_us}


def experiments(parts: WebParts, model: str, versions: Sequence[ModelVersion]) -> list[dict[str, Any]]:
    """Return every experiment on a model, the newest first; of one that runs, how it stands."""
    rows = []
    for one, ended in parts.registry.experiments.all_of(model)[::-1]:
        row = {**asdict(one), "share": one.weight_bp / 10_000}
        if ended is not None:
            told = {"verdict": ended.verdict, "detail": ended.detail, "ended_us": ended.ended_us}
        else:
            told = _standing(parts, one, versions)
        rows.append({**row, **told})
    return rows


def _judged(parts: WebParts, model: str, declared: ModelFile) -> list[dict[str, Any]]:
    log = _log(parts, declared)
    at_us = parts.clock.now_us()
    rule = rule_of(alerting(declared), log, at_us=at_us)
    found = judge_all(read_predictions(parts.predictions, model, columns=_COLUMNS), log, rule=rule, at_us=at_us)
    return [
        {
            **{name: getattr(one, name) for name in ("version", "slot", "floor", "ceiling", "recall", "matured")},
            "lead_s": one.lead_s,
            "precision": asdict(one.precision),
            "counts": {str(state): count for state, count in one.counts.items()},
        }
        for one in figures(found.episodes)
    ]


def _standing(parts: WebParts, one: Experiment, versions: Sequence[ModelVersion]) -> dict[str, Any]:
    """Say how a running experiment stands."""
    declared = _declared(versions)
    if declared is None or not declared.log:
        return {"verdict": "running", "detail": "no log of what happened is named", "ended_us": None}
    look = parts.looks.at(("trial", one.salt), lambda: _trial(parts, one, declared), fresh_s=_FRESH_S)
    if look.value is None:
        return {"verdict": "running", "detail": look.error.what if look.error else "being compared", "ended_us": None}
    return {"verdict": "running", "detail": look.value, "ended_us": None}


def _trial(parts: WebParts, one: Experiment, declared: ModelFile) -> str:
    log, at_us = _log(parts, declared), parts.clock.now_us()
    told = read_predictions(parts.predictions, one.model, columns=_COLUMNS)
    trial = standing_of(one, told, log, rule=rule_of(alerting(declared), log, at_us=at_us), at_us=at_us)
    arms = trial.comparison
    assets = f"{arms.champion_assets} and {arms.challenger_assets} assets, {trial.matured:.0%} of predictions matured"
    if arms.outcome == "too_few_assets":
        return f"too few assets: {assets}"
    return f"{arms.outcome}: difference {arms.difference:+.4g} ({arms.low:+.4g} to {arms.high:+.4g}); {assets}"


def _log(parts: WebParts, declared: ModelFile) -> Any:
    """Return what happened, with what people found of alerts."""
    log = read_table(declared.log, parts.tables)
    found = () if parts.alerts is None else parts.alerts.findings(model=declared.name)
    return with_findings(log, found, model=declared.name)


def _declared(versions: Sequence[ModelVersion]) -> ModelFile | None:
    """Return the newest declaration that a version was trained by."""
    for version in versions:
        if version.provenance is not None and version.provenance.model_file:
            try:
                return parse_model(version.model, version.provenance.model_file, where=version.ref)
            except LineshaftError:
                continue
    return None
