"""The `lineshaft` command. Each module holds the commands of one job; heavy parts are imported when a command runs."""

from __future__ import annotations

import sys

from pyarrow import ArrowInvalid
from pydantic import ValidationError

from lineshaft.cli import data, demo, models, repo, serve, up, verify, web  # noqa: F401, E402, I001, RUF100  commands register themselves
from lineshaft.cli.app import app
from lineshaft.cli.output import complain
from lineshaft.errors import EnvironmentFault, InputError, LineshaftError

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line; an error of ours is told in three lines and exits with 1."""
    try:
        app()
    except LineshaftError as error:
        complain(error)
        sys.exit(1)
    except ValidationError as error:
        complain(InputError(f"a setting cannot be read: {error.errors()[0]['msg']}", where=_settings(error)))
        sys.exit(1)
    except (OSError, ArrowInvalid) as error:
        complain(EnvironmentFault(f"{type(error).__name__}: {error}", fix="check that the path is there and is ours"))
        sys.exit(1)


def _settings(error: ValidationError) -> str:
    """Name the environment variables of settings that cannot be read."""
    return ", ".join(f"LINESHAFT_{str(one['loc'][0]).upper()}" for one in error.errors() if one["loc"])
