"""From stored rows to an explained prediction: what a model is served is what it was trained on, to the last bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from lineshaft.clock import ManualClock
from lineshaft.models.columns import numeric_features
from lineshaft.models.gate import Gate, Policy
from lineshaft.models.labels import fails_within
from lineshaft.models.matrix import feature_matrix
from lineshaft.models.spec import ModelSpec
from lineshaft.ops.model_release import Origin, release
from lineshaft.ops.training_set import training_set
from lineshaft.registry.catalog import FixedCatalog
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.models import open_registry
from lineshaft.serving.champions import Champions
from lineshaft.serving.features import FeatureHandler, Plans
from lineshaft.serving.predict import Predictor
from lineshaft.serving.prediction_log import PredictionLog
from lineshaft.serving.predictions import Question
from lineshaft.specs import Feature, Service, ServiceView, Source, View, row_schema
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.memory_online import MemoryOnlineStore

HOUR_US = 3_600_000_000
ASSETS, HOURS = 24, 100
VIEW = View(
    name="vibration",
    source=Source(name="vibration_blocks", channels=("acceleration",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms_1h"), Feature(name="kurtosis_1h")),
    tile_us=HOUR_US,
    ttl_us=2 * HOUR_US,
)
SERVICE = Service(
    name="bearing_health",
    views=(ServiceView(view=VIEW.name, version=VIEW.version, features=VIEW.feature_names),),
)
SPEC = ModelSpec(
    name="bearing_failure", task="binary", service=SERVICE.name, features=numeric_features(SERVICE), rounds=40
)


def fleet() -> tuple[pa.Table, pa.Table]:
    """Return rows of a fleet in which every other asset wears until it fails at the end, and the maintenance log."""
    generator = np.random.default_rng(2)
    hour, asset = np.tile(np.arange(1, HOURS + 1), ASSETS), np.repeat(np.arange(ASSETS), HOURS)
    wear = np.where(asset % 2 == 0, np.exp((hour - HOURS) / 15), 0)
    times = pa.array(hour * HOUR_US).cast(pa.timestamp("us", tz="UTC"))
    count = len(hour)
    rms = 0.3 + wear + 0.02 * generator.normal(size=count)
    kurtosis = pa.array(3 + 4 * wear, mask=generator.random(count) < 0.05)
    names = [f"pump-{i:02d}" for i in range(ASSETS)]
    columns = {"asset_id": [names[i] for i in asset], "event_time": times, "known_at": times}
    rows = pa.table({**columns, "rms_1h": rms, "kurtosis_1h": kurtosis}, schema=row_schema(VIEW))
    failed = names[::2]
    at = pa.array([(HOURS + 1) * HOUR_US] * len(failed)).cast(pa.timestamp("us", tz="UTC"))
    return rows, pa.table({"asset_id": failed, "event_time": at, "kind": ["failure"] * len(failed)})


def test_a_prediction_rests_on_the_features_it_was_trained_on(tmp_path: Path) -> None:
    """Rows, labels, point-in-time training set, release, online read, prediction, log: one path, no difference."""
    rows, log = fleet()
    clock = ManualClock(time_us=HOURS * HOUR_US)
    offline, online, catalog = (
        MemoryOfflineStore(),
        MemoryOnlineStore(),
        FixedCatalog(all_views=(VIEW,), all_services=(SERVICE,)),
    )
    offline.write_rows(VIEW, rows, batch="all")
    online.write(VIEW, rows)

    entities = rows.select(["asset_id", "event_time"])
    until = (HOURS + 2) * HOUR_US
    labelled = fails_within(entities, log, horizon_us=24 * HOUR_US, followed_until_us=until)
    table = pa.concat_tables([part.table() for part in training_set(catalog, offline, SERVICE.name, labelled.table)])
    url = f"sqlite:///{tmp_path / 'lineshaft.db'}"
    upgrade(url)
    registry = open_registry(database_url=url, artifacts=tmp_path / "artifacts", clock=clock)
    origin = Origin(service=SERVICE, table_versions={VIEW.name: offline.version(VIEW)}, actor="ana")
    gate = Gate(name="better", metric="pr_auc", op=">", vs="baseline", margin=0.1, min_groups=5, min_positive_groups=2)
    policy = Policy(name="better", gates=(gate,), auto=True)
    released = release(registry, SPEC, table, origin=origin, policy=policy, environment="prod")
    assert released.judgement.outcome == "pass", released.judgement.detail

    handler = FeatureHandler(plans=Plans(catalog=catalog), online=online, clock=clock)
    sink = PredictionLog(tmp_path / "predictions")
    champions = Champions(registry=registry, environment="prod")
    predictor = Predictor(champions=champions, features=handler, clock=clock, sink=sink)
    keys = pa.table({"asset_id": [f"pump-{i:02d}" for i in range(ASSETS)]})
    found = predictor.predict(Question(model=SPEC.name, keys=keys))
    sink.behind.flush()

    now = pa.array([clock.now_us()] * ASSETS).cast(pa.timestamp("us", tz="UTC"))
    trained = [
        part.table() for part in training_set(catalog, offline, SERVICE.name, keys.append_column("event_time", now))
    ]
    assert found.values.tobytes() == feature_matrix(pa.concat_tables(trained), SPEC.features).tobytes()
    assert found.scores[::2].min() > 0.5 > found.scores[1::2].max()
    assert found.pins == released.version.pins
    logged = sink.read(SPEC.name).sort_by("asset_id")
    assert logged["score"].to_pylist() == found.scores.tolist()
    registry.engine.dispose()
