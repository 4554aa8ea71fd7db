"""The status matrix: whatever is known of an entity, every contract says the same of it, over real sockets.

Its rows are what may be the case: a value, a null, nothing ever written, a row older than its time to live, damaged
bytes, bytes of an older schema, a row of an older version only; each with the online store well, and with it hung.
Its columns are the ways to ask. Where they apply, training sets say it too.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import httpx
import pyarrow as pa
import pytest
import redis

from lineshaft.clock import ManualClock
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.rpc.v1 import features_pb2, features_pb2_grpc
from lineshaft.serving.client import Client
from lineshaft.serving.convert import entities_to
from lineshaft.serving.feast_http import feast_http
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.frames import FeatureFrame, frame_from
from lineshaft.serving.server import Handlers, Limits, background_server
from lineshaft.specs import (
    Feature,
    OnDemandFeature,
    OnDemandView,
    Service,
    ServiceView,
    Source,
    Status,
    View,
    row_schema,
)
from lineshaft.specs.feast import FIELD_STATUSES
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.stores.online_rows import prefix_of

pytest.importorskip("feast")
pytestmark = pytest.mark.filterwarnings("ignore")

NOW_US = 1_767_225_600_000_000
MINUTE_US = 60_000_000
FRESH_US, OLD_US = NOW_US - MINUTE_US + 7, NOW_US - 61 * MINUTE_US
VIEW = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms"), Feature(name="starts", dtype="int64")),
    ttl_us=60 * MINUTE_US,
)
OLDER = replace(VIEW, features=(Feature(name="rms"),))
RATE = OnDemandView(
    name="rate",
    features=(OnDemandFeature(name="per_start", function="ratio", inputs=("pumps__rms", "pumps__starts")),),
)
SERVICE = Service(
    name="health",
    views=(ServiceView(view="pumps", version=VIEW.version, features=("rms", "starts")),),
    on_demand=(RATE,),
)
FILLED = replace(SERVICE, name="filled", impute=(("pumps__rms", -1.5), ("pumps__starts", 0), ("rate__per_start", 9.0)))
PINNED = Service(name="old_health", views=(ServiceView(view="pumps", version=OLDER.version, features=("rms",)),))
REFERENCES = {
    "health": ("pumps:rms", "pumps:starts", "rate:per_start"),
    "old_health": (f"pumps@{OLDER.version}:rms",),
}


@dataclass(frozen=True, slots=True)
class Case:
    """What every contract must say of one entity: (value, status) a column, and the event time of its row."""

    cells: tuple[tuple[float | None, Status], ...]
    event_us: int = 0


def nothing(status: Status, event_us: int = 0) -> Case:
    """Return the case in which no value is given out."""
    return Case(((None, status),) * 3, event_us)


P = Status.PRESENT
CASES = {
    "present": Case(((2.0, P), (4, P), (0.5, P)), FRESH_US),
    "null": Case(((None, Status.NULL), (3, P), (None, Status.NULL)), FRESH_US),
    "never": nothing(Status.NOT_FOUND),
    "stale": nothing(Status.STALE, OLD_US),
    "corrupt": nothing(Status.CORRUPT),
    "misfit": nothing(Status.CORRUPT),  # bytes of the older schema where those of the new one belong
    "outdated": nothing(Status.NOT_FOUND),  # a row of the older version only
}
HUNG = {**CASES, "unread": nothing(Status.UNAVAILABLE)}
"""While the store hangs, what was read stays known; of what nobody read nothing is."""
STANDS_IN = Status.IMPUTED
CONSTANTS = ((-1.5, STANDS_IN), (0, STANDS_IN), (9.0, STANDS_IN))
IMPUTED = {
    "present": CASES["present"],
    "null": Case(((-1.5, STANDS_IN), (3, P), (9.0, STANDS_IN)), FRESH_US),
    "never": Case(CONSTANTS),
    "stale": Case(CONSTANTS, OLD_US),
    "corrupt": CASES["corrupt"],
    "misfit": CASES["misfit"],
    "outdated": Case(CONSTANTS),
}
"""Where the service declares what stands in: for what was not measured, not for what the platform lost."""
TRAINED = ("present", "null", "never", "stale", "outdated")


@dataclass(frozen=True, slots=True)
class Seen:
    """What one contract said: words of a status and event times by entity and column, and whether it was degraded."""

    cells: dict[str, list[tuple[float | None, str]]]
    event_us: dict[str, list[int]]
    degraded: bool


@dataclass(frozen=True, slots=True)
class Plant:
    """A server with both ports open, and the Valkey behind it."""

    grpc: str
    http: str
    valkey: EmbeddedValkey
    handlers: Handlers


def table_of(view: View, columns: Sequence[Sequence[Any]]) -> pa.Table:
    """Return rows of a view."""
    schema = row_schema(view)
    return pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def fill(url: str, online: RedisOnlineStore, offline: DeltaOfflineStore) -> None:
    """Write every case that a job or a fault could leave behind."""
    times = [FRESH_US, FRESH_US, OLD_US]
    rows = table_of(VIEW, [["present", "null", "stale"], times, times, [2.0, None, 9.0], [4, 3, 9]])
    older = table_of(OLDER, [["outdated", "misfit"], [FRESH_US] * 2, [FRESH_US] * 2, [7.0, 7.0]])
    for view, table in ((VIEW, rows), (OLDER, older)):
        online.write(view, table)
        offline.write_rows(view, table, batch="all")
    server: Any = redis.Redis.from_url(url)
    misfit, whole = (
        server.get(prefix_of("dev", view.ref) + key) for view, key in ((OLDER, b"misfit"), (VIEW, b"present"))
    )
    for asset, raw in (("misfit", misfit), ("corrupt", whole[:-1] + b"\x00")):
        online.overwrite(VIEW, pa.table({"asset_id": [asset]}), raw)
    server.close()


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """Start everything; the clock stands still, so that ages can be compared."""
    folder: Path = tmp_path_factory.mktemp("matrix")
    with EmbeddedValkey(folder / "online") as valkey:
        online = RedisOnlineStore(valkey.url, project="dev", timeout_s=5.0)
        offline = DeltaOfflineStore(str(folder / "offline"))
        fill(valkey.url, online, offline)
        catalog = FixedCatalog(all_views=(OLDER, VIEW), all_services=(SERVICE, PINNED, FILLED), all_on_demand=(RATE,))
        plans = Plans(catalog=catalog, refresh_s=3600.0)
        features = FeatureHandler(plans=plans, online=online, clock=ManualClock(time_us=NOW_US))
        handlers = Handlers(plans=plans, features=features, training=TrainingSetHandler(plans=plans, offline=offline))
        with open_doors(handlers, valkey, patience_s=5.0) as plant:
            yield plant
        valkey.shut_down()


@contextmanager
def open_doors(handlers: Handlers, valkey: EmbeddedValkey, *, patience_s: float) -> Iterator[Plant]:
    """Serve by both ports, and wait for the store so long at most."""
    limits = Limits(store_timeout_s=patience_s)
    with (
        background_server(handlers, limits=limits) as bound,
        feast_http(handlers, "127.0.0.1:0", limits=limits) as http,
    ):
        yield Plant(bound, f"http://{http}", valkey, handlers)


Ask = Callable[[Plant, str, Sequence[str]], Seen]


def own(encoding: int) -> Ask:
    """Return the way to ask by our own call in one encoding."""

    def ask(plant: Plant, service: str, assets: Sequence[str]) -> Seen:
        entities = pa.table({"asset_id": list(assets)})
        request = features_pb2.GetFeaturesRequest(feature_service=service, entities=entities_to(entities))
        request.encoding = encoding  # type: ignore[assignment]
        with grpc.insecure_channel(plant.grpc) as channel:
            reply = features_pb2_grpc.FeatureServiceStub(channel).GetFeatures(request)
        return of_frame(assets, frame_from(entities, reply))

    return ask


def stream(plant: Plant, service: str, assets: Sequence[str]) -> Seen:
    """Ask over our own stream."""
    with Client(plant.grpc) as client:
        (frame,) = client.stream(service, [{"asset_id": list(assets)}])
    assert isinstance(frame, FeatureFrame), frame
    return of_frame(assets, frame)


def of_frame(assets: Sequence[str], frame: FeatureFrame) -> Seen:
    """Read an answer of our own, in our own words."""
    ages = frame.ages["pumps"].tolist()
    cells: dict[str, list[tuple[float | None, str]]] = {asset: [] for asset in assets}
    event_us: dict[str, list[int]] = {asset: [] for asset in assets}
    for name, statuses in frame.statuses.items():
        for row, asset in enumerate(assets):
            cells[asset].append((frame.table[name][row].as_py(), Status(int(statuses[row])).name))
            event_us[asset].append(NOW_US - ages[row] if name.startswith("pumps") and ages[row] >= 0 else 0)
    return Seen(cells, event_us, frame.degraded)


def feast_grpc(module: str, stub: str, *, referring: bool) -> Ask:
    """Return the way to ask by one of Feast's generated clients."""

    def ask(plant: Plant, service: str, assets: Sequence[str]) -> Seen:
        from feast.protos.feast.serving.ServingService_pb2 import GetOnlineFeaturesRequest

        request = GetOnlineFeaturesRequest(full_feature_names=True)
        if referring:
            request.features.val.extend(REFERENCES[service])
        else:
            request.feature_service = service
        for asset in assets:
            request.entities["asset_id"].val.add(string_val=asset)
        clients = pytest.importorskip(f"feast.protos.feast.serving.{module}")
        with grpc.insecure_channel(plant.grpc) as channel:
            reply, call = getattr(clients, stub)(channel).GetOnlineFeatures.with_call(request)
        said = [
            (
                [
                    None if kind is None else getattr(value, kind)
                    for value in vector.values
                    for kind in [value.WhichOneof("val")]
                ],
                [vector_status_name(status) for status in vector.statuses],
                [stamp.ToMicroseconds() for stamp in vector.event_timestamps],
            )
            for vector in reply.results[1:]
        ]
        return of_columns(assets, said, degraded="lineshaft-degraded" in dict(call.trailing_metadata()))

    return ask


