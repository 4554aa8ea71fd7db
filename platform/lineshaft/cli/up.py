"""`lineshaft up`: the whole product on one machine, until stopped."""

from __future__ import annotations

import itertools
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc
import typer

from lineshaft.cli.alerts import alerting_beside
from lineshaft.cli.app import app
from lineshaft.cli.checks import check_every
from lineshaft.cli.output import console, notes
from lineshaft.cli.owners import owners_told
from lineshaft.cli.ports import http_ports
from lineshaft.cli.web import admin_page, stopped_by_signal
from lineshaft.ops.inbox import write_blocks_file
from lineshaft.ops.jobs import Inlet
from lineshaft.registry.migrate import upgrade
from lineshaft.serving.call_log import log_lines
from lineshaft.serving.metrics import exposed
from lineshaft.serving.server import background_server
from lineshaft.settings import Settings
from lineshaft.sources.simulator.fleet import Fleet
from lineshaft.specs import BLOCK_SCHEMA, View
from lineshaft.wiring import Parts, connect, door, gated_target, handlers, jobs, kept_up, land_waiting, limits

database = typer.Typer(no_args_is_help=True, help="The database of catalogue and registry.")
app.add_typer(database, name="db")
COMMIT_EVERY_S = 5.0
FEED_EVERY_S = 5.0
LAG_S = 2.0
MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US


@database.command("upgrade")
def db_upgrade() -> None:
    """Bring the database to this version's tables."""
    notes.print(f"database stands at revision {upgrade(Settings().database())}")


@app.command()
def up(
    inbox: Annotated[Path | None, typer.Option(help="Folder with one sub-folder of Parquet blocks per source.")] = None,
    simulate: Annotated[int, typer.Option(help="Feed the inbox from this many simulated machines; 0 for none.")] = 0,
    stream: Annotated[bool, typer.Option(help="Run the stream job.")] = True,
    lag: Annotated[
        float, typer.Option(min=0.0, help="Seconds that an outage of the job may last and leave no trace in known_at.")
    ] = LAG_S,
) -> None:
    """Run stream job, gRPC server and admin page until stopped (Ctrl-C or SIGTERM)."""
    stopping = stopped_by_signal()
    with connect(keep_online=False) as parts, ExitStack() as stack:
        stack.enter_context(log_lines(sys.stderr, parts.settings.log_format))
        stack.enter_context(kept_up(parts))
        folder = inbox or parts.inbox
        views = [view for view in parts.catalog.computed() if view.source.kind == "blocks"]
        answering = handlers(parts, inbox=folder)
        shown = stack.enter_context(exposed(answering.metrics, parts.settings.metrics_address))
        entrance = stack.enter_context(door(parts))
        bound = stack.enter_context(
            background_server(answering, parts.settings.grpc_address, limits=limits(parts), door=entrance)
        )
        console.print(f"gRPC         {bound}")
        for name, place in stack.enter_context(http_ports(parts, answering, entrance)).items():
            console.print(f"{name:<12} {place}")
        if shown:
            console.print(f"metrics      http://{shown}/metrics")
        page = stack.enter_context(admin_page(parts, entrance=entrance))
        console.print(f"admin page   {entrance.scheme}://{page}")
        watched = stack.enter_context(alerting_beside(parts, answering))
        if watched:
            console.print(f"alerts       by {watched}")
        if simulate:
            views = [view for view in views if view.source.name in ("vibration_blocks", "process_readings")]
            for source in ("vibration_blocks", "process_readings"):
                (folder / source).mkdir(parents=True, exist_ok=True)
            threading.Thread(target=feed, args=(parts, simulate, folder, stopping), daemon=True).start()
        threading.Thread(target=check_every, args=(stopping, parts), name="hourly checks", daemon=True).start()
        if stream:
            run_stream_until(stopping, parts, views, folder, lag_s=lag)
        else:
            with gated_target(parts) as target:
                while not stopping.wait(COMMIT_EVERY_S):
                    with owners_told(parts):
                        land_waiting(parts, target)
    console.print("stopped")


def run_stream_until(
    stopping: threading.Event, parts: Parts, views: list[View], folder: Path, *, lag_s: float = LAG_S
) -> None:
    """Run the stream job over the inbox and commit what it finishes, until told to stop."""
    inlets = [Inlet(source=name, folder=folder / name) for name in sorted({view.source.name for view in views})]
    for inlet in inlets:
        if inlet.folder is not None:
            inlet.folder.mkdir(parents=True, exist_ok=True)
    console.print(f"inbox        {folder}/<source>/*.parquet")
    with (
        gated_target(parts) as target,
        jobs().stream(views, inlets, target=target, lag_us=round(lag_s * 1e6)) as running,
    ):
        console.print("stream job   running")
        seen = 0
        while not stopping.wait(COMMIT_EVERY_S):
            with owners_told(parts):
                land_waiting(parts, target)
                result = running.commit()
            rows = sum(result.rows.values())
            if rows != seen:
                notes.print(f"{rows:,} feature rows committed, {sum(result.quarantined.values()):,} quarantined")
                seen = rows
        with owners_told(parts):
            running.stop()


def feed(parts: Parts, machines: int, folder: Path, stopping: threading.Event) -> None:
    """Write a simulated fleet's blocks into the inbox as they are received; an hour of its past comes first."""
    now_us = parts.clock.now_us()
    start_us = now_us // MINUTE_US * MINUTE_US - HOUR_US
    fleet = Fleet(assets=machines, hours=24 * 7, life_days=0.5, start_us=start_us)
    streams = {source: fleet.blocks(source) for source in ("vibration_blocks", "process_readings")}
    held = {source: BLOCK_SCHEMA.empty_table() for source in streams}
    for number in itertools.count():
        now_us = parts.clock.now_us()
        for source, tables in streams.items():
            while not held[source].num_rows or held[source]["known_us"][-1].as_py() <= now_us:
                held[source] = pa.concat_tables([held[source], next(tables)])
            due = pc.less_equal(held[source]["known_us"], now_us)
            write_blocks_file(held[source].filter(due), folder / source / f"fed-{start_us}-{number:06d}.parquet")
            held[source] = held[source].filter(pc.invert(due))
        if stopping.wait(FEED_EVERY_S):
            return
