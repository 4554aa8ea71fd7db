"""The model registry: versions with their pins, verdicts, a sealed history, and one champion per environment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, Engine, insert, select, update
from sqlalchemy.exc import IntegrityError

from lineshaft.clock import Clock
from lineshaft.errors import ConflictError, InputError, NotFoundError
from lineshaft.registry import ledger, slots
from lineshaft.registry.artifacts import ArtifactStore
from lineshaft.registry.audit import Account
from lineshaft.registry.engine import connected, open_engine
from lineshaft.registry.history import evidence, verify
from lineshaft.registry.notes import HeadNotes
from lineshaft.registry.records import (
    MOVES,
    Assignment,
    Candidate,
    Head,
    ModelVersion,
    RegisteredModel,
    Slot,
    State,
    Transition,
    Verdict,
)
from lineshaft.registry.tables import ASSIGNMENT, GENERATION, MODEL, PIN, VERDICT, VERSION
from lineshaft.registry.versions import verdicts_of, version_of, version_values, versions_of


def open_registry(*, database_url: str, artifacts: Path, clock: Clock) -> ModelRegistry:
    """Return the registry over a database that `lineshaft db upgrade` prepared."""
    return ModelRegistry(engine=open_engine(database_url), artifacts=ArtifactStore(artifacts), clock=clock)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRegistry:
    """Versions are never changed, only judged, assigned and retired; every act is one line of a sealed history."""

    engine: Engine
    artifacts: ArtifactStore
    clock: Clock

    @property
    def notes(self) -> HeadNotes:
        """Return the heads of chains as noted outside the database."""
        return HeadNotes(self.artifacts.root / "heads")

    def register(self, candidate: Candidate, *, actor: str, reason: str = "") -> ModelVersion:
        """Store a trained model under the next number of its name.

        Raises `ConflictError` when another registration took the number first, `InputError` when the artifact is
        not plain data or a pin is missing.
        """
        if not candidate.pins:
            raise InputError(f"model {candidate.model!r} pins no feature view", fix="train it on a feature service")
        digest = self.artifacts.put(candidate.artifact, artifact_format=candidate.artifact_format)
        now = self.clock.now_us()
        with self._acting(candidate.model) as connection:
            self._ensure_model(connection, candidate, now)
            number = ledger.next_number(connection, candidate.model)
            connection.execute(insert(VERSION).values(version_values(candidate, number, digest, actor, now)))
            pins = [{"model": candidate.model, "number": number, **asdict(pin)} for pin in candidate.pins]
            connection.execute(insert(PIN), pins)
            version = versions_of(connection, candidate.model)[0]
            told = {"action": "register", "before": "", "after": State.REGISTERED, "evidence": evidence(version)}
            line = ledger.Line(**told, actor=actor, reason=reason)
            head = ledger.append(connection, candidate.model, number, line, at_us=now)
        self.notes.note(candidate.model, head)
        return version

    def judge(self, model: str, number: int, verdict: Verdict, *, actor: str) -> ModelVersion:
        """Record a gate's verdict: pass validates the version, fail rejects it, all else leaves it where it is."""
        now = self.clock.now_us()
        with self._acting(model) as connection:
            version = version_of(connection, model, number)
            after = {"pass": State.VALIDATED, "fail": State.REJECTED}.get(verdict.outcome, version.state)
            row = {"gate": verdict.gate, "outcome": verdict.outcome, "detail": verdict.detail}
            row["policy_sha256"] = verdict.policy_sha256
            connection.execute(insert(VERDICT).values(model=model, number=number, at_us=now, **row))
            if after is not version.state:
                self._move(connection, version, after)
            reason = f"{verdict.gate}: {verdict.outcome}; {verdict.detail}"
            told = {"action": "judge", "before": version.state, "after": after, "evidence": evidence(verdict)}
            head = ledger.append(connection, model, number, ledger.Line(**told, actor=actor, reason=reason), at_us=now)
        self.notes.note(model, head)
        return replace(version, state=after)

    def promote(
        self,
        model: str,
        number: int,
        *,
        environment: str,
        actor: str,
        reason: str,
        slot: Slot = Slot.CHAMPION,
        expected: int | None = None,
    ) -> Assignment:
        """Give a slot of an environment, champion unless said, to a version that passed its gate; shadow to any.

        `expected` is the id of the assignment that the caller saw there, 0 for none. Raises `ConflictError` naming who
        was faster where it is another by now, and when the version did not pass its gate.
        """
        with self._acting(model) as connection:
            version = version_of(connection, model, number)
            free = {State.VALIDATED, State.REGISTERED} if slot is Slot.SHADOW else {State.VALIDATED}
            if version.state not in free:
                raise ConflictError(
                    f"{version.ref} is {version.state}, not validated", fix="train a version that passes its gate"
                )
            line = ledger.Line(action="promote", before="", after="", actor=actor, reason=reason)
            made, head = self._hand_over(connection, version, environment, slot, line, expected)
        self.notes.note(model, head)
        return made

    def rollback(
        self, model: str, *, environment: str, actor: str, reason: str, expected: int | None = None
    ) -> Assignment:
        """Give an environment back to the champion before this one; once more, to the one before that.

        Raises `NotFoundError` where there is none that may still serve, `ConflictError` as `promote` does.
        """
        with self._acting(model) as connection:
            before = slots.earlier(ledger.chain(connection, model)[1], environment, Slot.CHAMPION)
            versions = map(partial(version_of, connection, model), before)
            latest = next((one for one in versions if one.state is State.VALIDATED), None)
            if latest is None:
                fix = "promote another version: `lineshaft models promote`"
                raise NotFoundError(f"{model!r} has no earlier champion in {environment!r} to go back to", fix=fix)
            line = ledger.Line(action="rollback", before="", after="", actor=actor, reason=reason)
            made, head = self._hand_over(connection, latest, environment, Slot.CHAMPION, line, expected)
        self.notes.note(model, head)
        return made

    def clear(self, model: str, *, environment: str, slot: Slot, actor: str, reason: str) -> None:
        """Leave a slot empty; a champion can only be followed by another.

        Raises `NotFoundError` where it is empty already.
        """
        if slot is Slot.CHAMPION:
            raise ConflictError(
                f"{environment!r} cannot be left without a champion of {model!r}", fix="promote another"
            )
        now = self.clock.now_us()
        with self._acting(model) as connection:
            was = slots.held(connection, model, environment, slot)
            if was is None:
                raise NotFoundError(f"{model!r} has no {slot} in {environment!r}", fix="see `lineshaft models`")
            slots.end(connection, was, at_us=now)
            before = slots.told(environment, slot, was.number)
            line = ledger.Line(action="clear", before=before, after="", actor=actor, reason=reason)
            head = ledger.append(connection, model, was.number, line, at_us=now)
            ledger.advance(connection, environment, now)
        self.notes.note(model, head)

    def get(self, model: str, number: int) -> ModelVersion:
        """Return one version with its pins."""
        with connected(self.engine) as connection:
            return version_of(connection, model, number)

    def versions(self, model: str) -> list[ModelVersion]:
        """Return the versions of a model, newest first."""
        with connected(self.engine) as connection:
            return versions_of(connection, model)

    def models(self) -> list[RegisteredModel]:
        """Return every model with its champions."""
        with connected(self.engine) as connection:
            rows = connection.execute(select(MODEL).order_by(MODEL.c.name)).all()
            numbers = connection.execute(select(VERSION.c.model)).scalars().all()
            serving = ASSIGNMENT.c.valid_to_us.is_(None) & (ASSIGNMENT.c.slot == str(Slot.CHAMPION))
            champions = connection.execute(select(ASSIGNMENT).where(serving)).all()
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
        """Return the champion now, whatever the clock says, or the one that was champion at a time.

        Raises `NotFoundError` when there is none.
        """
        ended = at_us is not None
        with connected(self.engine) as connection:
            found = slots.assignments(
                connection, model, environment=environment, slot=Slot.CHAMPION, at_us=at_us, ended=ended
            )
            if not found:
                fix = f"promote a version of {model}"
                raise NotFoundError(f"model {model!r} has no champion in {environment!r}", fix=fix)
            return version_of(connection, model, found[0].number)

    def held(self, model: str, environment: str, slot: Slot = Slot.CHAMPION) -> Assignment | None:
        """Return who holds a slot: what a caller decides on, whose id it then expects."""
        with connected(self.engine) as connection:
            return slots.held(connection, model, environment, slot)

    def assignments(self, model: str) -> list[Assignment]:
        """Return who held which slot where and when, newest first."""
        with connected(self.engine) as connection:
            return slots.assignments(connection, model)

    def verdicts(self, model: str, number: int) -> list[Verdict]:
        """Return what the gates said of a version, newest first."""
        with connected(self.engine) as connection:
            return [verdict for about, verdict in reversed(verdicts_of(connection, model)) if about == number]

    def history(self, model: str) -> list[Transition]:
        """Return every act on a model, oldest first; `CorruptError` when a line was altered or the end is missing."""
        with connected(self.engine) as connection:
            head, lines = ledger.chain(connection, model)
        verify(model, lines, head)
        return lines

    def account(self, model: str) -> Account:
        """Return all that is recorded of a model at one moment, to be audited."""
        with self._acting(model) as connection:
            head, lines = ledger.chain(connection, model)
            return Account(
                model=model,
                head=head,
                lines=lines,
                versions=versions_of(connection, model)[::-1],
                verdicts=verdicts_of(connection, model),
                assignments=slots.assignments(connection, model)[::-1],
                noted=self.notes.read(model),
            )

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
            ledger.begin(connection, candidate.model)
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

    def _hand_over(
        self,
        connection: Connection,
        version: ModelVersion,
        environment: str,
        slot: Slot,
        line: ledger.Line,
        expected: int | None,
    ) -> tuple[Assignment, Head]:
        """End whoever holds a slot, if it is who the caller expects, and begin a version; servers are told."""
        model, number, now = version.model, version.number, self.clock.now_us()
        was = slots.held(connection, model, environment, slot)
        if expected is not None and expected != (0 if was is None else was.id):
            slots.refuse_late(connection, model, slot, was)
        if was is not None:
            slots.end(connection, was, at_us=now)
        wanted = Assignment(
            id=0,
            model=model,
            environment=environment,
            slot=slot,
            number=number,
            valid_from_us=now,
            valid_to_us=None,
        )
        made = slots.assign(connection, wanted)
        judged = ledger.latest(connection, model, action="judge", number=number)
        full = replace(
            line,
            before=slots.told(environment, slot, None if was is None else was.number),
            after=slots.told(environment, slot, number),
            evidence="" if judged is None else judged.digest,
        )
        head = ledger.append(connection, model, number, full, at_us=now)
        ledger.advance(connection, environment, now)
        return made, head

    @contextmanager
    def _acting(self, model: str) -> Iterator[Connection]:
        """Hold a model, commit all or nothing; a lost race is a ConflictError."""
        try:
            with connected(self.engine, writing=True) as connection:
                ledger.hold(connection, model)
                yield connection
        except IntegrityError as error:
            raise ConflictError("somebody else changed the registry first", fix="look again and repeat") from error
