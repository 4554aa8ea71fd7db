"""What the demo runs on: a simulated fleet, or a real data set by path."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lineshaft.sources.data_sets import detect, read_data_set
from lineshaft.sources.reading import Reading
from lineshaft.sources.simulator.fleet import Fleet
from lineshaft.sources.simulator.plans import VibrationPlan

FLEET = Fleet(assets=40, hours=24, life_days=1.0, seed=7, vibration=VibrationPlan(every_s=600))
"""Lives of a day instead of years, so that a day shows wear, failures and replacements."""
PROCESS_ASSETS = 4
PLANTED = "pump-in-micro-g"
MICRO = 1_000_000.0
FLEET_ROWS = 3_500  # a demo is over in minutes; `lineshaft verify` looks at all
SET_ROWS = 150_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """The input of a demo: its readings, and the model that can learn from it ("" if none)."""

    title: str
    name: str
    readings: Callable[[], Iterator[Reading]]
    model: str = ""
    planted: str = ""  # the asset whose data is broken on purpose
    proved_rows: int = SET_ROWS  # of more rows, some assets are proven


def fleet_input() -> Cast:
    """Return the simulated fleet, with one pump whose sensor sends micro-g labelled as g."""
    return Cast(
        title=f"a simulated fleet: {FLEET.assets} machines, {FLEET.hours:.0f} hours, lives of a day",
        name="fleet",
        readings=_fleet,
        model="bearing_failure",
        planted=PLANTED,
        proved_rows=FLEET_ROWS,
    )


def set_input(path: Path) -> Cast:
    """Return a real data set by its folder."""
    found = detect(path)
    turbofans = found.name == "cmapss"
    subset = "; of its subsets FD001, which the model is of" if turbofans else ""
    options = {"subsets": ["FD001"]} if turbofans else {}
    return Cast(
        title=f"{found.title} ({found.licence}){subset}",
        name=found.name,
        readings=lambda: read_data_set(path, name=found.name, **options),
        model="turbofan_rul" if turbofans else "",
    )


def _fleet() -> Iterator[Reading]:
    for blocks in FLEET.blocks("vibration_blocks"):
        yield Reading(blocks={"vibration_blocks": blocks})
    for blocks in FLEET.blocks("process_readings", assets=range(PROCESS_ASSETS)):
        yield Reading(blocks={"process_readings": blocks})
    yield Reading(blocks={"vibration_blocks": _micro_g()})
    yield Reading(tables={"maintenance": FLEET.maintenance(), "fleet_truth": FLEET.truth()})


def _micro_g() -> pa.Table:
    """Return an hour of one machine under another name, its samples a million times too large."""
    blocks = next(FLEET.blocks("vibration_blocks", assets=[0]))
    kept = blocks.filter(pc.equal(blocks["dtype"], "f4"))
    payload = [(np.frombuffer(p, "<f4") * np.float32(MICRO)).tobytes() for p in kept["payload"].to_pylist()]
    columns = {name: kept[name] for name in kept.column_names}
    columns["payload"] = pa.array(payload, pa.binary())
    columns["asset_id"] = pa.array([PLANTED] * kept.num_rows, pa.string())
    columns["full_scale"] = pa.nulls(kept.num_rows, pa.float64())
    return pa.table(columns, schema=kept.schema)
