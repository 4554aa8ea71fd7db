"""Versions, and what is known and said of them, as rows and back."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, select

from lineshaft.errors import NotFoundError
from lineshaft.registry.records import Approval, Candidate, ModelVersion, Provenance, State, Verdict, ViewPin
from lineshaft.registry.tables import APPROVAL, EVIDENCE, MODEL, PIN, VERDICT, VERSION
from lineshaft.specs import Evidence


def version_values(candidate: Candidate, number: int, digest: str, actor: str, now: int) -> dict[str, Any]:
    """Return the row of a new version."""
    return {
        "model": candidate.model,
        "number": number,
        "state": str(State.REGISTERED),
        "service": candidate.service,
        "service_json": candidate.service_json,
        "features_json": json.dumps(candidate.features),
        "training_set": candidate.training_set,
        "rows": candidate.rows,
        "artifact_sha256": digest,
        "artifact_format": candidate.artifact_format,
        "artifact_bytes": len(candidate.artifact),
        "params_json": json.dumps(dict(candidate.params), sort_keys=True),
        "metrics_json": json.dumps(dict(candidate.metrics), sort_keys=True),
        "seed": candidate.seed,
        "library": candidate.library,
        "lock_sha256": candidate.lock_sha256,
        "provenance_json": json.dumps(asdict(candidate.provenance), sort_keys=True) if candidate.provenance else "",
        "actor": actor,
        "created_us": now,
    }


def versions_of(connection: Connection, model: str, number: int | None = None) -> list[ModelVersion]:
    """Read the versions of a model, newest first; one of them where it is named."""
    query = select(VERSION, MODEL.c.task).join(MODEL, MODEL.c.name == VERSION.c.model).where(VERSION.c.model == model)
    pinned = select(PIN).where(PIN.c.model == model)
    if number is not None:
        query, pinned = query.where(VERSION.c.number == number), pinned.where(PIN.c.number == number)
    rows = connection.execute(query.order_by(VERSION.c.number.desc())).all()
    pins = connection.execute(pinned.order_by(PIN.c.view)).all()
    return [_version(row, [pin for pin in pins if pin.number == row.number]) for row in rows]


def version_of(connection: Connection, model: str, number: int) -> ModelVersion:
    """Read one version; NotFoundError where there is none."""
    found = versions_of(connection, model, number)
    if not found:
        known = connection.execute(select(VERSION.c.number).where(VERSION.c.model == model).limit(1)).scalar()
        what = f"model {model!r} has no version {number}" if known else f"nothing is known of a model {model!r}"
        raise NotFoundError(what, fix="see `lineshaft models`")
    return found[0]


def verdict_values(verdict: Verdict) -> dict[str, Any]:
    """Return the row of a verdict, but for whose it is."""
    words = {name: getattr(verdict, name) for name in Verdict.__slots__ if name != "figures"}
    return {**words, "figures_json": json.dumps(dict(verdict.figures), sort_keys=True)}


def verdicts_of(connection: Connection, model: str) -> list[tuple[int, Verdict]]:
    """Read what the gates said of a model's versions, oldest first."""
    rows = connection.execute(select(VERDICT).where(VERDICT.c.model == model).order_by(VERDICT.c.id)).all()
    words = [name for name in Verdict.__slots__ if name != "figures"]
    return [
        (row.number, Verdict(**{name: getattr(row, name) for name in words}, figures=json.loads(row.figures_json)))
        for row in rows
    ]


def evidence_of(connection: Connection, model: str) -> list[tuple[int, Evidence]]:
    """Read what was attested of a model's versions, oldest first."""
    rows = connection.execute(select(EVIDENCE).where(EVIDENCE.c.model == model).order_by(EVIDENCE.c.id)).all()
    return [(row.number, Evidence.from_json(row.evidence_json)) for row in rows]


def approvals_of(connection: Connection, model: str) -> list[tuple[int, Approval]]:
    """Read who agreed to a model's versions, oldest first."""
    rows = connection.execute(select(APPROVAL).where(APPROVAL.c.model == model).order_by(APPROVAL.c.id)).all()
    return [(row.number, Approval(**{name: getattr(row, name) for name in Approval.__slots__})) for row in rows]


def _version(row: Row[Any], pins: list[Row[Any]]) -> ModelVersion:
    """Read a version back from its row."""
    same = (
        *("model", "number", "task", "service", "service_json", "training_set", "rows", "artifact_sha256"),
        *("artifact_format", "artifact_bytes", "seed", "library", "lock_sha256", "actor", "created_us"),
    )
    return ModelVersion(
        **{name: getattr(row, name) for name in same},
        state=State(row.state),
        features=tuple(json.loads(row.features_json)),
        pins=tuple(ViewPin(view=p.view, version=p.version, table_version=p.table_version) for p in pins),
        params=json.loads(row.params_json),
        metrics=json.loads(row.metrics_json),
        provenance=_provenance(row.provenance_json),
    )


def _provenance(text: str) -> Provenance | None:
    """Read how a training set came about, if it was recorded."""
    if not text:
        return None
    told = json.loads(text)
    return Provenance(**{**told, "curve": tuple((x, y) for x, y in told["curve"])})
