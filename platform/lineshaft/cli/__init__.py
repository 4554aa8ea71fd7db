"""The `lineshaft` command. Each module holds the commands of one job; heavy parts are imported when a command runs."""

from __future__ import annotations

import importlib
import sys

from pyarrow import ArrowInvalid
from pydantic import ValidationError

from lineshaft.cli.app import app
from lineshaft.cli.output import complain
from lineshaft.errors import EnvironmentFault, InputError, LineshaftError

__all__ = ["main"]

_ALONE = {"serve": "lineshaft.cli.serve", "plan": "lineshaft.cli.repo", "apply": "lineshaft.cli.repo"}
"""Commands that are started without the others: a server should not hold in memory what simulates and trains, and who
changes one view should not wait for it."""


def main() -> None:
    """Run the command line; an error of ours is told in three lines and exits with 1, of a check with 3 or 4."""
    try:
        importlib.import_module(_ALONE.get(" ".join(sys.argv[1:2]), "lineshaft.cli.commands"))
        app()
    except LineshaftError as error:
        complain(error)
        sys.exit(error.exit_code)
    except ValidationError as error:
        complain(InputError(f"a setting cannot be read: {error.errors()[0]['msg']}", where=_settings(error)))
        sys.exit(1)
    except (OSError, ArrowInvalid) as error:
        complain(EnvironmentFault(f"{type(error).__name__}: {error}", fix="check that the path is there and is ours"))
        sys.exit(1)


def _settings(error: ValidationError) -> str:
    """Name the environment variables of settings that cannot be read."""
    return ", ".join(f"LINESHAFT_{str(one['loc'][0]).upper()}" for one in error.errors() if one["loc"])
