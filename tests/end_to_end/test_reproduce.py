"""A model made again: the same bits elsewhere and later, and the first stage that differs where an input is another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import SecretStr

from lineshaft.cli.models import run_training
from lineshaft.errors import NotFoundError
from lineshaft.ops.reproduce import STAGES, Reproduction, Sources, difference, kept_training_set, reproduce
from lineshaft.ops.tables import keep_tables
from lineshaft.registry.records import ModelVersion
from lineshaft.settings import Settings
from lineshaft.specs import Feature, OnDemandView, Service, ServiceView, Source, View, row_schema
from lineshaft.wiring import Parts, connect

HOUR_US = 3_600_000_000
ASSETS, HOURS, COMMITS = 16, 60, 100
NAMES = [f"pump-{i:02d}" for i in range(ASSETS)]
TIME = pa.timestamp("us", tz="UTC")
VIEW = View(
    name="vibration",
    source=Source(name="vibration_blocks", channels=("acceleration",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms_1h", unit="g"), Feature(name="kurtosis_1h", unit="1")),
    tile_us=HOUR_US,
    grace_us=60_000_000,
    ttl_us=2 * HOUR_US,
    team="rotating",
    owner="ana",
)
DECLARED = """\
description: Whether a pump fails within a day.
task: binary
service: bearing_health
every: 1h
label: {log: maintenance, horizon: 24h}
split: {by: asset_id, folds: 3}
seed: 7
rounds: 30
calibrate: platt
"""
DETECTOR = """\
task: anomaly
service: bearing_health
every: 1h
detector: forest
label: {healthy: 30h}
alert: {threshold: 0.7, persist: 2/3}
split: {by: asset_id, folds: 3}
"""


@dataclass(frozen=True, kw_only=True)
class Repository:
    """All that is applied, as a plan hands it over."""

    views: tuple[View, ...] = (VIEW,)
    generation: int = 0
    summary: str = "by hand"
    on_demand: tuple[OnDemandView, ...] = ()
    transfers: frozenset[str] = field(default_factory=frozenset)

    @property
    def services(self) -> tuple[Service, ...]:
        """Read the first view."""
        view = self.views[0]
        used = ServiceView(view=view.name, version=view.version, features=("rms_1h", "kurtosis_1h"))
        return (Service(name="bearing_health", views=(used,), team="rotating", owner="ana"),)

    def checked(self) -> None:
        """Find no fault."""


def rows(hours: range, *, add: float = 0.0, known_us: int | None = None, assets: int = ASSETS) -> pa.Table:
    """Return rows of a fleet in which every other pump wears until it fails."""
    hour, asset = np.tile(np.array(hours), assets), np.repeat(np.arange(assets), len(hours))
    noise = np.random.default_rng(hours.start + 1).normal(size=len(hour))
    rms = 0.3 + np.where(asset % 2 == 0, np.exp((hour - HOURS) / 15), 0) + 0.02 * noise + add
    times = hour * HOUR_US
    known = times + 30_000_000 if known_us is None else np.full(len(hour), known_us)
    stamps = [pa.array(moment).cast(TIME) for moment in (times, known)]
    columns = [pa.array([NAMES[i] for i in asset]), *stamps, pa.array(rms), pa.array(3 + 4 * rms, mask=noise > 1.5)]
    return pa.table(columns, schema=row_schema(VIEW))


def maintenance(*, without: int = 0) -> pa.Table:
    """Return the log: every other pump failed after the last hour; without some, as it is revised."""
    failed = NAMES[::2][without:]
    at = pa.array([(HOURS + 1) * HOUR_US] * len(failed)).cast(TIME)
    return pa.table({"asset_id": failed, "event_time": at, "kind": ["failure"] * len(failed)})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home in which a model was trained by its declaration, as `lineshaft train` does."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "repo" / "models").mkdir(parents=True)
    (folder / "repo" / "models" / "wear.yaml").write_text(DECLARED)
    (folder / "repo" / "models" / "odd.yaml").write_text(DETECTOR)
    with connected(folder) as parts:
        parts.catalog.apply(Repository(), actor="ana")
        for start in range(1, HOURS, 20):
            parts.offline.write_rows(VIEW, rows(range(start, start + 20)), batch=f"day {start}")
        keep_tables({"maintenance": maintenance()}, parts.tables)
        run_training(parts, "wear")
        run_training(parts, "odd")
    return folder


def connected(folder: Path) -> Any:
    """Connect the parts of a home; nothing here asks the online store."""
    return connect(Settings(home=folder, repo=folder / "repo", redis_url=SecretStr("redis://127.0.0.1:1")))


@pytest.fixture
def parts(home: Path) -> Iterator[Parts]:
    """Return the parts of the home."""
    with connected(home) as opened:
        yield opened


def sources(parts: Parts) -> Sources:
    """Return where things are made again from."""
    return Sources(
        catalog_at=parts.catalog.at,
        offline=parts.offline,
        tables=parts.tables,
        artifacts=parts.registry.artifacts,
    )


def altered(parts: Parts, **changes: Any) -> Reproduction:
    """Make the version again with something else in its record."""
    return reproduce(replace(parts.registry.get("wear", 1), **changes), sources(parts))


def test_every_stage_is_the_same_at_once(parts: Parts) -> None:
    """Eight stages, each named, the last with the SHA-256 that is registered."""
    made = reproduce(parts.registry.get("wear", 1), sources(parts))

    assert made.first is None, made.first
    assert tuple(stage.name for stage in made.stages) == STAGES
    assert parts.registry.get("wear", 1).artifact_sha256 in made.stages[-1].detail
    assert made.exit_code == 0


def test_a_stored_file_that_was_altered_is_not_called_the_same(parts: Parts) -> None:
    """The bits made again are those registered, but not those that would be served."""
    version = parts.registry.get("wear", 1)
    (path,) = parts.registry.artifacts.root.rglob(f"{version.artifact_sha256}.*")
    whole = path.read_bytes()
    path.write_bytes(b"dead" + whole[4:])
    try:
        made = reproduce(version, sources(parts))
    finally:
        path.write_bytes(whole)

    assert made.first is not None
    assert (made.first.name, made.exit_code) == ("artifact", 1)
    assert "was altered after it was registered" in made.first.detail


def test_a_detector_is_made_again_too(parts: Parts) -> None:
    """It has no table of outcomes, and another library."""
    made = reproduce(parts.registry.get("odd", 1), sources(parts))

    assert made.first is None, made.first
    assert "taken for healthy" in made.stages[1].detail


def pins(version: ModelVersion, table_version: int) -> Any:
    """Return a version's pins, at another table version."""
    return tuple(replace(pin, table_version=table_version) for pin in version.pins)


