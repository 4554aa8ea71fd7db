"""Readers of waveform records on made-up files: broken ones, records without a speed, clocks that pass midnight."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import io as matlab

from lineshaft.errors import InputError
from lineshaft.sources.femto import BEARING, RATE_HZ, read_femto
from lineshaft.sources.reading import Reading, gather
from lineshaft.sources.records import CWRU_BEARING, read_cwru, read_mfpt
from lineshaft.sources.tabular import utc_us

DAY = utc_us("2012-01-01")


def mat(folder: Path, name: str, **variables: Any) -> Path:
    """Write a MATLAB file and return its folder."""
    matlab.savemat(folder / name, variables)
    return folder


def samples(block: dict[str, Any]) -> list[float]:
    """Return a block's samples."""
    found: list[float] = np.frombuffer(block["payload"], "<f4" if block["dtype"] == "f4" else "<f8").tolist()
    return found


def blocks(reading: Reading, source: str = "vibration_blocks") -> list[dict[str, Any]]:
    """Return the blocks of a source."""
    found: list[dict[str, Any]] = reading.blocks[source].to_pylist()
    return found


RECORD = np.arange(10.0)[:, None] / 8


def test_a_record_is_cut_into_blocks_that_follow_each_other(tmp_path: Path) -> None:
    """Ten samples in blocks of four: the last is shorter, the times are those of the samples, nothing is rounded."""
    mat(tmp_path, "12k_Drive_End_IR007_0_105.mat", X105_DE_time=RECORD, X105_FE_time=RECORD, X105RPM=[[1797]])

    first, second, third = blocks(gather(read_cwru(tmp_path, block_samples=4)))

    assert [len(samples(b)) for b in (first, second, third)] == [4, 4, 2]
    assert samples(first) + samples(second) + samples(third) == RECORD.ravel().tolist()
    assert [b["start_us"] - first["start_us"] for b in (second, third)] == [round(4e6 / 12_000), round(8e6 / 12_000)]
    assert {(b["asset_id"], b["position"], b["bearing"]) for b in (first, second, third)} == {
        ("IR_105", "drive_end", CWRU_BEARING)
    }
    assert first["shaft_hz"] == pytest.approx(1797 / 60)


@pytest.mark.parametrize(
    ("name", "asset"),
    [
        ("normal_0_97.mat", "normal_97"),
        ("12k_Drive_End_OR007@6_0_130.mat", "OR_130"),
        ("12k_Drive_End_B021_3_225.mat", "B_225"),
        ("my own record.mat", "my own record"),
    ],
)
def test_an_asset_is_called_after_its_fault_and_number(tmp_path: Path, name: str, asset: str) -> None:
    """Names of the set are shortened, others are kept."""
    (block,) = blocks(gather(read_cwru(mat(tmp_path, name, X097_DE_time=RECORD, X097RPM=[[1796]]))))

    assert block["asset_id"] == asset


@pytest.mark.parametrize("speed", [{}, {"X097RPM": np.zeros((0, 0))}])
def test_a_record_without_a_speed_comes_in_without_one(tmp_path: Path, speed: dict[str, Any]) -> None:
    """Absent or empty, the shaft speed is unknown and the file is noted; limits shorten what is read."""
    reading = gather(read_cwru(mat(tmp_path, "normal_0_97.mat", X097_DE_time=RECORD, **speed), limit_samples=3))

    (block,) = blocks(reading)
    assert (block["shaft_hz"], len(samples(block)), reading.notes) == (None, 3, {"no_speed": 1})


@pytest.mark.parametrize("record", [{"X097_FE_time": RECORD}, {"X097_DE_time": np.zeros((0, 1))}, {"other": RECORD}])
def test_a_file_without_the_position_asked_for_is_refused(tmp_path: Path, record: dict[str, Any]) -> None:
    """Another position, an empty record or none: the error says what was asked for."""
    with pytest.raises(InputError, match="none of the positions") as caught:
        gather(read_cwru(mat(tmp_path, "normal_0_97.mat", **record)))

    assert "drive_end" in caught.value.fix


