"""Faults of a waveform sensor planted on a real bearing's life: each is met before the raw store has a block of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from lineshaft.specs import BLOCK_SCHEMA

SNAPSHOTS = 120
HALF = SNAPSHOTS // 2
G = 9.80665
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US

Waves = npt.NDArray[np.float64]
OfWaves = Callable[[Waves], Waves]
OfBlocks = Callable[[dict[str, Any]], dict[str, Any]]


def still(waves: Waves) -> Waves:
    """Let the sensor say its last value for ever."""
    return np.broadcast_to(waves[:1, :1] + 7, waves.shape).copy()


def torn(waves: Waves) -> Waves:
    """Lose a fifth of each snapshot."""
    waves[:, 1000:1512] = np.nan
    return waves


def frozen(waves: Waves) -> Waves:
    """Repeat the last value where samples were dropped."""
    waves[:, 500:900] = waves[:, 499:500]
    return waves


def clipped(waves: Waves) -> Waves:
    """Cut off at one standard deviation."""
    edge = np.rint(waves.std(axis=1, keepdims=True))
    return np.clip(waves, -edge, edge)


WAVES: dict[str, OfWaves] = {
    "swapped units: m/s2 for g": lambda waves: waves * G,
    "swapped units: mg for g": lambda waves: waves * 1000,
    "stuck sensor": still,
    "zeroed sensor": lambda waves: waves * 0,
    "clipped at one sd": clipped,
    "clipped at three sd": lambda waves: np.clip(
        waves, *(np.rint(k * waves.std(axis=1, keepdims=True)) for k in (-3, 3))
    ),
    "clipped by an amplifier, at 0.9 g": lambda waves: np.clip(waves, -900, 900),
    "NaN bursts, a fifth of each snapshot": torn,
    "dropped samples, the last value repeated": frozen,
    "calibration step of 15 %": lambda waves: waves * 1.15,
    "offset of 3 g": lambda waves: waves + 3000,
    "infinite samples": lambda waves: np.where(np.arange(waves.shape[1])[None, :, None] == 7, np.inf, waves),
}
"""What is done to the second half of a life, in thousandths of g as the file has it."""

BLOCKS: dict[str, OfBlocks] = {
    "rate changed: 12.8 kHz said": lambda row: {**row, "rate_hz": 12_800.0},
    "dropped samples: shorter blocks": lambda row: {**row, "payload": row["payload"][: 4 * 2048]},
    "clock 4 years slow": lambda row: {**row, "start_us": row["start_us"] - 1461 * DAY_US},
    "clock 4 years fast": lambda row: {**row, "start_us": row["start_us"] + 1461 * DAY_US},
    "future rows, by two days": lambda row: {**row, "start_us": row["start_us"] + 2 * DAY_US},
    "wrong time zone, ahead by 2 h": lambda row: {**row, "start_us": row["start_us"] + 2 * HOUR_US},
    "wrong time zone, behind by 2 h": lambda row: {**row, "start_us": row["start_us"] - 2 * HOUR_US},
    "bytes in the wrong order": lambda row: {
        **row,
        "payload": np.frombuffer(row["payload"], ">f4").astype("<f4").tobytes(),
    },
    "payload cut off": lambda row: {**row, "payload": row["payload"][:-3]},
    "asset not named": lambda row: {**row, "asset_id": ""},
    "geometry of no bearing": lambda row: {**row, "bearing": "13,35,25.6,0"},
}
"""What is done to each block of the second half, as its sender would."""


def life(folder: Path, data_root: Path, change: OfWaves | None = None) -> Path:
    """Write the first snapshots of a real life, the second half of them changed."""
    with np.load(data_root / "femto" / "Bearing3_1.npz") as arrays:
        waves, seconds = arrays["acc_milli_g"][:SNAPSHOTS], arrays["t_first_sample_s_of_day"][:SNAPSHOTS]
    if change is not None:
        later = change(waves[HALF:].astype(np.float64))
        waves = np.concatenate([waves[:HALF], later])
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "Bearing3_1.npz", acc_milli_g=waves, t_first_sample_s_of_day=seconds)
    return folder


def second_half(change: OfBlocks) -> Callable[[pa.Table], pa.Table]:
    """Return what changes the blocks of the second half."""

    def spoil(table: pa.Table) -> pa.Table:
        rows = table.to_pylist()
        return pa.Table.from_pylist(rows[: 2 * HALF] + [change(row) for row in rows[2 * HALF :]], schema=BLOCK_SCHEMA)

    return spoil


@pytest.fixture(scope="module")
def clean(bench: Any, data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Take the clean snapshots in."""
    return bench.take_in(life(tmp_path_factory.mktemp("clean") / "femto", data_root), "femto")


def test_nothing_is_held_of_the_clean_life(clean: Any) -> None:
    """Two blocks a snapshot, none rejected, none held."""
    assert len(clean.blocks) == 2 * SNAPSHOTS
    assert clean.signs() == {}


