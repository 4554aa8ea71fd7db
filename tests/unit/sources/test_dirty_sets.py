"""Readers of public logs on small made-up files: what is odd costs itself only, what is broken is told by file."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.errors import InputError
from lineshaft.sources.azure_pdm import read_azure_pdm
from lineshaft.sources.catalogue import SOURCES
from lineshaft.sources.cmapss import CYCLE_US, read_cmapss
from lineshaft.sources.logs import SKAB_COLUMNS, read_ai4i, read_ims, read_nab, read_skab
from lineshaft.sources.reading import Reading, gather
from lineshaft.sources.rules import RepeatRule, TemperatureRule
from lineshaft.sources.tabular import utc_us

MINUTE = 60_000_000
CELSIUS = TemperatureRule(sent="degC")
EPOCH = utc_us("2000-01-01")
IMS = ",Bearing 1,Bearing 2\n"
NAB = "machine_temperature_system_failure.csv"
SKAB = ";".join(["datetime", *SKAB_COLUMNS, "anomaly", "changepoint"])
AI4I = "UDI,Product ID,Type,Air temperature [K],Process temperature [K],Rotational speed [rpm],Torque [Nm],"
AI4I += "Tool wear [min],Machine failure,TWF,HDF,PWF,OSF,RNF"
AZURE = {
    "PdM_maint.csv": "datetime,machineID,comp\n2015-01-05 06:00:00,1,comp4\n2015-01-05 06:00:00,1,comp1\n",
    "PdM_failures.csv": "datetime,machineID,failure\n2015-01-05 06:00:00,1,comp4\n2015-01-05 06:00:00,2,comp1\n",
    "PdM_errors.csv": "datetime,machineID,errorID\n2015-01-03 07:00:00,1,error1\n",
    "PdM_machines.csv": "machineID,model,age\n1,model3,18\n2,model1,4\n",
}


def read(reader: Callable[..., Any], folder: Path, files: Mapping[str, str | bytes], **options: Any) -> Reading:
    """Return what a reader makes of a folder with these files."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return gather(reader(folder, **options))


def values(reading: Reading, source: str) -> list[list[float]]:
    """Return every reading of a source as one list a reading, channel by channel."""
    channels = len(SOURCES[source].channels)
    found = []
    for payload in reading.blocks[source]["payload"].to_pylist():
        found += np.frombuffer(payload, "<f8").reshape(channels, -1).T.tolist()
    return found


def cycle(unit: object, number: object, first: float = 1.0) -> str:
    """Return one line of C-MAPSS: engine, cycle, 24 numbers."""
    return " ".join(map(str, [unit, number, first, *[2.0] * 23])) + "\n"


