"""The root of the command line."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(
    name="lineshaft",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Features computed once, by one piece of code, and every model runs off them.",
)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
