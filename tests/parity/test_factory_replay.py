"""A real factory's five weeks replayed by receipt: clocks years off, shifted records and holes cost no latest value."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lineshaft.ops.ingest import Ingested, ingest, read_rejects
from lineshaft.ops.rebuild import rebuild
from lineshaft.ops.verify import check_online, check_training, stored_blocks
from lineshaft.sources.catalogue import SOURCES
from lineshaft.sources.factory_lora import read_factory_lora
from lineshaft.sources.tabular import utc_us
from lineshaft.specs import Feature, View
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft.stores.embedded import embedded_server
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.stores.ports import Wanted
from lineshaft.testing import compare_rows, oracle_rows
from lineshaft.tiles.engine import Engine

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
FOREVER = 2**61
READ = {"x_rms": "XRMSmg", "z_peak": "ZPeakmg", "temperature": "TempHumiSenVal", "battery": "DeviceBatteryVolt"}
MILLI = {"temperature", "battery"}
WEEKS = ("2022-11-28", "2022-12-12", "2023-03-13", "2023-03-27", "2023-06-05")
"""The Monday after each week recorded."""


def sensor_view() -> View:
    """Return a view with the grid of the declared one and few enough features for the oracle to do five weeks."""
    features = [
        Feature(name=f"{channel}_{function}_{hours}h", column=channel, function=function, window_us=hours * HOUR_US)
        for channel in READ
        for function in ("last", "mean")
        for hours in (1, 6)
    ]
    features.append(Feature(name="y_kurtosis_last_1h", column="y_kurtosis", function="last", window_us=HOUR_US))
    return View(
        name="sensor_replay",
        source=SOURCES["sensor_reports"],
        entity_keys=(("asset_id", "string"), ("position", "string")),
        features=tuple(features),
        tile_us=10 * MINUTE_US,
        grace_us=5 * MINUTE_US,
        ttl_us=24 * HOUR_US,
    )


VIEW = sensor_view()


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What came of the replay: the account of the intake, the stores, and what was online at the end of each week."""

    taken: Ingested
    refused: int
    offline: DeltaOfflineStore
    online: RedisOnlineStore
    rejects: Path
    weeks: dict[str, pa.Table]


@pytest.fixture(scope="module")
def replay(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replay]:
    """Take in every report of the five weeks and replay them in order of receipt, looking online after each week."""
    folder = tmp_path_factory.mktemp("lora")
    offline = DeltaOfflineStore(str(folder / "offline"))
    reports = next(read_factory_lora(data_root / "factory_lora"))
    taken = ingest([reports], sources=SOURCES, offline=offline, rejects=folder / "rejects", label="lora")
    blocks = stored_blocks(VIEW, offline).sort_by("known_us")
    with embedded_server(folder / "valkey") as url:
        online = RedisOnlineStore(url, project="replay", timeout_s=10.0)
        engine, refused, start = Engine(VIEW), 0, 0
        weeks: dict[str, pa.Table] = {}
        parts = []
        for end in WEEKS:
            stop = int(np.searchsorted(blocks["known_us"].to_numpy(), utc_us(end)))
            refused += engine.add(blocks.slice(start, stop - start)).num_rows
            parts.append(engine.advance(utc_us(end) + 15 * MINUTE_US))  # tile and grace of the last report
            online.write(VIEW, parts[-1])
            weeks[end] = pa.concat_tables(online.scan(VIEW))
            start = stop
        assert start == blocks.num_rows
        offline.write_rows(VIEW, pa.concat_tables([*parts, engine.advance(FOREVER)]), batch="replay")
        yield Replay(
            taken=taken, refused=refused, offline=offline, online=online, rejects=folder / "rejects", weeks=weeks
        )
        online.close()


@pytest.fixture(scope="module")
def lines(data_root: Path) -> list[dict[str, str]]:
    """Return every line of the raw files, read by Python's own csv module: nothing of ours has touched them."""
    found = []
    for file in sorted((data_root / "factory_lora").glob("vibrationdata_*.csv")):
        with file.open(encoding="utf-8-sig", newline="") as text:
            found += list(csv.DictReader(text))
    return found


