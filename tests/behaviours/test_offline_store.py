"""What every offline store promises, run over each of them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lineshaft.errors import InputError, NotFoundError
from lineshaft.specs import BLOCK_SCHEMA, Feature, Source, Status, View, row_schema
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft.stores.fetch import Budget
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.ports import Found, OfflineStore, Wanted

DAY = 86_400_000_000
SOURCE = Source(name="motor", channels=("x",), units=("g",))
DTYPES = ("float64", "float32", "int64", "int32", "bool", "string", "bytes", "timestamp")
VIEW = View(
    name="motor",
    source=SOURCE,
    entity_keys=(("asset_id", "string"), ("position", "int64")),
    features=tuple(Feature(name=f"f_{dtype}", dtype=dtype) for dtype in DTYPES),
)
NAMES = VIEW.feature_names


def rows(*given: tuple[Any, ...]) -> pa.Table:
    """Return rows (asset, position, event_us, known_us[, number]); features derive from the number, null if None."""
    made = []
    for asset, position, event_us, known_us, *rest in given:
        number = rest[0] if rest else event_us * 7 + known_us
        none = number is None
        text = None if none else f"v{number}"
        made.append(
            (
                asset,
                position,
                event_us,
                known_us,
                None if none else number / 3,
                None if none else np.float32(number / 3),
                None if none else 2**53 + 1 + number,
                None if none else number % 1000,
                None if none else number % 2 == 0,
                text,
                None if text is None else text.encode(),
                None if none else number + 123_457,
            )
        )
    columns = list(zip(*made, strict=True)) or [()] * (4 + len(DTYPES))
    schema = row_schema(VIEW)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def keys(*entities: tuple[str, int]) -> pa.Table:
    """Return a request for entities."""
    return pa.table(
        {
            "asset_id": pa.array([e[0] for e in entities], pa.string()),
            "position": pa.array([e[1] for e in entities], pa.int64()),
        }
    )


def ask(store: OfflineStore, *asks: tuple[Any, ...], version: int | None = None) -> tuple[pa.Table, list[int]]:
    """Ask (asset, position, at[, known]); return the rows found and their statuses."""
    at = np.array([a[2] for a in asks], dtype=np.int64)
    known = np.array([a[3] if len(a) > 3 else a[2] for a in asks], dtype=np.int64)
    wanted = Wanted(view=VIEW, features=NAMES, keys=keys(*[a[:2] for a in asks]))
    return joined(store.as_of(wanted, at, known_us=known, version=version))


def joined(chunks: Any) -> tuple[pa.Table, list[int]]:
    """Return the chunks of an answer as one table and one list of statuses."""
    found: list[Found] = list(chunks)
    return pa.concat_tables([f.rows for f in found]).combine_chunks(), [int(s) for f in found for s in f.status]


def numbers(table: pa.Table) -> list[int | None]:
    """Return the number each row was made from."""
    return [None if v is None else v - 2**53 - 1 for v in table["f_int64"].to_pylist()]


def collected(tables: Any) -> pa.Table:
    """Return the batches of a read as one sorted table."""
    table = pa.concat_tables([row_schema(VIEW).empty_table(), *tables])
    order = [
        ("asset_id", "ascending"),
        ("position", "ascending"),
        ("event_time", "ascending"),
        ("known_at", "ascending"),
    ]
    return table.sort_by(order).combine_chunks()


STORES: dict[str, Callable[[Path], OfflineStore]] = {
    "memory": lambda _: MemoryOfflineStore(),
    "delta": lambda root: DeltaOfflineStore(str(root / "offline")),
    # The code of object stores (s3://, ...), which reach files through delta-rs.
    "delta-url": lambda root: DeltaOfflineStore((root / "offline").as_uri()),
    # So small a budget that every column is spilled and every chunk is short.
    "delta-spilling": lambda root: DeltaOfflineStore(
        str(root / "offline"), budget=Budget(answer_bytes=1, chunk_rows=3)
    ),
}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> OfflineStore:
    """Return an empty store of each kind."""
    return STORES[request.param](tmp_path)


def test_a_batch_counts_once(store: OfflineStore) -> None:
    """Writing a batch again changes neither rows nor version."""
    first = store.write_rows(VIEW, rows(("a", 1, 10, 10)), batch="b1")

    again = store.write_rows(VIEW, rows(("a", 1, 10, 10)), batch="b1")

    assert first == again == store.version(VIEW)
    assert collected(store.read_rows(VIEW)).num_rows == 1


def test_every_ask_is_answered_in_its_place(store: OfflineStore) -> None:
    """Entity rows come back in the order asked, duplicates kept, unknown entities NOT_FOUND."""
    store.write_rows(VIEW, rows(("a", 1, 10, 10, 1), ("a", 1, 20, 20, 2), ("b", 1, 15, 15, 3)), batch="b1")

    found, status = ask(
        store, ("b", 1, 99), ("zz", 1, 99), ("a", 1, 19), ("a", 1, 20), ("a", 1, 19), ("a", 2, 99), ("a", 1, 9)
    )

    assert numbers(found) == [3, None, 1, 2, 1, None, None]
    assert status == [Status.PRESENT, Status.NOT_FOUND, *[Status.PRESENT] * 3, *[Status.NOT_FOUND] * 2]
    assert found["event_time"].cast(pa.int64()).to_pylist() == [15, None, 10, 20, 10, None, None]


def test_corrections_are_seen_once_they_were_known(store: OfflineStore) -> None:
    """Of rows of one event time the newest version known at the time asked for wins."""
    store.write_rows(VIEW, rows(("a", 1, 10, 90, 3), ("a", 1, 10, 30, 2), ("a", 1, 10, 11, 1)), batch="b1")

    found, _ = ask(store, ("a", 1, 10, 10), ("a", 1, 29), ("a", 1, 30), ("a", 1, 89), ("a", 1, 10, 90), ("a", 1, 9, 99))

    assert numbers(found) == [None, 1, 2, 2, 3, None]


def test_a_row_known_late_hides_behind_an_older_one(store: OfflineStore) -> None:
    """Of a long run of rows not yet known, none is seen; the newest known row before them is."""
    late = [("a", 1, 100 + i, 10_000 + i, i) for i in range(40)]
    store.write_rows(VIEW, rows(("a", 1, 50, 51, 777), *late), batch="b1")

    found, _ = ask(store, ("a", 1, 9_999), ("a", 1, 10_020), ("a", 1, 120, 10_039))

    assert numbers(found) == [777, 20, 20]


def test_rows_of_several_batches_and_days_are_one_history(store: OfflineStore) -> None:
    """An answer may lie in any batch, whatever the order they came in."""
    for day in (3, 1, 2, 5):
        store.write_rows(VIEW, rows(("a", 1, day * DAY, day * DAY + 5, day)), batch=f"day{day}")

    found, _ = ask(store, *[("a", 1, day * DAY + hour) for day in (5, 4, 2, 0) for hour in (0, 5)])

    assert numbers(found) == [3, 5, 3, 3, 1, 2, None, None]


def test_times_keep_their_microseconds(store: OfflineStore) -> None:
    """One microsecond before a row it is not there."""
    moment = 1_767_225_600_123_457
    store.write_rows(VIEW, rows(("a", 1, moment, moment, 1)), batch="b1")

    found, status = ask(store, ("a", 1, moment - 1), ("a", 1, moment))

    assert status == [Status.NOT_FOUND, Status.PRESENT]
    assert found["event_time"].cast(pa.int64()).to_pylist() == [None, moment]


def test_times_before_1970_are_times(store: OfflineStore) -> None:
    """A clock that reads 1969 is a clock; its rows are found."""
    store.write_rows(VIEW, rows(("a", 1, -5, -3, 1), ("a", 1, -DAY - 1, -DAY, 2)), batch="b1")

    found, _ = ask(store, ("a", 1, -3), ("a", 1, -4), ("a", 1, -DAY - 1))

    assert numbers(found) == [1, 2, None]
    assert collected(store.read_rows(VIEW, start_us=-6, end_us=0)).num_rows == 1


def test_values_of_every_type_survive(store: OfflineStore) -> None:
    """Every type comes back bit for bit, an int64 above 2^53 next to a null too."""
    given = rows(("a", 1, 10, 10, 12_345), ("a", 1, 20, 20, None), ("b", 1, 10, 10, 999_983))
    store.write_rows(VIEW, given, batch="b1")

    found, status = ask(store, ("a", 1, 10), ("a", 1, 20), ("b", 1, 10))

    assert status == [Status.PRESENT] * 3
    for name in NAMES:
        assert found[name].to_pylist() == given[name].to_pylist(), name
        assert found[name].type == given[name].type
    assert collected(store.read_rows(VIEW)).equals(given.combine_chunks())


def test_undefined_is_stored_as_null(store: OfflineStore) -> None:
    """NaN enters as null: undefined has one spelling outside the kernels."""
    given = rows(("a", 1, 10, 10, 6), ("a", 1, 20, 20, 9))
    column = given.schema.get_field_index("f_float64")
    given = given.set_column(column, given.schema.field(column), pa.array([float("nan"), 1.5]))

    store.write_rows(VIEW, given, batch="b1")

    assert collected(store.read_rows(VIEW))["f_float64"].to_pylist() == [None, 1.5]
    assert ask(store, ("a", 1, 10))[0]["f_float64"].to_pylist() == [None]


def test_an_empty_store_answers(store: OfflineStore) -> None:
    """Before the first write every entity is NOT_FOUND and every read is empty."""
    found, status = ask(store, ("a", 1, 10))

    assert store.version(VIEW) == -1
    assert status == [Status.NOT_FOUND]
    assert found.column_names == ["event_time", "known_at", *NAMES]
    assert not list(store.read_rows(VIEW))
    assert not list(store.latest(VIEW))
    assert not list(store.read_blocks(SOURCE))


def test_an_empty_request_has_an_empty_answer(store: OfflineStore) -> None:
    """Nothing asked is nothing found, with the right columns."""
    store.write_rows(VIEW, rows(("a", 1, 10, 10)), batch="b1")

    found, status = ask(store)

    assert found.num_rows == 0
    assert found.column_names == ["event_time", "known_at", *NAMES]
    assert status == []


def test_only_the_features_asked_for_come_back(store: OfflineStore) -> None:
    """A request for no feature still learns when the row was made."""
    store.write_rows(VIEW, rows(("a", 1, 10, 10, 6)), batch="b1")
    at = np.array([10])

    some, _ = joined(store.as_of(Wanted(view=VIEW, features=("f_int64", "f_float64"), keys=keys(("a", 1))), at))
    none, status = joined(store.as_of(Wanted(view=VIEW, features=(), keys=keys(("a", 1))), at))

    assert some.column_names == ["event_time", "known_at", "f_float64", "f_int64"]
    assert none.column_names == ["event_time", "known_at"]
    assert status == [Status.PRESENT]


def test_a_pinned_version_never_changes(store: OfflineStore) -> None:
    """What a version answered it answers for ever, whatever is appended."""
    pins: list[tuple[int, int | None]] = [(store.version(VIEW), None)]
    pins += [(store.write_rows(VIEW, rows(("a", 1, n, n, n)), batch=f"b{n}"), n) for n in (1, 2, 3)]

    for version, number in pins:
        assert numbers(ask(store, ("a", 1, 99), version=version)[0]) == [number]
    with pytest.raises(NotFoundError, match="no version"):
        ask(store, ("a", 1, 99), version=99)


def test_latest_is_the_newest_row_of_each_entity(store: OfflineStore) -> None:
    """The newest event time wins, then the newest knowledge of it."""
    given = [("a", 1, 10, 50, 1), ("a", 1, 20, 21, 2), ("a", 1, 20, 40, 3), ("a", 2, 5, 5, 4), ("b", 1, 1, 1, None)]
    store.write_rows(VIEW, rows(*given[:3]), batch="b1")
    store.write_rows(VIEW, rows(*given[3:]), batch="b2")

    assert collected(store.latest(VIEW)).equals(rows(*given[2:]).combine_chunks())


def test_rows_are_read_by_time_and_asset(store: OfflineStore) -> None:
    """The start is open, the end is closed, assets are those of the first key."""
    given = [("a", 1, DAY - 1, DAY), ("a", 1, DAY, DAY), ("a", 2, DAY + 1, DAY + 2), ("b", 1, DAY, DAY + 1)]
    store.write_rows(VIEW, rows(*given), batch="b1")

    part = store.read_rows(VIEW, start_us=DAY - 1, end_us=DAY + 1, assets=["a"], features=["f_bool"])

    names = ["asset_id", "position", "event_time", "known_at", "f_bool"]
    assert pa.concat_tables(list(part)).equals(rows(*given[1:3]).select(names))


def block(asset: str, start_us: int) -> dict[str, Any]:
    """Return one raw block."""
    numbers: dict[str, Any] = {"start_us": start_us, "known_us": start_us + 5, "sequence": 0, "rate_hz": 10.0}
    return {"asset_id": asset, "position": "de", **numbers, "dtype": "f4", "payload": bytes([start_us % 256] * 8)}


def test_blocks_come_back_as_they_were(store: OfflineStore) -> None:
    """Blocks are read by their start in [start, end) and by asset, once per batch, payload untouched."""
    given = [block("a", 0), block("a", DAY - 1), block("a", DAY), block("b", DAY)]
    table = pa.Table.from_pylist(given, schema=BLOCK_SCHEMA)
    for _ in range(2):
        store.write_blocks(SOURCE, table, batch="b1")

    every = pa.concat_tables(list(store.read_blocks(SOURCE))).sort_by(
        [("asset_id", "ascending"), ("start_us", "ascending")]
    )
    some = pa.concat_tables(list(store.read_blocks(SOURCE, start_us=DAY - 1, end_us=DAY + 1, assets=["a"])))

    assert every.equals(table)
    assert sorted(some["start_us"].to_pylist()) == [DAY - 1, DAY]


def test_what_cannot_be_stored_is_refused(store: OfflineStore) -> None:
    """A missing column, a lossy cast and a null key are the caller's errors, and nothing is written."""
    good = rows(("a", 1, 10, 10))
    bad = {
        "columns missing": good.drop_columns(["f_bool"]),
        "do not fit": good.set_column(1, "position", pa.array([1.5])),
        "null in asset_id": good.set_column(0, "asset_id", pa.array([None], pa.string())),
    }

    for message, table in bad.items():
        with pytest.raises(InputError, match=message):
            store.write_rows(VIEW, table, batch=message)

    assert not list(store.read_rows(VIEW))


