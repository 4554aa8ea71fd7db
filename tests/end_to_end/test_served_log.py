"""What a server said is logged as it was said, and can be made again from the offline store to the last bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lineshaft.clock import ManualClock
from lineshaft.ops.served import Audit
from lineshaft.ops.served_tally import Tally
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.rpc.v1 import features_pb2, features_pb2_grpc
from lineshaft.serving.client import Client
from lineshaft.serving.convert import entities_to
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.served_log import ServedAnswers
from lineshaft.serving.server import Handlers, Limits, background_server
from lineshaft.specs import (
    Feature,
    OnDemandFeature,
    OnDemandView,
    Recipe,
    Service,
    ServiceView,
    Source,
    Status,
    View,
    row_schema,
)
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft.stores.embedded import embedded_server
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.stores.served_log import ServedLog

SECOND_US = 1_000_000
PATIENT = Limits(store_timeout_s=5.0)
NOW_US = 1_767_225_600 * SECOND_US
SOURCE = Source(name="s", channels=("x",), units=("g",))
PUMPS = View(
    name="pumps",
    source=SOURCE,
    entity_keys=(("asset_id", "string"), ("slot", "int64")),
    features=(
        Feature(name="rms"),
        Feature(name="starts", dtype="int64"),
        Feature(name="state", dtype="string"),
        Feature(name="gain", dtype="float32"),
        Feature(name="open", dtype="bool"),
        Feature(name="seen", dtype="timestamp"),
    ),
    ttl_us=3600 * SECOND_US,
)
SITES = View(name="sites", source=SOURCE, entity_keys=(("asset_id", "string"),), features=(Feature(name="ambient"),))
SERVICE = Service(
    name="health",
    views=(
        ServiceView(view="pumps", version=PUMPS.version, features=("state", "rms", "starts", "open", "gain", "seen")),
        ServiceView(view="sites", version=SITES.version, features=("ambient",)),
    ),
    on_demand=(
        OnDemandView(
            name="judged",
            features=(
                OnDemandFeature(name="over", function="ratio", inputs=("pumps__rms", "sites__ambient")),
                OnDemandFeature(
                    name="zone",
                    function="severity_zone[iso10816-3:group2:rigid]",
                    inputs=("pumps__rms",),
                    dtype="string",
                ),
            ),
        ),
    ),
)
ASSETS = 40


def rows_of(view: View, columns: list[Any]) -> pa.Table:
    """Return rows of a view."""
    schema = row_schema(view)
    return pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def pump_rows(step: int) -> pa.Table:
    """Return a row of each pump, of one step: every tenth of undefined values, every seventh older than the ttl."""
    rng = np.random.default_rng(step)
    event = [NOW_US - (7200 if i % 7 == 0 else 60) * SECOND_US + step for i in range(ASSETS)]

    def some(values: list[Any]) -> list[Any]:
        return [None if i % 10 == 3 else value for i, value in enumerate(values)]

    return rows_of(
        PUMPS,
        [
            [f"p{i}" for i in range(ASSETS)],
            list(range(ASSETS)),
            event,
            [at + 5 for at in event],
            some(rng.normal(3.0, 2.0, ASSETS).tolist()),
            some([2**60 + i + step for i in range(ASSETS)]),
            some([f"läuft {i}" for i in range(ASSETS)]),
            some(rng.normal(size=ASSETS).astype(np.float32).tolist()),
            some([i % 2 == 0 for i in range(ASSETS)]),
            some([at - 1 for at in event]),
        ],
    )


@dataclass(frozen=True)
class Plant:
    """A place with an online and an offline store and a served log, and a clock to move."""

    online: RedisOnlineStore
    offline: DeltaOfflineStore
    root: Path
    clock: ManualClock

    def handlers(self) -> Handlers:
        """Return what a server of this plant answers with."""
        catalog = FixedCatalog(all_views=(PUMPS, SITES), all_services=(SERVICE,))
        sink = ServedAnswers(self.log, clock=self.clock, every_s=60.0)
        features = FeatureHandler(plans=Plans(catalog=catalog), online=self.online, clock=self.clock, log=sink)
        training = TrainingSetHandler(plans=features.plans, offline=self.offline)
        return Handlers(plans=features.plans, features=features, training=training, close=sink.behind.close)

    @property
    def log(self) -> ServedLog:
        """Return its log."""
        return ServedLog(str(self.root), clock=self.clock)

    def write(self, view: View, rows: pa.Table) -> None:
        """Write rows to both stores, as jobs do."""
        self.offline.write_rows(view, rows, batch=str(rows["event_time"][0]))
        self.online.write(view, rows)

    def audit(self) -> Tally:
        """Check all that is logged."""
        audit = Audit(
            offline=self.offline, held=lambda view: row_schema(view).empty_table(), now_us=self.clock.now_us()
        )
        return sum((tally for _, tally in audit.check(self.log)), Tally())

    def rows(self) -> pa.Table:
        """Return all rows of the log, by request and place."""
        tables = [table for recipe in self.log.recipes() for table in self.log.read(recipe)]
        return pa.concat_tables(tables).sort_by([("request_id", "ascending"), ("place", "ascending")])

    def files(self, folder: str) -> list[Path]:
        """Return the data files below a folder of the offline root."""
        return sorted((self.root / folder).rglob("part-*.parquet"))


@pytest.fixture(scope="module")
def online(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisOnlineStore]:
    """Start one Valkey for all tests."""
    with embedded_server(tmp_path_factory.mktemp("served") / "online") as url:
        yield RedisOnlineStore(url, project="dev", timeout_s=5.0)


@pytest.fixture
def plant(online: RedisOnlineStore, tmp_path: Path) -> Plant:
    """Return a plant with forty pumps on one site, written twice."""
    for view in (PUMPS, SITES):
        online.clear(view)
    plant = Plant(online, DeltaOfflineStore(str(tmp_path)), tmp_path, ManualClock(time_us=NOW_US))
    for step in (1, 2):
        plant.write(PUMPS, pump_rows(step))
    ambient = [20.5 + i if i % 4 else None for i in range(ASSETS)]
    names, times = [f"p{i}" for i in range(ASSETS)], [NOW_US - 5] * ASSETS
    plant.write(SITES, rows_of(SITES, [names, times, times, ambient]))
    return plant


def keys(*numbers: int) -> dict[str, Any]:
    """Return the join keys of pumps."""
    return {"asset_id": [f"p{i}" for i in numbers], "slot": list(numbers)}


def ask(address: str, *, name: str = "", encoding: Any = features_pb2.ENCODING_BLOCKS, of: Any = None) -> Any:
    """Ask as a client in any language does; `name` is the request's id."""
    request = features_pb2.GetFeaturesRequest(
        feature_service="health", entities=entities_to(pa.table(of or keys(1, 2))), encoding=encoding
    )
    with grpc.insecure_channel(address) as channel:
        call = features_pb2_grpc.FeatureServiceStub(channel).GetFeatures
        return call(request, timeout=10.0, metadata=(("x-request-id", name),) if name else ())


