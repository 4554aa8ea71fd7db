"""A user's own files become blocks, and a mistake in them is told by file, line and column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from lineshaft.errors import InputError
from lineshaft.sources.catalogue import SOURCES
from lineshaft.sources.files import read_files
from lineshaft.sources.reading import Reading, gather
from lineshaft.specs import Source

VIBRATION, PROCESS = SOURCES["vibration_blocks"], SOURCES["process_readings"]
BASE = 1_714_979_289_000_000  # 2024-05-06T07:08:09Z


def read(tmp_path: Path, text: str, source: Source = PROCESS, **options: object) -> Reading:
    """Return what reading one CSV file of this text gives."""
    file = tmp_path / "mine.csv"
    file.write_text(text)
    return gather(read_files(file, source=source, **options))  # type: ignore[arg-type]


def test_waveforms_of_unlike_lengths_keep_their_order(tmp_path: Path) -> None:
    """A line is a block, whatever the length of the one before."""
    lines = ["asset_id,position,start,rate_hz,samples,shaft_hz,bearing"]
    lines += ["p1,de,2024-05-06 07:08:09,1000,1 2 3,29.5,", 'p2,,2024-05-06T09:08:10+02:00,2000,4;5,,"9,1,4,0"']

    reading = read(tmp_path, "\n".join(lines), VIBRATION)

    first, second = reading.blocks["vibration_blocks"].to_pylist()
    assert (first["asset_id"], first["position"], first["start_us"], first["shaft_hz"]) == ("p1", "de", BASE, 29.5)
    assert np.frombuffer(first["payload"], "<f4").tolist() == [1, 2, 3]
    assert (second["position"], second["start_us"], second["bearing"]) == ("", BASE + 1_000_000, "9,1,4,0")


def test_parquet_lists_of_float32_come_through_bit_for_bit(tmp_path: Path) -> None:
    """A Parquet file of waveforms loses nothing."""
    samples = np.random.default_rng(5).standard_normal((3, 64)).astype(np.float32)
    times = pa.array([BASE, BASE + 1, BASE + 2], pa.timestamp("us", tz="UTC"))
    table = pa.table({"asset_id": ["a"] * 3, "start": times, "rate_hz": [100.0] * 3, "samples": list(samples)})
    parquet.write_table(table, tmp_path / "w.parquet")

    reading = gather(read_files(tmp_path, source=VIBRATION))

    found = [np.frombuffer(payload, "<f4") for payload in reading.blocks["vibration_blocks"]["payload"].to_pylist()]
    assert np.array_equal(np.stack(found), samples)


def test_wide_and_long_tables_of_the_same_readings_give_the_same_blocks(tmp_path: Path) -> None:
    """The layout is a matter of taste."""
    wide = "asset_id,event_time,temperature,current\na,2024-05-06 07:08:09,20.5,3\na,2024-05-06 07:08:10,21,\n"
    long = "asset_id,event_time,channel,value\na,2024-05-06 07:08:09,temperature,20.5\n"
    long += "a,2024-05-06 07:08:10,temperature,21\na,2024-05-06 07:08:09,current,3\n"

    tables = [read(tmp_path, text).blocks["process_readings"] for text in (wide, long)]

    assert tables[0].equals(tables[1])
    assert np.frombuffer(tables[0]["payload"][0].as_py(), "<f8").reshape(5, 2)[:2].tolist()[0] == [20.5, 21.0]


def test_a_time_told_twice_is_kept_twice_and_counted(tmp_path: Path) -> None:
    """Repeated times are told apart by sequence."""
    text = "asset_id,event_time,temperature\na,2024-05-06 07:08:09,1\na,2024-05-06 07:08:09,2\n"

    reading = read(tmp_path, text)

    assert reading.blocks["process_readings"]["sequence"].to_pylist() == [0, 1]
    assert reading.notes == {"repeated_time": 1}


def test_known_at_is_the_time_of_receipt(tmp_path: Path) -> None:
    """A file that says when a reading arrived is believed."""
    text = "asset_id,event_time,known_at,temperature\na,2024-05-06 07:08:09,2024-05-06 07:08:39,1\n"

    assert read(tmp_path, text).blocks["process_readings"]["known_us"].to_pylist() == [BASE + 30_000_000]


MISTAKES = [
    ("asset_id,event_time,temprature\na,2024-05-06,1\n", "mine.csv:1", "did you mean 'temperature'"),
    ("asset_id,temperature\na,1\n", "mine.csv:1", "asset_id, event_time"),
    ("asset_id,event_time\na,2024-05-06\n", "mine.csv:1", "temperature"),
    ("asset_id,event_time,temperature\na,yesterday,1\n", "mine.csv:2", "write times as"),
    ("asset_id,event_time,temperature\na,2024-05-06,1\na,,1\n", "mine.csv:3", "fill it"),
    ("asset_id,event_time,temperature\na,2024-05-06,1\n,2024-05-06,1\n", "", ""),
    ("asset_id,event_time,channel,value\na,2024-05-06,heat,1\n", "mine.csv:2", "temperature"),
    ("asset_id,event_time,temperature\na,2024-05-06,1\na,2024-05-06,warm\n", "mine.csv:3", "numbers"),
    ("asset_id,event_time,temperature\na,2024-05-06\n", "mine.csv", "same number of fields"),
]


@pytest.mark.parametrize(("text", "where", "fix"), MISTAKES)
def test_a_mistake_is_told_with_its_place_and_its_cure(tmp_path: Path, text: str, where: str, fix: str) -> None:
    """An error names file, line and column, and what to do; an empty asset is rejected at the door instead."""
    if not where:
        assert "" in read(tmp_path, text).blocks["process_readings"]["asset_id"].to_pylist()
        return
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)

    assert where in caught.value.where
    assert fix in caught.value.fix


def test_a_waveform_cell_that_is_no_number_is_found(tmp_path: Path) -> None:
    """The line of the bad cell is told."""
    text = "asset_id,start,rate_hz,samples\na,2024-05-06,10,1 2\na,2024-05-06,10,1 x\n"

    with pytest.raises(InputError) as caught:
        read(tmp_path, text, VIBRATION)

    assert caught.value.where.endswith("mine.csv:3")


def test_a_block_whose_channels_differ_in_length_is_rejected_and_counted(tmp_path: Path) -> None:
    """A broken line costs itself only."""
    source = Source(name="two", channels=("x", "y"), units=("g", "g"))
    text = "asset_id,start,rate_hz,x,y\na,2024-05-06,10,1 2,3 4\na,2024-05-07,10,1 2,3\na,2024-05-08,10,,\n"

    reading = read(tmp_path, text, source)

    assert reading.block_count == 1
    assert reading.rejected == {"uneven_channels": 2}


def test_unknown_columns_can_be_left_out_by_name(tmp_path: Path) -> None:
    """What has no place is left out only when asked."""
    text = "asset_id,event_time,temperature,operator\na,2024-05-06,1,Ann\n"

    assert read(tmp_path, text, ignore=("operator",)).block_count == 1


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("asset_id,event_time,temperature,current,ambient\na,2024-05-06,1,2,3\n", "process_readings"),
        ("asset_id,event_time,running\na,2024-05-06,1\n", "machine_states"),
        ("asset_id,start,rate_hz,samples\na,2024-05-06,10,1 2\n", "vibration_blocks"),
        ("asset_id,event_time,channel,value\na,2024-05-06,flow_rate_rms,1\n", "skab_loop"),
    ],
)
def test_the_source_follows_from_the_channels_a_file_names(tmp_path: Path, text: str, name: str) -> None:
    """A user need not name the source where only one has his channels."""
    (tmp_path / "mine.csv").write_text(text)

    assert set(gather(read_files(tmp_path)).blocks) == {name}


@pytest.mark.parametrize(
    ("channel", "what", "fix"),
    [
        ("temperature", "more than one source", "process_readings, sensor_reports, skab_loop"),
        ("temprature", "no source", "did you mean 'temperature'"),
        ("colour", "no source", "vibration_blocks"),
    ],
)
def test_a_doubtful_source_is_asked_for(tmp_path: Path, channel: str, what: str, fix: str) -> None:
    """Where several sources fit, or none, the error lists them."""
    (tmp_path / "mine.csv").write_text(f"asset_id,event_time,{channel}\na,2024-05-06,1\n")

    with pytest.raises(InputError, match=what) as caught:
        gather(read_files(tmp_path))

    assert fix in caught.value.fix
