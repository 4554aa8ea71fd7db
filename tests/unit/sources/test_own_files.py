"""Own files at their worst: every mistake costs at most its own line, and an error says where and how to mend it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from lineshaft.errors import InputError
from lineshaft.sources.catalogue import SOURCES
from lineshaft.sources.checks import validate_blocks
from lineshaft.sources.files import read_files
from lineshaft.sources.reading import Reading, gather
from lineshaft.specs import Source

VIBRATION, PROCESS = SOURCES["vibration_blocks"], SOURCES["process_readings"]
TWO = Source(name="two", channels=("x", "y"), units=("g", "g"))
BASE = 1_714_979_289_000_000  # 2024-05-06T07:08:09Z
SECOND = 1_000_000


def read(folder: Path, text: str, source: Source | None = PROCESS, **options: Any) -> Reading:
    """Return what reading one CSV file of this text gives."""
    (folder / "mine.csv").write_text(text)
    return gather(read_files(folder / "mine.csv", source=source, **options))


def refused(folder: Path, text: str, source: Source | None = PROCESS) -> InputError:
    """Return the error that this text is refused with."""
    with pytest.raises(InputError) as caught:
        read(folder, text, source)
    return caught.value


def readings(reading: Reading, source: Source = PROCESS) -> list[tuple[str, str, int, int, list[float]]]:
    """Return (asset, position, end, sequence, values of the channels) of every reading, in order of the blocks."""
    found = []
    for block in reading.blocks[source.name].to_pylist():
        samples = np.frombuffer(block["payload"], "<f8").reshape(len(source.channels), -1)
        period = round(SECOND / block["rate_hz"])
        for number, values in enumerate(samples.T.tolist()):
            end = block["start_us"] + period * (number + 1)
            found.append((block["asset_id"], block["position"], end, block["sequence"], values))
    return found


WAVES = "asset_id,start,rate_hz,samples"


@pytest.mark.parametrize("rate", ["", "0", "-5", "nan", "inf"])
def test_a_waveform_without_a_rate_is_put_aside_alone(tmp_path: Path, rate: str) -> None:
    """Counted as bad_rate with its line; the lines around it come in."""
    lines = [f"{WAVES}", "a,2024-05-06 07:08:09,10,1 2", f"b,2024-05-06,{rate},3 4", "c,2024-05-06,10,5 6 7"]

    reading = read(tmp_path, "\n".join(lines), VIBRATION)

    assert reading.rejected == {"bad_rate": 1}
    (reject,) = reading.rejects.to_pylist()
    assert (reject["asset_id"], json.loads(reject["raw"])["line"]) == ("b", 3)
    assert reading.blocks["vibration_blocks"]["asset_id"].to_pylist() == ["a", "c"]


def test_lines_put_aside_say_which_they_were(tmp_path: Path) -> None:
    """Asset, line and time of a waveform without samples; where both are wrong it counts once, as uneven."""
    text = f"{WAVES}\na,2024-05-06 07:08:09,10,\nb,2024-05-06 07:08:09,0,\n"

    reading = read(tmp_path, text, VIBRATION)

    assert reading.rejected == {"uneven_channels": 2}
    assert reading.blocks == {}
    assert [(row["asset_id"], row["start_us"]) for row in reading.rejects.to_pylist()] == [("a", BASE), ("b", BASE)]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (f"{WAVES},shaft_hz\na,2024-05-06,10,1,30\na,2024-05-06,10,1,fast\n", 3, "shaft_hz"),
        (f"{WAVES},full_scale\na,2024-05-06,10,1,5g\n", 2, "full_scale"),
        (f"{WAVES},sequence\na,2024-05-06,10,1,0\na,2024-05-06,10,1,1.5\n", 3, "sequence"),
        (f"{WAVES}\na,2024-05-06,quick,1\n", 2, "rate_hz"),
        (f"{WAVES}\na,2024-05-06,10,1\n,2024-05-06,10,1,\n", 0, "cannot read a table"),
        (f"{WAVES}\na,2024-05-06,10,1\na,06.05.2024,10,1\n", 3, "start"),
        (f"{WAVES},known_at\na,2024-05-06,10,1,2024-05-06\na,2024-05-06,10,1,\n", 3, "known_at"),
        (f"{WAVES},samples\na,2024-05-06,10,1,2\n", 1, "stands there twice"),
        ("asset_id,start,rate_hz\na,2024-05-06,10\n", 1, "no column 'samples'"),
        ("asset_id,rate_hz,samples\na,10,1\n", 1, "no column 'start'"),
        (f"{WAVES},shaft\na,2024-05-06,10,1,2\n", 1, "'shaft' has no place"),
    ],
)
def test_a_mistake_among_waveforms_is_told_by_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    """Each cell of a waveform's line is checked, and the error names it."""
    error = refused(tmp_path, text, VIBRATION)

    assert words in error.what
    assert error.fix
    assert error.where.endswith(f"mine.csv:{line}" if line else "mine.csv")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("asset_id,event_time,channel,value\na,,temperature,1\n", 2, "event_time"),
        ("asset_id,event_time,channel,value\na,2024-05-06,temperature,1\na,2024-05-06,,1\n", 3, "no channel ''"),
        ("asset_id,event_time,channel,value\na,2024-05-06,temperature,warm\n", 2, "value"),
        ("asset_id,event_time,channel,value,note\na,2024-05-06,temperature,1,x\n", 1, "'note' has no place"),
        ("event_time,channel,value\n2024-05-06,temperature,1\n", 1, "no column 'asset_id'"),
        ("asset_id,event_time,temperature,sequence\na,2024-05-06,1,first\n", 2, "sequence"),
        ("asset_id,event_time,temperature,temperature\na,2024-05-06,1,2\n", 1, "twice"),
    ],
)
def test_a_mistake_among_readings_is_told_by_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    """Long or wide, the line and the column are named."""
    error = refused(tmp_path, text)

    assert words in error.what
    assert error.where.endswith(f"mine.csv:{line}")


