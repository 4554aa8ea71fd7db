"""`FlinkJobs`: what the entry point `lineshaft.jobs` names. Starts jobs in processes, commits what they finish."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from lineshaft.errors import ConflictError, InputError, UnavailableError
from lineshaft.ops.jobs import Inlet, JobResult, Progress, Report, Target, silent
from lineshaft.specs import View
from lineshaft.tiles.plan import TilePlan
from lineshaft_flink.block_files import Shard, most_blocks, runs, stage_blocks
from lineshaft_flink.committer import Committer, content_batch
from lineshaft_flink.jars import KAFKA, PARQUET, fetch
from lineshaft_flink.job_file import NEVER_US, Feed, JobFile
from lineshaft_flink.process import JobProcess
from lineshaft_flink.resume import resume_point
from lineshaft_flink.stream import FlinkStream

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlinkJobs:
    """Run jobs on the mini-cluster of the PyFlink wheel, one process a job.

    `heap` caps the Java machine, `tile_bytes` the tiles of one bounded run (they wait in Flink's state until its end).
    """

    heap: str = "2g"
    tile_bytes: int = 400_000_000
    checkpoint_s: float = 10.0
    isolated: bool = False
    timeout_s: float = 6 * 3600.0

    def backfill(
        self,
        views: Sequence[View],
        *,
        target: Target,
        assets: Sequence[str] = (),
        until_us: int | None = None,
        report: Report = silent,
    ) -> JobResult:
        """See `lineshaft.ops.jobs.Jobs.backfill`. A run that was killed is done again and adds nothing twice.

        Raises `ConflictError` while another backfill works in the same folder.
        """
        with alone(target.work):
            return self._backfill(views, target=target, assets=assets, until_us=until_us, report=report)

    def _backfill(
        self, views: Sequence[View], *, target: Target, assets: Sequence[str], until_us: int | None, report: Report
    ) -> JobResult:
        started = time.monotonic()
        folder = target.work / "backfill"
        shutil.rmtree(folder, ignore_errors=True)
        jars = tuple(str(path) for path in fetch(PARQUET))
        result = JobResult()
        staged: list[tuple[tuple[View, ...], list[Shard]]] = []
        for number, group in enumerate(feeds_of(views)):
            told = _Counter(report, job=f"backfill {group[0].source.name}", started=started)
            shards = stage_blocks(
                group[0].source, offline=target.offline, folder=folder / f"in-{number}", assets=assets, told=told.add
            )
            staged.append((group, shards))
        for number, feeds in enumerate(self._runs(staged)):
            work = folder / f"run-{number}"
            plain = [
                Feed(views=group, history=str(_gather(shards, work / f"blocks-{i}")))
                for i, (group, shards) in enumerate(feeds)
            ]
            job = JobFile(
                name=f"backfill-{number}",
                feeds=tuple(plain),
                staging=str(work / "staging"),
                redis_url=target.redis_url,
                project=target.project,
                until_us=NEVER_US if until_us is None else until_us,
                checkpoint_s=600.0,
                checkpoints=str(work / "checkpoints"),
                jars=jars,
            )
            content = {f"{g[0].source.name}/{s.folder.name}": s.fingerprint for g, shards in feeds for s in shards}
            batch = content_batch(f"backfill:{job.until_us}", content)
            blocks = sum(shard.blocks for _, shards in feeds for shard in shards)
            done = self._run(job, work=work, target=target, batch=batch, told=report, blocks=blocks)
            result = result + done
            shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        return replace(result, seconds=time.monotonic() - started)

    def stream(
        self,
        views: Sequence[View],
        inlets: Sequence[Inlet],
        *,
        target: Target,
        lag_us: int = 2_000_000,
        after_us: int | None = None,
        report: Report = silent,
    ) -> FlinkStream:
        """See `lineshaft.ops.jobs.Jobs.stream`. The state lies in the work folder, by what the stream computes."""
        groups = feeds_of(views)
        by_source = {inlet.source: inlet for inlet in inlets}
        missing = sorted({group[0].source.name for group in groups} - set(by_source))
        if missing:
            raise InputError(f"no inlet for source {', '.join(missing)}", fix="give one Inlet per source of the views")
        work = target.work / "stream" / _identity(views, inlets)
        resume = resume_point(work)
        feeds = tuple(
            _live_feed(group, by_source[group[0].source.name], history=work / f"history-{i}", fresh=not resume)
            for i, group in enumerate(groups)
        )
        jars = fetch(PARQUET + (KAFKA if any(inlet.topic for inlet in inlets) else ()))
        job = JobFile(
            name="stream",
            feeds=feeds,
            staging=str(work / "staging"),
            redis_url=target.redis_url,
            project=target.project,
            lag_us=lag_us,
            after_us=-NEVER_US if after_us is None else after_us,
            checkpoint_s=self.checkpoint_s,
            checkpoints=str(work / "checkpoints"),
            restore=resume,
            jars=tuple(str(path) for path in jars),
        )
        (work / "staging").mkdir(parents=True, exist_ok=True)
        process = JobProcess(job.write(work / "job.json"), logs=work / "logs", heap=self.heap, isolated=self.isolated)
        stream = FlinkStream(
            process=process, committer=_committer(job, target, aside=target.work), work=work, report=report
        )
        try:
            report(Progress(job="stream", phase="starting"))
            process.wait_started()
        except BaseException:
            process.close()
            raise
        return stream

    def _run(self, job: JobFile, *, work: Path, target: Target, batch: str, told: Report, blocks: int) -> JobResult:
        """Run one bounded job to its end and commit its rows as one batch."""
        started = time.monotonic()
        (work / "staging").mkdir(parents=True, exist_ok=True)
        progress = Progress(job=job.name, phase="starting", blocks=blocks)
        told(progress)
        process = JobProcess(job.write(work / "job.json"), logs=work / "logs", heap=self.heap, isolated=self.isolated)
        try:
            process.wait_started()
            while not process.wait_ended(1.0):
                seconds = time.monotonic() - started
                told(replace(progress, phase="running", seconds=seconds))
                if seconds > self.timeout_s:
                    raise UnavailableError(
                        f"{job.name} did not end within {self.timeout_s:.0f} s", where=str(work), fix="split its input"
                    )
        finally:
            process.close()
        told(replace(progress, phase="committing", seconds=time.monotonic() - started))
        result = _committer(job, target, aside=target.work).commit(together=batch)
        rows = sum(result.rows.values())
        told(replace(progress, phase="done", rows=rows, seconds=time.monotonic() - started))
        return replace(result, blocks=blocks)

    def _runs(
        self, staged: Sequence[tuple[tuple[View, ...], list[Shard]]]
    ) -> Iterator[list[tuple[tuple[View, ...], list[Shard]]]]:
        """Put feeds together into as few runs as memory allows: each start of a job costs tens of seconds."""
        small: list[tuple[tuple[View, ...], list[Shard]]] = []
        room = 1.0
        for group, shards in staged:
            limit = most_blocks(sum(TilePlan.of(view).width for view in group), tile_bytes=self.tile_bytes)
            for run in runs(shards, most_blocks=limit):
                share = sum(shard.blocks for shard in run) / limit
                if small and (share > room or any(g is group for g, _ in small)):
                    yield small
                    small, room = [], 1.0
                small.append((group, run))
                room -= share
        if small:
            yield small


@contextmanager
def alone(work: Path) -> Iterator[None]:
    """Hold a work folder for one backfill at a time; the lock goes with the process."""
    work.mkdir(parents=True, exist_ok=True)
    with (work / "backfill.lock").open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConflictError(
                "another backfill works here", where=str(work), fix="wait until it has ended"
            ) from error
        yield


def feeds_of(views: Sequence[View]) -> list[tuple[View, ...]]:
    """Group views that share source and entity keys: each group is a feed.

    Raises `InputError` for a view over rows that are computed elsewhere: it has no blocks.
    """
    for view in views:
        if view.source.kind != "blocks":
            raise InputError(
                f"view {view.name!r} reads rows computed elsewhere, not blocks", where=view.where, fix="leave it out"
            )

    def shape(view: View) -> tuple[str, str]:
        return repr(view.source), repr(view.entity_keys)

    return [tuple(group) for _, group in groupby(sorted(views, key=shape), key=shape)]


@dataclass(slots=True)
class _Counter:
    """Tell progress while blocks are staged."""

    report: Report
    job: str
    started: float
    blocks: int = 0

    def add(self, blocks: int) -> None:
        self.blocks += blocks
        seconds = time.monotonic() - self.started
        self.report(Progress(job=self.job, phase="staging", blocks=self.blocks, seconds=seconds))


def _committer(job: JobFile, target: Target, *, aside: Path) -> Committer:
    views = [view for feed in job.feeds for view in feed.views]
    return Committer(views=views, offline=target.offline, staging=Path(job.staging), aside=aside, gate=target.gate)


def _gather(shards: Sequence[Shard], folder: Path) -> Path:
    """Move the files of shards into one folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for shard in shards:
        for path in shard.folder.iterdir():
            path.rename(folder / f"{shard.folder.name}-{path.name}")
    return folder


def _live_feed(views: tuple[View, ...], inlet: Inlet, *, history: Path, fresh: bool) -> Feed:
    """Return the feed of an inlet. On a fresh start the files that lie there become history, read in any order."""
    if inlet.topic:
        return Feed(views=views, brokers=inlet.brokers, topic=inlet.topic)
    if inlet.folder is None:
        raise InputError(f"the inlet of {inlet.source!r} names neither folder nor topic", fix="give one of them")
    inlet.folder.mkdir(parents=True, exist_ok=True)
    history.mkdir(parents=True, exist_ok=True)
    if fresh:
        for path in sorted(inlet.folder.glob("[!._]*.parquet")):
            path.rename(history / path.name)
    return Feed(views=views, history=str(history), live=str(inlet.folder))


def _identity(views: Sequence[View], inlets: Sequence[Inlet]) -> str:
    text = repr((sorted(view.ref for view in views), sorted(map(repr, inlets))))
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
