"""Champions are followed beside the calls, proven before they stand, and kept ready to go back to."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xgboost

from lineshaft.clock import ManualClock
from lineshaft.errors import CorruptError, LineshaftError, NotFoundError, UnavailableError
from lineshaft.models.scored import Scored
from lineshaft.registry.catalog import FixedCatalog
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.models import ModelRegistry, open_registry
from lineshaft.registry.records import ModelVersion, Slot, Verdict, ViewPin
from lineshaft.serving.champions import Champions, read_version
from lineshaft.serving.failures import Failed, Failure
from lineshaft.serving.features import FeatureHandler, Plans
from lineshaft.serving.metrics import Metrics
from lineshaft.serving.predict import Predictor
from lineshaft.serving.predictions import Question
from lineshaft.serving.standing import Ready, Standing
from lineshaft.specs import Feature, Service, ServiceView, Source, View, row_schema
from lineshaft.stores.memory_online import MemoryOnlineStore
from lineshaft.testing import small_candidate

VIEW = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms"), Feature(name="crest")),
)
SERVICE = Service(
    name="health", views=(ServiceView(view=VIEW.name, version=VIEW.version, features=VIEW.feature_names),)
)
NAMES = ("pumps__rms", "pumps__crest")
ASK = Question(model="wear", keys=pa.table({"asset_id": ["p0", "p1"]}))


def model(level: float) -> bytes:
    """Return a model that scores about `level` whatever it is asked."""
    rows = np.random.default_rng(1).normal(size=(40, 2)).astype(np.float32)
    data = xgboost.DMatrix(rows, label=level + 0.01 * rows[:, 0], feature_names=list(NAMES), nthread=1)
    return bytes(xgboost.train({"nthread": 1, "base_score": level}, data, 3).save_raw("ubj"))


@dataclass(frozen=True, slots=True)
class Shop:
    """A registry of one model, and short words for what is done to it."""

    registry: ModelRegistry

    def register(self, level: float, name: str = "wear") -> int:
        """Register a version that passed its gate; return its number."""
        candidate = small_candidate(
            model=name,
            service=SERVICE.name,
            service_json=SERVICE.to_json(),
            features=NAMES,
            pins=(ViewPin(view=VIEW.name, version=VIEW.version),),
            artifact=model(level),
            artifact_format="ubj",
            metrics={"half_width_90": 2.0},
        )
        version = self.registry.register(candidate, actor="ann")
        self.registry.judge(name, version.number, Verdict(gate="bar", outcome="pass", detail=""), actor="gate")
        return version.number

    def promote(self, number: int, slot: Slot = Slot.CHAMPION, name: str = "wear") -> None:
        """Give a version a slot."""
        self.registry.promote(name, number, environment="prod", actor="ann", reason="test", slot=slot)

    def rollback(self) -> None:
        """Go back."""
        self.registry.rollback("wear", environment="prod", actor="ann", reason="test")

    def spoil(self, number: int) -> None:
        """Alter a version's file."""
        version = self.registry.get("wear", number)
        path = self.registry.artifacts.root / version.artifact_sha256[:2] / f"{version.artifact_sha256}.ubj"
        path.write_bytes(path.read_bytes() + b" ")

    def champions(self, **more: Any) -> Champions:
        """Return who stands in production."""
        return Champions(registry=self.registry, environment="prod", **more)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """Return a registry in which `wear@1` is champion."""
    url = f"sqlite:///{tmp_path / 'registry.db'}"
    upgrade(url)
    registry = open_registry(database_url=url, artifacts=tmp_path / "artifacts", clock=ManualClock(time_us=1))
    opened = Shop(registry)
    opened.promote(opened.register(1.0))
    yield opened
    registry.engine.dispose()


def number(champions: Champions) -> int:
    """Return which version answers."""
    return champions.of("wear").ready.version.number


def until(met: Callable[[], bool], *, seconds: float) -> float:
    """Wait until something is so; return how long it took."""
    start = time.monotonic()
    while not met():
        assert time.monotonic() - start < seconds
        time.sleep(0.005)
    return time.monotonic() - start


