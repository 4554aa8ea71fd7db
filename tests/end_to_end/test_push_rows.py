"""Rows of features computed elsewhere, pushed over Feast's contracts: online at once, offline behind the checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import httpx
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from lineshaft.clock import ManualClock
from lineshaft.errors import UnavailableError
from lineshaft.ops.ingest import read_rejects
from lineshaft.ops.jobs import Gate, JobResult, Target, Verdict
from lineshaft.ops.quarantine import quarantined_rows
from lineshaft.ops.retract import retract
from lineshaft.ops.row_pushes import REMEMBERED_US, RowPushes, land_pushes
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.serving.client import Client
from lineshaft.serving.feast_http import feast_http
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.server import Handlers, Limits, background_server
from lineshaft.specs import Feature, Service, ServiceView, Source, Status, View
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft.stores.embedded import embedded_server
from lineshaft.stores.online_redis import RedisOnlineStore

SECOND_US = 1_000_000
NOW_US = 1_767_225_600_000_000
LAB = View(
    name="lab",
    source=Source(name="lab_rows", channels=(), units=(), kind="rows", timestamp_field="event_time"),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="level"), Feature(name="serial", dtype="int64")),
)
HEAT = View(
    name="heat",
    source=Source(name="readings", channels=("t",), units=("degC",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="mean"),),
)
SERVICE = Service(name="lab", views=(ServiceView(view="lab", version=LAB.version, features=("level", "serial")),))
CATALOG = FixedCatalog(all_views=(LAB, HEAT), all_services=(SERVICE,))


@dataclass(frozen=True, slots=True)
class Plant:
    """A server with both ports open, the stores behind it, and whoever lands what was pushed."""

    grpc: str
    http: str
    folder: Path
    online: RedisOnlineStore
    offline: DeltaOfflineStore
    clock: ManualClock

    def write(self, columns: Mapping[str, Any], *, view: str = "lab") -> httpx.Response:
        """Push rows over HTTP."""
        return httpx.post(f"{self.http}/write-to-online-store", json={"feature_view_name": view, "df": columns})

    def land(self, gate: Gate | None = None) -> JobResult:
        """Land what waits, as `lineshaft land` does."""
        target = Target(offline=self.offline, redis_url="", project="dev", work=self.folder / "work", gate=gate)
        return land_pushes(self.folder / "pushed", catalog=CATALOG, target=target, online=self.online, clock=self.clock)

    def below_100(self, view: View, rows: pa.Table) -> Verdict:
        """Refuse levels of 100 and more, and take them back online, as the wired gate does."""
        bad = pc.fill_null(pc.greater_equal(rows["level"], 100.0), fill_value=False)
        refused, good = rows.filter(bad), rows.filter(pc.invert(bad))
        if refused.num_rows:
            retract(view, refused, good=good, offline=self.offline, online=self.online)
        return Verdict(good=good, quarantined=refused.append_column("reason", pa.array(["too high"] * len(refused))))

    def served(self, *assets: str) -> list[Any]:
        """Return the levels that clients get now."""
        with Client(self.grpc) as client:
            return list(client.features("lab", asset_id=list(assets)).to_arrow()["lab__level"].to_pylist())

    def trained(self, *assets: str) -> list[Any]:
        """Return the levels that a training set holds for the present."""
        now = pa.array([self.clock.now_us()] * len(assets), pa.timestamp("us", tz="UTC"))
        with Client(self.grpc) as client:
            entities = pa.table({"asset_id": list(assets), "event_time": now})
            return list(client.training_set("lab", entities).to_arrow()["lab__level"].to_pylist())


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    """Start a server that takes rows in."""
    with embedded_server(tmp_path / "online") as url:
        online = RedisOnlineStore(url, project="dev", timeout_s=5.0)
        offline, clock = DeltaOfflineStore(str(tmp_path / "offline")), ManualClock(time_us=NOW_US)
        plans = Plans(catalog=CATALOG)
        handlers = Handlers(
            plans=plans,
            features=FeatureHandler(plans=plans, online=online, clock=clock),
            training=TrainingSetHandler(plans=plans, offline=offline),
            row_pushes=RowPushes(
                catalog=CATALOG,
                clock=clock,
                online=online,
                folder=tmp_path / "pushed",
                rejects=tmp_path / "rejects",
            ),
        )
        limits = Limits(store_timeout_s=5.0)
        with (
            background_server(handlers, limits=limits) as bound,
            feast_http(handlers, "127.0.0.1:0", limits=limits) as http,
        ):
            yield Plant(bound, f"http://{http}", tmp_path, online, offline, clock)


def rows(**levels: float | str | None) -> dict[str, list[Any]]:
    """Return rows of a minute ago, a level for each asset."""
    times = ["2025-12-31T23:59:00Z"] * len(levels)
    serials = [2**53 + 1] * len(levels)
    return {"asset_id": list(levels), "event_time": times, "level": list(levels.values()), "serial": serials}


def test_rows_are_served_at_once_and_trained_on_when_landed(plant: Plant) -> None:
    """The same value online and in a training set, known when it was received; what was pushed again adds nothing."""
    first, again = plant.write(rows(a=4.0, b=None)), plant.write(rows(a=4.0, b=None))
    at_once = plant.served("a", "b")
    landed = plant.land()
    plant.clock.advance(seconds=60)
    late = plant.write(rows(a=4.0, b=None))

    assert first.json() == {"accepted": 2, "rejected": {}, "repeat": False}
    assert again.json() == late.json() == {"accepted": 2, "rejected": {}, "repeat": True}
    assert landed == JobResult(rows={LAB.ref: 2})
    assert plant.land() == JobResult()
    assert at_once == plant.served("a", "b") == plant.trained("a", "b") == [4.0, None]
    stored = pa.concat_tables(plant.offline.read_rows(LAB))
    assert stored["serial"].to_pylist() == [2**53 + 1] * 2
    assert stored["known_at"].cast(pa.int64()).to_pylist() == [NOW_US] * 2


def test_a_correction_wins_and_the_older_row_loses(plant: Plant) -> None:
    """Newer by event time and then by when it was known, online as offline."""
    plant.write(rows(a=4.0))
    plant.clock.advance(seconds=1)
    plant.write(rows(a=5.0))
    plant.write({**rows(a=1.0), "event_time": ["2025-12-31T23:00:00Z"]})
    result = plant.land()

    assert result.rows == {LAB.ref: 3}
    assert plant.served("a") == plant.trained("a") == [5.0]


def test_what_the_checkpoint_refuses_is_taken_back_and_kept(plant: Plant) -> None:
    """A refused row is served until it is judged, then the newest good one again; it never reaches training."""
    plant.write(rows(a=4.0))
    plant.land(plant.below_100)
    plant.clock.advance(seconds=1)
    plant.write({**rows(a=400.0, b=500.0), "event_time": ["2025-12-31T23:59:30Z"] * 2})
    meanwhile = plant.served("a", "b")
    result = plant.land(plant.below_100)

    assert meanwhile == [400.0, 500.0]
    assert result == JobResult(rows={LAB.ref: 0}, quarantined={LAB.ref: 2})
    assert plant.served("a", "b") == plant.trained("a", "b") == [4.0, None]
    held = quarantined_rows(LAB, offline=plant.offline, work=plant.folder / "work")
    assert held["level"].to_pylist() == [400.0, 500.0]


def test_a_landing_that_was_cut_off_is_done_again(plant: Plant) -> None:
    """Killed between the store's commit and the mark, the same files lie there again, and add nothing."""
    plant.write(rows(a=4.0))
    (file,) = (plant.folder / "pushed" / LAB.ref).glob("*.parquet")
    kept = pq.read_table(file)
    plant.land()
    pq.write_table(kept, file)

    assert plant.land() == JobResult(rows={LAB.ref: 0}, repeats={LAB.ref: 1})
    assert pa.concat_tables(plant.offline.read_rows(LAB)).num_rows == 1


