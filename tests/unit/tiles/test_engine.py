"""The in-process engine: many entities, each with its own history, refused blocks told by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.sources.blocks import blocks_table
from lineshaft.specs import BLOCK_SCHEMA, Feature, Source, View, row_schema
from lineshaft.testing import compare_rows, oracle_rows, sort_rows
from lineshaft.tiles.engine import Engine

MINUTE = 60_000_000
FOREVER = 2**61
BY_POSITION = View(
    name="by_position",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"), ("position", "string")),
    features=tuple(
        Feature(name=f"{function}_1m", column="x", function=function, window_us=MINUTE)
        for function in ("mean", "count")
    ),
    grace_us=1_000_000,
    lateness_us=2 * MINUTE,
)
BY_ASSET = replace(BY_POSITION, name="by_asset", entity_keys=(("asset_id", "string"),))


def blocks(*rows: tuple[str, str, int, float], delay_us: int = 0) -> pa.Table:
    """Return blocks of (asset, position, second of the end, value)."""
    assets, positions, ends, values = (list(column) for column in zip(*rows, strict=True))
    end_us = np.array(ends, dtype=np.int64) * 1_000_000
    return blocks_table(
        asset_id=assets,
        position=positions,
        starts_us=end_us - 1_000_000,
        samples=np.array(values)[:, None, None] * np.ones((1, 1, 4)),
        rate_hz=4.0,
        dtype="f8",
        known_us=end_us + delay_us,
    )


def computed(view: View, table: pa.Table) -> list[dict[str, object]]:
    """Return the rows of a view, in order."""
    engine = Engine(view)
    assert engine.add(table).num_rows == 0
    rows: list[dict[str, object]] = sort_rows(view, engine.advance(FOREVER)).to_pylist()
    return rows


FOUR = (("a", "de", 10, 1.0), ("a", "nde", 10, 3.0), ("b", "de", 10, 5.0), ("a", "de", 20, 2.0))


def test_entities_are_kept_apart_by_the_views_keys() -> None:
    """Keyed by position each has its own row; keyed by asset its positions are one, none taken for the other."""
    apart = [(r["asset_id"], r["position"], r["mean_1m"]) for r in computed(BY_POSITION, blocks(*FOUR))]
    joined = [(r["asset_id"], r["mean_1m"], r["count_1m"]) for r in computed(BY_ASSET, blocks(*FOUR))]

    assert apart == [("a", "de", 1.5), ("a", "nde", 3.0), ("b", "de", 5.0)]
    assert joined == [("a", 2.0, 12.0), ("b", 5.0, 4.0)]


@pytest.mark.parametrize("view", [BY_POSITION, BY_ASSET], ids=lambda view: str(view.name))
def test_any_order_gives_the_oracles_rows(view: View) -> None:
    """Blocks of all positions in any order fold in one order."""
    rng = np.random.default_rng(2)
    places = [
        (str(a), str(p)) for a, p in zip(rng.choice(["a", "b"], 60), rng.choice(["de", "nde", "top"], 60), strict=True)
    ]
    table = blocks(*((*place, int(rng.integers(1, 400)), float(rng.normal())) for place in places))
    truth = oracle_rows(view, table)

    for seed in range(3):
        shuffled = table.take(np.random.default_rng(seed).permutation(60))
        engine = Engine(view)
        for start in range(0, 60, 7):
            engine.add(shuffled.slice(start, 7))
        assert compare_rows(view, engine.advance(FOREVER), truth).equal


def test_refused_blocks_are_told_by_name_and_reason() -> None:
    """Too late: asset, position, start and receipt come back; the rest of the batch goes on."""
    engine = Engine(BY_POSITION)
    late = blocks(("a", "nde", 10, 9.0), delay_us=2 * MINUTE + 1)

    refused = engine.add(pa.concat_tables([blocks(*FOUR), late]))

    assert refused.to_pylist() == [
        {
            "asset_id": "a",
            "position": "nde",
            "start_us": 9_000_000,
            "known_us": 10_000_000 + 2 * MINUTE + 1,
            "reason": "too_late",
        }
    ]
    assert engine.advance(FOREVER).num_rows == 3


def test_rows_are_given_once() -> None:
    """What was returned is not returned again, and what is not due yet waits."""
    engine = Engine(BY_POSITION)
    engine.add(blocks(("a", "de", 10, 1.0), ("a", "de", 70, 2.0)))

    first, second = engine.advance(MINUTE + 1_000_000), engine.advance(FOREVER)

    assert first["mean_1m"].to_pylist() == [1.0]
    assert second["mean_1m"].to_pylist() == [2.0]
    assert engine.advance(FOREVER).num_rows == 0


def test_an_engine_without_blocks_has_the_views_columns() -> None:
    """Nothing in, an empty table of the right schema out."""
    engine = Engine(BY_ASSET)

    assert engine.add(blocks(*FOUR).slice(0, 0)).num_rows == 0
    assert engine.advance(FOREVER).schema == row_schema(BY_ASSET)


@pytest.mark.parametrize(("column", "value", "means"), [("shaft_hz", 25.0, [1.0]), ("payload", bytes(32), [1.0, 0.0])])
def test_a_block_sent_again_corrects_a_row_only_where_its_tile_differs(
    column: str, value: object, means: list[float]
) -> None:
    """What no feature of the view reads may change without a new version; a sample may not. The oracle agrees."""
    first = blocks(("a", "de", 10, 1.0)).to_pylist()[0]
    again = first | {"known_us": 70_000_000, column: value}
    sent = pa.Table.from_pylist([first, again], schema=BLOCK_SCHEMA)

    rows = pa.Table.from_pylist(computed(BY_POSITION, sent), schema=row_schema(BY_POSITION))

    assert rows["mean_1m"].to_pylist() == means
    assert compare_rows(BY_POSITION, rows, oracle_rows(BY_POSITION, sent)).equal
