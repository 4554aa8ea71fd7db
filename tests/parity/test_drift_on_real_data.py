"""Drift on real machines: quiet while they are well, soon told when something is planted, and wear called wear.

Defaults were chosen on other stretches than those judged here: NAB before 10 January, the first half of SKAB's record,
and FD003. The factory's one pair of weeks that is long enough was looked at; and after all of them were judged once, a
step was asked to stay and to be of three deviations, since spikes of idle machines had passed for steps. Calibrated is
by stretches that are not judged: NAB before 10 January, SKAB's sixteen runs of another day, FD003, and the factory's
weeks of March and May. `-s` prints.
"""

from __future__ import annotations

import gzip
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from numpy.typing import NDArray
from scipy import stats

from lineshaft.drift.baseline import Baseline, baseline_of
from lineshaft.drift.calibrate import at_most, detectable, least_effects
from lineshaft.drift.diagnosis import Cause, Scene, diagnose
from lineshaft.drift.findings import find
from lineshaft.drift.policy import HOUR_US, DriftPolicy
from lineshaft.drift.replay import Replayed, baselines_of, replay
from lineshaft.drift.rows import Rows

Floats = NDArray[np.float64]
SECOND_US = 1_000_000
FD_SENSORS = (2, 3, 4, 7, 8, 9, 11, 12, 13, 14, 15, 17, 20, 21)
"""Those of C-MAPSS FD001 that are not constant."""
FACTORY = {
    "XOAVelocity": "velocity x",
    "YOAVelocity": "velocity y",
    "ZOAVelocity": "velocity z",
    "XKurtosis": "kurtosis",
    "XCrestFactor": "crest factor",
    "XSkewness": "skewness",
    "TempHumiSenVal": "temperature",
}
IDLE_MG = 10.0
"""Below this a machine of the factory stands still: running, it shakes twenty times as much."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Healthy:
    """A stretch known to be healthy: rows that are the baseline, rows that are judged, and how often."""

    name: str
    was: Rows
    now: Rows
    step_us: int
    every_us: int = HOUR_US
    policy: DriftPolicy = field(default_factory=DriftPolicy)
    planted_from: float = 0.5  # of what is judged: where a change is planted
    history: tuple[tuple[Rows, Rows], ...]  # other healthy stretches, each with its baseline: what is calibrated by

    def baselines(self) -> list[Baseline | None]:
        """Return what the first rows look like."""
        return baselines_of(self.was, self.policy, step_us=self.step_us)

    def replay(self, rows: Rows) -> Replayed:
        """Check rows as often as is said."""
        return replay(self.baselines(), rows, self.policy, step_us=self.step_us, every_us=self.every_us)

    def calibrated(self) -> Healthy:
        """Return the same with the least effects that its other healthy stretches ask for."""
        told = [replace(self, was=was, now=now) for was, now in self.history]
        return replace(self, policy=self.policy.asking(least_effects([one.replay(one.now) for one in told])))

    @property
    def last_calm(self) -> int:
        """Return the last step before a change that is planted."""
        first, last = int(self.now.cells.min()), int(self.now.cells.max())
        return first - 1 + round(self.planted_from * (last - first))

    def day(self) -> Rows:
        """Return the window before a change, and as long after it as may pass until it is told; four checks more."""
        window, more = self.policy.window_us // self.step_us, 4 * self.every_us // self.step_us
        calm = self.last_calm
        return self.now.take((self.now.cells > calm - window) & (self.now.cells <= calm + window + more))


def rows_from(columns: tuple[str, ...], assets: list[str], cells: list[int], values: Floats) -> Rows:
    """Return rows in order, the first of each step."""
    names, steps = np.array(assets), np.array(cells, dtype=np.int64)
    order = np.lexsort((steps, names))
    names, steps = names[order], steps[order]
    first = np.append(True, (names[1:] != names[:-1]) | (steps[1:] != steps[:-1]))
    regimes = np.zeros(int(first.sum()), np.int64)
    return Rows(columns=columns, values=values[order][first], assets=names[first], cells=steps[first], regimes=regimes)


def nab(root: Path) -> Healthy:
    """Return the machine's temperature: 23 days, and the 16 before its failure announces itself."""
    table = pa.csv.read_csv(root / "nab" / "machine_temperature_system_failure.csv")
    times = table["timestamp"].cast(pa.timestamp("us")).cast(pa.int64()).to_numpy()
    values = table["value"].to_numpy()[:, None]

    def between(first: str, last: str) -> Rows:
        begin, end = (int(np.datetime64(day, "us").astype(np.int64)) for day in (first, last))
        mine = (times >= begin) & (times < end)
        cells = (times[mine] // (300 * SECOND_US)).tolist()
        return rows_from(("temperature",), ["machine"] * len(cells), cells, values[mine])

    was, now = between("2013-12-18", "2014-01-10"), between("2014-01-10", "2014-01-26")
    history = ((between("2013-12-18", "2014-01-02"), between("2014-01-02", "2014-01-10")),)
    return Healthy(name="NAB machine temperature", was=was, now=now, step_us=300 * SECOND_US, history=history)


def skab(root: Path) -> Healthy:
    """Return the water loop without faults, its first half and its second: minutes stand for hours, five for a day."""
    rows = water_loop(root / "skab" / "anomaly-free" / "anomaly-free.csv")
    half = np.arange(len(rows)) < len(rows) // 2
    runs = [water_loop(root / "skab" / "valve1" / f"{number}.csv") for number in range(16)]
    policy = DriftPolicy(window_us=300 * SECOND_US)
    return Healthy(
        name="SKAB water loop",
        was=rows.take(half),
        now=rows.take(~half),
        step_us=SECOND_US,
        every_us=15 * SECOND_US,
        policy=policy,
        history=((together(runs[:8]), together(runs[8:])),),
    )


def water_loop(path: Path) -> Rows:
    """Return a record of the loop up to its first fault."""
    table = pa.csv.read_csv(path, parse_options=pa.csv.ParseOptions(delimiter=";"))
    if "anomaly" in table.column_names:
        table = table.slice(0, int(np.argmax(table["anomaly"].to_numpy() > 0)))
        table = table.drop_columns(["anomaly", "changepoint"])
    cells = table["datetime"].cast(pa.timestamp("s")).cast(pa.int64()).to_pylist()
    names = tuple(table.column_names[1:])
    return rows_from(names, ["loop"] * len(cells), cells, np.column_stack([table[name].to_numpy() for name in names]))


def together(runs: list[Rows]) -> Rows:
    """Return runs one after another."""
    values, cells = np.concatenate([one.values for one in runs]), np.concatenate([one.cells for one in runs])
    return rows_from(runs[0].columns, ["loop"] * len(cells), cells.tolist(), values)


def cmapss(root: Path, name: str) -> tuple[Rows, NDArray[np.int64]]:
    """Return the engines of a set run to failure, a cycle an hour, and how many cycles each row has left."""
    path = root / "cmapss" / f"train_{name}.txt"
    text = path.read_text() if path.is_file() else gzip.decompress(Path(f"{path}.gz").read_bytes()).decode()
    table = np.array([line.split() for line in text.splitlines() if line.strip()], dtype=np.float64)
    units, cycles = table[:, 0].astype(int), table[:, 1].astype(int)
    names = [f"{unit:03d}" for unit in units]
    values = table[:, [4 + sensor for sensor in FD_SENSORS]]
    rows = rows_from(tuple(f"s{sensor}" for sensor in FD_SENSORS), names, cycles.tolist(), values)
    last = {unit: cycles[units == unit].max() for unit in np.unique(units)}
    return rows, np.array([last[unit] for unit in units]) - cycles


def engines(root: Path) -> Healthy:
    """Return the first 40 cycles of FD001: 50 engines, and 50 others that the baseline knows nothing of."""

    def halves(name: str) -> tuple[Rows, Rows]:
        rows, _ = cmapss(root, name)
        young, known = rows.cells <= 40, rows.assets <= "050"
        return rows.take(young & known), rows.take(young & ~known)

    was, now = halves("FD001")
    name, history = "C-MAPSS FD001, other engines", (halves("FD003"),)
    return Healthy(name=name, was=was, now=now, step_us=HOUR_US, planted_from=0.0, history=history)


def factory(root: Path) -> Healthy:
    """Return the factory's machines while they stand still: a week of November, and one of December."""

    def week(name: str) -> Rows:
        table = pa.csv.read_csv(root / "factory_lora" / f"vibrationdata_{name}.csv")
        read = {one: np.asarray(table[one].cast(pa.float64()).to_numpy()) for one in (*FACTORY, "XRMSmg", "ZRMSmg")}
        idle = (read["XRMSmg"] < IDLE_MG) & (read["ZRMSmg"] < IDLE_MG)
        idle &= np.asarray(table["Timestamp"].is_valid())
        cells = np.asarray(table["Timestamp"].fill_null(0).to_numpy())[idle] // 900_000
        names = [f"sensor-{one.removeprefix('sensor').lstrip('-')}" for one in table["SensorID"].to_pylist()]
        values = np.column_stack([read[one] for one in FACTORY])[idle]
        assets = [name for name, chosen in zip(names, idle.tolist(), strict=True) if chosen]
        return rows_from(tuple(FACTORY.values()), assets, cells.tolist(), values)

    was, now = week("21112022_27112022"), week("05122022_11122022")
    spring, may = week("20032023_26032023"), week("29052023_04062023")
    history = ((week("06032023_12032023"), spring), (spring, may))
    return Healthy(name="factory, machines idle", was=was, now=now, step_us=900 * SECOND_US, history=history)


PROMISED = {"nab": (0, 0, 1), "skab": (1, 3, 7), "engines": (0, 3, 14), "factory": (2, 3, 2)}
"""Of each set: alarms at most, and of how many columns the two changes are told at least; what falls short is told."""
SETS: tuple[Callable[[Path], Healthy], ...] = (nab, skab, engines, factory)


def naive(healthy: Healthy) -> tuple[int, int]:
    """Return how many checks the usual rule alarms in, of how many: the last 1,000 rows by KS, p below 0.01."""
    was, now = healthy.was, healthy.now
    times = (now.cells + 1) * healthy.step_us
    first = int(now.cells.min()) * healthy.step_us + healthy.policy.window_us
    ends = range(first, int(times.max()) + 1, healthy.every_us)
    return sum(any(naive_alarms(was, now.take(times <= end))) for end in ends), len(ends)


def naive_alarms(was: Rows, upto: Rows) -> Iterator[bool]:
    """Tell of each column and series (all together, where none is known) if the rule alarms."""
    known = set(was.names) & set(upto.names)
    pairs = [(was.assets == name, upto.assets == name) for name in sorted(known)]
    for before, own in pairs or [(np.ones(len(was), dtype=bool), np.ones(len(upto), dtype=bool))]:
        newest = np.argsort(upto.cells[own], kind="stable")[-1000:]
        for place in range(len(was.columns)):
            found = stats.ks_2samp(was.values[before, place], upto.values[own, place][newest], method="asymp")
            yield bool(found.pvalue < 0.01)


def planted(healthy: Healthy, kind: str) -> dict[str, float]:
    """Return for each column how many checks it takes until a change is told as an alarm asks; NaN: not in a window."""
    calm, found = healthy.day(), {}
    anyhow = {*healthy.replay(calm).lasting}  # of these columns nothing planted is needed to be told
    sd = np.array([np.nanstd(healthy.was.values[:, place]) for place in range(len(calm.columns))])
    after = calm.cells > healthy.last_calm
    for place, name in enumerate(calm.columns):
        values = calm.values.copy()
        if kind == "shift":
            values[after, place] += 0.5 * sd[place]
        else:
            for asset in calm.names:
                own = after & (calm.assets == asset)
                mean = np.nanmean(values[own, place])
                values[own, place] = mean + np.sqrt(2) * (values[own, place] - mean)
        told = healthy.replay(replace(calm, values=values)).lasting
        first = [at for pair, at in told.items() if pair[1] == name and pair not in anyhow]
        waited = min(first, default=np.nan) - (healthy.last_calm + 1) * healthy.step_us
        found[name] = waited / healthy.every_us
    return found


@pytest.mark.parametrize("healthy_of", SETS, ids=lambda one: one.__name__)
def test_healthy_machines_raise_at_most_an_alarm_a_month(
    data_root: Path, healthy_of: Callable[[Path], Healthy]
) -> None:
    """At defaults, and calibrated by other stretches; the usual rule alarms in most of its checks."""
    healthy = healthy_of(data_root)
    calibrated, (usual, checks) = healthy.calibrated(), naive(healthy)
    shifts, spreads = planted(healthy, "shift"), planted(healthy, "spread")

    found, after = healthy.replay(healthy.now), calibrated.replay(healthy.now)

    lines = [*told_of_alarms("defaults", found), *told_of_alarms("calibrated", after)]
    lines += [f"   least {one.method} of {one.column}: {one.effect:.3g}" for one in calibrated.policy.least]
    for tells in detectable(healthy.baselines(), healthy.policy, step_us=healthy.step_us):
        lines.append(
            f"   {tells.column}: {tells.values:.1f} values a window, {tells.shift:.2f} sd, x{tells.spread:.2f}; "
            f"told after checks {shifts[tells.column]:.0f}, {spreads[tells.column]:.0f}"
        )
    sys.stdout.write(f"\n{healthy.name}; the usual rule: {usual} of {checks} checks alarm\n" + "\n".join(lines) + "\n")
    promised = PROMISED[healthy_of.__name__]
    assert usual == checks
    assert max(len(found.alarms), len(after.alarms)) <= promised[0]
    assert told_of(shifts) >= promised[1]
    assert told_of(spreads) >= promised[2]


def told_of_alarms(name: str, found: Replayed) -> list[str]:
    """Return what was raised, in words."""
    count, surely = len(found.alarms), at_most(len(found.alarms), found.asset_months)
    of = f"{found.checks} checks, {found.asset_months:.3g} asset-months"
    lines = [f"   {name}: {count} alarms in {of} (surely less than {surely:.3g} a month)"]
    for one in found.alarms:
        told = [f"{f.column} {f.method} {f.effect:+.2f} q {f.q:.1g}" for f in one.findings[:4]]
        lines.append(f"      {one.scope}: {', '.join(told)}")
    return lines


def told_of(waited: dict[str, float]) -> int:
    """Return of how many columns a change was told."""
    return int(np.isfinite(list(waited.values())).sum())


def test_wear_is_called_wear_and_retrains_nothing(data_root: Path) -> None:
    """The last 24 cycles of engines that wear, of which the direction was learnt from other engines alone."""
    rows, left = cmapss(data_root, "FD001")
    taught = rows.assets <= "050"
    worn = taught & (left < 30)
    policy = DriftPolicy()
    baseline = baseline_of(rows.take((left >= 60) | worn), worn=worn[(left >= 60) | worn], window=24)
    causes, told = [], 0
    for name in np.unique(rows.assets[~taught]).tolist():
        window = rows.take((rows.assets == name) & (left < 24))
        found = [one for one in find([baseline], window, policy) if one.verdict == "drift"]
        told += bool(found)
        sensors = {column: column for column in rows.columns}
        causes += [one.cause for one in diagnose(found, Scene(baseline=baseline, assets=(name,), sensor_of=sensors))]

    sys.stdout.write(f"\n{told} of 50 engines drift near their end: {dict(Counter(map(str, causes)))}\n")
    assert told >= 38
    assert causes.count(Cause.DEGRADATION) >= 0.9 * len(causes)
    assert not {Cause.CONCEPT, Cause.FLEET} & {*causes}