def test_a_channel_told_twice_in_a_long_table_is_kept_twice_and_counted(tmp_path: Path) -> None:
    """Neither reading wins: both come in, told apart by sequence, as they would from a wide table."""
    text = "asset_id,event_time,channel,value\n"
    text += (
        "a,2024-05-06 07:08:09,temperature,1\na,2024-05-06 07:08:09,temperature,2\na,2024-05-06 07:08:09,current,3\n"
    )

    reading = read(tmp_path, text)

    assert reading.notes == {"repeated_time": 1}
    found = readings(reading)
    assert [row[3] for row in found] == [0, 1]
    np.testing.assert_array_equal([row[4][:2] for row in found], [[1.0, 3.0], [2.0, np.nan]])


def test_one_moment_spelt_two_ways_is_one_line_of_a_long_table(tmp_path: Path) -> None:
    """Times are compared as moments, not as text."""
    text = "asset_id,event_time,channel,value\n"
    text += "a,2024-05-06T09:08:09+02:00,temperature,1\na,2024-05-06 07:08:09,current,3\n"

    ((asset, _, end, _, values),) = readings(read(tmp_path, text))

    assert (asset, end, values[:2]) == ("a", BASE, [1.0, 3.0])


def test_long_lines_of_other_places_stay_apart(tmp_path: Path) -> None:
    """Asset, position, time and sequence make a line; the latest receipt of its parts is when it was known."""
    head = "asset_id,position,event_time,known_at,sequence,channel,value\n"
    rows = [
        "a,de,2024-05-06 07:08:09,2024-05-06 07:08:10,0,temperature,1",
        "a,nde,2024-05-06 07:08:09,2024-05-06 07:08:10,0,temperature,2",
        "a,de,2024-05-06 07:08:09,2024-05-06 07:08:19,0,current,3",
        "a,de,2024-05-06 07:08:09,2024-05-06 07:08:11,7,temperature,4",
        "b,de,2024-05-06 07:08:09,2024-05-06 07:08:12,,temperature,5",
    ]

    reading = read(tmp_path, head + "\n".join(rows) + "\n")

    found = [(asset, position, sequence, values[:1]) for asset, position, _, sequence, values in readings(reading)]
    assert found == [("a", "de", 0, [1]), ("a", "de", 7, [4]), ("a", "nde", 0, [2]), ("b", "de", 0, [5])]
    known = reading.blocks["process_readings"]["known_us"].to_pylist()
    assert [(at - BASE) // SECOND for at in known] == [10, 2, 1, 3]


values = st.one_of(st.none(), st.integers(-9, 9))
tables = st.lists(
    st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 5), st.lists(values, min_size=2, max_size=2)), max_size=14
)


