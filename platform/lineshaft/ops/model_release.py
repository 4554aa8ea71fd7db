"""From a training set to a champion: train, register with its pins, judge, promote what passed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pyarrow as pa

from lineshaft.errors import ConflictError
from lineshaft.models.gate import GatePolicy, Judgement, judge
from lineshaft.models.spec import ModelSpec
from lineshaft.models.trained import TrainedModel
from lineshaft.models.training import train
from lineshaft.registry.models import ModelRegistry
from lineshaft.registry.records import Assignment, Candidate, ModelVersion, Provenance, Verdict, ViewPin
from lineshaft.specs import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What became of a model: its version, the gate's judgement, and the assignment if it was promoted."""

    version: ModelVersion
    judgement: Judgement
    assignment: Assignment | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a training set came from and who asks: what a version pins beside the rows themselves."""

    service: Service
    table_versions: Mapping[str, int]  # view name -> offline table version read
    actor: str
    lock_sha256: str = ""
    provenance: Provenance | None = None


def candidate(spec: ModelSpec, trained: TrainedModel, origin: Origin) -> Candidate:
    """Put a trained model and its origin together as the registry takes it."""
    pins = tuple(
        ViewPin(view=used.view, version=used.version, table_version=origin.table_versions.get(used.view, -1))
        for used in origin.service.views
    )
    return Candidate(
        model=spec.name,
        task=spec.task,
        service=origin.service.name,
        service_json=origin.service.to_json(),
        features=trained.features,
        pins=pins,
        training_set=trained.training_set,
        rows=trained.rows,
        artifact=trained.artifact,
        artifact_format=trained.artifact_format,
        params=trained.params,
        metrics=trained.metrics,
        seed=trained.seed,
        library=trained.library,
        lock_sha256=origin.lock_sha256,
        provenance=origin.provenance and replace(origin.provenance, curve=trained.curve),
        team=spec.team,
        owner=spec.owner,
        description=spec.description,
    )


def release(
    registry: ModelRegistry, spec: ModelSpec, table: pa.Table, *, origin: Origin, policy: GatePolicy, environment: str
) -> Release:
    """Train on a point-in-time training set and register the result; promote it if its gate passes.

    table: entity columns, the label, and the service's `view__feature` columns.
    """
    trained = train(spec, table)
    version = registry.register(candidate(spec, trained, origin), actor=origin.actor, reason=f"{trained.rows} rows")
    version, judgement = _judged(registry, version, policy, actor=origin.actor)
    assignment = None
    if judgement.outcome == "pass":
        reason = f"{policy.name}: {judgement.detail}"
        assignment = registry.promote(
            version.model, version.number, environment=environment, actor=origin.actor, reason=reason
        )
    return Release(version=version, judgement=judgement, assignment=assignment)


def pass_gate(registry: ModelRegistry, version: ModelVersion, policy: GatePolicy, *, actor: str) -> Judgement:
    """Judge a version by a policy, for the record; raises `ConflictError` for every outcome but a pass."""
    _, judgement = _judged(registry, version, policy, actor=actor)
    if judgement.outcome != "pass":
        raise ConflictError(
            f"{version.ref} does not pass {policy.name!r}: {judgement.outcome}; {judgement.detail}",
            where=f"{version.model} for {version.task}",
            fix="train a better version or hold out more assets; a shadow needs no pass",
        )
    return judgement


def _judged(
    registry: ModelRegistry, version: ModelVersion, policy: GatePolicy, *, actor: str
) -> tuple[ModelVersion, Judgement]:
    """Judge a version and write down the verdict."""
    judgement = judge(policy, version.metrics)
    verdict = Verdict(gate=policy.name, outcome=judgement.outcome, detail=judgement.detail, policy_sha256=policy.sha256)
    return registry.judge(version.model, version.number, verdict, actor=actor), judgement
