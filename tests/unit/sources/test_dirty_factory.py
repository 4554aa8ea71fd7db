"""The factory's reader on small made-up weeks: each mess of the field alone, and what it costs the rest."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lineshaft.errors import InputError
from lineshaft.sources.catalogue import SOURCES
from lineshaft.sources.checks import validate_blocks
from lineshaft.sources.factory_lora import COLUMNS, NOT_MEASURED, REPORT_US, LoraRules, read_factory_lora
from lineshaft.sources.reading import Reading, gather
from lineshaft.sources.rules import AliasRule, ClockRule, ZeroRule

CHANNELS = SOURCES["sensor_reports"].channels
BASE_S = 1_670_198_400  # 2022-12-05T00:00:00Z
SENT = list(COLUMNS.values())
HEAD = ["Timestamp", "SensorID", "SequenceNumber", "DeviceTime", *SENT]


def report(
    minute: int, cells: Mapping[str, Any] | None = None, *, sensor: str = "sensor-1", offset_s: int = 0
) -> dict[str, Any]:
    """Return a report received at a minute, its clock so far off; cells by the names as sent."""
    second = BASE_S + 60 * minute
    plain = {"SequenceNumber": minute % 256, "DeviceTime": second + offset_s, **dict.fromkeys(SENT, 1)}
    return {"Timestamp": second * 1000, "SensorID": sensor, **plain, **(cells or {})}


def week(folder: Path, *reports: dict[str, Any], name: str = "vibrationdata_1.csv") -> Path:
    """Write reports as one weekly file and return its folder."""
    lines = [",".join("" if row[key] is None else str(row[key]) for key in HEAD) for row in reports]
    (folder / name).write_text("\n".join([",".join(HEAD), *lines]) + "\n")
    return folder


def samples(reading: Reading) -> np.ndarray[Any, Any]:
    """Return the reports as (reports, channels)."""
    payload = b"".join(reading.blocks["sensor_reports"]["payload"].to_pylist())
    return np.frombuffer(payload, "<f8").reshape(-1, len(CHANNELS))


def ends_s(reading: Reading) -> list[float]:
    """Return the event time of each report, in seconds after the week began."""
    starts = reading.blocks["sensor_reports"]["start_us"].to_numpy()
    return [float(end) for end in (starts + REPORT_US) / 1e6 - BASE_S]


def test_a_clean_week_comes_in_whole(tmp_path: Path) -> None:
    """One block of one sample a report, ending at its time and known at its receipt; nothing rejected or mended."""
    reading = gather(read_factory_lora(week(tmp_path, report(15), report(30), report(15, sensor="sensor-2"))))

    blocks = reading.blocks["sensor_reports"]
    assert sorted(zip(blocks["asset_id"].to_pylist(), ends_s(reading), strict=True)) == [
        *(("sensor-1", 900.0), ("sensor-1", 1800.0), ("sensor-2", 900.0))
    ]
    assert blocks["known_us"].to_pylist() == [(BASE_S + s) * 1_000_000 for s in (900, 900, 1800)]
    assert reading.notes == {"event_time_from_device": 3}
    assert reading.rejected == {}
    good, refused = validate_blocks(blocks, SOURCES["sensor_reports"])
    assert (len(good), len(refused)) == (3, 0)


def test_each_channel_takes_its_own_column_in_its_own_unit(tmp_path: Path) -> None:
    """Every column sent lands in the channel of its name; temperature and battery are scaled by a thousand."""
    cells = {name: 1000 + number for number, name in enumerate(SENT)}

    (values,) = samples(gather(read_factory_lora(week(tmp_path, report(15, cells)))))

    for number, channel in enumerate(CHANNELS):
        scale = 1e-3 if channel in ("temperature", "battery") else 1.0
        assert values[number] == pytest.approx(cells[COLUMNS[channel]] * scale, rel=1e-15), channel
    assert COLUMNS["x_kurtosis"] == "XKurtosis"
    assert COLUMNS["z_velocity_rms"] == "ZOAVelocity"
    assert len(set(SENT)) == len(CHANNELS)


@pytest.mark.parametrize("years", [-4, -1, 3])
def test_a_clock_years_off_gives_way_to_the_receipt(tmp_path: Path, years: int) -> None:
    """No event lies years away, the choice of each report is told, and another sensor's clock is left alone."""
    off = years * 365 * 86_400
    reports = [report(15 * k, offset_s=off if k > 2 else 0) for k in range(1, 6)]
    other = [report(15 * k, sensor="sensor-2", offset_s=5) for k in range(1, 6)]

    reading = gather(read_factory_lora(week(tmp_path, *reports, *other)))

    clocks = reading.tables["clocks"].to_pylist()
    chosen = [row["choice"] for row in clocks if row["asset_id"] == "sensor-1"]
    assert chosen == ["device", "device", "receipt", "receipt", "receipt"]
    assert {row["choice"] for row in clocks if row["asset_id"] == "sensor-2"} == {"device"}
    assert sorted(ends_s(reading)) == sorted(900.0 * k for k in range(1, 6) for _ in range(2))
    assert reading.notes == {"clock_step": 1, "event_time_from_device": 7, "event_time_from_receipt": 3}
    assert [row["offset_us"] for row in clocks if row["asset_id"] == "sensor-1"][-1] == off * 1_000_000


