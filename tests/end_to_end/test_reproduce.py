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

from lineshaft.cli.training import run_training
from lineshaft.errors import NotFoundError
from lineshaft.models.tuning import Tuning
from lineshaft.ops.reproduce import STAGES, Reproduction, Sources, difference, kept_training_set, reproduce
from lineshaft.ops.tables import keep_tables
from lineshaft.ops.vacuum import sweep
from lineshaft.registry.records import ModelVersion
from lineshaft.settings import Settings
from lineshaft.sources.cmapss import EPOCH
from lineshaft.sources.tabular import utc_us
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
AREA = replace(VIEW, name="area")
"""A second view, which stands behind the first in the service and before it in the alphabet."""
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
LIFE = """\
task: survival
service: bearing_health
every: 1h
label: {log: maintenance}
split: {by: asset_id, folds: 3}
rounds: 20
params: {aft_loss_distribution_scale: 0.5}
"""
LEFT = """\
task: rul
service: bearing_health
every: 1h
label: {ends: truth, cap: 40}
split: {by: asset_id, held_out: 0.3}
rounds: 20
tune: {max_depth: [1, 6], eta: [0.01, 0.3, log], rounds: [10, 60, log]}
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


KINDS = {"wear": DECLARED, "life": LIFE, "left": LEFT, "sought": LEFT, "odd": DETECTOR}
"""A calibrated probability, lives cut short, a remaining life, one whose parameters were looked for, a detector."""
TREES = ("wear", "life", "left", "sought")
EACH = """\
import sys
from lineshaft.cli import main
for version in sys.argv[1:]:
    sys.argv = ["lineshaft", "reproduce", version, "--threads", "2", "--json"]
    try:
        main()
    except SystemExit as end:
        assert end.code == 0, version
    print(end="\\0")
"""


@dataclass(frozen=True, kw_only=True)
class Repository:
    """All that is applied, as a plan hands it over."""

    views: tuple[View, ...] = (VIEW, AREA)
    generation: int = 0
    summary: str = "by hand"
    on_demand: tuple[OnDemandView, ...] = ()
    transfers: frozenset[str] = field(default_factory=frozenset)

    @property
    def services(self) -> tuple[Service, ...]:
        """Read both views."""
        pairs = zip(self.views, (("rms_1h", "kurtosis_1h"), ("rms_1h",)), strict=True)
        used = tuple(ServiceView(view=v.name, version=v.version, features=some) for v, some in pairs)
        return (Service(name="bearing_health", views=used, team="rotating", owner="ana"),)

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


def truth() -> pa.Table:
    """Return when each pump's life ended, in hours from where the product counts cycles; of every other, much later."""
    began = utc_us(EPOCH) // HOUR_US
    ends = [HOURS + 1 - began + (i % 2) * 9 * i for i in range(ASSETS)]
    return pa.table({"asset_id": NAMES, "cycles": ends, "rul": [0] * ASSETS})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home in which a model of each kind was trained by its declaration, as `lineshaft train` does."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "repo" / "models").mkdir(parents=True)
    for name, text in KINDS.items():
        (folder / "repo" / "models" / f"{name}.yaml").write_text(text)
    with connected(folder) as parts:
        parts.catalog.apply(Repository(), actor="ana")
        for start in range(1, HOURS, 20):
            for view in (VIEW, AREA):
                parts.offline.write_rows(view, rows(range(start, start + 20)), batch=f"day {start}")
        keep_tables({"maintenance": maintenance(), "truth": truth()}, parts.tables)
        for name in KINDS:
            run_training(parts, name, tuning=Tuning(trials=4) if name == "sought" else None)
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


def altered(parts: Parts, model: str, **changes: Any) -> Reproduction:
    """Make a version again with something else in its record."""
    return reproduce(replace(parts.registry.get(model, 1), **changes), sources(parts))


@pytest.mark.parametrize("model", KINDS)
def test_every_stage_is_the_same_at_once(parts: Parts, model: str) -> None:
    """Eight stages, each named, the last with the SHA-256 that is registered; whatever kind of model it is."""
    made = reproduce(parts.registry.get(model, 1), sources(parts))

    assert made.first is None, made.first
    assert tuple(stage.name for stage in made.stages) == STAGES
    assert parts.registry.get(model, 1).artifact_sha256 in made.stages[-1].detail
    assert made.exit_code == 0


