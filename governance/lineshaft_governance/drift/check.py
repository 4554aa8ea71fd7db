"""A drift check: served rows against training rows, the figures kept, and Evidently's report drawn on demand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from lineshaft.drift.baseline import baseline_of
from lineshaft.drift.findings import find, outcome_of
from lineshaft.drift.policy import DriftPolicy, Regimes
from lineshaft.drift.rows import Rows, rows_of, usual_step_us
from lineshaft_governance.drift.lines import Line, lines_of
from lineshaft_governance.worker import Worker

MODULE = "lineshaft_governance.drift.report"
ENVIRONMENT = {
    "DO_NOT_TRACK": "1",  # Evidently phones home otherwise
    "PYTHONWARNINGS": "ignore",  # it divides by the spread of constant columns, and says so twice a column
}
REPORT_ROWS = 2_000
REPORT_COLUMNS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftCheck:
    """What one check found: `outcome` is "drift", "none" or "unknown" (no feature could be judged).

    `features` has a line for each, as `lineshaft_governance.drift.lines` makes them, those that drift first.
    """

    subject: str
    at_us: int
    outcome: str
    reference_rows: int
    current_rows: int
    features: tuple[Line, ...]
    policy: DriftPolicy
    report: str = ""  # file name of the HTML report, if one was drawn

    @property
    def drifted(self) -> tuple[str, ...]:
        """Return the names of the drifted features, the furthest first."""
        return tuple(one["feature"] for one in self.features if one["outcome"] == "drift")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Rows to compare and how to read them: which column tells series apart, and which orders them in time."""

    table: pa.Table
    series: str = "asset_id"
    time: str = "event_time"

    def rows(self, features: Sequence[str], *, step_us: int) -> Rows:
        """Return all of them by series and time, on a grid of so long steps."""
        told = {"keys": (self.series,), "time": self.time, "whole": True}
        return rows_of(self.table, features, step_us=step_us, regimes=Regimes(), **told)  # type: ignore[arg-type]


def check_drift(
    subject: str, reference: Window, current: Window, *, features: Sequence[str], policy: DriftPolicy, at_us: int
) -> DriftCheck:
    """Compare the features of two windows, as a check compares a window with a sketch.

    Raises
    ------
    InputError
        If a window has no rows, or lacks a feature.
    """
    sides = (reference.rows(features, step_us=1), current.rows(features, step_us=1))  # refuse what cannot be read
    step_us = usual_step_us(reference.table, keys=(reference.series,), time=reference.time)
    was, now = (replace(one, cells=one.cells // step_us) for one in sides)
    tenth = (int(was.cells.max()) - int(was.cells.min()) + 1) // 10  # a short table is all there is: it has ten windows
    window = max(min(policy.window_us // step_us, tenth), 1)
    policy = replace(policy, regimes=Regimes())
    found = find([baseline_of(was, window=window, kept=len(was))], now, policy)
    lines = lines_of(found, policy)
    return DriftCheck(
        subject=subject,
        at_us=at_us,
        outcome=outcome_of(found),
        reference_rows=len(was),
        current_rows=len(now),
        features=tuple(lines),
        policy=policy,
    )


def draw_report(check: DriftCheck, reference: Window, current: Window, *, folder: Path, worker: Worker) -> DriftCheck:
    """Draw Evidently's report of the features that drifted furthest; return the check with the file's name.

    At most 2,000 rows a side and 12 columns: a report of everything takes half a minute and tens of megabytes. The
    sample is drawn evenly over time, so the report is for looking at; the figures of the check are of all rows.
    """
    columns = [line["feature"] for line in check.features if np.isfinite(line["ks"])][:REPORT_COLUMNS]
    if not columns:  # nothing is known on both sides: there is nothing to draw
        return check
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{check.subject}-{check.at_us}.html"
    tables = {name: _thinned(window, columns) for name, window in (("reference", reference), ("current", current))}
    request = {"columns": columns, "path": str(path), "threshold": check.policy.fdr}
    worker.ask(request, tables=tables)
    return replace(check, report=path.name)


def open_worker() -> Worker:
    """Return the process that draws reports; close it after use."""
    return Worker(module=MODULE, environment=ENVIRONMENT, timeout_s=300)


def _thinned(window: Window, columns: Sequence[str]) -> pa.Table:
    """Return at most REPORT_ROWS rows, evenly spaced over time."""
    table = window.table.sort_by([(window.time, "ascending")]).select(list(columns))
    if table.num_rows > REPORT_ROWS:
        table = table.take(np.linspace(0, table.num_rows - 1, REPORT_ROWS).astype(np.int64))
    return table