@settings(max_examples=40, deadline=None)
@given(rows=tables, order=st.randoms(use_true_random=False))
def test_a_wide_table_loses_no_reading_whatever_its_order(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int, list[int | None]]], order: Any
) -> None:
    """Every line comes out once, at its asset and time; repeats are numbered in the order of the file and counted."""
    order.shuffle(rows)
    lines = ["asset_id,event_time,temperature,current"]
    for asset, second, cells in rows:
        told = ",".join("" if cell is None else str(cell) for cell in cells)
        lines.append(f"{asset},2024-05-06 00:00:0{second},{told}")

    reading = read(tmp_path_factory.mktemp("wide"), "\n".join(lines) + "\n")

    start = BASE - (7 * 3600 + 8 * 60 + 9) * SECOND
    seen: dict[tuple[str, int], int] = {}
    expected = []
    for asset, second, cells in rows:
        number = seen[asset, second] = seen.get((asset, second), -1) + 1
        expected.append((asset, start + second * SECOND, number, [float("nan") if v is None else v for v in cells]))
    found = [(a, end, n, v[:2]) for a, _, end, n, v in readings(reading)] if reading.blocks else []
    assert sorted(map(repr, found)) == sorted(repr((a, e, n, [float(x) for x in v])) for a, e, n, v in expected)
    assert reading.notes.get("repeated_time", 0) == len(rows) - len(seen)


@pytest.mark.parametrize(
    "assets",
    [pa.array([7, 7]), pa.array(["7", "7"]).dictionary_encode(), pa.array(["7", "7"], pa.large_string())],
    ids=["numbers", "categories", "large strings"],
)
def test_assets_of_a_parquet_file_are_names_however_they_were_typed(tmp_path: Path, assets: pa.Array) -> None:
    """Numbers, categories and the strings other libraries write all name the asset."""
    times = pa.array([BASE, BASE + SECOND], pa.timestamp("us", tz="UTC"))
    parquet.write_table(
        pa.table(
            {"asset_id": assets, "position": pa.nulls(2, pa.string()), "event_time": times, "temperature": [1, 2]}
        ),
        tmp_path / "a.parquet",
    )

    reading = gather(read_files(tmp_path, source=PROCESS))

    assert [row[:2] for row in readings(reading)] == [("7", ""), ("7", "")]


def test_nan_beside_a_waveform_means_unknown(tmp_path: Path) -> None:
    """Libraries that know no null write NaN: the block comes in with its shaft speed and full scale unknown."""
    columns = {
        "asset_id": ["a", "b"],
        "start": pa.array([BASE, BASE], pa.timestamp("us")),
        "rate_hz": [2.0, 2.0],
        "samples": [[1.0, 2.0], [3.0, 4.0]],
        "shaft_hz": [np.nan, 30.0],
        "full_scale": [np.nan, 5.0],
    }
    parquet.write_table(pa.table(columns), tmp_path / "w.parquet")

    blocks = gather(read_files(tmp_path)).blocks["vibration_blocks"]

    assert blocks["shaft_hz"].to_pylist() == [None, 30.0]
    assert blocks["full_scale"].to_pylist() == [None, 5.0]
    assert validate_blocks(blocks, VIBRATION)[1].num_rows == 0