def test_a_report_held_up_on_its_way_is_put_where_it_belongs(tmp_path: Path) -> None:
    """The clock runs 40 s ahead; the report received 90 s late lies 90 s before its receipt."""
    reports = [report(15 * k, offset_s=40) for k in (1, 2, 3)]
    reports[1] |= {"DeviceTime": reports[1]["DeviceTime"] - 90}

    reading = gather(read_factory_lora(week(tmp_path, *reports)))

    assert ends_s(reading) == [900.0, 1800.0 - 90.0, 2700.0]


def test_a_clock_is_followed_from_one_weekly_file_to_the_next(tmp_path: Path) -> None:
    """The files are one history in order of receipt, whatever their names: a delay across their border is seen."""
    week(tmp_path, *(report(15 * k, offset_s=40) for k in (1, 2)), name="vibrationdata_b.csv")
    late = report(45, offset_s=-20)

    reading = gather(read_factory_lora(week(tmp_path, late, name="vibrationdata_a.csv")))

    assert ends_s(reading) == [900.0, 1800.0, 2700.0 - 60.0]


@pytest.mark.parametrize("lost", ["Timestamp", "DeviceTime"])
def test_a_shifted_record_costs_itself_only(tmp_path: Path, lost: str) -> None:
    """A record that lost a time is put aside with what was left of it; those around it come in."""
    broken = {**report(20, dict.fromkeys(SENT)), lost: None, "SequenceNumber": 1_678_363_500}

    reading = gather(read_factory_lora(week(tmp_path, report(15), broken, report(30))))

    assert reading.rejected == {"shifted_record": 1}
    assert ends_s(reading) == [900.0, 1800.0]
    (reject,) = reading.rejects.to_pylist()
    record = json.loads(reject["raw"])
    assert (reject["asset_id"], record["SequenceNumber"]) == ("sensor-1", 1_678_363_500)
    assert lost not in record


def test_a_report_received_again_is_put_aside_and_a_wrapped_number_is_not(tmp_path: Path) -> None:
    """Same sensor, number and device time is a resend; the same number hours later, or of another sensor, is not."""
    first = report(15)
    resent = {**first, "Timestamp": first["Timestamp"] + 4000}
    wrapped = report(15 + 256)
    other = report(15, sensor="sensor-2")

    reading = gather(read_factory_lora(week(tmp_path, first, resent, wrapped, other)))

    assert wrapped["SequenceNumber"] == first["SequenceNumber"]
    assert reading.rejected == {"duplicate": 1}
    assert len(reading.blocks["sensor_reports"]) == 3
    assert json.loads(reading.rejects["raw"][0].as_py())["Timestamp"] == first["Timestamp"] + 4000


def test_a_resend_under_the_other_spelling_of_the_name_is_still_one(tmp_path: Path) -> None:
    """Names are made one before reports are compared; both spellings are counted as renamed or not."""
    first = report(15)
    again = {**first, "SensorID": "Sensor01", "Timestamp": first["Timestamp"] + 1}

    reading = gather(read_factory_lora(week(tmp_path, first, again)))

    assert reading.rejected == {"duplicate": 1}
    assert reading.notes["renamed"] == 1


def test_zero_is_not_measured_on_the_axes_that_are_not_and_a_value_elsewhere(tmp_path: Path) -> None:
    """Ten silent channels of Y and Z become NaN and are counted; an X of 0 and a Y velocity of 0 stay."""
    (values,) = samples(reading := gather(read_factory_lora(week(tmp_path, report(15, dict.fromkeys(SENT, 0))))))

    silent = {name for name, value in zip(CHANNELS, values, strict=True) if np.isnan(value)}
    assert silent == NOT_MEASURED.channels
    assert {name[0] for name in silent} == {"y", "z"}
    assert len(silent) == reading.notes["zero_not_measured"] == 10


def test_other_rules_may_be_declared(tmp_path: Path) -> None:
    """Which zeros, which names and which clocks are believed are the caller's to say."""
    rules = LoraRules(
        clock=ClockRule(tolerance_us=1_000_000),
        zeros=ZeroRule(channels=frozenset({"x_peak"})),
        names=AliasRule(aliases={"sensor-1": "press"}),
    )

    reading = gather(
        read_factory_lora(week(tmp_path, report(15, {"XPeakmg": 0, "YKurtosis": 0}, offset_s=2)), rules=rules)
    )

    (values,) = samples(reading)
    assert reading.blocks["sensor_reports"]["asset_id"].to_pylist() == ["press"]
    assert np.isnan(values[CHANNELS.index("x_peak")])
    assert values[CHANNELS.index("y_kurtosis")] == 0.0
    assert reading.notes == {"event_time_from_receipt": 1, "renamed": 1, "zero_not_measured": 1}


