"""The proof can fail: each kind of fault, planted alone, is counted by the check that looks at it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lineshaft.clock import ManualClock
from lineshaft.ops.proof import entities_of, prove_rebuild, prove_stored
from lineshaft.ops.rebuild import rebuild
from lineshaft.ops.truth import truth
from lineshaft.ops.verify import (
    Check,
    check_offline,
    check_online,
    check_served,
    check_training,
    known_then,
    newest,
    stored_blocks,
    total,
)
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.serving.features import FeatureHandler, Plans
from lineshaft.sources.blocks import blocks_table
from lineshaft.specs import Feature, Service, ServiceView, Source, View
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.memory_online import MemoryOnlineStore
from lineshaft.tiles.engine import Engine

MINUTE = 60_000_000
VIEW = View(
    name="pumps",
    source=Source(name="pump_blocks", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=tuple(
        Feature(name=f"x_{function}_2m", column="x", function=function, window_us=2 * MINUTE)
        for function in ("mean", "kurtosis")
    ),
    grace_us=1_000_000,
    ttl_us=3 * MINUTE,
)
SERVICE = Service(
    name="health", views=(ServiceView(view=VIEW.name, version=VIEW.version, features=VIEW.feature_names),)
)
CATALOG = FixedCatalog(all_views=(VIEW,), all_services=(SERVICE,))
MEAN = VIEW.feature_names[0]


def blocks() -> pa.Table:
    """Return six minutes of two pumps, the third block of the first one 90 s late."""
    starts = np.array([minute * MINUTE + MINUTE // 2 for minute in range(6)] * 2)
    known = starts + 1_000_000
    known[2] += 90_000_000
    samples = np.random.default_rng(3).normal(size=(12, 1, 8))
    return blocks_table(
        asset_id=["a"] * 6 + ["b"] * 6, starts_us=starts, samples=samples, rate_hz=8.0, dtype="f8", known_us=known
    )


def computed(table: pa.Table) -> pa.Table:
    """Return every row version of these blocks."""
    engine = Engine(VIEW)
    engine.add(table)
    return engine.advance(2**61)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """Both stores, the oracle's rows, and the checks over them."""

    offline: MemoryOfflineStore
    online: MemoryOnlineStore
    oracle: pa.Table

    @staticmethod
    def holding(rows: pa.Table, *, served: pa.Table | None = None) -> Stores:
        """Return stores with the true blocks, these rows offline, and these (or the same) online."""
        offline, online = MemoryOfflineStore(), MemoryOnlineStore()
        offline.write_blocks(VIEW.source, blocks(), batch="blocks")
        offline.write_rows(VIEW, rows, batch="rows")
        online.write(VIEW, rows if served is None else served)
        return Stores(offline=offline, online=online, oracle=truth(VIEW, offline))

    def faults(self) -> dict[str, tuple[int, int, int]]:
        """Return (missing, extra, differing) by check, of those that found something."""
        checks = prove_stored([VIEW], {VIEW.name: self.oracle}, offline=self.offline, online=self.online, path="engine")
        return {c.path: (c.result.missing, c.result.extra, c.result.differing) for c in checks if not c.result.equal}


def turned(rows: pa.Table, place: int) -> pa.Table:
    """Return rows in which the last bit of one mean is turned."""
    bits = np.array(rows[MEAN].to_numpy()).view(np.int64)
    bits[place] ^= 1
    return rows.set_column(rows.column_names.index(MEAN), rows.schema.field(MEAN), pa.array(bits.view(np.float64)))


def is_newest(rows: pa.Table) -> pa.Array:
    """Tell the rows at each entity's last tick."""
    return pc.equal(rows["event_time"], pc.max(rows["event_time"]))


def test_true_stores_pass() -> None:
    """Rows of the engine in both stores: nothing missing, extra or different, and all of it was compared."""
    rows = computed(blocks())
    stores = Stores.holding(rows)

    assert stores.faults() == {}
    offline = check_offline(VIEW, stores.offline, stores.oracle, path="p").result
    online = check_online(VIEW, stores.online, stores.oracle, path="p").result
    training = check_training(VIEW, stores.offline, stores.oracle).result
    assert (offline.rows, offline.values) == (rows.num_rows, rows.num_rows * 2)
    assert (online.rows, online.values) == (2, 4)
    assert training.rows == rows.num_rows - 1  # two versions became known at one moment, and are one question
    assert training.values == training.rows * 2


