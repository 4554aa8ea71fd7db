"""Faults of logs and tables planted on real files: a factory's sensors, turbofans, a maintenance record."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Line = dict[str, str]
Lines = list[Line]
OfLines = Callable[[Lines], Lines]
WEEK = "vibrationdata_05122022_11122022.csv"
ENGINES = 6


# --- the factory: a week of reports


def later(change: Callable[[Line], Line]) -> OfLines:
    """Return what changes every line of the second half."""
    return lambda lines: lines[: len(lines) // 2] + [change(dict(line)) for line in lines[len(lines) // 2 :]]


def shifted(line: Line) -> Line:
    """Move every cell after the sensor's name by one column."""
    names = list(line)
    cells = list(line.values())
    return dict(zip(names, [*cells[:2], "0", *cells[2:-1]], strict=True))


def scaled(factor: float, *columns: str) -> Callable[[Line], Line]:
    """Return what multiplies cells of a line."""
    return lambda line: {**line, **{name: f"{float(line[name]) * factor:.0f}" for name in columns}}


def stuck(lines: Lines) -> Lines:
    """Let each sensor repeat the values of its report in the middle of the week."""
    seen: dict[str, Line] = {}
    own = {"Timestamp", "SequenceNumber", "DeviceTime", "SensorID"}
    out = lines[: len(lines) // 2]
    for line in lines[len(lines) // 2 :]:
        first = seen.setdefault(line["SensorID"], line)
        out.append({name: line[name] if name in own else first[name] for name in line})
    return out


X = ("XOAVelocity", "XPeakmg", "XRMSmg", "XKurtosis", "XCrestFactor", "XSkewness", "XDeviation")
FOUR_YEARS_S = 126_230_400
YEAR_MS = 31_557_600_000
FACTORY: dict[str, OfLines] = {
    "shifted columns": later(shifted),
    "duplicates, resent": lambda lines: lines + lines[-200:],
    "text in numbers": later(lambda line: {**line, "XRMSmg": "high"}),
    "renamed asset": later(lambda line: {**line, "SensorID": line["SensorID"].replace("sensor-", "pump ")}),
    "swapped units: degC for thousandths": later(scaled(1e-3, "TempHumiSenVal")),
    "swapped units: degF for degC": later(
        lambda line: {**line, "TempHumiSenVal": f"{float(line['TempHumiSenVal']) * 1.8 + 32000:.0f}"}
    ),
    "swapped units: V for mV": later(scaled(1e-3, "DeviceBatteryVolt")),
    "stuck sensor": stuck,
    "zeroed axis": later(lambda line: {**line, **dict.fromkeys(X, "0")}),
    "sign flipped": later(scaled(-1, "XRMSmg", "XPeakmg")),
    "columns swapped: peak and rms": later(
        lambda line: {**line, "XRMSmg": line["XPeakmg"], "XPeakmg": str(int(line["XRMSmg"]) // 2)}
    ),
    "schema change: a column renamed": lambda lines: [
        {("XRms" if n == "XRMSmg" else n): c for n, c in line.items()} for line in lines
    ],
    "schema change: a column gone": lambda lines: [
        {n: c for n, c in line.items() if n != "DeviceTime"} for line in lines
    ],
    "future rows": later(lambda line: {**line, "Timestamp": str(int(line["Timestamp"]) + 9 * YEAR_MS)}),
    "NaN bursts": lambda lines: [{**line, "XRMSmg": "nan"} if n % 50 < 10 else line for n, line in enumerate(lines)],
    "infinite values": later(lambda line: {**line, "XRMSmg": "inf"}),
    "swapped units: g for mg": later(scaled(1e-3, "XRMSmg", "XPeakmg")),
    "asset not named": later(lambda line: {**line, "SensorID": ""}),
    "rows of two lengths": lambda lines: [*lines[:-1], dict(list(lines[-1].items())[:9])],
    "receipts lost": later(lambda line: {**line, "Timestamp": "", "SequenceNumber": line["Timestamp"][:10]}),
}


def week(folder: Path, data_root: Path, change: OfLines | None = None) -> Path:
    """Write a real week of reports, changed."""
    with (data_root / "factory_lora" / WEEK).open(newline="") as file:
        lines = list(csv.DictReader(file))
    _write(folder / WEEK, change(lines) if change else lines)
    return folder


def _write(path: Path, lines: Lines) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)


# --- turbofans: a few engines' lives


def column(number: int, change: Callable[[float], float]) -> Callable[[list[str]], list[str]]:
    """Return what changes a cell of a row of 26."""
    return lambda cells: [f"{change(float(c)):.4f}" if n == number else c for n, c in enumerate(cells)]


S2, S3, S4, S11, S12 = 6, 7, 8, 15, 16
Rows = list[list[str]]
OfRows = Callable[[Rows], Rows]


def last_lives(change: Callable[[list[str]], list[str]]) -> OfRows:
    """Return what changes the rows of the later engines."""
    return lambda rows: [change(row) if int(row[0]) > ENGINES // 2 else row for row in rows]


def swapped(first: int, second: int) -> Callable[[list[str]], list[str]]:
    """Return what puts two cells in each other's place."""
    order = {first: second, second: first}
    return lambda cells: [cells[order.get(n, n)] for n in range(len(cells))]


TURBOFANS: dict[str, OfRows] = {
    "shifted columns": last_lives(lambda cells: [*cells[:5], *cells[6:], cells[5]]),
    "columns swapped: s2 and s3": last_lives(swapped(S2, S3)),
    "swapped units: K for degR": last_lives(column(S2, lambda degrees: degrees * 5 / 9)),
    "sign flipped": last_lives(column(S11, lambda psi: -psi)),
    "zeroed sensor": last_lives(column(S12, lambda _: 0.0)),
    "stuck sensor": last_lives(column(S11, lambda _: 47.5)),
    "clipped sensor": last_lives(column(S4, lambda degrees: min(degrees, 1402.0))),
    "calibration step of 5 %": last_lives(column(S2, lambda degrees: degrees * 1.05)),
    "NaN bursts": lambda rows: [[*r[:S3], "nan", *r[S3 + 1 :]] if int(r[1]) % 10 == 5 else r for r in rows],
    "text in numbers": lambda rows: [*rows[:-5], [*rows[-5][:S2], "n/a", *rows[-5][S2 + 1 :]], *rows[-4:]],
    "duplicates": lambda rows: rows + rows[-40:],
    "dropped samples: cycles missing": lambda rows: [row for row in rows if int(row[1]) % 25],
    "schema change: a column less": lambda rows: [row[:-1] for row in rows],
    "rows of two lengths": lambda rows: [*rows[:-1], rows[-1][:9]],
    "future rows: cycles not flown yet": last_lives(column(1, lambda cycle: cycle + 1000)),
    "rows out of order": lambda rows: [*rows[:-40], *reversed(rows[-40:])],
    "renamed asset": last_lives(column(0, lambda engine: engine + 0.5)),
    "infinite values": last_lives(column(S3, lambda _: float("inf"))),
}


def engines(folder: Path, data_root: Path, change: OfRows | None = None) -> Path:
    """Write the lives of a few real engines, changed."""
    lines = (data_root / "cmapss" / "train_FD001.txt").read_text().splitlines()
    rows = [line.split() for line in lines]
    rows = [row for row in rows if int(row[0]) <= ENGINES]
    folder.mkdir(parents=True, exist_ok=True)
    text = "\n".join(" ".join(row) for row in (change(rows) if change else rows))
    (folder / "train_FD001.txt").write_text(text + "\n")
    return folder


# --- a maintenance record


def whole(change: Callable[[Line], Line]) -> OfLines:
    """Return what changes every line."""
    return lambda lines: [change(dict(line)) for line in lines]


def hours_later(line: Line) -> Line:
    """Put a line two hours later, as another time zone would."""
    day, clock = line["datetime"].split(" ")
    return {**line, "datetime": f"{day} {(int(clock[:2]) + 2) % 24:02}{clock[2:]}"}


def day_and_month(line: Line) -> Line:
    """Write the month for the day where that is a date too."""
    year, month, rest = line["datetime"].split("-")
    day, clock = rest.split(" ")
    return {**line, "datetime": f"{year}-{day}-{month} {clock}"} if int(day) <= 12 else line


RECORDS: dict[str, tuple[str, OfLines]] = {
    "future rows": ("failures", later(lambda line: {**line, "datetime": line["datetime"].replace("2015", "2031")})),
    "duplicates": ("failures", lambda lines: lines + lines[:50]),
    "renamed asset": ("errors", later(lambda line: {**line, "machineID": str(int(line["machineID"]) + 500)})),
    "unknown code": ("failures", later(lambda line: {**line, "failure": line["failure"].replace("comp", "part")})),
    "wrong time zone": ("failures", whole(hours_later)),
    "day and month swapped": ("failures", whole(day_and_month)),
    "truncated file: half of the replacements": ("maint", lambda lines: lines[: len(lines) // 2]),
    "text in times": ("maint", later(lambda line: {**line, "datetime": "last week"})),
    "shifted columns": (
        "errors",
        lambda lines: [dict(zip(line, [*list(line.values())[1:], "0"], strict=True)) for line in lines],
    ),
    "schema change: a column renamed": (
        "failures",
        lambda lines: [{("part" if n == "failure" else n): c for n, c in line.items()} for line in lines],
    ),
    "described twice": ("machines", lambda lines: lines + lines[:3]),
    "rows of two lengths": ("errors", lambda lines: [*lines[:-1], dict(list(lines[-1].items())[:1])]),
    "asset not named": ("failures", later(lambda line: {**line, "machineID": ""})),
    "schema change: a column gone": (
        "maint",
        lambda lines: [{n: c for n, c in line.items() if n != "comp"} for line in lines],
    ),
    "clock 4 years fast": (
        "maint",
        later(lambda line: {**line, "datetime": f"{int(line['datetime'][:4]) + 4}{line['datetime'][4:]}"}),
    ),
    "columns swapped": ("machines", whole(lambda line: {**line, "model": line["age"], "age": line["model"]})),
    "impossible age": ("machines", later(lambda line: {**line, "age": "-4"})),
}


def record(folder: Path, data_root: Path, spoil: tuple[str, OfLines] | None = None) -> Path:
    """Write the four real logs, one of them changed."""
    for name in ("errors", "failures", "maint", "machines"):
        with (data_root / "azure_pdm" / f"PdM_{name}.csv").open(newline="") as file:
            lines = list(csv.DictReader(file))
        _write(folder / f"PdM_{name}.csv", spoil[1](lines) if spoil and spoil[0] == name else lines)
    return folder


@pytest.fixture(scope="module")
def clean(bench: Any, data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Take the clean files in."""
    folder = tmp_path_factory.mktemp("clean")
    return {
        "factory_lora": bench.take_in(week(folder / "factory", data_root), "factory_lora"),
        "C-MAPSS": bench.take_in(engines(folder / "engines", data_root), "cmapss"),
        "Azure PdM": bench.take_in(record(folder / "record", data_root), "azure_pdm"),
    }


def test_nothing_is_held_of_the_clean_files(clean: Any) -> None:
    """Reports, cycles and logs come in; what is said of them is what the real week says of itself."""
    for name, taken in clean.items():
        assert not taken.error, name
        assert taken.account is not None
        assert (taken.account.held, taken.account.rejected) == ({}, {}), name


@pytest.mark.parametrize("fault", FACTORY)
def test_a_spoilt_week_is_stopped(bench: Any, clean: Any, data_root: Path, tmp_path: Path, fault: str) -> None:
    """Refused, rejected, held or mended: no spoilt report is stored."""
    spoilt = bench.take_in(week(tmp_path / "factory", data_root, FACTORY[fault]), "factory_lora")

    caught = bench.compare(fault, "factory_lora", clean["factory_lora"], spoilt)

    assert (caught.where != "nowhere", caught.leaks) == (True, 0), caught


@pytest.mark.parametrize("fault", TURBOFANS)
def test_a_spoilt_life_is_stopped(bench: Any, clean: Any, data_root: Path, tmp_path: Path, fault: str) -> None:
    """Refused, rejected, held or put in order: no spoilt cycle is stored."""
    spoilt = bench.take_in(engines(tmp_path / "engines", data_root, TURBOFANS[fault]), "cmapss")

    caught = bench.compare(fault, "C-MAPSS", clean["C-MAPSS"], spoilt)

    assert (caught.where != "nowhere", caught.leaks) == (True, 0), caught


def test_noise_within_the_range_of_a_sensor_is_seen_in_part(
    bench: Any, clean: Any, data_root: Path, tmp_path: Path
) -> None:
    """Said honestly: a loose plug that adds and takes a tenth is held where it leaves the range, and only there."""
    noisy = last_lives(column(S4, lambda degrees: degrees * (1.1 if round(degrees * 100) % 2 else 0.9)))
    spoilt = bench.take_in(engines(tmp_path / "engines", data_root, noisy), "cmapss")

    caught = bench.compare("noise of a tenth", "C-MAPSS", clean["C-MAPSS"], spoilt)

    assert caught.where == "held"
    assert caught.leaks == 320


@pytest.mark.parametrize("fault", RECORDS)
def test_a_spoilt_record_is_stopped(bench: Any, clean: Any, data_root: Path, tmp_path: Path, fault: str) -> None:
    """Refused, or held as a whole: no label is made of a log with a fault in it."""
    spoilt = bench.take_in(record(tmp_path / "record", data_root, RECORDS[fault]), "azure_pdm")

    caught = bench.compare(fault, "Azure PdM", clean["Azure PdM"], spoilt)

    assert (caught.where in {"read", "held"}, caught.leaks) == (True, 0), caught


def test_a_packed_file_cut_off_is_stopped(bench: Any, clean: Any, data_root: Path, tmp_path: Path) -> None:
    """A gzip that ends early is refused, not read as far as it goes."""
    folder = engines(tmp_path / "engines", data_root)
    content = gzip.compress((folder / "train_FD001.txt").read_bytes())
    (folder / "train_FD001.txt").unlink()
    (folder / "train_FD001.txt.gz").write_bytes(content[: len(content) // 2])

    caught = bench.compare("truncated file", "C-MAPSS", clean["C-MAPSS"], bench.take_in(folder, "cmapss"))

    assert (caught.where, caught.leaks) == ("read", 0)


def test_a_device_clock_four_years_off_costs_no_more_than_a_delay(
    bench: Any, clean: Any, data_root: Path, tmp_path: Path
) -> None:
    """Every report is stored with its values, by receipt; what the clock told of delays is lost, and said."""
    off = later(lambda line: {**line, "DeviceTime": str(int(line["DeviceTime"]) - FOUR_YEARS_S)})
    spoilt = bench.take_in(week(tmp_path / "factory", data_root, off), "factory_lora")

    caught = bench.compare("device clock 4 years off", "factory_lora", clean["factory_lora"], spoilt)

    assert caught.where == "mended"
    before, after = ({_values(text): _start_us(text) for text in one.blocks} for one in (clean["factory_lora"], spoilt))
    assert before.keys() == after.keys()
    assert max(abs(after[name] - before[name]) for name in before) < 180_000_000


def _start_us(text: str) -> int:
    """Return when a block began, as `Bench` wrote it down."""
    return int(text.split("|")[2])


def _values(text: str) -> str:
    """Return what a block is and holds, without its time."""
    parts = text.split("|")
    return "|".join([*parts[:2], *parts[3:], str(_start_us(text) // 900_000_000)])
