"""The command: acts in order, each timed, then the summary."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from lineshaft.cli.app import app
from lineshaft.cli.demo import acts
from lineshaft.cli.demo.inputs import fleet_input, set_input
from lineshaft.cli.demo.story import Story
from lineshaft.cli.output import console
from lineshaft.settings import Settings
from lineshaft.wiring import connect

PATIENT_S = 2.0
"""A demo shares its processors with Flink: the budget of an online read that suits an alarm path would be too short."""


@app.command()
def demo(
    data: Annotated[
        Path | None, typer.Option(help="Folder of a real data set; a simulated fleet unless given.")
    ] = None,
    keep: Annotated[bool, typer.Option(help="Keep what an earlier demo left.")] = False,
    stream: Annotated[bool, typer.Option(help="Also run the stream job.")] = True,
) -> None:
    """Run the main job once and print what it proved; exit code 1 if the proof fails."""
    settings = Settings()
    name = "fleet" if data is None else data.resolve().name
    home = settings.home / "demo" / name
    if not keep:
        shutil.rmtree(home, ignore_errors=True)
    settings = settings.model_copy(update={"home": home, "project": "demo", "redis_timeout_s": PATIENT_S})
    story = Story(home=home)
    with connect(settings, keep_online=False) as parts:
        cast = fleet_input() if data is None else set_input(data)
        story.begin(cast)
        acts.declare(story, parts)
        acts.take_in(story, parts, cast)
        acts.materialize(story, parts)
        acts.serve(story, parts, cast)
        acts.learn(story, parts, cast)
        acts.watch(story, parts, cast)
        acts.draw(story, parts, cast)
        equal = acts.prove(story, parts, cast, stream=stream)
        acts.show_page(story, parts)
    story.end()
    console.print(
        f"Everything is in [bold]{home}[/]. "
        f"Keep it running with `LINESHAFT_HOME={home} LINESHAFT_PROJECT=demo lineshaft up`.",
        soft_wrap=True,
    )
    if not equal:
        raise typer.Exit(1)
