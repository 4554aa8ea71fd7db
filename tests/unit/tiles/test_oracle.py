"""The judge is judged: the oracle against NumPy on raw samples, and comparisons against every way to differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.sources.blocks import blocks_table
from lineshaft.specs import Feature, Source, View, row_schema
from lineshaft.testing import Comparison, compare_rows, differing_values, oracle_rows, sort_rows

MINUTE = 60_000_000
FUNCTIONS: dict[str, Callable[[np.ndarray], float]] = {
    "mean": np.mean,
    "std": np.std,
    "min": np.min,
    "max": np.max,
    "rms": lambda x: float(np.sqrt(np.mean(x**2))),
    "peak": lambda x: float(np.max(np.abs(x))),
    "count": len,
}
VIEW = View(
    name="v",
    source=Source(name="s", channels=("x", "y"), units=("g", "g")),
    entity_keys=(("asset_id", "string"), ("position", "string")),
    features=tuple(
        Feature(name=f"{channel}_{function}_{minutes}m", column=channel, function=function, window_us=minutes * MINUTE)
        for channel in ("x", "y")
        for function in FUNCTIONS
        for minutes in (1, 4)
    ),
    grace_us=2_000_000,
    lateness_us=5 * MINUTE,
)


def recorded(seed: int) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """Return blocks of ten samples that end at known times on 20 of 30 minutes, those times, and the samples."""
    rng = np.random.default_rng(seed)
    ends = np.sort(rng.choice(30 * 60, 40, replace=False)).astype(np.int64) * 1_000_000 + 1
    samples = rng.normal(3.0, 2.0, (40, 2, 10))
    table = blocks_table(
        asset_id="a", position="p", starts_us=ends - 1_000_000, samples=samples, rate_hz=10.0, dtype="f8"
    )
    return table, ends, samples


@pytest.mark.parametrize("seed", range(5))
def test_the_oracle_says_what_numpy_says_of_the_raw_samples(seed: int) -> None:
    """Every feature of every row, from all samples of the blocks that end in (tick - window, tick], to 1e-12."""
    table, ends, samples = recorded(seed)

    rows = oracle_rows(VIEW, table)

    ticks = sorted({-(-int(end) // MINUTE) * MINUTE for end in ends})
    assert rows["event_time"].cast(pa.int64()).to_pylist() == ticks
    assert rows["known_at"].cast(pa.int64()).to_pylist() == [tick + VIEW.grace_us for tick in ticks]
    for row, tick in zip(rows.to_pylist(), ticks, strict=True):
        for channel, name in enumerate(("x", "y")):
            for minutes in (1, 4):
                inside = samples[(ends > tick - minutes * MINUTE) & (ends <= tick), channel].ravel()
                for function, expected in FUNCTIONS.items():
                    np.testing.assert_allclose(row[f"{name}_{function}_{minutes}m"], expected(inside), rtol=1e-12)


def test_the_oracle_refuses_what_is_too_late_and_knows_late_blocks_later() -> None:
    """Blocks beyond the lateness make no row; within it, to the last microsecond, a row known later on the grid."""
    ends = np.array([MINUTE, MINUTE, 2 * MINUTE, 3 * MINUTE], dtype=np.int64)
    samples = np.array([1.0, 3.0, 9.0, 7.0])[:, None, None] * np.ones((4, 2, 1))
    table = blocks_table(
        asset_id="a",
        position="p",
        starts_us=ends - 1_000_000,
        samples=samples,
        rate_hz=1.0,
        dtype="f8",
        sequence=[0, 1, 2, 3],
        known_us=ends + np.array([0, 3 * MINUTE, 5 * MINUTE + 1, 5 * MINUTE]),
    )

    rows = oracle_rows(VIEW, table)

    assert rows["x_mean_1m"].to_pylist() == [1.0, 2.0, 7.0]
    known = [minute * MINUTE + VIEW.grace_us for minute in (1, 4, 8)]
    assert rows["known_at"].cast(pa.int64()).to_pylist() == known


@pytest.mark.parametrize("at_once", [1, 3])
def test_answers_folded_side_by_side_are_answers_folded_alone(at_once: int) -> None:
    """How many answers are folded at once bounds memory and changes no bit, late blocks and baselines included."""
    table, ends, _ = recorded(2)
    late = np.where(np.arange(len(ends)) % 7 == 3, 3 * MINUTE, 0)
    delayed = table.set_column(table.column_names.index("known_us"), "known_us", pa.array(ends + late))
    kinds = ("std", "kurtosis", "rms", "deviation_from_baseline[3]", "slope_per_hour")
    view = replace(VIEW, features=tuple(Feature(name=k, column="x", function=k, window_us=5 * MINUTE) for k in kinds))

    rows = oracle_rows(view, delayed, at_once=at_once)

    assert compare_rows(view, rows, oracle_rows(view, delayed)).equal
    assert len(set(rows["event_time"].to_pylist())) < rows.num_rows


def test_no_blocks_make_no_rows() -> None:
    """An empty history has the view's columns."""
    rows = oracle_rows(VIEW, recorded(0)[0].slice(0, 0))

    assert (rows.num_rows, rows.schema) == (0, row_schema(VIEW))


