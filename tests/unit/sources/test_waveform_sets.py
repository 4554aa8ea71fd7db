"""FEMTO, CWRU and MFPT come in exactly as their files hold them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.errors import InputError
from lineshaft.sources.catalogue import SOURCES
from lineshaft.sources.checks import validate_blocks
from lineshaft.sources.femto import read_femto
from lineshaft.sources.reading import gather
from lineshaft.sources.records import read_cwru, read_mfpt
from lineshaft.sources.tabular import utc_us
from lineshaft.specs.bearings import Bearing

# signals.md 2.1: first 2048 drive-end samples: mean, rms, peak, Pearson kurtosis
CWRU_VECTORS = {
    "normal_97": (0.012005, 0.073256, 0.272869, 2.954176),
    "IR_105": (0.015558, 0.288746, 1.482708, 5.508837),
    "B_118": (0.015751, 0.134602, 0.481783, 2.899283),
    "OR_130": (0.034303, 0.671590, 3.547583, 7.672676),
}
CWRU_LENGTHS = {"normal_97": 243_938, "IR_105": 121_265, "B_118": 122_571, "OR_130": 121_991}


def samples_of(block: dict[str, object]) -> np.ndarray:
    """Return a one-channel block's samples as float64."""
    return np.frombuffer(block["payload"], f"<{block['dtype']}").astype(np.float64)  # type: ignore[call-overload,no-any-return]


def test_femto_holds_two_lives_of_871_and_515_snapshots(data_root: Path) -> None:
    """Both lives come in whole: two positions a snapshot, 2,560 samples each, ten seconds apart."""
    blocks = gather(read_femto(data_root / "femto")).blocks["vibration_blocks"]

    good, rejects = validate_blocks(blocks, SOURCES["vibration_blocks"])
    assert len(rejects) == 0
    for asset, snapshots, shaft_hz in (("Bearing1_2", 871, 30.0), ("Bearing3_1", 515, 25.0)):
        mine = good.filter(pa.compute.equal(good["asset_id"], asset))
        assert mine["position"].to_pylist() == ["horizontal", "vertical"] * snapshots
        assert set(mine["shaft_hz"].to_pylist()) == {shaft_hz}
        assert set(np.diff(mine["start_us"].to_numpy()[::2]).tolist()) == {10_000_000}
        assert set(pa.compute.binary_length(mine["payload"]).to_pylist()) == {2560 * 4}


def test_femto_values_are_milli_g_to_the_last_bit(data_root: Path) -> None:
    """Every float32 sample rounds back to the integer in the file."""
    blocks = (
        gather(read_femto(data_root / "femto"))
        .blocks["vibration_blocks"]
        .filter(pa.compute.field("asset_id") == "Bearing3_1")
    )

    with np.load(data_root / "femto" / "Bearing3_1.npz") as arrays:
        sent = arrays["acc_milli_g"]
    found = np.frombuffer(b"".join(blocks["payload"].to_pylist()), "<f4").reshape(515, 2, 2560)
    assert np.array_equal(np.rint(found.astype(np.float64) * 1000).astype(np.int32), np.moveaxis(sent, 2, 1))


def test_femto_raw_files_of_both_dialects_equal_the_packed_life(data_root: Path) -> None:
    """The comma files give the packed blocks again, bit for bit, and the semicolon file is read too."""
    raw = gather(read_femto(data_root / "femto" / "raw_samples"))
    packed = gather(read_femto(data_root / "femto" / "Bearing1_2.npz")).blocks["vibration_blocks"].to_pylist()

    blocks = raw.blocks["vibration_blocks"].to_pylist()
    by_key = {(block["position"], block["start_us"]): block for block in packed}
    comma = [block for block in blocks if block["asset_id"] == "Bearing1_2"]
    assert len(comma) == 8
    assert all(by_key[block["position"], block["start_us"]] == block for block in comma)
    assert [block["position"] for block in blocks if block["asset_id"] == "Bearing1_4"] == ["horizontal", "vertical"]
    assert raw.rejected == {}


def test_femto_temperatures_are_600_readings_that_cross_one_minute(data_root: Path) -> None:
    """The temperature file becomes process readings; channels it lacks are NaN."""
    blocks = gather(read_femto(data_root / "femto" / "raw_samples")).blocks["process_readings"].to_pylist()

    values = np.concatenate([np.frombuffer(block["payload"], "<f8").reshape(5, -1) for block in blocks], axis=1)
    assert values.shape == (5, 600)
    assert values[0, 0] == 70.036
    assert np.isnan(values[1:]).all()
    assert len(blocks) == 2


def test_femto_passing_midnight_goes_on_to_the_next_day(tmp_path: Path) -> None:
    """Files carry no date: the hour going back is taken for midnight."""
    for number, hour in enumerate(("23,59,55", "0,0,5", "0,0,15"), start=1):
        rows = "\n".join(f"{hour},1.9691e+05,{n / 1000},0" for n in range(4))
        (tmp_path / f"Bearing1_7_acc_{number:05d}.csv").write_text(rows + "\n")

    blocks = gather(read_femto(tmp_path)).blocks["vibration_blocks"]

    starts = (blocks["start_us"].to_numpy()[::2] - utc_us("2012-01-01")) / 1e6
    assert starts.tolist() == pytest.approx([86_395.19691, 86_405.19691, 86_415.19691])


