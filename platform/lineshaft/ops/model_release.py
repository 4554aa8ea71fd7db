"""From a training set to a champion: train, register with its pins, judge, promote what passed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pyarrow as pa

from lineshaft.drift.policy import DriftPolicy
from lineshaft.errors import ConflictError
from lineshaft.models.beside import beside
from lineshaft.models.gate import Judged, Policy, judge_all
from lineshaft.models.scores import evidence_of
from lineshaft.models.spec import ModelSpec
from lineshaft.models.trained import TrainedModel
from lineshaft.models.training import train
from lineshaft.models.tuning import Search, Tuning
from lineshaft.ops.drift_sketch import sketch_of
from lineshaft.ops.rivals import Rivals
from lineshaft.registry.consents import who
from lineshaft.registry.drifts import drift_book
from lineshaft.registry.models import NOBODY, ModelRegistry
from lineshaft.registry.records import (
    Assignment,
    Candidate,
    Consent,
    ModelVersion,
    Provenance,
    Slot,
    Verdict,
    ViewPin,
)
from lineshaft.specs import Evidence, Service

USUAL_DRIFT = DriftPolicy()
"""How drift is told where nobody says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What became of a model: its version, what the gates say, and the assignment if it was promoted, else why not."""

    version: ModelVersion
    judgement: Judged
    assignment: Assignment | None
    waits_for: str = ""
    search: Search | None = None  # where its parameters were looked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a training set came from and who asks: what a version pins beside the rows themselves."""

    service: Service
    table_versions: Mapping[str, int]  # view name -> offline table version read
    actor: str
    lock_sha256: str = ""
    provenance: Provenance | None = None
    tables: Path | None = None  # where training sets are kept: a champion judged by folds is set beside from there


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
    registry: ModelRegistry,
    spec: ModelSpec,
    table: pa.Table,
    *,
    origin: Origin,
    policy: Policy,
    environment: str,
    tuning: Tuning | None = None,
    drift: DriftPolicy = USUAL_DRIFT,
) -> Release:
    """Train on a point-in-time training set and register the result; promote what passes, where the policy says so.

    With `tuning`, parameters are looked for first, and the search is kept among the artifacts.
    table: entity columns, the label, and the service's `view__feature` columns. A sketch of it, as the policy of drift
    reads it, is kept with the version: what it is asked later is compared with that.
    """
    trained = train(spec, table, tuning=tuning)
    if trained.search is not None:
        registry.artifacts.put(trained.search.content, artifact_format="json")
    version = registry.register(candidate(spec, trained, origin), actor=origin.actor, reason=f"{trained.rows} rows")
    sketch = sketch_of(spec, table, trained, policy=drift)
    drift_book(registry, environment).keep_sketch(version.model, version.number, sketch)
    own = evidence_of(trained.metrics, rows=trained.training_set, unseen=trained.unseen.assets)
    registry.attest(version.model, version.number, own, actor=origin.actor)
    rival = Rivals(registry=registry, environment=environment, tables=origin.tables).champion(version.model)
    if rival is not None:
        compared = beside(spec, table, trained, rival)
        registry.attest(version.model, version.number, compared, actor=origin.actor)
    version, judged = _judged(registry, version, policy, environment=environment, actor=origin.actor)
    assignment, waits_for = None, ""
    if judged.outcome != "pass":
        waits_for = f"evidence: {judged.detail}"
    elif policy.approvals or not policy.auto:
        people = f"the approval of {who(consent(policy), besides=(origin.actor,))}, and " if policy.approvals else ""
        waits_for = f"{people}`lineshaft models promote {version.ref}`"
    else:
        assignment = registry.promote(
            version.model,
            version.number,
            environment=environment,
            actor=f"policy {policy.name}, for {origin.actor}",
            reason=judged.detail,
        )
    return Release(version=version, judgement=judged, assignment=assignment, waits_for=waits_for, search=trained.search)


def pass_gates(
    registry: ModelRegistry, version: ModelVersion, policy: Policy, *, environment: str, actor: str
) -> Judged:
    """Judge a version by a policy, for the record; raises `ConflictError` for every outcome but a pass."""
    _, judged = _judged(registry, version, policy, environment=environment, actor=actor)
    if judged.outcome != "pass":
        raise ConflictError(
            f"{version.ref} does not pass: {judged.detail}",
            where=f"policy {policy.name!r} for {version.model}, a {version.task} model",
            fix="train a better version or hold out more assets; a shadow needs no pass",
        )
    return judged


def promote_judged(  # noqa: PLR0913 - as `ModelRegistry.promote`
    registry: ModelRegistry,
    version: ModelVersion,
    slot: Slot,
    *,
    policy_of: Callable[[str], Policy],
    environment: str,
    actor: str,
    reason: str,
    expected: int,
    site: str = "",
) -> Assignment:
    """Give a version a slot if its gates pass by the policy of today; a shadow needs no pass.

    Raises `ConflictError` as `pass_gates` and `ModelRegistry.promote` do.
    """
    asked = NOBODY
    if slot is not Slot.SHADOW:
        policy = policy_of(version.model)
        pass_gates(registry, version, policy, environment=environment, actor=actor)
        asked = consent(policy)
    return registry.promote(
        version.model,
        version.number,
        environment=environment,
        actor=actor,
        reason=reason,
        slot=slot,
        site=site,
        expected=expected,
        consent=asked,
    )


def consent(policy: Policy) -> Consent:
    """Return whose approval the registry has to find before it promotes."""
    return Consent(
        people=policy.approvals,
        among=policy.approvers,
        services=policy.services_approve,
        policy_sha256=policy.sha256,
    )


def evidence_for(registry: ModelRegistry, version: ModelVersion) -> list[Evidence]:
    """Return what is known of a version; of one that was registered before evidence was kept, its figures."""
    return registry.evidence(version.model, version.number) or [evidence_of(version.metrics)]


def _judged(
    registry: ModelRegistry, version: ModelVersion, policy: Policy, *, environment: str, actor: str
) -> tuple[ModelVersion, Judged]:
    """Judge a version by its evidence and write down what each gate says."""
    held = registry.held(version.model, environment)
    judged = judge_all(
        policy,
        evidence_for(registry, version),
        task=version.task,
        ref=version.ref,
        champion="" if held is None else f"{held.model}@{held.number}",
    )
    verdicts = [Verdict(**asdict(one), policy_sha256=policy.sha256) for one in judged.gates]
    return registry.judge(version.model, version.number, *verdicts, actor=actor), judged
