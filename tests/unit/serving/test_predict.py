"""Predict answers by the champion, from the features its version pins, and says how it came to it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from lineshaft.clock import ManualClock
from lineshaft.errors import InputError, NotFoundError, UnavailableError
from lineshaft.models.gate import Gate, Policy
from lineshaft.models.spec import ModelSpec
from lineshaft.ops.model_release import Origin, Release, release
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.models import ModelRegistry, open_registry
from lineshaft.serving.champions import Champions
from lineshaft.serving.predict import Predictor
from lineshaft.serving.prediction_log import PredictionLog
from lineshaft.serving.predictions import Question
from lineshaft.specs import Service, ServiceView, Status
from lineshaft.tiles.answer import Answer
from lineshaft.tiles.keys import Keys
from lineshaft.tiles.sheet import Sheet

SERVICE = Service(
    name="bearing_health", views=(ServiceView(view="vibration", version="abc123", features=("rms", "kurtosis")),)
)
SPEC = ModelSpec(
    name="bearing_failure",
    task="binary",
    service="bearing_health",
    features=("vibration__kurtosis", "vibration__rms"),  # not the answer's order
    rounds=10,
)
BETTER = Gate(name="better", metric="pr_auc", op=">", vs="baseline", margin=0.05, min_groups=5)
POLICY = Policy(name="better", gates=(BETTER,), auto=True)
KEYS = pa.table({"asset_id": ["pump-1", "pump-2", "pump-3"]})
ASK = Question(model="bearing_failure", keys=KEYS)


@dataclass(frozen=True)
class Canned:
    """An answer already known."""

    answer: Answer
    degraded: bool = False


@dataclass
class CannedFeatures:
    """A feature handler with three entities: all present, one input null, none found, unless said otherwise."""

    asked: list[Service] = field(default_factory=list)
    status: list[list[int]] = field(default_factory=lambda: [[1, 1], [2, 1], [3, 3]])

    def answer(self, service: Service, keys: pa.Table | Keys, *, at_us: NDArray[np.int64]) -> Canned:
        """Return the canned answer."""
        self.asked.append(service)
        columns = pa.table({"vibration__rms": [2.0, None, None], "vibration__kurtosis": [3.0, 3.0, None]})
        status = np.array(self.status, dtype=np.int8)
        ages = {"vibration": np.array([5, 6, -1], dtype=np.int64)}
        return Canned(answer=Answer(sheet=Sheet.of(columns), status=status, age_us=ages))

    def answer_at_once(
        self, service: Service, keys: pa.Table | Keys, *, at_us: NDArray[np.int64], budget_s: float
    ) -> Canned | None:
        """Return the canned answer, where there is time."""
        return self.answer(service, keys, at_us=at_us) if budget_s else None


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[ModelRegistry]:
    """Return an empty registry on SQLite."""
    url = f"sqlite:///{tmp_path / 'registry.db'}"
    upgrade(url)
    opened = open_registry(database_url=url, artifacts=tmp_path / "artifacts", clock=ManualClock(time_us=1))
    yield opened
    opened.engine.dispose()


def train_and_release(registry: ModelRegistry, *, seed: int = 7) -> Release:
    """Release a model trained on rows whose label follows rms."""
    generator = np.random.default_rng(seed)
    rms, kurtosis = generator.normal(size=(2, 600))
    table = pa.table(
        {
            "asset_id": np.repeat([f"a{i:02d}" for i in range(30)], 20),
            "event_time": pa.array(np.arange(600)).cast(pa.timestamp("us", tz="UTC")),
            "vibration__rms": rms,
            "vibration__kurtosis": kurtosis,
            "label": (rms > 0.5).astype(np.int8),
        }
    )
    origin = Origin(service=SERVICE, table_versions={"vibration": 9}, actor="ana")
    return release(registry, SPEC, table, origin=origin, policy=POLICY, environment="prod")


def predictor(registry: ModelRegistry, log: PredictionLog | None = None) -> Predictor:
    """Return a predictor over canned features."""
    clock = ManualClock(time_us=90_000_000_000)
    return Predictor(champions=champions(registry), features=CannedFeatures(), clock=clock, sink=log)


def champions(registry: ModelRegistry) -> Champions:
    """Return the champions of production, which follow when they are told to look."""
    return Champions(registry=registry, environment="prod")


def test_a_prediction_names_what_it_rests_on(registry: ModelRegistry) -> None:
    """Version, pinned views, ages and exact contributions come with every score."""
    released = train_and_release(registry)
    assert released.assignment is not None

    found = predictor(registry).predict(ASK)

    assert found.version == "bearing_failure@1"
    assert [(pin.view, pin.version, pin.table_version) for pin in found.pins] == [("vibration", "abc123", 9)]
    assert found.oldest_input_us.tolist() == [5, 6, -1]
    assert found.contributions is not None
    margin = found.base + found.contributions.sum(axis=1)
    np.testing.assert_allclose(found.scores[:2], 1 / (1 + np.exp(-margin[:2])), rtol=1e-6)
    assert found.top(0, count=1)[0][0] == "vibration__rms"
    np.testing.assert_array_equal(found.values[0], [3.0, 2.0])


def test_the_worst_input_is_the_status_of_a_score(registry: ModelRegistry) -> None:
    """A missing input is said; an entity of which nothing is known gets no score."""
    train_and_release(registry)

    found = predictor(registry).predict(ASK)

    assert found.statuses.tolist() == [Status.PRESENT, Status.NULL, Status.NOT_FOUND]
    assert np.isfinite(found.scores).tolist() == [True, True, False]
    assert found.contributions is not None
    assert np.isfinite(found.contributions).all(axis=1).tolist() == [True, True, False]
    assert not np.isfinite(found.contributions[2]).any()
    assert found.top(2) == []


@pytest.mark.parametrize(
    ("required", "scored"),
    [
        ((), [True, True, False]),
        (("vibration__kurtosis",), [True, True, False]),
        (("vibration__rms",), [True, False, False]),
        (("vibration__rms", "vibration__kurtosis"), [True, False, False]),
        (("other__column",), [True, True, False]),
    ],
)
def test_an_entity_without_a_required_input_gets_no_score(
    registry: ModelRegistry, monkeypatch: pytest.MonkeyPatch, required: tuple[str, ...], scored: list[bool]
) -> None:
    """What a service requires of a model's inputs must be present; what it does not, may be missing."""
    monkeypatch.setattr(sys.modules[__name__], "SERVICE", replace(SERVICE, required=required))
    train_and_release(registry)

    found = predictor(registry).predict(ASK)

    assert np.isfinite(found.scores).tolist() == scored
    assert found.statuses.tolist() == [Status.PRESENT, Status.NULL, Status.NOT_FOUND]


