"""From a row that a job writes to an alert in somebody's hands: once an episode, recorded, within the day's budget."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.clock import SystemClock
from lineshaft.errors import CorruptError, InputError
from lineshaft.models.alarms import AlarmRule
from lineshaft.models.detectors import fit, to_bytes
from lineshaft.registry.alerts import Alert, AlertBook
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.models import ModelRegistry, open_registry
from lineshaft.registry.records import Candidate, Verdict, ViewPin
from lineshaft.serving.alert_loop import AlertLoop
from lineshaft.serving.champions import Champions
from lineshaft.serving.features import FeatureHandler, Plans
from lineshaft.serving.predict import Predictor
from lineshaft.serving.predictions import Predictions, Question
from lineshaft.specs import Feature, Service, ServiceView, Source, View, row_schema
from lineshaft.stores.embedded import embedded_server
from lineshaft.stores.online_redis import RedisOnlineStore

CLOCK = SystemClock()
VIEW = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms"),),
    ttl_us=60_000_000,
)
SERVICE = Service(
    name="pump_watch", views=(ServiceView(view=VIEW.name, version=VIEW.version, features=VIEW.feature_names),)
)
MODEL, FEATURES = "pump_anomaly", ("pumps__rms",)


@dataclass(kw_only=True)
class Hands:
    """A route into the test's own hands; it remembers when what came."""

    name: str = "hands"
    held: list[tuple[float, Alert]] = field(default_factory=list)
    faults: int = 0

    def send(self, alert: Alert) -> None:
        """Take an alert, or fail as often as was asked."""
        if self.faults:
            self.faults -= 1
            raise OSError("nobody there")
        self.held.append((time.perf_counter(), alert))


@dataclass(kw_only=True)
class Plant:
    """A store, a registry with a champion, and a job that writes."""

    folder: Path
    online: RedisOnlineStore
    job: RedisOnlineStore
    registry: ModelRegistry
    database: str

    def register(self, rule: AlarmRule | None, model: str = MODEL) -> None:
        """Make a version with this rule champion: its score is how many g a pump is from 2, in tenths."""
        values = np.linspace(1.9, 2.1, 201, dtype=np.float32)[:, None]
        candidate = Candidate(
            model=model,
            task="anomaly",
            service=SERVICE.name,
            service_json=SERVICE.to_json(),
            features=FEATURES,
            pins=(ViewPin(view=VIEW.name, version=VIEW.version),),
            training_set="e" * 64,
            rows=201,
            artifact=to_bytes(fit("distance", values, FEATURES, seed=1, trees=1)),
            artifact_format="json",
            params={} if rule is None else {"alert": rule.to_params()},
            metrics={},
            seed=1,
            library="numpy",
        )
        number = self.registry.register(candidate, actor="ana").number
        self.registry.judge(model, number, Verdict(gate="g", outcome="pass", detail=""), actor="ana")
        self.registry.promote(model, number, environment="dev", actor="ana", reason="first")

    def write(self, rms: float, *assets: str) -> float:
        """Write a row of now for each asset; return when it began."""
        now_us = CLOCK.now_us()
        rows = {"asset_id": assets, "event_time": [now_us] * len(assets), "known_at": [now_us] * len(assets)}
        table = pa.table({**rows, "rms": [rms] * len(assets)}).cast(row_schema(VIEW))
        began_s = time.perf_counter()
        self.job.write(VIEW, table)
        return began_s

    @contextmanager
    def watching(self, hands: Hands, models: tuple[str, ...] = (MODEL,)) -> Iterator[AlertBook]:
        """Run the loop on a thread, from when it has looked at everything once."""
        plans = Plans(catalog=FixedCatalog(all_views=(VIEW,), all_services=(SERVICE,)))
        features = FeatureHandler(plans=plans, online=self.online, clock=CLOCK)
        book = AlertBook(self.database, project="dev", clock=CLOCK)
        champions = Champions(registry=self.registry, environment="dev")
        champions.start()
        loop = AlertLoop(
            models=models,
            predictor=Predictor(champions=champions, features=features, clock=CLOCK),
            plans=plans,
            online=self.online,
            book=book,
            routes=[hands],
            clock=CLOCK,
        )
        for _ in range(3):  # the first steps look, begin to follow, and look again
            loop.step(wait_s=0.2)
        stopping = threading.Event()
        thread = threading.Thread(target=loop.run, args=(stopping,))
        thread.start()
        try:
            yield book
        finally:
            stopping.set()
            thread.join()
            champions.close()
            book.close()


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    """Return a plant of eight quiet pumps."""
    database = f"sqlite:///{tmp_path / 'lineshaft.db'}"
    upgrade(database)
    registry = open_registry(database_url=database, artifacts=tmp_path / "artifacts", clock=CLOCK)
    with embedded_server(tmp_path / "online") as url:
        online, job = (RedisOnlineStore(url, project="dev", timeout_s=0.25) for _ in range(2))
        made = Plant(folder=tmp_path, online=online, job=job, registry=registry, database=database)
        made.write(2.0, *(f"p{i}" for i in range(8)))
        yield made
        online.close()
        job.close()
    registry.engine.dispose()


