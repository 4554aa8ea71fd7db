"""Commands about alerts: alerts, alerts run, alerts ack."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from lineshaft.cli.app import Json, app
from lineshaft.cli.output import notes, show
from lineshaft.cli.serve import moment_us
from lineshaft.cli.web import alert_book, stopped_by_signal
from lineshaft.errors import NotFoundError
from lineshaft.models.alarms import AlarmRule
from lineshaft.ops.account import account
from lineshaft.ops.model_file import model_names
from lineshaft.registry.alerts import Alert, Answer
from lineshaft.serving.alert_loop import AlertLoop
from lineshaft.serving.alert_routes import routes_of
from lineshaft.serving.call_log import log_lines
from lineshaft.serving.predict import Predictor
from lineshaft.serving.server import Handlers
from lineshaft.wiring import Parts, connect, handlers

alerts = typer.Typer(invoke_without_command=True, help="Alerts: what models said of machines, and who has seen it.")
app.add_typer(alerts, name="alerts")


@alerts.callback()
def alerts_command(
    context: typer.Context,
    model: Annotated[str, typer.Option(help="Of this model only.")] = "",
    unseen: Annotated[bool, typer.Option(help="Only those that nobody has acknowledged.")] = False,
    as_json: Json = False,
) -> None:
    """List alerts, newest first; the commands below raise and acknowledge them."""
    if context.invoked_subcommand is not None:
        return
    with connect() as parts, alert_book(parts) as book:
        show([_row(alert) for alert in book.all(model=model, open_only=unseen)], title="alerts", as_json=as_json)


@alerts.command("run")
def run(
    models: Annotated[list[str] | None, typer.Argument(help="Models to watch; all that declare an alert.")] = None,
) -> None:
    """Score rows as they are written and alert by the models' rules, until stopped (Ctrl-C or SIGTERM)."""
    stopping = stopped_by_signal()
    with connect() as parts, log_lines(sys.stderr, parts.settings.log_format), ExitStack() as stack:
        answering = handlers(parts)
        if answering.close is not None:
            stack.callback(answering.close)
        loop = stack.enter_context(alert_loop(parts, models or [], answering))
        if answering.start is not None:
            answering.start()
        notes.print(f"watching for {', '.join(loop.models)}; alerts go to {', '.join(r.name for r in loop.routes)}")
        loop.run(stopping)


@alerts.command("found")
def found_command(
    id: Annotated[str, typer.Argument(help="The alert, as `lineshaft alerts` names it.")],  # noqa: A002
    answer: Annotated[Answer, typer.Argument(help="What whoever looked found.")],
    note: Annotated[str, typer.Option(help="In words.")] = "",
    looked: Annotated[str, typer.Option(help="When somebody looked (ISO); now unless said.")] = "",
    as_json: Json = False,
) -> None:
    """Say what was found of an alert: it counts in `lineshaft outcomes`; the last that was said does."""
    looked_us = moment_us(looked) if looked else None
    with connect() as parts, alert_book(parts) as book:
        said = book.find(id, answer, by=account(), note=note, looked_us=looked_us)
    show([{**asdict(said), "answer": str(said.answer)}], title="found", as_json=as_json)


@alerts.command("ack")
def ack(
    id: Annotated[str, typer.Argument(help="The alert, as `lineshaft alerts` names it.")],  # noqa: A002
    note: Annotated[str, typer.Option(help="What was found, or what is done about it.")] = "",
    as_json: Json = False,
) -> None:
    """Say that an alert was seen; the first who says so is kept."""
    with connect() as parts, alert_book(parts) as book:
        show([_row(book.ack(id, by=account(), note=note))], title="acknowledged", as_json=as_json)


@contextmanager
def alert_loop(parts: Parts, models: Sequence[str], answering: Handlers) -> Iterator[AlertLoop]:
    """Return what raises alerts by the predictor of a server; without names, of every champion that declares one.

    Raises `NotFoundError` where there is none to watch, or one is named that nobody declared.
    """
    known = {*model_names(parts.settings.repo), *(model.name for model in parts.registry.models())}
    unknown = next((name for name in models if name not in known), None)
    if unknown is not None:
        raise NotFoundError(f"no model {unknown!r} is declared", fix=f"declared: {', '.join(sorted(known)) or 'none'}")
    wanted = list(models) or alerting(parts)
    if not wanted or not isinstance(answering.predictor, Predictor):
        what = "no model has a champion that declares an alert"
        raise NotFoundError(what, fix="write `alert: {threshold: ...}` in a model's file, and train it")
    setting = parts.settings.alert_routes
    with alert_book(parts) as book:
        yield AlertLoop(
            models=wanted,
            predictor=answering.predictor,
            plans=answering.plans,
            online=parts.online,
            book=book,
            routes=routes_of("log" if setting is None else setting.get_secret_value()),
            clock=parts.clock,
        )


@contextmanager
def alerting_beside(parts: Parts, answering: Handlers) -> Iterator[str]:
    """Raise alerts from a thread beside a server, by its predictor; yield the models watched, "" where there are none.

    One predictor, because a second would follow the champions again and hold every model twice.
    """
    if not alerting(parts):
        yield ""
        return
    stopping = threading.Event()
    with alert_loop(parts, [], answering) as loop:
        thread = threading.Thread(target=loop.run, args=(stopping,), name="alert-loop")
        thread.start()
        try:
            yield ", ".join(loop.models)
        finally:
            stopping.set()
            thread.join()


def alerting(parts: Parts) -> list[str]:
    """Return the models whose champions declare an alert."""
    found = []
    for model in parts.registry.models():
        number = model.champions.get(parts.settings.project)
        version = parts.registry.get(model.name, number) if number is not None else None
        if version is not None and AlarmRule.of(version.params, task=version.task) is not None:
            found.append(model.name)
    return found


def _row(alert: Alert) -> dict[str, object]:
    """Return an alert as a row to show."""
    return {
        "alert": alert.id,
        **alert.entity,
        "model": alert.version,
        "at": datetime.fromtimestamp(alert.at_us / 1e6, UTC).isoformat(timespec="seconds"),
        "score": alert.score,
        "threshold": alert.threshold,
        "because": ", ".join(f"{name}={value:.4g}" for name, value, _ in alert.because[:3]),
        "state": "ended" if alert.ended_us is not None else "goes on",
        "routed": ", ".join(f"{name}: {became}" for name, became in (alert.routed or {}).items()),
        "seen by": alert.acked_by,
        "note": alert.note,
    }
