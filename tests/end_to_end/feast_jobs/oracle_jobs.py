"""A job engine that is the oracle: brute force in this process, where a test needs no Flink."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from lineshaft.ops.jobs import JobResult, Report, Target, silent
from lineshaft.specs import View
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.tiles.oracle import oracle_rows


class OracleJobs:
    """Compute by brute force; write to both stores."""

    def backfill(
        self,
        views: Sequence[View],
        *,
        target: Target,
        assets: Sequence[str] = (),
        until_us: int | None = None,
        report: Report = silent,
    ) -> JobResult:
        """Compute all rows of views."""
        counts = {}
        for view in views:
            blocks = pa.concat_tables(target.offline.read_blocks(view.source))
            rows = oracle_rows(view, blocks)
            target.offline.write_rows(view, rows, batch="oracle")
            RedisOnlineStore(target.redis_url, project=target.project).write(view, rows)
            counts[view.ref] = rows.num_rows
        return JobResult(rows=counts)
