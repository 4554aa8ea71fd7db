"""Experiments: which assets a challenger answers for, since when, and how it ended; each act a line of the history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, Engine, insert, select

from lineshaft.clock import Clock
from lineshaft.errors import ConflictError, InputError, NotFoundError
from lineshaft.registry import ledger, slots
from lineshaft.registry.engine import connected
from lineshaft.registry.experiment_tables import CONCLUSION, EXPERIMENT
from lineshaft.registry.history import evidence
from lineshaft.registry.notes import HeadNotes
from lineshaft.registry.records import Conclusion, Experiment, Slot


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiments:
    """One at a time for each model of an environment; servers follow a start or an end as they follow a promotion."""

    engine: Engine
    clock: Clock
    notes: HeadNotes

    def start(self, wanted: Experiment, *, actor: str, reason: str) -> None:
        """Let the challenger answer for its share of the assets.

        Raises
        ------
        InputError
            If the share is nothing or everything.
        ConflictError
            If one is running already, or champion and challenger are not who the caller says.
        """
        if not 0 < wanted.weight_bp < 10_000:
            what = f"a share of {wanted.weight_bp / 10_000:g} of the assets leaves an arm empty"
            raise InputError(what, where=wanted.model, fix="give the challenger more than 0 and less than 1, as 0.1")
        model, place = wanted.model, wanted.environment
        with ledger.acting(self.engine, model) as connection:
            for slot, number in ((Slot.CHAMPION, wanted.champion), (Slot.CHALLENGER, wanted.challenger)):
                held = slots.held(connection, model, place, slot)
                if held is None or held.number != number:
                    what = f"{model}@{number} is not the {slot} of {place!r}"
                    raise ConflictError(what, fix=f"`lineshaft models promote {model}@{number} --slot {slot}`")
            if _running(connection, model, place) is not None:
                raise ConflictError(f"an experiment on {model!r} runs in {place!r}", fix="`lineshaft experiments stop`")
            connection.execute(insert(EXPERIMENT).values(asdict(wanted)))
            line = ledger.Line(
                action="experiment",
                before="",
                after=f"{place}:{wanted.weight_bp} bp of assets",
                actor=actor,
                reason=reason,
                evidence=evidence(wanted),
            )
            head = ledger.append(connection, model, wanted.challenger, line, at_us=self.clock.now_us())
            ledger.advance(connection, place, self.clock.now_us())
        self.notes.note(model, head)

    def end(
        self, model: str, environment: str, *, verdict: str, detail: str, actor: str, reason: str
    ) -> tuple[Experiment, Conclusion]:
        """Let the champion answer for all assets again, and keep what was found.

        Raises
        ------
        NotFoundError
            If none is running.
        """
        with ledger.acting(self.engine, model) as connection:
            running = _running(connection, model, environment)
            if running is None:
                what = f"no experiment on {model!r} runs in {environment!r}"
                raise NotFoundError(what, fix="see `lineshaft experiments status`")
            now = self.clock.now_us()
            ended = Conclusion(salt=running.salt, verdict=verdict, detail=detail, ended_us=now)
            connection.execute(insert(CONCLUSION).values(asdict(ended)))
            line = ledger.Line(
                action="conclude",
                before=f"{environment}:{running.weight_bp} bp of assets",
                after=verdict,
                actor=actor,
                reason=reason,
                evidence=evidence(ended),
            )
            head = ledger.append(connection, model, running.challenger, line, at_us=now)
            ledger.advance(connection, environment, now)
        self.notes.note(model, head)
        return running, ended

    def running(self, model: str, environment: str) -> Experiment | None:
        """Return the experiment that servers route by."""
        with connected(self.engine) as connection:
            return _running(connection, model, environment)

    def all_of(self, model: str) -> list[tuple[Experiment, Conclusion | None]]:
        """Return every experiment on a model, oldest first, with how it ended."""
        with connected(self.engine) as connection:
            begun, ended = experiments_of(connection, model), conclusions_of(connection, model)
        found = {one.salt: one for _, one in ended}
        return [(one, found.get(one.salt)) for _, one in begun]


def experiments_of(connection: Connection, model: str) -> Sequence[tuple[int, Experiment]]:
    """Read the experiments on a model, oldest first, each with its challenger."""
    rows = connection.execute(select(EXPERIMENT).where(EXPERIMENT.c.model == model).order_by(EXPERIMENT.c.id)).all()
    found = [Experiment(**{name: getattr(row, name) for name in Experiment.__slots__}) for row in rows]
    return [(one.challenger, one) for one in found]


def conclusions_of(connection: Connection, model: str) -> Sequence[tuple[int, Conclusion]]:
    """Read how experiments on a model ended, oldest first, each with its challenger."""
    joined = select(CONCLUSION, EXPERIMENT.c.challenger).join(EXPERIMENT, EXPERIMENT.c.salt == CONCLUSION.c.salt)
    rows = connection.execute(joined.where(EXPERIMENT.c.model == model).order_by(CONCLUSION.c.id)).all()
    names = Conclusion.__slots__
    return [(row.challenger, Conclusion(**{name: getattr(row, name) for name in names})) for row in rows]


def _running(connection: Connection, model: str, environment: str) -> Experiment | None:
    ended = {one.salt for _, one in conclusions_of(connection, model)}
    found = [one for _, one in experiments_of(connection, model) if one.environment == environment]
    return next((one for one in reversed(found) if one.salt not in ended), None)