def test_a_request_that_makes_no_sense_is_refused(store: OfflineStore) -> None:
    """A feature the view has not, a key too few and a time too few are the caller's errors."""
    at = np.array([10])

    with pytest.raises(InputError, match="has no nope"):
        list(store.as_of(Wanted(view=VIEW, features=("nope",), keys=keys(("a", 1))), at))
    with pytest.raises(InputError, match="join keys missing: position"):
        list(store.as_of(Wanted(view=VIEW, features=NAMES, keys=pa.table({"asset_id": ["a"]})), at))
    with pytest.raises(InputError, match="one time per entity row"):
        list(store.as_of(Wanted(view=VIEW, features=NAMES, keys=keys(("a", 1), ("b", 1))), at))


entity = st.tuples(st.sampled_from(["a", "b", "ü", "long-name"]), st.integers(0, 2))
moment = st.integers(-3, 12).map(lambda n: n * DAY // 5)
history = st.lists(st.tuples(entity, moment, moment), unique=True, max_size=40)
requests = st.lists(st.tuples(entity, moment, moment), max_size=25)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=history, requests=requests, cuts=st.lists(st.integers(0, 40), max_size=4), compacted=st.booleans())
def test_the_join_is_what_a_loop_over_all_rows_says(
    history: list[Any],
    requests: list[Any],
    cuts: list[int],
    compacted: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Whatever the rows, their batches, order and compaction: the answers are those of the definition."""
    edges = [0, *sorted(min(cut, len(history)) for cut in cuts), len(history)]
    for make in STORES.values():
        store = make(tmp_path_factory.mktemp("store"))
        for batch, (start, end) in enumerate(pairwise(edges)):
            part = [(*e, event, known, start + i) for i, (e, event, known) in enumerate(history[start:end])]
            store.write_rows(VIEW, rows(*part), batch=f"b{batch}")
        if compacted and isinstance(store, DeltaOfflineStore):
            store.compact(VIEW)

        found, status = ask(store, *[(*e, at, known) for e, at, known in requests])

        truth = [
            max(
                ((r[1], r[2], i) for i, r in enumerate(history) if r[0] == e and r[1] <= at and r[2] <= known),
                default=None,
            )
            for e, at, known in requests
        ]
        assert numbers(found) == [None if best is None else best[2] for best in truth]
        assert status == [Status.NOT_FOUND if best is None else Status.PRESENT for best in truth]
