"""Commands about where assets stand: sites, sites place, sites history."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.csv as pacsv
import typer

from lineshaft.cli.actor import acting
from lineshaft.cli.app import Json, app
from lineshaft.cli.output import show
from lineshaft.cli.promotion import Reason
from lineshaft.clock import moment
from lineshaft.errors import InputError
from lineshaft.wiring import connect

sites = typer.Typer(invoke_without_command=True, help="Sites: where assets stand, and so whose champion they have.")
app.add_typer(sites, name="sites")


@sites.callback()
def sites_command(context: typer.Context, as_json: Json = False) -> None:
    """List which asset stands where; the commands below place them, and say who placed them."""
    if context.invoked_subcommand is not None:
        return
    with connect() as parts:
        placed = parts.registry.sites.placed(parts.settings.project)
    rows = [{"asset": asset, "site": site} for asset, site in sorted(placed.items())]
    show(rows, title="sites", as_json=as_json, nothing="no asset stands anywhere: the general champion answers for all")


@sites.command("place")
def place(
    reason: Reason,
    assets: Annotated[list[str] | None, typer.Argument(help="Assets; none with --file.")] = None,
    site: Annotated[str, typer.Option(help="Where they stand from now on; none given: nowhere.")] = "",
    file: Annotated[Path | None, typer.Option(help="CSV with columns asset_id and site.")] = None,
    as_json: Json = False,
) -> None:
    """Say where assets stand; servers follow within a second, and ask that site's champions about them."""
    actor = acting(reason)
    if bool(assets) == (file is not None) or (file is not None and site):
        fix = "write ASSET... --site SITE, or --file assets.csv"
        raise InputError("assets are named, or a file that says where they stand", where="sites place", fix=fix)
    placed = dict.fromkeys(assets or (), site) if file is None else read_sites(file)
    with connect() as parts:
        moved = parts.registry.sites.place(placed, environment=parts.settings.project, actor=actor, reason=reason)
    show([{"assets": len(placed), "moved": moved, "by": actor}], title="placed", as_json=as_json)


@sites.command("history")
def history(asset: Annotated[str, typer.Argument()] = "", as_json: Json = False) -> None:
    """Show where assets stood and when, and who said so; of one, or of all."""
    with connect() as parts:
        found = parts.registry.sites.history(parts.settings.project, asset_id=asset)
    rows = [
        {
            "asset": one.asset_id,
            "site": one.site,
            "from": moment(one.valid_from_us),
            "to": "now" if one.valid_to_us is None else moment(one.valid_to_us),
            "by": one.actor,
            "reason": one.reason,
        }
        for one in found
    ]
    show(rows, title="where assets stood", as_json=as_json)


def read_sites(path: Path) -> dict[str, str]:
    """Return the site of each asset as a file says.

    Raises
    ------
    InputError
        If it cannot be read, lacks a column, or places an asset twice.
    """
    fix = "give a CSV with columns asset_id and site, a line an asset"
    texts = pacsv.ConvertOptions(column_types={"asset_id": pa.string(), "site": pa.string()}, strings_can_be_null=False)
    try:
        table = pacsv.read_csv(path, convert_options=texts)
        assets, where = (table[name].to_pylist() for name in ("asset_id", "site"))
    except (OSError, pa.ArrowInvalid, KeyError) as error:
        raise InputError(f"{path} does not say where assets stand: {error}", where=str(path), fix=fix) from error
    twice = _repeated(assets)
    if twice:
        raise InputError(f"{twice!r} stands there twice", where=str(path), fix=fix)
    return dict(zip(assets, where, strict=True))


def _repeated(names: Sequence[str]) -> str:
    """Return the first name that stands there twice; none is nothing."""
    seen: set[str] = set()
    return next((name for name in names if name in seen or seen.add(name)), "")  # type: ignore[func-returns-value]
