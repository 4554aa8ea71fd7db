"""Commands about where a model and a prediction come from: reproduce, explain, lineage, models card."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lineshaft.cli.app import Json, app
from lineshaft.cli.models import models
from lineshaft.cli.output import console, notes, show, show_json
from lineshaft.cli.promotion import parse_version
from lineshaft.cli.web import alert_book
from lineshaft.clock import moment
from lineshaft.errors import InputError
from lineshaft.ops.explain import Explanation, Records, explain
from lineshaft.ops.lineage import lineage
from lineshaft.ops.reproduce import Reproduction, Sources, reproduce
from lineshaft.wiring import connect, governance


@app.command("reproduce")
def reproduce_command(
    version: Annotated[str, typer.Argument(help="MODEL@NUMBER")],
    threads: Annotated[int, typer.Option(min=1, help="Threads to train with: they change no bit.")] = 1,
    as_json: Json = False,
) -> None:
    """Make a version again from its pins: the same bits, or the first stage that differs.

    Exit code 0 for the same bits, 1 for a difference, 2 where it was not recorded how the version came about.
    """
    model, number = parse_version(version)
    with connect() as parts, notes.status(f"making {version} again"):
        sources = Sources(
            catalog_at=parts.catalog.at,
            offline=parts.offline,
            tables=parts.tables,
            artifacts=parts.registry.artifacts,
        )
        made = reproduce(parts.registry.get(model, number), sources, threads=threads)
    report(made, as_json=as_json)
    raise typer.Exit(made.exit_code)


def report(made: Reproduction, *, as_json: bool) -> None:
    """Print what came of it."""
    stages = [asdict(stage) for stage in made.stages]
    if as_json:
        first = made.first.name if made.first else None
        console.print_json(
            json.dumps({"version": made.ref, "same": made.first is None, "first": first, "stages": stages})
        )
        return
    show(stages, title=f"{made.ref}, made again", as_json=False)
    if made.first is None:
        console.print("[bold green]SAME BITS[/]")
    elif made.exit_code == 2:
        console.print("[bold yellow]NOT RECORDED[/]  how this version came about; train it again to have it recorded")
    else:
        console.print(f"[bold red]DIFFERENT[/]  from {made.first.name} on")


@app.command("explain")
def explain_command(
    prediction_id: Annotated[str, typer.Argument(help="The id that the log of predictions gives.")],
    threshold: Annotated[
        float | None, typer.Option(help="Where the score counts as an alert, unless declared.")
    ] = None,
    most: Annotated[int, typer.Option(min=1, help="Inputs to show.")] = 10,
    as_json: Json = False,
) -> None:
    """Explain a prediction: its inputs then, held against the offline store; who let it answer; what became of it."""
    with connect() as parts, alert_book(parts) as book:
        records = Records(
            predictions=parts.settings.home / "predictions",
            tables=parts.tables,
            registry=parts.registry,
            catalog=parts.catalog,
            offline=parts.offline,
            environment=parts.settings.project,
            clock=parts.clock,
            findings=book.findings(),
        )
        found = explain(prediction_id, records, threshold=threshold)
    if as_json:
        show_json({**asdict(found), "proven": found.proven})
        return
    tell(found, most=most)


def tell(found: Explanation, *, most: int) -> None:
    """Print an explanation, the most important first."""
    version = found.version
    entity = ", ".join(f"{name}={value}" for name, value in found.keys.items())
    decided = found.decided
    limit = (
        "none" if found.rule is None else f"{found.rule.threshold:g}{' or less' if found.rule.below else ' or more'}"
    )
    about = {
        "prediction": f"{found.prediction_id} of {entity} at {moment(found.asked_us)}",
        "score": f"{found.score} by {version.ref}; made again {found.again}; alert at {limit}",
        "proof": proof(found),
        "let answer": f"{decided['act']} by {decided['by']} at {decided['at']}: {decided['reason']}"
        if decided
        else "nobody",
        "trained on": ", ".join(f"{pin.view}@{pin.version}, table version {pin.table_version}" for pin in version.pins),
        "outcome": found.outcome,
    }
    show([{"what": name, "said": value} for name, value in about.items()], title="explanation", as_json=False)
    show([asdict(one) for one in found.inputs[:most]], title=f"inputs (base {found.base:+.4g})", as_json=False)
    show(list(found.recent), title="recent scores", as_json=False)
    moves = [
        {
            "had it been": ", ".join(f"{n}={v:.6g}" for n, v in one.values.items()),
            "away": one.distance,
            "score": one.score,
        }
        for one in found.moves
    ]
    title = "nearest otherwise (away: in spreads of the training rows)"
    show(moves, title=title, as_json=False, nothing="no move within the range seen in training crosses the threshold")


def proof(found: Explanation) -> str:
    """Say whether the prediction is what is found again, and where not, why."""
    if found.proven:
        return "score and inputs are found again bit for bit"
    if found.offline_fault or found.late:
        return found.offline_fault or "; ".join(map(str, found.late))
    differing = [one.feature for one in found.inputs if not one.same]
    if not differing:
        return f"every input is found again, but the score is {found.again}"
    rest = f", first {differing[0]}" if len(differing) > 1 else f": {differing[0]}"
    return f"{len(differing)} of {len(found.inputs)} inputs differ from the offline store{rest}"


@app.command("lineage")
def lineage_command(
    name: Annotated[
        str, typer.Argument(help="source.channel, view__feature, a service, MODEL@NUMBER, or a prediction.")
    ],
    as_json: Json = False,
) -> None:
    """Show where a thing comes from, and what rests on it: from a sensor's channel to a prediction."""
    with connect() as parts:
        folder = parts.settings.home / "predictions"
        start, found = lineage(name, catalog=parts.catalog, registry=parts.registry, predictions=folder)
    lines = [
        {"direction": one.direction, "steps": one.steps, **asdict(one.node)}
        for one in sorted(found, key=lambda one: (one.direction == "down", one.steps, one.node.kind, one.node.name))
    ]
    show(lines, title=f"{start.kind} {start.name} {start.detail}".strip(), as_json=as_json)


@models.command("card")
def card_command(
    version: Annotated[str, typer.Argument(help="MODEL@NUMBER")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Where it goes; printed unless said.")] = None,
    html: Annotated[bool, typer.Option("--html", help="One HTML file.")] = False,
    md: Annotated[bool, typer.Option("--md", help="Markdown, as unless said.")] = False,
) -> None:
    """Write a version's model card from the records: purpose, data, figures, gates, decisions, limits."""
    if html and md:
        raise InputError("a card is HTML or Markdown, not both", where="--html --md", fix="name one of them")
    model, number = parse_version(version)
    with connect() as parts, governance(parts) as checks:
        text = checks.card(parts, parts.registry.get(model, number), html=html)
    if output is None:
        typer.echo(text)
        return
    output.write_text(text, encoding="utf-8")
    notes.print(f"wrote {output}")
