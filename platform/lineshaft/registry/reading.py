"""What the model registry answers: versions, what is known and said of them, who holds a slot, and their history."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, select

from lineshaft.clock import Clock
from lineshaft.errors import CorruptError, NotFoundError
from lineshaft.registry import ledger, slots
from lineshaft.registry.acks import ReplicaAcks
from lineshaft.registry.artifacts import ArtifactStore
from lineshaft.registry.audit import Account
from lineshaft.registry.engine import connected
from lineshaft.registry.experiments import Experiments, conclusions_of, experiments_of
from lineshaft.registry.history import verify
from lineshaft.registry.notes import HeadNotes
from lineshaft.registry.records import (
    Approval,
    Assignment,
    ModelVersion,
    RegisteredModel,
    Slot,
    Transition,
    Verdict,
)
from lineshaft.registry.reigns import Reigns, reigns
from lineshaft.registry.sites import Sites
from lineshaft.registry.tables import ASSIGNMENT, GENERATION, MODEL, VERSION
from lineshaft.registry.versions import approvals_of, evidence_of, verdicts_of, version_of, versions_of
from lineshaft.specs import Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryReader:
    """All that may be asked; nothing here changes anything."""

    engine: Engine
    artifacts: ArtifactStore
    clock: Clock

    @property
    def notes(self) -> HeadNotes:
        """Return the heads of chains as noted outside the database."""
        return HeadNotes.beside(self.artifacts.root)

    @property
    def acks(self) -> ReplicaAcks:
        """Return what servers said they serve."""
        return ReplicaAcks(engine=self.engine, clock=self.clock)

    @property
    def experiments(self) -> Experiments:
        """Return the experiments on models."""
        return Experiments(engine=self.engine, clock=self.clock, notes=self.notes)

    @property
    def sites(self) -> Sites:
        """Return where assets stand."""
        return Sites(engine=self.engine, clock=self.clock)

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
            general = ASSIGNMENT.c.valid_to_us.is_(None) & (ASSIGNMENT.c.site == "")
            serving = general & (ASSIGNMENT.c.slot == str(Slot.CHAMPION))
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
        """Return the champion now, whatever the clock says, or the one that was champion at a time; of no one site.

        Raises `NotFoundError` when there is none.
        """
        ended = at_us is not None
        with connected(self.engine) as connection:
            found = slots.assignments(
                connection, model, environment=environment, slot=Slot.CHAMPION, site="", at_us=at_us, ended=ended
            )
            if not found:
                fix = f"promote a version of {model}"
                raise NotFoundError(f"model {model!r} has no champion in {environment!r}", fix=fix)
            return version_of(connection, model, found[0].number)

    def held(self, model: str, environment: str, slot: Slot = Slot.CHAMPION, *, site: str = "") -> Assignment | None:
        """Return who holds a slot: what a caller decides on, whose id it then expects."""
        with connected(self.engine) as connection:
            return slots.held(connection, model, environment, slot, site)

    def assignments(self, model: str) -> list[Assignment]:
        """Return who held which slot where and when, newest first."""
        with connected(self.engine) as connection:
            return slots.assignments(connection, model)

    def reigns(self, environment: str, model: str | None = None) -> dict[str, Reigns]:
        """Return by model who held its slots of an environment, of one model where it is named."""
        with connected(self.engine) as connection:
            return reigns(connection, environment, model)

    def verdicts(self, model: str, number: int) -> list[Verdict]:
        """Return what the gates said of a version, newest first."""
        with connected(self.engine) as connection:
            return [verdict for about, verdict in reversed(verdicts_of(connection, model)) if about == number]

    def evidence(self, model: str, number: int) -> list[Evidence]:
        """Return what was attested of a version, oldest first."""
        with connected(self.engine) as connection:
            return [evidence for about, evidence in evidence_of(connection, model) if about == number]

    def approvals(self, model: str, number: int) -> list[Approval]:
        """Return who agreed to a version, oldest first; some may have expired."""
        with connected(self.engine) as connection:
            return [approval for about, approval in approvals_of(connection, model) if about == number]

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
                evidence=evidence_of(connection, model),
                approvals=approvals_of(connection, model),
                assignments=slots.assignments(connection, model)[::-1],
                experiments=experiments_of(connection, model),
                conclusions=conclusions_of(connection, model),
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

    def damaged(self, model: str) -> list[str]:
        """Return a sentence for each version whose artifact is gone, or no longer what was registered."""
        found = []
        for version in self.versions(model):
            try:
                self.load(version)
            except (CorruptError, NotFoundError) as error:
                found.append(f"{version.ref}: {error.what}")
        return found

    def _acting(self, model: str) -> AbstractContextManager[Connection]:
        """Hold a model, commit all or nothing; a lost race is a ConflictError."""
        return ledger.acting(self.engine, model)