def serve_everything(plant: Plant) -> int:
    """Ask for everything, also for what is not there, by every way of asking; return the number of vectors."""
    many = keys(*range(ASSETS + 5))
    with background_server(plant.handlers(), limits=PATIENT) as address, Client(address) as client:
        for encoding in features_pb2.Encoding.values():
            ask(address, encoding=encoding, of=many)
        streamed = list(client.stream("health", [keys(i, i + 1) for i in range(ASSETS)]))
        client.features("health", many, at_us=NOW_US - 3600 * SECOND_US)  # a moment before the rows
        client.features("health", {"asset_id": ["p1"], "slot": ["1"]})  # a text where a number is wanted
    assert len(streamed) == ASSETS
    return (len(features_pb2.Encoding.values()) + 1) * (ASSETS + 5) + 2 * ASSETS + 1


def test_everything_served_is_logged_and_made_again_bit_for_bit(plant: Plant) -> None:
    """Present, undefined, stale and absent, of every type, by every way of asking: no bit differs, none is left out."""
    vectors = serve_everything(plant)

    tally = plant.audit()

    assert tally.counts() == {
        "vectors": vectors,
        "values": vectors * 9,
        **dict.fromkeys(("differing", "missing", "waiting", "quarantined", "degraded", "behind"), 0),
    }
    statuses = set(
        np.unique(np.concatenate([np.asarray(c) for c in plant.rows()["statuses"].combine_chunks().flatten()]))
    )
    assert statuses == {Status.PRESENT, Status.NULL, Status.NOT_FOUND, Status.STALE}


