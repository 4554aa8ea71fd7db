"""A command that frees disk: vacuum."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from lineshaft.cli.app import Json, app
from lineshaft.cli.output import notes, show
from lineshaft.definitions.words import duration_option
from lineshaft.errors import InputError
from lineshaft.ops.vacuum import sweep
from lineshaft.wiring import connect

HOUR_US = 3_600_000_000


@app.command()
def vacuum(
    older_than: Annotated[
        str, typer.Option(help="Keep what is younger: readers and writers may still need it.")
    ] = "7d",
    delete: Annotated[bool, typer.Option("--delete", help="Delete; without it, only tell what would go.")] = False,
    as_json: Json = False,
) -> None:
    """Tell which files of the offline tables nothing needs any more, and their bytes; with --delete, delete them.

    What the training set of a registered model was read from stays, so `reproduce` goes on giving the same bits. Exit
    code 1 where a table was left alone because a pinned version of it is broken.
    """
    hours = retention_hours(older_than)
    with connect() as parts:
        found = sweep(parts.catalog, parts.offline, retention_hours=hours, delete=delete)
    rows = [{**asdict(one), "pinned": ", ".join(map(str, one.pinned))} for one in found if one.files or one.refused]
    files, size = sum(one.files for one in found), sum(one.bytes for one in found)
    done = "deleted" if delete else "would be deleted"
    show(
        rows, title=f"{files:,} files, {size:,} bytes {done}", as_json=as_json, nothing="nothing is older and unneeded"
    )
    if files and not delete and not as_json:
        notes.print("nothing was deleted: say --delete")
    if any(one.refused for one in found):
        raise typer.Exit(1)


def retention_hours(text: str) -> int:
    """Read how long files are kept, in whole hours.

    >>> retention_hours("7d"), retention_hours("90m")
    (168, 2)
    """
    kept_us = duration_option(text, option="--older-than", like="7d")
    if kept_us < HOUR_US:
        what = f"--older-than {text}: a job that writes now has files that no table names yet"
        raise InputError(what, where="--older-than", fix="keep an hour at least")
    return -(-kept_us // HOUR_US)
