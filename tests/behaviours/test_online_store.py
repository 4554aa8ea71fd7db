"""What every online store does: the memory twin, a real Valkey, one that sentinels watch, and a cluster do the same."""

from __future__ import annotations

import itertools
import threading
import zlib
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.errors import InputError
from lineshaft.specs import Feature, Source, Status, View, row_schema
from lineshaft.stores.memory_online import MemoryOnlineStore
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.stores.online_rows import digest_of
from lineshaft.stores.ports import Wanted

Store = MemoryOnlineStore | RedisOnlineStore
SOURCE = Source(name="s", channels=("x",), units=("g",))
PUMPS = View(
    name="pumps",
    source=SOURCE,
    entity_keys=(("asset_id", "string"), ("position", "string")),
    features=(Feature(name="rms"), Feature(name="label", dtype="string")),
)
MOTORS = View(name="motors", source=SOURCE, entity_keys=(("serial", "int64"),), features=(Feature(name="rms"),))
EVERY_TYPE = View(
    name="every_type",
    source=SOURCE,
    entity_keys=(("asset_id", "string"),),
    features=tuple(
        Feature(name=dtype, dtype=dtype)
        for dtype in ("float64", "float32", "int64", "int32", "bool", "string", "bytes", "timestamp")
    ),
)


def pumps(*rows: tuple[str, str, int, int, float | None]) -> pa.Table:
    """Return rows of PUMPS: (asset, position, event, known, rms)."""
    asset, position, event, known, rms = zip(*rows, strict=True)
    columns = [asset, position, event, known, rms, [f"{a} {e}" for a, e in zip(asset, event, strict=True)]]
    return typed(PUMPS, columns)


def typed(view: View, columns: list[Any]) -> pa.Table:
    """Return a table of a view's row schema."""
    schema = row_schema(view)
    return pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def keys_of(*pairs: tuple[str, str]) -> pa.Table:
    """Return keys of PUMPS."""
    asset, position = zip(*pairs, strict=True)
    return pa.table({"asset_id": list(asset), "position": list(position)})


def rms_of(store: Store, *pairs: tuple[str, str]) -> list[float | None]:
    """Return what is stored for entities of PUMPS."""
    found = store.read([Wanted(view=PUMPS, features=("rms",), keys=keys_of(*pairs))])[0]
    values: list[float | None] = found.rows["rms"].to_pylist()
    return values


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_newest_event_stays_in_any_order_of_writing(store: Store, order: tuple[int, ...]) -> None:
    """Whatever order versions arrive in, the one with the latest event time is kept."""
    versions = [("a", "de", 10, 90, 1.0), ("a", "de", 20, 21, 2.0), ("a", "de", 30, 31, 3.0)]

    for i in order:
        store.write(PUMPS, pumps(versions[i]))

    assert rms_of(store, ("a", "de")) == [3.0]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_at_equal_event_times_the_latest_known_stays(store: Store, order: tuple[int, ...]) -> None:
    """A correction of the same tick replaces what was served before, and is never replaced by it."""
    versions = [("a", "de", 10, 11, 1.0), ("a", "de", 10, 12, 2.0), ("a", "de", 10, 13, None)]

    for i in order:
        store.write(PUMPS, pumps(versions[i]))

    assert rms_of(store, ("a", "de")) == [None]


def test_times_before_1970_and_beyond_32_bits_are_ordered(store: Store) -> None:
    """The comparison in the server is exact over all of int64."""
    times = [-(2**63), -(2**53) - 1, -1, 0, 2**32, 2**53, 2**53 + 1, 2**63 - 1]
    for earlier, later in itertools.pairwise(times):
        store.clear(PUMPS)
        first = store.write(PUMPS, pumps(("a", "de", later, 0, 2.0)))
        second = store.write(PUMPS, pumps(("a", "de", earlier, 2**62, 1.0)))

        assert (first.kept, second.kept, second.older) == (1, 0, 1)
        assert rms_of(store, ("a", "de")) == [2.0]


