"""Faults on purpose, on a private instance, to show what clients would see."""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lineshaft.cli.app import Json, app
from lineshaft.cli.output import notes, show, underway
from lineshaft.drills import overload
from lineshaft.drills.callers import Callers
from lineshaft.drills.drills import ALL, Report, named, rounds, run
from lineshaft.drills.open_loop import quantiles_ms
from lineshaft.drills.plant import kept_fresh, plant_at
from lineshaft.errors import InputError

_WARM_S = 3.0


@app.command()
def drill(
    names: Annotated[
        list[str] | None,
        typer.Argument(help=f"Any of: {', '.join(d.name for d in ALL)}; all, if none. Or, by itself: {overload.NAME}."),
    ] = None,
    hold: Annotated[float, typer.Option(help="Seconds for which each fault lasts.")] = 5.0,
    rate: Annotated[float, typer.Option(help="Calls a second.")] = 200.0,
    minutes: Annotated[float, typer.Option(help="Go round the drills for so long; 0: each once.")] = 0.0,
    workers: Annotated[int, typer.Option(help="Processes that answer.")] = 2,
    as_json: Json = False,
) -> None:
    """Cause faults under load on servers, a Redis and data of the drill's own; exit code 1 when a promise is broken.

    Nothing of yours is touched. Promised: 99.99 % of calls answered, 99 % of them within 100 ms, no wrong value, no
    stale one that does not say so, fresh again within 2 s. `overload` finds the most calls that are answered in a
    second, asks five times as many, and promises that all are answered again within 2 s of its end.
    """
    if overload.NAME in (names or ()):
        _overload(names or [], hold=hold, workers=workers, as_json=as_json)
        return
    chosen = named(names or [])
    reports: list[Report] = []
    footprints: list[tuple[float, int]] = []
    with ExitStack() as stack:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what the drill has started ends with it
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="drill"))
        tell = stack.enter_context(underway("building a private plant"))
        plant = stack.enter_context(plant_at(Path(folder), workers=workers))
        stack.enter_context(kept_fresh(plant))
        callers = Callers(address=plant.address, rate=rate)
        stack.enter_context(callers.going_on())
        callers.warm(seconds=_WARM_S)
        start_s = time.monotonic()
        for one in rounds(chosen, until_s=time.monotonic() + minutes * 60):
            tell(f"{one.name}: {one.says}")
            reports.append(run(one, plant, callers, hold_s=hold))
            footprints.append(plant.footprint())
        seen = callers.between(start_s, time.monotonic())
    show([_row(report) for report in reports], title="drills", as_json=as_json)
    took_ms = [1e3 * one.took_s for one in seen]
    told, failed = quantiles_ms(took_ms), sum(bool(one.error) for one in seen)
    notes.print(
        f"the whole run: {len(seen)} calls, {failed} failed, half within {told['p50_ms']:.0f} ms, "
        f"99 % within {told['p99_ms']:.0f} ms, all within {max(took_ms):.0f} ms"
    )
    first, last = footprints[0], footprints[-1]
    notes.print(
        f"largest worker: {first[0]:.0f} MB and {first[1]} files at first, {last[0]:.0f} MB and {last[1]} at last"
    )
    _judge(reports)


def _overload(names: list[str], *, hold: float, workers: int, as_json: bool) -> None:
    if names != [overload.NAME]:
        raise InputError(f"{overload.NAME} is drilled by itself", fix=f"lineshaft drill {overload.NAME}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with underway(overload.SAYS):
        report = overload.overload(workers=workers, hold_s=hold)
    show([{**asdict(report), "kept": not report.broken()}], title="drills", as_json=as_json)
    _judge([report])


def _judge(reports: Sequence[Report | overload.Overload]) -> None:
    """Name the promises that were not kept; exit code 1 where there are any."""
    broken = [f"{report.drill}: {words}" for report in reports for words in report.broken()]
    for words in broken:
        notes.print(f"[red]not kept[/]  {words}")
    if broken:
        raise typer.Exit(1)


def _row(report: Report) -> dict[str, object]:
    row = asdict(report)
    return {**row, "errors": "; ".join(report.errors), "kept": not report.broken()}
