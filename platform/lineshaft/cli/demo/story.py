"""How the demo tells what it does: acts with a title, a duration, and the facts that came of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.table import Table

from lineshaft.cli.demo.inputs import Cast
from lineshaft.cli.output import console, notes


@dataclass(slots=True)
class Story:
    """Prints acts as they end, and all of them at the end."""

    home: Path
    began: float = field(default_factory=time.monotonic)
    lines: list[tuple[str, str, float]] = field(default_factory=list)

    def begin(self, cast: Cast) -> None:
        """Say what is going to be shown."""
        console.rule(f"[bold]Lineshaft[/] · {cast.title}")

    @contextmanager
    def act(self, title: str) -> Iterator[list[str]]:
        """Time an act; what is appended to the list is told when it ends."""
        facts: list[str] = []
        started = time.monotonic()
        with notes.status(title):
            yield facts
        took = time.monotonic() - started
        console.print(f"[bold cyan]{title}[/] [dim]{took:.1f} s[/]")
        for fact in facts:
            console.print(f"  {fact}", soft_wrap=True)
        self.lines.append((title, facts[0] if facts else "", took))

    def end(self) -> None:
        """Print the summary."""
        table = Table(title="Summary", title_justify="left", header_style="bold", box=None, pad_edge=False)
        table.add_column("act")
        table.add_column("what came of it", overflow="fold")
        table.add_column("s", justify="right")
        for title, fact, took in self.lines:
            table.add_row(title, fact, f"{took:.1f}")
        table.add_row("", "[bold]in all[/]", f"[bold]{time.monotonic() - self.began:.0f}[/]")
        console.print(table)