def test_a_replay_changes_nothing(store: Store) -> None:
    """Writing the same rows again keeps every byte and counts them as already there."""
    rows = pumps(("a", "de", 10, 11, 1.0), ("b", "de", 10, 11, 2.0))
    first = store.write(PUMPS, rows)
    before = store.digest(PUMPS)

    again = store.write(PUMPS, rows)

    assert (first.kept, first.older, again.kept, again.older) == (2, 0, 0, 2)
    assert store.digest(PUMPS) == before


def test_writers_who_disagree_at_equal_times_end_alike_in_either_order(store: Store) -> None:
    """Different bytes with the same two times: the same ones stay, whoever wrote last."""
    one, other = pumps(("a", "de", 10, 11, 1.0)), pumps(("a", "de", 10, 11, -1.0))
    ends = []
    for order in ((one, other), (other, one)):
        store.clear(PUMPS)
        for rows in order:
            store.write(PUMPS, rows)
        ends.append(store.digest(PUMPS))

    assert ends[0] == ends[1]


def test_versions_of_one_entity_within_one_batch_leave_the_newest(store: Store) -> None:
    """A batch is judged row by row, not as a whole."""
    written = store.write(PUMPS, pumps(*[("a", "de", t, t, float(t)) for t in (3, 1, 4, 1, 5, 9, 2, 6)]))

    assert rms_of(store, ("a", "de")) == [9.0]
    assert (written.kept, written.older) == (4, 4)


def test_every_type_comes_back_bit_for_bit(store: Store) -> None:
    """Signed zeros, subnormals, infinities, extreme integers, microseconds, text and bytes survive; NaN is null."""
    columns: list[Any] = [
        ["a", "b", "c", "d", "e"],
        [1, 2, 3, 4, 5],
        [1, 2, 3, 4, 5],
        [-0.0, 5e-324, float("inf"), float("nan"), None],
        np.array([-0.0, 1e-45, -np.inf, np.nan, 0.1], np.float32),
        [-(2**63), 2**63 - 1, 2**53 + 1, 0, None],
        [-(2**31), 2**31 - 1, 0, 1, None],
        [True, False, None, True, False],
        ["", "Ölpumpe\0", None, "x" * 5000, "é"],
        [b"", b"\xff\x00", None, b"y" * 300, b"z"],
        [-1, 1_700_000_000_123_456, None, 2**62, 0],
    ]
    rows = typed(EVERY_TYPE, columns)
    columns[3:5] = [pa.array(columns[i], rows.schema.field(i).type, from_pandas=True) for i in (3, 4)]
    expected = typed(EVERY_TYPE, columns)

    store.write(EVERY_TYPE, rows)
    found = store.read([Wanted(view=EVERY_TYPE, features=EVERY_TYPE.feature_names, keys=rows.select(["asset_id"]))])[0]

    assert found.rows.equals(expected.drop_columns(["asset_id"]).cast(found.rows.schema))
    for name in ("float64", "float32"):
        got, want = (np.signbit(t[name].fill_null(1.0).to_numpy()) for t in (found.rows, expected))
        assert got.tolist() == want.tolist()


def test_an_unknown_entity_is_not_found_among_known_ones(store: Store) -> None:
    """Rows come back in the order asked, each entity as often as it was asked for, nulls where nothing is."""
    store.write(PUMPS, pumps(("a", "de", 10, 11, 1.0), ("b", "de", 10, 11, 2.0)))
    asked = keys_of(("b", "de"), ("nobody", "de"), ("a", "de"), ("b", "de"))

    found = store.read([Wanted(view=PUMPS, features=("rms", "label"), keys=asked)])[0]

    assert found.rows["rms"].to_pylist() == [2.0, None, 1.0, 2.0]
    assert found.rows["label"].to_pylist() == ["b 10", None, "a 10", "b 10"]
    assert found.rows["event_time"].null_count == 1
    assert found.status.tolist() == [Status.PRESENT, Status.NOT_FOUND, Status.PRESENT, Status.PRESENT]


def test_features_come_in_the_order_asked(store: Store) -> None:
    """A request for some of the features gets those, in its own order."""
    store.write(PUMPS, pumps(("a", "de", 10, 11, 1.0)))

    found = store.read([Wanted(view=PUMPS, features=("label", "rms"), keys=keys_of(("a", "de")))])[0]

    assert found.rows.column_names == ["event_time", "known_at", "label", "rms"]


