"""A model is trained night after night by one process: what is new, once, whatever fails, and on after a restart."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import SecretStr

from lineshaft.cli.training import run_book, run_training, train_if_new
from lineshaft.errors import ConflictError
from lineshaft.models.tuning import Tuning
from lineshaft.ops.tables import keep_tables
from lineshaft.ops.tracking import run_files, under_way
from lineshaft.registry.runs import RunState, Wanted
from lineshaft.settings import Settings
from lineshaft.specs import Feature, OnDemandView, Service, ServiceView, Source, View, row_schema
from lineshaft.wiring import connect

ROOT = Path(__file__).resolve().parents[2]
HOUR_US = 3_600_000_000
TIME = pa.timestamp("us", tz="UTC")
VIEW = View(
    name="heat",
    source=Source(name="heat_blocks", channels=("heat",), units=("degC",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="mean_1h", unit="degC"),),
    tile_us=HOUR_US,
    grace_us=60_000_000,
    ttl_us=2 * HOUR_US,
    team="ovens",
)
DECLARED = """\
task: binary
service: ovens
every: 1h
label: {log: maintenance, horizon: 6h}
split: {by: asset_id, folds: 2}
rounds: 5
tune: {max_depth: [1, 4]}
"""


@dataclass(frozen=True, kw_only=True)
class Repository:
    """All that is applied, as a plan hands it over."""

    generation: int = 0
    summary: str = "by hand"
    views: tuple[View, ...] = (VIEW,)
    services: tuple[Service, ...] = (
        Service(name="ovens", views=(ServiceView(view="heat", version=VIEW.version, features=("mean_1h",)),)),
    )
    on_demand: tuple[OnDemandView, ...] = ()
    transfers: frozenset[str] = field(default_factory=frozenset)

    def checked(self) -> None:
        """Find no fault."""


def rows(hours: range) -> pa.Table:
    """Return rows of eight ovens; every other one is hot from hour 20 on."""
    hour, oven = np.tile(np.array(hours), 8), np.repeat(np.arange(8), len(hours))
    heat = np.where((oven % 2 == 0) & (hour > 20), 300.0, 200.0) + oven
    times = pa.array(hour * HOUR_US).cast(TIME)
    known = pa.array(hour * HOUR_US + 30_000_000).cast(TIME)
    return pa.table([pa.array([f"oven-{i}" for i in oven]), times, known, pa.array(heat)], schema=row_schema(VIEW))


def maintenance(*hours: int) -> pa.Table:
    """Return a log in which every other oven fails at these hours."""
    names = [f"oven-{i}" for i in range(0, 8, 2)]
    at = pa.array([hour * HOUR_US for hour in hours for _ in names]).cast(TIME)
    return pa.table({"asset_id": names * len(hours), "event_time": at, "kind": ["failure"] * len(at)})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home with 30 hours of ovens and a declared model."""
    (tmp_path / "repo" / "models").mkdir(parents=True)
    (tmp_path / "repo" / "models" / "burnt.yaml").write_text(DECLARED)
    with connected(tmp_path) as parts:
        parts.catalog.apply(Repository(), actor="ana")
        parts.offline.write_rows(VIEW, rows(range(1, 30)), batch="first")
        keep_tables({"maintenance": maintenance(24)}, parts.tables)
    return tmp_path


def connected(folder: Path) -> Any:
    """Connect the parts of a home; nothing here asks the online store."""
    return connect(Settings(home=folder, repo=folder / "repo", redis_url=SecretStr("redis://127.0.0.1:1")))


