"""Many drift checks at a glance, on SQLite and Postgres: counted in the database, as a count by hand says."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from lineshaft.registry.drift_maps import Cell, by_asset, drifts_of, over_time, recent_windows, seen_in
from lineshaft.registry.drifts import CheckedWindow, DriftBook, Point, drift_book
from lineshaft.registry.models import ModelRegistry
from lineshaft.testing import small_finding

HOUR_US = 3_600_000_000
WINDOW = CheckedWindow(
    project="dev",
    model="rul",
    number=1,
    start_us=0,
    end_us=HOUR_US,
    checked_us=HOUR_US,
    rows=7,
    assets=2,
    outcome="drift",
    standing=("pump-1",),
)
LATER = replace(WINDOW, end_us=2 * HOUR_US)
FINDING = small_finding()


def point(**changes: object) -> Point:
    """Return a finding that differs from the first."""
    return Point(kind="feature", finding=replace(FINDING, **changes))  # type: ignore[arg-type]


FOUND = [
    point(),
    point(scope="pump-2", effect=2.5, q=1e-3),
    point(scope="*", method="distribution", effect=0.4, q=1e-5),
    point(scope="*", column="v__std", method="distribution", effect=0.01, q=0.9, verdict="none"),
    point(scope="*", column="v__peak", method="distribution", p=math.nan, q=math.nan, verdict="unknown"),
]


@pytest.fixture
def book(registry: ModelRegistry) -> DriftBook:
    """Return a project with two checks of one version, and one of another version and of another project."""
    book = drift_book(registry, "dev")
    book.add(WINDOW, FOUND)
    book.add(LATER, [point(effect=-2.0), point(scope="*", method="distribution", effect=0.1, verdict="none", q=0.5)])
    book.add(replace(WINDOW, number=2, standing=(), outcome="none"), [])
    drift_book(registry, "prod").add(replace(WINDOW, project="prod"), FOUND)
    return book


def test_the_newest_checks_of_every_version_are_told_oldest_first(book: DriftBook) -> None:
    """As many of each as are asked for; what stands after each reads back; other projects see none of it."""
    assert [(one.number, one.end_us) for one in recent_windows(book, count=5)] == [
        (1, HOUR_US),
        (1, 2 * HOUR_US),
        (2, HOUR_US),
    ]
    assert [(one.number, one.end_us) for one in recent_windows(book, count=1)] == [(1, 2 * HOUR_US), (2, HOUR_US)]
    assert recent_windows(book, count=1)[0].standing == ("pump-1",)


def test_a_map_over_time_says_of_whom_how_far_and_what_could_not_be_judged(book: DriftBook) -> None:
    """Two assets by level and all together by distribution, one column calm, one unknown; the later check beside it."""
    cells = over_time(book, [WINDOW, LATER])

    told = {(one.place, one.column, one.method): (one.scopes, one.low, one.high) for one in cells if one.method}
    assert told == {
        (WINDOW.id, "v__rms", "level"): (2, -1.5, 2.5),
        (WINDOW.id, "v__rms", "distribution"): (1, 0.4, 0.4),
        (LATER.id, "v__rms", "level"): (1, -2.0, -2.0),
    }
    known = {(one.place, one.column): one.known for one in cells if not one.method}
    assert known == {
        (WINDOW.id, "v__rms"): True,
        (WINDOW.id, "v__std"): True,
        (WINDOW.id, "v__peak"): False,
        (LATER.id, "v__rms"): True,
    }


def test_a_map_of_one_check_is_of_single_assets(book: DriftBook) -> None:
    """What stands for all of them together is no row of it."""
    assert sorted(by_asset(book, WINDOW), key=lambda one: one.place) == [
        Cell(place="pump-1", kind="feature", column="v__rms", method="level", scopes=1, low=-1.5, high=-1.5),
        Cell(place="pump-2", kind="feature", column="v__rms", method="level", scopes=1, low=2.5, high=2.5),
    ]


def test_what_drifted_is_told_with_how_often_it_was_seen(book: DriftBook) -> None:
    """All together first, then the least probable, as many as are asked for; of how many there are."""
    shown, count = drifts_of(book, WINDOW, limit=2)

    assert ([one.finding.scope for one in shown], count) == (["*", "pump-1"], 3)
    assert seen_in(book, [WINDOW, LATER], shown) == [1, 2]