def vector_status_name(status: int) -> str:
    """Return Feast's word for a status."""
    from feast.protos.feast.serving.ServingService_pb2 import FieldStatus

    return str(FieldStatus.Name(status))


def feast_json(*, referring: bool) -> Ask:
    """Return the way to ask by Feast's HTTP."""

    def ask(plant: Plant, service: str, assets: Sequence[str]) -> Seen:
        body: dict[str, Any] = {"entities": {"asset_id": list(assets)}, "full_feature_names": True}
        body |= {"features": list(REFERENCES[service])} if referring else {"feature_service": service}
        reply = httpx.post(f"{plant.http}/get-online-features", json=body)
        assert reply.status_code == 200, reply.text
        said = [
            (column["values"], column["statuses"], [us_of(text) for text in column["event_timestamps"]])
            for column in reply.json()["results"][1:]
        ]
        return of_columns(assets, said, degraded="lineshaft-degraded" in reply.headers)

    return ask


def us_of(text: str) -> int:
    """Return the microseconds of a moment in RFC 3339."""
    return int(pa.scalar(text).cast(pa.timestamp("us", tz="UTC")).value)


def of_columns(
    assets: Sequence[str], said: Sequence[tuple[list[Any], list[str], list[int]]], *, degraded: bool
) -> Seen:
    """Turn columns into what is said of each entity."""
    cells = {asset: [(values[row], words[row]) for values, words, _ in said] for row, asset in enumerate(assets)}
    event_us = {asset: [times[row] for _, _, times in said] for row, asset in enumerate(assets)}
    return Seen(cells, event_us, degraded)


