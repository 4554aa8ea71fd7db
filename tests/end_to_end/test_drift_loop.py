"""A fleet that changes under its model, untouched by hand: a broken sensor teaches nothing, a changed world does.

Sixty simulated machines wear and fail. A temperature sensor sticks and is mended; later all machines get another
lubricant, so that what used to announce a failure is normal. Predictions, outcomes, checks, training, gate, experiment
and promotion are those of the product; only the rows are made up, and the days pass quickly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from lineshaft.clock import ManualClock
from lineshaft.drift.policy import DAY_US, DriftPolicy, RetrainPolicy
from lineshaft.models.gate import Gate, Policy
from lineshaft.ops.drift_check import check
from lineshaft.ops.drift_loop import DriftLoop, Hands
from lineshaft.ops.drift_sources import DriftSources
from lineshaft.ops.learning import lesson
from lineshaft.ops.model_file import parse_model
from lineshaft.ops.model_release import Origin, Release, promote_judged, release
from lineshaft.ops.predictions import read_predictions
from lineshaft.ops.tables import keep_tables, read_table
from lineshaft.ops.trial import Trial, standing_of
from lineshaft.registry.catalog import FixedCatalog
from lineshaft.registry.drifts import DriftBook, drift_book
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.models import ModelRegistry, open_registry
from lineshaft.registry.records import Experiment, Slot
from lineshaft.serving.champions import Champions
from lineshaft.serving.features import FeatureHandler, Plans
from lineshaft.serving.predict import Predictor
from lineshaft.serving.prediction_log import PredictionLog
from lineshaft.serving.predictions import Question
from lineshaft.specs import Feature, Service, ServiceView, Source, View, row_schema
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.memory_online import MemoryOnlineStore

STEP_US = DAY_US // 4
ASSETS = [f"pump-{number:02d}" for number in range(60)]
TRAINED, STUCK, MENDED, CHANGED, ENDS = 120, 126, 136, 145, 171
"""Days: the first model is trained, a sensor sticks, it is mended, the lubricant is changed, the watch is over."""
BROKEN = "pump-07"
VIBRATION, HEAT = (
    View(
        name=name,
        source=Source(name=source, channels=("x",), units=("1",)),
        entity_keys=(("asset_id", "string"),),
        features=(Feature(name=feature),),
        tile_us=STEP_US,
        ttl_us=2 * STEP_US,
    )
    for name, source, feature in (("vibration", "accelerometer", "rms"), ("heat", "thermometer", "mean"))
)
SERVICE = Service(
    name="health",
    views=tuple(
        ServiceView(view=view.name, version=view.version, features=view.feature_names) for view in (VIBRATION, HEAT)
    ),
)
DECLARED = parse_model(
    "wear",
    "task: binary\nservice: health\nevery: 6h\nlabel: {log: maintenance, horizon: 5d}\nrounds: 40\n"
    "split: {by: asset_id, held_out: 0.4}\n",
    where="wear.yaml",
)
POLICY = DriftPolicy(window_us=3 * DAY_US)
RETRAIN = RetrainPolicy(auto=True, need_labels=20, share=0.5, effect=0.02, min_assets=10)
BETTER = Gate(name="better", metric="pr_auc", op=">", vs="baseline", margin=0.1, min_groups=5, min_positive_groups=2)
PASSES = Policy(name="better", gates=(BETTER,), auto=True)


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
                2 + 0.1 * levels + 2 * wear + (1.0 if day >= CHANGED else 0.0) + 0.15 * dice.normal(size=len(ASSETS))
            )
        else:
            values = 50 + levels + 6 * wear - (8.0 if day >= CHANGED else 0.0) + 0.8 * dice.normal(size=len(ASSETS))
            if STUCK <= day < MENDED:
                values[ASSETS.index(BROKEN)] = 20.0
        at = pa.array(np.full(len(ASSETS), step * STEP_US)).cast(pa.timestamp("us", tz="UTC"))
        name = view.features[0].name
        return pa.table({"asset_id": ASSETS, "event_time": at, "known_at": at, name: values}, schema=row_schema(view))

    def log(self, day: float) -> pa.Table:
        """Return the failures up to a day, each written down a day later."""
        told = [
            (asset, at)
            for asset, own in zip(ASSETS, self.failures, strict=True)
            for at in own[(own > 0) & (own <= day)]
        ]
        at = np.array([round(at * DAY_US) for _, at in told], dtype=np.int64)
        moments, known = (pa.array(one).cast(pa.timestamp("us", tz="UTC")) for one in (at, at + DAY_US))
        names = [asset for asset, _ in told]
        return pa.table({"asset_id": names, "event_time": moments, "known_at": known, "kind": ["failure"] * len(names)})


@dataclass(kw_only=True)
class Plant:
    """The product over a world: stores, registry, server, and the loop."""

    world: World
    folder: Path
    clock: ManualClock
    registry: ModelRegistry
    offline: MemoryOfflineStore
    online: MemoryOnlineStore
    predictor: Predictor
    log: PredictionLog
    catalog: FixedCatalog

    @property
    def book(self) -> DriftBook:
        """Return what was found."""
        return drift_book(self.registry, "prod")

    def train(self, *, auto: bool) -> Release:
        """Train on all there is by now."""
        work = lesson(DECLARED, catalog=self.catalog, offline=self.offline, tables=self.folder / "tables")
        origin = Origin(service=SERVICE, table_versions=work.table_versions, actor="loop")
        policy = Policy(name="better", gates=(BETTER,), auto=auto)
        return release(
            self.registry, work.spec, work.table, origin=origin, policy=policy, environment="prod", drift=POLICY
        )

    def standing(self, experiment: Experiment) -> Trial:
        """Compare the arms by what is known now."""
        told = read_predictions(self.folder / "predictions", "wear")
        sources = self.sources()
        rule, now = sources.rule(DECLARED, at_us=self.clock.now_us()), self.clock.now_us()
        return standing_of(experiment, told, read_table("maintenance", self.folder / "tables"), rule=rule, at_us=now)

    def promote(self, model: str, number: int, reason: str) -> object:
        """Make a version champion, if its gates still pass."""
        held = self.registry.held(model, "prod")
        return promote_judged(
            self.registry,
            self.registry.get(model, number),
            Slot.CHAMPION,
            policy_of=lambda _: PASSES,
            environment="prod",
            actor="loop",
            reason=reason,
            expected=0 if held is None else held.id,
        )

    def sources(self) -> DriftSources:
        """Return where checks look."""
        return DriftSources(
            catalog=self.catalog,
            offline=self.offline,
            predictions=self.folder / "predictions",
            tables=self.folder / "tables",
        )

    def live(self, day: int, *, served: bool) -> None:
        """Let a day pass: rows are written, and asked about."""
        for step in range(4 * day, 4 * day + 4):
            self.clock.time_us = step * STEP_US
            for view in (VIBRATION, HEAT):
                rows = self.world.rows(view, step)
                self.offline.write_rows(view, rows, batch=f"{view.name}-{step}")
                if served:
                    self.online.write(view, rows)
            if served:
                self.predictor.predict(Question(model="wear", keys=pa.table({"asset_id": ASSETS})))
        self.log.behind.flush()
        keep_tables({"maintenance": self.world.log(day + 1)}, self.folder / "tables")

    def look(self) -> None:
        """Check as `lineshaft drift check` does, and take what follows a step on."""
        version = self.registry.champion("wear", "prod")
        sketch, now = self.book.sketch("wear", version.number), self.clock.now_us()
        asked = self.sources().asked(version, sketch, declared=DECLARED, policy=POLICY, at_us=now)
        found = check(self.book, "wear", version.number, sketch, asked, policy=POLICY, at_us=now)
        hands = Hands(
            train=lambda _: self.train(auto=False),
            standing=self.standing,
            promote=self.promote,
            environment="prod",
            actor="loop",
        )
        DriftLoop(book=self.book, registry=self.registry, policy=RETRAIN, hands=hands).step(found)
        self.predictor.champions.look(again=True)


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    """Return a plant that has been watched for four months, with its first champion."""
    url = f"sqlite:///{tmp_path / 'registry.db'}"
    upgrade(url)
    clock = ManualClock()
    registry = open_registry(database_url=url, artifacts=tmp_path / "artifacts", clock=clock)
    catalog = FixedCatalog(all_views=(VIBRATION, HEAT), all_services=(SERVICE,))
    online, log = MemoryOnlineStore(), PredictionLog(tmp_path / "predictions")
    handler = FeatureHandler(plans=Plans(catalog=catalog), online=online, clock=clock)
    champions = Champions(registry=registry, environment="prod")
    made = Plant(
        world=World.made(),
        folder=tmp_path,
        clock=clock,
        registry=registry,
        offline=MemoryOfflineStore(),
        online=online,
        predictor=Predictor(champions=champions, features=handler, clock=clock, sink=log),
        log=log,
        catalog=catalog,
    )
    for day in range(TRAINED):
        made.live(day, served=False)
    first = made.train(auto=True)
    assert first.assignment is not None, first.waits_for
    champions.look(again=True)
    yield made
    log.behind.close()
    registry.engine.dispose()


@pytest.mark.heavy
def test_a_changed_world_is_learnt_and_a_broken_sensor_is_not(plant: Plant) -> None:
    """Detect, diagnose, retrain, gate, challenge, promote, each with its line; a sensor is a ticket, and no version."""
    for day in range(TRAINED, ENDS):
        plant.live(day, served=True)
        plant.look()
        if day == CHANGED - 1:
            before = plant.book.triggers("wear")
            assert BROKEN in {asset for one in before if one.cause == "sensor" for asset in one.assets}
            assert {one.state for one in before if BROKEN in one.assets} == {"over"}
            assert len(plant.registry.versions("wear")) == 1

    triggers = plant.book.triggers("wear")
    learnt = [one for one in triggers if one.cause == "concept"]
    trail = [act.state for act in plant.book.trail(learnt[-1].id)]
    assert trail[0] == "waiting"
    assert trail[-3:] == ["training", "challenging", "promoted"]
    assert learnt[-1].raised_us > CHANGED * DAY_US
    assert plant.registry.champion("wear", "prod").number == 2
    acts = [line.action for line in plant.registry.history("wear")]
    assert acts.index("experiment") < acts.index("conclude") < len(acts) - 1 - acts[::-1].index("promote")
    assert {one.cause for one in triggers if one.state in ("promoted", "challenging", "training")} == {"concept"}
    assert len(plant.registry.versions("wear")) == 2
