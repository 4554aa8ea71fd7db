"""A fleet is scored whole: every machine known online, by every model, and what one lacks stops no other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xgboost

from lineshaft.clock import ManualClock
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.models import ModelRegistry, open_registry
from lineshaft.registry.records import Candidate, Slot, Verdict, ViewPin
from lineshaft.registry.scores import KEPT_US, ScoreBook
from lineshaft.serving.champions import Champions
from lineshaft.serving.features import FeatureHandler, Plans
from lineshaft.serving.fleet import Fleet, Remembered
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


def champion(registry: ModelRegistry, name: str, level: float, slot: Slot = Slot.CHAMPION) -> None:
    """Make a model that scores about `level` champion, or give it another slot."""
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
    number = registry.register(candidate, actor="ann").number
    registry.judge(name, number, Verdict(gate="bar", outcome="pass", detail=""), actor="gate")
    registry.promote(name, number, environment="prod", actor="ann", reason="test", slot=slot)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
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
    remembered = Remembered(log=log, book=ScoreBook(url, project="prod"))
    predictor = Predictor(champions=champions, features=features, clock=clock, sink=remembered)
    yield Fleet(predictor=predictor, features=features, clock=clock, remembered=remembered)
    predictor.shadows.close()
    log.behind.close()
    remembered.book.close()
    registry.engine.dispose()


def test_every_machine_is_scored_by_every_model(fleet: Fleet) -> None:
    """Who is silent gets no score, and a model without a champion is told of and stops nobody."""
    found = {one.model: one for one in fleet.score(["wear", "nothing", "leak"])}

    assert [(one.entities, one.scored) for one in found.values()] == [(PUMPS, PUMPS - 1), (0, 0), (PUMPS, PUMPS - 1)]
    assert (found["wear"].version, found["leak"].version) == ("wear@1", "leak@1")
    assert "no champion" in found["nothing"].fault
    assert not found["wear"].fault


def test_a_fleet_scored_again_as_of_the_same_moment_is_the_same_rows(fleet: Fleet) -> None:
    """Predictions have the same ids, so the log holds each once."""
    for at_us in (20_000_000, 20_000_000, 21_000_000):
        list(fleet.score(["wear"], at_us=at_us))

    rows = fleet.remembered.log.read("wear")

    assert rows.num_rows == 2 * PUMPS
    assert rows["score"].null_count == 2
    np.testing.assert_allclose(rows["score"].drop_null().to_numpy(), 1.0, atol=0.1)


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


def test_the_database_has_the_last_score_of_each_machine_by_who_gave_it(fleet: Fleet) -> None:
    """Bit for bit the log's, under the log's names; a shadow's beside the champion's; who is silent has none."""
    champion(fleet.predictor.champions.registry, "wear", 3.0, Slot.SHADOW)
    for at_us in (20_000_000, 21_000_000):
        list(fleet.score(["wear", "leak"], at_us=at_us))

    last = fleet.remembered.book.latest(model="wear")
    (silent,) = fleet.remembered.book.latest(model="leak", asset_id="p00")

    logged = {row["prediction_id"]: row for row in fleet.remembered.log.read("wear").to_pylist()}
    assert {(one.role, one.number, one.at_us) for one in last} == {
        ("champion", 1, 21_000_000),
        ("shadow", 2, 21_000_000),
    }
    assert len(last) == 2 * PUMPS
    for one in last:
        row = logged[one.prediction_id]
        assert (row["asset_id"], row["role"], row["version"]) == (one.entity["asset_id"], one.role, one.version)
        assert (row["score"], row["status"]) == (one.score, one.status)
    assert silent.score is None


@dataclass(frozen=True)
class Crashing:
    """A catalogue that fails as nobody thought of."""

    def __call__(self, *_: Any) -> Any:
        """Fail."""
        raise ZeroDivisionError("nobody thought of this")


def test_a_crash_in_one_model_stops_no_other_and_is_told(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong with one: the others are scored, and the fault is counted as its."""
    ready, crash = fleet.predictor.ready, Crashing()
    monkeypatch.setattr(Predictor, "ready", lambda _self, name: crash() if name == "leak" else ready(name))

    found = {one.model: one for one in fleet.score(["leak", "wear"])}

    assert found["leak"].fault == "ZeroDivisionError: nobody thought of this"
    assert found["wear"].scored == PUMPS - 1


def test_scores_older_than_a_season_leave_the_database_and_stay_in_the_log(fleet: Fleet) -> None:
    """A table that grows for ever is nobody's wish; the log of predictions keeps all."""
    list(fleet.score(["wear"], at_us=20_000_000))
    clock = fleet.clock
    assert isinstance(clock, ManualClock)
    clock.advance(seconds=KEPT_US / 1e6 + 1)

    list(fleet.score(["wear"]))

    assert {one.at_us for one in fleet.remembered.book.latest()} == {clock.now_us()}
    assert fleet.remembered.book.forget(before_us=clock.now_us()) == 0
    assert fleet.remembered.log.read("wear").num_rows == 2 * PUMPS