def of_definition(parts: Parts) -> Reproduction:
    """Declare fewer features."""
    told = parts.registry.get("wear", 1).provenance
    assert told is not None
    text = DECLARED + 'features: ["*rms*"]\n'
    return altered(parts, provenance=replace(told, model_file=text))


def of_labels(parts: Parts) -> Reproduction:
    """Overwrite the log that was kept."""
    (path,) = (parts.tables / "pinned").glob("*.parquet")
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    try:
        return altered(parts)
    finally:
        path.write_bytes(content)


def of_moments(parts: Parts) -> Reproduction:
    """Read the table before its last commit."""
    version = parts.registry.get("wear", 1)
    return altered(parts, pins=pins(version, version.pins[0].table_version - 1))


def of_features(parts: Parts) -> Reproduction:
    """Slip in a row that claims to have been known in time."""
    slipped = rows(range(5, 6), add=0.5, known_us=5 * HOUR_US + 40_000_000, assets=1)
    at = parts.offline.write_rows(VIEW, slipped, batch="slipped")
    return altered(parts, pins=pins(parts.registry.get("wear", 1), at))


ALTERED: dict[str, Callable[[Parts], Reproduction]] = {
    "definition": of_definition,
    "labels": of_labels,
    "moments": of_moments,
    "features": of_features,
    "matrix": lambda parts: altered(parts, training_set="0" * 64),
    "parameters": lambda parts: altered(parts, params={**parts.registry.get("wear", 1).params, "eta": 0.3}),
    "library": lambda parts: altered(parts, library="xgboost 3.1.0"),
    "artifact": lambda parts: altered(parts, artifact_sha256="0" * 64),
}
TOLD = {
    "definition": "1 features differ, first vibration__kurtosis_1h",
    "labels": "was altered",
    "moments": "rows here",
    "features": "values in 2 columns differ; first vibration__rms_1h of (pump-00",
    "matrix": "recorded",
    "parameters": "eta is 0.05 here, 0.3 recorded",
    "library": "xgboost 3.2.0 here, xgboost 3.1.0 then",
    "artifact": "recorded",
}