Fault = tuple[Callable[[pa.Table], Stores], dict[str, tuple[int, int, int]]]
FAULTS: dict[str, Fault] = {
    "a bit of an old row, stored": (
        lambda rows: Stores.holding(turned(rows, 0), served=rows),
        {"engine, offline": (0, 0, 1), "training": (0, 0, 1)},
    ),
    "a bit of a newest row, served": (
        lambda rows: Stores.holding(rows, served=turned(rows, rows.num_rows - 1)),
        {"engine, online": (0, 0, 1)},
    ),
    "a stored row lost": (
        lambda rows: Stores.holding(rows.slice(1), served=rows),
        {"engine, offline": (1, 0, 0), "training": (1, 0, 4)},  # two values, two statuses
    ),
    "the newest rows not served": (
        lambda rows: Stores.holding(rows, served=rows.filter(pc.invert(is_newest(rows)))),
        {"engine, online": (2, 2, 0)},
    ),
    "nothing served": (
        lambda rows: Stores.holding(rows, served=rows.slice(0, 0)),
        {"engine, online": (2, 0, 0)},
    ),
    "a row twice": (
        lambda rows: Stores.holding(pa.concat_tables([rows, rows.slice(0, 1)]), served=rows),
        {"engine, offline": (0, 1, 0)},
    ),
    "a null for a value": (
        lambda rows: Stores.holding(
            rows.set_column(
                rows.column_names.index(MEAN), rows.schema.field(MEAN), pa.array([None, *rows[MEAN].to_pylist()[1:]])
            ),
            served=rows,
        ),
        {"engine, offline": (0, 0, 1), "training": (0, 0, 2)},  # its status differs too
    ),
}


@pytest.mark.parametrize("what", FAULTS)
def test_each_fault_is_counted_where_it_lies(what: str) -> None:
    """One planted fault is found by the checks of its store, and by no other."""
    plant, expected = FAULTS[what]

    assert plant(computed(blocks())).faults() == expected


def test_rows_of_other_blocks_are_found() -> None:
    """Rows computed without the late block lack its corrections, and say so."""
    stores = Stores.holding(computed(blocks().filter(pa.array([i != 2 for i in range(12)]))))

    offline = check_offline(VIEW, stores.offline, stores.oracle, path="p").result
    assert offline.missing > 0
    assert not offline.equal


def served(stores: Stores, at_us: int) -> Check:
    """Return the check of served answers against the training set at a moment."""
    entities = pa.table({"asset_id": ["a", "nobody", "b"]})
    handler = FeatureHandler(plans=Plans(catalog=CATALOG), online=stores.online, clock=ManualClock(time_us=at_us))
    moments = pa.array([at_us] * 3).cast(pa.timestamp("us", tz="UTC"))
    asked = entities.append_column("event_time", moments)
    return check_served(
        CATALOG, stores.offline, "health", entities=asked, served=handler.get("health", entities).answer
    )


def test_served_answers_are_held_to_the_training_set() -> None:
    """Equal while fresh, equal when stale; one bit in the online store is one difference."""
    rows = computed(blocks())
    fresh, stale = 7 * MINUTE, 20 * MINUTE

    for at_us in (fresh, stale):
        check = served(Stores.holding(rows), at_us)
        assert check.result.equal
        assert (check.result.rows, check.result.values) == (3, 6)
    wrong = Stores.holding(rows, served=turned(rows, rows.num_rows - 1))
    assert served(wrong, fresh).result.differing == 1
    assert served(wrong, stale).result.differing == 0  # withheld both ways


