"""A prediction taken apart long after it was made: from its log, its version's pins, and what happened since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lineshaft.clock import Clock, moment
from lineshaft.errors import LineshaftError
from lineshaft.models.alarms import AlarmRule
from lineshaft.models.counterfactual import Move, nearest, ranges, stops
from lineshaft.models.events import known_events
from lineshaft.models.loading import load_model
from lineshaft.models.matrix import feature_matrix
from lineshaft.ops.aftermath import rule_of
from lineshaft.ops.inputs_then import LateRow, inputs_then
from lineshaft.ops.model_file import parse_model
from lineshaft.ops.predictions import find_prediction, last_before
from lineshaft.ops.reproduce import kept_training_set
from lineshaft.ops.tables import read_table
from lineshaft.outcomes.findings import with_findings
from lineshaft.outcomes.states import ORDER, judge
from lineshaft.registry.alerts import AlertFinding
from lineshaft.registry.catalog_values import Catalog
from lineshaft.registry.models import ModelRegistry
from lineshaft.registry.records import ModelVersion
from lineshaft.specs import Service
from lineshaft.stores.ports import OfflineStore

RECENT = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """Where a prediction is explained from."""

    predictions: Path
    tables: Path
    registry: ModelRegistry
    catalog: Catalog
    offline: OfflineStore
    environment: str
    clock: Clock
    findings: Sequence[AlertFinding] = ()  # what people said of alerts: it counts as what happened


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One input: as the model saw it, as the offline store gives it for that moment, and what it moved."""

    feature: str
    value: float | None
    offline: float | None
    same: bool
    contribution: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """All that is known of a prediction."""

    prediction_id: str
    version: ModelVersion
    keys: Mapping[str, Any]
    asked_us: int
    score: float | None
    again: float | None  # the score, made again of the logged inputs
    degraded: bool
    base: float
    inputs: tuple[Input, ...]  # those that moved the score most come first
    offline_fault: str  # why the offline store could not be asked; empty where it was
    late: tuple[LateRow, ...]  # where inputs differ only because these rows were received after the moment asked about
    decided: Mapping[str, str]  # who gave the version its slot: by, at, reason, act
    recent: tuple[Mapping[str, Any], ...]
    outcome: str
    rule: AlarmRule | None
    moves: tuple[Move, ...] = field(default=())

    @property
    def proven(self) -> bool:
        """Tell whether the score and every input are, bit for bit, what is found again."""
        return self.score == self.again and not self.offline_fault and all(one.same for one in self.inputs)


def explain(prediction_id: str, records: Records, *, threshold: float | None = None) -> Explanation:
    """Explain a prediction; `threshold` stands in for the alert's own."""
    row = find_prediction(records.predictions, prediction_id)
    model, _, number = row["version"][0].as_py().rpartition("@")
    version = records.registry.get(model, int(number))
    artifact = records.registry.load(version)
    scorer = load_model(artifact, features=version.features)
    seen = feature_matrix(row, version.features)
    scored = scorer.score(seen)
    asked_us = int(row["asked_at"].cast(pa.int64())[0].as_py())
    service = Service.from_json(version.service_json)
    then = inputs_then(records.catalog, records.offline, row, version, seen=seen[0])
    rule = AlarmRule.of(version.params, task=version.task)
    if threshold is not None:
        rule = replace(rule or AlarmRule(below=version.task == "rul"), threshold=threshold)
        rule.check_reach(version.task)
    score = row["score"][0].as_py()
    refused = score is None  # the model was not asked: an input it requires was not there
    again = None if refused else float(scored.scores[0])
    return Explanation(
        prediction_id=prediction_id,
        version=version,
        keys=_keys(row, records.catalog, service),
        asked_us=asked_us,
        score=score,
        again=again,
        degraded=row["degraded"][0].as_py(),
        base=scored.base,
        inputs=_inputs(version, seen[0], then.values, scored.reasons[0]),
        offline_fault=then.fault,
        late=then.late,
        decided=_decided(records, version, asked_us),
        recent=_recent(records, model, _keys(row, records.catalog, service), asked_us),
        outcome=_outcome(records, version, row, asked_us, score=again, alarm=rule),
        rule=rule,
        moves=() if refused or rule is None else tuple(_moves(records, version, artifact, scorer, seen[0], rule)),
    )


