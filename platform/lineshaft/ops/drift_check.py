"""A drift check of a model version: what it was asked since, beside the sketch of what it was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import stats

from lineshaft.drift.diagnosis import Diagnosis, Performance, Scene, diagnose
from lineshaft.drift.findings import PERFORMANCE, Finding, find, outcome_of
from lineshaft.drift.persistence import standing
from lineshaft.drift.policy import DriftPolicy, Regimes
from lineshaft.drift.rows import FLEET, Rows, rows_of
from lineshaft.drift.sketch import SCORE, Sketch
from lineshaft.drift.worth import Floats
from lineshaft.registry.drifts import CheckedWindow, DriftBook, Point


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a version was asked with in a window, and what is known of assets and columns.

    `rows`: keys, a time, the inputs, and `score` where it is known. `errors`: of each asset the mean squared error of
    what was said and has been decided since.
    """

    rows: pa.Table
    time: str = "asked_at"
    sensor_of: Mapping[str, str] = field(default_factory=dict)
    site_of: Mapping[str, str] = field(default_factory=dict)
    errors: Sequence[float] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a check found, and what stands behind the alarms after it."""

    window: CheckedWindow
    points: tuple[Point, ...]
    diagnoses: tuple[Diagnosis, ...]
    begun: frozenset[str]  # of whom an alarm began with this window
    reference_rows: int


def check(
    book: DriftBook, model: str, number: int, sketch: Sketch, asked: Asked, *, policy: DriftPolicy, at_us: int
) -> Checked:
    """Compare the window before a moment with the sketch, keep what is found, and say what stands behind it."""
    policy = replace(policy, regimes=sketch.regimes)
    start_us = at_us - policy.window_us
    table = _between(asked.rows, asked.time, start_us, at_us)
    rows, points = None, []
    if table.num_rows:
        rows = _rows(table, sketch, asked.time, columns=sketch.columns)
        points = [Point(kind="feature", finding=one) for one in find(sketch.baselines, rows, policy)]
        points += _of_scores(table, sketch, asked.time, policy)
    performance = compare_errors(sketch.errors, asked.errors, policy)
    if performance is not None:
        points.append(Point(kind=PERFORMANCE, finding=_finding(performance, len(sketch.errors))))
    drifts = [one.finding for one in points if one.finding.verdict == "drift" and one.kind != "prediction"]
    past = book.windows(model, number, limit=policy.among - 1) if policy.among > 1 else []
    seen = [frozenset(_drifted(found)) for found in book.points(past).values()]
    open_ = frozenset(past[-1].standing) if past else frozenset()
    after = standing([*seen, frozenset(one.scope for one in drifts)], policy, open_=open_)
    window = CheckedWindow(
        project=book.project,
        model=model,
        number=number,
        start_us=start_us,
        end_us=at_us,
        checked_us=book.clock.now_us(),
        rows=0 if rows is None else len(rows),
        assets=0 if rows is None else len(rows.names),
        outcome=_outcome(points, after),
        standing=tuple(sorted(after)),
    )
    book.add(window, points)
    told = [one for one in drifts if one.scope in after]
    stands = replace(performance, worse=PERFORMANCE in after) if performance is not None else None
    diagnoses = diagnose(told, _scene(sketch, rows, asked, stands)) if after else []
    return Checked(
        window=window,
        points=tuple(points),
        diagnoses=tuple(diagnoses),
        begun=after - open_,
        reference_rows=sum(one.rows for one in sketch.baselines if one),
    )


def compare_errors(before: Sequence[float], now: Sequence[float], policy: DriftPolicy) -> Performance | None:
    """Compare how far off predictions are by asset with how far they were; None where nobody can tell.

    Worse is what is improbable by the policy's rate and larger by a quarter: small differences retrain nothing.
    """
    if min(len(before), len(now)) < policy.min_effective:
        return None
    was, own = np.array(before), np.array(now)
    found = stats.ttest_ind(own, was, equal_var=False, alternative="greater")
    p = float(found.pvalue) if np.isfinite(found.pvalue) else 1.0
    worse = p < policy.fdr and own.mean() > 1.25 * was.mean()
    return Performance(before=float(was.mean()), now=float(own.mean()), p=p, assets=len(own), worse=worse)


def _finding(told: Performance, reference: int) -> Finding:
    ratio = told.now / told.before if told.before > 0 else float("inf")
    return Finding(
        column="error",
        scope=PERFORMANCE,
        regime="all",
        method="level",
        effect=ratio,
        p=told.p,
        q=told.p,
        verdict="drift" if told.worse else "none",
        rows=told.assets,
        reference_effective=float(reference),
        current_effective=float(told.assets),
    )


def _of_scores(table: pa.Table, sketch: Sketch, time: str, policy: DriftPolicy) -> list[Point]:
    """Compare what the model said with what it said of assets it had not seen."""
    if sketch.scores is None or SCORE not in table.column_names:
        return []
    rows = _rows(table, replace(sketch, regimes=Regimes()), time, columns=(SCORE,))
    found = find((sketch.scores,), rows, replace(policy, regimes=Regimes()))
    return [Point(kind="prediction", finding=one) for one in found]


def _rows(table: pa.Table, sketch: Sketch, time: str, *, columns: Sequence[str]) -> Rows:
    return rows_of(table, columns, step_us=sketch.step_us, regimes=sketch.regimes, keys=sketch.keys, time=time)


def _between(table: pa.Table, time: str, start_us: int, end_us: int) -> pa.Table:
    """Return the rows after a moment, up to another."""
    if not table.num_rows:
        return table
    times = table[time].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    return table.filter(pc.and_(pc.greater(times, start_us), pc.less_equal(times, end_us)))


def _drifted(points: Sequence[Point]) -> list[str]:
    return [one.finding.scope for one in points if one.kind != "prediction" and one.finding.verdict == "drift"]


def _outcome(points: Sequence[Point], after: frozenset[str]) -> str:
    if after:
        return "drift"
    return "unknown" if outcome_of(one.finding for one in points) == "unknown" else "none"


def _scene(sketch: Sketch, rows: Rows | None, asked: Asked, performance: Performance | None) -> Scene:
    """Return what a diagnosis looks at beside the findings."""
    known = [one for one in sketch.baselines if one is not None]
    largest = max(known, key=lambda one: one.rows)
    there = () if rows is None else rows.names
    strange = [number for number, one in enumerate(sketch.baselines) if one is None]
    unseen: Floats = np.zeros(1) if rows is None else np.isin(rows.regimes, strange).astype(np.float64)
    return Scene(
        baseline=largest,
        assets=tuple(name for name in there if name != FLEET),
        sensor_of=asked.sensor_of,
        site_of=asked.site_of,
        performance=performance,
        unseen_regimes=float(unseen.mean()),
    )
