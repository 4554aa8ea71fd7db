"""The simulated fleet is physics, the same every time, and says what it did."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from scipy import signal

from lineshaft.errors import InputError
from lineshaft.sources.catalogue import SOURCES
from lineshaft.sources.checks import validate_blocks
from lineshaft.sources.simulator import Fleet, ProcessPlan, VibrationPlan
from lineshaft.sources.simulator.faults import KINDS
from lineshaft.specs.bearings import Bearing

LONG = VibrationPlan(every_s=600, samples=25_600)


def whole(fleet: Fleet, source: str, assets: list[int] | None = None) -> pa.Table:
    """Return all blocks of a source."""
    return pa.concat_tables(list(fleet.blocks(source, assets=assets)))


@pytest.mark.parametrize("source", ["vibration_blocks", "process_readings"])
def test_a_machine_is_the_same_in_a_fleet_of_any_size_and_length(source: str) -> None:
    """Machine 2 alone, in a fleet of three and in one watched longer gives the same bytes."""
    alone = whole(Fleet(assets=2, hours=2, faults_per_day=24), source, [1])
    many = whole(Fleet(assets=3, hours=3, faults_per_day=24), source)

    mine = many.filter(
        pc.and_(pc.equal(many["asset_id"], "machine-0002"), pc.is_in(many["start_us"], alone["start_us"]))
    )
    shared = alone.filter(pc.is_in(alone["start_us"], mine["start_us"]))
    assert len(shared) >= len(alone) - 2
    key = [("start_us", "ascending"), ("known_us", "ascending")]
    assert (
        mine.select(["start_us", "payload", "shaft_hz"])
        .sort_by(key[:1])
        .slice(0, 40)
        .equals(shared.select(["start_us", "payload", "shaft_hz"]).sort_by(key[:1]).slice(0, 40))
    )


def test_another_seed_is_another_fleet() -> None:
    """Seeds matter."""
    tables = [whole(Fleet(assets=1, hours=1, seed=seed), "vibration_blocks") for seed in (1, 2)]

    assert tables[0]["payload"] != tables[1]["payload"]


@pytest.mark.parametrize("source", ["vibration_blocks", "process_readings"])
def test_blocks_come_in_order_of_receipt_and_pass_the_door(source: str) -> None:
    """Faults and all, blocks are well formed and received one after the other; only a dead sensor's are stopped."""
    blocks = whole(Fleet(assets=4, hours=6, faults_per_day=12), source)

    good, rejects = validate_blocks(blocks, SOURCES[source])
    assert set(rejects["reason"].to_pylist()) == ({"stuck_wave"} if source == "vibration_blocks" else set())
    assert (np.diff(good["known_us"].to_numpy()) >= 0).all()


