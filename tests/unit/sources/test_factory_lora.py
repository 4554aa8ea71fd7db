"""The real factory's five weeks come in with every mess met by a rule and every row accounted for."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lineshaft.sources.catalogue import SOURCES
from lineshaft.sources.checks import validate_blocks
from lineshaft.sources.factory_lora import read_factory_lora
from lineshaft.sources.reading import Reading, gather
from lineshaft.sources.tabular import utc_us

CHANNELS = SOURCES["sensor_reports"].channels
ROWS = {"21112022": 2_688, "05122022": 2_685, "06032023": 1_462, "20032023": 2_383, "29052023": 1_430}


@pytest.fixture(scope="module")
def plant(data_root: Path) -> Reading:
    """Return everything the set holds."""
    return gather(read_factory_lora(data_root / "factory_lora"))


def reports(plant: Reading) -> np.ndarray:
    """Return the sensor reports as (reports, channels)."""
    payload = b"".join(plant.blocks["sensor_reports"]["payload"].to_pylist())
    return np.frombuffer(payload, "<f8").reshape(-1, len(CHANNELS))


def test_every_row_is_a_block_or_a_reject(plant: Reading) -> None:
    """10,648 rows: 4 shifted records and 1 report sent twice are rejected, the other 10,643 are blocks."""
    assert plant.rejected == {"duplicate": 1, "shifted_record": 4}
    assert len(plant.blocks["sensor_reports"]) == sum(ROWS.values()) - 5 == 10_643
    good, rejects = validate_blocks(plant.blocks["sensor_reports"], SOURCES["sensor_reports"])
    assert (len(good), len(rejects)) == (10_643, 0)


def test_rejects_keep_the_record_they_refuse(plant: Reading) -> None:
    """A shifted record shows the time that stood in its sequence number."""
    shifted = plant.rejects.filter(pc.equal(plant.rejects["reason"], "shifted_record"))

    assert Counter(shifted["asset_id"].to_pylist()) == {"sensor-3": 2, "sensor-4": 2}
    assert all(
        '"SequenceNumber": 16783635' in raw or '"SequenceNumber": 16783636' in raw for raw in shifted["raw"].to_pylist()
    )


def test_no_clock_puts_an_event_after_its_receipt_or_before_history(plant: Reading) -> None:
    """Clocks four years off move no event: each lies within an hour before its receipt, and in the weeks recorded."""
    clocks = plant.tables["clocks"]

    delay = (clocks["known_at"].cast(pa.int64()).to_numpy() - clocks["event_time"].cast(pa.int64()).to_numpy()) / 1e6
    assert delay.min() == 0
    assert delay.max() == pytest.approx(122.469)
    assert pc.min(clocks["event_time"]).cast(pa.int64()).as_py() >= utc_us("2022-11-21")
    assert pc.min(clocks["offset_us"]).as_py() < -131_790_000 * 1_000_000


def test_the_choice_of_event_time_is_recorded_and_counted(plant: Reading) -> None:
    """Two reset clocks (1,080 reports) give way to receipt, the rest are the devices' own; 8 steps are found."""
    chosen = plant.tables["clocks"].group_by(["asset_id", "choice"]).aggregate([("offset_us", "count")]).to_pylist()

    assert {(row["asset_id"], row["choice"]): row["offset_us_count"] for row in chosen} == {
        ("sensor-1", "device"): 2_861,
        ("sensor-2", "device"): 1_343,
        ("sensor-2", "receipt"): 722,
        ("sensor-3", "device"): 2_858,
        ("sensor-4", "device"): 2_501,
        ("sensor-4", "receipt"): 358,
    }
    assert plant.notes["event_time_from_device"] == 9_563
    assert plant.notes["event_time_from_receipt"] == 1_080
    assert plant.notes["clock_step"] == 8


def test_the_latest_report_of_each_sensor_is_the_one_received_last(plant: Reading) -> None:
    """A clock years behind must not make old values the latest."""
    blocks = plant.blocks["sensor_reports"].to_pylist()

    for sensor in ("sensor-1", "sensor-2", "sensor-3", "sensor-4"):
        mine = [block for block in blocks if block["asset_id"] == sensor]
        assert max(mine, key=lambda b: b["start_us"]) == max(mine, key=lambda b: b["known_us"])


def test_block_keys_are_unique(plant: Reading) -> None:
    """No two reports or states of one asset start at one time."""
    for blocks in plant.blocks.values():
        keys = blocks.group_by(["asset_id", "position", "start_us", "sequence"]).aggregate([([], "count_all")])
        assert len(keys) == len(blocks)


def test_zeros_of_axes_not_measured_are_nan_and_other_zeros_stay(plant: Reading) -> None:
    """Ten Y and Z channels are 0 in every report: not measured; X skewness 0 is a value."""
    values = reports(plant)

    silent = [name for number, name in enumerate(CHANNELS) if np.isnan(values[:, number]).all()]
    assert len(silent) == 10
    assert {name[0] for name in silent} == {"y", "z"}
    assert (values[:, CHANNELS.index("x_skewness")] == 0).any()
    assert plant.notes["zero_not_measured"] == 10 * 10_643


def test_temperature_and_battery_are_in_their_units(plant: Reading) -> None:
    """Milli-degrees and millivolts are scaled once."""
    values = reports(plant)

    temperature, battery = (values[:, CHANNELS.index(name)] for name in ("temperature", "battery"))
    assert 15 < temperature.min() < temperature.max() < 60
    assert 3.3 < battery.min() < battery.max() < 3.7


def test_day_long_holes_stay_holes(plant: Reading) -> None:
    """The 24 h holes of one week are not filled, and sensor-2 is absent from it."""
    blocks = plant.blocks["sensor_reports"].to_pylist()
    week = [b for b in blocks if utc_us("2023-03-06") <= b["start_us"] < utc_us("2023-03-13")]

    assert {block["asset_id"] for block in week} == {"sensor-1", "sensor-3", "sensor-4"}
    starts = np.array([block["start_us"] for block in week if block["asset_id"] == "sensor-3"])
    assert np.diff(starts).max() / 1e6 == pytest.approx(86_395, abs=10)


def test_states_of_21_machines_know_unknown_from_stopped(plant: Reading) -> None:
    """A machine's minute is 0, 1 or, where it was sent as -1, NaN; an empty cell is another unit's machine."""
    states = plant.blocks["machine_states"]

    values = np.frombuffer(b"".join(states["payload"].to_pylist()), "<f8")
    assert len(values) == 636_364
    assert int(np.isnan(values).sum()) == plant.notes["state_unknown"] == 48 + 444 + 291
    assert int((values == 1).sum()) == 19_230 + 29_825 + 30_997
    assert len(set(states["asset_id"].to_pylist())) == 21


def test_two_spellings_are_one_name(plant: Reading) -> None:
    """`sensor1` of the states file is called as `sensor-1` of the reports is, and every renaming is counted."""
    assert set(plant.tables["senders"]["sender"].to_pylist()) == {"sensor-1", "sensor-2", "sensor-3"}
    assert plant.notes["renamed"] == 30_304 + 30_318 + 30_289
