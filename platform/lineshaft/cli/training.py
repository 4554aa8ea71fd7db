"""Train: once, or again and again as new data comes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Annotated

import typer

from lineshaft.cli.app import Json, app
from lineshaft.cli.nightly import Row, nightly
from lineshaft.cli.output import notes, show, show_line, underway
from lineshaft.cli.web import stopped_by_signal
from lineshaft.clock import moment
from lineshaft.errors import InputError
from lineshaft.models.tuning import Tuning
from lineshaft.ops.account import account
from lineshaft.ops.environment import packages_sha256
from lineshaft.ops.learning import Lesson, lesson
from lineshaft.ops.model_file import model_file
from lineshaft.ops.model_release import Origin, Release, release
from lineshaft.ops.openlineage import Dataset, rows_of, told_of
from lineshaft.ops.reproduce import keep_provenance
from lineshaft.ops.schedule import Schedule, nothing_new
from lineshaft.ops.tracking import Tracked, run_files, under_way
from lineshaft.ops.training_check import accept
from lineshaft.registry.catalog_values import Catalog
from lineshaft.registry.runs import RunBook, RunState, Wanted
from lineshaft.settings import Settings
from lineshaft.specs import View
from lineshaft.wiring import Parts, connect, governance


@app.command()
def train(
    name: Annotated[str, typer.Argument(help="A model that `models/NAME.yaml` in the feature repository declares.")],
    tune: Annotated[int, typer.Option(min=0, help="Try so many other parameters first, on the rows learned from.")] = 0,
    if_new: Annotated[bool, typer.Option("--if-new", help="Only if anything is new since its last version.")] = False,
    every: Annotated[str, typer.Option(help="Again each time so much has passed (24h), if anything is new.")] = "",
    at: Annotated[str, typer.Option(help="With --every: at this time of the day (02:00), UTC.")] = "",
    as_json: Json = False,
) -> None:
    """Train a model on a point-in-time training set, register it with its pins, judge it; its policy may promote it.

    With --every it goes on until stopped (Ctrl-C or SIGTERM), a line for each night; a night that fails is told of.
    """
    if every:
        keep_training(name, Schedule.of(every, at), trials=tune, as_json=as_json)
        return
    if at:
        raise InputError("an hour is of a schedule", where="--at", fix="write --every 24h beside it")
    with connect() as parts, underway(f"training {name}") as tell:
        tuning = Tuning(trials=tune, tell=tell) if tune else None
        outcome = (train_if_new if if_new else run_training)(parts, name, tuning=tuning)
    if isinstance(outcome, str):
        show_line({"model": name, "outcome": "skipped", "detail": outcome}, as_json=as_json)
        return
    show(release_rows(outcome), title=f"{outcome.version.ref}: {outcome.judgement.outcome}", as_json=as_json)


def keep_training(name: str, schedule: Schedule, *, trials: int, as_json: bool) -> None:
    """Train whenever the schedule wants and something is new, until stopped; where it stood is in the database."""
    stopping, settings = stopped_by_signal(), Settings()
    model_file(settings.repo, name)  # a misspelt name is told now, not at night
    with connect() as parts, run_book(parts) as book:
        last_us, clock = book.last_due_us(f"train/{name}"), parts.clock

    def night(due_us: int) -> list[Row]:
        with connect() as parts, underway(f"training {name}") as tell:
            tuning = Tuning(trials=trials, tell=tell) if trials else None
            outcome = train_if_new(parts, name, tuning=tuning, due_us=due_us)
        return [{"model": name, **_line(outcome)}]

    first_us = schedule.next_us(last_us, clock.now_us())
    notes.print(f"training {name} from {moment(first_us)} on; Ctrl-C stops after the night under way", soft_wrap=True)
    tell = partial(show_line, as_json=as_json)
    nightly(night, schedule, last_us=last_us, clock=clock, stopping=stopping, tell=tell)


def train_if_new(parts: Parts, name: str, *, tuning: Tuning | None = None, due_us: int | None = None) -> Release | str:
    """Train, or say why it would make the newest version again; that nothing was done is written down too."""
    newest = next(iter(parts.registry.versions(name)), None)
    reason = nothing_new(
        newest,
        model_file(parts.settings.repo, name),
        catalog=parts.catalog.at(parts.catalog.generation()),
        offline=parts.offline,
        tables=parts.tables,
        tuned=tuning is not None,
    )
    if not reason:
        return run_training(parts, name, tuning=tuning, due_us=due_us)
    with _recorded(parts, name, due_us) as run:
        run.end(RunState.SKIPPED, detail=reason)
    return reason


def run_training(
    parts: Parts, name: str, *, tuning: Tuning | None = None, due_us: int | None = None, challenge: bool = False
) -> Release:
    """Train, register and judge a model; the training set is kept, for whoever makes it again.

    One that is to challenge the champion is not promoted, whatever its policy says of itself.
    Raises `ConflictError` where it is being trained already.
    """
    telling = told_of(parts.settings, f"train/{name}", clock=parts.clock)
    with _recorded(parts, name, due_us) as tracked, telling as run:
        outcome, work = _trained(parts, name, tuning, challenge=challenge)
        made = outcome.version
        views = pinned_views(parts.catalog, work)
        run.inputs = [rows_of(view, work.table_versions.get(view.name, -1)) for view in views]
        run.outputs = [Dataset(name=f"models/{made.model}", version=str(made.number))]
        tracked.params(**made.params)
        tracked.metrics(**{key: value for key, value in made.metrics.items() if math.isfinite(value)})
        if outcome.search is not None:
            tracked.curve("tried", [one.score for one in outcome.search.own.trials])
        tracked.end(RunState.DONE, detail=outcome.judgement.outcome, number=made.number)
    return outcome


@contextmanager
def _recorded(parts: Parts, name: str, due_us: int | None) -> Iterator[Tracked]:
    """Write a training down as it goes; nobody else trains the model meanwhile."""
    wanted = Wanted(name=f"train/{name}", model=name, due_us=due_us, alone=True)
    with run_book(parts) as book, under_way(book, wanted, files=run_files(parts.settings.home)) as tracked:
        yield tracked


@contextmanager
def run_book(parts: Parts) -> Iterator[RunBook]:
    """Open the runs of this environment."""
    book = RunBook(parts.settings.database(), project=parts.settings.project, clock=parts.clock)
    try:
        yield book
    finally:
        book.close()


def _line(outcome: Release | str) -> Row:
    """Return what came of a night."""
    if isinstance(outcome, str):
        return {"outcome": "skipped", "detail": outcome}
    champion = "champion" if outcome.assignment else f"waits for {outcome.waits_for}"
    verdict = outcome.judgement.outcome
    return {"outcome": "registered", "version": outcome.version.ref, "verdict": verdict, "detail": champion}


def _trained(parts: Parts, name: str, tuning: Tuning | None, *, challenge: bool) -> tuple[Release, Lesson]:
    declared = model_file(parts.settings.repo, name)
    catalog = parts.catalog.at(parts.catalog.generation())
    work = lesson(declared, catalog=catalog, offline=parts.offline, tables=parts.tables)
    provenance = keep_provenance(declared, work, generation=catalog.generation, tables=parts.tables)
    origin = Origin(
        service=work.service,
        table_versions=work.table_versions,
        actor=account(),
        lock_sha256=packages_sha256(),
        provenance=provenance,
        tables=parts.tables,
    )
    with governance(parts) as checks:
        policy, drift = checks.promotion(work.spec.name), checks.drift_policies(work.spec.name).check
        accept(work.spec.name, work.table, views=pinned_views(catalog, work), judge=checks.training, work=parts.work)
    released = release(
        parts.registry,
        work.spec,
        work.table,
        origin=origin,
        policy=replace(policy, auto=policy.auto and not challenge),
        drift=drift,
        environment=parts.settings.project,
        tuning=tuning,
    )
    return released, work


def pinned_views(catalog: Catalog, work: Lesson) -> list[View]:
    """Return the views that a training set was made from."""
    return [catalog.view(used.view, used.version) for used in work.service.views]


def release_rows(outcome: Release) -> list[dict[str, object]]:
    """Return what came of a training as rows to show."""
    rows: list[dict[str, object]] = [
        {"figure": name, "value": value} for name, value in outcome.version.metrics.items()
    ]
    if outcome.search is not None:
        rows.append({"figure": "tuned", "value": outcome.search.told})
    rows += [{"figure": f"gate {one.gate}", "value": f"{one.outcome}: {one.detail}"} for one in outcome.judgement.gates]
    rows.append({"figure": "verdict", "value": outcome.judgement.outcome})
    champion = "yes, by itself" if outcome.assignment else f"no, it waits for {outcome.waits_for}"
    rows.append({"figure": "champion", "value": champion})
    return rows
