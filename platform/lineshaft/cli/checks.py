"""Commands about what data must be: checks generate, diff, run, docs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from lineshaft.cli.app import Json, app
from lineshaft.cli.materialize import Names
from lineshaft.cli.output import console, show, underway
from lineshaft.cli.owners import tell_owners
from lineshaft.errors import CheckFailedError, CheckNotRunError, NotFoundError
from lineshaft.ops.jobs import COULD_NOT_RUN, FAILED, Gate, Target
from lineshaft.ops.slices import check_slice, last_rows
from lineshaft.wiring import connect, gated_target, governance

checks_app = typer.Typer(no_args_is_help=True, help="What data must be: suites, and the checkpoints that run them.")
app.add_typer(checks_app, name="checks")

Hours = Annotated[float, typer.Option(min=0.01, help="How far back from the newest row.")]


@checks_app.command("generate")
def generate(name: Annotated[str, typer.Argument(help="A view.")]) -> None:
    """Print the suite that a view's declaration implies: units, formulas, the order of statistics. A file to review."""
    with connect() as parts, governance(parts) as checks:
        text = checks.contract(parts.catalog.view(name))
    console.print(text, markup=False, soft_wrap=True, end="")


@checks_app.command("diff")
def diff(names: Names = None, as_json: Json = False) -> None:
    """Tell where suites say less than the declarations, or name columns that are gone; exit code 2 where they do."""
    with connect() as parts, governance(parts) as checks:
        views = [parts.catalog.view(name) for name in names or []] or list(parts.catalog.views())
        rows = checks.gaps(views)
    show(rows, title="suites beside declarations", as_json=as_json, nothing="they say the same")
    if rows:
        raise typer.Exit(2)


@checks_app.command("run")
def run(names: Names = None, hours: Hours = 1.0, as_json: Json = False) -> None:
    """Hold the last hours of stored rows to their suites, as one batch.

    Exit code 3 where data failed, 4 where a check could not be run. Rows that fail are taken back online; owners are
    told by the routes of alerts.
    """
    with connect() as parts, gated_target(parts) as target:
        views = [parts.catalog.view(name) for name in names or []] or list(parts.catalog.views())
        stored = [view for view in views if parts.offline.version(view) >= 0]
        slices = []
        for view in stored:
            with underway(f"checking {view.name}"):
                now_us = parts.clock.now_us()
                slices.append(check_slice(view, parts.offline, gate_of(target), hours=hours, now_us=now_us))
        bad = [one for one in slices if one.why]
        tell_owners(parts, {one.view: one.why for one in bad}, rows={one.view: one.failing for one in bad})
    show([asdict(one) for one in slices], title=f"the last {hours:g} h", as_json=as_json)
    outcomes = {one.outcome for one in slices}
    if COULD_NOT_RUN in outcomes:
        raise typer.Exit(CheckNotRunError.exit_code)
    if FAILED in outcomes:
        raise typer.Exit(CheckFailedError.exit_code)


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


def gate_of(target: Target) -> Gate:
    """Return the gate of a target that was opened with one."""
    if target.gate is None:
        raise CheckNotRunError("there is no gate to check by", fix="pip install 'lineshaft[governance]'")
    return target.gate