def test_no_entities_is_a_question_too(store: Store) -> None:
    """An empty request and an empty write are answered, not refused."""
    none = pumps(("a", "de", 1, 1, 1.0)).slice(0, 0)

    assert store.write(PUMPS, none).kept == 0
    found = store.read([Wanted(view=PUMPS, features=("rms",), keys=none.select(["asset_id", "position"]))])[0]
    assert found.rows.num_rows == 0


def test_an_unknown_feature_is_refused_by_name(store: Store) -> None:
    """A feature that the view does not have is an error of the caller, with the names there are."""
    with pytest.raises(InputError, match="loudness"):
        store.read([Wanted(view=PUMPS, features=("loudness",), keys=keys_of(("a", "de")))])


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "noise", "grown", "foreign"])
def test_bad_bytes_are_corrupt_and_hurt_nobody_else(store: Store, damage: str) -> None:
    """Bytes that fail their length, checksum, format or schema are CORRUPT for that entity alone."""
    store.write(PUMPS, pumps(("a", "de", 10, 11, 1.0), ("b", "de", 10, 11, 2.0)))
    good = bytes(b"\xb1" + bytes(60))
    broken = {
        "flip": b"\xb1" + bytes(70),
        "cut": good[:9],
        "empty": b"",
        "noise": np.random.default_rng(3).bytes(64),
        "grown": good + zlib.crc32(good).to_bytes(4, "little") + b"!",
        "foreign": good + zlib.crc32(good).to_bytes(4, "little"),
    }[damage]
    store.overwrite(PUMPS, keys_of(("a", "de")), broken)

    found = store.read([Wanted(view=PUMPS, features=("rms", "label"), keys=keys_of(("a", "de"), ("b", "de")))])[0]

    assert found.status.tolist() == [Status.CORRUPT, Status.PRESENT]
    assert found.rows["rms"].to_pylist() == [None, 2.0]
    assert found.rows["label"].to_pylist() == [None, "b 10"]
    assert sum(table.num_rows for table in store.scan(PUMPS)) == 1


def test_a_row_of_another_schema_gives_way(store: Store) -> None:
    """What cannot be read any more does not stand in the way of an older row that can."""
    store.overwrite(PUMPS, keys_of(("a", "de")), b"\xb1" + b"\xff" * 80)

    written = store.write(PUMPS, pumps(("a", "de", 10, 11, 1.0)))

    assert written.kept == 1
    assert rms_of(store, ("a", "de")) == [1.0]


def test_keys_are_never_confused(store: Store) -> None:
    """Keys that look alike when joined, empty ones, and ones with separators or wildcards are all different."""
    pairs = [("a", "bc"), ("ab", "c"), ("", "abc"), ("abc", ""), ("a/b", "c"), ("a", "/bc"), ("*", "*"), ("%2F", "x")]
    pairs += [
        ("ü" * 100, "x"),
        ("ü" * 100, ""),
        ("a\0", "b"),
        ("a", "\0b"),
        ("{a}", "b"),
        ("x" * 127, "y"),
        ("x" * 128, "y"),
    ]
    store.write(PUMPS, pumps(*[(asset, place, 1, 1, float(i)) for i, (asset, place) in enumerate(pairs)]))

    assert rms_of(store, *pairs) == [float(i) for i in range(len(pairs))]
    scanned = pa.concat_tables(store.scan(PUMPS))
    assert set(zip(scanned["asset_id"].to_pylist(), scanned["position"].to_pylist(), strict=True)) == set(pairs)


def test_whole_number_keys_come_back_from_a_scan(store: Store) -> None:
    """Integer keys of any sign and size are found and read back."""
    serials = [0, -1, 1, 2**63 - 1, -(2**63), 255, 256]
    store.write(MOTORS, typed(MOTORS, [serials, [1] * 7, [1] * 7, [float(i) for i in range(7)]]))

    found = store.read([Wanted(view=MOTORS, features=("rms",), keys=pa.table({"serial": serials}))])[0]
    scanned = pa.concat_tables(store.scan(MOTORS)).sort_by("rms")

    assert found.rows["rms"].to_pylist() == [float(i) for i in range(7)]
    assert scanned["serial"].to_pylist() == serials
    assert scanned.schema.names == row_schema(MOTORS).names


