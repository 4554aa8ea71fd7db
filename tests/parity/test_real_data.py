"""On real machine data every path gives the oracle's bits: stored, read online, trained on, served, rebuilt."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lineshaft.clock import ManualClock
from lineshaft.definitions.reader import read_repo
from lineshaft.ops.ingest import Ingested, ingest
from lineshaft.ops.proof import entities_of, prove_stored
from lineshaft.ops.rebuild import rebuild
from lineshaft.ops.training_set import AT_COLUMN, training_set
from lineshaft.ops.truth import truth
from lineshaft.ops.verify import check_served, stored_blocks, total
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.serving.features import FeatureHandler, Plans
from lineshaft.sources.catalogue import SOURCES
from lineshaft.sources.data_sets import read_data_set
from lineshaft.sources.reading import Reading, gather
from lineshaft.sources.tabular import utc_us
from lineshaft.specs import Feature, Service, ServiceView, Status, View
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft.stores.embedded import embedded_server
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.stores.ports import Wanted
from lineshaft.tiles.answer import Answer
from lineshaft.tiles.engine import Engine

REPO = Path(__file__).resolve().parents[2] / "feature_repo"
PACE = 64  # blocks between two advances: the replay goes along receipt time, as a stream does
FOREVER = 2**61


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """Declared views over a Delta store and a real Valkey, filled by the engine that the Flink jobs run too."""

    catalog: FixedCatalog
    offline: DeltaOfflineStore
    online: RedisOnlineStore
    rejects: Path

    def take_in(self, readings: Iterable[Reading]) -> Ingested:
        """Bring readings in as `lineshaft ingest` does."""
        return ingest(readings, sources=SOURCES, offline=self.offline, rejects=self.rejects, label="test")

    def materialize(self, view: View) -> None:
        """Replay the stored blocks along receipt time; write every row version offline, and online as it comes."""
        blocks = stored_blocks(view, self.offline).sort_by([("known_us", "ascending"), ("start_us", "ascending")])
        engine = Engine(view)
        parts = []
        for start in range(0, blocks.num_rows, PACE):
            part = blocks.slice(start, PACE)
            assert engine.add(part).num_rows == 0
            parts.append(engine.advance(part["known_us"][-1].as_py() - 1))
            self.online.write(view, parts[-1])
        parts.append(engine.advance(FOREVER))
        self.online.write(view, parts[-1])
        self.offline.write_rows(view, pa.concat_tables(parts), batch="engine")

    def serve(self, service: str, entities: pa.Table, *, at_us: int) -> Answer:
        """Answer a service from the online store, as the gRPC server does."""
        handler = FeatureHandler(plans=Plans(catalog=self.catalog), online=self.online, clock=ManualClock())
        return handler.get(service, entities, at_us=at_us, budget_s=10.0).answer

    def train(self, service: str, entities: pa.Table, *, at_us: int) -> pa.Table:
        """Answer a service from the offline store for one moment."""
        asked = entities.append_column(AT_COLUMN, _moments(at_us, entities.num_rows))
        return pa.concat_tables(c.table() for c in training_set(self.catalog, self.offline, service, asked))


def _moments(at_us: int, rows: int) -> pa.Array:
    return pa.array(np.full(rows, at_us)).cast(pa.timestamp("us", tz="UTC"))


@pytest.fixture(scope="session")
def catalog() -> FixedCatalog:
    """Read what the teams declare (this imports Feast)."""
    found = read_repo(REPO).checked()
    return FixedCatalog(all_views=found.views, all_services=found.services)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run one Valkey for the module."""
    with embedded_server(tmp_path_factory.mktemp("valkey")) as url:
        yield url


@pytest.fixture
def shop(catalog: FixedCatalog, server: str, tmp_path: Path) -> Iterator[Shop]:
    """Return empty stores."""
    online = RedisOnlineStore(server, project=tmp_path.name, timeout_s=10.0)
    offline = DeltaOfflineStore(str(tmp_path / "offline"))
    yield Shop(catalog=catalog, offline=offline, online=online, rejects=tmp_path / "rejects")
    online.close()


# ---- parity ------------------------------------------------------------------------------------------------------


def whole(blocks: pa.Table) -> pa.Table:
    """Return all blocks."""
    return blocks


def ends_of_lives(blocks: pa.Table) -> pa.Table:
    """Return the first and last 60 snapshots of each bearing, both axes."""
    parts = []
    for asset in pc.unique(blocks["asset_id"]).to_pylist():
        mine = blocks.filter(pc.equal(blocks["asset_id"], asset))
        parts += [mine.slice(0, 120), mine.slice(mine.num_rows - 120)]
    return pa.concat_tables(parts)


def eight_engines(blocks: pa.Table) -> pa.Table:
    """Return engines 1 to 8, all their cycles."""
    return blocks.filter(pc.less_equal(blocks["asset_id"], "FD001-train-008"))


