"""Who answers for an asset, and by which bits, is the same for a call, for the whole fleet and for alerts of rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import xgboost

from lineshaft.clock import ManualClock
from lineshaft.models.alarms import AlarmRule
from lineshaft.outcomes.arms import challenged
from lineshaft.registry.alerts import AlertBook
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.models import ModelRegistry, open_registry
from lineshaft.registry.records import Candidate, Experiment, Slot, Verdict, ViewPin
from lineshaft.registry.scores import ScoreBook
from lineshaft.serving.alert_loop import AlertLoop
from lineshaft.serving.champions import Champions
from lineshaft.serving.client import Client
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.fleet import Fleet, Remembered
from lineshaft.serving.predict import Predictor
from lineshaft.serving.prediction_log import PredictionLog
from lineshaft.serving.server import Handlers, Limits, background_server
from lineshaft.specs import Feature, Service, ServiceView, Source, View, row_schema
from lineshaft.stores.embedded import embedded_server
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.online_redis import RedisOnlineStore

ASSETS = [f"pump-{number:02d}" for number in range(60)]
NOW_US = 20_000_000
VIEWS = tuple(
    View(
        name=name,
        source=Source(name="s", channels=("x",), units=("g",)),
        entity_keys=(("asset_id", "string"),),
        features=(Feature(name="rms"), Feature(name="crest")),
        ttl_us=60_000_000,
    )
    for name in ("pumps", "pumps_again")
)
SALT, SHARE = "spring", 4_000
THEIRS = dict(zip(ASSETS, challenged(ASSETS, salt=SALT, weight_bp=SHARE).tolist(), strict=True))
EVERY_SCORE = AlarmRule(threshold=-1e9)
Answer = tuple[str, str, bytes]  # role, version, the score's bits


def service(view: View) -> Service:
    """Return a service of one view."""
    used = ServiceView(view=view.name, version=view.version, features=view.feature_names)
    return Service(name=f"by_{view.name}", views=(used,))


@dataclass(frozen=True, kw_only=True)
class Plant:
    """A store with sixty pumps, and a model whose champion, challenger and shadow read different views."""

    folder: Path
    registry: ModelRegistry
    online: RedisOnlineStore
    log: PredictionLog
    predictor: Predictor
    features: FeatureHandler
    clock: ManualClock

    @property
    def database(self) -> str:
        """Return where the registry and its books are."""
        return f"sqlite:///{self.folder / 'registry.db'}"

    def stand(self, rule: AlarmRule = EVERY_SCORE) -> None:
        """Make version 1 champion, 2 challenger by another view, and 3 shadow."""
        for seed, (view, slot) in enumerate(zip((VIEWS[0], VIEWS[1], VIEWS[0]), Slot, strict=True)):
            number = self.register(view, seed, rule)
            self.registry.promote("wear", number, environment="dev", actor="ben", reason="test", slot=slot)

    def register(self, view: View, seed: int, rule: AlarmRule) -> int:
        """Register a version that passed; return its number."""
        names = (f"{view.name}__rms", f"{view.name}__crest")
        rows = np.random.default_rng(seed).normal(size=(200, 2)).astype(np.float32)
        data = xgboost.DMatrix(rows, label=rows.sum(axis=1) + seed, feature_names=list(names), nthread=1)
        candidate = Candidate(
            model="wear",
            task="regression",
            service=service(view).name,
            service_json=service(view).to_json(),
            features=names,
            pins=(ViewPin(view=view.name, version=view.version),),
            training_set="",
            rows=200,
            artifact=bytes(xgboost.train({"nthread": 1, "seed": seed}, data, 20).save_raw("ubj")),
            artifact_format="ubj",
            params={"alert": rule.to_params()},
            metrics={},
            seed=seed,
            library="xgboost",
        )
        number = self.registry.register(candidate, actor="ann").number
        self.registry.judge("wear", number, Verdict(gate="bar", outcome="pass", detail=""), actor="gate")
        return number

    def compare(self) -> None:
        """Let the challenger answer for its share."""
        trial = Experiment(
            model="wear",
            environment="dev",
            champion=1,
            challenger=2,
            unit="asset",
            salt=SALT,
            weight_bp=SHARE,
            metric="brier",
            effect=0.02,
            alpha=0.05,
            min_assets=2,
            started_us=0,
        )
        self.registry.experiments.start(trial, actor="ben", reason="compare")
        self.predictor.champions.look()

    def by_call(self) -> dict[str, Answer]:
        """Ask a real server, all pumps at once and then each by itself; both say the same."""
        plans = self.features.plans
        training = TrainingSetHandler(plans=plans, offline=MemoryOfflineStore())
        handlers = Handlers(plans=plans, features=self.features, training=training, predictor=self.predictor)
        with background_server(handlers, limits=Limits(store_timeout_s=5.0)) as address, Client(address) as client:
            every = client.predict("wear", asset_id=ASSETS)
            each = [client.predict("wear", asset_id=[asset]) for asset in ASSETS]
        together = [_answer(one.model_version or every.model_version, one.score) for one in every.predictions]
        alone = [
            _answer(one.predictions[0].model_version or one.model_version, one.predictions[0].score) for one in each
        ]
        assert alone == together
        return dict(zip(ASSETS, together, strict=True))

    def by_fleet(self) -> tuple[dict[str, Answer], dict[str, Answer]]:
        """Score the whole fleet; return who answered for each pump, and what the shadow says, from the database."""
        book = ScoreBook(self.database, project="dev")
        self.predictor.sink = remembered = Remembered(log=self.log, book=book)
        fleet = Fleet(predictor=self.predictor, features=self.features, clock=self.clock, remembered=remembered)
        (scored,) = fleet.score(["wear"])
        assert (scored.entities, scored.scored, scored.fault) == (len(ASSETS), len(ASSETS), "")
        kept = book.latest()
        book.close()
        self.predictor.sink = None
        answers = [
            (str(one.entity["asset_id"]), one.role, one.version, np.float64(one.score).tobytes()) for one in kept
        ]
        heard = {asset: (role, version, bits) for asset, role, version, bits in answers if role != "shadow"}
        return heard, {asset: (role, version, bits) for asset, role, version, bits in answers if role == "shadow"}

    @contextmanager
    def watching(self) -> Iterator[tuple[AlertLoop, AlertBook]]:
        """Return a loop of alerts that has looked at everything once, and its book."""
        book = AlertBook(self.database, project="dev", clock=self.clock)
        loop = AlertLoop(
            models=["wear"],
            predictor=self.predictor,
            plans=self.features.plans,
            online=self.online,
            book=book,
            routes=[],
            clock=self.clock,
        )
        for _ in range(3):  # the first steps look, begin to follow, and look again
            loop.step(wait_s=0.1)
        yield loop, book
        book.close()

    def by_alerts(self) -> dict[str, Answer]:
        """Watch the rows; return who scored each pump, as the alerts say."""
        with self.watching() as (_, book):
            return {one.asset_id: _answer(one.version, one.score) for one in book.all()}

    def write(self, view: View, level: float, *assets: str) -> None:
        """Write a row for each asset, as a job does."""
        at = pa.array([NOW_US - 500_000] * len(assets)).cast(pa.timestamp("us", tz="UTC"))
        values = {"rms": [level] * len(assets), "crest": [level] * len(assets)}
        self.online.write(
            view, pa.table({"asset_id": assets, "event_time": at, "known_at": at, **values}, schema=row_schema(view))
        )


def _answer(version: str, score: float) -> Answer:
    role = {"wear@1": "champion", "wear@2": "challenger", "wear@3": "shadow", "wear@4": "champion"}[version]
    return role, version, np.float64(score).tobytes()


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    """Return the plant, with nobody to answer yet."""
    url = f"sqlite:///{tmp_path / 'registry.db'}"
    upgrade(url)
    clock = ManualClock(time_us=NOW_US)
    registry = open_registry(database_url=url, artifacts=tmp_path / "artifacts", clock=clock)
    services = tuple(service(view) for view in VIEWS)
    plans = Plans(catalog=FixedCatalog(all_views=VIEWS, all_services=services))
    with embedded_server(tmp_path / "online") as redis:
        online = RedisOnlineStore(redis, project="dev", timeout_s=5.0)
        at = pa.array([NOW_US - 1_000_000] * len(ASSETS)).cast(pa.timestamp("us", tz="UTC"))
        for seed, view in enumerate(VIEWS):
            rms, crest = np.random.default_rng(seed).normal(size=(2, len(ASSETS)))
            columns = {"asset_id": ASSETS, "event_time": at, "known_at": at, "rms": rms, "crest": crest}
            online.write(view, pa.table(columns, schema=row_schema(view)))
        features = FeatureHandler(plans=plans, online=online, clock=clock)
        made = Plant(
            folder=tmp_path,
            registry=registry,
            online=online,
            log=PredictionLog(tmp_path / "predictions"),
            predictor=Predictor(
                champions=Champions(registry=registry, environment="dev"), features=features, clock=clock
            ),
            features=features,
            clock=clock,
        )
        yield made
        made.log.behind.close()
        made.predictor.shadows.close()
        online.close()
    registry.engine.dispose()


def test_an_asset_is_answered_by_its_arm_whichever_way_it_is_asked(plant: Plant) -> None:
    """Sixty pumps, two fifths of them the challenger's: role, version and bits agree on all three ways."""
    plant.stand()
    plant.compare()

    call = plant.by_call()
    fleet, shadow = plant.by_fleet()
    alerts = plant.by_alerts()

    assert {asset: role for asset, (role, _, _) in call.items()} == {
        asset: "challenger" if theirs else "champion" for asset, theirs in THEIRS.items()
    }
    assert 10 < sum(THEIRS.values()) < 50
    assert fleet == call
    assert alerts == call
    assert {role for role, _, _ in shadow.values()} == {"shadow"}
    assert list(shadow) == ASSETS


