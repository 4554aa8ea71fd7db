"""The `lineshaft` command. Each module holds the commands of one job; heavy parts are imported when a command runs."""

from __future__ import annotations

import sys

from lineshaft.cli import data, demo, models, repo, serve, up, verify  # noqa: F401, E402, I001, RUF100  commands register themselves
from lineshaft.cli.app import app
from lineshaft.cli.output import complain
from lineshaft.errors import LineshaftError

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line; an error of ours is told in three lines and exits with 1."""
    try:
        app()
    except LineshaftError as error:
        complain(error)
        sys.exit(1)