def test_absurd_times_come_in_and_are_stopped_at_the_door(tmp_path: Path) -> None:
    """Seconds since 1970 read as microseconds, and a year 9999, are rejected with a reason instead of believed."""
    text = "asset_id,event_time,known_at,temperature\n"
    text += "a,1970-01-01 00:28:34,2024-05-06,1\na,9999-12-31,2024-05-06,2\na,2024-05-06,2024-05-06,3\n"

    good, rejects = validate_blocks(read(tmp_path, text).blocks["process_readings"], PROCESS)

    assert rejects["reason"].to_pylist() == ["before_history", "from_the_future"]
    assert good.num_rows == 1


def test_channels_of_a_waveform_are_read_as_they_were_written(tmp_path: Path) -> None:
    """A channel whose cells look like numbers or times to a reader of CSV is still a list of samples."""
    text = "asset_id,start,rate_hz,x,y\na,2024-05-06,10,1,2\nb,2024-05-06,10,1 2 3,4;5;6\n"

    blocks = read(tmp_path, text, TWO).blocks["two"].to_pylist()

    assert [np.frombuffer(block["payload"], "<f4").tolist() for block in blocks] == [[1, 2], [1, 2, 3, 4, 5, 6]]


def test_every_file_of_a_folder_is_one_reading_in_order_of_name(tmp_path: Path) -> None:
    """CSV and Parquet side by side; a file without a line makes no block."""
    head = "asset_id,event_time,temperature\n"
    (tmp_path / "b.csv").write_text(head + "b,2024-05-06,1\n")
    (tmp_path / "c.csv").write_text(head)
    times = pa.array([BASE], pa.timestamp("us"))
    parquet.write_table(
        pa.table({"asset_id": ["a"], "event_time": times, "temperature": [1.0]}), tmp_path / "a.parquet"
    )

    found = list(read_files(tmp_path, source=PROCESS))

    assert [sorted(reading.blocks) for reading in found] == [["process_readings"], ["process_readings"], []]
    assert [reading.block_count for reading in found] == [1, 1, 0]


@pytest.mark.parametrize(("period_s", "blocks", "rate_hz"), [(1.0, 1, 1.0), (2.0, 3, 0.5), (0.5, 3, 2.0)])
def test_readings_one_period_apart_share_a_block(tmp_path: Path, period_s: float, blocks: int, rate_hz: float) -> None:
    """Each reading speaks for the period that ends at its time, so the first begins a period before it."""
    text = "asset_id,event_time,temperature\n" + "".join(f"a,2024-05-06 00:00:0{s},{s}\n" for s in (1, 2, 3))

    table = read(tmp_path, text, period_s=period_s).blocks["process_readings"]

    assert (len(table), table["rate_hz"][0].as_py()) == (blocks, rate_hz)
    midnight = BASE - (7 * 3600 + 8 * 60 + 9) * SECOND
    assert table["start_us"][0].as_py() == midnight + SECOND - round(period_s * SECOND)


@pytest.mark.parametrize(
    ("head", "cells", "what", "fix"),
    [
        ("temprature,current", "1,2", "no source", "did you mean 'temperature' for 'temprature'?"),
        ("temperature,torque", "1,2", "no source has the channels temperature, torque", "name the source"),
        ("current,pressure", "1,2", "more than one source", "process_readings, skab_loop"),
    ],
)
def test_a_source_is_guessed_only_if_one_fits(tmp_path: Path, head: str, cells: str, what: str, fix: str) -> None:
    """A misspelt channel is answered with the nearest; channels of two sources with both; a mixture with the list."""
    error = refused(tmp_path, f"asset_id,event_time,{head}\na,2024-05-06,{cells}\n", None)

    assert what in error.what
    assert fix in error.fix
    assert error.where.endswith("mine.csv:1")
