"""A fleet that changes under its model, untouched by hand: a broken sensor teaches nothing, a changed world does.

Sixty simulated machines wear and fail. A temperature sensor sticks and is mended; later all machines get another
lubricant, so that what used to announce a failure is normal. All else is the product as it runs: SQLite, Delta and a
Valkey of its own, rows that are pushed, asked about and landed through their checkpoints, a declared model and written
policies, and each day what `lineshaft land` and `lineshaft drift check` do, by a clock on which the days pass quickly.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from lineshaft.cli.drift import check_model
from lineshaft.cli.training import run_training
from lineshaft.clock import ManualClock
from lineshaft.drift.policy import DAY_US
from lineshaft.ops.governance import Governance
from lineshaft.ops.jobs import Target
from lineshaft.ops.tables import keep_tables
from lineshaft.registry.drifts import DriftBook, drift_book
from lineshaft.serving.predict import Predictor
from lineshaft.serving.prediction_log import PredictionLog
from lineshaft.serving.predictions import Question
from lineshaft.serving.server import Handlers
from lineshaft.settings import Settings
from lineshaft.specs import Feature, OnDemandView, Service, ServiceView, Source, View, row_schema
from lineshaft.wiring import Parts, connect, gated_target, governance, handlers, land_waiting

START_US, STEP_US = 1_704_067_200_000_000, DAY_US // 4
"""Day 0 is the first of 2024; machines are asked about four times a day."""
ASSETS = [f"pump-{number:02d}" for number in range(60)]
TRAINED, STUCK, MENDED, CHANGED, ENDS = 120, 126, 136, 145, 200
"""Days: the first model is trained, a sensor sticks, it is mended, the lubricant is changed, the watch ends at last."""
BROKEN = "pump-07"
ENDED = {"promoted", "kept", "failed"}
VIBRATION, HEAT = (
    View(
        name=name,
        source=Source(name=source, channels=(), units=(), kind="rows"),
        entity_keys=(("asset_id", "string"),),
        features=(Feature(name=feature),),
        tile_us=STEP_US,
        ttl_us=2 * STEP_US,
        team="pumps",
    )
    for name, source, feature in (("vibration", "accelerometer", "rms"), ("heat", "thermometer", "mean"))
)
SERVICE = Service(
    name="health",
    views=tuple(
        ServiceView(view=view.name, version=view.version, features=view.feature_names) for view in (VIBRATION, HEAT)
    ),
)
DECLARED = """\
task: binary
service: health
every: 6h
label: {log: maintenance, horizon: 5d}
rounds: 40
split: {by: asset_id, held_out: 0.4}
"""
POLICIES = {
    "drift.yaml": "window: 3d\nretrain: {auto: true, need_labels: 20, share: 0.5, effect: 0.02, min_assets: 10}\n",
    "promotion/default.yaml": (
        "gates:\n  - {name: better, metric: pr_auc, op: '>', vs: baseline, margin: 0.1, min_groups: 5, "
        "min_positive_groups: 2}\npromote: {auto: true}\n"
    ),
    "teams.yaml": "teams:\n  pumps: {people: [ana]}\n",
}


@dataclass(frozen=True, kw_only=True)
class Repository:
    """All that is applied, as a plan hands it over."""

    generation: int = 0
    summary: str = "two views of pumps"
    views: tuple[View, ...] = (VIBRATION, HEAT)
    services: tuple[Service, ...] = (SERVICE,)
    on_demand: tuple[OnDemandView, ...] = ()
    transfers: frozenset[str] = field(default_factory=frozenset)

    def checked(self) -> None:
        """Find no fault."""


@dataclass(frozen=True, kw_only=True)
class World:
    """What happens, whoever watches: every failure, and every reading."""

    failures: list[NDArray[np.float64]] = field(default_factory=list)  # of each asset, in days

    @staticmethod
    def made() -> World:
        """Return a world in which parts last a month or so."""
        dice = np.random.default_rng(5)
        return World(failures=[np.cumsum(12 + 28 * dice.weibull(2.0, size=40)) - 20 for _ in ASSETS])

    def rows(self, view: View, step: int) -> pa.Table:
        """Return what a view says of every asset at a step."""
        day, dice = step / 4, np.random.default_rng([step, view is HEAT])
        ahead = np.array([own[own > day][0] - day for own in self.failures])
        wear = np.exp(-ahead / 2.5)
        levels = np.random.default_rng(17).normal(size=len(ASSETS))
        if view is VIBRATION:
            values = (
                2 + 0.1 * levels + 2 * wear + (1.6 if day >= CHANGED else 0.0) + 0.15 * dice.normal(size=len(ASSETS))
            )
        else:
            values = 50 + levels + 6 * wear - (8.0 if day >= CHANGED else 0.0) + 0.8 * dice.normal(size=len(ASSETS))
            if STUCK <= day < MENDED:
                values[ASSETS.index(BROKEN)] = 20.0
        at = pa.array(np.full(len(ASSETS), START_US + step * STEP_US)).cast(pa.timestamp("us", tz="UTC"))
        name = view.features[0].name
        return pa.table({"asset_id": ASSETS, "event_time": at, "known_at": at, name: values}, schema=row_schema(view))

    def log(self, day: float) -> pa.Table:
        """Return the failures up to a day, each written down a day later."""
        told = [
            (asset, at)
            for asset, own in zip(ASSETS, self.failures, strict=True)
            for at in own[(own > 0) & (own <= day)]
        ]
        at = np.array([START_US + round(at * DAY_US) for _, at in told], dtype=np.int64)
        moments, known = (pa.array(one).cast(pa.timestamp("us", tz="UTC")) for one in (at, at + DAY_US))
        names = [asset for asset, _ in told]
        return pa.table({"asset_id": names, "event_time": moments, "known_at": known, "kind": ["failure"] * len(names)})


@dataclass(frozen=True, kw_only=True)
class Plant:
    """The product over a world: what is connected, who serves, where pushed rows land, and who checks."""

    world: World
    parts: Parts
    clock: ManualClock
    checks: Governance
    serving: Handlers
    target: Target

    @property
    def book(self) -> DriftBook:
        """Return what was found."""
        return drift_book(self.parts.registry, self.parts.settings.project)

    def live(self, day: int) -> None:
        """Let a day pass: rows are pushed and asked about, failures written down, and rows landed."""
        predictor, pushes = self.serving.predictor, self.serving.row_pushes
        assert isinstance(predictor, Predictor)
        assert isinstance(predictor.sink, PredictionLog)
        assert pushes is not None
        for step in range(4 * day, 4 * day + 4):
            self.clock.time_us = START_US + step * STEP_US
            for view in (VIBRATION, HEAT):
                pushes.push(view.name, columns_of(self.world.rows(view, step)))
            predictor.predict(Question(model="wear", keys=pa.table({"asset_id": ASSETS})))
        predictor.sink.behind.flush()
        keep_tables({"maintenance": self.world.log(day + 1)}, self.parts.tables)
        land_waiting(self.parts, self.target)

    def look(self) -> None:
        """Check and go a step on, as `lineshaft drift check` does; servers see what came of it."""
        check_model(self.parts, self.checks, "wear", at_us=self.clock.now_us())
        assert isinstance(self.serving.predictor, Predictor)
        self.serving.predictor.champions.look(again=True)


def columns_of(rows: pa.Table) -> dict[str, list[Any]]:
    """Return rows as a service pushes them."""
    told = {name: rows[name].to_pylist() for name in rows.column_names if name != "known_at"}
    return {**told, "event_time": [one.isoformat() for one in told["event_time"]]}


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    """Return a plant that has been watched for four months, with its first champion."""
    files = {f"policies/policies/{name}": text for name, text in POLICIES.items()}
    for name, text in {**files, "repo/models/wear.yaml": DECLARED}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    world, clock = World.made(), ManualClock(time_us=START_US + TRAINED * DAY_US)
    settings = Settings(
        home=tmp_path / "home",
        repo=tmp_path / "repo",
        policies=tmp_path / "policies",
        redis_timeout_s=30.0,  # however busy the machine is, no answer is an old one
    )
    with connect(settings, clock=clock, keep_online=False) as parts, governance(parts) as checks:
        parts.catalog.apply(Repository(), actor="ana")
        for view in (VIBRATION, HEAT):
            past = pa.concat_tables(world.rows(view, step) for step in range(4 * TRAINED))
            parts.offline.write_rows(view, past, batch="past")
        keep_tables({"maintenance": world.log(TRAINED)}, parts.tables)
        first = run_training(parts, "wear")
        assert first.assignment is not None, first.waits_for
        serving = handlers(parts)
        with gated_target(parts) as target:
            yield Plant(world=world, parts=parts, clock=clock, checks=checks, serving=serving, target=target)
        assert serving.close is not None
        serving.close()


def command(plant: Plant, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command on what the plant left."""
    settings = plant.parts.settings
    told = {
        "LINESHAFT_HOME": str(settings.home),
        "LINESHAFT_REPO": str(settings.repo),
        "LINESHAFT_POLICIES": str(settings.policies),
        "LINESHAFT_REDIS_URL": plant.parts.redis_url,
    }
    environment = {**os.environ, **told}  # noqa: TID251 - the child's own
    asked = [sys.executable, "-m", "lineshaft.cli", *words, "--json"]
    return subprocess.run(asked, env=environment, cwd=settings.home, capture_output=True, text=True, check=False)


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_a_changed_world_is_learnt_and_a_broken_sensor_is_not(plant: Plant) -> None:
    """Detect, diagnose, retrain, gate, challenge, promote, each with its line; a sensor is a ticket, and no version."""
    registry = plant.parts.registry
    for day in range(TRAINED, ENDS):
        plant.live(day)
        plant.look()
        if day == CHANGED - 1:
            before = plant.book.triggers("wear")
            assert BROKEN in {asset for one in before if one.cause == "sensor" for asset in one.assets}
            assert {one.state for one in before if BROKEN in one.assets} == {"over"}
            assert len(registry.versions("wear")) == 1
        if {one.state for one in plant.book.triggers("wear") if one.cause == "concept"} & ENDED:
            break

    triggers = plant.book.triggers("wear")
    learnt = [one for one in triggers if one.cause == "concept"]
    trail = plant.book.trail(learnt[-1].id)
    assert [act.state for act in trail][-3:] == ["training", "challenging", "promoted"]
    assert trail[0].state == "waiting"
    assert learnt[-1].raised_us > START_US + CHANGED * DAY_US
    assert registry.champion("wear", plant.parts.settings.project).number == 2
    acts = [line.action for line in registry.history("wear")]
    assert acts.index("experiment") < acts.index("conclude") < len(acts) - 1 - acts[::-1].index("promote")
    assert {one.cause for one in triggers if one.state in ("promoted", "challenging", "training")} == {"concept"}
    assert len(registry.versions("wear")) == 2
    sys.stdout.write(f"\n{told_of(plant)}\n")

    told = command(plant, "drift", "triggers", "wear")
    checked = command(plant, "drift", "check", "wear", "--at", iso(plant.clock.now_us()))

    assert "promoted" in {row["state"] for row in json.loads(told.stdout)}, told.stderr
    (row,) = json.loads(checked.stdout)
    assert row["model"] == "wear@2", checked.stderr
    assert (
        len(ASSETS) / 3 < row["assets"] < len(ASSETS)
    )  # it was champion since today, and asked by its share until then
    assert checked.returncode == (3 if row["alarms"] else 0)
    drawn = command(plant, "drift", "report", "wear", "--at", iso(plant.clock.now_us()))
    assert {line["feature"] for line in json.loads(drawn.stdout)} == {"vibration__rms", "heat__mean"}, drawn.stderr
    assert Path("".join(drawn.stderr.split("Evidently's report:")[1].split())).is_file()


def iso(at_us: int) -> str:
    """Return a moment as commands take it."""
    return datetime.fromtimestamp(at_us / 1e6, UTC).replace(tzinfo=None).isoformat()


def told_of(plant: Plant) -> str:
    """Return the trail in words, by days."""
    acts = [(one, act) for one in reversed(plant.book.triggers("wear")) for act in plant.book.trail(one.id)]
    return "\n".join(
        f"day {(act.at_us - START_US) / DAY_US:.1f}, {one.cause}: {act.state}, {act.detail}" for one, act in acts
    )
