"""What people and programs read: tables on a terminal, JSON on request, errors in three lines."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape

from lineshaft.errors import LineshaftError

console = Console(highlight=False)
"""Results go to standard output."""
notes = Console(stderr=True, highlight=False)
"""Progress and errors go to standard error."""
_WIDE = 100_000
"""Columns of a table that nobody looks at: each row stays on its line."""
_EVERY_S = 5.0


@contextmanager
def underway(words: str) -> Iterator[Callable[[str], None]]:
    """Say what is being done until it is done; call what is yielded with new words.

    On a terminal that is one line that changes, elsewhere a line every few seconds, so that a log shows a life.
    """
    if notes.is_terminal:
        with notes.status(words) as status:
            yield status.update
        return
    now, over, start_s = [words], threading.Event(), time.monotonic()

    def tell() -> None:
        while not over.wait(_EVERY_S):
            notes.print(f"{time.monotonic() - start_s:.0f} s  {escape(now[-1])}", soft_wrap=True)

    teller = threading.Thread(target=tell, name="progress", daemon=True)
    teller.start()
    try:
        yield lambda words: now.__setitem__(0, words)
    finally:
        over.set()
        teller.join()


def complain(error: LineshaftError) -> None:
    """Tell an error: what, where, how to mend it."""
    notes.print(f"[bold red]{error.code}[/]  {escape(error.what)}", soft_wrap=True)
    if error.where:
        notes.print(f"  [dim]at[/]   {escape(error.where)}", soft_wrap=True)
    if error.fix:
        notes.print(f"  [green]fix[/]  {escape(error.fix)}", soft_wrap=True)


def show_json(value: object) -> None:
    """Print JSON that every reader takes: what is no number, or endless, is null."""
    console.print_json(json.dumps(_strict(value), default=str))


def show_line(row: Mapping[str, Any], *, as_json: bool) -> None:
    """Print what just happened as one line, of JSON or of words; whoever reads along has it at once."""
    words = ", ".join(f"{name} {_text(value)}" for name, value in row.items() if value not in ("", None))
    text = json.dumps(_strict(row), default=str) if as_json else words
    console.print(text, soft_wrap=True, markup=not as_json)
    console.file.flush()


def show(rows: Sequence[Mapping[str, Any]], *, title: str, as_json: bool, nothing: str = "nothing yet") -> None:
    """Print rows as a table, or as JSON; where there are none, say what that means."""
    if as_json:
        show_json(rows)
        return
    from rich.table import Table  # a server prints none

    table = Table(title=escape(title), title_justify="left", header_style="bold", box=None, pad_edge=False)
    for name in rows[0] if rows else ():
        numbers = all(isinstance(row[name], int | float) for row in rows)
        table.add_column(name.replace("_", " "), justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_text(value) for value in row.values()))
    if not rows:
        console.print(f"{escape(title)}: {escape(nothing)}")
        return
    out = console if console.is_terminal else Console(width=_WIDE, highlight=False)  # a program reads line by line
    out.print(table)


def _strict(value: object) -> object:
    """Return what JSON has a word for: it has none for what is no number, or endless; both are null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _strict(part) for name, part in value.items()}
    return [_strict(part) for part in value] if isinstance(value, list | tuple) else value


def _text(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}"
    return escape(str(value))  # square brackets are part of our names, not markup
