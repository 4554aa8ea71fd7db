"""Every data set that can be ingested by name: its reader, its sources, and how to tell it from its folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lineshaft.errors import InputError, NotFoundError
from lineshaft.sources.azure_pdm import read_azure_pdm
from lineshaft.sources.catalogue import SOURCES
from lineshaft.sources.cmapss import read_cmapss
from lineshaft.sources.factory_lora import read_factory_lora
from lineshaft.sources.femto import read_femto
from lineshaft.sources.files import read_files
from lineshaft.sources.logs import read_ai4i, read_ims, read_nab, read_skab
from lineshaft.sources.reading import Reading
from lineshaft.sources.records import read_cwru, read_mfpt


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """A public data set: what it is, what reading it fills, and on what terms it may be used."""

    name: str
    title: str
    read: Callable[..., Iterator[Reading]]
    sources: tuple[str, ...]
    marks: tuple[str, ...]  # file patterns by which its folder is known
    licence: str
    tables: tuple[str, ...] = ()  # side tables beside the blocks


DATA_SETS: tuple[DataSet, ...] = (
    DataSet(
        name="ai4i",
        title="AI4I 2020: synthetic rows of a mill, rule-made failures",
        read=read_ai4i,
        sources=("ai4i_rows",),
        marks=("ai4i*.csv",),
        licence="CC BY 4.0",
        tables=("labels",),
    ),
    DataSet(
        name="azure_pdm",
        title="Microsoft's maintenance template: errors, replacements, failures of 100 machines",
        read=read_azure_pdm,
        sources=(),
        marks=("PdM_maint.csv",),
        licence="none stated: internal use",
        tables=("events", "machines"),
    ),
    DataSet(
        name="cmapss",
        title="NASA C-MAPSS: simulated turbofans run to failure, one row a cycle",
        read=read_cmapss,
        sources=("turbofan_cycles",),
        marks=("train_FD*.txt", "train_FD*.txt.gz"),
        licence="US Government work; cite Saxena and Goebel 2008",
        tables=("truth",),
    ),
    DataSet(
        name="cwru",
        title="CWRU: seeded bearing faults, 12 kHz drive end",
        read=read_cwru,
        sources=("vibration_blocks",),
        marks=("normal_*.mat", "*Drive_End*.mat"),
        licence="none stated; citation customary; do not redistribute",
    ),
    DataSet(
        name="factory_lora",
        title="A real factory: four LoRaWAN vibration sensors, 21 machines",
        read=read_factory_lora,
        sources=("sensor_reports", "machine_states"),
        marks=("vibrationdata_*.csv", "machinestatus_*.csv.gz"),
        licence="none stated: internal use, do not redistribute",
        tables=("clocks", "senders"),
    ),
    DataSet(
        name="femto",
        title="FEMTO-ST PRONOSTIA: bearing lives, 25.6 kHz on two axes every 10 s",
        read=read_femto,
        sources=("vibration_blocks", "process_readings"),
        marks=("Bearing*.npz", "*acc_[0-9]*.csv", "Bearing*/acc_*.csv"),
        licence="none stated; cite Nectoux 2012; do not redistribute",
    ),
    DataSet(
        name="ims",
        title="IMS set 2 (extract): mean |a| of four bearings every 10 minutes",
        read=read_ims,
        sources=("ims_level",),
        marks=("ims_*.csv",),
        licence="NASA PCoE; cite Lee 2007",
    ),
    DataSet(
        name="mfpt",
        title="MFPT: bearing faults, 48.8 kHz",
        read=read_mfpt,
        sources=("vibration_blocks",),
        marks=("*RaceFault_vload_*.mat", "baseline_*.mat"),
        licence="CC BY-NC-SA 4.0: internal evaluation only",
    ),
    DataSet(
        name="nab",
        title="NAB: temperatures of a machine and an office, with labelled failures",
        read=read_nab,
        sources=("process_readings",),
        marks=("machine_temperature_system_failure.csv",),
        licence="MIT",
        tables=("windows",),
    ),
    DataSet(
        name="skab",
        title="SKAB: a water loop with 8 sensors at 1 Hz and planted faults",
        read=read_skab,
        sources=("skab_loop",),
        marks=("valve1/*.csv", "anomaly-free/*.csv"),
        licence="GPL-3.0",
        tables=("labels",),
    ),
)
"""Every public set, in order of name."""

OWN_FILES = DataSet(
    name="files",
    title="your own CSV or Parquet files, as docs/how-to/bring-your-own-data.md describes them",
    read=read_files,
    sources=tuple(SOURCES),
    marks=("*.csv", "*.csv.gz", "*.parquet"),
    licence="yours",
)
"""What a folder is taken for when it is none of the sets."""

READERS: dict[str, DataSet] = {data_set.name: data_set for data_set in (*DATA_SETS, OWN_FILES)}
"""Every set by name, your own files among them."""


def detect(path: Path) -> DataSet:
    """Return the set that a folder holds, judged by the names of its files; other tables are the user's own.

    Raises
    ------
    NotFoundError
        If the folder is absent, or holds no file we can read.
    InputError
        If it looks like more than one.
    """
    if not path.exists():
        raise NotFoundError("there is no such folder", where=str(path), fix="check the path")
    folder = path if path.is_dir() else path.parent
    found = [data_set for data_set in DATA_SETS if _holds(folder, data_set)]
    if not found and _holds(folder, OWN_FILES):
        return OWN_FILES
    names = ", ".join(READERS)
    if not found:
        what = "there is nothing here that we can read"
        raise NotFoundError(what, where=str(path), fix=f"name a folder of one of {names}")
    if len(found) > 1:
        what = f"the files here look like {' and '.join(data_set.name for data_set in found)}"
        raise InputError(what, where=str(path), fix="name the set")
    return found[0]


def _holds(folder: Path, data_set: DataSet) -> bool:
    """Say whether a folder has a file of a set."""
    return any(any(folder.glob(mark)) for mark in data_set.marks)


def read_data_set(path: Path, *, name: str = "", **options: Any) -> Iterator[Reading]:
    """Yield a set's readings, one a file; the set is detected unless named. `options` go to its reader.

    Raises
    ------
    NotFoundError
        If no set has this name.
    """
    if not name:
        return detect(path).read(path, **options)
    if name not in READERS:
        raise NotFoundError(f"there is no data set {name!r}", fix=f"one of {', '.join(READERS)}")
    return READERS[name].read(path, **options)
