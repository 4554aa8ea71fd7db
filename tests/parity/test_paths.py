"""What a model is trained on at a moment is what it would have been served at that moment, corrections and all."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lineshaft.clock import ManualClock
from lineshaft.ops.retract import retract
from lineshaft.ops.training_set import Chunk, training_set
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.serving.features import FeatureHandler, Plans
from lineshaft.sources.blocks import blocks_table
from lineshaft.specs import Feature, OnDemandFeature, OnDemandView, Service, ServiceView, Source, Status, View
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft.stores.embedded import embedded_server
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.tiles.answer import Answer
from lineshaft.tiles.comparison import differing_values
from lineshaft.tiles.engine import Engine

SECOND = 1_000_000
MINUTE = 60 * SECOND
FOREVER = 2**61


def feature(name: str, column: str, function: str, minutes: int) -> Feature:
    """Return a feature over some minutes."""
    return Feature(name=name, column=column, function=function, window_us=minutes * MINUTE)


PUMP = View(
    name="pump",
    source=Source(name="pump_blocks", channels=("x", "v"), units=("g", "mm/s")),
    entity_keys=(("asset_id", "string"), ("position", "string")),
    features=(
        feature("x_mean_1m", "x", "mean", 1),
        feature("x_std_3m", "x", "std", 3),
        feature("x_kurtosis_1m", "x", "kurtosis", 1),
        feature("v_rms_1m", "v", "rms", 1),
    ),
    grace_us=10 * SECOND,
    lateness_us=20 * MINUTE,
    ttl_us=5 * MINUTE,
)
ROOM = View(
    name="room",
    source=Source(name="room_blocks", channels=("t",), units=("degC",)),
    entity_keys=(("asset_id", "string"),),
    features=(feature("t_mean_3m", "t", "mean", 3),),
    grace_us=5 * SECOND,
    lateness_us=20 * MINUTE,
    ttl_us=2 * MINUTE,
)
DERIVED = OnDemandView(
    name="derived",
    features=(
        OnDemandFeature(name="spread", function="ratio", inputs=("pump__x_std_3m", "pump__x_mean_1m")),
        OnDemandFeature(name="above_room", function="difference", inputs=("pump__x_mean_1m", "room__t_mean_3m")),
        OnDemandFeature(
            name="zone", function="severity_zone[iso10816-3:group2:rigid]", inputs=("pump__v_rms_1m",), dtype="string"
        ),
    ),
)
HEALTH = Service(
    name="health",
    views=tuple(ServiceView(view=v.name, version=v.version, features=v.feature_names) for v in (PUMP, ROOM)),
    on_demand=(DERIVED,),
)
CATALOG = FixedCatalog(all_views=(PUMP, ROOM), all_services=(HEALTH,))
COLUMNS = [*(f"pump__{name}" for name in PUMP.feature_names), "room__t_mean_3m"] + [
    f"derived__{f.name}" for f in DERIVED.features
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run one Valkey for the module."""
    with embedded_server(tmp_path_factory.mktemp("valkey")) as url:
        yield url


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """Both stores; offline holds the whole history, online what a server held at the time played up to."""

    offline: DeltaOfflineStore
    online: RedisOnlineStore

    def store(self, view: View, rows: pa.Table) -> None:
        """Write row versions offline."""
        self.offline.write_rows(view, rows, batch="history")

    def play(self, view: View, rows: pa.Table, *, after_us: int, upto_us: int) -> None:
        """Write online the row versions that became known in (after, upto]."""
        known = rows["known_at"].cast(pa.int64())
        self.online.write(view, rows.filter(pc.and_(pc.greater(known, after_us), pc.less_equal(known, upto_us))))

    def serve(self, entities: pa.Table, at_us: int) -> Answer:
        """Answer now, as the server does; `now` is the clock's."""
        handler = FeatureHandler(plans=Plans(catalog=CATALOG), online=self.online, clock=ManualClock(time_us=at_us))
        return handler.get("health", entities, budget_s=10.0).answer

    def train(self, entities: pa.Table, at_us: int, **more: pa.Array) -> Chunk:
        """Answer the same for a training set."""
        asked = entities.append_column("event_time", moments(at_us, rows=entities.num_rows))
        for name, column in more.items():
            asked = asked.append_column(name, column)
        (chunk,) = training_set(CATALOG, self.offline, "health", asked)
        return chunk


@pytest.fixture
def platform(server: str, tmp_path: Path) -> Iterator[Platform]:
    """Return empty stores."""
    online = RedisOnlineStore(server, project=tmp_path.name, timeout_s=10.0)
    yield Platform(offline=DeltaOfflineStore(str(tmp_path / "offline")), online=online)
    online.close()


def moments(at_us: int, *, rows: int) -> pa.Array:
    """Return one moment for every row."""
    return pa.array([at_us] * rows).cast(pa.timestamp("us", tz="UTC"))