CONTRACTS: dict[str, Ask] = {
    "own, columns": own(features_pb2.ENCODING_COLUMNS),
    "own, arrow": own(features_pb2.ENCODING_ARROW),
    "own, blocks": own(features_pb2.ENCODING_BLOCKS),
    "own, stream": stream,
    "feast ServingService": feast_grpc("ServingService_pb2_grpc", "ServingServiceStub", referring=False),
    "feast ServingService, references": feast_grpc("ServingService_pb2_grpc", "ServingServiceStub", referring=True),
    "feast GrpcFeatureServer": feast_grpc("GrpcServer_pb2_grpc", "GrpcFeatureServerStub", referring=False),
    "feast GrpcFeatureServer, references": feast_grpc("GrpcServer_pb2_grpc", "GrpcFeatureServerStub", referring=True),
    "feast HTTP": feast_json(referring=False),
    "feast HTTP, references": feast_json(referring=True),
}
EACH_CONTRACT = pytest.mark.parametrize("contract", CONTRACTS)


def check(seen: Seen, asset: str, case: Case, contract: str) -> None:
    """Hold what a contract said of an entity against what is the case, in its own words."""
    word = {
        status: FIELD_STATUSES[status] if contract.startswith("feast") else status.name for status in FIELD_STATUSES
    }
    assert seen.cells[asset] == [(value, word[status]) for value, status in case.cells]
    computed = seen.event_us[asset][2:]  # an on-demand feature is of no row's time
    assert seen.event_us[asset][:2] == [case.event_us] * len(seen.event_us[asset][:2])
    assert not any(computed)