def test_a_score_tells_of_constants_and_never_rests_on_them_alone(registry: ModelRegistry) -> None:
    """One beside a measurement is said, beside what is lost that is; nothing but constants is nothing."""
    train_and_release(registry)
    constant, lost = int(Status.IMPUTED), int(Status.CORRUPT)
    features = CannedFeatures(status=[[1, constant], [constant, lost], [constant, constant]])

    found = Predictor(champions=champions(registry), features=features, clock=ManualClock()).predict(ASK)

    assert found.statuses.tolist() == [Status.IMPUTED, Status.CORRUPT, Status.IMPUTED]
    assert np.isfinite(found.scores).tolist() == [True, False, False]


def test_features_are_asked_as_the_model_pins_them(registry: ModelRegistry) -> None:
    """The service is the one stored with the version, not whatever bears its name today."""
    train_and_release(registry)
    features = CannedFeatures()

    Predictor(champions=champions(registry), features=features, clock=ManualClock()).predict(ASK)

    assert features.asked == [SERVICE]


def test_no_champion_no_prediction(registry: ModelRegistry) -> None:
    """A model that was never promoted is not found, and an empty request is refused."""
    with pytest.raises(NotFoundError, match="no champion"):
        predictor(registry).predict(ASK)
    with pytest.raises(InputError, match="no entities"):
        predictor(registry).predict(Question(model="bearing_failure", keys=KEYS.slice(0, 0)))


def test_a_promotion_is_followed(registry: ModelRegistry) -> None:
    """A server answers by the new champion without being restarted."""
    train_and_release(registry)
    serving = predictor(registry)
    assert serving.predict(ASK).number == 1

    train_and_release(registry, seed=8)
    serving.champions.look()

    assert serving.predict(ASK).number == 2


def test_an_altered_champion_does_not_replace_a_good_one(registry: ModelRegistry) -> None:
    """When the new champion's file is corrupt, the old one goes on answering."""
    train_and_release(registry)
    serving = predictor(registry)
    serving.predict(ASK)
    second = train_and_release(registry, seed=8).version
    path = registry.artifacts.root / second.artifact_sha256[:2] / f"{second.artifact_sha256}.ubj"
    path.write_bytes(path.read_bytes() + b" ")
    serving.champions.look()

    assert serving.predict(ASK).number == 1


def test_an_unreachable_registry_does_not_stop_predictions(
    registry: ModelRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The champion loaded last answers on while the database is away."""
    train_and_release(registry)
    serving = predictor(registry)
    serving.predict(ASK)

    def away(_self: ModelRegistry, _environment: str) -> int:
        raise UnavailableError("the registry's database did not answer")

    monkeypatch.setattr(ModelRegistry, "generation", away)

    assert serving.predict(ASK).number == 1


def test_a_prediction_does_not_fail_for_want_of_its_record(registry: ModelRegistry, tmp_path: Path) -> None:
    """When the log cannot be written the score is given all the same."""
    train_and_release(registry)
    (tmp_path / "taken").write_text("a file where the folder should be")
    log = PredictionLog(tmp_path / "taken", batch_rows=1)

    scores = predictor(registry, log).predict(ASK).scores

    assert len(scores) == KEYS.num_rows
    log.behind.close()
    assert log.behind.lost == KEYS.num_rows


def test_every_prediction_is_remembered_once(registry: ModelRegistry, tmp_path: Path) -> None:
    """The log holds inputs, scores and version; the same question asked twice is one row."""
    train_and_release(registry)
    log = PredictionLog(tmp_path / "predictions")
    serving = predictor(registry, log)
    assert log.read("bearing_failure").num_rows == 0

    for _ in range(2):
        serving.predict(ASK)
        log.behind.flush()

    rows = log.read("bearing_failure")
    assert rows["asset_id"].to_pylist() == ["pump-1", "pump-2", "pump-3"]
    assert rows["version"].to_pylist() == ["bearing_failure@1"] * 3
    assert rows["vibration__rms"].to_pylist() == [2.0, None, None]
    assert rows["score"].null_count == 1
    assert [path.name for path in (tmp_path / "predictions" / "model=bearing_failure").iterdir()] == ["date=1970-01-02"]
