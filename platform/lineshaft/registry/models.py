"""The model registry: versions with their pins, verdicts, a sealed history, and one champion per environment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, insert, select, update

from lineshaft.clock import Clock
from lineshaft.errors import ConflictError, InputError, NotFoundError
from lineshaft.registry import ledger, slots
from lineshaft.registry.artifacts import ArtifactStore
from lineshaft.registry.consents import agreed, refuse_approver
from lineshaft.registry.engine import open_engine
from lineshaft.registry.history import evidence
from lineshaft.registry.reading import RegistryReader
from lineshaft.registry.records import (
    MOVES,
    Approval,
    Assignment,
    Candidate,
    Consent,
    Head,
    ModelVersion,
    Slot,
    State,
    Verdict,
)
from lineshaft.registry.sites import refuse_site
from lineshaft.registry.tables import APPROVAL, EVIDENCE, MODEL, PIN, VERDICT, VERSION
from lineshaft.registry.versions import approvals_of, verdict_values, version_of, version_values
from lineshaft.specs import Evidence
from lineshaft.specs.evidence import overall

NOBODY = Consent()
"""What a promotion asks for where no policy asks for more."""


def open_registry(*, database_url: str, artifacts: Path, clock: Clock) -> ModelRegistry:
    """Return the registry over a database that `lineshaft db upgrade` prepared."""
    return ModelRegistry(engine=open_engine(database_url), artifacts=ArtifactStore(artifacts), clock=clock)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRegistry(RegistryReader):
    """Versions are never changed, only judged, assigned and retired; every act is one line of a sealed history."""

    def register(self, candidate: Candidate, *, actor: str, reason: str = "") -> ModelVersion:
        """Store a trained model under the next number of its name.

        Raises `ConflictError` when another registration took the number first, `InputError` when the artifact is
        not plain data or a pin is missing.
        """
        if candidate.service and not candidate.pins:
            raise InputError(f"model {candidate.model!r} pins no feature view", fix="train it on a feature service")
        digest = self.artifacts.put(candidate.artifact, artifact_format=candidate.artifact_format)
        now = self.clock.now_us()
        with self._acting(candidate.model) as connection:
            self._ensure_model(connection, candidate, now)
            number = ledger.next_number(connection, candidate.model)
            connection.execute(insert(VERSION).values(version_values(candidate, number, digest, actor, now)))
            pins = [{"model": candidate.model, "number": number, **asdict(pin)} for pin in candidate.pins]
            if pins:
                connection.execute(insert(PIN), pins)
            version = version_of(connection, candidate.model, number)
            told = {"action": "register", "before": "", "after": State.REGISTERED, "evidence": evidence(version)}
            line = ledger.Line(**told, actor=actor, reason=reason)
            head = ledger.append(connection, candidate.model, number, line, at_us=now)
        self.notes.note(candidate.model, head)
        return version

    def attest(self, model: str, number: int, found: Evidence, *, actor: str) -> None:
        """Keep what was found of a version for ever, sealed: gates judge by it, and nobody can change it unseen."""
        now = self.clock.now_us()
        with self._acting(model) as connection:
            state = version_of(connection, model, number).state
            row = {"model": model, "number": number, "evidence_json": found.to_json(), "at_us": now}
            connection.execute(insert(EVIDENCE).values(row))
            what = f"beside {found.against}" if found.against else f"{found.n} rows of {found.groups} assets held out"
            told = {"action": "attest", "before": state, "after": state, "evidence": evidence(found)}
            head = ledger.append(connection, model, number, ledger.Line(**told, actor=actor, reason=what), at_us=now)
        self.notes.note(model, head)

    def judge(self, model: str, number: int, *verdicts: Verdict, actor: str) -> ModelVersion:
        """Record what gates say, a line each: all pass validates the version, a fail rejects it, all else leaves it."""
        now = self.clock.now_us()
        moves = {"pass": State.VALIDATED, "fail": State.REJECTED}
        with self._acting(model) as connection:
            version = version_of(connection, model, number)
            after = moves.get(overall(one.outcome for one in verdicts), version.state)
            if after is not version.state:
                self._move(connection, version, after)
            for verdict in verdicts:
                row = verdict_values(verdict)
                connection.execute(insert(VERDICT).values(model=model, number=number, at_us=now, **row))
                last = verdict is verdicts[-1]
                told = {"before": version.state, "after": after if last else version.state}
                reason = f"{verdict.gate}: {verdict.outcome}; {verdict.detail}"
                line = ledger.Line(action="judge", **told, actor=actor, reason=reason, evidence=evidence(verdict))
                head = ledger.append(connection, model, number, line, at_us=now)
        self.notes.note(model, head)
        return replace(version, state=after)

    def approve(self, model: str, number: int, *, consent: Consent, lasts_us: int, actor: str, reason: str) -> Approval:
        """Agree to a version that passed, under a policy and for a time; not to one's own.

        Raises `ForbiddenError` where the actor's approval would not count, `ConflictError` where there is nothing to
        approve.
        """
        now = self.clock.now_us()
        given = Approval(
            actor=actor,
            reason=reason,
            policy_sha256=consent.policy_sha256,
            at_us=now,
            expires_us=now + lasts_us,
        )
        with self._acting(model) as connection:
            version = version_of(connection, model, number)
            refuse_approver(version, consent, _given(connection, version), actor=actor, at_us=now)
            connection.execute(insert(APPROVAL).values(model=model, number=number, **asdict(given)))
            told = {"action": "approve", "before": version.state, "after": version.state, "evidence": evidence(given)}
            head = ledger.append(connection, model, number, ledger.Line(**told, actor=actor, reason=reason), at_us=now)
        self.notes.note(model, head)
        return given

    def promote(  # noqa: PLR0913 - what, where, instead of whom, by whom and why: the whole of a decision
        self,
        model: str,
        number: int,
        *,
        environment: str,
        actor: str,
        reason: str,
        slot: Slot = Slot.CHAMPION,
        site: str = "",
        expected: int | None = None,
        consent: Consent = NOBODY,
    ) -> Assignment:
        """Give a slot of an environment, champion unless said, to a version that passed its gates; shadow to any.

        `site`: for its assets alone; what a site has none of, it has of the environment. `expected` is the id of the
        assignment that the caller saw there, 0 for none. Raises `ConflictError` naming who was faster where it is
        another by now, when the version did not pass its gates, and of a site of which all others would have nobody;
        `ForbiddenError` where fewer people agreed than `consent` asks for; `CorruptError` where its file is no longer
        what was registered.
        """
        if site:
            refuse_site(site)
        with self._acting(model) as connection:
            version = version_of(connection, model, number)
            if site and slots.held(connection, model, environment, Slot.CHAMPION) is None:
                what = f"{model!r} has no champion in {environment!r}: all that stand elsewhere would have nobody"
                raise ConflictError(what, fix="promote one without a site first")
            if not version.pins:
                what = f"{version.ref} pins no feature view: nothing could feed it"
                raise ConflictError(what, fix="register it with the feature service that it reads")
            free = {State.VALIDATED, State.REGISTERED} if slot is Slot.SHADOW else {State.VALIDATED}
            if version.state not in free:
                raise ConflictError(
                    f"{version.ref} is {version.state}, not validated", fix="train a version that passes its gate"
                )
            self.load(version)
            if slot is not Slot.SHADOW and consent.people:
                given, now = _given(connection, version), self.clock.now_us()
                people = agreed(version, consent, given, actor=actor, at_us=now)
                reason = f"{reason}; approved by {', '.join(people)}"
            line = ledger.Line(action="promote", before="", after="", actor=actor, reason=reason)
            made, head = self._hand_over(connection, version, (environment, slot, site), line, expected)
        self.notes.note(model, head)
        return made

    def rollback(
        self, model: str, *, environment: str, actor: str, reason: str, site: str = "", expected: int | None = None
    ) -> Assignment:
        """Give an environment, or a site, back to the champion before this one; once more, to the one before that.

        Raises `NotFoundError` where there is none that may still serve, or its file is lost; else as `promote` does.
        """
        with self._acting(model) as connection:
            latest = _last_good(connection, model, environment, site)
            self.load(latest)
            line = ledger.Line(action="rollback", before="", after="", actor=actor, reason=reason)
            made, head = self._hand_over(connection, latest, (environment, Slot.CHAMPION, site), line, expected)
        self.notes.note(model, head)
        return made

    def clear(self, model: str, *, environment: str, slot: Slot, actor: str, reason: str, site: str = "") -> None:
        """Leave a slot empty: of a site, to whom the environment has; its champion can only be followed by another.

        Raises `NotFoundError` where it is empty already.
        """
        if slot is Slot.CHAMPION and not site:
            raise ConflictError(
                f"{environment!r} cannot be left without a champion of {model!r}", fix="promote another"
            )
        with self._acting(model) as connection:
            was = slots.held(connection, model, environment, slot, site)
            if was is None:
                where = f"{environment!r}, site {site!r}" if site else f"{environment!r}"
                raise NotFoundError(f"{model!r} has no {slot} in {where}", fix="see `lineshaft models`")
            head = self._vacate(connection, was, actor=actor, reason=reason)
        self.notes.note(model, head)

    def quarantine(self, model: str, number: int, *, actor: str, reason: str) -> list[Assignment]:
        """Let a version serve nowhere any more, for good; where it is champion, the last good one returns at once.

        Returns those that returned. Raises `NotFoundError`, and changes nothing, where it is champion and none was
        before it.
        """
        returned = []
        with self._acting(model) as connection:
            version = version_of(connection, model, number)
            head = self._set_aside(connection, version, State.QUARANTINED, actor=actor, reason=reason)
            why = {"actor": actor, "reason": f"{version.ref} was quarantined: {reason}"}
            for held in slots.assignments(connection, model, ended=False):
                if held.number == number and held.slot is Slot.CHAMPION and not held.site:
                    latest = _last_good(connection, model, held.environment)
                    line = ledger.Line(action="rollback", before="", after="", **why)
                    place = held.environment, held.slot, held.site
                    made, head = self._hand_over(connection, latest, place, line, held.id)
                    returned.append(made)
                elif held.number == number:  # a site has whom its environment has
                    head = self._vacate(connection, held, **why)
        self.notes.note(model, head)
        return returned

    def retire(self, model: str, number: int, *, actor: str, reason: str) -> None:
        """Put a version away that is not needed; raises `ConflictError` while it holds a slot."""
        with self._acting(model) as connection:
            for held in slots.assignments(connection, model, ended=False):
                if held.number == number:
                    what = f"{model}@{number} is {held.slot} in {held.environment!r}"
                    raise ConflictError(what, fix="promote another first, or `lineshaft models clear` the slot")
            version = version_of(connection, model, number)
            head = self._set_aside(connection, version, State.RETIRED, actor=actor, reason=reason)
        self.notes.note(model, head)

    def _ensure_model(self, connection: Connection, candidate: Candidate, now: int) -> None:
        """Insert the model's own row the first time; refuse to change what it predicts."""
        known = connection.execute(select(MODEL.c.task).where(MODEL.c.name == candidate.model)).scalar()
        if known is None:
            row = {"name": candidate.model, "task": candidate.task, "team": candidate.team, "owner": candidate.owner}
            connection.execute(insert(MODEL).values(description=candidate.description, created_us=now, **row))
            ledger.begin(connection, candidate.model)
        elif not known and ledger.next_number(connection, candidate.model) == 1:  # its first version says it for all
            connection.execute(update(MODEL).where(MODEL.c.name == candidate.model).values(task=candidate.task))
        elif candidate.task and known != candidate.task:
            raise ConflictError(f"model {candidate.model!r} is {known}, not {candidate.task}", fix="use another name")

    def _move(self, connection: Connection, version: ModelVersion, after: State) -> None:
        """Change a version's state if nobody else has."""
        if after not in MOVES[version.state]:
            what = f"{version.ref} is {version.state}: it cannot be {after} any more"
            raise ConflictError(what, fix="choose another version, or train it again")
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
        place: tuple[str, Slot, str],
        line: ledger.Line,
        expected: int | None,
    ) -> tuple[Assignment, Head]:
        """End whoever holds a slot, if it is who the caller expects, and begin a version; servers are told."""
        model, number, now = version.model, version.number, self.clock.now_us()
        environment, slot, site = place
        was = slots.held(connection, model, environment, slot, site)
        if expected is not None and expected != (0 if was is None else was.id):
            slots.refuse_late(connection, model, slot, was)
        self._leave_other_slots(connection, version, place, line)
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
            site=site,
        )
        made = slots.assign(connection, wanted)
        judged = ledger.latest(connection, model, action="judge", number=number)
        full = replace(
            line,
            before=slots.told(environment, slot, None if was is None else was.number, site),
            after=slots.told(environment, slot, number, site),
            evidence="" if judged is None else judged.digest,
        )
        head = ledger.append(connection, model, number, full, at_us=now)
        ledger.advance(connection, environment, now)
        return made, head

    def _leave_other_slots(
        self, connection: Connection, version: ModelVersion, place: tuple[str, Slot, str], line: ledger.Line
    ) -> None:
        """Let a version that becomes champion hold nothing else there; a champion is not set beside itself."""
        environment, slot, site = place
        for held in slots.assignments(connection, version.model, environment=environment, site=site, ended=False):
            if held.number != version.number or held.slot is slot:
                continue
            if held.slot is Slot.CHAMPION:
                what = f"{version.ref} is the champion of {environment!r}: as its {slot} it would be set beside itself"
                raise ConflictError(what, fix="choose another version, or promote another champion first")
            if slot is Slot.CHAMPION:
                self._vacate(connection, held, actor=line.actor, reason=f"it became {slot}: {line.reason}")

    def _vacate(self, connection: Connection, was: Assignment, *, actor: str, reason: str) -> Head:
        """End an assignment that nobody follows; servers are told."""
        now = self.clock.now_us()
        slots.end(connection, was, at_us=now)
        before = slots.told(was.environment, was.slot, was.number, was.site)
        line = ledger.Line(action="clear", before=before, after="", actor=actor, reason=reason)
        ledger.advance(connection, was.environment, now)
        return ledger.append(connection, was.model, was.number, line, at_us=now)

    def _set_aside(
        self, connection: Connection, version: ModelVersion, state: State, *, actor: str, reason: str
    ) -> Head:
        """Move a version out of use."""
        self._move(connection, version, state)
        action = "quarantine" if state is State.QUARANTINED else "retire"
        line = ledger.Line(action=action, before=version.state, after=state, actor=actor, reason=reason)
        return ledger.append(connection, version.model, version.number, line, at_us=self.clock.now_us())


def _given(connection: Connection, version: ModelVersion) -> Sequence[Approval]:
    """Return the approvals of a version."""
    return [one for number, one in approvals_of(connection, version.model) if number == version.number]


def _last_good(connection: Connection, model: str, environment: str, site: str = "") -> ModelVersion:
    """Return the latest champion before this one that may still serve; `NotFoundError` where there is none."""
    before = slots.earlier(ledger.chain(connection, model)[1], environment, Slot.CHAMPION, site)
    versions = map(partial(version_of, connection, model), before)
    latest = next((one for one in versions if one.state is State.VALIDATED), None)
    if latest is None:
        where, fix = f"{environment!r}", "promote another version: `lineshaft models promote`"
        if site:
            where, fix = (
                f"{environment!r}, site {site!r},",
                "`lineshaft models clear` leaves it to the general champion",
            )
        raise NotFoundError(f"{model!r} has no earlier champion in {where} to go back to", fix=fix)
    return latest