def test_a_matlab_file_cut_off_anywhere_is_refused_with_its_name(tmp_path: Path) -> None:
    """In the header, in a variable's head or in its numbers: one error of ours, never one of the library's."""
    mat(tmp_path, "normal_0_97.mat", X097_DE_time=RECORD, X097RPM=[[1796]])
    whole = (tmp_path / "normal_0_97.mat").read_bytes()

    for size in (0, 3, 60, 100, 127, 130, 140, 200, len(whole) - 60):
        (tmp_path / "normal_0_97.mat").write_bytes(whole[:size])
        with pytest.raises(InputError) as caught:
            gather(read_cwru(tmp_path))
        assert "normal_0_97.mat" in caught.value.where, size


@pytest.mark.parametrize(
    ("bearing", "what"),
    [
        (None, "no struct 'bearing'"),
        ({"gs": RECORD, "rate": 25.0}, "no sr"),
        ({"sr": 48_828.0, "rate": 25.0}, "no gs"),
        ({"gs": np.zeros(0), "sr": 48_828.0, "rate": 25.0}, "no gs"),
        ({"gs": RECORD, "sr": 48_828.0, "rate": 0.0}, "no shaft speed"),
        ({"gs": RECORD, "sr": 48_828.0, "rate": np.zeros(0)}, "no rate"),
    ],
)
def test_an_mfpt_file_that_lacks_a_part_says_which(tmp_path: Path, bearing: Any, what: str) -> None:
    """Samples, sampling rate and shaft speed are all needed."""
    variables = {"x": 1.0} if bearing is None else {"bearing": bearing}

    with pytest.raises(InputError, match=what):
        gather(read_mfpt(mat(tmp_path, "baseline_1.mat", **variables)))


@pytest.mark.parametrize(
    ("stored", "notes"), [(10.14, {}), (10.3, {}), (10.4, {"stored_ftf_disagrees": 1}), (None, {})]
)
def test_a_stored_cage_frequency_is_compared_and_not_used(
    tmp_path: Path, stored: float | None, notes: dict[str, int]
) -> None:
    """Within two per cent of 10.14 Hz it agrees; beyond it the file is counted; absent it is not missed."""
    extra = {} if stored is None else {"FTF": stored}
    bearing = {"gs": RECORD, "sr": 48_828.0, "rate": 25.0}

    reading = gather(read_mfpt(mat(tmp_path, "baseline_1.mat", bearing=bearing, **extra)))

    (block,) = blocks(reading)
    assert dict(reading.notes) == notes
    assert (block["asset_id"], block["rate_hz"], block["shaft_hz"]) == ("baseline_1", 48_828.0, 25.0)


def packed(folder: Path, seconds: list[float], name: str = "Bearing1_2.npz") -> Path:
    """Write a packed life of two samples an axis and snapshot."""
    milli = np.arange(len(seconds) * 4, dtype=np.int16).reshape(len(seconds), 2, 2)
    np.savez(folder / name, acc_milli_g=milli, t_first_sample_s_of_day=np.array(seconds))
    return folder


def test_a_packed_life_is_two_blocks_a_snapshot(tmp_path: Path) -> None:
    """Samples of both axes apart, in g, at their second of the day, with the bearing and the speed of its condition."""
    first, second, third, fourth = blocks(gather(read_femto(packed(tmp_path, [10.0, 20.5]), full_scale=50.0)))

    assert [b["position"] for b in (first, second, third, fourth)] == ["horizontal", "vertical"] * 2
    np.testing.assert_allclose([samples(first), samples(second)], [[0, 0.002], [0.001, 0.003]], rtol=1e-6)
    assert (first["start_us"], third["start_us"]) == (DAY + 10_000_000, DAY + 20_500_000)
    assert (first["shaft_hz"], first["bearing"], first["rate_hz"], first["full_scale"]) == (
        30.0,
        BEARING,
        RATE_HZ,
        50.0,
    )