def test_other_bytes_than_a_store_filled_from_nothing_are_told_and_left_alone() -> None:
    """A true online store has the bytes of one filled from nothing; a false one is different, until it is rebuilt."""
    rows = computed(blocks())
    good, bad = Stores.holding(rows), Stores.holding(rows, served=turned(rows, rows.num_rows - 1))
    scratch = MemoryOnlineStore()
    scratch.write(
        VIEW, rows.slice(0, 1).set_column(0, rows.schema.field(0), pa.array(["ghost"]))
    )  # left by a proof that was cut off

    for stores, differing in ((good, 0), (bad, 2), (bad, 2)):
        before = stores.online.digest(VIEW)
        (check,) = prove_rebuild([VIEW], offline=stores.offline, online=stores.online, scratch=scratch)
        assert (check.path, check.result.rows, check.result.differing) == ("online rebuilt", 2, differing)
        assert stores.online.digest(VIEW) == before
        assert not list(scratch.scan(VIEW))
    rebuild([VIEW], bad.offline, bad.online)
    assert bad.faults() == {}


def test_rows_online_of_a_view_that_has_none_offline_are_a_difference() -> None:
    """Nothing is written from offline, and still the bytes differ."""
    online = MemoryOnlineStore()
    online.write(VIEW, computed(blocks()))

    checks = prove_rebuild([VIEW], offline=MemoryOfflineStore(), online=online, scratch=MemoryOnlineStore())

    assert [check.result.differing for check in checks] == [1]


def test_rebuild_leaves_other_views_alone_and_forgets_who_is_not_stored() -> None:
    """A view becomes what offline knows of it: entities that it does not know go."""
    rows = computed(blocks())
    other = replace(VIEW, name="others")
    stores = Stores.holding(rows)
    ghost = rows.slice(0, 1).set_column(0, rows.schema.field(0), pa.array(["ghost"]))
    stores.online.write(VIEW, ghost)
    stores.online.write(other, rows)
    before = stores.online.digest(other)

    (done,) = rebuild([VIEW], stores.offline, stores.online)

    assert (done.view, done.rows.rows, done.rows.removed) == ("pumps", 2, 1)
    assert {row["asset_id"] for table in stores.online.scan(VIEW) for row in table.to_pylist()} == {"a", "b"}
    assert stores.online.digest(other) == before


def test_what_was_known_then_is_asked_once_a_moment() -> None:
    """At each moment the row asked about is the newest by event time, then by known time, never a later one."""
    rows = computed(blocks())
    asked, expected = known_then(VIEW, rows)

    known = asked["known_at"].cast(pa.int64()).to_numpy()
    for i in range(asked.num_rows):
        mine = rows.filter(pc.equal(rows["asset_id"], asked["asset_id"][i]))
        then = mine.filter(pc.less_equal(mine["known_at"].cast(pa.int64()), int(known[i])))
        best = newest(VIEW, then)
        assert best.to_pylist() == expected.slice(i, 1).to_pylist()
    pairs = list(zip(asked["asset_id"].to_pylist(), known.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)


def test_assets_without_such_a_sensor_have_no_blocks_and_no_rows() -> None:
    """A proof of chosen assets meets sources that none of them has: nothing is there, and nothing fails."""
    offline = MemoryOfflineStore()
    offline.write_blocks(VIEW.source, blocks(), batch="all")

    assert stored_blocks(VIEW, offline, assets=["no such pump"]).num_rows == 0
    assert truth(VIEW, offline, assets=["no such pump"]).num_rows == 0
    assert truth(VIEW, offline, assets=["a", "no such pump"]).num_rows > 0


def test_counts_add_up() -> None:
    """The total of checks is the sum of their counts; of none it is nothing, and equal."""
    stores = Stores.holding(turned(computed(blocks()), 0))
    checks = [check_offline(VIEW, stores.offline, stores.oracle, path="p")] * 2

    assert total(checks).differing == 2
    assert total(checks).rows == 2 * stores.oracle.num_rows
    assert total([]).equal


def test_entities_come_in_the_order_met() -> None:
    """Each entity once."""
    rows = computed(blocks())

    assert entities_of(VIEW, rows.take([7, 0, 8, 1]))["asset_id"].to_pylist() == ["b", "a"]
