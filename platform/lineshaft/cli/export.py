"""A command that hands a model on: models export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lineshaft.cli.app import Json
from lineshaft.cli.models import models
from lineshaft.cli.output import show
from lineshaft.cli.promotion import parse_version
from lineshaft.models.loading import load_model
from lineshaft.models.onnx_export import export, exportable
from lineshaft.wiring import connect


@models.command("export")
def export_command(
    version: Annotated[str, typer.Argument(help="MODEL@NUMBER")],
    to: Annotated[Path, typer.Option(help="The file to write, in ONNX.")],
    as_json: Json = False,
) -> None:
    """Write a version as ONNX: the same bytes each time, and only if ONNX Runtime scores it as the server does."""
    model, number = parse_version(version)
    with connect() as parts:
        found = parts.registry.get(model, number)
        scorer = exportable(load_model(parts.registry.load(found), features=found.features))
    made = export(scorer, ref=found.ref, artifact_sha256=found.artifact_sha256)
    to.write_bytes(made.content)
    row = {"model": found.ref, "file": str(to), "bytes": len(made.content), "features": len(found.features)}
    row |= {"compared_rows": made.rows, "largest_difference": made.largest_difference}
    show([row], title="exported", as_json=as_json)
