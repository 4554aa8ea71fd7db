"""Commands that make feature rows: backfill, and the online store's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Annotated

import typer

from lineshaft.cli.app import Json, app
from lineshaft.cli.nightly import Row, nightly
from lineshaft.cli.output import notes, show, show_line, underway
from lineshaft.cli.owners import owners_told
from lineshaft.cli.repo import table_version
from lineshaft.cli.web import stopped_by_signal
from lineshaft.errors import CheckNotRunError, InputError
from lineshaft.ops.jobs import JobResult, Progress, Report, Target
from lineshaft.ops.openlineage import materializing
from lineshaft.ops.pace import note_pace
from lineshaft.ops.rebuild import rebuild
from lineshaft.ops.schedule import Schedule
from lineshaft.settings import Settings
from lineshaft.specs import View
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.wiring import Parts, connect, gated_target, jobs, land_waiting

online_app = typer.Typer(no_args_is_help=True, help="The online store: status, rebuild.")
app.add_typer(online_app, name="online")

Names = Annotated[list[str] | None, typer.Argument(help="Views; all that have blocks unless named.")]


@app.command()
def backfill(
    names: Names = None,
    asset: Annotated[list[str] | None, typer.Option(help="Only these assets.")] = None,
    gate: Annotated[bool, typer.Option(help="Check every batch before it is stored.")] = True,
    as_json: Json = False,
) -> None:
    """Compute feature rows from the raw blocks with PyFlink; write them offline and online.

    Exit code 4 where a checkpoint could not be run: what it was to judge is held, neither good nor bad.
    """
    with connect() as parts:
        views = wanted_views(parts, names or [])
        result = run_backfill(parts, views, assets=asset or [], checked=gate)
    show(result_rows(result), title=f"backfill, {result.seconds:.0f} s", as_json=as_json)
    if result.unchecked:
        raise typer.Exit(CheckNotRunError.exit_code)


@app.command()
def land(
    every: Annotated[float, typer.Option(help="Seconds between looks, until stopped; 0: look once.")] = 0.0,
    as_json: Json = False,
) -> None:
    """Check pushed rows by their views' checkpoints and store them offline.

    With --every it goes on until stopped (Ctrl-C or SIGTERM), a line for what was landed; a look that fails is told of.
    """
    if every < 0:
        raise InputError(f"--every is {every:g}", fix="give seconds, or 0 to look once")
    if every:
        keep_landing(Schedule(every_us=max(round(every * 1e6), 1)), as_json=as_json)
        return
    with connect() as parts, gated_target(parts) as target:
        result = _landed(parts, target)
    show(result_rows(result), title="pushed rows landed", as_json=as_json)
    if result.unchecked:
        raise typer.Exit(CheckNotRunError.exit_code)


def keep_landing(schedule: Schedule, *, as_json: bool) -> None:
    """Land what was pushed each time the schedule wants, until stopped; what broke is opened anew for the next look."""
    stopping = stopped_by_signal()
    with ExitStack() as opened:
        held = [_landing(opened)]
        clock = held[0][0].clock

        def look(_due_us: int) -> list[Row]:
            if not held:
                held.append(_landing(opened))
            try:
                return list(result_rows(_landed(*held[0])))
            except Exception:
                held.clear()
                opened.close()
                raise

        tell = partial(show_line, as_json=as_json)
        nightly(look, schedule, last_us=None, clock=clock, stopping=stopping, tell=tell)


def _landing(opened: ExitStack) -> tuple[Parts, Target]:
    """Open what landing needs."""
    parts = opened.enter_context(connect())
    return parts, opened.enter_context(gated_target(parts))


def _landed(parts: Parts, target: Target) -> JobResult:
    """Land what waits; owners are told of what comes to be held."""
    with owners_told(parts):
        return land_waiting(parts, target)


@online_app.command("rebuild")
def online_rebuild(names: Names = None, as_json: Json = False) -> None:
    """Make views online what offline says, byte for byte, while they are served: no row is missing meanwhile."""
    with connect() as parts:
        done = rebuild(wanted_views(parts, names or []), parts.offline, parts.online)
    rows = [
        {"view": r.view, "rows": r.rows.rows, "before": r.found, "changed": r.rows.changed, "removed": r.rows.removed}
        for r in done
    ]
    show(rows, title="online store rebuilt", as_json=as_json)


@online_app.command("status")
def online_status(as_json: Json = False) -> None:
    """Count entities online and offline, by view."""
    with connect() as parts:
        rows = [
            {
                "view": view.ref,
                "online": sum(table.num_rows for table in parts.online.scan(view)),
                "offline": sum(table.num_rows for table in parts.offline.latest(view)),
                "table version": table_version(parts, view),
            }
            for view in parts.catalog.views()
        ]
    show(rows, title="entities", as_json=as_json)


@app.command()
def down() -> None:
    """Stop the embedded online server of this home."""
    stopped = EmbeddedValkey(Settings().home / "online").shut_down()
    notes.print("embedded online server stopped" if stopped else "no embedded online server was running")


def wanted_views(parts: Parts, names: Sequence[str]) -> list[View]:
    """Return the named views, or every view whose source has blocks."""
    if names:
        return [parts.catalog.view(name) for name in names]
    views = [view for view in parts.catalog.computed() if view.source.kind == "blocks"]
    return [view for view in views if next(parts.offline.read_blocks(view.source), None) is not None]


def run_backfill(parts: Parts, views: Sequence[View], *, assets: Sequence[str] = (), checked: bool = True) -> JobResult:
    """Backfill views with progress on standard error."""
    if not views:
        return JobResult()
    telling = materializing(parts.settings, "backfill", views, offline=parts.offline, clock=parts.clock)
    with telling, owners_told(parts), gated_target(parts, checked=checked) as target, told() as report:
        done = jobs().backfill(views, target=target, assets=assets, report=report)
    if not assets:
        note_pace(parts.work, done)
    return done


def result_rows(result: JobResult) -> list[dict[str, object]]:
    """Return what a job did as rows to show."""
    rows: list[dict[str, object]] = [
        {
            "view": ref,
            "rows": count,
            "quarantined": result.quarantined.get(ref, 0),
            "known before": result.repeats.get(ref, 0),
        }
        for ref, count in result.rows.items()
    ]
    rows += [
        {"view": f"not checked: {ref}", "rows": 0, "quarantined": count, "known before": 0}
        for ref, count in result.unchecked.items()
    ]
    rows += [
        {"view": f"rejected: {reason}", "rows": count, "quarantined": 0, "known before": 0}
        for reason, count in result.rejected.items()
    ]
    return rows


@contextmanager
def told() -> Iterator[Report]:
    """Show a job's progress on standard error."""
    with underway("starting") as tell:

        def report(progress: Progress) -> None:
            counts = f"{progress.blocks:,} blocks" + (f", {progress.rows:,} rows" if progress.rows else "")
            tell(f"{progress.job}: {progress.phase}, {counts}, {progress.seconds:.0f} s")

        yield report