BROKEN: list[tuple[Any, ...]] = [
    ("ims without a bearing", read_ims, {"ims_x.csv": "time\n2004-02-12\n"}, "ims_x.csv:1", "no column but the time"),
    ("ims with text", read_ims, {"ims_x.csv": IMS + "2004-02-12,0.1,high\n"}, "ims_x.csv:2", "Bearing 2"),
    ("ims cut off", read_ims, {"ims_x.csv": IMS + "2004-02-12,0.1\n"}, "ims_x.csv", "cannot read a table"),
    ("no nab file", read_nab, {"x_temperature_system_failure.csv": "timestamp,value\n"}, "", "no file matches"),
    ("nab without values", read_nab, {NAB: "timestamp,temp\n2014-01-01,1\n"}, f"{NAB}:1", "no column 'value'"),
    ("nab without a time", read_nab, {NAB: "timestamp,value\n2014-01-01,1\n,2\n"}, f"{NAB}:3", "no time"),
    (
        *("nab with broken windows", read_nab),
        *({NAB: "timestamp,value\n2014-01-01,1\n", "windows.json": "{"}, "windows.json", "labelled windows"),
    ),
    (
        *("nab with odd windows", read_nab),
        {NAB: "timestamp,value\n2014-01-01,1\n", "windows.json": json.dumps({f"realKnownCause/{NAB}": [["soon"]]})},
        *("windows.json", "labelled windows"),
    ),
    (
        *("skab a channel short", read_skab),
        {"valve1/0.csv": SKAB.replace("Current;", "") + "\n2020-03-09 10:14:33;1;2;4;5;6;7;8;0;0\n"},
        *("0.csv:1", "no column 'Current'"),
    ),
    ("skab with commas", read_skab, {"valve1/0.csv": SKAB.replace(";", ",") + "\n"}, "0.csv:1", "no column 'datetime'"),
    ("ai4i without a number", read_ai4i, {"ai4i.csv": f"{AI4I}\n,M1,M,{'1,' * 10}0\n"}, "ai4i.csv:2", "'UDI' is empty"),
    ("ai4i half a number", read_ai4i, {"ai4i.csv": f"{AI4I}\n1.5,M1,M,{'1,' * 10}0\n"}, "ai4i.csv:2", "whole numbers"),
    (
        "azure without errors",
        read_azure_pdm,
        {"PdM_maint.csv": AZURE["PdM_maint.csv"]},
        "PdM_errors.csv",
        "cannot read",
    ),
    (
        *("azure without ages", read_azure_pdm, {**AZURE, "PdM_machines.csv": "machineID,model\n1,model3\n"}),
        *("PdM_machines.csv:1", "no column 'age'"),
    ),
    ("cmapss empty", read_cmapss, {"train_FD001.txt": ""}, "train_FD001.txt", "holds no numbers"),
    ("cmapss of words", read_cmapss, {"train_FD001.txt": "a b\n"}, "train_FD001.txt", "cannot read numbers"),
    (
        "cmapss cut in a line",
        read_cmapss,
        {"train_FD001.txt": cycle(1, 1) + "1 2 3\n"},
        "train_FD001.txt",
        "cannot read",
    ),
    ("cmapss without an engine", read_cmapss, {"train_FD001.txt": cycle("nan", 1)}, "train_FD001.txt", "has no number"),
    (
        *("cmapss cut off", read_cmapss, {"train_FD001.txt.gz": gzip.compress((cycle(1, 1) * 999).encode())[:-40]}),
        *("train_FD001.txt.gz", "cannot read numbers"),
    ),
    (
        *("cmapss with an empty truth", read_cmapss, {"test_FD001.txt": cycle(1, 1), "RUL_FD001.txt": ""}),
        *("RUL_FD001.txt", "holds no numbers"),
    ),
    (
        *("cmapss with a truth of words", read_cmapss, {"test_FD001.txt": cycle(1, 1), "RUL_FD001.txt": "many\n"}),
        *("RUL_FD001.txt", "cannot read numbers"),
    ),
    (
        *("cmapss with another truth", read_cmapss, {"test_FD001.txt": cycle(1, 1), "RUL_FD001.txt": "5\n6\n"}),
        *("FD001-test-001", "2 remaining lives for 1 engines"),
    ),
]


@pytest.mark.parametrize(
    ("reader", "files", "where", "what"), [case[1:] for case in BROKEN], ids=[c[0] for c in BROKEN]
)
def test_a_broken_file_is_told_by_its_name_and_how_to_mend_it(
    tmp_path: Path, reader: Callable[..., Any], files: dict[str, str | bytes], where: str, what: str
) -> None:
    """No reader fails with an error of a library, and none takes half a file for a whole one."""
    with pytest.raises(InputError, match=what) as caught:
        read(reader, tmp_path, files)

    assert where in caught.value.where
    assert caught.value.fix


def test_a_machine_that_stands_is_rejected_row_by_row(tmp_path: Path) -> None:
    """Only a row whose every bearing is silent is no data; the limit itself is still a reading."""
    rows = ["2004-02-12 10:10:00,0.1,0.2", "2004-02-12 10:20:00,0.003,0.0039", "2004-02-12 10:30:00,0.003,0.004"]

    reading = read(read_ims, tmp_path, {"ims_x.csv": IMS + "\n".join(rows) + "\n"})

    assert reading.rejected == {"machine_off": 1}
    assert reading.rejects["start_us"].to_pylist() == [utc_us("2004-02-12 10:10:00")]
    assert reading.blocks["ims_level"]["asset_id"].to_pylist() == ["bearing-1"] * 2 + ["bearing-2"] * 2
    assert values(reading, "ims_level") == [[0.1], [0.003], [0.2], [0.004]]
    assert read(read_ims, tmp_path, {}, off_below_g=1.0).rejected == {"machine_off": 3}