def test_without_an_experiment_the_champion_answers_on_every_way(plant: Plant) -> None:
    """The challenger in its slot is heard nowhere."""
    plant.stand()

    call = plant.by_call()

    assert {role for role, _, _ in call.values()} == {"champion"}
    assert plant.by_fleet()[0] == call
    assert plant.by_alerts() == call


def test_an_asset_of_a_site_is_answered_by_that_sites_champion(plant: Plant) -> None:
    """Every third pump stands where version 4 is champion: no arm reaches there, on none of the ways."""
    plant.stand()
    plant.compare()
    plant.register(VIEWS[1], 7, EVERY_SCORE)
    there = set(ASSETS[::3])
    plant.registry.sites.place(dict.fromkeys(there, "plant-b"), environment="dev", actor="ben", reason="opening")
    plant.registry.promote("wear", 4, environment="dev", site="plant-b", actor="ben", reason="its pumps differ")
    plant.predictor.champions.look()

    call = plant.by_call()
    fleet, shadow = plant.by_fleet()

    assert {asset: version for asset, (_, version, _) in call.items()} == {
        asset: "wear@4" if asset in there else "wear@2" if THEIRS[asset] else "wear@1" for asset in ASSETS
    }
    assert fleet == call
    assert plant.by_alerts() == call
    assert list(shadow) == ASSETS
    plant.registry.sites.place(dict.fromkeys(there, ""), environment="dev", actor="ben", reason="closing")
    plant.predictor.champions.look()
    assert {version for _, version, _ in plant.by_call().values()} == {"wear@1", "wear@2"}


def test_an_alert_of_the_challenger_says_so_and_why(plant: Plant) -> None:
    """The reasons are of the version that scored, from the view that it reads."""
    plant.stand()
    plant.compare()

    with plant.watching() as (_, book):
        read = {one.asset_id: {name.partition("__")[0] for name, _, _ in one.because} for one in book.all()}

    assert read == {asset: {"pumps_again" if theirs else "pumps"} for asset, theirs in THEIRS.items()}


def test_a_row_of_the_challengers_own_view_is_scored_when_it_is_written(plant: Plant) -> None:
    """The champion does not read it: of a pump of the challenger's arm it raises an alert, of another none."""
    plant.stand(AlarmRule(threshold=3.5))
    plant.compare()
    theirs, champions = (next(name for name in ASSETS if THEIRS[name] is arm) for arm in (True, False))
    with plant.watching() as (loop, book):
        assert book.all() == []
        plant.write(VIEWS[1], 9.0, theirs, champions)
        loop.step(wait_s=2.0)
        loop.step(wait_s=0.2)

        assert [(one.asset_id, one.version) for one in book.all()] == [(theirs, "wear@2")]
