"""What a job engine promises: feature rows from blocks, offline and online, bounded or without end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import pyarrow as pa

from lineshaft.specs import View
from lineshaft.stores.ports import OfflineStore

PASSED, FAILED, COULD_NOT_RUN = "passed", "failed", "could_not_run"
"""How a checkpoint ends. One that could not be run says nothing of the data: neither good nor bad."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a gate says of a batch of rows: what may be stored, and what is kept aside with its reasons.

    `good` has the schema of the rows judged; `quarantined` the same and a last column `reason` (string); `places` are
    the rows that it holds, counted from 0.
    """

    good: pa.Table
    quarantined: pa.Table
    outcome: str = PASSED
    places: tuple[int, ...] = ()


Gate = Callable[[View, pa.Table], Verdict]
"""Judge a batch of feature rows before it is committed offline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a job is: its phase (`staging`, `starting`, `running`, `committing`, `done`) and counts so far."""

    job: str
    phase: str
    blocks: int = 0
    rows: int = 0
    seconds: float = 0.0


Report = Callable[[Progress], None]
"""Be told of progress."""


def silent(_progress: Progress) -> None:
    """Ignore progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """What a job did: rows committed, repeats left out and rows quarantined by view reference, rejects by reason.

    `unchecked` are the rows quarantined only because their checkpoint could not be run.
    """

    rows: Mapping[str, int] = field(default_factory=dict)
    repeats: Mapping[str, int] = field(default_factory=dict)
    quarantined: Mapping[str, int] = field(default_factory=dict)
    unchecked: Mapping[str, int] = field(default_factory=dict)
    rejected: Mapping[str, int] = field(default_factory=dict)
    blocks: int = 0
    seconds: float = 0.0

    def __add__(self, other: JobResult) -> JobResult:
        return JobResult(
            rows=_sum(self.rows, other.rows),
            repeats=_sum(self.repeats, other.repeats),
            quarantined=_sum(self.quarantined, other.quarantined),
            unchecked=_sum(self.unchecked, other.unchecked),
            rejected=_sum(self.rejected, other.rejected),
            blocks=self.blocks + other.blocks,
            seconds=self.seconds + other.seconds,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a job writes: the offline store, the online server of a project, a folder for its own files, and a gate."""

    offline: OfflineStore
    redis_url: str
    project: str
    work: Path
    gate: Gate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inlet:
    """Where live blocks of one source come from: a folder that grows, or a Kafka topic.

    Files that lie in `folder` when the stream starts are history: read first, in any order. Writers give a file a
    hidden name (a dot in front) and rename it when it is whole.
    """

    source: str
    folder: Path | None = None
    brokers: str = ""
    topic: str = ""


class Stream(Protocol):
    """A running stream."""

    def commit(self) -> JobResult:
        """Commit the parts finished so far; return the counts since the start.

        Raises `UnavailableError` where the job has died.
        """
        ...

    def stop(self, *, drain: bool = False) -> JobResult:
        """Stop cleanly and commit what is finished. `drain` first answers everything that still waits for time to pass.

        Without it the state is kept: the next start with the same work folder goes on where this one stopped.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Jobs(Protocol):
    """An engine that runs jobs."""

    def backfill(
        self,
        views: Sequence[View],
        *,
        target: Target,
        assets: Sequence[str] = (),
        until_us: int | None = None,
        report: Report = silent,
    ) -> JobResult:
        """Compute all rows of views from the raw blocks in the offline store; write them offline and online.

        Rows that are stored already are left out. `until_us` cuts in receipt time: rows with a later known_at are left
        to a stream that starts with `after_us` at the same time.
        """
        ...

    def stream(
        self,
        views: Sequence[View],
        inlets: Sequence[Inlet],
        *,
        target: Target,
        lag_us: int = 2_000_000,
        after_us: int | None = None,
        report: Report = silent,
    ) -> Stream:
        """Start a stream; return as soon as it runs. `lag_us` bounds how far receipt times may be out of order."""
        ...


def _sum(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, int]:
    return {name: left.get(name, 0) + right.get(name, 0) for name in [*left, *(n for n in right if n not in left)]}