@pytest.mark.parametrize("fault", WAVES)
def test_a_spoilt_waveform_is_stopped(bench: Any, clean: Any, data_root: Path, tmp_path: Path, fault: str) -> None:
    """Planted in the file: the door says so, and not one spoilt block is stored; the first half is, all of it."""
    spoilt = bench.take_in(life(tmp_path / "femto", data_root, WAVES[fault]), "femto")

    caught = bench.compare(fault, "FEMTO", clean, spoilt)

    assert (caught.where in {"rejected", "held"}, caught.leaks) == (True, 0), caught
    assert len(spoilt.blocks) == len(clean.blocks) // 2


@pytest.mark.parametrize("fault", BLOCKS)
def test_a_block_that_says_wrong_things_of_itself_is_stopped(
    bench: Any, clean: Any, data_root: Path, tmp_path: Path, fault: str
) -> None:
    """Planted between the reader and the door, as by a gateway: the second half is stopped, the first is stored."""
    spoilt = bench.take_in(life(tmp_path / "femto", data_root), "femto", spoil=second_half(BLOCKS[fault]), label=fault)

    caught = bench.compare(fault, "FEMTO", clean, spoilt)

    assert (caught.where in {"rejected", "held"}, caught.leaks) == (True, 0), caught
    assert len(spoilt.blocks) >= len(clean.blocks) // 2


def test_a_file_cut_off_is_stopped(bench: Any, clean: Any, data_root: Path, tmp_path: Path) -> None:
    """Half of a packed life is no life: the file is put aside by name."""
    path = life(tmp_path / "femto", data_root) / "Bearing3_1.npz"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    caught = bench.compare("truncated file", "FEMTO", clean, bench.take_in(path.parent, "femto"))

    assert (caught.where, caught.leaks) == ("rejected", 0)


def test_blocks_sent_twice_with_other_samples_are_stopped(
    bench: Any, clean: Any, data_root: Path, tmp_path: Path
) -> None:
    """A repeat changes nothing; one that contradicts what was sent under the same key and receipt is held."""

    def contradict(table: pa.Table) -> pa.Table:
        halved = [np.frombuffer(cell, "<f4")[::-1].tobytes() for cell in table["payload"].to_pylist()]
        other = table.set_column(7, BLOCK_SCHEMA.field("payload"), pa.array([_louder(c) for c in halved], pa.binary()))
        return pa.concat_tables([table, table, other])

    spoilt = bench.take_in(life(tmp_path / "femto", data_root), "femto", spoil=contradict, label="twice")

    caught = bench.compare("duplicates that contradict", "FEMTO", clean, spoilt)

    assert (caught.where, caught.leaks) == ("held", 0)
    assert spoilt.blocks == clean.blocks


def _louder(cell: bytes) -> bytes:
    """Return samples a little larger, on the grid they were on."""
    counts = np.rint(np.frombuffer(cell, "<f4") * 1000) + 1
    return bytes((counts / 1000).astype("<f4").tobytes())


UNSEEN: dict[str, OfWaves] = {
    "sign flipped": lambda waves: -waves,
    "gain step of 15 % before the converter": lambda waves: np.rint(waves * 1.15),
}
"""What no rule on one accelerometer can tell from a machine: the wave is still one that a machine could make."""


@pytest.mark.parametrize("fault", UNSEEN)
def test_what_looks_like_a_machine_is_not_seen(
    bench: Any, clean: Any, data_root: Path, tmp_path: Path, fault: str
) -> None:
    """Said honestly: these pass the door, and are for drift and for people to find."""
    spoilt = bench.take_in(life(tmp_path / "femto", data_root, UNSEEN[fault]), "femto")

    caught = bench.compare(fault, "FEMTO", clean, spoilt)

    assert (caught.where, caught.leaks) == ("nowhere", SNAPSHOTS)


def test_a_gain_that_the_sender_tells_of_is_seen(bench: Any, clean: Any, data_root: Path, tmp_path: Path) -> None:
    """Where blocks say the converter's range, a gain before it is a range that changed: held until somebody looks."""

    def tell(table: pa.Table) -> pa.Table:
        rows = table.to_pylist()
        said = [{**row, "full_scale": 50.0 if n < 2 * HALF else 50.0 / 1.15} for n, row in enumerate(rows)]
        return pa.Table.from_pylist(said, schema=BLOCK_SCHEMA)

    folder = life(tmp_path / "femto", data_root, UNSEEN["gain step of 15 % before the converter"])
    caught = bench.compare("gain step, told by the range", "FEMTO", clean, bench.take_in(folder, "femto", spoil=tell))

    assert (caught.where, caught.leaks) == ("held", 0)


def test_repaired_data_ends_with_the_bits_of_clean_data(
    bench: Any, clean: Any, data_root: Path, tmp_path: Path
) -> None:
    """What was held in the wrong unit is sent again in the right one: the store is the clean one."""
    spoilt = bench.take_in(life(tmp_path / "femto", data_root, WAVES["swapped units: m/s2 for g"]), "femto")
    repaired = bench.take_in(life(tmp_path / "femto", data_root), "femto", label="")

    assert spoilt.blocks < clean.blocks
    assert repaired.blocks == clean.blocks
    assert repaired.signs() == {}
