"""A fleet is scored whole: every machine known online, by every model, and what one lacks stops no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import xgboost

from lineshaft.clock import ManualClock
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.models import ModelRegistry, open_registry
from lineshaft.registry.records import Candidate, Verdict, ViewPin
from lineshaft.serving.champions import Champions
from lineshaft.serving.features import FeatureHandler, Plans
from lineshaft.serving.fleet import Fleet
from lineshaft.serving.predict import Predictor
from lineshaft.serving.prediction_log import PredictionLog
from lineshaft.specs import Feature, Service, ServiceView, Source, View, row_schema
from lineshaft.stores.memory_online import MemoryOnlineStore

PUMPS = 40
VIEW = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms"), Feature(name="crest")),
    ttl_us=10_000_000,
)


def service(name: str) -> Service:
    """Return a model's own service."""
    used = ServiceView(view=VIEW.name, version=VIEW.version, features=VIEW.feature_names)
    return Service(name=name, views=(used,))


def champion(registry: ModelRegistry, name: str, level: float) -> None:
    """Make a model that scores about `level` champion."""
    names = ("pumps__rms", "pumps__crest")
    rows = np.random.default_rng(1).normal(size=(40, 2)).astype(np.float32)
    data = xgboost.DMatrix(rows, label=level + 0.01 * rows[:, 0], feature_names=list(names), nthread=1)
    artifact = bytes(xgboost.train({"nthread": 1, "base_score": level}, data, 3).save_raw("ubj"))
    candidate = Candidate(
        model=name,
        task="regression",
        service=name,
        service_json=service(name).to_json(),
        features=names,
        pins=(ViewPin(view=VIEW.name, version=VIEW.version),),
        training_set="",
        rows=40,
        artifact=artifact,
        artifact_format="ubj",
        params={},
        metrics={},
        seed=1,
        library="xgboost",
    )
    registry.register(candidate, actor="ann")
    registry.judge(name, 1, Verdict(gate="bar", outcome="pass", detail=""), actor="gate")
    registry.promote(name, 1, environment="prod", actor="ann", reason="test")


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    """Return forty pumps, one of them long silent, and two models; a third has no champion."""
    url = f"sqlite:///{tmp_path / 'registry.db'}"
    upgrade(url)
    clock = ManualClock(time_us=20_000_000)
    registry = open_registry(database_url=url, artifacts=tmp_path / "artifacts", clock=clock)
    champion(registry, "wear", 1.0)
    champion(registry, "leak", 2.0)
    online = MemoryOnlineStore()
    at = pa.array([1_000_000, *[19_000_000] * (PUMPS - 1)]).cast(pa.timestamp("us", tz="UTC"))
    keys = {"asset_id": [f"p{i:02d}" for i in range(PUMPS)], "event_time": at, "known_at": at}
    values = {"rms": np.zeros(PUMPS), "crest": np.ones(PUMPS)}
    online.write(VIEW, pa.table({**keys, **values}, schema=row_schema(VIEW)))
    plans = Plans(catalog=FixedCatalog(all_views=(VIEW,), all_services=(service("wear"), service("leak"))))
    features = FeatureHandler(plans=plans, online=online, clock=clock, max_rows=10_000)
    champions = Champions(registry=registry, environment="prod")
    log = PredictionLog(tmp_path / "predictions")
    predictor = Predictor(champions=champions, features=features, clock=clock, sink=log)
    return Fleet(predictor=predictor, features=features, clock=clock)


def test_every_machine_is_scored_by_every_model(fleet: Fleet) -> None:
    """Who is silent gets no score, and a model without a champion is told of and stops nobody."""
    found = {one.model: one for one in fleet.score(["wear", "nothing", "leak"])}

    assert [(one.entities, one.scored) for one in found.values()] == [(PUMPS, PUMPS - 1), (0, 0), (PUMPS, PUMPS - 1)]
    assert (found["wear"].version, found["leak"].version) == ("wear@1", "leak@1")
    assert "no champion" in found["nothing"].fault
    assert not found["wear"].fault


def test_a_fleet_scored_again_as_of_the_same_moment_is_the_same_rows(fleet: Fleet) -> None:
    """Predictions have the same ids, so the log holds each once."""
    log = fleet.predictor.sink
    assert isinstance(log, PredictionLog)
    for at_us in (20_000_000, 20_000_000, 21_000_000):
        list(fleet.score(["wear"], at_us=at_us))
        log.behind.flush()

    rows = log.read("wear")

    assert rows.num_rows == 2 * PUMPS
    assert rows["score"].null_count == 2
    np.testing.assert_allclose(rows["score"].drop_null().to_numpy(), 1.0, atol=0.1)
    log.behind.close()


def test_a_fleet_of_which_none_is_scored_is_a_fault(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    """All inputs are long past, so who asks every night is told; a fault is a line of the log and no traceback."""
    (late,) = fleet.score(["wear"], at_us=90_000_000)
    (missing,) = fleet.score(["nothing"])

    assert (late.entities, late.scored) == (PUMPS, 0)
    assert "no entity has inputs" in late.fault
    assert missing.fault in caplog.text
    assert "Traceback" not in caplog.text


def test_a_part_of_a_fleet_is_a_part_of_the_answer(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """More machines than one request may have are asked about in several, each once."""
    monkeypatch.setattr("lineshaft.serving.fleet.MAX_ROWS", 7)

    (found,) = fleet.score(["wear"])

    assert (found.entities, found.scored) == (PUMPS, PUMPS - 1)