def test_a_row_of_the_log_says_who_asked_what_and_what_was_said(plant: Plant) -> None:
    """Request, moment, keys, the rows used with times and ages, values and statuses: all as the caller got them."""
    with background_server(plant.handlers(), limits=PATIENT) as address:
        reply = ask(address, name="alarm-17", encoding=features_pb2.ENCODING_COLUMNS, of=keys(2, 99))

    first, second = plant.rows().to_pylist()

    assert (first["request_id"], first["place"], second["place"]) == ("alarm-17", 0, 1)
    assert (first["keys"], first["degraded"]) == ({"asset_id": "p2", "slot": 2}, False)
    pumps = first["views"]["pumps"]
    assert (pumps["version"], pumps["found"]) == (PUMPS.version, Status.PRESENT)
    assert pumps["age_us"] == 60 * SECOND_US - 2 == np.frombuffer(reply.views[0].ages_us, "<i8")[0]
    assert second["views"]["pumps"] == {
        "version": PUMPS.version, "found": Status.NOT_FOUND, "event_time": None, "known_at": None, "age_us": -1,
    }  # fmt: skip
    rms = next(column for column in reply.columns if column.name == "pumps__rms")
    assert np.float64(first["features"]["pumps__rms"]).tobytes() == rms.values[:8]
    assert [column.name for column in reply.columns] == list(first["features"])
    assert set(second["statuses"].values()) == {Status.NOT_FOUND}


def test_a_log_is_read_without_the_catalogue(plant: Plant) -> None:
    """Its table holds the service and the views as they were declared, times to live included."""
    with background_server(plant.handlers(), limits=PATIENT) as address:
        ask(address)

    assert plant.log.recipes() == [Recipe(service=SERVICE, views=(PUMPS, SITES))]
    assert replace(plant.log.recipes()[0], views=(replace(PUMPS, ttl_us=1), SITES)).name != plant.log.recipes()[0].name


def change(path: Path, column: list[str], edit: Callable[[Any], Any]) -> None:
    """Rewrite a Parquet file with its first value of a (nested) column changed."""
    table = pq.read_table(path, partitioning=None)
    rows = table.to_pylist()
    place = next(row for row in rows if _inside(row, column) is not None)
    holder = _inside(place, column[:-1])
    holder[column[-1]] = edit(holder[column[-1]])
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)


def _inside(row: Any, column: list[str]) -> Any:
    for name in column:
        row = row[name]
    return row


def flipped(value: float) -> float:
    """Return a float64 whose last bit is another."""
    return float((np.array([value]).view(np.int64) ^ 1).view(np.float64)[0])


@pytest.mark.parametrize(
    ("column", "edit", "feature"),
    [
        (["features", "pumps__rms"], flipped, "pumps__rms"),
        (["features", "judged__over"], flipped, "judged__over"),
        (["features", "pumps__starts"], lambda value: value ^ 1, "pumps__starts"),
        (["features", "pumps__state"], lambda value: value + " ", "pumps__state"),
        (["features", "pumps__rms"], lambda _: None, "pumps__rms"),
        (["statuses", "sites__ambient"], lambda value: value ^ 1, "sites__ambient"),
        (["views", "sites", "age_us"], lambda value: value ^ 1, "sites (age)"),
        (
            ["views", "pumps", "event_time"],
            lambda value: value.replace(microsecond=value.microsecond ^ 1),
            "pumps (age)",
        ),
        (["keys", "asset_id"], lambda _: "p39", "sites__ambient"),
    ],
)
def test_one_bit_changed_in_the_log_is_found(
    plant: Plant, column: list[str], edit: Callable[[Any], Any], feature: str
) -> None:
    """Whatever was changed, a value, a status, a time or whose it is: the check tells where."""
    with background_server(plant.handlers(), limits=PATIENT) as address:
        ask(address, of=keys(1, 2, 4))
    assert plant.audit().equal
    (file,) = plant.files("served")

    change(file, column, edit)

    tally = plant.audit()
    assert not tally.equal
    assert feature in {one.feature for one in tally.mismatches}


def test_one_bit_changed_in_the_offline_store_is_found(plant: Plant) -> None:
    """It is told with the entity, the feature, what was served and what is made of the row now; others agree."""
    vectors = serve_everything(plant)
    newest = max(plant.files("rows/pumps." + PUMPS.version), key=lambda p: pq.read_table(p)["event_time"][-1].as_py())

    change(newest, ["rms"], flipped)

    tally = plant.audit()
    assert (tally.vectors, tally.missing) == (vectors, 0)
    assert {one.feature for one in tally.mismatches} <= {"pumps__rms", "judged__over"}
    (entity,) = {tuple(one.entity.values()) for one in tally.mismatches}
    one = tally.mismatches[0]
    assert flipped(float(one.served)) == float(one.recomputed)
    assert entity[0] == f"p{entity[1]}"