def test_many_views_are_answered_together_in_order(store: Store) -> None:
    """One read may ask for several views, each with its own entities."""
    store.write(PUMPS, pumps(("a", "de", 10, 11, 1.0)))
    store.write(MOTORS, typed(MOTORS, [[7], [5], [6], [2.0]]))

    motors, pump = store.read(
        [
            Wanted(view=MOTORS, features=("rms",), keys=pa.table({"serial": [7, 8]})),
            Wanted(view=PUMPS, features=("rms",), keys=keys_of(("a", "de"))),
        ]
    )

    assert (motors.rows["rms"].to_pylist(), pump.rows["rms"].to_pylist()) == ([2.0, None], [1.0])


def test_removing_and_clearing_touch_nothing_else(store: Store) -> None:
    """Forgetting an entity or a view counts what was there and leaves other views alone."""
    store.write(PUMPS, pumps(*[(f"p{i}", "de", 1, 1, 1.0) for i in range(5)]))
    store.write(MOTORS, typed(MOTORS, [[7], [5], [6], [2.0]]))

    removed = store.remove(PUMPS, keys_of(("p0", "de"), ("nobody", "de")))
    cleared = store.clear(PUMPS)

    assert (removed, cleared, store.clear(PUMPS)) == (1, 4, 0)
    assert store.clear(MOTORS) == 1


def test_two_versions_of_a_view_live_side_by_side(store: Store) -> None:
    """A new version of a view does not overwrite what a live model still reads."""
    newer = View(**{**_fields(MOTORS), "tile_us": 120_000_000})
    store.write(MOTORS, typed(MOTORS, [[7], [5], [6], [1.0]]))
    store.write(newer, typed(newer, [[7], [5], [6], [2.0]]))

    keys = pa.table({"serial": [7]})
    old, new = store.read([Wanted(view=view, features=("rms",), keys=keys) for view in (MOTORS, newer)])
    store.clear(newer)

    assert (old.rows["rms"].to_pylist(), new.rows["rms"].to_pylist()) == ([1.0], [2.0])


def test_the_digest_depends_on_content_alone(store: Store) -> None:
    """Order, batches and kind of store do not change it; one bit does."""
    rows = pumps(*[(f"p{i}", "de", i, i, float(i)) for i in range(2500)])
    twin = MemoryOnlineStore()
    twin.write(PUMPS, rows.take(list(range(2499, -1, -1))))
    for at in range(0, 2500, 700):
        store.write(PUMPS, rows.slice(at, 700))

    same = store.digest(PUMPS)
    store.write(PUMPS, pumps(("p0", "de", 0, 1, 0.0)))

    assert same == twin.digest(PUMPS)
    assert store.digest(PUMPS) != same
    assert digest_of([]) == MemoryOnlineStore().digest(PUMPS)


def test_racing_writers_leave_the_newest(store: Store) -> None:
    """Eight writers with the same entities in different orders: the newest row of each stays."""
    newest = 60

    def writer(seed: int) -> None:
        order = np.random.default_rng(seed).permutation(newest + 1).tolist()
        for event in order:
            store.write(PUMPS, pumps(*[(f"p{i}", "de", event, event, float(event)) for i in range(5)]))

    threads = [threading.Thread(target=writer, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert rms_of(store, *[(f"p{i}", "de") for i in range(5)]) == [float(newest)] * 5


def test_rows_of_the_wrong_shape_are_refused(store: Store) -> None:
    """A missing column, another type, a null key or a null time says what to mend."""
    rows = pumps(("a", "de", 10, 11, 1.0))
    bad = {
        "lack rms": rows.drop_columns(["rms"]),
        "not double": rows.set_column(4, "rms", pa.array([1])),
        "is null": rows.set_column(0, "asset_id", pa.array([None], pa.string())),
        "no time": rows.set_column(2, "event_time", pa.array([None], pa.timestamp("us", tz="UTC"))),
    }
    for words, table in bad.items():
        with pytest.raises(InputError, match=words):
            store.write(PUMPS, table)


def _fields(view: View) -> dict[str, Any]:
    return {name: getattr(view, name) for name in View.__slots__}