def around(count: int, place: Callable[[pa.Table], int]) -> Callable[[pa.Table], pa.Table]:
    """Return a cut of blocks around a place."""
    return lambda blocks: blocks.slice(max(place(blocks) - count // 2, 0), count)


def repeated_hour(blocks: pa.Table) -> int:
    """Return where the machine's clock goes back and stamps twelve readings a second time: 12 ticks hold two each."""
    return int(np.argmax(blocks["sequence"].to_numpy() > 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A data set, what is taken of it, and how many rows of each view that must make."""

    data: str
    source: str
    rows: dict[str, int]
    service: str
    cut: Callable[[pa.Table], pa.Table] = whole
    options: tuple[tuple[str, Any], ...] = ()


def vibration(
    data: str, *, condition: int, fast: int, cut: Callable[[pa.Table], pa.Table] = whole, **options: Any
) -> Case:
    """Return a case of waveform blocks."""
    return Case(
        data=data,
        source="vibration_blocks",
        rows={"vibration_condition": condition, "vibration_fast": fast},
        service="bearing_health",
        cut=cut,
        options=tuple(options.items()),
    )


CASES = {
    "cwru, whole records": vibration("cwru", condition=4, fast=4),
    "cwru, first 2048 samples": vibration("cwru", condition=4, fast=4, limit_samples=2048),
    "cwru, blocks of 2048": vibration("cwru", condition=4, fast=9, block_samples=2048),
    "mfpt": vibration("mfpt", condition=2, fast=2),
    "femto, first and last 60 snapshots": vibration("femto", condition=86, fast=480, cut=ends_of_lives),
    "cmapss, 8 engines of FD001": Case(
        data="cmapss",
        source="turbofan_cycles",
        rows={"turbofan_condition": 1713, "turbofan_age": 1713},
        service="turbofan_rul",
        cut=eight_engines,
        options=(("subsets", ("FD001",)), ("splits", ("train",))),
    ),
    "nab, where the clock goes back": Case(
        data="nab",
        source="process_readings",
        rows={"process_condition": 288},
        service="process_health",
        cut=around(300, repeated_hour),
    ),
    "skab": Case(
        data="skab",
        source="skab_loop",
        rows={"loop_condition": 197},
        service="loop_health",
        cut=around(300, lambda _: 0),
    ),
    "skab, against its own beginning": Case(
        data="skab",
        source="skab_loop",
        rows={"loop_change": 197},
        service="loop_watch",
        cut=around(300, lambda _: 0),
    ),
    "ims, against its own first day": Case(
        data="ims",
        source="ims_level",
        rows={"bearing_change": 982},
        service="bearing_watch",
        cut=lambda blocks: blocks.filter(pc.equal(blocks["asset_id"], "bearing-1")),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_every_path_gives_the_oracles_bits(name: str, data_root: Path, shop: Shop) -> None:
    """Stored rows, online reads, training answers and served answers do not differ in a bit, rebuilt or not."""
    case = CASES[name]
    views = [shop.catalog.view(view) for view in case.rows]
    read = gather(read_data_set(data_root / case.data, name=case.data, **dict(case.options)))
    shop.take_in([Reading(blocks={case.source: case.cut(read.blocks[case.source])})])
    for view in views:
        shop.materialize(view)

    oracles = {view.name: truth(view, shop.offline) for view in views}
    assert {name: table.num_rows for name, table in oracles.items()} == case.rows
    prove(shop, views, oracles, service=case.service)
    before = [shop.online.digest(view) for view in views]
    for view in views:
        assert shop.online.clear(view) == entities_of(view, oracles[view.name]).num_rows
        assert not list(shop.online.scan(view))
    rebuild(views, shop.offline, shop.online)
    assert [shop.online.digest(view) for view in views] == before
    prove(shop, views, oracles, service=case.service)


def prove(shop: Shop, views: Sequence[View], oracles: dict[str, pa.Table], *, service: str) -> None:
    """Fail unless every path agrees with the oracle in every value, and something was compared on each."""
    checks = list(prove_stored(views, oracles, offline=shop.offline, online=shop.online, path="engine"))
    entities = entities_of(views[0], oracles[views[0].name])
    newest = max(pc.max(oracle["known_at"]).cast(pa.int64()).as_py() for oracle in oracles.values())
    for at_us in (newest, newest + 2 * max(view.ttl_us for view in views)):
        asked = entities.append_column(AT_COLUMN, _moments(at_us, entities.num_rows))
        served = shop.serve(service, entities, at_us=at_us)
        checks.append(check_served(shop.catalog, shop.offline, service, entities=asked, served=served))
    assert {check.path for check in checks} == {"engine, offline", "engine, online", "training", "served"}
    assert all(check.result.values > 0 for check in checks)
    assert total(checks).equal, [check for check in checks if not check.result.equal]


# ---- what the numbers are ----------------------------------------------------------------------------------------

RECORDS = ("normal_97", "IR_105", "B_118", "OR_130")
FIRST_2048 = {  # of the drive-end channel in g, to the digits of the reference (numpy and scipy; tsfresh agrees)
    "mean": "0.012005 0.015558 0.015751 0.034303",
    "std": "0.072266 0.288326 0.133677 0.670713",
    "std_sample": "0.072284 0.288397 0.133710 0.670877",
    "rms": "0.073256 0.288746 0.134602 0.671590",
    "peak": "0.272869 1.482708 0.481783 3.547583",
    "peak_to_peak": "0.490663 2.657926 0.934489 6.520958",
    "skewness": "-0.137322 0.137007 0.011866 0.131969",
    "kurtosis": "2.954176 5.508837 2.899283 7.672676",
    "crest_factor": "3.724845 5.134991 3.579324 5.282364",
    "shape_factor": "1.247561 1.400394 1.243771 1.644074",
    "impulse_factor": "4.646972 7.191010 4.451857 8.684596",
    "clearance_factor": "5.471902 9.060387 5.226520 12.170372",
}
WHOLE = {"rms": "0.073764 0.291526 0.139234 0.669506", "kurtosis": "2.764243 5.395864 2.984716 7.649435"}
WAVELETS = "7.2483 18.6761 13.1713 60.8068 54.9637 14.0449 1.5813 0.2580"
EXTRA = ("mean", "std_sample", "envelope_peak_frequency", "envelope_ratio[1x]")
MFPT_LINES = tuple(f"envelope_ratio[{line}@full~1%/5-1000Hz]" for line in ("bpfi", "bpfo"))


def bench_view(shop: Shop, *functions: tuple[str, str], beside: str = "vibration_condition") -> tuple[Shop, View]:
    """Return the shop with one more view and service `bench`: (column, function) pairs that no team declares."""
    base = shop.catalog.view(beside)
    features = tuple(
        Feature(name=f"f{i}", column=column, function=function, window_us=base.tile_us)
        for i, (column, function) in enumerate(functions)
    )
    view = replace(base, name="bench", features=features)
    used = ServiceView(view="bench", version=view.version, features=view.feature_names)
    all_views = (*shop.catalog.all_views, view)
    all_services = (*shop.catalog.all_services, Service(name="bench", views=(used,)))
    return replace(shop, catalog=FixedCatalog(all_views=all_views, all_services=all_services)), view


def three_ways(shop: Shop, service: str, entities: pa.Table) -> list[dict[str, list[Any]]]:
    """Return a service's columns as served, as trained on, and as they lie in offline rows, all entities in order."""
    at_us = utc_us("2000-01-01T00:01:30")  # when minute 1 is first answered
    used = shop.catalog.service(service).views[0]
    view = shop.catalog.view(used.view)
    rows = pa.concat_tables(list(shop.offline.read_rows(view))).to_pylist()
    by_asset = {row["asset_id"]: row for row in rows}
    assets = entities["asset_id"].to_pylist()
    assert len(rows) == len(assets)
    stored = {f"{used.view}__{name}": [by_asset[asset][name] for asset in assets] for name in view.feature_names}
    served = shop.serve(service, entities, at_us=at_us).columns.to_pydict()
    trained = shop.train(service, entities, at_us=at_us).to_pydict()
    (found,) = shop.online.read([Wanted(view=view, features=view.feature_names, keys=entities)])
    online = {f"{used.view}__{name}": found.rows[name].to_pylist() for name in view.feature_names}
    assert all(served[name] == trained[name] == stored[name] == online[name] for name in stored)
    return [served, trained]


def printed(values: Sequence[float], digits: int = 6) -> str:
    """Write numbers as the tables do."""
    return " ".join(f"{value:.{digits}f}" for value in values)


def records(shop: Shop, data_root: Path, **options: Any) -> tuple[Shop, pa.Table]:
    """Take in the CWRU records and materialize them; return their entities in the tables' order."""
    shop, bench = bench_view(shop, *(("acceleration", function) for function in EXTRA))
    shop.take_in(read_data_set(data_root / "cwru", **options))
    for view in ("vibration_condition", "vibration_fast"):
        shop.materialize(shop.catalog.view(view))
    shop.materialize(bench)
    return shop, pa.table({"asset_id": list(RECORDS), "position": ["drive_end"] * len(RECORDS)})


def test_the_reference_values_come_out_of_every_path(data_root: Path, shop: Shop) -> None:
    """Twelve statistics of the first 2048 samples of four records, to six digits: stored, online, trained, served."""
    shop, entities = records(shop, data_root, limit_samples=2048)

    for answer, extra in zip(
        three_ways(shop, "bearing_health", entities), three_ways(shop, "bench", entities), strict=True
    ):
        columns = {f"vibration_condition__acceleration_{name}_1m": name for name in FIRST_2048 if name not in EXTRA}
        assert len(columns) == 10
        assert {name: printed(answer[column]) for column, name in columns.items()} == {
            name: FIRST_2048[name] for name in columns.values()
        }
        assert [printed(extra[f"bench__f{i}"]) for i in range(2)] == [FIRST_2048[name] for name in EXTRA[:2]]
        energies = [answer[f"vibration_condition__acceleration_wavelet_energy_{i}_1m"][1] for i in range(8)]
        assert printed(energies, 4) == WAVELETS
        assert f"{sum(energies):.6f}" == "170.750383"


@pytest.mark.parametrize("block_samples", [None, 2048, 12_000])
def test_whole_records_agree_however_they_are_cut(data_root: Path, shop: Shop, block_samples: int | None) -> None:
    """Rms and kurtosis of whole records, as one block or folded from many, to six digits."""
    shop, entities = records(shop, data_root, block_samples=block_samples)

    for answer in three_ways(shop, "bearing_health", entities)[:1]:
        for name, expected in WHOLE.items():
            for window in ("1m", "5m", "1h"):
                assert printed(answer[f"vibration_condition__acceleration_{name}_{window}"]) == expected


def test_faults_are_diagnosed_by_the_service(data_root: Path, shop: Shop) -> None:
    """Inner and outer race are named from the line that shows them; healthy and ball fault are not determined."""
    shop, entities = records(shop, data_root)

    for answer, extra in zip(
        three_ways(shop, "bearing_health", entities), three_ways(shop, "bench", entities), strict=True
    ):
        assert answer["bearing_diagnosis__fault_5m"] == ["not determined", "inner race", "not determined", "outer race"]
        assert [
            round(answer[f"vibration_condition__acceleration_envelope_ratio_{line}_1m"][i])
            for line, i in (("bpfi", 1), ("bpfo", 3))
        ] == [269, 617]
        assert [f"{extra['bench__f2'][i]:.2f}" for i in (0, 1, 3)] == ["29.91", "161.70", "107.61"]
        assert round(extra["bench__f3"][0]) == 89
        lines = [
            answer[f"vibration_condition__acceleration_envelope_ratio_{line}_1m"]
            for line in ("bpfo", "bpfi", "bsf", "2bsf", "ftf")
        ]
        assert max(line[0] for line in lines) < 5


def test_a_second_rig_agrees_at_its_own_settings(data_root: Path, shop: Shop) -> None:
    """MFPT: 69 times the background at BPFI, 25 times at BPFO, and the published log ratios, from every path."""
    shop, bench = bench_view(shop, *(("acceleration", function) for function in MFPT_LINES))
    shop.take_in(read_data_set(data_root / "mfpt"))
    shop.materialize(bench)
    entities = pa.table(
        {"asset_id": ["InnerRaceFault_vload_1", "OuterRaceFault_vload_1"], "position": ["housing", "housing"]}
    )

    for answer in three_ways(shop, "bench", entities):
        bpfi, bpfo = answer["bench__f0"], answer["bench__f1"]
        assert [round(bpfi[0]), round(bpfo[1])] == [69, 25]
        assert printed(np.log(np.divide(bpfi, bpfo)).tolist(), 2) == "3.31 -1.91"


def test_what_a_constant_channel_does_not_define_is_null_everywhere(data_root: Path, shop: Shop) -> None:
    """A sensor that never moves has a std and a deviation of exactly 0; its kurtosis and skewness are null, not 0."""
    functions = ("std", "mean", "kurtosis", "skewness", "deviation_from_baseline[10]")
    shop, bench = bench_view(shop, *(("s1", function) for function in functions), beside="turbofan_condition")
    bench = replace(bench, features=tuple(replace(f, window_us=10 * bench.tile_us) for f in bench.features))
    read = gather(read_data_set(data_root / "cmapss", subsets=("FD001",), splits=("train",)))
    shop.take_in([Reading(blocks={"turbofan_cycles": eight_engines(read.blocks["turbofan_cycles"])})])
    shop.materialize(bench)

    rows = pa.concat_tables(list(shop.offline.read_rows(bench)))
    (found,) = shop.online.read([Wanted(view=bench, features=bench.feature_names, keys=entities_of(bench, rows))])
    for table in (rows, found.rows):
        assert [set(table[f"f{i}"].to_pylist()) for i in range(4)] == [{0.0}, {518.67}, {None}, {None}]
    assert rows["f4"].null_count == 8 * 9  # no engine has a baseline before its tenth cycle
    assert set(rows["f4"].drop_null().to_pylist()) == set(found.rows["f4"].to_pylist()) == {0.0}
    assert found.status.tolist() == [Status.PRESENT] * 8