@pytest.mark.parametrize("plan", [ProcessPlan(), ProcessPlan(rate_hz=10.0), ProcessPlan(rate_hz=10.0, block_s=10)])
def test_slow_blocks_fill_their_minutes_and_cross_none(plan: ProcessPlan) -> None:
    """An hour is complete: every block of the plan, none over the end of a minute."""
    blocks = whole(Fleet(assets=1, hours=1, faults_per_day=0, process=plan), "process_readings")

    starts = blocks["start_us"].to_numpy()
    assert len(blocks) == 3600 // plan.block_s
    assert (starts // 60_000_000 == (starts + plan.block_s * 1_000_000 - 1) // 60_000_000).all()
    assert set(pc.binary_length(blocks["payload"]).to_pylist()) == {round(plan.rate_hz * plan.block_s) * 5 * 8}


def test_a_worn_race_shows_its_line_in_the_envelope_and_a_healthy_one_does_not() -> None:
    """Before a failure the envelope peaks within 2 % of BPFO or BPFI; on the same machine in health it does not."""
    fleet = Fleet(assets=12, hours=30, life_days=1, faults_per_day=0, vibration=LONG)
    blocks = whole(fleet, "vibration_blocks").to_pylist()
    lives = [row for row in fleet.truth().to_pylist() if row["mode"] in ("inner_race", "outer_race")]
    failed = [
        row
        for row in lives
        if row["ended_by"] == "failure" and row["onset_at"].day == 1 and row["onset_at"].year == 2024
    ]

    assert len(failed) >= 2
    for life in failed:
        end_us, onset_us = (round(life[name].timestamp() * 1e6) for name in ("end_at", "onset_at"))
        mine = [b for b in blocks if b["asset_id"] == life["asset_id"] and b["shaft_hz"] > 0]
        worn = [block for block in mine if block["start_us"] < end_us][-1]
        healthy = [block for block in mine if block["start_us"] < onset_us][-1]
        bearing = Bearing.parse(worn["bearing"])
        order = bearing.bpfo if life["mode"] == "outer_race" else bearing.bpfi
        assert envelope_peak(worn)[0] / worn["shaft_hz"] == pytest.approx(order, rel=0.02)
        assert envelope_peak(worn)[1] > 20 > envelope_peak(healthy)[1]


def envelope_peak(block: dict[str, object]) -> tuple[float, float]:
    """Return the strongest envelope line from 5 to 500 Hz after a 2-5 kHz band-pass, and its ratio to the median."""
    x = np.frombuffer(block["payload"], "<f4").astype(np.float64)  # type: ignore[call-overload]
    sos = signal.butter(4, [2000, 5000], "bandpass", fs=25_600, output="sos")
    envelope = np.abs(signal.hilbert(signal.sosfiltfilt(sos, x)))
    spectrum = np.abs(np.fft.rfft(envelope - envelope.mean()))
    frequency = np.fft.rfftfreq(len(x), 1 / 25_600)
    band = (frequency >= 5) & (frequency <= 500)
    at = int(np.argmax(spectrum * band))
    return float(frequency[at]), float(spectrum[at] / np.median(spectrum[band]))


def test_a_standing_machine_draws_no_current_and_cools() -> None:
    """Stops are seen in current, speed and, later, temperature."""
    fleet = Fleet(assets=1, hours=24, faults_per_day=0)
    blocks = whole(fleet, "process_readings")
    values = np.stack([np.frombuffer(p, "<f8").reshape(5, -1).mean(axis=1) for p in blocks["payload"].to_pylist()])

    rise, current, speed = values[:, 0] - values[:, 4], values[:, 1], values[:, 3]
    assert (current == 0).any()
    assert np.array_equal(current == 0, speed == 0)
    assert rise[current == 0].mean() < rise[current > 0].mean()


def test_every_kind_of_sensor_fault_leaves_its_mark() -> None:
    """Stuck, clipped, spiked, lost, misdated, repeated and late blocks all occur."""
    fleet = Fleet(assets=6, hours=24, faults_per_day=24, vibration=VibrationPlan(every_s=300, samples=64))
    clean = whole(Fleet(assets=6, hours=24, faults_per_day=0, vibration=fleet.vibration), "vibration_blocks")
    table = whole(fleet, "vibration_blocks")

    assert set(fleet.sensor_faults()["kind"].to_pylist()) == set(KINDS)
    rows = table.to_pylist()
    assert any(len(set(np.frombuffer(row["payload"], "<f4").tolist())) == 1 for row in rows)
    assert any(row["full_scale"] < 50 for row in rows)
    assert any(row["start_us"] < fleet.start_us for row in rows)
    assert max(row["known_us"] - row["start_us"] for row in rows if row["start_us"] >= fleet.start_us) > 1_800_000_000
    keys = Counter((row["asset_id"], row["start_us"]) for row in rows)
    assert max(keys.values()) == 2
    true = {(row["asset_id"], row["start_us"]) for row in clean.to_pylist()}
    assert true - set(keys)


def test_the_log_comes_late_and_knows_failure_from_prevention() -> None:
    """Reports follow events by up to six weeks; each life's end within the watch is in the log."""
    fleet = Fleet(assets=10, hours=24 * 60, life_days=15)

    log, truth = fleet.maintenance().to_pylist(), fleet.truth().to_pylist()

    ended = Counter(row["ended_by"] for row in truth if row["ended_by"] != "running" and row["end_at"].year == 2024)
    assert {kind: count for kind, count in Counter(row["kind"] for row in log).items() if kind != "inspection"} == ended
    assert min(ended.values()) > 5
    delays = [(row["known_at"] - row["event_time"]).total_seconds() / 86_400 for row in log]
    assert min(delays) > 0
    assert 7 < max(delays) <= 42
    assert all((row["mode"] != "") == (row["kind"] == "failure") for row in log)


def test_snapshots_are_made_at_five_million_samples_a_cpu_second_or_more() -> None:
    """The simulator is no bottleneck of a demo or a test."""
    fleet = Fleet(assets=4, hours=2, vibration=VibrationPlan(every_s=10))

    begin = time.process_time()
    samples = 4096 * len(whole(fleet, "vibration_blocks"))

    assert samples / (time.process_time() - begin) > 5e6


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Fleet(assets=0),
        lambda: Fleet(hours=0),
        lambda: Fleet(start_us=5),
        lambda: VibrationPlan(every_s=7),
        lambda: VibrationPlan(samples=10**6, every_s=1),
        lambda: ProcessPlan(block_s=7),
        lambda: ProcessPlan(rate_hz=0.5, block_s=1),
        lambda: next(Fleet().blocks("ims_level")),
    ],
)
def test_an_impossible_fleet_is_refused(wrong: object) -> None:
    """Plans that do not fit a minute, an hour or a source say so."""
    with pytest.raises(InputError):
        wrong()  # type: ignore[operator]


@pytest.mark.parametrize("name", ["assets", "hours", "life_days"])
@pytest.mark.parametrize("value", [0, -3, float("nan"), float("inf")])
def test_a_fleet_that_could_never_be_watched_is_refused_by_name(name: str, value: float) -> None:
    """Nothing, less than nothing, and lengths without end: the error names the number."""
    with pytest.raises(InputError, match=name):
        Fleet(**{name: value})  # type: ignore[arg-type]
