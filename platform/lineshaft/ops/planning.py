"""Plan a repository against a catalogue, for somebody: the one way, whoever asks, our command line or Feast's."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lineshaft.access.teams import Teams, read_teams
from lineshaft.clock import Clock
from lineshaft.definitions.diff import Plan, Snapshots, plan_changes
from lineshaft.definitions.kept import KeptDefinitions
from lineshaft.definitions.reader import read_repo
from lineshaft.settings import Settings


def teams_of(settings: Settings) -> Teams:
    """Return the teams that the settings' policies name."""
    return read_teams(settings.policies / "policies" / "teams.yaml")


def kept_of(settings: Settings) -> KeptDefinitions:
    """Return what a home keeps of repositories that were read."""
    return KeptDefinitions(settings.home / "read_definitions")


def planned(
    repo: Path,
    catalog: Snapshots,
    *,
    settings: Settings,
    clock: Clock,
    who: str = "",
    transfers: Sequence[str] = (),
    allow_empty: bool = False,
) -> Plan:
    """Read a repository and hold it against a catalogue, for somebody who would apply it; nobody: to look.

    What changed since the last reading is imported with Feast; the rest is known.
    """
    teams = teams_of(settings)
    with _uncollected():
        return plan_changes(
            read_repo(repo, kept=kept_of(settings), teams=teams),
            catalog,
            allow_empty=allow_empty,
            transfers=frozenset(transfers),
            teams=teams,
            who=who,
            now_us=clock.now_us(),
        )


@contextmanager
def _uncollected() -> Iterator[None]:
    """Look for no garbage meanwhile: a large repository is half a million objects, and all of them are wanted."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()