@pytest.mark.parametrize(
    ("keep", "kept", "rejected"),
    [
        ("sequence", [1.0, 2.0, 3.0], {}),
        ("first", [1.0, 3.0], {"repeated_time": 1}),
        ("last", [2.0, 3.0], {"repeated_time": 1}),
    ],
)
def test_a_clock_that_goes_back_tells_a_time_twice(
    tmp_path: Path, keep: Any, kept: list[float], rejected: dict[str, int]
) -> None:
    """The declared rule decides which readings stay; either way the repeat is counted."""
    rows = "2014-01-01 00:05:00,1\n2014-01-01 00:10:00,3\n2014-01-01 00:05:00,2\n"

    reading = read(read_nab, tmp_path, {NAB: "timestamp,value\n" + rows}, repeats=RepeatRule(keep=keep), unit=CELSIUS)

    assert [row[0] for row in values(reading, "process_readings")] == kept
    assert (reading.rejected, reading.notes) == (
        rejected,
        {"repeated_time": 1, "unit_taken_for_degC": len(kept)},
    )
    assert len(reading.tables["windows"]) == 0


def test_the_office_is_another_asset_with_another_channel(tmp_path: Path) -> None:
    """Each series has its own asset, period and channel, and its own labelled windows."""
    head = "timestamp,value\n2014-01-01 01:00:00,70\n"
    windows = {f"realKnownCause/{NAB}": [["2014-01-02 00:00:00", "2014-01-03"]]}
    files = {NAB: head, NAB.replace("machine", "ambient"): head, "windows.json": json.dumps(windows)}

    reading = read(read_nab, tmp_path, files, unit=CELSIUS)

    blocks = {block["asset_id"]: block for block in reading.blocks["process_readings"].to_pylist()}
    assert [utc_us("2014-01-01 01:00:00") - blocks[name]["start_us"] for name in ("machine", "office")] == [
        *(5 * MINUTE, 60 * MINUTE)
    ]
    office, machine = values(reading, "process_readings")  # ambient comes before machine, by name
    np.testing.assert_array_equal([office[4], machine[0]], [70.0, 70.0])
    assert np.isnan([office[0], machine[4]]).all()
    (window,) = reading.tables["windows"].to_pylist()
    assert (window["asset_id"], window["end_time"].isoformat()) == ("machine", "2014-01-03T00:00:00+00:00")


def test_channels_of_skab_are_found_by_name_in_any_order(tmp_path: Path) -> None:
    """Columns turned round land in their own channels; a missing second is a gap; labels may be absent."""
    turned = ";".join(["datetime", *reversed(SKAB_COLUMNS)])
    row = "2020-03-09 10:14:3{0};" + ";".join(str(number) for number in range(8, 0, -1))
    text = "\n".join([turned, row.format(3), row.format(4), row.format(6)]) + "\n"

    reading = read(read_skab, tmp_path, {"valve1/0.csv": text, "anomaly-free/anomaly-free.csv": text})

    assert values(reading, "skab_loop") == [[1, 2, 3, 4, 5, 6, 7, 8]] * 6
    assert reading.notes == {"gap": 2}
    assert set(reading.blocks["skab_loop"]["asset_id"].to_pylist()) == {"valve1-0", "anomaly-free"}
    assert reading.tables["labels"]["anomaly"].null_count == 6


def test_rows_of_ai4i_become_minutes_by_their_number(tmp_path: Path) -> None:
    """Row 3 is minute 3 whatever its place; failures without a mode and modes without a failure are counted."""
    rows = [f"3,M3,L,300,310,1500,40,5,1,{'0,' * 4}0", f"1,M1,M,298,308,1551,42.8,0,0,1,{'0,' * 3}0"]

    reading = read(read_ai4i, tmp_path, {"ai4i2020.csv": "\ufeff" + "\n".join([AI4I, *rows]) + "\n"})

    assert reading.blocks["ai4i_rows"]["start_us"].to_pylist() == [EPOCH + 2 * MINUTE, EPOCH]
    assert values(reading, "ai4i_rows") == [[300, 310, 1500, 40, 5], [298, 308, 1551, 42.8, 0]]
    assert reading.notes == {"failure_without_mode": 1, "mode_without_failure": 1}
    assert reading.tables["labels"]["failure"].to_pylist() == [True, False]
    assert reading.tables["labels"]["TWF"].to_pylist() == [False, True]


