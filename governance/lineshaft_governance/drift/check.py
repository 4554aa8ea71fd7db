"""A drift check: served rows against training rows, the figures kept, and Evidently's report drawn on demand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from lineshaft.drift.compare import FeatureDrift, Sample, compare
from lineshaft.drift.policy import DriftPolicy
from lineshaft.errors import InputError
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
    """What one check found: `outcome` is "drift", "none" or "unknown" (no feature could be judged)."""

    subject: str
    at_us: int
    outcome: str
    reference_rows: int
    current_rows: int
    features: tuple[FeatureDrift, ...]
    policy: DriftPolicy
    report: str = ""  # file name of the HTML report, if one was drawn

    @property
    def drifted(self) -> tuple[str, ...]:
        """Return the names of the drifted features, the furthest first."""
        return tuple(one.feature for one in self.features if one.outcome == "drift")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Rows to compare and how to read them: which column tells series apart, and which orders them in time."""

    table: pa.Table
    series: str = "asset_id"
    time: str = "event_time"


def check_drift(
    subject: str, reference: Window, current: Window, *, features: Sequence[str], policy: DriftPolicy, at_us: int
) -> DriftCheck:
    """Compare the features of two windows.

    Raises
    ------
    InputError
        If a window has no rows, or lacks a feature.
    """
    found = compare(to_sample(reference, features), to_sample(current, features), features, policy)
    outcomes = {one.outcome for one in found}
    return DriftCheck(
        subject=subject,
        at_us=at_us,
        outcome=next((outcome for outcome in ("drift", "none") if outcome in outcomes), "unknown"),
        reference_rows=reference.table.num_rows,
        current_rows=current.table.num_rows,
        features=tuple(found),
        policy=policy,
    )


def to_sample(window: Window, features: Sequence[str]) -> Sample:
    """Sort a window by series and time and return its features; null becomes NaN."""
    table = window.table
    missing = [name for name in (window.series, window.time, *features) if name not in table.column_names]
    if missing or not table.num_rows:
        what = f"has no column {missing[0]!r}" if missing else "has no rows"
        raise InputError(f"the window to compare {what}", fix="log predictions first, or name another window")
    ordered = table.sort_by([(window.series, "ascending"), (window.time, "ascending")])
    groups = ordered[window.series].combine_chunks().dictionary_encode().indices
    values = {name: np.asarray(ordered[name].cast(pa.float64()).to_numpy(), dtype=np.float64) for name in features}
    return Sample(values=values, groups=np.asarray(groups, dtype=np.int64))


def draw_report(check: DriftCheck, reference: Window, current: Window, *, folder: Path, worker: Worker) -> DriftCheck:
    """Draw Evidently's report of the features that drifted furthest; return the check with the file's name.

    At most 2,000 rows a side and 12 columns: a report of everything takes half a minute and tens of megabytes. The
    sample is drawn evenly over time, so the report is for looking at; the figures of the check are of all rows.
    """
    columns = [one.feature for one in check.features if np.isfinite(one.ks)][:REPORT_COLUMNS]
    if not columns:  # nothing is known on both sides: there is nothing to draw
        return check
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{check.subject}-{check.at_us}.html"
    tables = {name: _thinned(window, columns) for name, window in (("reference", reference), ("current", current))}
    request = {"columns": columns, "path": str(path), "threshold": check.policy.fdr}
    worker.ask(request, tables=tables)
    fields = {name: getattr(check, name) for name in check.__slots__}
    return DriftCheck(**{**fields, "report": path.name})


def open_worker() -> Worker:
    """Return the process that draws reports; close it after use."""
    return Worker(module=MODULE, environment=ENVIRONMENT, timeout_s=300)


def _thinned(window: Window, columns: Sequence[str]) -> pa.Table:
    """Return at most REPORT_ROWS rows, evenly spaced over time."""
    table = window.table.sort_by([(window.time, "ascending")]).select(list(columns))
    if table.num_rows > REPORT_ROWS:
        table = table.take(np.linspace(0, table.num_rows - 1, REPORT_ROWS).astype(np.int64))
    return table
