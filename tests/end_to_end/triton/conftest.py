"""A server with one model of known answers, for clients of the Open Inference Protocol."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lineshaft.clock import ManualClock
from lineshaft.errors import NotFoundError
from lineshaft.registry.catalog import FixedCatalog
from lineshaft.serving.feast_http import feast_http
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.given import given
from lineshaft.serving.predictions import Predictions, Question
from lineshaft.serving.server import Handlers, background_server
from lineshaft.specs import Feature, Service, ServiceView, Source, Status, View
from lineshaft.tiles.keys import table_of

collect_ignore = ["calls.py"]  # run by Python of an environment of its own, never imported here
VIEW = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"), ("stage", "int64")),
    features=(Feature(name="rms"),),
)
SERVICE = Service(name="health", views=(ServiceView(view="pumps", version=VIEW.version, features=("rms",)),))


class OneModel:
    """Version 3 of `wear` scores an asset by the length of its name and its stage; one without a name is unknown."""

    def ready(self, model: str) -> Any:
        """Return its champion."""
        if model != "wear":
            raise NotFoundError(f"model {model!r} has no champion")
        version = SimpleNamespace(number=3, model=model, ref="wear@3", features=("pumps__rms",))
        return SimpleNamespace(service=SERVICE, version=version, columns=(0,))

    def predict_at_once(self, question: Question, *, allows: Any = None, budget_s: float) -> None:
        """Have it asked on a thread."""

    def predict(self, question: Question, *, allows: Any = None) -> Predictions:
        """Score; of vectors, each row by its one feature."""
        ready = self.ready(question.model)
        if question.vectors is not None:
            values = given(ready, question.vectors).answer.sheet.floats(0)
            return self._told(table_of(question.keys), values, np.isfinite(values))
        keys = table_of(question.keys)
        names, stages = keys["asset_id"].to_pylist(), keys["stage"].to_pylist()
        known = np.array([bool(name) for name in names])
        return self._told(keys, [len(name) + stage / 8 for name, stage in zip(names, stages, strict=True)], known)

    def _told(self, keys: Any, scores: Any, known: Any) -> Predictions:
        """Return scores where something is known."""
        n = len(scores)
        return Predictions(
            model="wear",
            number=3,
            task="regression",
            service="health",
            pins=(),
            entities=keys,
            at_us=np.zeros(n, np.int64),
            scores=np.where(known, scores, np.nan),
            statuses=np.where(known, np.int8(Status.PRESENT), np.int8(Status.NOT_FOUND)),
            features=("pumps__rms",),
            values=np.zeros((n, 1), np.float32),
            input_statuses=np.zeros((n, 1), np.int8),
            ages_us={"pumps": np.zeros(n, np.int64)},
        )


@pytest.fixture(scope="module")
def ports() -> Iterator[tuple[str, str]]:
    """Serve the model over gRPC and HTTP."""
    nothing: Any = None
    plans = Plans(catalog=FixedCatalog(all_views=(VIEW,), all_services=(SERVICE,)))
    handlers = Handlers(
        plans=plans,
        features=FeatureHandler(plans=plans, online=nothing, clock=ManualClock()),
        training=TrainingSetHandler(plans=plans, offline=nothing),
        predictor=OneModel(),
    )
    with background_server(handlers) as bound, feast_http(handlers, "127.0.0.1:0") as http:
        yield bound, http


@pytest.fixture(scope="module")
def address(ports: tuple[str, str]) -> str:
    """Return the address of gRPC."""
    return ports[0]


@pytest.fixture(scope="module")
def http(ports: tuple[str, str]) -> str:
    """Return the address of HTTP."""
    return f"http://{ports[1]}"
