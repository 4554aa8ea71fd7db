"""A simulated fleet: its blocks in order of receipt, its maintenance log, and the truth about both."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lineshaft.errors import InputError
from lineshaft.sources.blocks import Floats as Samples
from lineshaft.sources.blocks import blocks_table, heartbeat_block, spans_us
from lineshaft.sources.catalogue import SOURCES
from lineshaft.sources.simulator.faults import Batch, SensorFault, apply_faults, make_faults
from lineshaft.sources.simulator.lives import Life, make_lives
from lineshaft.sources.simulator.machines import Floats, Machine, generator, make_machine
from lineshaft.sources.simulator.plans import ProcessPlan, VibrationPlan
from lineshaft.sources.simulator.process import readings, thermal_state
from lineshaft.sources.simulator.vibration import snapshots
from lineshaft.sources.tabular import stamps
from lineshaft.specs import BLOCK_SCHEMA

HOUR_S = 3600
START_US = 1_704_067_200_000_000  # 2024-01-01T00:00:00Z
DELIVERY_US = (50_000, 400_000)  # from the end of a block to its receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unit:
    """One machine with everything that happens to it."""

    machine: Machine
    lives: tuple[Life, ...]
    faults: tuple[SensorFault, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """A fleet of `assets` machines watched for `hours`; everything follows from `seed`.

    Machine k is the same whatever `assets` is. `life_days` is the mean life of a part, `preventive` the share that
    is replaced before it fails, `faults_per_day` how many sensor faults an asset has a day (0: none).

    >>> fleet = Fleet(assets=2, hours=1, seed=7)
    >>> [len(table) for table in fleet.blocks("vibration_blocks")], fleet.truth().num_rows
    ([120], 2)
    """

    assets: int = 20
    hours: float = 24.0
    seed: int = 7
    start_us: int = START_US
    life_days: float = 20.0
    preventive: float = 0.4
    faults_per_day: float = 0.25
    vibration: VibrationPlan = field(default_factory=VibrationPlan)
    process: ProcessPlan = field(default_factory=ProcessPlan)

    def __post_init__(self) -> None:
        """Refuse a fleet without machines or time.

        Raises
        ------
        InputError
            If a count or length is not positive, or the start is not on a minute.
        """
        for name in ("assets", "hours", "life_days"):
            if not 0 < getattr(self, name) < math.inf:  # not a number is neither
                raise InputError(f"a fleet with {name} {getattr(self, name)}", fix=f"give a positive number of {name}")
        if self.start_us % 60_000_000:
            raise InputError("a fleet whose watch starts within a minute", fix="start on a full minute")

    @property
    def duration_s(self) -> float:
        """Return how long the fleet is watched, in seconds."""
        return self.hours * HOUR_S

    def machines(self) -> tuple[Machine, ...]:
        """Return the machines and their constants."""
        return tuple(make_machine(seed=self.seed, index=index) for index in range(self.assets))

    def blocks(self, source: str, *, assets: Sequence[int] | None = None) -> Iterator[pa.Table]:
        """Yield tables of blocks in order of receipt, about one an hour; `assets` are indices (unset: all).

        Blocks received in an hour are in that hour's table, whenever they were taken. Memory holds one hour.

        Raises
        ------
        InputError
            If the source is not one of a fleet's: vibration_blocks, process_readings.
        """
        if source not in ("vibration_blocks", "process_readings"):
            raise InputError(f"a fleet has no source {source!r}", fix="vibration_blocks or process_readings")
        units = [self._unit(index) for index in (range(self.assets) if assets is None else assets)]
        thermal = [
            thermal_state(unit.machine, unit.lives, self.duration_s) if source == "process_readings" else None
            for unit in units
        ]
        held = BLOCK_SCHEMA.empty_table()
        for hour in range(int(np.ceil(self.hours))):
            parts = [held]
            for unit, heat in zip(units, thermal, strict=True):
                parts += self._vibration(unit, hour) if heat is None else [self._process(unit, hour, heat)]
            arrived = pa.concat_tables(parts)
            now = pc.less_equal(arrived["known_us"], self.start_us + (hour + 1) * HOUR_S * 1_000_000)
            held = arrived.filter(pc.invert(now))
            yield _in_order(arrived.filter(now))
        if len(held):
            yield _in_order(held)

    def heartbeat(self, source: str, *, at_us: int | None = None) -> pa.Table:
        """Return the block without data that closes the windows of a source up to `at_us` (unset: the fleet's end)."""
        end_us = self.start_us + round(self.duration_s * 1e6) if at_us is None else at_us
        return heartbeat_block(source=SOURCES[source], end_us=end_us)

    def maintenance(self) -> pa.Table:
        """Return the maintenance log, in order of report: asset_id, event_time, known_at, kind, mode, part.

        Kinds: failure, preventive, inspection. Reports come late: two days in the middle, up to six weeks.
        """
        rows = [row for index in range(self.assets) for row in self._log(self._unit(index))]
        rows.sort(key=lambda row: (row["known_us"], row["asset_id"]))
        times = {
            name: stamps(np.array([row[key] for row in rows], dtype=np.int64))
            for name, key in (("event_time", "event_us"), ("known_at", "known_us"))
        }
        text = {
            name: pa.array([str(row[name]) for row in rows], pa.string())
            for name in ("asset_id", "kind", "mode", "part")
        }
        return pa.table({"asset_id": text.pop("asset_id"), **times, **text})

    def truth(self) -> pa.Table:
        """Return what really happened: one row a life, with its times, mode and how it ended within the watch."""
        rows = []
        for index in range(self.assets):
            unit = self._unit(index)
            for life in unit.lives:
                ended = life.ended_by if life.end_s <= self.duration_s else "running"
                rows.append({"asset_id": unit.machine.asset_id, **asdict(life), "ended_by": ended})
        names = ("installed_s", "onset_s", "failure_s", "end_s", "back_s")
        columns = {
            name.replace("_s", "_at"): stamps(np.array([self._at_us(row[name]) for row in rows], dtype=np.int64))
            for name in names
        }
        text = {name: pa.array([row[name] for row in rows]) for name in ("asset_id", "mode", "part", "ended_by")}
        return pa.table({**text, **columns})

    def sensor_faults(self) -> pa.Table:
        """Return every sensor fault laid over the signals: asset_id, source, kind, start_at, end_at."""
        faults = [fault for index in range(self.assets) for fault in self._unit(index).faults]
        text = {
            name: pa.array([getattr(fault, name) for fault in faults], pa.string())
            for name in ("asset_id", "source", "kind")
        }
        begin, end = (
            stamps(np.array([self._at_us(getattr(fault, name)) for fault in faults], dtype=np.int64))
            for name in ("start_s", "end_s")
        )
        return pa.table({**text, "start_at": begin, "end_at": end})

    def _at_us(self, second: float) -> int:
        """Return the time of a second since the start."""
        return self.start_us + round(second * 1e6)

    def _unit(self, index: int) -> _Unit:
        """Return machine `index` and everything that happens to it."""
        machine = make_machine(seed=self.seed, index=index)
        lives = make_lives(
            seed=self.seed,
            asset=index,
            duration_s=self.duration_s,
            life_days=self.life_days,
            preventive=self.preventive,
        )
        faults = make_faults(
            seed=self.seed,
            asset=index,
            asset_id=machine.asset_id,
            sources=("vibration_blocks", "process_readings"),
            duration_s=self.duration_s,
            per_day=self.faults_per_day,
        )
        return _Unit(machine=machine, lives=lives, faults=faults)

    def _vibration(self, unit: _Unit, hour: int) -> list[pa.Table]:
        """Return one hour of snapshots, a table a position."""
        plan, machine = self.vibration, unit.machine
        first = np.floor(machine.stagger * (plan.every_s - plan.samples / plan.rate_hz) * 1000) / 1000
        seconds = hour * HOUR_S + first + np.arange(0, HOUR_S, plan.every_s, dtype=np.float64)
        tables = []
        for number, position in enumerate(plan.positions):
            index = hour * len(plan.positions) + number
            dice = generator(seed=self.seed, asset=machine.index, stream="vibration", index=index)
            samples, speed = snapshots(machine, unit.lives, seconds, plan, dice)
            batch = self._sent(unit, seconds, samples[:, None, :], plan.rate_hz, index=index, shaft_hz=speed)
            batch = self._faulty(unit, "vibration_blocks", batch, index)
            tables.append(self._table(machine, position, batch, plan.rate_hz, "f4"))
        return tables

    def _process(self, unit: _Unit, hour: int, thermal: tuple[Floats, Floats]) -> pa.Table:
        """Return one hour of slow readings."""
        plan, machine = self.process, unit.machine
        count, per_block = round(HOUR_S * plan.rate_hz), round(plan.block_s * plan.rate_hz)
        dice = generator(seed=self.seed, asset=machine.index, stream="process", index=hour)
        seconds = hour * HOUR_S + np.arange(count) / plan.rate_hz
        values = readings(machine, unit.lives, seconds, thermal, dice)
        samples = np.moveaxis(values.reshape(-1, per_block, values.shape[1]), 2, 1)
        batch = self._sent(unit, seconds[::per_block], samples, plan.rate_hz, index=hour, shaft_hz=None)
        batch = self._faulty(unit, "process_readings", batch, hour)
        return self._table(machine, "", batch, plan.rate_hz, "f8")

    def _sent(
        self, unit: _Unit, seconds: Floats, samples: Samples, rate_hz: float, *, index: int, shaft_hz: Floats | None
    ) -> Batch:
        """Return blocks as sent, those after the fleet's end left out."""
        dice = generator(seed=self.seed, asset=unit.machine.index, stream="delivery", index=index)
        starts = self.start_us + np.rint(seconds * 1e6).astype(np.int64)
        ends = starts + spans_us(samples.shape[2], rate_hz)
        batch = Batch(
            seconds=seconds,
            starts_us=starts,
            known_us=ends + dice.integers(*DELIVERY_US, size=len(seconds)),
            samples=samples,
            shaft_hz=np.full(len(seconds), np.nan) if shaft_hz is None else shaft_hz,
            full_scale=np.full(len(seconds), self.vibration.full_scale if shaft_hz is not None else np.inf),
        )
        return batch.take(ends <= self._at_us(self.duration_s))

    def _faulty(self, unit: _Unit, source: str, batch: Batch, index: int) -> Batch:
        """Return the blocks as they arrive."""
        dice = generator(seed=self.seed, asset=unit.machine.index, stream="faults", index=index + 1)
        return apply_faults(batch, [fault for fault in unit.faults if fault.source == source], dice)

    def _table(self, machine: Machine, position: str, batch: Batch, rate_hz: float, dtype: str) -> pa.Table:
        """Return blocks as a table; a speed or range that the sensor does not give is null."""
        waveform = dtype == "f4"
        scale = batch.full_scale
        return blocks_table(
            asset_id=machine.asset_id,
            position=position,
            starts_us=batch.starts_us,
            samples=batch.samples,
            rate_hz=rate_hz,
            dtype=dtype,
            known_us=batch.known_us,
            shaft_hz=batch.shaft_hz if waveform else None,
            bearing=machine.bearing if waveform else None,
            full_scale=pa.array(scale, mask=~np.isfinite(scale)),
        )

    def _log(self, unit: _Unit) -> list[dict[str, int | str]]:
        """Return one machine's log entries within the watch."""
        dice = generator(seed=self.seed, asset=unit.machine.index, stream="maintenance")
        rows: list[dict[str, int | str]] = []
        for life in unit.lives:
            looks = np.arange(max(life.installed_s, 0) + 7 * 86_400, life.end_s, 7 * 86_400)
            events = [(float(at), "inspection", "") for at in looks] + [(life.end_s, life.ended_by, life.mode)]
            for second, kind, mode in events:
                delay_s = min(2 * 86_400 * dice.lognormal(0.0, 1.0), 42 * 86_400)
                if second > self.duration_s:
                    continue
                found = mode if kind == "failure" else ""
                event_us = self._at_us(second)
                rows.append(
                    {
                        "asset_id": unit.machine.asset_id,
                        "event_us": event_us,
                        "known_us": event_us + round(delay_s * 1e6),
                        "kind": kind,
                        "mode": found,
                        "part": life.part if kind != "inspection" else "",
                    }
                )
        return rows


def _in_order(blocks: pa.Table) -> pa.Table:
    """Return blocks in order of receipt."""
    return blocks.sort_by([("known_us", "ascending"), ("asset_id", "ascending"), ("start_us", "ascending")])
