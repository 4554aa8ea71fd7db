"""The handler of Predict: entity keys in; features fetched as GetFeatures fetches them, scored, explained."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lineshaft.clock import Clock
from lineshaft.errors import CorruptError, InputError, LineshaftError
from lineshaft.models.detectors import Detector
from lineshaft.models.loading import load_model
from lineshaft.models.matrix import feature_matrix
from lineshaft.models.spec import service_features
from lineshaft.registry.models import ModelRegistry
from lineshaft.registry.records import ModelVersion, ViewPin
from lineshaft.specs import Service, Status
from lineshaft.tiles.answer import Answer
from lineshaft.tiles.keys import Keys, table_of

if TYPE_CHECKING:
    from lineshaft.models.scoring import Scorer

logger = logging.getLogger(__name__)

POLL_S = 0.5
"""How often, in seconds, a server asks the registry whether a champion changed."""


class Answered(Protocol):
    """What the feature handler returns: the answer, and whether the online store was reached for it."""

    @property
    def answer(self) -> Answer:
        """Return columns, statuses and ages."""
        ...

    @property
    def degraded(self) -> bool:
        """Return whether last known rows stand in for the store's."""
        ...


class FeatureSource(Protocol):
    """The part of the feature handler that predictions need."""

    def answer(self, service: Service, keys: pa.Table | Keys, *, at_us: NDArray[np.int64]) -> Answered:
        """Answer a service, with the view versions it names, for entity keys at a time."""
        ...