@pytest.mark.parametrize("stage", STAGES)
def test_the_stage_that_was_altered_is_the_one_named(parts: Parts, stage: str) -> None:
    """One input changed, one at a time: the first difference is there, and says what differs."""
    made = ALTERED[stage](parts)

    assert made.first is not None
    assert (made.first.name, made.first.outcome, made.exit_code) == (stage, "differs", 1)
    assert TOLD[stage] in made.first.detail


def test_another_process_later_with_other_threads_makes_the_same_bits(home: Path) -> None:
    """After 100 commits more, corrections, compaction, a vacuum, a revised log and declaration, a new time to live."""
    with connected(home) as parts:
        for number in range(COMMITS):
            late = rows(
                range(number % HOURS + 1, number % HOURS + 3), add=0.01, known_us=(HOURS + 9) * HOUR_US + number
            )
            parts.offline.write_rows(VIEW, late, batch=f"late {number}")
            if number % 40 == 39:
                parts.offline.compact(VIEW)
        keep_tables({"maintenance": maintenance(without=3)}, parts.tables)
        parts.catalog.apply(Repository(views=(replace(VIEW, ttl_us=1),), generation=1), actor="bo")
        (home / "repo" / "models" / "wear.yaml").write_text(DECLARED.replace("seed: 7", "seed: 8"))
        kept = parts.catalog.pinned_versions(VIEW)
        assert parts.offline.vacuum(VIEW, retention_hours=0, keep_versions=kept) > 0
        registered = parts.registry.get("wear", 1).artifact_sha256

    asked = [sys.executable, "-m", "lineshaft.cli", "reproduce", "wear@1", "--threads", "2", "--json"]
    told = {"LINESHAFT_HOME": str(home), "LINESHAFT_REDIS_URL": "redis://127.0.0.1:1", "OMP_NUM_THREADS": "2"}
    environment = {**os.environ, **told}  # noqa: TID251 - the child's own
    there = subprocess.run(asked, env=environment, capture_output=True, text=True, check=False, cwd=home)

    answer = json.loads(there.stdout)
    assert (there.returncode, answer["same"], answer["first"]) == (0, True, None), answer
    assert registered in answer["stages"][-1]["detail"]


def test_a_vacuum_that_forgot_a_pin_is_named(home: Path) -> None:
    """The files of the pinned version are gone: the stage that needs them says so, and how it is avoided."""
    with connected(home) as parts:
        parts.offline.compact(VIEW)
        parts.offline.vacuum(VIEW, retention_hours=0)
        made = reproduce(parts.registry.get("wear", 1), sources(parts))

    assert made.first is not None
    assert made.first.name == "moments"
    assert "is gone" in made.first.detail


def test_what_was_not_recorded_is_said(parts: Parts) -> None:
    """A version of before there was provenance is no failure, and no success either."""
    made = altered(parts, provenance=None)

    assert [stage.outcome for stage in made.stages] == ["not recorded"]
    assert made.exit_code == 2


def test_without_the_kept_training_set_the_stage_is_still_named(parts: Parts, tmp_path: Path) -> None:
    """Only where it differs is not known then."""
    version = parts.registry.get("wear", 1)

    assert kept_training_set(version, tmp_path) is None
    assert kept_training_set(replace(version, provenance=None), parts.tables) is None
    assert difference(pa.table({"a": [1, 2]}), pa.table({"a": [1]})) == "2 rows here, 1 then"
    assert "column 'b'" in difference(pa.table({"b": [1]}), pa.table({"a": [1]}))
    with pytest.raises(NotFoundError):
        parts.registry.get("wear", 2)
