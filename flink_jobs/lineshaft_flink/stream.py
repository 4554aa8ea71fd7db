"""A running stream, seen from the process that started it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from lineshaft.errors import UnavailableError
from lineshaft.ops.jobs import JobResult, Progress, Report
from lineshaft_flink.committer import Committer
from lineshaft_flink.process import JobProcess
from lineshaft_flink.resume import remember_savepoint


@dataclass(slots=True, kw_only=True)
class FlinkStream:
    """See `lineshaft.ops.jobs.Stream`. Whoever holds it commits now and then; `follow` does so until told to stop."""

    process: JobProcess
    committer: Committer
    work: Path
    report: Report
    started: float = field(default_factory=time.monotonic)
    total: JobResult = field(default_factory=JobResult)

    def commit(self) -> JobResult:
        """Commit the parts finished so far; return the counts since the start."""
        self.total = self.total + self.committer.commit()
        seconds = time.monotonic() - self.started
        self.report(Progress(job="stream", phase="running", rows=sum(self.total.rows.values()), seconds=seconds))
        if not self.process.alive:
            raise UnavailableError(
                "the stream has ended by itself", where=str(self.work / "logs"), fix="read its log; start it again"
            )
        return self.total

    def follow(self, stopped: threading.Event, *, every_s: float = 2.0) -> JobResult:
        """Commit every few seconds until `stopped` is set; return the counts."""
        while not stopped.wait(every_s):
            self.commit()
        return self.total

    def stop(self, *, drain: bool = False) -> JobResult:
        """Stop cleanly and commit what is finished."""
        savepoint = self.process.stop(self.work / "savepoints", drain=drain)
        remember_savepoint(self.work, savepoint)
        self.total = self.total + self.committer.commit()
        return self.total

    def kill(self) -> None:
        """End the job at once, without a savepoint: the next start goes on from its last checkpoint."""
        self.process.close(grace_s=0.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.alive:
            self.process.close()