def test_only_one_lands_at_a_time(plant: Plant) -> None:
    """While one process lands, another does nothing; what waits is landed by whoever comes next."""
    plant.write(rows(a=4.0))
    meanwhile: list[JobResult] = []

    def landing_too(_view: View, batch: pa.Table) -> Verdict:
        meanwhile.append(plant.land())
        return Verdict(good=batch, quarantined=batch.slice(0, 0).append_column("reason", pa.array([], pa.string())))

    assert plant.land(landing_too) == JobResult(rows={LAB.ref: 1})
    assert meanwhile == [JobResult()]


def test_a_push_is_forgotten_after_a_week(plant: Plant) -> None:
    """The marks of what has landed do not gather for ever."""
    plant.write(rows(a=4.0))
    plant.land()
    marks = plant.folder / "pushed" / LAB.ref / "landed"
    (mark,) = marks.iterdir()
    plant.clock.time_us = mark.stat().st_mtime_ns // 1000 + REMEMBERED_US + SECOND_US
    plant.write(rows(b=4.0))
    plant.land()

    assert not mark.exists()


def test_rows_that_cannot_reach_the_online_store_are_kept(tmp_path: Path, plant: Plant) -> None:
    """The caller is told that the store is away; what was pushed is landed all the same, and put right online."""
    away = RedisOnlineStore("redis://127.0.0.1:1", project="dev", timeout_s=0.05, write_timeout_s=0.2)
    pushes = RowPushes(
        catalog=CATALOG, clock=plant.clock, online=away, folder=tmp_path / "pushed", rejects=tmp_path / "rejects"
    )
    with pytest.raises(UnavailableError):
        pushes.push("lab", rows(a=4.0))

    plant.land()

    assert plant.served("a") == plant.trained("a") == [4.0]


