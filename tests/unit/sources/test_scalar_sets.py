"""C-MAPSS, IMS, NAB, SKAB, AI4I and the Azure logs come in with their published counts and their traps met."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lineshaft.errors import InputError
from lineshaft.sources.azure_pdm import read_azure_pdm
from lineshaft.sources.blocks import spans_us
from lineshaft.sources.cmapss import CYCLE_US, read_cmapss
from lineshaft.sources.logs import read_ai4i, read_ims, read_nab, read_skab
from lineshaft.sources.reading import gather
from lineshaft.sources.rules import RepeatRule, TemperatureRule
from lineshaft.sources.tabular import utc_us

EPOCH_US = utc_us("2000-01-01")


def values_of(blocks: pa.Table, channels: int) -> np.ndarray:
    """Return all samples of a table of f8 blocks as (readings, channels)."""
    parts = [np.frombuffer(payload, "<f8").reshape(channels, -1).T for payload in blocks["payload"].to_pylist()]
    return np.concatenate(parts)


def ends_of(blocks: pa.Table, channels: int) -> np.ndarray:
    """Return when each block ends."""
    samples = pc.binary_length(blocks["payload"]).to_numpy() // (8 * channels)
    return np.asarray(blocks["start_us"].to_numpy() + spans_us(samples, blocks["rate_hz"].to_numpy()))


def test_cmapss_rows_engines_and_remaining_lives_are_the_published_ones(data_root: Path) -> None:
    """FD001 and FD003 have 20631/13096 and 24720/16596 rows of 100 engines, RUL 7-145 and 6-145; gz is read too."""
    reading = gather(read_cmapss(data_root / "cmapss"))

    assert len(reading.blocks["turbofan_cycles"]) == 20_631 + 13_096 + 24_720 + 16_596
    truth = reading.tables["truth"].to_pylist()
    spans = {
        ("FD001", "test"): (7, 145),
        ("FD003", "test"): (6, 145),
        ("FD001", "train"): (0, 0),
        ("FD003", "train"): (0, 0),
    }
    for (subset, split), expected in spans.items():
        rul = [row["rul"] for row in truth if (row["subset"], row["split"]) == (subset, split)]
        assert (len(rul), min(rul), max(rul)) == (100, *expected)
    assert np.mean(
        [row["rul"] for row in truth if row["subset"] == "FD001" and row["split"] == "test"]
    ) == pytest.approx(75.52)


def test_cmapss_cycle_k_spans_hour_k(data_root: Path) -> None:
    """A window of 30 h is 30 cycles, whatever the engine; six channels never change."""
    reading = gather(read_cmapss(data_root / "cmapss", subsets=["FD001"], splits=["train"]))

    blocks = reading.blocks["turbofan_cycles"]
    mine = blocks.filter(pc.equal(blocks["asset_id"], "FD001-train-001"))
    assert mine["start_us"].to_pylist() == [EPOCH_US + k * CYCLE_US for k in range(192)]
    assert (ends_of(blocks, 24) % CYCLE_US == EPOCH_US % CYCLE_US).all()
    constant = np.flatnonzero(np.ptp(values_of(blocks, 24), axis=0) == 0)
    assert constant.tolist() == [2, *(2 + s for s in (1, 5, 10, 16, 18, 19))]


def test_a_cmapss_file_with_a_column_short_is_refused(tmp_path: Path) -> None:
    """25 columns are no C-MAPSS file."""
    (tmp_path / "train_FD001.txt").write_text(" ".join("1" * 25) + "\n")

    with pytest.raises(InputError, match="25 columns"):
        gather(read_cmapss(tmp_path))


def test_a_machine_switched_off_is_no_data(data_root: Path) -> None:
    """The last two of IMS's 984 rows are rejected as machine_off; the other 982 of four bearings come in."""
    reading = gather(read_ims(data_root / "ims"))

    assert reading.rejected == {"machine_off": 2}
    assert Counter(reading.blocks["ims_level"]["asset_id"].to_pylist()) == {f"bearing-{k}": 982 for k in range(1, 5)}
    assert [pc.min(values_of(reading.blocks["ims_level"], 1).ravel()).as_py() > 0.03]
    last = reading.rejects["start_us"].to_pylist()[-1]
    assert last + 600_000_000 == utc_us("2004-02-19 06:22:39")


