"""One command that looks at everything an installation needs."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from lineshaft.cli.app import Json, app
from lineshaft.cli.output import console, show
from lineshaft.clock import SystemClock
from lineshaft.doctor import machine
from lineshaft.doctor.checks import Check, examine
from lineshaft.doctor.parts import Parts
from lineshaft.settings import Settings

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@app.command()
def doctor(
    patience: Annotated[float, typer.Option(help="Seconds after which a check that has not ended fails.")] = 10.0,
    as_json: Json = False,
) -> None:
    """Look at Python, settings, catalogue, stores, server, clock, disk and freshness; exit code 1 when one fails.

    Nothing is started and nothing is changed.
    """
    found = examine(checks(Settings()), patience_s=patience)
    if as_json:
        rows = [{"check": name, "state": f.state, "says": f.says, "fix": f.fix} for name, f in found.items()]
        show(rows, title="doctor", as_json=True)
    else:
        for name, finding in found.items():
            state = f"[{_COLOURS[finding.state]}]{finding.state:<4}[/]"
            fix = f"  [green]fix[/] {escape(finding.fix)}" if finding.fix else ""
            console.print(f"{state}  {name:<12}{escape(finding.says)}{fix}", soft_wrap=True)
    if any(finding.state == "fail" for finding in found.values()):
        raise typer.Exit(1)


def checks(settings: Settings) -> dict[str, Check]:
    """Return every check, by name, in the order they are told."""
    parts = Parts(settings=settings, clock=SystemClock())
    return {
        "python": machine.python,
        "packages": machine.packages,
        "settings": lambda: machine.configured(settings),
        "disk": lambda: machine.disk(settings.home),
        "ports": lambda: machine.ports(settings),
        "catalogue": parts.catalogue,
        "online": parts.online,
        "clock": parts.clocks,
        "offline": parts.offline,
        "freshness": parts.freshness,
        "quarantine": parts.quarantine,
        "server": parts.server,
    }