def test_a_life_that_passes_midnight_goes_on(tmp_path: Path) -> None:
    """Seconds of the day fall back to 0 and time does not."""
    starts = [b["start_us"] for b in blocks(gather(read_femto(packed(tmp_path, [86_390.0, 0.0, 10.0]))))][::2]

    assert [(start - DAY) // 1_000_000 for start in starts] == [86_390, 86_400, 86_410]


def not_packed() -> bytes:
    """Return an archive that holds something else."""
    buffer = io.BytesIO()
    np.savez(buffer, other=np.ones(3))
    return buffer.getvalue()


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut off", not_packed()])
def test_a_life_that_cannot_be_read_costs_itself_only(tmp_path: Path, content: bytes) -> None:
    """It is rejected with its name; the other bearings come in."""
    packed(tmp_path, [1.0], "Bearing3_1.npz")
    (tmp_path / "Bearing1_1.npz").write_bytes(content)

    reading = gather(read_femto(tmp_path))

    assert reading.rejected == {"unreadable_file": 1}
    assert reading.rejects["asset_id"].to_pylist() == ["Bearing1_1"]
    assert {block["asset_id"] for block in blocks(reading)} == {"Bearing3_1"}


def raw(folder: Path, number: int, text: str, kind: str = "acc") -> None:
    """Write one raw file of a bearing."""
    (folder / f"Bearing1_2_{kind}_{number:05d}.csv").write_text(text)


def test_raw_files_of_both_dialects_are_read_and_broken_ones_put_aside(tmp_path: Path) -> None:
    """Commas or semicolons; an empty file, a column short or a word costs that file; the fraction is microseconds."""
    raw(tmp_path, 1, "9,39,39,250000,0.5,-0.1\n9,39,39,250039,0.25,0.1\n")
    raw(tmp_path, 2, "9;39;49;0;1.5;2\n")
    for number, text in ((3, ""), (4, "9,39,59,0,1\n"), (5, "9,40,9,0,high,1\n"), (6, "9,40,19,0,1,\n")):
        raw(tmp_path, number, text)

    reading = gather(read_femto(tmp_path))

    found = [(b["position"], b["start_us"] - DAY, samples(b)) for b in blocks(reading)]
    first, second = ((9 * 60 + 39) * 60 + 39) * 1_000_000 + 250_000, ((9 * 60 + 39) * 60 + 49) * 1_000_000
    assert found == [
        ("horizontal", first, [0.5, 0.25]),
        ("vertical", first, [pytest.approx(-0.1), pytest.approx(0.1)]),
        ("horizontal", second, [1.5]),
        ("vertical", second, [2.0]),
    ]
    assert sum(reading.rejected.values()) == 4
    assert set(reading.rejected) == {"unreadable_file", "incomplete_file"}


def test_temperatures_are_readings_at_tenths_of_a_second(tmp_path: Path) -> None:
    """A reading stamped t closes the tenth that ends at t."""
    raw(tmp_path, 1, "9,0,0,1,45.5\n9,0,0,2,46\n", kind="temp")

    (block,) = blocks(gather(read_femto(tmp_path)), "process_readings")

    assert block["start_us"] == DAY + 9 * 3600 * 1_000_000
    assert samples(block)[:2] == [45.5, 46.0]
    assert block["rate_hz"] == 10.0


def test_a_packed_life_is_not_read_from_its_raw_files_too(tmp_path: Path) -> None:
    """The same bearing in both forms is read once, and the raw files are counted."""
    packed(tmp_path, [1.0])
    raw(tmp_path, 1, "9,39,39,0,0.5,-0.1\n")

    reading = gather(read_femto(tmp_path))

    assert (len(blocks(reading)), reading.notes) == (2, {"raw_file_also_packed": 1})


def test_a_raw_file_is_told_by_its_folder_or_refused(tmp_path: Path) -> None:
    """The challenge keeps the bearing's name in the folder; without it nobody knows whose samples they are."""
    (tmp_path / "Bearing2_4").mkdir()
    (tmp_path / "Bearing2_4" / "acc_00001.csv").write_text("9,39,39,0,0.5,-0.1\n")

    assert {b["asset_id"] for b in blocks(gather(read_femto(tmp_path)))} == {"Bearing2_4"}
    (tmp_path / "Bearing2_4").rename(tmp_path / "mine")
    with pytest.raises(InputError, match="which bearing"):
        gather(read_femto(tmp_path))
