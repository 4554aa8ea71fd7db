"""Microsoft's predictive-maintenance template: errors, maintenance, failures and machines (its telemetry is absent)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lineshaft.sources.reading import EVENT_SCHEMA, Reading
from lineshaft.sources.tabular import column, files_in, read_csv, stamps, times_us

FILES = {
    "error": ("PdM_errors.csv", "errorID"),
    "failure": ("PdM_failures.csv", "failure"),
    "preventive": ("PdM_maint.csv", "comp"),
}


def read_azure_pdm(path: Path) -> Iterator[Reading]:
    """Read the logs as one table `events` in EVENT_SCHEMA, and `machines` (asset_id, model, age_years).

    Kinds: error, failure, and for each component replaced "corrective" if that component of that machine failed at
    that time, else "preventive": nothing failed, so its life is censored there.
    """
    fix = "name the folder of PdM_maint.csv, PdM_failures.csv, PdM_errors.csv, PdM_machines.csv"
    folder = files_in(path, "PdM_maint.csv", fix=fix)[0].parent
    events = {kind: _events(folder / name, kind, code) for kind, (name, code) in FILES.items()}
    replaced = events["preventive"]
    failed = pc.is_in(_keys(replaced), value_set=_keys(events["failure"]))
    kinds = pc.if_else(failed, "corrective", "preventive")
    events["preventive"] = replaced.set_column(3, EVENT_SCHEMA.field("kind"), kinds)
    machines = read_csv(folder / "PdM_machines.csv")
    ids = column(machines, "machineID", path=folder / "PdM_machines.csv")
    model, age = (column(machines, name, path=folder / "PdM_machines.csv") for name in ("model", "age"))
    described = pa.table({"asset_id": _assets(ids), "model": model, "age_years": age})
    corrective = int(pc.sum(failed).as_py() or 0)
    notes = {"corrective_replacement": corrective, "preventive_replacement": len(replaced) - corrective}
    table = pa.concat_tables(list(events.values())).sort_by([("event_time", "ascending"), ("asset_id", "ascending")])
    yield Reading(tables={"events": table, "machines": described}, notes=notes)


def _events(file: Path, kind: str, code: str) -> pa.Table:
    """Return one log in EVENT_SCHEMA; its rows were known when they happened, as far as the set says."""
    table = read_csv(file)
    times = stamps(times_us(column(table, "datetime", path=file), path=file, name="datetime"))
    assets = _assets(column(table, "machineID", path=file))
    kinds = pa.array(np.full(len(table), kind))
    return pa.Table.from_arrays(
        [assets, times, times, kinds, _plain(column(table, code, path=file))], schema=EVENT_SCHEMA
    )


def _assets(numbers: pa.ChunkedArray) -> pa.Array:
    """Return machine numbers as asset names."""
    return pa.array([f"machine-{number}" for number in numbers.to_pylist()], pa.string())


def _plain(codes: pa.ChunkedArray) -> pa.Array:
    """Return codes as one array of strings."""
    return codes.cast(pa.string()).combine_chunks()


def _keys(events: pa.Table) -> pa.Array:
    """Return one text an event that names machine, time and component."""
    times = events["event_time"].cast(pa.int64()).cast(pa.string())
    return pc.binary_join_element_wise(events["asset_id"], times, events["code"], "|").combine_chunks()
