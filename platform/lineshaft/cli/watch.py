"""The command that is told: watch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from lineshaft.cli.app import Json, app
from lineshaft.cli.output import console, show
from lineshaft.cli.serve import Data, Key, parse_keys, value_rows
from lineshaft.errors import InputError
from lineshaft.serving.client import Client
from lineshaft.settings import Settings

_AGELESS = ("value", "status")


@app.command()
def watch(
    service: str,
    key: Key,
    data: Data = None,
    address: Annotated[str, typer.Option(help="Server; LINESHAFT_GRPC_ADDRESS unless given.")] = "",
    token_file: Annotated[Path | None, typer.Option(help="File with the token to show.")] = None,
    ca: Annotated[str, typer.Option(help="PEM file of the server's authority, or `system`.")] = "",
    count: Annotated[int, typer.Option(help="End after so many answers; 0: never.")] = 0,
    as_json: Json = False,
) -> None:
    """Ask a server to tell of each change of a service's values, until Ctrl-C.

    What changed is shown; with --json all of each answer, a line each.
    """
    entities = parse_keys(key, data or ())
    with Client(address or Settings().grpc_address, token=_token(token_file), ca=ca) as client:
        answers = client.watch(service, entities)
        shown: dict[tuple[Any, ...], Any] = {}
        for number, frame in enumerate(answers, start=1):
            rows = value_rows(entities, frame.table, frame.statuses, frame.ages)
            if as_json:
                told = {"served_at_us": frame.served_at_us, "degraded": frame.degraded, "values": rows}
                console.out(json.dumps(told, default=str))
            else:
                degraded = ", degraded: the online store is away" if frame.degraded else ""
                show(list(_new(rows, shown)), title=f"{service}{degraded}", as_json=False)
            if number == count:
                return


def _new(rows: list[dict[str, Any]], shown: dict[tuple[Any, ...], Any]) -> Iterator[dict[str, Any]]:
    """Yield rows that say something else than the last time, and remember them."""
    for row in rows:
        name = tuple(value for column, value in row.items() if column not in (*_AGELESS, "age_s"))
        says = tuple(row[column] for column in _AGELESS)
        if name not in shown or shown[name] != says:
            shown[name] = says
            yield row


def _token(file: Path | None) -> str:
    if file is None:
        return ""
    if not file.is_file():
        raise InputError(f"no file {file}", fix="write the token into it, and let nobody else read it")
    return file.read_text(encoding="utf-8").strip()
