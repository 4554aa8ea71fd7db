"""Drift in the database, on SQLite and Postgres: what was found reads back, and a trail only grows."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from lineshaft.clock import ManualClock
from lineshaft.drift.baseline import baseline_of
from lineshaft.drift.policy import Regimes
from lineshaft.drift.rows import Rows
from lineshaft.drift.sketch import Sketch
from lineshaft.errors import CorruptError, NotFoundError
from lineshaft.registry.drifts import CheckedWindow, DriftBook, Point, Trigger, drift_book, trigger_id
from lineshaft.registry.models import ModelRegistry
from lineshaft.testing import small_finding

WINDOW = CheckedWindow(
    project="dev",
    model="rul",
    number=1,
    start_us=0,
    end_us=10,
    checked_us=11,
    rows=7,
    assets=2,
    outcome="drift",
    standing=("pump-1",),
)
POINT = Point(kind="feature", finding=small_finding())
TRIGGER = Trigger(
    id=trigger_id("dev", "rul", "sensor", 5),
    model="rul",
    number=1,
    cause="sensor",
    assets=("pump-1", "pump-2"),
    columns=("v__rms",),
    detail="it stands still",
    state="ticket",
    raised_us=5,
)


@pytest.fixture
def book(registry: ModelRegistry) -> DriftBook:
    """Return the drift of a project in an empty database."""
    return drift_book(registry, "dev")


def test_a_check_reads_back_and_a_second_time_it_is_none(book: DriftBook, registry: ModelRegistry) -> None:
    """What was not known is not known again; a window is written once; other projects see none of it."""
    unknown = replace(POINT, finding=replace(POINT.finding, p=math.nan, q=math.nan, verdict="unknown", scope="*"))

    assert book.add(WINDOW, [POINT, unknown])
    assert not book.add(WINDOW, [POINT])
    assert book.windows("rul", 1) == [WINDOW]
    found = book.points([WINDOW])[WINDOW.id]
    assert found[0] == POINT
    assert math.isnan(found[1].finding.p)
    assert found[1].finding.verdict == "unknown"
    assert drift_book(registry, "prod").windows("rul", 1) == []


def test_the_newest_checks_are_told_in_order(book: DriftBook) -> None:
    """As many as are asked for, oldest first: what persistence counts over."""
    for end in (30, 10, 20):
        book.add(replace(WINDOW, end_us=end), [])

    assert [one.end_us for one in book.windows("rul", 1, limit=2)] == [20, 30]


def test_a_trigger_leaves_a_trail_that_only_grows(book: DriftBook, clock: ManualClock) -> None:
    """Opened, waited, closed: each line with its time; standing is what is not closed."""
    book.open_trigger(TRIGGER, detail="nothing is learnt from it")
    clock.advance(seconds=1)
    book.move(TRIGGER.id, "over", "no check finds it any more", closed=True)

    (found,) = book.triggers("rul")
    assert found == replace(TRIGGER, state="over", closed_us=2_000_000)
    assert [(act.state, act.detail) for act in book.trail(TRIGGER.id)] == [
        ("ticket", "nothing is learnt from it"),
        ("over", "no check finds it any more"),
    ]
    assert book.triggers("rul", standing=True) == book.triggers("other") == []


def test_a_sketch_is_an_artifact_of_its_version(book: DriftBook) -> None:
    """It comes back with every figure, the same bytes each time; a version without one says how to get it."""
    generator = np.random.default_rng(1)
    rows = Rows(
        columns=("a", "b"),
        values=generator.normal(size=(60, 2)).astype(np.float32).astype(np.float64),
        assets=np.repeat(["x", "y", "z"], 20),
        cells=np.tile(np.arange(20), 3),
        regimes=np.zeros(60, np.int64),
    )
    rows.values[3, 1] = np.nan
    sketch = Sketch(
        columns=("a", "b"),
        keys=("asset_id",),
        step_us=60,
        until_us=1200,
        regimes=Regimes(column="a", edges=(0.5,)),
        baselines=(None, baseline_of(rows, worn=rows.cells > 17, window=3)),
        scores=baseline_of(rows.only(("a",)), window=3),
        errors=(0.25, 0.5),
    )

    digest = book.keep_sketch("rul", 1, sketch)
    found = book.sketch("rul", 1)

    assert found.to_bytes() == sketch.to_bytes() == book.artifacts.get(digest, artifact_format="json")
    assert found.baselines[0] is None
    baseline = found.baselines[1]
    assert baseline is not None
    np.testing.assert_array_equal(baseline.own.level.mean, sketch.baselines[1].own.level.mean)  # type: ignore[union-attr]
    np.testing.assert_array_equal(baseline.grid[1], sketch.baselines[1].grid[1])  # type: ignore[union-attr]
    assert (found.errors, found.regimes, baseline.assets) == ((0.25, 0.5), sketch.regimes, ("x", "y", "z", "*"))
    with pytest.raises(NotFoundError, match="rul@2 has no sketch"):
        book.sketch("rul", 2)
    with pytest.raises(CorruptError, match="no sketch"):
        Sketch.read(b'{"format": "another"}')