def _keys(row: pa.Table, catalog: Catalog, service: Service) -> dict[str, Any]:
    """Return the entity that was asked about."""
    names = {name for used in service.views for name, _ in catalog.view(used.view, used.version).entity_keys}
    return {name: row[name][0].as_py() for name in row.column_names if name in names}


def _inputs(
    version: ModelVersion, seen: NDArray[np.float32], found: NDArray[np.float32] | None, moved: NDArray[np.float64]
) -> tuple[Input, ...]:
    """Return the inputs side by side."""
    order = np.argsort(-np.abs(moved), kind="stable").tolist()
    return tuple(
        Input(
            feature=version.features[i],
            value=_known(seen[i]),
            offline=None if found is None else _known(found[i]),
            same=found is not None and seen[i : i + 1].tobytes() == found[i : i + 1].tobytes(),
            contribution=float(moved[i]),
        )
        for i in order
    )


def _known(value: np.float32) -> float | None:
    return float(value) if np.isfinite(value) else None


def _decided(records: Records, version: ModelVersion, asked_us: int) -> dict[str, str]:
    """Return the act by which the version held its slot then; where it held none by the clock, its last one."""
    lines = [
        line
        for line in records.registry.history(version.model)
        if line.number == version.number and line.after.startswith(f"{records.environment}:")
    ]
    if not lines:
        return {}
    line = next((one for one in reversed(lines) if one.at_us <= asked_us), lines[-1])
    return {"act": f"{line.action} {line.after}", "by": line.actor, "at": moment(line.at_us), "reason": line.reason}


def _recent(records: Records, model: str, keys: Mapping[str, Any], asked_us: int) -> tuple[Mapping[str, Any], ...]:
    """Return the last scores of the same entity, this one too, oldest first."""
    lines = last_before(records.predictions, model, keys, at_us=asked_us, count=RECENT)
    return tuple({"at": moment(one["at_us"]), "version": one["version"], "score": one["score"]} for one in lines)


def _outcome(
    records: Records,
    version: ModelVersion,
    row: pa.Table,
    asked_us: int,
    *,
    score: float | None,
    alarm: AlarmRule | None,
) -> str:
    """Say what became of it, as far as the log of today knows, by the rule that judges every prediction."""
    told = version.provenance
    if told is None or not told.label_table or "asset_id" not in row.column_names:
        return "not known: the version names no log of outcomes"
    declared = parse_model(version.model, told.model_file, where=version.ref)
    if not declared.log or not declared.horizon_us:
        return "not known: a life left is counted, and no failure within a horizon was foretold"
    now_us = records.clock.now_us()
    try:
        log = with_findings(read_table(declared.log, records.tables), records.findings, model=version.model)
        rule = rule_of(declared, log, at_us=now_us)
        events = known_events(log, at_us=now_us)
    except LineshaftError as error:
        return f"not known: {error.what}"
    alert = np.array([score is not None and (alarm or rule.alarm).passes(score)])
    found = judge(row["asset_id"], np.array([asked_us], np.int64), alert, events=events, rule=rule, at_us=now_us)
    return str(ORDER[int(found.states[0])])


def _moves(
    records: Records, version: ModelVersion, artifact: bytes, scorer: Any, seen: NDArray[np.float32], rule: AlarmRule
) -> list[Move]:
    """Return what would have had to be otherwise, within what machines have shown."""
    shown = kept_training_set(version, records.tables)
    if shown is None:
        return []
    rows = feature_matrix(shown, version.features)
    return nearest(
        scorer.predict,
        seen,
        features=version.features,
        stops=stops(artifact, version.features, rows),
        within=ranges(version.features, rows),
        rule=rule,
    )