@pytest.mark.parametrize(
    ("keep", "rows", "rejected", "value"),
    [
        ("sequence", 22_695, {}, None),
        ("first", 22_683, {"repeated_time": 12}, 94.423406),
        ("last", 22_683, {"repeated_time": 12}, 94.139723),
    ],
)
def test_nab_twelve_repeated_times_follow_the_declared_rule(
    data_root: Path, keep: str, rows: int, rejected: dict[str, int], value: float | None
) -> None:
    """Kept by sequence, or only the first or last value of each time: 12 either way, counted."""
    file = data_root / "nab" / "machine_temperature_system_failure.csv"

    rule, unit = RepeatRule(keep=keep), TemperatureRule(sent="degC")  # type: ignore[arg-type]
    reading = gather(read_nab(file, repeats=rule, unit=unit))

    blocks = reading.blocks["process_readings"]
    assert (len(blocks), reading.rejected) == (rows, rejected)
    assert reading.notes == {"repeated_time": 12, "unit_taken_for_degC": rows}
    assert sum(blocks["sequence"].to_pylist()) == (12 if keep == "sequence" else 0)
    assert (np.diff(blocks["start_us"].to_numpy()) >= 0).all()
    if value is not None:
        at = ends_of(blocks, 5).tolist().index(utc_us("2014-01-07 02:00:00"))
        assert np.frombuffer(blocks["payload"][at].as_py(), "<f8")[0] == pytest.approx(value)


def test_nab_has_four_labelled_windows_on_the_machine(data_root: Path) -> None:
    """The windows of the machine and of the office come beside their readings."""
    reading = gather(read_nab(data_root / "nab"))

    assert Counter(reading.tables["windows"]["asset_id"].to_pylist()) == {"machine": 4, "office": 2}
    assert reading.block_count == 22_695 + 7_267


def test_nab_states_no_unit_so_the_one_taken_is_declared_and_counted(data_root: Path) -> None:
    """Read as degF, as shipped, the office is a room of 14 to 30 degC, and every reading so read is counted."""
    reading = gather(read_nab(data_root / "nab"))

    blocks = reading.blocks["process_readings"]
    office = values_of(blocks.filter(pc.equal(blocks["asset_id"], "office")), 5)[:, 4]
    machine = values_of(blocks.filter(pc.equal(blocks["asset_id"], "machine")), 5)[:, 0]
    assert (office.min().round(1), office.max().round(1)) == (14.1, 30.1)
    assert (machine.min().round(1), machine.max().round(1)) == (-16.6, 42.5)
    assert reading.notes == {"repeated_time": 12, "unit_taken_for_degF": 29_962}


def test_skab_rows_labels_and_steps_are_counted(data_root: Path) -> None:
    """26,552 labelled rows of which 9,236 anomalous, 90 changepoints, 9,405 without labels, and each gap noted."""
    reading = gather(read_skab(data_root / "skab"))

    labels = reading.tables["labels"]
    assert len(values_of(reading.blocks["skab_loop"], 8)) == len(labels) == 26_552 + 9_405
    assert (pc.sum(labels["anomaly"]).as_py(), pc.sum(labels["changepoint"]).as_py()) == (9_236, 90)
    assert labels["anomaly"].null_count == 9_405
    assert len(set(labels["asset_id"].to_pylist())) == 25
    assert reading.notes == {"gap": 1_833}


def test_skab_blocks_end_before_a_gap_and_after_ten_seconds(data_root: Path) -> None:
    """No block spans a missing second or the end of ten: the windows of the loop are no longer."""
    blocks = gather(read_skab(data_root / "skab" / "other" / "2.csv")).blocks["skab_loop"]

    ends, starts = ends_of(blocks, 8), blocks["start_us"].to_numpy()
    assert (-(-(starts + 1_000_000) // 10_000_000) == -(-ends // 10_000_000)).all()
    assert (starts[1:] >= ends[:-1]).all()
    assert (starts[1:] - ends[:-1]).max() == 246_000_000


def test_ai4i_label_noise_is_told(data_root: Path) -> None:
    """10,000 rows behind a byte-order mark: 339 failures, 9 of them without a mode, 18 modes without a failure."""
    reading = gather(read_ai4i(data_root / "ai4i"))

    labels = reading.tables["labels"]
    assert len(values_of(reading.blocks["ai4i_rows"], 5)) == 10_000
    assert pc.sum(labels["failure"]).as_py() == 339
    assert [pc.sum(labels[mode]).as_py() for mode in ("TWF", "HDF", "PWF", "OSF", "RNF")] == [46, 115, 95, 98, 19]
    assert reading.notes == {"failure_without_mode": 9, "mode_without_failure": 18}
    assert int(ends_of(reading.blocks["ai4i_rows"], 5)[0]) == EPOCH_US + 60_000_000


def test_most_azure_replacements_are_preventive(data_root: Path) -> None:
    """Of 3,286 replacements 743 follow a failure; the other 2,543 are censored lives, not failures."""
    reading = gather(read_azure_pdm(data_root / "azure_pdm"))

    kinds = Counter(reading.tables["events"]["kind"].to_pylist())
    assert kinds == {"error": 3_919, "failure": 761, "corrective": 743, "preventive": 2_543}
    assert reading.block_count == 0
    assert len(reading.tables["machines"]) == 100