def test_every_line_is_stored_or_rejected_with_a_reason(replay: Replay, lines: list[dict[str, str]]) -> None:
    """Lines in = good blocks + rejects by reason; each reject is kept with its record; no block was too late."""
    rejected = Counter(read_rejects(replay.rejects)["reason"].to_pylist())

    assert len(lines) == 10_648
    assert rejected == replay.taken.rejected == {"duplicate": 1, "shifted_record": 4}
    assert len(lines) == replay.taken.blocks["sensor_reports"] + sum(rejected.values())
    assert stored_blocks(VIEW, replay.offline).num_rows == replay.taken.blocks["sensor_reports"]
    assert replay.refused == 0
    assert replay.taken.notes["event_time_from_receipt"] == 1_080


def newest_line(lines: list[dict[str, str]], sensor: str, *, before_us: int) -> dict[str, str]:
    """Return a sensor's last whole report by receipt, judged without its own clock."""
    mine = [line for line in lines if line["SensorID"] == sensor and line["Timestamp"] and line["DeviceTime"]]
    return max((line for line in mine if int(line["Timestamp"]) * 1000 < before_us), key=lambda x: int(x["Timestamp"]))


@pytest.mark.parametrize("week", WEEKS)
def test_the_latest_values_of_each_week_are_those_received_last(
    replay: Replay, lines: list[dict[str, str]], week: str
) -> None:
    """At the end of each week the online row of each sensor holds its last report, also where its clock was reset."""
    rows = {row["asset_id"]: row for row in replay.weeks[week].to_pylist()}

    assert set(rows) == {f"sensor-{number}" for number in range(1, 5)}
    for sensor, row in rows.items():
        last = newest_line(lines, sensor, before_us=utc_us(week))
        expected = {name: float(last[sent]) * (1e-3 if name in MILLI else 1.0) for name, sent in READ.items()}
        assert {name: row[f"{name}_last_1h"] for name in READ} == expected
        assert row["y_kurtosis_last_1h"] is None  # sent as 0, which means "not measured"
        late_s = row["event_time"].timestamp() - int(last["Timestamp"]) / 1000
        assert -60 <= late_s <= 600  # the tick that closes the report's ten minutes


def test_a_hole_stays_a_hole_and_the_row_before_it_ages(replay: Replay) -> None:
    """No row is made where nothing was received: asked in the hole, the last row answers, until it is too old."""
    rows = pa.concat_tables(list(replay.offline.read_rows(VIEW, features=(), assets=["sensor-3"])))
    ticks = np.unique(rows["event_time"].cast(pa.int64()).to_numpy())
    march = ticks[(ticks > utc_us("2023-03-06")) & (ticks < utc_us("2023-03-13"))]
    gap = int(np.argmax(np.diff(march)))
    before, after = int(march[gap]), int(march[gap + 1])
    asked = np.array([after - MINUTE_US, after + VIEW.grace_us], dtype=np.int64)
    keys = pa.table({"asset_id": ["sensor-3"] * 2, "position": [""] * 2})
    (found,) = replay.offline.as_of(Wanted(view=VIEW, features=("x_rms_last_1h",), keys=keys), asked)

    assert (after - before) / HOUR_US == pytest.approx(24, abs=0.2)
    assert found.rows["event_time"].cast(pa.int64()).to_pylist() == [before, after]


def test_the_oracle_agrees_where_a_clock_was_four_years_off(replay: Replay) -> None:
    """Every report of sensor-2 since its resets, stored, online and asked point in time, equals the oracle."""
    since_us = utc_us("2023-03-20")
    blocks = stored_blocks(VIEW, replay.offline, assets=["sensor-2"])
    oracle = oracle_rows(VIEW, blocks.filter(pc.greater_equal(blocks["known_us"], since_us)))
    rows = pa.concat_tables(list(replay.offline.read_rows(VIEW, assets=["sensor-2"], start_us=since_us)))

    stored = compare_rows(VIEW, rows, oracle)
    online = check_online(VIEW, replay.online, oracle, path="online").result
    trained = check_training(VIEW, replay.offline, oracle).result
    assert (stored.equal, online.equal, trained.equal) == (True, True, True), (stored, online, trained)
    assert (stored.rows, online.rows) == (722, 1)
    assert stored.values == trained.values == 722 * len(VIEW.features)


def test_the_online_store_is_restored_byte_for_byte(replay: Replay) -> None:
    """Emptied and rebuilt from offline, the online store holds the same bytes."""
    before = replay.online.digest(VIEW)
    replay.online.clear(VIEW)
    (done,) = rebuild([VIEW], replay.offline, replay.online)

    assert (done.rows.rows, done.found, before) == (4, "nothing", replay.online.digest(VIEW))
    assert pc.count(pa.concat_tables(replay.online.scan(VIEW))["asset_id"]).as_py() == 4