@contextmanager
def training(home: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Run `lineshaft train burnt --every …` until the end of the block, or until it ends."""
    told = {
        "LINESHAFT_HOME": str(home),
        "LINESHAFT_REPO": str(home / "repo"),
        "LINESHAFT_POLICIES": str(ROOT / "governance"),
        "LINESHAFT_REDIS_URL": "redis://127.0.0.1:1",
    }
    environment = {**os.environ, **told}  # noqa: TID251 - the child's own
    asked = [sys.executable, "-m", "lineshaft.cli", "train", "burnt", *words, "--json"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(asked, env=environment, cwd=home, **pipes) as child:
        try:
            yield child
        finally:
            child.kill()


def until(child: subprocess.Popen[str], outcome: str) -> dict[str, Any]:
    """Return the next night of an outcome; every line is JSON by itself."""
    assert child.stdout is not None
    for line in child.stdout:
        night: dict[str, Any] = json.loads(line)
        if night["outcome"] == outcome:
            return night
    raise AssertionError(f"it ended before a night was {outcome}")


def test_what_is_new_is_trained_once_and_a_failed_night_is_no_end(home: Path) -> None:
    """Trained, nothing new, a broken declaration told of, mended, new rows: two versions; stopped, it ends well."""
    declared = home / "repo" / "models" / "burnt.yaml"
    with training(home, "--every", "1s") as child:
        first = until(child, "registered")
        skipped = until(child, "skipped")
        declared.write_text(DECLARED + "params: {max_dept: 3}\n")
        failed = until(child, "failed")
        declared.write_text(DECLARED)
        until(child, "skipped")
        with connected(home) as parts:
            parts.offline.write_rows(VIEW, rows(range(30, 33)), batch="second")
        second = until(child, "registered")
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=60) == 0

    assert (first["version"], second["version"]) == ("burnt@1", "burnt@2")
    assert first["verdict"] in ("pass", "fail", "unknown")
    assert re.match(r"nothing new since burnt@1: heat at table version \d+, maintenance \w{12}…", skipped["detail"])
    assert (failed["detail"], failed["fix"]) == ("params: max_dept is read by nobody", "did you mean max_depth?")
    with connected(home) as parts, run_book(parts) as book:
        assert [version.number for version in parts.registry.versions("burnt")] == [2, 1]
        states = [run.state for run in book.all(model="burnt")]
        assert states[0] in (RunState.DONE, RunState.SKIPPED)
        assert states.count(RunState.DONE) == 2
        assert book.last_due_us("train/burnt") is not None


def test_after_a_kill_it_goes_on_where_it_stood(home: Path) -> None:
    """SIGKILL; the next start does not train what is done, though only the database remembers it."""
    with training(home, "--every", "24h") as child:
        first = until(child, "registered")
        child.kill()
        child.wait()
    with training(home, "--every", "24h") as again:
        assert again.stderr is not None
        assert f"training burnt from {first['next']} on" in again.stderr.readline()
        again.send_signal(signal.SIGTERM)
        out, _ = again.communicate(timeout=120)

    assert (again.returncode, out) == (0, "")


def test_a_job_of_its_own_trains_only_what_is_new(home: Path) -> None:
    """`--if-new`, as a schedule of others calls it: outcomes, words and a search are new, the same again is not."""
    with connected(home) as parts:
        assert not isinstance(train_if_new(parts, "burnt"), str)
        assert "nothing new since burnt@1" in str(train_if_new(parts, "burnt"))
        assert not isinstance(train_if_new(parts, "burnt", tuning=Tuning(trials=1)), str)
        assert "nothing new since burnt@2" in str(train_if_new(parts, "burnt", tuning=Tuning(trials=1)))
        keep_tables({"maintenance": maintenance(24, 28)}, parts.tables)
        assert not isinstance(train_if_new(parts, "burnt"), str)
        (home / "repo" / "models" / "burnt.yaml").write_text(DECLARED + "seed: 8\n")
        assert not isinstance(train_if_new(parts, "burnt"), str)
        assert len(parts.registry.versions("burnt")) == 4


def test_nobody_else_trains_it_meanwhile(home: Path) -> None:
    """A second training of the same model is refused, and told whose the first is."""
    with connected(home) as parts, run_book(parts) as book:
        wanted = Wanted(name="train/burnt", model="burnt", alone=True)
        with under_way(book, wanted, files=run_files(home)):
            with pytest.raises(ConflictError, match="train/burnt is under way since"):
                run_training(parts, "burnt")
            assert parts.registry.versions("burnt") == []
        assert run_training(parts, "burnt").version.number == 1


def test_a_training_is_a_run_with_its_figures(home: Path) -> None:
    """Parameters, figures and what the search tried, beside the version that came of it."""
    with connected(home) as parts, run_book(parts) as book:
        made = run_training(parts, "burnt", tuning=Tuning(trials=2)).version

        (run,) = book.all(model="burnt")
        assert (run.name, run.state, run.number) == ("train/burnt", RunState.DONE, 1)
        assert run.params["study"] == made.params["study"]
        assert run.metrics["pr_auc"] == made.metrics["pr_auc"]
        assert [step for step, _ in book.curves(run.id)["tried"]] == [0, 1, 2]
