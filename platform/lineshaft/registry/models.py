"""The model registry: versions with their pins, verdicts, a sealed history, and one champion per environment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Row, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from lineshaft.clock import Clock
from lineshaft.errors import ConflictError, InputError, NotFoundError
from lineshaft.registry import ledger
from lineshaft.registry.artifacts import ArtifactStore
from lineshaft.registry.engine import connected, open_engine
from lineshaft.registry.history import verify
from lineshaft.registry.records import (
    MOVES,
    Assignment,
    Candidate,
    ModelVersion,
    RegisteredModel,
    State,
    Transition,
    Verdict,
    ViewPin,
)
from lineshaft.registry.tables import ASSIGNMENT, GENERATION, MODEL, PIN, VERDICT, VERSION


def open_registry(*, database_url: str, artifacts: Path, clock: Clock) -> ModelRegistry:
    """Return the registry over a database that `lineshaft db upgrade` prepared."""
    return ModelRegistry(engine=open_engine(database_url), artifacts=ArtifactStore(artifacts), clock=clock)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRegistry:
    """Versions are never changed, only judged, assigned and retired; every act is one line of a sealed history."""

    engine: Engine
    artifacts: ArtifactStore
    clock: Clock

    def register(self, candidate: Candidate, *, actor: str, reason: str = "") -> ModelVersion:
        """Store a trained model under the next number of its name.

        Raises `ConflictError` when another registration took the number first, `InputError` when the artifact is
        not plain data or a pin is missing.
        """
        if not candidate.pins:
            raise InputError(f"model {candidate.model!r} pins no feature view", fix="train it on a feature service")
        digest = self.artifacts.put(candidate.artifact, artifact_format=candidate.artifact_format)
        now = self.clock.now_us()
        with self._transaction() as connection:
            self._ensure_model(connection, candidate, now)
            number = ledger.next_number(connection, candidate.model)
            connection.execute(insert(VERSION).values(_version_values(candidate, number, digest, actor, now)))
            pins = [
                {
                    "model": candidate.model,
                    "number": number,
                    "view": p.view,
                    "version": p.version,
                    "table_version": p.table_version,
                }
                for p in candidate.pins
            ]
            connection.execute(insert(PIN), pins)
            line = ledger.Line(action="register", before="", after=State.REGISTERED, actor=actor, reason=reason)
            ledger.append(connection, candidate.model, number, line, at_us=now)
        return self.get(candidate.model, number)

    def judge(self, model: str, number: int, verdict: Verdict, *, actor: str) -> ModelVersion:
        """Record a gate's verdict: pass validates the version, fail rejects it, unknown leaves it where it is."""
        version = self.get(model, number)
        after = {"pass": State.VALIDATED, "fail": State.REJECTED, "unknown": version.state}[verdict.outcome]
        now = self.clock.now_us()
        with self._transaction() as connection:
            row = {"gate": verdict.gate, "outcome": verdict.outcome, "detail": verdict.detail}
            row["policy_sha256"] = verdict.policy_sha256
            connection.execute(insert(VERDICT).values(model=model, number=number, at_us=now, **row))
            if after is not version.state:
                self._move(connection, version, after)
            reason = f"{verdict.gate}: {verdict.outcome}; {verdict.detail}"
            line = ledger.Line(action="judge", before=version.state, after=after, actor=actor, reason=reason)
            ledger.append(connection, model, number, line, at_us=now)
        return replace(version, state=after)

    def promote(
        self, model: str, number: int, *, environment: str, actor: str, reason: str, expected: int | None = None
    ) -> Assignment:
        """Make a validated version champion of an environment; going back to an earlier one is the same act.

        `expected` is the environment's generation the caller decided on. Raises `ConflictError` when it has changed
        since, and when the version did not pass its gate.
        """
        version = self.get(model, number)
        if version.state is not State.VALIDATED:
            raise ConflictError(
                f"{version.ref} is {version.state}, not validated", fix="train a version that passes its gate"
            )
        seen = self.generation(environment) if expected is None else expected
        now = self.clock.now_us()
        with self._transaction() as connection:
            ledger.advance(connection, environment, seen, now)
            open_now = (ASSIGNMENT.c.model == model) & (ASSIGNMENT.c.environment == environment)
            open_now &= ASSIGNMENT.c.valid_to_us.is_(None)
            before = connection.execute(select(ASSIGNMENT.c.number).where(open_now)).scalar()
            connection.execute(update(ASSIGNMENT).where(open_now).values(valid_to_us=now))
            row = {"model": model, "environment": environment, "number": number, "valid_from_us": now}
            connection.execute(insert(ASSIGNMENT).values(row))
            was = "" if before is None else f"{environment}:champion={before}"
            is_now = f"{environment}:champion={number}"
            line = ledger.Line(action="promote", before=was, after=is_now, actor=actor, reason=reason)
            ledger.append(connection, model, number, line, at_us=now)
        return Assignment(model=model, environment=environment, number=number, valid_from_us=now, valid_to_us=None)

    def get(self, model: str, number: int) -> ModelVersion:
        """Return one version with its pins."""
        found = [version for version in self.versions(model) if version.number == number]
        if not found:
            raise NotFoundError(f"model {model!r} has no version {number}", fix="see `lineshaft models`")
        return found[0]

    def versions(self, model: str) -> list[ModelVersion]:
        """Return the versions of a model, newest first."""
        with connected(self.engine) as connection:
            query = select(VERSION, MODEL.c.task).join(MODEL, MODEL.c.name == VERSION.c.model)
            rows = connection.execute(query.where(VERSION.c.model == model).order_by(VERSION.c.number.desc())).all()
            pins = connection.execute(select(PIN).where(PIN.c.model == model).order_by(PIN.c.view)).all()
        return [_version(row, [pin for pin in pins if pin.number == row.number]) for row in rows]

    def models(self) -> list[RegisteredModel]:
        """Return every model with its champions."""
        with connected(self.engine) as connection:
            rows = connection.execute(select(MODEL).order_by(MODEL.c.name)).all()
            numbers = connection.execute(select(VERSION.c.model)).scalars().all()
            champions = connection.execute(select(ASSIGNMENT).where(ASSIGNMENT.c.valid_to_us.is_(None))).all()
        return [
            RegisteredModel(
                name=row.name,
                task=row.task,
                team=row.team,
                owner=row.owner,
                description=row.description,
                versions=numbers.count(row.name),
                champions={one.environment: one.number for one in champions if one.model == row.name},
            )
            for row in rows
        ]

    def champion(self, model: str, environment: str, *, at_us: int | None = None) -> ModelVersion:
        """Return the champion now, or the one that was champion at a time.

        Raises `NotFoundError` when there is none.
        """
        at = self.clock.now_us() if at_us is None else at_us
        table = ASSIGNMENT.c
        running = (table.valid_from_us <= at) & or_(table.valid_to_us.is_(None), table.valid_to_us > at)
        query = select(table.number).where((table.model == model) & (table.environment == environment) & running)
        with connected(self.engine) as connection:
            number = connection.execute(query.order_by(table.id.desc())).scalar()
        if number is None:
            fix = f"promote a version of {model}"
            raise NotFoundError(f"model {model!r} has no champion in {environment!r}", fix=fix)
        return self.get(model, number)

    def assignments(self, model: str) -> list[Assignment]:
        """Return who was champion where and when, newest first."""
        with connected(self.engine) as connection:
            rows = connection.execute(
                select(ASSIGNMENT).where(ASSIGNMENT.c.model == model).order_by(ASSIGNMENT.c.id.desc())
            )
            fields = ("model", "environment", "number", "valid_from_us", "valid_to_us")
            return [Assignment(**{name: getattr(row, name) for name in fields}) for row in rows]

    def verdicts(self, model: str, number: int) -> list[Verdict]:
        """Return what the gates said of a version, newest first."""
        query = select(VERDICT).where((VERDICT.c.model == model) & (VERDICT.c.number == number))
        with connected(self.engine) as connection:
            rows = connection.execute(query.order_by(VERDICT.c.id.desc())).all()
        return [Verdict(gate=r.gate, outcome=r.outcome, detail=r.detail, policy_sha256=r.policy_sha256) for r in rows]

    def history(self, model: str) -> list[Transition]:
        """Return every act on a model, oldest first; `CorruptError` when a line was altered."""
        with connected(self.engine) as connection:
            lines = ledger.lines(connection, model)
        verify(model, lines)
        return lines

    def generation(self, environment: str) -> int:
        """Return how often champions of an environment have changed: what a server polls.

        Raises `UnavailableError` when the database does not answer.
        """
        query = select(GENERATION.c.generation).where(GENERATION.c.environment == environment)
        with connected(self.engine) as connection:
            return connection.execute(query).scalar() or 0

    def load(self, version: ModelVersion) -> bytes:
        """Return the artifact of a version, its hash checked."""
        return self.artifacts.get(version.artifact_sha256, artifact_format=version.artifact_format)

    def _ensure_model(self, connection: Connection, candidate: Candidate, now: int) -> None:
        """Insert the model's own row the first time; refuse to change what it predicts."""
        known = connection.execute(select(MODEL.c.task).where(MODEL.c.name == candidate.model)).scalar()
        if known is None:
            row = {"name": candidate.model, "task": candidate.task, "team": candidate.team, "owner": candidate.owner}
            connection.execute(insert(MODEL).values(description=candidate.description, created_us=now, **row))
        elif known != candidate.task:
            raise ConflictError(f"model {candidate.model!r} is {known}, not {candidate.task}", fix="use another name")

    def _move(self, connection: Connection, version: ModelVersion, after: State) -> None:
        """Change a version's state if nobody else has."""
        if after not in MOVES[version.state]:
            raise ConflictError(f"{version.ref} cannot go from {version.state} to {after}")
        same = (
            (VERSION.c.model == version.model)
            & (VERSION.c.number == version.number)
            & (VERSION.c.state == version.state)
        )
        if connection.execute(update(VERSION).where(same).values(state=str(after))).rowcount != 1:
            raise ConflictError(f"somebody else judged {version.ref} first", fix="look at it again")

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """Commit all or nothing; a lost race is a ConflictError."""
        try:
            with connected(self.engine, writing=True) as connection:
                yield connection
        except IntegrityError as error:
            raise ConflictError("somebody else changed the registry first", fix="look again and repeat") from error


def _version_values(candidate: Candidate, number: int, digest: str, actor: str, now: int) -> dict[str, Any]:
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
        "actor": actor,
        "created_us": now,
    }


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
    )
