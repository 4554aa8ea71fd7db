"""Commands that score: predict, of some entities or of the whole fleet, once or on a schedule; and scores."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated

import numpy as np
import typer

from lineshaft.cli.app import Json, app
from lineshaft.cli.output import notes, show, show_line
from lineshaft.cli.serve import Data, Keys, moment_us, parse_keys
from lineshaft.cli.web import stopped_by_signal
from lineshaft.clock import moment
from lineshaft.definitions.words import duration_option
from lineshaft.errors import InputError, NotFoundError
from lineshaft.registry.fleet_runs import FleetRuns
from lineshaft.registry.scores import ScoreBook
from lineshaft.serving.fleet import Fleet, FleetScored, Remembered
from lineshaft.serving.fleet_rounds import FleetRounds, alone
from lineshaft.serving.predict import Predictor
from lineshaft.serving.prediction_log import PredictionLog
from lineshaft.serving.predictions import Question
from lineshaft.specs import Status
from lineshaft.wiring import Parts, connect, handlers


@app.command()
def predict(
    model: Annotated[str, typer.Argument(help="A model; none with --all.")] = "",
    key: Keys = None,
    data: Data = None,
    fleet: Annotated[bool, typer.Option("--fleet", help="Score every machine that is known online.")] = False,
    every_model: Annotated[bool, typer.Option("--all", help="The fleet, by every model that has a champion.")] = False,
    every: Annotated[str, typer.Option(help="Score the fleet again and again, as 12h, until stopped.")] = "",
    at: Annotated[str, typer.Option(help="Count ages to this moment (ISO), not to now: for recorded data.")] = "",
    as_json: Json = False,
) -> None:
    """Ask a model about entities: score, version, and what moved it; or have it score the whole fleet.

    Scores of a fleet go into the log of predictions and the database; exit code 1 where a model failed or scored none.
    """
    if fleet or every_model or every:
        if bool(model) == every_model or key:
            raise InputError("a fleet is scored by one model, or by --all", where="--fleet", fix="name no key")
        if every and at:
            raise InputError("a schedule has no one moment", where="--at", fix="leave out --at, or --every")
        if every:
            predict_on_schedule(model, every_us=_rhythm(every), as_json=as_json)
        else:
            predict_fleet(model, at_us=moment_us(at) if at else None, as_json=as_json)
        return
    if not model or not key:
        raise InputError("a model and a key are asked for", where="predict", fix="write MODEL --key asset_id=pump-001")
    entities = parse_keys(key, data or ())
    with connect() as parts:
        served = handlers(parts)
        if served.predictor is None or served.close is None:
            return
        times = np.full(entities.num_rows, moment_us(at), dtype=np.int64) if at else None
        found = served.predictor.predict(Question(model=model, keys=entities, at_us=times))
        served.close()
    rows = [
        {
            **{name: entities[name][row].as_py() for name in entities.column_names},
            "score": float(found.scores[row]),
            "model": by.version,
            "status": Status(int(found.statuses[row])).name,
            "because": ", ".join(f"{n}={v:.4g} ({c:+.3f})" for n, v, c in by.top(place, count=3))
            or "no score: no input is present, or one that is required is not",
        }
        for row, (by, place) in enumerate(found.by_row())
    ]
    show(rows, title=f"{found.version}", as_json=as_json)


def predict_fleet(model: str, *, at_us: int | None, as_json: bool) -> None:
    """Score every machine once, by one model or by all that have a champion where none is named."""
    with connect() as parts, fleet_of(parts) as scoring:
        found = list(scoring.score(_named(parts, model), at_us=at_us))
    show([asdict(one) for one in found], title="the fleet, scored", as_json=as_json)
    if any(one.fault for one in found):
        notes.print(_failed(found))
        raise typer.Exit(1)


def predict_on_schedule(model: str, *, every_us: int, as_json: bool) -> None:
    """Score every machine each time a round is due, until stopped; of a round, a line of JSON or a table."""
    stopping = stopped_by_signal()
    with connect() as parts, alone(parts.settings.home / "fleet.lock"), fleet_of(parts, follow=True) as scoring:
        names = _named(parts, model)
        runs = FleetRuns(
            engine=parts.registry.engine,
            project=parts.settings.project,
            clock=parts.clock,
            owner=f"{socket.gethostname()}:{parts.settings.home.resolve()}",
        )
        rounds = FleetRounds(
            fleet=scoring,
            runs=runs,
            every_us=every_us,
            clock=parts.clock,
            models=lambda: [model] if model else _with_champions(parts),
        )
        notes.print(f"scoring by {', '.join(names)}; the round of {moment(rounds.due_us())} is the first")
        rounds.run(stopping, tell_json if as_json else tell_table)


def tell_json(due_us: int, found: Sequence[FleetScored]) -> None:
    """Say what was scored in a round, as a line of JSON."""
    failed = sum(bool(one.fault) for one in found)
    told = {"due": moment(due_us), "models": len(found), "failed": failed, "scored": [asdict(one) for one in found]}
    show_line(told, as_json=True)


def tell_table(due_us: int, found: Sequence[FleetScored]) -> None:
    """Say what was scored in a round, as a table."""
    rows = [asdict(one) for one in found]
    show(rows, title=f"the round of {moment(due_us)}: {_failed(found)}", as_json=False)


def _failed(found: Sequence[FleetScored]) -> str:
    return f"{sum(bool(one.fault) for one in found)} of {len(found)} models failed or scored none"


@contextmanager
def fleet_of(parts: Parts, *, follow: bool = False) -> Iterator[Fleet]:
    """Return what scores the fleet: who answers as a server has them, the log of predictions, and the database.

    follow: go on to follow promotions, as a server does.
    """
    served = handlers(parts)
    book = ScoreBook(parts.settings.database(), project=parts.settings.project)
    try:
        predictor = served.predictor
        if not isinstance(predictor, Predictor) or not isinstance(predictor.sink, PredictionLog):
            raise NotFoundError("nothing here predicts", fix="connect a registry")
        predictor.sink = remembered = Remembered(log=predictor.sink, book=book)
        if follow and served.start is not None:
            served.start()
        yield Fleet(predictor=predictor, features=served.features, clock=parts.clock, remembered=remembered)
    finally:
        if served.close is not None:
            served.close()
        book.close()


@app.command()
def scores(
    model: Annotated[str, typer.Argument(help="Of this model; of all unless named.")] = "",
    asset: Annotated[str, typer.Option(help="Of this asset only.")] = "",
    as_json: Json = False,
) -> None:
    """Show the last score of each machine by each model, as the database has it from the last rounds of the fleet."""
    with connect() as parts:
        book = ScoreBook(parts.settings.database(), project=parts.settings.project)
        try:
            found = book.latest(model=model, asset_id=asset)
        finally:
            book.close()
    rows = [
        {
            **one.entity,
            "score": one.score,
            "model": one.version,
            "role": one.role,
            "at": moment(one.at_us),
            "status": Status(one.status).name,
            "prediction": one.prediction_id,
        }
        for one in found
    ]
    show(rows, title="last scores", as_json=as_json, nothing="none: `lineshaft predict --fleet --all` makes them")


def _rhythm(text: str) -> int:
    """Return how often a round is due.

    >>> _rhythm("12h")
    43200000000

    Raises
    ------
    InputError
        If it is no duration of a second or more.
    """
    found = duration_option(text, option="--every", like="12h")
    if found < 1_000_000:
        raise InputError(f"a round every {text} never ends", where="--every", fix="write 12h")
    return found


def _named(parts: Parts, model: str) -> list[str]:
    """Return who is to score: the model named, or all that have a champion.

    Raises
    ------
    NotFoundError
        If none has one.
    """
    found = [model] if model else _with_champions(parts)
    if not found:
        some = next((one.name for one in parts.registry.models()), "")
        fix = f"`lineshaft models promote {some}@NUMBER --reason ...`; `lineshaft models` lists versions"
        fix = fix if some else "train one first: `lineshaft train MODEL`"
        raise NotFoundError(f"no model has a champion in {parts.settings.project!r}: nobody can score", fix=fix)
    return found


def _with_champions(parts: Parts) -> list[str]:
    return [one.name for one in parts.registry.models() if parts.settings.project in one.champions]
