"""Commands about where a model and a prediction come from: reproduce, explain, lineage."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from lineshaft.cli.app import Json, app
from lineshaft.cli.output import console, notes, show
from lineshaft.cli.promotion import parse_version
from lineshaft.ops.reproduce import Reproduction, Sources, reproduce
from lineshaft.wiring import connect


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
        sources = Sources(catalog_at=parts.catalog.at, offline=parts.offline, tables=parts.tables)
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
