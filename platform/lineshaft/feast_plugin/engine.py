"""Feast's ComputeEngine on Lineshaft's jobs: `feast materialize` computes windows where Feast's engines cannot."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from feast.infra.common.materialization_job import MaterializationJob, MaterializationJobStatus, MaterializationTask
from feast.infra.compute_engines.base import ComputeEngine

from lineshaft.clock import SystemClock
from lineshaft.errors import EnvironmentFault
from lineshaft.feast_plugin.parts import PluginParts, parts_of
from lineshaft.feast_plugin.requests import view_of
from lineshaft.feast_plugin.row_files import read_file
from lineshaft.feast_plugin.values import microseconds
from lineshaft.ops.jobs import Jobs, Target
from lineshaft.ops.openlineage import materializing
from lineshaft.ops.training_set import fingerprint
from lineshaft.specs import View

_LOG = logging.getLogger(__name__)
GROUP = "lineshaft.jobs"


@dataclass(slots=True, kw_only=True)
class FinishedJob(MaterializationJob):
    """A materialization that has ended: Feast's interface is synchronous."""

    task: MaterializationTask
    failure: BaseException | None = None

    def status(self) -> MaterializationJobStatus:
        """Return how it ended."""
        return MaterializationJobStatus.ERROR if self.failure else MaterializationJobStatus.SUCCEEDED

    def error(self) -> BaseException | None:
        """Return what went wrong, if anything did."""
        return self.failure

    def should_be_retried(self) -> bool:
        """Return no: what failed says what to mend, and running again is harmless."""
        return False

    def job_id(self) -> str:
        """Return the view and the time up to which it was materialized."""
        return f"{self.task.feature_view.name}-{self.task.end_time:%Y%m%dT%H%M%S}"

    def url(self) -> str | None:
        """Return none: it ran here."""
        return None


class LineshaftEngine(ComputeEngine):
    """Materialize by the same job that `lineshaft backfill` runs; rows computed elsewhere are copied.

    `batch_engine: {type: …, jobs: "package.module:Class"}` names another job engine than the installed one.
    """

    def __init__(self, *, jobs: str = "", **named: Any) -> None:
        super().__init__(**named)
        self._jobs = jobs

    def update(
        self,
        project: str,
        views_to_delete: Sequence[Any],
        views_to_keep: Sequence[Any],
        entities_to_delete: Sequence[Any],
        entities_to_keep: Sequence[Any],
    ) -> None:
        """Do nothing: jobs are started when there is something to compute."""

    def teardown_infra(self, project: str, fvs: Sequence[Any], entities: Sequence[Any]) -> None:
        """Do nothing: nothing runs between materializations."""

    def _materialize_one(self, registry: Any, task: MaterializationTask, **_: Any) -> MaterializationJob:
        """Bring one view up to date, offline and online.

        A stream view gets every row known by the end time, whatever the start: rows that are there already are left
        alone. A plain view gets the file's rows with event time in [start, end].
        """
        view, parts = view_of(task.feature_view), parts_of(self.repo_config)
        telling = materializing(
            parts.settings, f"materialize/{view.name}", [view], offline=parts.offline, clock=SystemClock()
        )
        try:
            with telling:
                if view.source.kind == "rows":
                    rows = copy_rows(view, parts, microseconds(task.start_time), microseconds(task.end_time))
                else:
                    rows = self._compute(view, parts, microseconds(task.end_time))
        except Exception as error:  # noqa: BLE001 - Feast raises it again from the job it is handed
            return FinishedJob(task=task, failure=error)
        _LOG.info("materialized %d rows of %s", rows, view.ref)
        return FinishedJob(task=task)

    def _compute(self, view: View, parts: PluginParts, until_us: int) -> int:
        parts.online(view)  # an embedded server must be there before the job writes to it
        target = Target(
            offline=parts.offline,
            redis_url=parts.redis_url,
            project=parts.settings.project,
            work=parts.settings.home / "jobs",
        )
        return sum(self._engine().backfill([view], target=target, until_us=until_us).rows.values())

    def _engine(self) -> Jobs:
        if self._jobs:
            module, _, name = self._jobs.partition(":")
            named: Jobs = getattr(import_module(module), name)()
            return named
        for entry in entry_points(group=GROUP):
            installed: Jobs = entry.load()()
            return installed
        raise EnvironmentFault("no job engine is installed", fix="pip install 'lineshaft[flink]'")


def copy_rows(view: View, parts: PluginParts, start_us: int, end_us: int) -> int:
    """Copy a file's rows with event time in [start, end] to both stores; return how many. Repeats change nothing."""
    count = 0
    for table in read_file(view, root=Path(parts.settings.repo)):
        at_us = table["event_time"].cast(pa.int64())
        chosen = table.filter(pc.and_(pc.greater_equal(at_us, start_us), pc.less_equal(at_us, end_us)))
        if chosen.num_rows:
            parts.offline.write_rows(view, chosen, batch=f"feast:{fingerprint(chosen)}")
            parts.online(view).write(view, chosen)
            count += chosen.num_rows
    return count
