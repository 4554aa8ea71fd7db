"""Commands that say what we promise in the words of others: export odcs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
import yaml

from lineshaft.cli.app import Json
from lineshaft.cli.materialize import Names
from lineshaft.cli.output import show
from lineshaft.cli.ownership import export
from lineshaft.interop.odcs import API, data_contract
from lineshaft.wiring import connect, governance


@export.command("odcs")
def odcs(
    names: Names = None,
    to: Annotated[Path, typer.Option(help="The folder to write to, a file a view.")] = Path("contracts"),
    as_json: Json = False,
) -> None:
    """Write data contracts of views in the Open Data Contract Standard: schema, units, checks, freshness, owner."""
    rows = []
    with connect() as parts, governance(parts) as checks:
        views = [parts.catalog.view(name) for name in names or []] or list(parts.catalog.views())
        to.mkdir(parents=True, exist_ok=True)
        for view in views:
            contract = data_contract(view, checks=checks.promises(view), project=parts.settings.project)
            path = to / f"{view.name}.odcs.yaml"
            path.write_text(yaml.safe_dump(contract, sort_keys=False, allow_unicode=True), encoding="utf-8")
            quality = sum(len(one.get("quality", ())) for one in contract["schema"][0]["properties"])
            rows.append({"view": view.ref, "file": str(path), "standard": API, "columns with checks": quality})
    show(rows, title="data contracts", as_json=as_json)
