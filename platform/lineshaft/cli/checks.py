"""Commands about what data must be: checks generate, diff, run, docs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from lineshaft.cli.app import Json, app
from lineshaft.cli.materialize import Names
from lineshaft.cli.output import console, show, underway
from lineshaft.cli.owners import tell_owners
from lineshaft.errors import CheckFailedError, CheckNotRunError, LineshaftError, NotFoundError
from lineshaft.ops.jobs import COULD_NOT_RUN, FAILED
from lineshaft.ops.slices import Slice, check_slice, last_rows
from lineshaft.wiring import Parts, connect, governance

logger = logging.getLogger(__name__)

checks_app = typer.Typer(no_args_is_help=True, help="What data must be: suites, and the checkpoints that run them.")
app.add_typer(checks_app, name="checks")

Hours = Annotated[float, typer.Option(min=0.01, help="How far back from the newest row.")]


@checks_app.command("generate")
def generate(name: Annotated[str, typer.Argument(help="A view, or a source.")]) -> None:
    """Print the suite that a declaration implies: units, formulas, order of statistics, lateness. To be reviewed."""
    with connect() as parts, governance(parts) as checks:
        fed = [view for view in parts.catalog.views() if view.source.name == name]
        if fed:
            text = checks.contract(fed[0].source, lateness_us=max(view.lateness_us for view in fed))
        else:
            text = checks.contract(parts.catalog.view(name))
    console.print(text, markup=False, soft_wrap=True, end="")


@checks_app.command("diff")
def diff(names: Names = None, as_json: Json = False) -> None:
    """Tell where suites say less than the declarations, or name columns that are gone; exit code 2 where they do."""
    with connect() as parts, governance(parts) as checks:
        views = [parts.catalog.view(name) for name in names or []] or list(parts.catalog.views())
        rows = [asdict(one) for one in checks.differences(views)]
    show(rows, title="suites beside declarations", as_json=as_json, nothing="they say the same")
    if rows:
        raise typer.Exit(2)


@checks_app.command("run")
def run(names: Names = None, hours: Hours = 1.0, as_json: Json = False) -> None:
    """Hold the last hours of stored rows to their suites, as one batch; owners are told by the routes of alerts.

    Exit code 3 where data failed, 4 where a check could not be run.
    """
    with connect() as parts, underway("checking"):
        slices = check_last(parts, names or [], hours=hours)
    show([asdict(one) for one in slices], title=f"the last {hours:g} h", as_json=as_json)
    outcomes = {one.outcome for one in slices}
    if COULD_NOT_RUN in outcomes:
        raise typer.Exit(CheckNotRunError.exit_code)
    if FAILED in outcomes:
        raise typer.Exit(CheckFailedError.exit_code)


def check_last(parts: Parts, names: Sequence[str] = (), *, hours: float = 1.0) -> list[Slice]:
    """Check the last hours of the views named, or of all that have rows, and tell owners of what failed."""
    views = [parts.catalog.view(name) for name in names] or list(parts.catalog.views())
    with governance(parts) as checks:
        now_us = parts.clock.now_us()
        slices = [
            check_slice(view, parts.offline, checks.gate, hours=hours, now_us=now_us)
            for view in views
            if parts.offline.version(view) >= 0
        ]
    bad = [one for one in slices if one.why]
    tell_owners(parts, {one.view: _sentence(one) for one in bad}, rows={one.view: one.failing for one in bad})
    return slices


def _sentence(found: Slice) -> str:
    """Say what a slice broke; its rows had passed when they came, so they stay."""
    ran = "could not be checked" if found.outcome == COULD_NOT_RUN else "break a check, and stay"
    rows = f"{found.failing:,} of {found.rows:,} rows of the last hours of view {found.view} {ran}: {found.why}."
    return f"{rows} Look: lineshaft checks docs {found.view}"


def check_every(stopping: threading.Event, parts: Parts, *, seconds: float = 3600.0) -> None:
    """Check the last hour every hour until told to stop; whatever fails is in the log and on the page."""
    while not stopping.wait(seconds):
        try:
            check_last(parts)
        except LineshaftError as error:
            logger.warning("the hourly checkpoint could not be run: %s", error.what)


@checks_app.command("docs")
def docs(name: Annotated[str, typer.Argument(help="A view.")], hours: Hours = 24.0, as_json: Json = False) -> None:
    """Write Great Expectations' own page (Data Docs) of the last hours of a view, on demand."""
    with connect() as parts, governance(parts) as checks, underway(f"checking {name}"):
        view = parts.catalog.view(name)
        rows = last_rows(view, parts.offline, hours=hours)
        if not rows.num_rows:
            raise NotFoundError(f"no rows of {name!r} are stored", fix="run `lineshaft backfill`")
        path = checks.document(view, rows)
    show([{"view": view.ref, "rows": rows.num_rows, "page": str(path)}], title="written", as_json=as_json)