@pytest.mark.parametrize(
    ("view", "columns", "status", "words"),
    [
        ("heat", {"asset_id": ["a"], "event_time": ["2026-01-01"], "mean": [1.0]}, 400, "push readings to readings"),
        ("nothing", rows(a=1.0), 404, "nothing"),
        ("lab", {**rows(a=1.0), "colour": ["red"]}, 400, "not known: colour"),
        ("lab", rows(a="warm"), 400, "1 bad_value"),
    ],
)
def test_what_cannot_be_taken_is_refused_in_words(
    plant: Plant, view: str, columns: dict[str, list[Any]], status: int, words: str
) -> None:
    """A view that is computed here, one that is not there, columns and rows that do not fit: nothing is written."""
    answer = plant.write(columns, view=view)

    assert answer.status_code == status
    assert words in " ".join(answer.json().values())
    assert plant.served("a") == [None]


def test_bad_rows_are_kept_and_good_ones_go_on(plant: Plant) -> None:
    """Each refused row lies in the rejects with its reason."""
    answer = plant.write(rows(a="warm", b=2.0))

    assert answer.json() == {"accepted": 1, "rejected": {"bad_value": 1}, "repeat": False}
    kept = read_rejects(plant.folder / "rejects")
    assert (kept["source"].to_pylist(), kept["asset_id"].to_pylist()) == (["lab"], ["a"])
    assert plant.served("a", "b") == [None, 2.0]


@pytest.mark.filterwarnings("ignore")
def test_feasts_clients_write_rows(plant: Plant, tmp_path: Path) -> None:
    """Its generated gRPC client a row, a stock SDK with a remote online store a frame."""
    feast = pytest.importorskip("feast")
    import pandas as pd
    from feast.protos.feast.serving.GrpcServer_pb2 import WriteToOnlineStoreRequest
    from feast.protos.feast.serving.GrpcServer_pb2_grpc import GrpcFeatureServerStub
    from feast.repo_config import RepoConfig

    texts = {name: str(values[0]) for name, values in rows(a=1.5).items()}
    with grpc.insecure_channel(plant.grpc) as channel:
        request = WriteToOnlineStoreRequest(feature_view_name="lab", features=texts)
        assert GrpcFeatureServerStub(channel).WriteToOnlineStore(request).status
    asset = feast.Entity(name="asset_id", value_type=feast.ValueType.STRING)
    source = feast.FileSource(name="lab_rows", path=str(tmp_path / "lab.parquet"), timestamp_field="event_time")
    kinds = {"level": feast.types.Float64, "serial": feast.types.Int64}
    fields = [feast.Field(name=name, dtype=kind) for name, kind in kinds.items()]
    view = feast.FeatureView(name="lab", entities=[asset], schema=fields, source=source, ttl=timedelta(0))
    store = feast.FeatureStore(
        config=RepoConfig(
            project="dev",
            provider="local",
            registry=str(tmp_path / "registry.db"),
            online_store={"type": "remote", "path": plant.http},
            entity_key_serialization_version=3,
        )
    )
    store.apply([asset, source, view])
    at = datetime.fromtimestamp(NOW_US // SECOND_US - 30, tz=UTC)
    frame = pd.DataFrame({"asset_id": ["b"], "event_time": [at], "level": [2.5], "serial": [7]})
    store.write_to_online_store("lab", frame)

    plant.land()

    assert plant.served("a", "b") == plant.trained("a", "b") == [1.5, 2.5]
    with Client(plant.grpc) as client:
        frame_now = client.features("lab", asset_id=["b"])
    assert frame_now.to_arrow()["lab__serial"].to_pylist() == [7]
    assert frame_now.statuses["lab__serial"].tolist() == [Status.PRESENT]
    assert frame_now.ages["lab"].tolist() == [30 * SECOND_US]
