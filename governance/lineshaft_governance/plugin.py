"""What the platform finds by its entry point: checkpoints, drift checks and the admin page in one hand."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from lineshaft.clock import Clock
from lineshaft.models.gate import GatePolicy
from lineshaft.ops.jobs import Verdict
from lineshaft.specs import View
from lineshaft.wiring import Parts, models
from lineshaft_governance.drift_check import Window, check_drift, draw_report, open_worker, remember
from lineshaft_governance.gate import Gate
from lineshaft_governance.policies import drift_policy, promotion_policy
from lineshaft_governance.web.app import create_app
from lineshaft_governance.web.parts import WebParts
from lineshaft_governance.worker import Worker


@dataclass(slots=True, kw_only=True)
class Governance:
    """Policies and suites of one folder, results in another; implements `lineshaft.ops.governance.Governance`."""

    policies: Path
    folder: Path
    clock: Clock
    checkpoints: Gate
    reporter: Worker

    @classmethod
    def open(cls, *, policies: Path, folder: Path, clock: Clock) -> Self:
        """Return governance over `policies/suites`, `policies/policies`, and a folder for what it finds."""
        return cls(
            policies=policies,
            folder=folder,
            clock=clock,
            checkpoints=Gate.open(suites=policies / "suites", folder=folder, clock=clock),
            reporter=open_worker(),
        )

    def gate(self, view: View, rows: pa.Table) -> Verdict:
        """Judge a materialized batch: good rows, and those quarantined with a reason."""
        gated = self.checkpoints.check_batch(view, rows)
        return Verdict(good=gated.good, quarantined=gated.quarantined)

    def drift(
        self, *, name: str, model: str, reference: pa.Table, current: pa.Table, features: tuple[str, ...]
    ) -> tuple[list[dict[str, Any]], Path]:
        """Compare served rows with training rows; keep the figures, and draw Evidently's report.

        Tables hold `asset_id`, `event_time` and the features; of a prediction log, `asked_at` is its time.
        """
        policy = drift_policy(self.policies / "policies" / "drift.yaml")
        windows = [Window(table=table, time=_time_of(table)) for table in (reference, current)]
        check = check_drift(name, *windows, features=features, policy=policy, at_us=self.clock.now_us())
        drawn = draw_report(check, *windows, folder=self.reports, worker=self.reporter)
        remember(drawn, self.checkpoints.results)
        lines = [{"model": model, **asdict(one)} for one in drawn.features]
        return lines, self.reports / drawn.report

    def promotion(self, task: str) -> GatePolicy:
        """Return what a version of a task must show before it is promoted."""
        return promotion_policy(self.policies / "policies" / "promotion.yaml", task)

    def web(self, parts: Parts) -> Any:
        """Return the admin page as an ASGI application over the connected parts."""
        return create_app(
            WebParts(
                catalog=parts.catalog,
                offline=parts.offline,
                online=parts.online,
                registry=models(parts),
                results=self.checkpoints.results,
                reports=self.reports,
                clock=parts.clock,
                project=parts.settings.project,
            )
        )

    @property
    def reports(self) -> Path:
        """Return the folder of Evidently's files."""
        return self.folder / "drift"

    def close(self) -> None:
        """Stop the worker processes."""
        self.checkpoints.close()
        self.reporter.close()


def _time_of(table: pa.Table) -> str:
    """Return the column that orders a table in time."""
    return "event_time" if "event_time" in table.column_names else "asked_at"
