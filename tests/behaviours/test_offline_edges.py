"""Edges that every offline store keeps alike: empty batches, odd columns, exact bounds, and requests in any type."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.errors import InputError, NotFoundError
from lineshaft.sources.blocks import blocks_table
from lineshaft.specs import BLOCK_SCHEMA, Feature, Source, Status, View, row_schema
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.ports import OfflineStore, Wanted

DAY_US = 86_400_000_000
SOURCE = Source(name="motor", channels=("x",), units=("g",))
VIEW = View(
    name="motor",
    source=SOURCE,
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms"), Feature(name="state", dtype="string")),
)
STORES: dict[str, Callable[[Path], OfflineStore]] = {
    "memory": lambda _: MemoryOfflineStore(),
    "delta": lambda root: DeltaOfflineStore(str(root / "offline")),
}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> OfflineStore:
    """Return an empty store of each kind."""
    return STORES[request.param](tmp_path)


def rows(*given: tuple[str, int, float | None]) -> pa.Table:
    """Return rows of (asset, event time in microseconds, rms), known at once."""
    columns = ([g[0] for g in given], [g[1] for g in given], [g[1] for g in given], [g[2] for g in given])
    states = ["on"] * len(given)
    arrays = [pa.array(c, f.type) for c, f in zip((*columns, states), row_schema(VIEW), strict=True)]
    return pa.table(arrays, schema=row_schema(VIEW))


def times(store: OfflineStore, **bounds: Any) -> list[int]:
    """Return the event times of a read, in order."""
    return sorted(
        t for part in store.read_rows(VIEW, **bounds) for t in part["event_time"].cast(pa.int64()).to_pylist()
    )


def ask(store: OfflineStore, keys: pa.Table, at_us: list[int], **named: Any) -> tuple[list[float | None], list[int]]:
    """Return values and statuses of entities at times."""
    wanted = Wanted(view=VIEW, features=("rms",), keys=keys)
    found = list(store.as_of(wanted, np.array(at_us, dtype=np.int64), **named))
    return [v for f in found for v in f.rows["rms"].to_pylist()], [int(s) for f in found for s in f.status]


def test_a_batch_of_nothing_is_no_batch(store: OfflineStore) -> None:
    """An empty write makes no table and no version, and its name is free for the rows that come later."""
    assert store.write_rows(VIEW, rows(("a", 1, 1.0)).slice(0, 0), batch="one") == store.version(VIEW) == -1
    store.write_rows(VIEW, rows(("a", 1, 1.0)), batch="one")
    before = store.version(VIEW)

    store.write_rows(VIEW, rows(("a", 2, 2.0)).slice(0, 0), batch="two")
    unchanged = store.version(VIEW)
    store.write_rows(VIEW, rows(("a", 2, 2.0)), batch="two")

    assert unchanged == before < store.version(VIEW)
    assert times(store) == [1, 2]


def test_a_batch_name_belongs_to_one_table(store: OfflineStore) -> None:
    """Views, their versions and sources may use the same names."""
    newer = View(name="motor", source=SOURCE, entity_keys=VIEW.entity_keys, features=VIEW.features, grace_us=5)

    store.write_rows(VIEW, rows(("a", 1, 1.0)), batch="one")
    store.write_rows(newer, rows(("a", 9, 9.0)), batch="one")

    assert times(store) == [1]
    assert [t.num_rows for t in store.read_rows(newer)] == [1]


def test_columns_are_found_by_name(store: OfflineStore) -> None:
    """Their order does not count, and what the view does not have is left out."""
    given = rows(("a", 1, 1.5)).append_column("more", pa.array([7]))

    store.write_rows(VIEW, given.select(given.column_names[::-1]), batch="one")

    (found,) = store.read_rows(VIEW)
    assert found.column_names == row_schema(VIEW).names
    assert found["rms"].to_pylist() == [1.5]


def test_infinities_are_values_and_zero_keeps_its_sign(store: OfflineStore) -> None:
    """Only NaN means undefined."""
    store.write_rows(VIEW, rows(("a", 1, np.inf), ("b", 1, -np.inf), ("c", 1, -0.0), ("d", 1, np.nan)), batch="one")

    values, status = ask(store, pa.table({"asset_id": ["a", "b", "c", "d"]}), [1] * 4)

    assert values[:2] == [np.inf, -np.inf]
    assert str(values[2]) == "-0.0"
    assert (values[3], status) == (None, [Status.PRESENT] * 4)


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"start_us": DAY_US}, [2 * DAY_US]),
        ({"start_us": DAY_US - 1}, [DAY_US, 2 * DAY_US]),
        ({"end_us": DAY_US}, [0, DAY_US]),
        ({"end_us": DAY_US - 1}, [0]),
        ({"start_us": 0, "end_us": 2 * DAY_US}, [DAY_US, 2 * DAY_US]),
        ({"start_us": DAY_US, "end_us": DAY_US}, []),
        ({"assets": ["b"]}, [DAY_US]),
        ({"assets": ["b", "nobody"], "end_us": 0}, []),
        ({"assets": ["a", "b"]}, [0, DAY_US, 2 * DAY_US]),
    ],
)
def test_a_range_is_open_where_it_starts_and_closed_where_it_ends(
    store: OfflineStore, bounds: dict[str, Any], expected: list[int]
) -> None:
    """To the microsecond, over the borders of days."""
    store.write_rows(VIEW, rows(("a", 0, 0.0), ("b", DAY_US, 1.0), ("a", 2 * DAY_US, 2.0)), batch="one")

    assert times(store, **bounds) == expected


@pytest.mark.parametrize(
    "keys",
    [
        pa.table({"asset_id": pa.array(["b", "a"], pa.large_string())}),
        pa.table({"asset_id": pa.array(["b", "a"]).dictionary_encode()}),
        pa.table({"extra": [1, 2], "asset_id": ["b", "a"]}),
        pa.concat_tables([pa.table({"asset_id": ["b"]}), pa.table({"asset_id": ["a"]})]),
    ],
    ids=["large text", "categories", "more columns", "chunks"],
)
def test_keys_are_asked_in_any_form(store: OfflineStore, keys: pa.Table) -> None:
    """The same entities are found however the request holds them."""
    store.write_rows(VIEW, rows(("a", 1, 1.0), ("b", 1, 2.0)), batch="one")

    assert ask(store, keys, [1, 1]) == ([2.0, 1.0], [Status.PRESENT] * 2)


def test_what_was_known_is_asked_apart_from_when(store: OfflineStore) -> None:
    """A row of the past that was not known yet is not seen; known later it is, at the same moment."""
    late = rows(("a", 5, 1.0))
    late = late.set_column(2, "known_at", pa.array([9], late.schema.field("known_at").type))
    store.write_rows(VIEW, late.cast(row_schema(VIEW)), batch="one")
    keys = pa.table({"asset_id": ["a"] * 4})

    found = ask(store, keys, [5, 5, 4, 9], known_us=np.array([8, 9, 99, 9]))

    assert found == ([None, 1.0, None, 1.0], [3, 1, 3, 1])


def test_versions_that_never_were_are_refused(store: OfflineStore) -> None:
    """The error says which is the newest; version -1 is the time before the first write."""
    store.write_rows(VIEW, rows(("a", 1, 1.0)), batch="one")
    newest = store.version(VIEW)

    with pytest.raises(NotFoundError, match=f"there is no version {newest + 1}") as refused:
        times(store, version=newest + 1)
    assert f"the newest is {newest}" in refused.value.fix
    with pytest.raises(NotFoundError, match="there is no version -2"):
        times(store, version=-2)
    assert times(store, version=-1) == []
    assert list(store.latest(VIEW, version=-1)) == []


REFUSED: dict[str, tuple[Callable[[pa.Table], pa.Table], str]] = {
    "a column short": (lambda t: t.drop_columns(["rms", "state"]), "columns missing: rms, state"),
    "words for numbers": (lambda t: t.set_column(3, "rms", pa.array(["x"])), "rows do not fit the schema"),
    "a list": (lambda t: t.set_column(3, "rms", pa.array([[1.0]])), "rows do not fit the schema"),
    "no key": (lambda t: t.set_column(0, "asset_id", pa.nulls(1, pa.string())), "null in asset_id"),
    "no time": (lambda t: t.set_column(1, "event_time", pa.nulls(1, t.schema.field(1).type)), "null in event_time"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_rows_that_do_not_fit_are_refused_whole(store: OfflineStore, what: str) -> None:
    """The error names the table and the columns; the store is as it was."""
    change, text = REFUSED[what]

    with pytest.raises(InputError, match=text) as refused:
        store.write_rows(VIEW, change(rows(("a", 1, 1.0))), batch="one")

    assert "motor" in refused.value.where
    assert refused.value.fix
    assert times(store) == []


def test_blocks_without_a_known_time_are_refused(store: OfflineStore) -> None:
    """A block says when the platform received it, or it cannot be placed among what was known."""
    with pytest.raises(InputError, match="columns missing: known_us"):
        store.write_blocks(SOURCE, BLOCK_SCHEMA.empty_table().drop_columns(["known_us"]), batch="one")


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"start_us": 10}, [10, 11]),
        ({"start_us": 11}, [11]),
        ({"end_us": 10}, [9]),
        ({"end_us": 11}, [9, 10]),
        ({"start_us": 9, "end_us": 11}, [9, 10]),
        ({"start_us": 10, "end_us": 10}, []),
        ({"start_us": 12}, []),
    ],
)
def test_blocks_are_read_from_a_moment_until_before_another(
    store: OfflineStore, bounds: dict[str, Any], expected: list[int]
) -> None:
    """By their start, which is in the range if the range starts there, and not if it ends there."""
    blocks = blocks_table(asset_id="m", starts_us=[9, 10, 11], samples=np.ones((3, 1, 1)), rate_hz=1.0)
    store.write_blocks(SOURCE, blocks, batch="one")

    found = [start for part in store.read_blocks(SOURCE, **bounds) for start in part["start_us"].to_pylist()]

    assert sorted(found) == expected
