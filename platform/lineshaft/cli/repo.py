"""Commands about declarations: functions, views, services, plan, apply."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from lineshaft.cli.app import Json, app
from lineshaft.cli.output import console, notes, show, underway
from lineshaft.settings import Settings
from lineshaft.specs import View, format_duration
from lineshaft.tiles.catalogue import entries
from lineshaft.wiring import Parts, connect

if TYPE_CHECKING:
    from lineshaft.definitions.diff import Plan


@app.command()
def functions(as_json: Json = False) -> None:
    """List every feature function with its formula, unit and source."""
    rows = [{"function": e.pattern, "unit": e.unit, "formula": e.formula, "source": e.source} for e in entries()]
    show(rows, title="feature functions", as_json=as_json)


@app.command()
def views(as_json: Json = False) -> None:
    """List the current feature views."""
    with connect() as parts:
        rows = [view_row(parts, view) for view in parts.catalog.views()]
    show(rows, title="feature views", as_json=as_json)


@app.command()
def services(as_json: Json = False) -> None:
    """List the feature services and the view versions they pin."""
    with connect() as parts:
        rows = [
            {
                "service": service.name,
                "team": service.team,
                "views": ", ".join(f"{used.view}@{used.version}" for used in service.views),
                "features": sum(len(used.features) for used in service.views)
                + sum(len(view.features) for view in service.on_demand),
                "description": service.description,
            }
            for service in parts.catalog.services()
        ]
    show(rows, title="feature services", as_json=as_json)
    if not rows:
        notes.print("`lineshaft apply` puts those of the feature repository into the catalogue")


Empty = Annotated[bool, typer.Option("--allow-empty", help="Let a repository without definitions remove all there is.")]


@app.command()
def plan(allow_empty: Empty = False, as_json: Json = False) -> None:
    """Show what an apply would change; exit code 2 when there is something to apply, 1 when there are faults."""
    with connect() as parts:
        changes = make_plan(parts, allow_empty=allow_empty)
        if as_json:
            console.print_json(changes.to_json())
        else:
            console.print(changes.text(), markup=False, highlight=False, soft_wrap=True)
    if changes.exit_code:
        raise typer.Exit(changes.exit_code)


@app.command()
def apply(
    actor: Annotated[str, typer.Option(help="Who applies; you unless named.")] = "",
    allow_empty: Empty = False,
    as_json: Json = False,
) -> None:
    """Read the feature repository, check it, and make it current in one transaction."""
    with connect() as parts:
        changes = make_plan(parts, allow_empty=allow_empty)
        generation = parts.catalog.apply(changes, actor=actor or getpass.getuser())
        rows = [view_row(parts, view) for view in parts.catalog.views()]
    notes.print(changes.text(), markup=False, highlight=False, soft_wrap=True)
    show(rows, title=f"current views, generation {generation}", as_json=as_json)


def view_row(parts: Parts, view: View) -> dict[str, object]:
    """Return one line about a view."""
    return {
        "view": view.name,
        "version": view.version,
        "team": view.team,
        "source": view.source.name,
        "features": len(view.features),
        "every": format_duration(view.tile_us),
        "ttl": format_duration(view.ttl_us) if view.ttl_us else "none",
        "table version": table_version(parts, view),
    }


def table_version(parts: Parts, view: View) -> int | None:
    """Return the version of a view's offline table, or None where nothing was written yet."""
    version = parts.offline.version(view)
    return version if version >= 0 else None


def make_plan(parts: Parts, *, allow_empty: bool = False) -> Plan:
    """Read the repository (this imports Feast, some seconds) and hold it against the catalogue."""
    from lineshaft.definitions.diff import plan_changes
    from lineshaft.definitions.reader import read_repo

    settings: Settings = parts.settings
    with underway(f"reading {settings.repo}"):
        return plan_changes(read_repo(settings.repo), parts.catalog, allow_empty=allow_empty)
