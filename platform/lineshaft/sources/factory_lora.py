"""A real factory over LoRaWAN: four vibration sensors every 15 minutes and the running states of 21 machines.

Every mess of the field is in it: device clocks seconds to years off, shifted records, resent reports, day-long
holes, "not measured" sent as 0, two spellings of one name. Each is met by a declared rule and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lineshaft.errors import InputError
from lineshaft.sources.blocks import Floats, Integers, blocks_table
from lineshaft.sources.catalogue import SOURCES
from lineshaft.sources.reading import Reading, reject_rows
from lineshaft.sources.rules import AliasRule, ClockRule, ZeroRule
from lineshaft.sources.tabular import column, files_in, floats, numbers, read_csv, stamps, wholes

REPORT_US = 900_000_000
STATE_US = 60_000_000
REPORTS = SOURCES["sensor_reports"]
STATES = SOURCES["machine_states"]
SENDER_SCHEMA = pa.schema([pa.field("asset_id", pa.string()), pa.field("sender", pa.string())])

_FIELDS = {
    "velocity_rms": "OAVelocity",
    "peak": "Peakmg",
    "rms": "RMSmg",
    "kurtosis": "Kurtosis",
    "crest_factor": "CrestFactor",
    "skewness": "Skewness",
    "deviation": "Deviation",
    "displacement": "PeaktoPeakDisplacement",
}
COLUMNS = {f"{axis}_{name}": f"{axis.upper()}{sent}" for name, sent in _FIELDS.items() for axis in "xyz"}
COLUMNS |= {"temperature": "TempHumiSenVal", "battery": "DeviceBatteryVolt"}
SCALES = {"temperature": 1e-3, "battery": 1e-3}  # sent in milli-degC and mV
NOT_MEASURED = ZeroRule(
    channels=frozenset(
        f"{axis}_{name}"
        for axis in "yz"
        for name in ("kurtosis", "crest_factor", "skewness", "deviation", "displacement")
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraRules:
    """Every rule that `read_factory_lora` applies."""

    clock: ClockRule = field(default_factory=ClockRule)
    zeros: ZeroRule = NOT_MEASURED
    names: AliasRule = field(default_factory=AliasRule)


def read_factory_lora(path: Path, *, rules: LoraRules | None = None) -> Iterator[Reading]:
    """Read the weekly files: all sensor reports first, because clocks and resends go on across weeks, then states.

    Rejected: `shifted_record` (a time stands in SequenceNumber and the rest is empty) and `duplicate` (the same
    sensor, sequence number and device time, received again). Noted: how each event time was chosen
    (`event_time_from_device`, `event_time_from_receipt`), `clock_step`, `zero_not_measured`, `renamed`,
    `state_unknown`. Table `clocks` holds each report's clock offset and the choice made, `senders` which unit told
    a machine's state.
    """
    found = rules or LoraRules()
    fix = "name the folder of vibrationdata_*.csv and machinestatus_*.csv.gz"
    files = files_in(path, "vibrationdata_*.csv", "machinestatus_*.csv", "machinestatus_*.csv.gz", fix=fix)
    reports = [file for file in files if file.name.startswith("vibrationdata")]
    if reports:
        yield _read_reports(reports, found)
    for file in files:
        if file not in reports:
            yield _read_states(file, found.names)


def _read_reports(files: Sequence[Path], rules: LoraRules) -> Reading:
    """Return the sensor reports of all files, in order of receipt."""
    table = pa.concat_tables([_report_table(file) for file in files], promote_options="permissive")
    shifted = pc.or_(pc.is_null(table["Timestamp"]), pc.is_null(table["DeviceTime"]))
    rejects = [_rejects("shifted_record", table.filter(shifted), "fields lost: a time stands in SequenceNumber")]
    table = table.filter(pc.invert(shifted)).sort_by([("Timestamp", "ascending")])
    names, renamed = _normal(column(table, "SensorID", path=files[0]), rules.names)
    again = _resent(names, table)
    rejects.append(_rejects("duplicate", table.filter(pa.array(again)), "sent again: same sequence and device time"))
    table, names = table.filter(pa.array(~again)), names[~again]
    receipt_us = table["Timestamp"].to_numpy() * 1000
    device_us = table["DeviceTime"].to_numpy().astype(np.int64) * 1_000_000
    events, clocks, notes = _event_times(names, device_us, receipt_us, rules.clock)
    values, zeros = _values(table, rules.zeros, path=files[0])
    blocks = _singles(names, events, values, REPORT_US, known_us=receipt_us)
    notes.update({"zero_not_measured": zeros, "renamed": renamed})
    return Reading(
        blocks={REPORTS.name: blocks},
        rejects=pa.concat_tables(rejects),
        notes={reason: count for reason, count in sorted(notes.items()) if count},
        tables={"clocks": clocks},
    )


def _report_table(file: Path) -> pa.Table:
    """Return one week's reports, their times and sequence numbers whole numbers or null."""
    table = read_csv(file)
    for name in ("Timestamp", "DeviceTime", "SequenceNumber"):
        whole = numbers(table, name, path=file, kind=pa.int64())
        table = table.set_column(table.column_names.index(name), name, whole)
    return table