SMALL = View(
    name="small",
    source=VIEW.source,
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="a"), Feature(name="b")),
)


def small(*rows: tuple[str, int, int, float | None, float | None]) -> pa.Table:
    """Return rows of (asset, event time, known at, a, b)."""
    columns = zip(*rows, strict=True)
    schema = row_schema(SMALL)
    return pa.table([pa.array(list(c), f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


TRUTH = small(("p", 1, 1, 1.0, 2.0), ("p", 2, 2, 0.0, None), ("q", 1, 1, 5.0, 6.0))


def test_equal_rows_in_any_order_and_chunks_are_equal() -> None:
    """Order and chunks do not count; rows and values are counted."""
    shuffled = pa.concat_tables([TRUTH.slice(2), TRUTH.slice(0, 1), TRUTH.slice(1, 1)])

    assert compare_rows(SMALL, shuffled, TRUTH) == Comparison(rows=3, values=6, missing=0, extra=0, differing=0)
    assert sort_rows(SMALL, shuffled).equals(TRUTH.combine_chunks())


@pytest.mark.parametrize(
    ("ours", "missing", "extra", "differing"),
    [
        (TRUTH.slice(1), 1, 0, 0),
        (pa.concat_tables([TRUTH, small(("r", 1, 1, 0.0, 0.0))]), 0, 1, 0),
        (pa.concat_tables([TRUTH, TRUTH.slice(0, 1)]), 0, 1, 0),
        (small(("p", 1, 1, 1.0, 2.0), ("p", 2, 3, 0.0, None), ("q", 1, 1, 5.0, 6.0)), 1, 1, 0),
        (small(("p", 1, 1, 1.0, np.nextafter(2.0, 3.0)), ("p", 2, 2, 0.0, None), ("q", 1, 1, 5.0, 6.0)), 0, 0, 1),
        (small(("p", 1, 1, 1.0, 2.0), ("p", 2, 2, -0.0, None), ("q", 1, 1, 5.0, 6.0)), 0, 0, 1),
        (small(("p", 1, 1, 1.0, 2.0), ("p", 2, 2, 0.0, 0.0), ("q", 1, 1, 5.0, 6.0)), 0, 0, 1),
        (small(("p", 1, 1, 1.0, 2.0), ("p", 2, 2, None, None), ("q", 1, 1, 5.0, 6.0)), 0, 0, 1),
        (TRUTH.slice(0, 0), 3, 0, 0),
    ],
    ids=[
        "lost",
        "invented",
        "twice",
        "other version",
        "one bit",
        "minus zero",
        "zero for null",
        "null for zero",
        "none",
    ],
)
def test_every_way_to_differ_is_counted(ours: pa.Table, missing: int, extra: int, differing: int) -> None:
    """Lost, invented and repeated rows, another version, the last bit, the sign of zero, null against zero."""
    found = compare_rows(SMALL, ours, TRUTH)

    assert (found.missing, found.extra, found.differing) == (missing, extra, differing)
    assert not found.equal


def test_counts_add_up() -> None:
    """The sum of comparisons is equal only if each was."""
    good = compare_rows(SMALL, TRUTH, TRUTH)
    bad = compare_rows(SMALL, TRUTH.slice(1), TRUTH)

    assert (good + good).equal
    assert not (good + bad).equal
    assert (good + bad).rows == 6


def test_text_is_compared_by_value() -> None:
    """Columns that are no float64 differ where their values do."""
    left, right = pa.chunked_array([["A", None, "C", "D"]]), pa.chunked_array([["A", "B"], ["C", "d"]])

    assert differing_values(left, right) == 2