def test_a_torn_femto_file_costs_itself_only(tmp_path: Path, data_root: Path) -> None:
    """A truncated or garbled file is rejected with a reason and the rest is read."""
    for number in ("00001", "00400", "00800"):
        shutil.copy(data_root / "femto" / "raw_samples" / f"Bearing1_2_acc_{number}.csv", tmp_path)
    (tmp_path / "Bearing1_2_acc_00400.csv").write_text("9,53,35,1.9691e+05,-0.5,0.024\n9,53,35,1.96")
    (tmp_path / "Bearing1_2_acc_00900.csv").write_bytes(b"\x00\xff not a table")

    reading = gather(read_femto(tmp_path))

    assert reading.rejected == {"unreadable_file": 2}
    assert reading.block_count == 4


def test_cwru_records_are_whole_and_keep_their_lengths(data_root: Path) -> None:
    """Each record is one block of float64 at 12 kHz; the normal one is twice as long and still 12 kHz."""
    blocks = gather(read_cwru(data_root / "cwru")).blocks["vibration_blocks"].to_pylist()

    assert {block["asset_id"]: len(samples_of(block)) for block in blocks} == CWRU_LENGTHS
    assert {block["rate_hz"] for block in blocks} == {12_000.0}
    assert {block["asset_id"]: round(block["shaft_hz"] * 60) for block in blocks}["normal_97"] == 1796


def test_cwru_first_samples_give_the_test_vectors(data_root: Path) -> None:
    """`limit_samples=2048` gives the stretch on which the definitions are checked."""
    blocks = gather(read_cwru(data_root / "cwru", limit_samples=2048)).blocks["vibration_blocks"].to_pylist()

    for block in blocks:
        x = samples_of(block)
        centred = x - x.mean()
        found = (x.mean(), np.sqrt((x * x).mean()), np.abs(x).max(), (centred**4).mean() / (centred**2).mean() ** 2)
        assert found == pytest.approx(CWRU_VECTORS[block["asset_id"]], abs=5.1e-7)


def test_cwru_cut_into_blocks_loses_no_sample(data_root: Path) -> None:
    """Blocks of 2,048 follow each other and the last is shorter."""
    whole = gather(read_cwru(data_root / "cwru")).blocks["vibration_blocks"].to_pylist()
    cut = gather(read_cwru(data_root / "cwru", block_samples=2048)).blocks["vibration_blocks"].to_pylist()

    for record in whole:
        mine = [block for block in cut if block["asset_id"] == record["asset_id"]]
        assert b"".join(block["payload"] for block in mine) == record["payload"]
        assert len(mine) == -(-CWRU_LENGTHS[record["asset_id"]] // 2048)
        ends = [block["known_us"] for block in mine[:-1]]
        assert np.abs(np.array(ends) - [block["start_us"] for block in mine[1:]]).max() <= 1


def test_cwru_positions_are_read_on_request_and_carry_no_foreign_bearing(data_root: Path) -> None:
    """The drive-end geometry is not given to the fan end, which has another bearing; the normal record has no base."""
    positions = ("drive_end", "fan_end", "base")

    blocks = gather(read_cwru(data_root / "cwru", positions=positions, limit_samples=8)).blocks["vibration_blocks"]

    found = [(block["position"], block["bearing"] is not None) for block in blocks.to_pylist()]
    assert sorted(set(found)) == [("base", False), ("drive_end", True), ("fan_end", False)]
    assert len(found) == 4 + 4 + 3


def test_mfpt_stored_cage_frequency_is_not_believed(data_root: Path) -> None:
    """Both records are read at 48,828 Hz; the wrong FTF they store is counted and the geometry is used."""
    reading = gather(read_mfpt(data_root / "mfpt"))

    blocks = reading.blocks["vibration_blocks"].to_pylist()
    assert [len(samples_of(block)) for block in blocks] == [146_484, 146_484]
    assert {(block["rate_hz"], block["shaft_hz"]) for block in blocks} == {(48_828.0, 25.0)}
    assert 25 * Bearing.parse(blocks[0]["bearing"]).ftf == pytest.approx(10.1406, abs=5e-5)
    assert reading.notes == {"stored_ftf_disagrees": 2}


def test_mfpt_kurtosis_tells_the_inner_record(data_root: Path) -> None:
    """The kurtosis of the two records is 51.05 and 4.56."""
    for block, expected in zip(
        gather(read_mfpt(data_root / "mfpt")).blocks["vibration_blocks"].to_pylist(), (51.05, 4.56), strict=True
    ):
        x = samples_of(block)
        x = x - x.mean()
        assert (x**4).mean() / (x**2).mean() ** 2 == pytest.approx(expected, abs=0.005)


def test_a_broken_matlab_file_says_which(tmp_path: Path) -> None:
    """The error names the file."""
    (tmp_path / "normal_0_97.mat").write_bytes(b"MATLAB 5.0" + b"\0" * 300)

    with pytest.raises(InputError) as caught:
        gather(read_cwru(tmp_path))

    assert "normal_0_97.mat" in caught.value.where
