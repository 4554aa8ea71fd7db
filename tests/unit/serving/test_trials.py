"""While an experiment runs: each asset is answered by its arm's version, logged as that, and never worse off for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from lineshaft.clock import ManualClock
from lineshaft.errors import UnavailableError
from lineshaft.models.gate import Gate, Policy
from lineshaft.models.spec import ModelSpec
from lineshaft.ops.model_release import Origin, release
from lineshaft.outcomes.arms import challenged
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.models import ModelRegistry, open_registry
from lineshaft.registry.records import Experiment, Slot
from lineshaft.serving import convert
from lineshaft.serving.champions import Champions
from lineshaft.serving.failures import Failed, Failure
from lineshaft.serving.predict import Predictor
from lineshaft.serving.prediction_log import PredictionLog
from lineshaft.serving.predictions import Question
from lineshaft.specs import Service, ServiceView
from lineshaft.tiles.answer import Answer
from lineshaft.tiles.keys import Keys
from lineshaft.tiles.sheet import Sheet

SERVICE = Service(name="health", views=(ServiceView(view="v", version="abc", features=("rms", "crest")),))
SPEC = ModelSpec(name="wear", task="binary", service="health", features=("v__rms", "v__crest"), rounds=10)
BETTER = Gate(name="better", metric="pr_auc", op=">", vs="baseline", margin=0.05, min_groups=5)
ASSETS = [f"pump-{n}" for n in range(40)]
ASK = Question(model="wear", keys=pa.table({"asset_id": ASSETS}))
TRIAL = Experiment(
    model="wear",
    environment="prod",
    champion=1,
    challenger=2,
    unit="asset",
    salt="spring",
    weight_bp=5_000,
    metric="brier",
    effect=0.02,
    alpha=0.05,
    min_assets=2,
    started_us=0,
)
THEIRS = challenged(ASSETS, salt="spring", weight_bp=5_000)


@dataclass(frozen=True)
class Found:
    """An answer."""

    answer: Answer
    degraded: bool = False


@dataclass
class Features:
    """A feature handler that knows everything, until it is told to fail at its second question."""

    asked: list[int] = field(default_factory=list)
    fails_second: bool = False

    def answer(self, service: Service, keys: pa.Table | Keys, *, at_us: NDArray[np.int64]) -> Found:
        """Return what is known."""
        self.asked.append(keys.num_rows)
        if self.fails_second and len(self.asked) > 1:
            raise UnavailableError("the store is away", fix="wait")
        n = keys.num_rows
        columns = pa.table({"v__rms": np.linspace(-1, 1, n), "v__crest": np.zeros(n)})
        ages = {"v": np.zeros(n, dtype=np.int64)}
        return Found(Answer(sheet=Sheet.of(columns), status=np.ones((n, 2), dtype=np.int8), age_us=ages))

    def answer_at_once(
        self, service: Service, keys: pa.Table | Keys, *, at_us: NDArray[np.int64], budget_s: float
    ) -> Found | None:
        """Return what is known."""
        return self.answer(service, keys, at_us=at_us)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[ModelRegistry]:
    """Return a registry with a champion, a challenger and a shadow."""
    url = f"sqlite:///{tmp_path / 'registry.db'}"
    upgrade(url)
    opened = open_registry(database_url=url, artifacts=tmp_path / "artifacts", clock=ManualClock(time_us=1))
    policy = Policy(name="better", gates=(BETTER,), auto=True)
    origin = Origin(service=SERVICE, table_versions={"v": 9}, actor="ana")
    for seed in range(3):
        rms, crest = np.random.default_rng(seed).normal(size=(2, 600))
        rows = {"asset_id": np.repeat([f"a{i}" for i in range(30)], 20), "label": (rms > 0.5).astype(np.int8)}
        times = pa.array(np.arange(600)).cast(pa.timestamp("us", tz="UTC"))
        table = pa.table({**rows, "event_time": times, "v__rms": rms, "v__crest": crest})
        release(opened, SPEC, table, origin=origin, policy=policy, environment="prod")
    for number, slot in ((1, Slot.CHAMPION), (2, Slot.CHALLENGER), (3, Slot.SHADOW)):
        opened.promote("wear", number, environment="prod", actor="ben", reason="try", slot=slot)
    yield opened
    opened.engine.dispose()


def predictor(registry: ModelRegistry, log: PredictionLog | None = None, features: Features | None = None) -> Predictor:
    """Return a predictor that follows the registry when it is told to look."""
    champions = Champions(registry=registry, environment="prod")
    clock = ManualClock(time_us=7_000_000)
    return Predictor(champions=champions, features=features or Features(), clock=clock, sink=log)


def test_each_asset_is_answered_by_its_arm(registry: ModelRegistry, tmp_path: Path) -> None:
    """Sticky, by the hash alone; each row is logged once for who answered it, and once for the shadow."""
    registry.experiments.start(TRIAL, actor="ben", reason="compare")
    log = PredictionLog(tmp_path / "log")
    asking = predictor(registry, log)

    first, again = asking.predict(ASK), asking.predict(ASK)
    asking.shadows.close()
    log.behind.flush()

    (part,) = first.parts
    np.testing.assert_array_equal(part.rows, THEIRS)
    np.testing.assert_array_equal(first.scores[THEIRS], part.predictions.scores)
    assert [by.version == "wear@2" for by, _ in first.by_row()] == THEIRS.tolist()
    np.testing.assert_array_equal(first.scores, again.scores)
    rows = log.read("wear").select(["asset_id", "version", "role"]).to_pylist()
    told = {(row["asset_id"], row["version"], row["role"]) for row in rows}
    assert told == {
        *((asset, "wear@2", "challenger") for asset, is_theirs in zip(ASSETS, THEIRS, strict=True) if is_theirs),
        *((asset, "wear@1", "champion") for asset, is_theirs in zip(ASSETS, THEIRS, strict=True) if not is_theirs),
        *((asset, "wear@3", "shadow") for asset in ASSETS),
    }
    assert len(rows) == len(told)


def test_a_response_names_the_version_of_each_row(registry: ModelRegistry) -> None:
    """The champion is the response's; a row of the challenger says so, with its own contributions."""
    registry.experiments.start(TRIAL, actor="ben", reason="compare")
    found = predictor(registry).predict(ASK)

    reply = convert.predictions_to(found, most=1)

    assert reply.model_version == "wear@1"
    assert [row.model_version for row in reply.predictions] == ["wear@2" if one else "" for one in THEIRS]
    assert [row.score for row in reply.predictions] == found.scores.tolist()