def entities(*assets: str) -> pa.Table:
    """Return entity rows."""
    return pa.table({"asset_id": list(assets), "position": ["de"] * len(assets)})


def block(minute: float, value: float, *, delay_s: float = 0.0, asset: str = "a", channels: int = 2) -> pa.Table:
    """Return a second of samples around a value that ends a second after `minute`, received `delay_s` later."""
    start = round(minute * MINUTE)
    wave = value + np.array([0.0, 1.0, 0.0, -1.0]) * (value != 7.0)  # a 7 is constant: its kurtosis is undefined
    return blocks_table(
        asset_id=asset,
        position="de" if channels == 2 else "",
        starts_us=[start],
        samples=np.tile(wave, (1, channels, 1)),
        rate_hz=4.0,
        dtype="f8",
        known_us=start + SECOND + round(delay_s * SECOND),
    )


def rows_of(view: View, *blocks: pa.Table) -> pa.Table:
    """Return every row version that blocks make."""
    engine = Engine(view)
    for one in blocks:
        engine.add(one)
    return engine.advance(FOREVER)


def same(served: Answer, trained: Answer) -> None:
    """Fail unless two answers agree in every bit, status and age."""
    assert served.columns.column_names == trained.columns.column_names == COLUMNS
    assert served.status.tolist() == trained.status.tolist()
    assert {k: v.tolist() for k, v in served.age_us.items()} == {k: v.tolist() for k, v in trained.age_us.items()}
    assert [differing_values(served.columns[name], trained.columns[name]) for name in COLUMNS] == [0] * len(COLUMNS)


def values(answer: Answer, column: str) -> list[tuple[Any, str]]:
    """Return a column's values with the names of their statuses."""
    place = answer.columns.column_names.index(column)
    statuses = [Status(int(status)).name for status in answer.status[:, place]]
    return list(zip(answer.columns[column].to_pylist(), statuses, strict=True))


def test_a_correction_is_seen_from_when_it_was_known_on(platform: Platform) -> None:
    """A late block corrects a row: training before that moment keeps what was served, training after it has the new."""
    rows = rows_of(PUMP, block(0.5, 2.0), block(0.6, 5.0, delay_s=100.0))
    platform.store(PUMP, rows)
    first, corrected = rows["known_at"].cast(pa.int64()).to_pylist()

    before = platform.train(entities("a"), corrected - 1).answer
    after = platform.train(entities("a"), corrected).answer

    assert (first, corrected) == (MINUTE + 10 * SECOND, 3 * MINUTE + 10 * SECOND)
    assert values(platform.train(entities("a"), first - 1).answer, "pump__x_mean_1m") == [(None, "NOT_FOUND")]
    assert values(before, "pump__x_mean_1m") == [(2.0, "PRESENT")]
    assert values(after, "pump__x_mean_1m") == [(3.5, "PRESENT")]
    assert before.age_us["pump"].tolist() == [corrected - 1 - MINUTE]


def test_a_block_sent_again_changes_nothing_and_another_under_its_key_replaces_it(platform: Platform) -> None:
    """A repeat makes no version; a replacement makes one, known from when it came."""
    repeated = rows_of(PUMP, block(0.5, 2.0), block(0.5, 2.0, delay_s=80.0))
    replaced = rows_of(PUMP, block(0.5, 2.0), block(0.5, 4.0, delay_s=80.0))
    platform.store(PUMP, replaced)

    assert repeated["x_mean_1m"].to_pylist() == [2.0]
    assert replaced["x_mean_1m"].to_pylist() == [2.0, 4.0]
    asked = [values(platform.train(entities("a"), m * MINUTE).answer, "pump__x_mean_1m")[0][0] for m in (2, 3)]
    assert asked == [2.0, 4.0]


def test_a_row_can_be_asked_as_it_was_known_at_another_moment(platform: Platform) -> None:
    """With a `known_at` column, what happened by one moment is asked as it was known by another; labels ride along."""
    platform.store(PUMP, rows_of(PUMP, block(0.5, 2.0), block(0.6, 5.0, delay_s=100.0), block(1.5, 9.0)))

    chunk = platform.train(entities("a"), MINUTE, known_at=moments(4 * MINUTE, rows=1), label=pa.array([1]))

    assert values(chunk.answer, "pump__x_mean_1m") == [(3.5, "PRESENT")]
    assert chunk.table().column_names == ["asset_id", "position", "event_time", "known_at", "label", *COLUMNS]


def test_a_stale_row_is_withheld_both_ways_with_its_age(platform: Platform) -> None:
    """One microsecond past the time to live the value is null and STALE, and its age is told, served and trained."""
    rows = rows_of(PUMP, block(0.5, 2.0))
    platform.store(PUMP, rows)
    platform.online.write(PUMP, rows)
    last = MINUTE + PUMP.ttl_us

    for at_us, expected in ((last, (2.0, "PRESENT")), (last + 1, (None, "STALE"))):
        served, trained = platform.serve(entities("a"), at_us), platform.train(entities("a"), at_us).answer
        same(served, trained)
        assert values(served, "pump__x_mean_1m") == [expected]
        assert served.age_us["pump"].tolist() == [at_us - MINUTE]


