"""The fleet on the command line: scored once or on a schedule, kept in the database, and told of plainly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import xgboost

from lineshaft.models.columns import numeric_features
from lineshaft.registry.fleet_runs import FleetRuns
from lineshaft.registry.records import Candidate, Verdict, ViewPin
from lineshaft.settings import Settings
from lineshaft.specs import View, row_schema
from lineshaft.wiring import Parts, connect

Lineshaft = Callable[..., Any]
ALL = ("predict", "--fleet", "--all")


def register(parts: Parts, name: str, view: View, *, spoilt: bool = False) -> None:
    """Make a model of the home's service champion; of one that is spoilt the file is altered then."""
    service = parts.catalog.service("pump_health")
    features = numeric_features(service)
    data = xgboost.DMatrix([[1.0, 2.0], [3.0, 4.0]], label=[0.0, 1.0], feature_names=list(features), nthread=1)
    candidate = Candidate(
        model=name,
        task="regression",
        service=service.name,
        service_json=service.to_json(),
        features=features,
        pins=(ViewPin(view=view.name, version=view.version),),
        training_set="",
        rows=2,
        artifact=bytes(xgboost.train({"nthread": 1, "base_score": len(name)}, data, 2).save_raw("ubj")),
        artifact_format="ubj",
        params={},
        metrics={},
        seed=1,
        library="xgboost",
    )
    version = parts.registry.register(candidate, actor="ann")
    parts.registry.judge(name, 1, Verdict(gate="bar", outcome="pass", detail=""), actor="gate")
    parts.registry.promote(name, 1, environment="dev", actor="ann", reason="test")
    if spoilt:
        path = parts.registry.artifacts.root / version.artifact_sha256[:2] / f"{version.artifact_sha256}.ubj"
        path.write_bytes(path.read_bytes() + b" ")


@pytest.fixture
def plant(own_home: Path, pumps: View) -> Iterator[Parts]:
    """Return a home with rows of now of two pumps, two models, and one whose file is damaged."""
    with connect(Settings(home=own_home)) as parts:
        for name, spoilt in (("ant", False), ("broken", True), ("centipede", False)):
            register(parts, name, pumps, spoilt=spoilt)
        now = pa.array([parts.clock.now_us()] * 2).cast(pa.timestamp("us", tz="UTC"))
        keys = {"asset_id": ["pump-1", "pump-2"], "position": ["de", "de"], "event_time": now, "known_at": now}
        rows = pa.table({**keys, "rms_1m": [1.0, 2.0], "kurtosis_1m": [3.0, 3.0]}, schema=row_schema(pumps))
        parts.online.write(pumps, rows)
        yield parts


def test_one_damaged_model_stops_no_other_and_is_counted(plant: Parts, lineshaft: Lineshaft) -> None:
    """The others' scores are in the log and in the database, under one name; the command ends with 1."""
    said = lineshaft(*ALL, "--json", at=plant.settings.home)
    kept = lineshaft("scores", "--json", at=plant.settings.home).rows
    of_one = lineshaft("scores", "ant", "--asset", "pump-2", "--json", at=plant.settings.home).rows

    assert said.code == 1
    assert [(row["model"], row["scored"], bool(row["fault"])) for row in said.rows] == [
        ("ant", 2, False),
        ("broken", 0, True),
        ("centipede", 2, False),
    ]
    assert "1 of 3 models failed or scored none" in said.err
    assert {(row["model"], row["asset_id"], row["role"]) for row in kept} == {
        (model, asset, "champion") for model in ("ant@1", "centipede@1") for asset in ("pump-1", "pump-2")
    }
    assert [row["prediction"] for row in of_one] == [
        row["prediction"] for row in kept if row["model"] == "ant@1" and row["asset_id"] == "pump-2"
    ]
    explained = lineshaft("explain", of_one[0]["prediction"], "--json", at=plant.settings.home)
    assert explained.rows["score"] == of_one[0]["score"]


@pytest.mark.parametrize("more", [(), ("--every", "12h")])
def test_a_fleet_without_any_champion_is_told_what_to_do(
    lineshaft: Lineshaft, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    """Not an empty table: no model has a champion there, and how one comes to have one."""
    monkeypatch.setenv("LINESHAFT_PROJECT", "empty")

    said = lineshaft(*ALL, *more)

    assert said.code == 1
    assert "no model has a champion in 'empty': nobody can score" in said.err
    assert "lineshaft " in said.err.partition("fix")[2]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--every", "often"), "'often' is not a duration"),
        (("--every", "0s"), "never ends"),
        (("--every", "12h", "--at", "2024-01-01"), "a schedule has no one moment"),
    ],
)
def test_a_schedule_that_is_none_is_refused(lineshaft: Lineshaft, words: tuple[str, ...], text: str) -> None:
    """Before anything is opened."""
    said = lineshaft(*ALL, *words)

    assert said.err.startswith("LS-INP")
    assert text in said.err


def schedule(home: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start a schedule of 12 hours."""
    command = [sys.executable, "-m", "lineshaft.cli", *ALL, "--every", "12h", "--json"]
    told = {**os.environ, "LINESHAFT_HOME": str(home)}  # noqa: TID251 - a child's environment
    with log.open("wb") as out:
        return subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL, env=told)


def test_a_schedule_scores_at_once_and_after_a_kill_only_what_is_left(plant: Parts, pumps: View) -> None:
    """Killed and started again within a round, it scores by the one model that is new; told to stop, it ends well."""
    home, log = plant.settings.home, plant.settings.home / "schedule.log"
    first = schedule(home, log)
    try:
        told = first_line(log)
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    runs = FleetRuns(engine=plant.registry.engine, project="dev", clock=plant.clock, owner="test")
    due_us = plant.clock.now_us() // 43_200_000_000 * 43_200_000_000
    done = [run for run in runs.of(due_us) if run.state == "done"]
    register(plant, "dragonfly", pumps)

    second = schedule(home, log)
    try:
        left = first_line(log)
        second.send_signal(signal.SIGTERM)
        assert second.wait(30) == 0
    finally:
        second.kill()

    assert (told["models"], told["failed"]) == (3, 1)
    assert [run.model for run in done] == ["ant", "centipede"]
    assert {one["model"] for one in left["scored"]} - {"broken"} == {"dragonfly"}
    assert [run for run in runs.of(due_us) if run.model in ("ant", "centipede")] == done


def first_line(log: Path) -> Any:
    """Wait for the first line of a log, and return its JSON."""
    wait_for(lambda: "\n" in log.read_text())
    return json.loads(log.read_text().splitlines()[0])


def wait_for(met: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end_s = time.monotonic() + 60
    while not met():
        assert time.monotonic() < end_s
        time.sleep(0.05)
