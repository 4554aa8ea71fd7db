"""Commands that bring data in: ingest, simulate, rejects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Self

import typer
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from lineshaft.cli.app import Json, app
from lineshaft.cli.output import notes, show
from lineshaft.cli.owners import owners_told
from lineshaft.errors import CheckNotRunError
from lineshaft.ops.ingest import Door, Ingested, ingest, read_rejects
from lineshaft.ops.intake import Intake
from lineshaft.ops.tables import keep_tables
from lineshaft.sources.catalogue import SOURCES
from lineshaft.sources.data_sets import detect, read_data_set
from lineshaft.sources.reading import Reading
from lineshaft.sources.simulator.fleet import Fleet
from lineshaft.sources.simulator.plans import VibrationPlan
from lineshaft.wiring import Parts, connect, governance


@app.command("ingest")
def ingest_command(
    path: Annotated[Path, typer.Argument(help="Folder of a data set, or of your own files.")],
    name: Annotated[str, typer.Option(help="Which set it is; detected unless named.")] = "",
    subset: Annotated[list[str] | None, typer.Option(help="Of C-MAPSS: only these, e.g. FD001.")] = None,
    gate: Annotated[
        bool, typer.Option(help="Hold blocks and tables to their sensors' past and to their suites.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Read raw data: good blocks are written once, the rest is kept with a reason.

    Exit code 4 where a checkpoint could not be run: what it was to judge is held, neither good nor bad.
    """
    name = name or detect(path).name
    options = {"subsets": subset} if subset else {}
    with connect() as parts, ExitStack() as stack:
        door = None
        if gate:
            checks = stack.enter_context(governance(parts))
            door = Intake(work=parts.work, judge=checks.intake, now_us=parts.clock.now_us())
            stack.enter_context(owners_told(parts))
        result = take_in(parts, read_data_set(path, name=name, **options), label=name, door=door)
    show(summary(result), title=f"ingested {name}", as_json=as_json)
    if result.unchecked:
        raise typer.Exit(CheckNotRunError.exit_code)


@app.command()
def simulate(
    assets: Annotated[int, typer.Option(help="Machines.")] = 8,
    hours: Annotated[float, typer.Option(help="Length of the watch.")] = 2.0,
    seed: Annotated[int, typer.Option(help="Everything follows from it.")] = 7,
    life_days: Annotated[float, typer.Option(help="Mean life of a part.")] = 20.0,
    every_s: Annotated[int, typer.Option(help="Seconds between vibration snapshots.")] = 60,
    as_json: Json = False,
) -> None:
    """Make a fleet by physics and take its blocks in, with its maintenance log."""
    fleet = Fleet(assets=assets, hours=hours, seed=seed, life_days=life_days, vibration=VibrationPlan(every_s=every_s))
    with connect() as parts:
        show(summary(take_in(parts, fleet_readings(fleet), label="fleet")), title="simulated fleet", as_json=as_json)


def fleet_readings(fleet: Fleet) -> Iterator[Reading]:
    """Return a fleet's blocks, hour by hour, and its logs."""
    for source in ("vibration_blocks", "process_readings"):
        for blocks in fleet.blocks(source):
            yield Reading(blocks={source: blocks})
    yield Reading(tables={"maintenance": fleet.maintenance(), "fleet_truth": fleet.truth()})


@app.command()
def rejects(as_json: Json = False) -> None:
    """Count rejected records by source and reason."""
    with connect() as parts:
        table = read_rejects(parts.rejects)
    counts = Counter(zip(table["source"].to_pylist(), table["reason"].to_pylist(), strict=True))
    rows = [{"source": s, "reason": r, "records": n} for (s, r), n in sorted(counts.items())]
    show(rows, title="rejected records", as_json=as_json)


def take_in(parts: Parts, readings: Iterable[Reading], *, label: str, door: Door | None = None) -> Ingested:
    """Ingest readings with a progress bar, and keep their side tables."""
    sources = {**SOURCES, **{view.source.name: view.source for view in parts.catalog.views()}}
    with progress_bar(f"reading {label}") as advance:
        result = ingest(
            readings,
            sources=sources,
            offline=parts.offline,
            rejects=parts.rejects,
            label=label,
            door=door,
            progress=advance,
        )
    keep_tables(result.tables, parts.tables)
    return result


def summary(result: Ingested) -> list[dict[str, object]]:
    """Return what came in as rows to show."""
    rows: list[dict[str, object]] = [
        {"what": f"{name}: blocks", "count": count, "note": f"{result.samples[name]:,} samples"}
        for name, count in result.blocks.items()
    ]
    rows += [{"what": f"rejected: {reason}", "count": n, "note": "kept aside"} for reason, n in result.rejected.items()]
    rows += [
        {"what": f"held: {reason}", "count": n, "note": "in quarantine: `lineshaft quarantine list`"}
        for reason, n in result.held.items()
    ]
    rows += [
        {"what": f"not checked: {name}", "count": n, "note": "the checkpoint could not be run"}
        for name, n in result.unchecked.items()
    ]
    rows += [{"what": f"mended: {reason}", "count": n, "note": "kept"} for reason, n in result.notes.items()]
    rows += [{"what": f"table {name}", "count": t.num_rows, "note": "rows"} for name, t in result.tables.items()]
    return rows


class progress_bar:  # noqa: N801 - used as a verb: `with progress_bar("reading") as advance`
    """Show progress on standard error; entering gives `advance(n)`."""

    def __init__(self, text: str, *, total: int | None = None) -> None:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,}"))
        self._progress = Progress(*columns, TimeElapsedColumn(), console=notes, transient=True)
        self._task = self._progress.add_task(text, total=total)

    def __enter__(self) -> Self:
        """Start showing."""
        self._progress.start()
        return self

    def __call__(self, count: int) -> None:
        """Move on by `count`."""
        self._progress.advance(self._task, count)

    def __exit__(self, *_: object) -> None:
        """Stop showing."""
        self._progress.stop()