def until(condition: Callable[[], Any], within_s: float = 8.0) -> None:
    """Wait for something to become true."""
    end_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end_s, "it did not come about"
        time.sleep(0.01)


def _more_than(hands: Hands, count: int) -> bool:
    return len(hands.held) > count


def test_a_row_becomes_one_alert_that_says_why_and_is_written_down(plant: Plant) -> None:
    """Two rows in a row raise it, further ones do not, and when all is quiet again the episode ends, and is counted."""
    plant.register(AlarmRule(threshold=5, persist=2, among=2))
    hands = Hands()

    with plant.watching(hands) as book:
        for rms in (4.0, 3.0, 6.0, 5.0):
            plant.write(rms, "p3")
            time.sleep(0.3)
        until(lambda: hands.held)
        for _ in range(2):
            plant.write(2.0, "p3")
            time.sleep(0.3)
        until(lambda: book.all()[0].ended_us is not None)
        (written,) = book.all()

    ((_, alert),) = hands.held
    assert (alert.asset_id, alert.version, alert.threshold) == ("p3", f"{MODEL}@1", 5)
    assert alert.because[0][:2] == ("pumps__rms", 3.0)
    assert alert.score == pytest.approx(alert.because[0][2] ** 0.5)
    assert (written.id, written.routed, written.passing) == (alert.id, {"hands": "sent"}, 3)
    assert written.worst > 2 * alert.score
    assert alert.at_us < alert.raised_us < alert.at_us + 5_000_000


