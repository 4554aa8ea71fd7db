"""Engines' models made again on real data, and what a search for parameters gains on engines that it never saw.

FD001 goes through the product's own commands. `LINESHAFT_TRIALS` is how many parameters are tried (2 unless said).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml
from numpy.typing import NDArray

from lineshaft.models.loading import load_model
from lineshaft.models.matrix import feature_matrix
from lineshaft.models.scores import rmse
from lineshaft.models.training import train
from lineshaft.models.tuning import Search
from lineshaft.ops.learning import subject_of
from lineshaft.ops.model_file import model_file
from lineshaft.ops.reproduce import kept_training_set
from lineshaft.ops.tables import keep_tables, read_table
from lineshaft.ops.training_set import training_set
from lineshaft.registry.records import ModelVersion
from lineshaft.settings import Settings
from lineshaft.sources.cmapss import CYCLE_US, EPOCH
from lineshaft.sources.tabular import utc_us
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.wiring import Parts, connect

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(3600)]

ROOT = Path(__file__).resolve().parents[2]
GRACE_US = 60_000_000
TRIALS = os.environ.get("LINESHAFT_TRIALS", "2")  # noqa: TID251  how big a run is asked for
COMMITS = 100
SHIPPED = yaml.safe_load((ROOT / "feature_repo" / "models" / "turbofan_rul.yaml").read_text(encoding="utf-8"))
ALARM = yaml.safe_load((ROOT / "feature_repo" / "models" / "turbofan_failure.yaml").read_text(encoding="utf-8"))
LIVES = {**SHIPPED, "task": "survival", "label": {"log": "maintenance"}, "falling": [], "rounds": 60}
KINDS: dict[str, dict[str, Any]] = {
    "again_rul": SHIPPED,
    "again_calibrated": {**ALARM, "calibrate": "platt", "split": {"by": "asset_id", "held_out": 0.3}},
    "again_lives": {**LIVES, "split": {"by": "asset_id", "held_out": 0.3}},
    "again_tuned": {**SHIPPED, "split": {"by": "asset_id", "held_out": 0.3}},
}
"""The shipped model of remaining lives, a calibrated probability, lives cut short by repairs, one that is tuned."""


def lineshaft(home: Path, *words: str) -> Any:
    """Run a command of the product on the home; return what it says as JSON."""
    told = {"LINESHAFT_HOME": str(home), "LINESHAFT_REPO": str(home / "repo")}
    environment = {**os.environ, **told}  # noqa: TID251  a child's environment
    environment.pop("LINESHAFT_TRIALS", None)
    command = [str(Path(sys.executable).with_name("python")), "-m", "lineshaft.cli", *words, "--json"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return json.loads(done.stdout)


def maintenance(truth: pa.Table) -> pa.Table:
    """Return a log of the engines run to failure: of every third the end is not seen, it was overhauled before."""
    cycles = np.asarray(pc.add(truth["cycles"], truth["rul"]).to_numpy(), dtype=np.float64)
    repaired = np.arange(len(cycles)) % 3 == 0
    at_us = utc_us(EPOCH) + np.where(repaired, 0.7 * cycles, cycles + 1).astype(np.int64) * CYCLE_US + GRACE_US
    kinds = np.where(repaired, "overhaul", "failure").tolist()
    times = pa.array(at_us).cast(pa.timestamp("us", tz="UTC"))
    return pa.table({"asset_id": truth["asset_id"], "event_time": times, "kind": kinds})


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory, data_root: Path) -> Iterator[Parts]:
    """Return the parts of a home that the product's own commands filled and in which they trained every kind."""
    home = tmp_path_factory.mktemp("again")
    (home / "repo" / "models").mkdir(parents=True)
    for file in (ROOT / "feature_repo").glob("*.*"):
        (home / "repo" / file.name).write_bytes(file.read_bytes())
    for name, content in KINDS.items():
        (home / "repo" / "models" / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    with EmbeddedValkey(home / "online") as valkey:
        lineshaft(home, "apply")
        lineshaft(home, "ingest", str(data_root / "cmapss"), "--subset", "FD001")
        lineshaft(home, "backfill")
        truth = read_table("truth", home / "tables")
        keep_tables({"maintenance": maintenance(truth.filter(pc.equal(truth["split"], "train")))}, home / "tables")
        for name in KINDS:
            lineshaft(home, "train", name, *(("--tune", TRIALS) if name == "again_tuned" else ()))
        with connect(Settings(home=home, repo=home / "repo", redis_timeout_s=5.0)) as opened:
            yield opened
        valkey.shut_down()


def error_of(parts: Parts, version: ModelVersion, artifact: bytes) -> float:
    """Return the error of a model on the true lives of the 100 test engines, which were cut short and taught nobody."""
    truth = read_table("truth", parts.tables)
    truth = truth.filter(pc.and_(pc.equal(truth["subset"], "FD001"), pc.equal(truth["split"], "test")))
    at_us = utc_us(EPOCH) + np.asarray(truth["cycles"]) * CYCLE_US + GRACE_US
    engines = {"asset_id": truth["asset_id"], "event_time": pa.array(at_us).cast(pa.timestamp("us", tz="UTC"))}
    chunks = training_set(parts.catalog, parts.offline, version.service, pa.table(engines))
    rows = feature_matrix(pa.concat_tables(chunk.table() for chunk in chunks), version.features)
    scores: NDArray[np.float64] = load_model(artifact, features=version.features).predict(rows)
    return rmse(np.asarray(truth["rul"], dtype=np.float64), scores)


def test_what_a_search_gains_is_read_on_engines_that_it_never_saw(parts: Parts) -> None:
    """Before and after, on the 30 engines held out of the search and of the model, and on the 100 test engines."""
    tuned = parts.registry.get("again_tuned", 1)
    kept = Search.of(parts.registry.artifacts.get(str(tuned.params["study"]), artifact_format="json"))
    rows = kept_training_set(tuned, parts.tables)
    assert rows is not None
    subject = subject_of(model_file(parts.settings.repo, "again_tuned"), parts.catalog.at(parts.catalog.generation()))
    declared = train(subject.spec, rows)
    before, after = (error_of(parts, tuned, one) for one in (declared.artifact, parts.registry.load(tuned)))

    sys.stdout.write(
        f"\nFD001, {TRIALS} trials: 30 engines held out, RMSE {tuned.metrics['untuned_rmse']:.2f} as declared, "
        f"{tuned.metrics['rmse']:.2f} ({tuned.metrics['rmse_low']:.2f}-{tuned.metrics['rmse_high']:.2f}) tuned; "
        f"on 100 test engines {before:.2f} and {after:.2f}; searched on {kept.own.rows} rows: "
        f"{kept.own.trials[0].score:.2f} and {kept.own.trials[kept.own.best].score:.2f}; {dict(kept.own.found)}\n"
    )
    assert tuned.metrics["untuned_rmse"] == declared.metrics["rmse"]
    for name in ("baseline_rmse", "age_only_rmse", "one_feature_rmse"):
        assert tuned.metrics[name] == declared.metrics[name]
    assert len(kept.own.trials) == int(TRIALS) + 1
    assert kept.own.groups == 70
    assert after < 13.5


def test_each_kind_is_made_again_elsewhere_and_later(parts: Parts) -> None:
    """Another process, two threads, after 100 commits of corrections, other outcomes and another declaration."""
    home, views = parts.settings.home, [view for view in parts.catalog.views() if view.name.startswith("turbofan")]
    first = {view.name: next(parts.offline.read_rows(view)).slice(0, 50) for view in views}
    for number in range(COMMITS):
        for view in views:
            parts.offline.write_rows(view, corrected(first[view.name], number), batch=f"late {number}")
    tables = {name: read_table(name, parts.tables).slice(3) for name in ("truth", "maintenance")}
    keep_tables(tables, parts.tables)
    for name in KINDS:
        path = home / "repo" / "models" / f"{name}.yaml"
        path.write_text(path.read_text(encoding="utf-8").replace("seed: 7", "seed: 8"), encoding="utf-8")

    for name in KINDS:
        made = lineshaft(home, "reproduce", f"{name}@1", "--threads", "2")
        assert (made["same"], made["first"]) == (True, None), made
        assert parts.registry.get(name, 1).artifact_sha256 in made["stages"][-1]["detail"]


def corrected(rows: pa.Table, number: int) -> pa.Table:
    """Return rows with another last feature, known long after the lives that they are of."""
    at = pa.array([utc_us(EPOCH) + 9_000 * CYCLE_US + number] * rows.num_rows).cast(pa.timestamp("us", tz="UTC"))
    last = len(rows.column_names) - 1
    other = pc.add(rows.column(last), float(number + 1))
    rows = rows.set_column(last, rows.schema.field(last), other.cast(rows.schema.field(last).type))
    place = rows.schema.get_field_index("known_at")
    return rows.set_column(place, rows.schema.field(place), at)