@EACH_CONTRACT
@pytest.mark.parametrize("case", CASES)
def test_every_contract_says_what_is_the_case(plant: Plant, contract: str, case: str) -> None:
    """Asked alone, and asked among all the others, an entity has the same values, statuses and event times."""
    alone = CONTRACTS[contract](plant, "health", [case])
    among = CONTRACTS[contract](plant, "health", list(CASES))

    check(alone, case, CASES[case], contract)
    check(among, case, CASES[case], contract)
    assert not alone.degraded
    assert not among.degraded


@pytest.fixture(scope="module")
def hung(plant: Plant) -> Iterator[Plant]:
    """Stop the Valkey without a word, after every known case was read once."""
    stream(plant, "health", list(CASES))
    os.kill(plant.valkey.pid or 0, signal.SIGSTOP)
    time.sleep(0.2)  # longer than what was read stays fresh without a sign of life
    with open_doors(plant.handlers, plant.valkey, patience_s=0.1) as impatient:
        yield impatient
    os.kill(plant.valkey.pid or 0, signal.SIGCONT)


@EACH_CONTRACT
def test_a_service_pinned_to_an_older_version_reads_its_rows(plant: Plant, contract: str) -> None:
    """A row of the older version is answered to those who pinned it, and only to them."""
    seen = CONTRACTS[contract](plant, "old_health", ["outdated", "present"])

    check(seen, "outdated", Case(((7.0, P),), FRESH_US), contract)
    check(seen, "present", Case(((None, Status.NOT_FOUND),)), contract)


@pytest.mark.parametrize("case", TRAINED)
def test_a_training_set_says_the_same(plant: Plant, case: str) -> None:
    """Asked about the same moment, history has the values, statuses and event times that serving had."""
    entities = pa.table({"asset_id": [case], "event_time": pa.array([NOW_US], pa.timestamp("us", tz="UTC"))})
    with Client(plant.grpc) as client:
        (frame,) = client.training_set("health", entities)

    check(of_frame([case], frame), case, CASES[case], "training set")


@pytest.mark.parametrize("contract", [name for name in CONTRACTS if "references" not in name])
def test_a_constant_that_stands_in_is_never_called_a_measurement(plant: Plant, contract: str) -> None:
    """Each contract gives it with a status of its own, or as Feast has none, INVALID; so does a training set."""
    seen = CONTRACTS[contract](plant, "filled", list(IMPUTED))
    for case, told in IMPUTED.items():
        check(seen, case, told, contract)

    times = pa.array([NOW_US] * len(TRAINED), pa.timestamp("us", tz="UTC"))
    with Client(plant.grpc) as client:
        (frame,) = client.training_set("filled", pa.table({"asset_id": list(TRAINED), "event_time": times}))
    for case in TRAINED:
        check(of_frame(TRAINED, frame), case, IMPUTED[case], "training set")


@EACH_CONTRACT
@pytest.mark.parametrize("case", HUNG)
def test_every_contract_says_the_same_while_the_store_hangs(hung: Plant, contract: str, case: str) -> None:
    """What was known is answered and marked as degraded; of what nobody knows nothing is claimed."""
    seen = CONTRACTS[contract](hung, "health", list(dict.fromkeys(["present", case])))

    check(seen, "present", CASES["present"], contract)
    check(seen, case, HUNG[case], contract)
    assert seen.degraded