def test_who_follows_answers_by_a_promotion_within_a_second(shop: Shop) -> None:
    """A thread follows promotions, first ones too, and rollbacks; a call only looks who stands."""
    champions = shop.champions()
    champions.start()
    try:
        assert number(champions) == 1
        shop.promote(shop.register(2.0))
        assert until(lambda: number(champions) == 2, seconds=5.0) < 1.0
        shop.rollback()
        assert until(lambda: number(champions) == 1, seconds=5.0) < 1.0
        shop.promote(shop.register(3.0, "other"), name="other")
        assert until(lambda: "other" in champions.standing(), seconds=5.0) < 1.0
    finally:
        champions.close()


def test_nothing_is_asked_of_the_registry_by_a_call(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a model stands, calls go on with the database gone, and a look says that it is gone."""
    champions = shop.champions()
    champions.look()

    def away(*_: object) -> int:
        raise UnavailableError("the registry's database did not answer")

    for name in ("generation", "reigns", "get"):
        monkeypatch.setattr(ModelRegistry, name, away)

    assert number(champions) == 1
    with pytest.raises(UnavailableError):
        champions.look()
    champions.start()  # says so, and follows when it is back
    champions.close()
    assert number(champions) == 1


def test_a_rollback_loads_nothing(shop: Shop) -> None:
    """The champion before stands ready beside the one that answers: going back swaps a pointer."""
    read: list[int] = []

    def counted(registry: ModelRegistry, version: ModelVersion) -> Ready:
        read.append(version.number)
        return read_version(registry, version)

    champions = shop.champions(read=counted)
    champions.look()
    shop.promote(shop.register(2.0))
    champions.look()
    first = champions.of("wear").reserve

    shop.rollback()
    champions.look()

    assert read == [1, 2]
    assert champions.of("wear").ready is first
    assert not champions.look()
    shop.promote(2)
    champions.look()
    assert (read, number(champions)) == ([1, 2], 2), "and forth again neither"


def test_a_champion_that_cannot_be_used_is_passed_over_and_tried_again(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """The one before answers, it is said for whom and why, also by a server that never held it; then it is mended."""
    champions = shop.champions()
    champions.look()
    second = shop.register(2.0)
    version = shop.registry.get("wear", second)
    path = shop.registry.artifacts.root / version.artifact_sha256[:2] / f"{version.artifact_sha256}.ubj"
    whole = path.read_bytes()
    shop.promote(second)
    shop.spoil(second)
    caplog.clear()
    champions.look()
    (said,) = caplog.records
    assert said.getMessage().startswith("wear@2 cannot be used: artifact")
    assert not said.exc_info
    fresh = shop.champions()

    for one in (champions, fresh):
        assert number(one) == 1
        assert one.of("wear").passed_over.startswith("wear@2: artifact")
    path.write_bytes(whole)
    assert not champions.look()
    assert champions.look(again=True)
    assert (number(champions), champions.of("wear").passed_over) == (2, "")


def test_a_version_rejected_since_stands_in_for_nobody(shop: Shop) -> None:
    """Of the champions before, those that may not serve any more are passed by."""
    second = shop.register(2.0)
    shop.promote(second)
    shop.promote(shop.register(3.0))
    shop.registry.judge("wear", second, Verdict(gate="recall", outcome="fail", detail=""), actor="gate")

    reserve = shop.champions().of("wear").reserve

    assert reserve is not None
    assert reserve.version.number == 1


def test_without_any_usable_version_there_is_no_champion(shop: Shop) -> None:
    """A server that never held a good one says why; one that did goes on with it."""
    holding = shop.champions()
    holding.look()
    shop.spoil(1)
    shop.promote(shop.register(5.0, "other"), name="other")

    with pytest.raises(CorruptError, match="no version of 'wear' can be used: wear@1"):
        shop.champions().of("wear")
    assert shop.champions().look()
    assert holding.look()
    assert number(holding) == 1
    with pytest.raises(NotFoundError, match="no champion in 'prod'"):
        holding.of("nothing")


def test_challenger_and_shadow_stand_beside_the_champion(shop: Shop) -> None:
    """Whoever routes finds them loaded; a shadow that cannot be used takes nobody down."""
    shop.promote(shop.register(2.0), Slot.CHALLENGER)
    shop.promote(shop.register(3.0), Slot.SHADOW)
    champions = shop.champions()
    champions.look()
    held = champions.of("wear").others
    assert {slot: one.version.number for slot, one in held.items()} == {Slot.CHALLENGER: 2, Slot.SHADOW: 3}

    shop.spoil(3)
    others = shop.champions().of("wear").others

    assert list(others) == [Slot.CHALLENGER]


def test_a_site_has_its_own_and_stands_in_by_the_general_champion(shop: Shop) -> None:
    """Where its champion is damaged the general one answers; so it does at other sites, and for who stands at none."""
    shop.promote(shop.register(2.0))
    shop.registry.sites.place({"p0": "plant-b", "p9": "plant-c"}, environment="prod", actor="ann", reason="test")
    third = shop.register(3.0)
    shop.registry.promote("wear", third, environment="prod", site="plant-b", actor="ann", reason="test")
    shop.registry.promote(
        "wear", shop.register(4.0), environment="prod", site="plant-b", slot=Slot.SHADOW, actor="ann", reason="test"
    )
    serving = predictor(shop.champions())
    serving.champions.look()

    found = serving.predict(ASK)

    assert [by.version for by, _ in found.by_row()] == ["wear@2", "wear@3"][::-1]
    np.testing.assert_allclose(found.scores, [3.0, 2.0], atol=0.1)
    standing = serving.champions.of("wear")
    assert (list(standing.sites), standing.others) == (["plant-b"], {})
    assert [one.version.number for one in standing.sites["plant-b"].others.values()] == [4]
    shop.spoil(third)
    fresh = predictor(shop.champions())
    assert [by.version for by, _ in fresh.predict(ASK).by_row()] == ["wear@2", "wear@2"]
    assert fresh.predict(ASK).stands_in_for.startswith("wear@3: ")


def test_who_wants_to_know_is_told_of_each_generation(shop: Shop) -> None:
    """After the swap, with who stands: what an acknowledgement says."""
    told: list[tuple[int, dict[str, int]]] = []

    def tell(generation: int, standing: Mapping[str, Standing]) -> None:
        told.append((generation, {name: one.ready.version.number for name, one in standing.items()}))

    champions = shop.champions(told=tell)
    champions.look()
    shop.promote(shop.register(2.0))
    champions.look()
    champions.look()

    assert told == [(1, {"wear": 1}), (2, {"wear": 2})]


@dataclass(frozen=True)
class Broken:
    """A model that is loaded and then fails as it is told to."""

    how: str

    def score(self, values: Any, *, why: bool = True) -> Scored:
        """Fail."""
        if self.how == "crash":
            raise FloatingPointError("overflow")
        return Scored(scores=np.full(len(values), {"nan": np.nan, "infinite": np.inf}[self.how]))


@pytest.mark.parametrize("how", ["crash", "nan", "infinite"])
def test_a_model_that_fails_at_a_question_is_stood_in_for(shop: Shop, how: str) -> None:
    """The champion before answers, the reply says for whom and why, and it is counted; alone, it refuses."""

    def read(registry: ModelRegistry, version: ModelVersion) -> Ready:
        ready = read_version(registry, version)
        return replace(ready, model=Broken(how)) if version.number == 2 else ready

    shop.promote(shop.register(2.0))
    serving = predictor(shop.champions(read=read))
    serving.champions.look()

    assert serving.predict_at_once(ASK, budget_s=1.0) is None
    found = serving.predict(ASK)

    np.testing.assert_allclose(found.scores, 1.0, atol=0.1)
    assert (found.version, found.half_width) == ("wear@1", 2.0)
    assert found.stands_in_for.startswith("wear@2 ")
    kind = Failed.CRASH if how == "crash" else Failed.NO_NUMBER
    assert serving.failures.counts() == {Failure(version="wear@2", slot=Slot.CHAMPION, kind=kind): 1}
    assert shown(serving, "model_failures_total", slot="champion", kind=str(kind)) == 1
    assert shown(serving, "model_failures_total", slot="challenger", kind=str(kind)) == 0
    assert shown(serving, "stand_in_predictions_total") == 2
    shop.registry.judge("wear", 1, Verdict(gate="recall", outcome="fail", detail=""), actor="gate")
    shop.promote(shop.register(7.0, "other"), name="other")
    serving.champions.look()
    with pytest.raises(LineshaftError, match="no version of 'wear' gives a score: wear@2"):
        serving.predict(ASK)


def shown(serving: Predictor, name: str, **labels: str) -> float | None:
    """Return a number of the model as Prometheus is shown it."""
    metrics = Metrics()
    metrics.watch_models(serving)
    return metrics.registry.get_sample_value(f"lineshaft_{name}", {"model": "wear", **labels})


def test_a_champion_that_is_passed_over_shows(shop: Shop) -> None:
    """Its file is damaged: who looks at the numbers sees that another answers, and how often."""
    serving = predictor(shop.champions())
    serving.champions.look()
    assert (shown(serving, "champion_passed_over"), shown(serving, "stand_in_predictions_total")) == (0, 0)
    second = shop.register(2.0)
    shop.promote(second)
    shop.spoil(second)
    serving.champions.look()

    assert serving.predict(ASK).version == "wear@1"

    assert (shown(serving, "champion_passed_over"), shown(serving, "stand_in_predictions_total")) == (1, 2)


def test_an_answer_at_once_is_the_answer(shop: Shop) -> None:
    """Where rows are held near, without a thread; not for many entities, for a model not held, or without time."""
    serving = predictor(shop.champions())
    assert serving.predict_at_once(ASK, budget_s=1.0) is None
    slow = serving.predict(ASK)

    quick = serving.predict_at_once(ASK, budget_s=1.0)

    assert quick is None or quick.scores.tobytes() == slow.scores.tobytes()
    many = replace(ASK, keys=pa.table({"asset_id": [f"p{i}" for i in range(100)]}))
    assert serving.predict_at_once(many, budget_s=1.0) is None


def predictor(champions: Champions) -> Predictor:
    """Return a predictor over two pumps."""
    online, clock = MemoryOnlineStore(), ManualClock(time_us=2_000_000)
    times = pa.array([1_000_000, 1_000_000]).cast(pa.timestamp("us", tz="UTC"))
    columns = {"asset_id": ["p0", "p1"], "event_time": times, "known_at": times, "rms": [0.1, 0.2], "crest": [3.0, 4.0]}
    online.write(VIEW, pa.table(columns, schema=row_schema(VIEW)))
    plans = Plans(catalog=FixedCatalog(all_views=(VIEW,), all_services=(SERVICE,)))
    return Predictor(champions=champions, features=FeatureHandler(plans=plans, online=online, clock=clock), clock=clock)


def test_no_prediction_imports_what_models_are_trained_with() -> None:
    """Reading, proving, scoring and explaining a model needs neither XGBoost nor pandas."""
    code = (
        "import sys\n"
        "import lineshaft.serving.predict\n"
        "import numpy as np\n"
        "from lineshaft.models.scoring import Scorer\n"
        "scored = Scorer.load(sys.stdin.buffer.read(), features=sys.argv[1:]).score(np.zeros((1, 2), np.float32))\n"
        "print(round(float(scored.scores[0])), [n for n in ('xgboost', 'pandas', 'sklearn') if n in sys.modules])\n"
    )

    done = subprocess.run([sys.executable, "-c", code, *NAMES], input=model(4.0), capture_output=True, check=True)

    assert done.stdout.decode().strip() == "4 []"