def _normal(names: pa.ChunkedArray, rule: AliasRule) -> tuple[npt.NDArray[np.object_], int]:
    """Return normalised names and how many were changed."""
    sent = np.asarray(names.to_pylist(), dtype=object)
    normal = {name: rule.normal(name) for name in set(sent.tolist())}
    return np.array([normal[name] for name in sent], dtype=object), int(sum(normal[name] != name for name in sent))


def _resent(names: npt.NDArray[np.object_], table: pa.Table) -> npt.NDArray[np.bool_]:
    """Return which reports were received before: sequence numbers wrap at 256, so the device's time is compared too."""
    seen: set[tuple[Any, ...]] = set()
    flags = []
    rows = zip(names, table["SequenceNumber"].to_pylist(), table["DeviceTime"].to_pylist(), strict=True)
    for key in rows:
        flags.append(key in seen)
        seen.add(key)
    return np.array(flags, dtype=bool)


def _event_times(
    names: npt.NDArray[np.object_], device_us: Integers, receipt_us: Integers, rule: ClockRule
) -> tuple[Integers, pa.Table, Counter[str]]:
    """Return event times, the account of each choice, and counts; each device's clock is tracked by itself."""
    events, notes = receipt_us.copy(), Counter[str]()
    trusted = np.zeros(len(names), dtype=bool)
    for name in sorted(set(names)):
        mine = np.flatnonzero(names == name)
        reading = rule.apply(device_us[mine], receipt_us[mine])
        events[mine] = reading.event_us
        trusted[mine] = np.abs(reading.offset_us) <= rule.tolerance_us
        notes["clock_step"] += len(reading.steps)
        for choice, count in reading.choices.items():
            notes[f"event_time_from_{choice}"] += count
    account = pa.table(
        {
            "asset_id": pa.array(names, pa.string()),
            "known_at": stamps(receipt_us),
            "event_time": stamps(events),
            "offset_us": device_us - receipt_us,
            "choice": np.where(trusted, "device", "receipt"),
        }
    )
    return events, account, notes


def _values(table: pa.Table, rule: ZeroRule, *, path: Path) -> tuple[Floats, int]:
    """Return (reports, channels) scaled to the catalogue's units, and how many zeros meant "not measured"."""
    sent = floats(table, [COLUMNS[name] for name in REPORTS.channels], path=path)
    values, zeros = np.empty_like(sent), 0
    for number, name in enumerate(REPORTS.channels):
        values[:, number], count = rule.apply(name, sent[:, number])
        values[:, number] *= SCALES.get(name, 1.0)
        zeros += count
    return values, zeros


def _read_states(file: Path, names: AliasRule) -> Reading:
    """Return one week of running states: one block a machine and minute; -1 means unknown and is NaN."""
    table = read_csv(file)
    receipt_us = wholes(table, "Timestamp", path=file) * 1000
    senders, renamed = _normal(column(table, "UID", path=file), names)
    machines = [name for name in table.column_names if name.startswith("machine")]
    if not machines:
        raise InputError("there is no column of a machine", where=f"{file}:1", fix="call it machine1, machine2, ...")
    parts, links, unknown = [], [], 0
    for machine in machines:
        state = floats(table, [machine], path=file)[:, 0]
        told = np.isfinite(state)
        unknown += int((state == -1).sum())
        values = np.where(state == -1, np.nan, state)[told, None]
        asset = names.normal(machine)
        parts.append(_singles(asset, receipt_us[told], values, STATE_US))
        links += [{"asset_id": asset, "sender": sender} for sender in sorted(set(senders[told]))]
    notes = {"state_unknown": unknown, "renamed": renamed}
    blocks = pa.concat_tables(parts).sort_by([("start_us", "ascending"), ("asset_id", "ascending")])
    return Reading(
        blocks={STATES.name: blocks},
        notes={reason: count for reason, count in notes.items() if count},
        tables={"senders": pa.Table.from_pylist(links, schema=SENDER_SCHEMA)},
    )


def _singles(assets: Any, ends: Integers, values: Floats, period_us: int, **block: Any) -> pa.Table:
    """Return one block of one sample a row, each ending at its time."""
    return blocks_table(
        asset_id=assets if isinstance(assets, str) else assets.tolist(),
        starts_us=ends - period_us,
        samples=values[:, :, None],
        rate_hz=1e6 / period_us,
        dtype="f8",
        **block,
    )


def _rejects(reason: str, table: pa.Table, detail: str) -> pa.Table:
    """Return refused reports; empty fields are left out of their record."""
    rows: list[Mapping[str, Any]] = [
        {"asset_id": row.get("SensorID"), **{key: value for key, value in row.items() if value is not None}}
        for row in table.to_pylist()
    ]
    return reject_rows(source=REPORTS.name, reason=reason, rows=rows, detail=detail)
