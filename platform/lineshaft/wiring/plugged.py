"""What other distributions bring: the job engine and the governance, found by their entry points."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from lineshaft.errors import EnvironmentFault
from lineshaft.ops.governance import Governance
from lineshaft.ops.jobs import Jobs
from lineshaft.wiring.parts import Parts

if TYPE_CHECKING:
    from lineshaft.models.gate import Policy


@contextmanager
def governance(parts: Parts) -> Iterator[Governance]:
    """Open the installed governance: checkpoints, drift, admin page; from the extra `lineshaft[governance]`."""
    opened: Governance = plug_in("lineshaft.governance", "governance").open(
        policies=parts.settings.policies, folder=parts.reports, clock=parts.clock
    )
    try:
        yield opened
    finally:
        opened.close()


def policy_of(parts: Parts) -> Callable[[str], Policy]:
    """Return what tells what a model must show today to be promoted."""

    def policy(model: str) -> Policy:
        with governance(parts) as checks:
            return checks.promotion(model)

    return policy


def jobs() -> Jobs:
    """Return the installed job engine; PyFlink's, from the extra `lineshaft[flink]`."""
    loaded: Jobs = plug_in("lineshaft.jobs", "flink")()
    return loaded


def plug_in(group: str, extra: str) -> Any:
    """Return what the first entry point of a group names.

    Raises `EnvironmentFault` naming the extra that brings one.
    """
    for entry in entry_points(group=group):
        return entry.load()
    raise EnvironmentFault(f"nothing installed offers {group!r}", fix=f"pip install 'lineshaft[{extra}]'")
