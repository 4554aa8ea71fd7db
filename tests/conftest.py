"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lineshaft.settings import Settings

# The online store is waited for as long as on a machine that does other work; a test of the patience sets its own.
os.environ.setdefault("LINESHAFT_REDIS_TIMEOUT_S", "2")  # noqa: TID251 - the commands that tests start inherit it


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Return the folder of real data sets; a test that needs it is skipped where it is absent."""
    root = Settings().data
    if not root.is_dir():
        pytest.skip(f"no real data at {root}: set LINESHAFT_DATA to the folder of the data sets")
    return root
