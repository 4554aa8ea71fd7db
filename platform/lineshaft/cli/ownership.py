"""Commands that tell others who owns what: export codeowners, export backstage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lineshaft.cli.app import app
from lineshaft.errors import ConflictError
from lineshaft.ops.planning import kept_of, teams_of
from lineshaft.settings import Settings

export = typer.Typer(no_args_is_help=True, help="Write who owns what, and what is promised, for others to read.")
app.add_typer(export, name="export")
To = Annotated[Path | None, typer.Option(help="The file to write; standard output unless named.")]
Check = Annotated[bool, typer.Option("--check", help="Write nothing: exit with 1 where the file is out of date.")]


@export.command("codeowners")
def codeowners_command(to: To = None, check: Check = False) -> None:
    """Write CODEOWNERS: for each file of the feature repository the teams of what it declares."""
    from lineshaft.definitions.ownership import codeowners
    from lineshaft.definitions.reader import open_repo

    settings = Settings()
    repository = open_repo(settings.repo, kept=kept_of(settings))
    _put(codeowners(repository, teams_of(settings)), to, check=check)


@export.command("backstage")
def backstage_command(to: To = None, check: Check = False) -> None:
    """Write catalog-info.yaml: teams, views and services with their owners, tiers and what depends on what."""
    from lineshaft.definitions.ownership import backstage
    from lineshaft.definitions.reader import read_repo

    settings = Settings()
    teams = teams_of(settings)
    found = read_repo(settings.repo, kept=kept_of(settings), teams=teams)
    _put(backstage(found.checked(), teams), to, check=check)


def _put(text: str, to: Path | None, *, check: bool) -> None:
    if to is None:
        typer.echo(text, nl=False)
    elif not check:
        to.write_text(text, encoding="utf-8")
    elif not to.exists() or to.read_text(encoding="utf-8") != text:
        raise ConflictError(f"{to} is out of date", fix="run the same command without --check, and commit the file")