class PredictionSink(Protocol):
    """Where predictions are remembered."""

    def append(self, predictions: Predictions) -> None:
        """Remember one response, without waiting and without fail: an alarm comes before its record."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """Scores of n entities in the order asked, and everything needed to explain them later.

    `scores` is NaN where the model refused: no input of the entity was present, or one that its service requires was
    not. `statuses` is PRESENT where every
    input was, otherwise the worst status among the inputs (the model took those as missing). For a probability,
    `contributions` and `base` are log-odds; base + contributions sum to the score before the logistic function.
    """

    model: str
    number: int
    task: str
    service: str
    pins: tuple[ViewPin, ...]
    keys: pa.Table
    at_us: NDArray[np.int64]
    scores: NDArray[np.float64]
    statuses: NDArray[np.int8]
    features: tuple[str, ...]
    values: NDArray[np.float32]  # n x features, NaN where missing
    input_statuses: NDArray[np.int8]  # n x features
    contributions: NDArray[np.float64]  # n x features
    base: NDArray[np.float64]
    ages_us: Mapping[str, NDArray[np.int64]]  # by view, -1 unknown
    degraded: bool = False

    @property
    def version(self) -> str:
        """Return `model@number`."""
        return f"{self.model}@{self.number}"

    @property
    def oldest_input_us(self) -> NDArray[np.int64]:
        """Return the age of each entity's oldest input, -1 where none is known."""
        ages = np.stack([np.asarray(age, dtype=np.int64) for age in self.ages_us.values()])
        oldest: NDArray[np.int64] = ages.max(axis=0)
        return oldest

    def top(self, row: int, *, count: int = 5) -> list[tuple[str, float, float]]:
        """Return the features that moved a score most: (name, value, contribution)."""
        order = np.argsort(-np.abs(self.contributions[row]), kind="stable")[:count]
        return [(self.features[i], float(self.values[row, i]), float(self.contributions[row, i])) for i in order]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A champion in memory, with the service it pins."""

    version: ModelVersion
    service: Service
    scorer: Scorer | Detector
    generation: int
    columns: tuple[int, ...]  # of the answer, in the model's order


@dataclass(slots=True, kw_only=True)
class Predictor:
    """Serves the champions of one environment, and follows a promotion within half a second.

    A registry that does not answer stops changes, not predictions: the champion loaded last goes on.
    """

    registry: ModelRegistry
    features: FeatureSource
    environment: str
    clock: Clock
    sink: PredictionSink | None = None
    _loaded: dict[str, Loaded] = field(default_factory=dict)
    _polled_s: float = -POLL_S
    _generation: int = -1
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def predict(
        self,
        model: str,
        keys: pa.Table | Keys,
        *,
        at_us: NDArray[np.int64] | None = None,
        allows: Callable[[Service], None] | None = None,
    ) -> Predictions:
        """Score entities by the champion, from features as of now (or of `at_us`, one time per entity).

        allows: asked about the service that the champion reads, before it is read; it raises to refuse.

        Raises
        ------
        NotFoundError
            If the model has no champion in this environment.
        CorruptError
            If the registered file was altered.
        """
        if not keys.num_rows:
            raise InputError("no entities asked for", where=model, fix="send at least one key")
        loaded = self.champion(model)
        if allows is not None:
            allows(loaded.service)
        asked_us = np.full(keys.num_rows, self.clock.now_us(), dtype=np.int64) if at_us is None else at_us
        answered = self.features.answer(loaded.service, keys, at_us=asked_us)
        predictions = _score(loaded, table_of(keys), asked_us, answered)
        if self.sink is not None:
            self.sink.append(predictions)
        return predictions

    def champion(self, model: str) -> Loaded:
        """Return the model's champion, loaded anew if the registry says champions changed."""
        with self._lock:
            generation = self._poll()
            held = self._loaded.get(model)
            if held is not None and held.generation == generation:
                return held
            try:
                self._loaded[model] = self._load(model, generation)
            except LineshaftError:
                if held is None:
                    raise
                logger.exception("champion of %s cannot be loaded; %s goes on", model, held.version.ref)
                # Not tried again at every request; the next promotion is.
                self._loaded[model] = replace(held, generation=generation)
            return self._loaded[model]

    def _poll(self) -> int:
        """Return the environment's generation, asked for at most every POLL_S seconds."""
        now = time.monotonic()
        if now - self._polled_s >= POLL_S:
            try:
                self._generation = self.registry.generation(self.environment)
            except LineshaftError as error:
                logger.warning("registry not reached, champions stay as they are: %s", error.what)
            self._polled_s = now
        return self._generation

    def _load(self, model: str, generation: int) -> Loaded:
        """Read the champion from the registry; its hash and its features are checked."""
        version = self.registry.champion(model, self.environment)
        service = Service.from_json(version.service_json)
        place = {name: i for i, name in enumerate(service_features(service))}
        missing = [name for name in version.features if name not in place]
        if missing:
            raise CorruptError(f"{version.ref} reads {missing[0]!r}, which the service it pins does not have")
        return Loaded(
            version=version,
            service=service,
            scorer=load_model(self.registry.load(version), features=version.features),
            generation=generation,
            columns=tuple(place[name] for name in version.features),
        )


def _worst(statuses: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return the worst status of each row's inputs; a constant that was agreed on is better than anything missing."""
    told = np.where(statuses == Status.IMPUTED, np.int8(Status.PRESENT), statuses).max(axis=1)
    replaced = (told == Status.PRESENT) & (statuses == Status.IMPUTED).any(axis=1)
    return np.where(replaced, np.int8(Status.IMPUTED), told).astype(np.int8)


def _score(loaded: Loaded, keys: pa.Table, at_us: NDArray[np.int64], answered: Answered) -> Predictions:
    """Turn an answer into predictions."""
    version, answer = loaded.version, answered.answer
    values = feature_matrix(answer.columns, version.features)
    statuses = np.asarray(answer.status)[:, list(loaded.columns)]
    scored = loaded.scorer.score(values)
    absent = statuses != Status.PRESENT
    needed = [i for i, name in enumerate(version.features) if name in loaded.service.required]
    refused = absent.all(axis=1) | absent[:, needed].any(axis=1)
    return Predictions(
        model=version.model,
        number=version.number,
        task=version.task,
        service=version.service,
        pins=version.pins,
        keys=keys,
        at_us=at_us,
        scores=np.where(refused, np.nan, scored.scores),
        statuses=_worst(statuses),
        features=version.features,
        values=values,
        input_statuses=statuses,
        contributions=scored.contributions,
        base=scored.base,
        ages_us=answer.age_us,
        degraded=answered.degraded,
    )