def test_an_alert_comes_soon(plant: Plant, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows of one pump after another, `ALERTS` of them: half are in hand within a tenth of a second of their write."""
    plant.register(AlarmRule(threshold=5))
    hands, assets = Hands(), [f"q{i:05d}" for i in range(int(os.environ.get("ALERTS", "20")))]  # noqa: TID251  its length
    plant.write(2.0, *assets)

    with plant.watching(hands):
        took = []
        for i, asset in enumerate(assets):
            began_s = plant.write(9.0, asset)
            until(partial(_more_than, hands, i))
            took.append(1e3 * (hands.held[-1][0] - began_s))

    assert [alert.asset_id for _, alert in hands.held] == assets
    half, most = np.quantile(took, [0.5, 0.99])
    with capsys.disabled():
        print(f"\n{len(took)} alerts from the write on: median {half:.1f} ms, 99 % {most:.1f} ms")  # noqa: T201
    assert half < 100


def test_a_restart_alerts_of_nothing_twice(plant: Plant) -> None:
    """What is open stays open over it, and what had ended is told anew when it comes back."""
    plant.register(AlarmRule(threshold=5))
    hands = Hands()
    with plant.watching(hands):
        plant.write(9.0, "p1", "p2")
        until(lambda: len(hands.held) == 2)
        plant.write(2.0, "p2")
        time.sleep(0.5)

    with plant.watching(hands) as book:
        plant.write(8.0, "p1")
        time.sleep(0.5)
        plant.write(9.0, "p2")
        until(lambda: len(hands.held) == 3)
        states = [(alert.asset_id, alert.ended_us is None) for alert in book.all()]

    assert [alert.asset_id for _, alert in hands.held[2:]] == ["p2"]
    assert sorted(states) == [("p1", True), ("p2", False), ("p2", True)]


def test_more_than_a_days_budget_is_kept_and_not_sent(plant: Plant) -> None:
    """Of three alerts one is sent; the others stand in the book, and say so."""
    plant.register(AlarmRule(threshold=5, per_day=1))
    hands = Hands()

    with plant.watching(hands) as book:
        for asset in ("p1", "p2", "p3"):
            plant.write(9.0, asset)
            time.sleep(0.4)
        until(lambda: len(book.all()) == 3)
        routed = {alert.asset_id: alert.routed for alert in book.all()}

    assert [alert.asset_id for _, alert in hands.held] == ["p1"]
    assert routed == {"p1": {"hands": "sent"}, "p2": {"budget": "over_budget"}, "p3": {"budget": "over_budget"}}


def test_a_route_that_fails_is_tried_again(plant: Plant) -> None:
    """Twice refused, then taken; had it failed for good, the book would say why."""
    plant.register(AlarmRule(threshold=5))
    hands = Hands(faults=2)

    with plant.watching(hands) as book:
        plant.write(9.0, "p1")
        until(lambda: hands.held)
        hands.faults = 99
        plant.write(9.0, "p2")
        until(lambda: len(book.all()) == 2 and all(alert.routed for alert in book.all()))
        (failed,) = (alert for alert in book.all() if alert.asset_id == "p2")

    assert [alert.asset_id for _, alert in hands.held] == ["p1"]
    assert failed.routed == {"hands": "OSError: nobody there"}


def test_a_new_champions_threshold_holds_at_once(plant: Plant) -> None:
    """A version with a lower threshold is promoted while the loop runs: what did not alert before does."""
    plant.register(AlarmRule(threshold=500))
    hands = Hands()

    with plant.watching(hands):
        plant.write(9.0, "p1")
        time.sleep(0.5)
        assert not hands.held
        plant.register(AlarmRule(threshold=5))
        until(lambda: hands.held)

    assert hands.held[0][1].version == f"{MODEL}@2"


def test_what_is_wrong_with_one_model_stops_no_other(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One gives no score any more, then its champion declares no rule: it is said once, and the other goes on."""
    predict = Predictor.predict

    def failing(self: Predictor, question: Question, **more: Any) -> Predictions:
        if question.model == "a_first":
            raise CorruptError("no version of 'a_first' gives a score", fix="promote another")
        return predict(self, question, **more)

    for model in ("a_first", MODEL):
        plant.register(AlarmRule(threshold=5), model)
    hands = Hands()
    with plant.watching(hands, ("a_first", MODEL)):
        monkeypatch.setattr(Predictor, "predict", failing)
        for count, asset in enumerate(("p1", "p2"), start=1):
            plant.write(9.0, asset)
            until(lambda count=count: len(hands.held) == count)  # type: ignore[misc]
        plant.register(None, "a_first")
        until(lambda: "a_first@2 declares no alert" in caplog.text)
        plant.write(9.0, "p3")
        until(lambda: len(hands.held) == 3)

    assert [(alert.asset_id, alert.model) for _, alert in hands.held] == [(a, MODEL) for a in ("p1", "p2", "p3")]
    assert caplog.text.count("no alerts of a_first for now: no version of") == 1


def test_a_model_without_a_rule_is_not_watched(plant: Plant) -> None:
    """It is told before anything runs."""
    plant.register(None)

    with pytest.raises(InputError, match="declares no alert"), plant.watching(Hands()):
        pass
