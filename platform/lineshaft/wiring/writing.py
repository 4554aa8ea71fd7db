"""Where jobs write: both stores, behind the checks of the governance."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pyarrow as pa

from lineshaft.ops.governance import Governance
from lineshaft.ops.jobs import Gate, JobResult, Target, Verdict
from lineshaft.ops.release import Keeper
from lineshaft.ops.retract import retract
from lineshaft.ops.row_pushes import land_pushes
from lineshaft.specs import View
from lineshaft.wiring.parts import Parts
from lineshaft.wiring.plugged import governance


@contextmanager
def gated_target(parts: Parts, *, checked: bool = True) -> Iterator[Target]:
    """Return where a job writes; with `checked`, every batch passes its checkpoint, and refused rows are taken back."""
    plain = Target(offline=parts.offline, redis_url=parts.redis_url, project=parts.settings.project, work=parts.work)
    if not checked:
        yield plain
        return
    with governance(parts) as checks:
        yield replace(plain, gate=gate_of(parts, checks))


def gate_of(parts: Parts, checks: Governance) -> Gate:
    """Return what judges every batch that is written, and takes back what it refuses."""

    def gate(view: View, rows: pa.Table) -> Verdict:
        verdict = checks.gate(view, rows)
        if verdict.quarantined.num_rows:
            retract(view, verdict.quarantined, good=verdict.good, offline=parts.offline, online=parts.online)
        return verdict

    return gate


def keeper(parts: Parts, *, gate: Gate | None = None) -> Keeper:
    """Return who decides about what is held, over the connected parts."""
    return Keeper(
        catalog=parts.catalog,
        offline=parts.offline,
        online=parts.online,
        work=parts.work,
        tables=parts.tables,
        clock=parts.clock,
        gate=gate,
    )


def land_waiting(parts: Parts, target: Target) -> JobResult:
    """Land the pushed rows that wait."""
    return land_pushes(parts.pushed, catalog=parts.catalog, target=target, online=parts.online, clock=parts.clock)