def test_without_an_experiment_the_champion_answers_all(registry: ModelRegistry) -> None:
    """A challenger in its slot is not asked; after the end of an experiment neither, once servers look."""
    asking = predictor(registry)
    before = asking.predict(ASK)
    registry.experiments.start(TRIAL, actor="ben", reason="compare")
    asking.champions.look()
    during = asking.predict(ASK)
    registry.experiments.end("wear", "prod", verdict="undecided", detail="", actor="ben", reason="enough")
    asking.champions.look()

    assert before.parts == asking.predict(ASK).parts == ()
    assert during.parts


def test_a_challenger_that_fails_leaves_the_champions_answer(registry: ModelRegistry, tmp_path: Path) -> None:
    """Its features cannot be had: all rows have the champion's score and are logged as its; the failure is counted."""
    registry.experiments.start(TRIAL, actor="ben", reason="compare")
    log = PredictionLog(tmp_path / "log")
    asking = predictor(registry, log, Features(fails_second=True))

    found = asking.predict(ASK)
    asking.shadows.close()
    log.behind.flush()

    assert found.parts == ()
    assert np.isfinite(found.scores).all()
    assert set(log.read("wear")["role"].to_pylist()) == {"champion"}
    assert asking.failures.counts() == {
        Failure(version="wear@2", slot=Slot.CHALLENGER, kind=Failed.INPUTS): 1,
        Failure(version="wear@3", slot=Slot.SHADOW, kind=Failed.INPUTS): 1,
    }


def test_what_has_to_be_routed_is_not_answered_at_once(registry: ModelRegistry) -> None:
    """A question with assets of both arms goes to a thread; one with the champion's alone does not have to."""
    registry.experiments.start(TRIAL, actor="ben", reason="compare")
    asking = predictor(registry)
    asking.champions.look()
    own = pa.table({"asset_id": [asset for asset, one in zip(ASSETS, THEIRS, strict=True) if not one]})

    assert asking.predict_at_once(replace(ASK, why=False), budget_s=1.0) is None
    assert asking.predict_at_once(replace(ASK, keys=own, why=False), budget_s=1.0) is not None


def test_an_experiment_of_another_challenger_routes_nothing(registry: ModelRegistry) -> None:
    """Who took the slot since is not the one that was to be compared."""
    registry.experiments.start(TRIAL, actor="ben", reason="compare")
    registry.promote("wear", 3, environment="prod", actor="ben", reason="newer", slot=Slot.CHALLENGER)

    assert predictor(registry).predict(ASK).parts == ()