def test_a_replacement_is_corrective_only_if_that_part_of_that_machine_failed_then(tmp_path: Path) -> None:
    """Another part, or another machine, at the same hour is no reason: the life is censored."""
    reading = read(read_azure_pdm, tmp_path, AZURE)

    events = {(row["asset_id"], row["kind"], row["code"]) for row in reading.tables["events"].to_pylist()}
    assert events == {
        ("machine-1", "error", "error1"),
        ("machine-1", "failure", "comp4"),
        ("machine-2", "failure", "comp1"),
        ("machine-1", "corrective", "comp4"),
        ("machine-1", "preventive", "comp1"),
    }
    assert reading.notes == {"corrective_replacement": 1, "preventive_replacement": 1}
    times = reading.tables["events"]["event_time"].to_pylist()
    assert times == sorted(times)
    assert reading.tables["machines"].to_pylist()[1] == {"asset_id": "machine-2", "model": "model1", "age_years": 4}


def test_without_any_failure_every_replacement_is_preventive(tmp_path: Path) -> None:
    """An empty log of failures is an answer too."""
    reading = read(read_azure_pdm, tmp_path, {**AZURE, "PdM_failures.csv": "datetime,machineID,failure\n"})

    assert reading.notes == {"corrective_replacement": 0, "preventive_replacement": 2}


def test_engines_of_a_test_file_have_the_lives_their_truth_says(tmp_path: Path) -> None:
    """Cycle k is hour k; the last cycle given and what remains after it; without the truth it is unknown, not 0."""
    rows = cycle(1, 1) + cycle(1, 2, 7.0) + cycle(2, 1)
    told = read(
        read_cmapss, tmp_path, {"test_FD001.txt": rows, "RUL_FD001.txt": "112\n98\n", "train_FD001.txt": cycle(1, 1)}
    )
    (tmp_path / "RUL_FD001.txt").unlink()
    untold = gather(read_cmapss(tmp_path, splits=["test"]))

    lives = [(row["asset_id"], row["cycles"], row["rul"]) for row in told.tables["truth"].to_pylist()]
    assert lives == [("FD001-test-001", 2, 112.0), ("FD001-test-002", 1, 98.0), ("FD001-train-001", 1, 0.0)]
    assert [row["rul"] for row in untold.tables["truth"].to_pylist()] == [None, None]
    starts = told.blocks["turbofan_cycles"]["start_us"].to_pylist()
    assert starts[:3] == [EPOCH, EPOCH + CYCLE_US, EPOCH]
    assert values(told, "turbofan_cycles")[1][:2] == [7.0, 2.0]


def test_a_cycle_that_is_missing_is_noted_and_kept_in_its_hour(tmp_path: Path) -> None:
    """A jump within an engine counts, the step to the next engine does not; a packed copy is not read twice."""
    rows = cycle(1, 1) + cycle(1, 4) + cycle(2, 1)
    files: dict[str, str | bytes] = {"train_FD001.txt": rows, "train_FD001.txt.gz": gzip.compress(rows.encode())}

    reading = read(read_cmapss, tmp_path, files)

    assert reading.notes == {"cycle_not_consecutive": 1}
    assert reading.blocks["turbofan_cycles"]["start_us"].to_pylist() == [EPOCH, EPOCH + 3 * CYCLE_US, EPOCH]


def test_only_the_subsets_asked_for_are_read(tmp_path: Path) -> None:
    """By subset and by split; a file of another name given by path is refused."""
    names = [f"{split}_{subset}.txt" for split in ("train", "test") for subset in ("FD001", "FD002")]

    reading = read(read_cmapss, tmp_path, dict.fromkeys(names, cycle(1, 1)), subsets=["FD002"], splits=["train"])

    assert set(reading.blocks["turbofan_cycles"]["asset_id"].to_pylist()) == {"FD002-train-001"}
    (tmp_path / "other.txt").write_text(cycle(1, 1))
    with pytest.raises(InputError, match="not a C-MAPSS file"):
        gather(read_cmapss(tmp_path / "other.txt"))


def test_readings_gathered_keep_every_account() -> None:
    """Blocks, tables, rejects and notes of all parts, by name; nothing gathered is an empty account."""
    one = Reading(notes={"a": 1}, tables={"t": pa.table({"x": [1]})})
    two = Reading(notes={"a": 2, "b": 1}, tables={"t": pa.table({"x": [2]}), "u": pa.table({"y": [3]})})

    both, none = gather([one, two]), gather([])

    assert both.notes == {"a": 3, "b": 1}
    assert both.tables["t"]["x"].to_pylist() == [1, 2]
    assert both.tables["u"].num_rows == 1
    assert (none.rejected, none.block_count, dict(none.notes)) == ({}, 0, {})