def test_an_unknown_entity_is_not_found_both_ways_and_costs_its_neighbours_nothing(platform: Platform) -> None:
    """Every row comes back in the order asked, repeats included; what nobody knows is NOT_FOUND without an age."""
    rows = rows_of(PUMP, block(0.5, 2.0), block(0.5, 3.0, asset="b"))
    platform.store(PUMP, rows)
    platform.online.write(PUMP, rows)
    asked = entities("b", "nobody", "a", "b", "")

    served, trained = platform.serve(asked, 2 * MINUTE), platform.train(asked, 2 * MINUTE).answer

    same(served, trained)
    missing = (None, "NOT_FOUND")
    assert values(served, "pump__x_mean_1m") == [(3.0, "PRESENT"), missing, (2.0, "PRESENT"), (3.0, "PRESENT"), missing]
    assert served.age_us["pump"].tolist() == [MINUTE, -1, MINUTE, MINUTE, -1]


def test_on_demand_features_follow_their_inputs_both_ways(platform: Platform) -> None:
    """Computed from what is there; null where undefined; as stale or missing as the worst of their inputs."""
    pumps = rows_of(PUMP, block(2.5, 4.0), block(2.5, 7.0, asset="b"), block(2.5, 0.0, asset="c"))
    rooms = rows_of(ROOM, block(2.5, 1.0, channels=1), block(0.5, 1.0, channels=1, asset="b"))
    for view, rows in ((PUMP, pumps), (ROOM, rooms)):
        platform.store(view, rows)
        platform.online.write(view, rows)
    asked, at_us = entities("a", "b", "c"), 4 * MINUTE

    served, trained = platform.serve(asked, at_us), platform.train(asked, at_us).answer

    same(served, trained)
    assert values(served, "derived__spread") == [(np.sqrt(0.5) / 4.0, "PRESENT"), (0.0, "PRESENT"), (None, "NULL")]
    assert values(served, "derived__above_room") == [(3.0, "PRESENT"), (None, "STALE"), (None, "NOT_FOUND")]
    assert [zone for zone, _ in values(served, "derived__zone")] == ["C", "D", "A"]
    assert values(served, "pump__x_kurtosis_1m") == [(2.0, "PRESENT"), (None, "NULL"), (2.0, "PRESENT")]


@pytest.mark.parametrize("seed", range(4))
def test_at_every_moment_of_a_history_served_and_trained_are_one(platform: Platform, seed: int) -> None:
    """Late, repeated, replaced and missing blocks, played forward: at each moment both ways agree in every bit."""
    rng = np.random.default_rng(seed)
    histories: dict[str, pa.Table] = {}
    for view, channels in ((PUMP, 2), (ROOM, 1)):
        minutes = np.sort(rng.uniform(0, 40, 40))
        blocks = [
            block(
                m,
                float(rng.integers(0, 9)),
                delay_s=float(rng.choice([0, 0, 30, 200, 900])),
                asset=a,
                channels=channels,
            )
            for m, a in zip(minutes, rng.choice(["a", "b"], 40), strict=True)
        ]
        histories[view.name] = rows_of(view, *blocks, *blocks[::5])
        platform.store(view, histories[view.name])
    known = np.unique(np.concatenate([h["known_at"].cast(pa.int64()).to_numpy() for h in histories.values()]))
    asked = entities("b", "a", "nobody")
    statuses: set[str] = set()

    for before, now in itertools.pairwise([0, *sorted({*known.tolist(), *(known + 90 * SECOND).tolist()})]):
        for view in (PUMP, ROOM):
            platform.play(view, histories[view.name], after_us=before, upto_us=now)
        served = platform.serve(asked, now)
        same(served, platform.train(asked, now).answer)
        statuses |= set(served.counts())

    assert len(known) > 40
    assert statuses >= {"present", "null", "stale", "not_found"}


def test_a_row_taken_back_leaves_the_newest_good_one_both_ways(platform: Platform) -> None:
    """After a checkpoint refused what was served, serving answers with the newest stored row, as training does."""
    good, bad = rows_of(PUMP, block(0.5, 2.0), block(1.5, 3.0)), rows_of(PUMP, block(2.5, 1e9))
    platform.store(PUMP, good)
    for rows in (good, bad):
        platform.online.write(PUMP, rows)
    at_us = 4 * MINUTE
    assert values(platform.serve(entities("a"), at_us), "pump__x_mean_1m") == [(1e9, "PRESENT")]

    assert retract(PUMP, bad, good=bad.slice(0, 0), offline=platform.offline, online=platform.online) == 1

    served = platform.serve(entities("a"), at_us)
    same(served, platform.train(entities("a"), at_us).answer)
    assert values(served, "pump__x_mean_1m") == [(3.0, "PRESENT")]