def test_an_empty_cell_is_nan_and_text_in_its_place_is_told(tmp_path: Path) -> None:
    """A report without a temperature still comes in; one with a word for it is an error with its column."""
    (values,) = samples(gather(read_factory_lora(week(tmp_path, report(15, {"TempHumiSenVal": None})))))
    assert np.isnan(values[CHANNELS.index("temperature")])

    with pytest.raises(InputError, match="TempHumiSenVal"):
        gather(read_factory_lora(week(tmp_path, report(15, {"TempHumiSenVal": "warm"}))))


@pytest.mark.parametrize("missing", ["Timestamp", "DeviceTime", "SequenceNumber", "SensorID", "XKurtosis"])
def test_a_week_without_a_column_is_told_by_file(tmp_path: Path, missing: str) -> None:
    """The error names the column that is not there and those that are."""
    week(tmp_path, report(15))
    file = tmp_path / "vibrationdata_1.csv"
    file.write_text(file.read_text().replace(missing, "other", 1))

    with pytest.raises(InputError, match=f"no column '{missing}'") as caught:
        gather(read_factory_lora(tmp_path))

    assert "vibrationdata_1.csv" in caught.value.where
    assert "other" in caught.value.fix


def test_a_time_that_is_no_number_is_told_by_line(tmp_path: Path) -> None:
    """A garbled receipt stops the file with its line instead of a failure further on."""
    with pytest.raises(InputError, match="'Timestamp' holds more than whole numbers") as caught:
        gather(read_factory_lora(week(tmp_path, report(15), {**report(30), "Timestamp": "16x"})))

    assert caught.value.where.endswith("vibrationdata_1.csv:3")


def states(folder: Path, text: str, name: str = "machinestatus_1.csv") -> Reading:
    """Return what a week of machine states gives."""
    content = text.encode()
    (folder / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    return gather(read_factory_lora(folder))


@pytest.mark.parametrize("name", ["machinestatus_1.csv", "machinestatus_1.csv.gz"])
def test_a_machine_is_running_stopped_unknown_or_somebody_elses(tmp_path: Path, name: str) -> None:
    """1 and 0 are states, -1 is unknown and counted, an empty cell makes no block: another unit tells that machine."""
    t = BASE_S * 1000
    text = f"Timestamp,UID,machine1,machine02\n{t},sensor1,1,\n{t},sensor2,,0\n{t + 60_000},sensor1,-1,\n"

    reading = states(tmp_path, text, name)

    blocks = reading.blocks["machine_states"].to_pylist()
    found = [
        (b["asset_id"], b["known_us"] // 1_000_000 - BASE_S, np.frombuffer(b["payload"], "<f8")[0]) for b in blocks
    ]
    np.testing.assert_array_equal([value for _, _, value in found], [1.0, 0.0, np.nan])
    assert [row[:2] for row in found] == [("machine-1", 0), ("machine-2", 0), ("machine-1", 60)]
    assert reading.notes == {"renamed": 3, "state_unknown": 1}
    assert reading.tables["senders"].to_pylist() == [
        {"asset_id": "machine-1", "sender": "sensor-1"},
        {"asset_id": "machine-2", "sender": "sensor-2"},
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Timestamp,UID\n1,a\n", "no column of a machine"),
        ("UID,machine1\na,1\n", "no column 'Timestamp'"),
        ("Timestamp,machine1\n1,1\n", "no column 'UID'"),
        ("Timestamp,UID,machine1\n,a,1\n", "'Timestamp' is empty"),
        ("Timestamp,UID,machine1\n1,a,on\n", "'machine1' holds more than numbers"),
    ],
)
def test_a_week_of_states_that_cannot_be_read_says_why(tmp_path: Path, text: str, words: str) -> None:
    """The file, the line, the column."""
    with pytest.raises(InputError, match=words) as caught:
        states(tmp_path, text)

    assert "machinestatus_1.csv" in caught.value.where
    assert caught.value.fix


def test_reports_come_before_states_whatever_the_files_are_called(tmp_path: Path) -> None:
    """One reading of all reports, then one a week of states; each fills its own source."""
    week(tmp_path, report(15))
    for number in (1, 2):
        (tmp_path / f"machinestatus_{number}.csv").write_text(f"Timestamp,UID,machine1\n{BASE_S}000,a,{number - 1}\n")

    found = list(read_factory_lora(tmp_path))

    assert [list(reading.blocks) for reading in found] == [["sensor_reports"], ["machine_states"], ["machine_states"]]
    assert [reading.block_count for reading in found] == [1, 1, 1]
