"""From Flink's finished parts to the offline tables: outside Flink, safe to kill anywhere, harmless to repeat.

Flink's file sink finishes parts exactly once; the store takes each batch name once; and rows whose identity (entity,
event_time, known_at) is stored already are left out, so that a job run again, or two jobs over the same blocks, add
nothing. A part is deleted after its rows are in.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from lineshaft.ops.jobs import Gate, JobResult
from lineshaft.ops.landing import land
from lineshaft.ops.quarantine import keep_aside
from lineshaft.specs import View
from lineshaft.stores.ports import OfflineStore
from lineshaft_flink.staging import REJECT_SCHEMA, finished, read_part


@dataclass(frozen=True, slots=True, kw_only=True)
class Committer:
    """Commit one job's staging folder.

    Rejected blocks go to `<aside>/rejects`, quarantined rows to `<aside>/quarantine/<view>`, as Parquet.
    """

    views: Sequence[View]
    offline: OfflineStore
    staging: Path
    aside: Path
    gate: Gate | None = None

    def commit(self, *, together: str = "") -> JobResult:
        """Commit every finished part; return what was done by this call.

        Each part is a batch of its own; with `together` all parts are one batch of that name (for a bounded job, whose
        parts are all there).
        """
        paths = finished(self.staging)
        groups = [paths] if together and paths else [[path] for path in paths]
        result = JobResult()
        for group in groups:
            result = result + self._commit(group, together or group[0].name)
        return result

    def _commit(self, paths: Sequence[Path], batch: str) -> JobResult:
        parts = [read_part(path, self.views) for path in paths]
        rows, repeats, quarantined, unchecked = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
        for view in self.views:
            tables = [part.rows[view.ref] for part in parts if view.ref in part.rows]
            if not tables:
                continue
            done = land(
                view, pa.concat_tables(tables), batch=batch, offline=self.offline, gate=self.gate, aside=self.aside
            )
            rows[view.ref] += done.good.num_rows
            repeats[view.ref] += done.repeats
            quarantined[view.ref] += done.quarantined
            unchecked[view.ref] += done.unchecked
        rejects = pa.concat_tables([REJECT_SCHEMA.empty_table(), *(part.rejects for part in parts)])
        keep_aside(rejects, self.aside / "rejects", batch)
        for path in paths:
            path.unlink()
        reasons = Counter(reason.partition(":")[0] for reason in rejects["reason"].to_pylist())
        return JobResult(
            rows=dict(rows),
            repeats=_positive(repeats),
            quarantined=_positive(quarantined),
            unchecked=_positive(unchecked),
            rejected=dict(reasons),
        )


def content_batch(label: str, parts: Mapping[str, int]) -> str:
    """Return a batch name from counted content, the same for the same content."""
    text = repr(sorted(parts.items()))
    return f"{label}:{hashlib.blake2b(text.encode(), digest_size=12).hexdigest()}"


def _positive(counts: Counter[str]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}
