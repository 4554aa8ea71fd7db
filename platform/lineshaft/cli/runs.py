"""Commands about runs: models runs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lineshaft.cli.app import Json
from lineshaft.cli.models import models
from lineshaft.cli.output import show
from lineshaft.cli.training import run_book
from lineshaft.clock import moment
from lineshaft.registry.runs import Run
from lineshaft.wiring import connect


@models.command("runs")
def runs(
    numbers: Annotated[
        list[int] | None, typer.Argument(help="Runs to set side by side; without, all are listed.")
    ] = None,
    model: Annotated[str, typer.Option(help="Of this model only.")] = "",
    name: Annotated[str, typer.Option(help="Of this name only, as train/bearing_failure.")] = "",
    most: Annotated[int, typer.Option(min=1, help="So many, newest first.")] = 20,
    as_json: Json = False,
) -> None:
    """List what was tried and trained, newest first; with numbers, set parameters, figures and files side by side."""
    with connect() as parts, run_book(parts) as book:
        if not numbers:
            show([_row(one) for one in book.all(model=model, name=name)[:most]], title="runs", as_json=as_json)
            return
        found = [book.get(number) for number in numbers]
        curves = {one.id: book.curves(one.id) for one in found}
    if as_json:
        rows = [
            {**_row(one), "params": one.params, "metrics": one.metrics, "files": one.files, "curves": curves[one.id]}
            for one in found
        ]
        show(rows, title="", as_json=True)
        return
    show(side_by_side(found), title="runs, side by side (what is the same in all is left out)", as_json=False)


def side_by_side(found: list[Run]) -> list[dict[str, Any]]:
    """Return what differs between runs, a row each; of one run, all there is."""
    told = {
        one.id: {
            **{f"{name}": value for name, value in _row(one).items() if name != "run"},
            **{f"param {name}": value for name, value in sorted(one.params.items())},
            **{f"figure {name}": value for name, value in sorted(one.metrics.items())},
            **{f"file {name}": digest[:12] for name, digest in sorted(one.files.items())},
        }
        for one in found
    }
    names = dict.fromkeys(name for one in told.values() for name in one)
    rows = [{"what": name, **{f"run {run}": one.get(name) for run, one in told.items()}} for name in names]
    return [row for row in rows if len(found) == 1 or len({str(row[f"run {one.id}"]) for one in found}) > 1]


def _row(one: Run) -> dict[str, Any]:
    """Return a run as a row to show."""
    took_us = (one.ended_us or one.seen_us) - one.began_us
    return {
        "run": one.id,
        "name": one.name,
        "began": moment(one.began_us),
        "took s": round(took_us / 1e6, 1),
        "state": str(one.state),
        "version": f"{one.model}@{one.number}" if one.number is not None else "",
        "by": one.actor,
        "detail": one.detail,
    }