def test_what_was_looked_for_is_not_looked_for_again(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kept search says which parameters, and that they are its; without Optuna they do as well."""
    monkeypatch.setitem(sys.modules, "optuna", None)
    version = parts.registry.get("sought", 1)

    made = reproduce(version, sources(parts))

    assert made.first is None, made.first
    told = made.stages[STAGES.index("parameters")].detail
    assert "eta, max_depth, rounds as found: trial " in told
    assert f"by optuna 5.0.0 had them, study {str(version.params['study'])[:12]}…" in told
    assert version.params["rounds"] != parts.registry.get("left", 1).params["rounds"]


def spoilt(parts: Parts, *, whole: bool) -> Reproduction:
    """Make the tuned version again with another search in its file's place, or with none."""
    version = parts.registry.get("sought", 1)
    (path,) = parts.registry.artifacts.root.rglob(f"{version.params['study']}.*")
    content = path.read_bytes()
    path.unlink()
    if whole:
        path.write_bytes(content.replace(b'"seed": 7', b'"seed": 8'))
    try:
        return reproduce(version, sources(parts))
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize(("whole", "what"), [(True, "was altered after it was registered"), (False, "no artifact")])
def test_a_search_that_is_gone_or_another_is_named(parts: Parts, *, whole: bool, what: str) -> None:
    """It is an input like the labels: what is made without it would be a guess."""
    made = spoilt(parts, whole=whole)

    assert made.first is not None
    assert (made.first.name, made.exit_code) == ("parameters", 1)
    assert what in made.first.detail


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


def pins(version: ModelVersion, table_version: int) -> Any:
    """Return a version's pins, at another table version."""
    return tuple(replace(pin, table_version=table_version) for pin in version.pins)


def of_definition(parts: Parts, model: str) -> Reproduction:
    """Declare fewer features."""
    told = parts.registry.get(model, 1).provenance
    assert told is not None
    return altered(parts, model, provenance=replace(told, model_file=KINDS[model] + 'features: ["*rms*"]\n'))


def of_labels(parts: Parts, model: str) -> Reproduction:
    """Overwrite the table of outcomes that was kept."""
    told = parts.registry.get(model, 1).provenance
    assert told is not None
    path = parts.tables / "pinned" / f"{told.label_sha256}.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    try:
        return altered(parts, model)
    finally:
        path.write_bytes(content)


def of_moments(parts: Parts, model: str) -> Reproduction:
    """Read the table before its last commit."""
    version = parts.registry.get(model, 1)
    return altered(parts, model, pins=pins(version, version.pins[0].table_version - 1))


def of_features(parts: Parts, model: str) -> Reproduction:
    """Slip in a row that claims to have been known in time."""
    slipped = rows(range(5, 6), add=0.5, known_us=5 * HOUR_US + 40_000_000, assets=1)
    at = parts.offline.write_rows(VIEW, slipped, batch=f"slipped for {model}")
    pinned = parts.registry.get(model, 1).pins
    moved = tuple(replace(pin, table_version=at) if pin.view == VIEW.name else pin for pin in pinned)
    return altered(parts, model, pins=moved)


ALTERED: dict[str, Callable[[Parts, str], Reproduction]] = {
    "definition": of_definition,
    "labels": of_labels,
    "moments": of_moments,
    "features": of_features,
    "matrix": lambda parts, model: altered(parts, model, training_set="0" * 64),
    "parameters": lambda parts, model: altered(
        parts, model, params={**parts.registry.get(model, 1).params, "subsample": 0.3}
    ),
    "library": lambda parts, model: altered(parts, model, library="xgboost 3.1.0"),
    "artifact": lambda parts, model: altered(parts, model, artifact_sha256="0" * 64),
}
TOLD = {
    "definition": "1 features differ, first vibration__kurtosis_1h",
    "labels": "was altered",
    "moments": "rows here",
    "features": "values in 2 columns differ; first vibration__rms_1h of (pump-00",
    "matrix": "recorded",
    "parameters": "subsample is 0.8 here, 0.3 recorded",
    "library": "xgboost 3.2.0 here, xgboost 3.1.0 then",
    "artifact": "recorded",
}


@pytest.mark.parametrize("model", TREES)
@pytest.mark.parametrize("stage", STAGES)
def test_the_stage_that_was_altered_is_the_one_named(parts: Parts, stage: str, model: str) -> None:
    """One input changed, one at a time: the first difference is there, and says what differs."""
    made = ALTERED[stage](parts, model)

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
        keep_tables({"maintenance": maintenance(without=3), "truth": truth().slice(1)}, parts.tables)
        parts.catalog.apply(Repository(views=(replace(VIEW, ttl_us=1), AREA), generation=1), actor="bo")
        for name, text in KINDS.items():
            (home / "repo" / "models" / f"{name}.yaml").write_text(text + "seed: 8\n" * ("seed" not in text))
        swept = {one.table: one for one in sweep(parts.catalog, parts.offline, retention_hours=0, delete=True)}
        own = swept[f"rows of {VIEW.ref}"]
        assert (own.files > 0, own.refused) == (True, "")
        registered = {name: parts.registry.get(name, 1).artifact_sha256 for name in KINDS}

    told = {"LINESHAFT_HOME": str(home), "LINESHAFT_REDIS_URL": "redis://127.0.0.1:1", "OMP_NUM_THREADS": "2"}
    environment = {**os.environ, **told}  # noqa: TID251 - the child's own
    asked = [sys.executable, "-c", EACH, *(f"{name}@1" for name in registered)]
    there = subprocess.run(asked, env=environment, capture_output=True, text=True, check=False, cwd=home)

    answers = iter(there.stdout.split("\0"))
    for name, digest in registered.items():
        made = json.loads(next(answers))
        assert (made["version"], made["same"], made["first"]) == (f"{name}@1", True, None), made
        assert digest in made["stages"][-1]["detail"]


def test_a_vacuum_that_forgot_a_pin_is_named(home: Path) -> None:
    """The files of the pinned version are gone: the stage that needs them says so, and how it is avoided."""
    with connected(home) as parts:
        parts.offline.compact(VIEW)
        parts.offline.vacuum(VIEW, retention_hours=0, keep_versions=[], delete=True)
        made = reproduce(parts.registry.get("wear", 1), sources(parts))

    assert made.first is not None
    assert made.first.name == "moments"
    assert "is gone" in made.first.detail
    with connected(home) as parts:
        swept = {one.table: one for one in sweep(parts.catalog, parts.offline, retention_hours=0, delete=True)}
    assert "is pinned, and has files that are gone" in swept[f"rows of {VIEW.ref}"].refused


def test_what_was_not_recorded_is_said(parts: Parts) -> None:
    """A version of before there was provenance is no failure, and no success either."""
    made = altered(parts, "wear", provenance=None)

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
