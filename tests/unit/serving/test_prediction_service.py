"""`PredictionService` over a real socket, in front of a predictor with known answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lineshaft.clock import ManualClock
from lineshaft.errors import NotFoundError
from lineshaft.registry.records import ViewPin
from lineshaft.rpc.v1 import types_pb2
from lineshaft.serving.client import Client
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.predictions import Predictions, Question
from lineshaft.serving.server import Handlers, background_server
from lineshaft.specs import Status
from lineshaft.tiles.keys import table_of


class KnownPredictor:
    """Answers two entities of one model: the second lacks an input. A load that is given comes back as the score."""

    def ready(self, model: str) -> Any:
        """Be asked by other contracts only."""
        raise NotImplementedError

    def predict_at_once(self, question: Question, *, allows: Any = None, budget_s: float) -> None:
        """Have it asked on a thread."""

    def predict(self, question: Question, *, allows: Any = None) -> Predictions:
        """Return what the test expects."""
        model, keys, at_us = question.model, question.keys, question.at_us
        if model != "bearing_failure":
            raise NotFoundError(f"model {model!r} has no champion here", fix="promote a version")
        n, given = keys.num_rows, table_of(keys)
        load = given["load"].to_pylist() if "load" in given.column_names else [0.75, None]
        return Predictions(
            model=model,
            number=3,
            task="failure",
            service="health",
            pins=(ViewPin(view="pumps", version="abcdef012345", table_version=7),),
            entities=given,
            at_us=np.full(n, 99, np.int64) if at_us is None else at_us,
            scores=np.array(load, np.float64),
            statuses=np.array([Status.PRESENT, Status.STALE], np.int8),
            features=("pumps__rms", "pumps__kurtosis", "pumps__crest"),
            values=np.array([[1.0, 2.0, 3.0], [1.0, np.nan, 3.0]], np.float32),
            input_statuses=np.ones((n, 3), np.int8),
            contributions=np.array([[0.1, -0.9, 0.5], [0.0, 0.2, -0.1]]),
            base=-1.0,
            half_width=12.5,
            ages_us={"pumps": np.array([5, -1], np.int64)},
        )


@pytest.fixture
def client() -> Any:
    """Serve the known predictor and connect to it."""
    nothing: Any = None
    plans = Plans(catalog=nothing)
    handlers = Handlers(
        plans=plans,
        features=FeatureHandler(plans=plans, online=nothing, clock=ManualClock()),
        training=TrainingSetHandler(plans=plans, offline=nothing),
        predictor=KnownPredictor(),
    )
    with background_server(handlers) as address, Client(address) as connected:
        yield connected


def test_a_prediction_carries_its_reasons_and_pins(client: Client) -> None:
    """Score, status, base, the strongest contributions, model version, view versions and ages arrive."""
    reply = client.predict("bearing_failure", asset_id=["a", "b"], contributions=2)

    first, second = reply.predictions
    assert (reply.model, reply.model_version, reply.served_at_us) == ("bearing_failure", "bearing_failure@3", 99)
    assert (first.score, first.base, first.status) == (0.75, -1.0, types_pb2.VALUE_STATUS_PRESENT)
    assert [(c.feature, c.value, c.contribution) for c in first.contributions] == [
        ("pumps__kurtosis", 2.0, -0.9),
        ("pumps__crest", 3.0, 0.5),
    ]
    assert second.status == types_pb2.VALUE_STATUS_STALE
    assert np.isnan(second.score)
    assert np.isnan(second.base)
    assert not second.contributions  # nothing moved a score that there is not
    assert reply.views[0].version == "abcdef012345"
    assert np.frombuffer(reply.views[0].ages_us, "<i8").tolist() == [5, -1]


def test_all_or_no_contributions_may_be_asked_for(client: Client) -> None:
    """-1 gives every feature's, 0 none."""
    whole = client.predict("bearing_failure", asset_id=["a", "b"], contributions=-1, at_us=7)
    bare = client.predict("bearing_failure", asset_id=["a", "b"], contributions=0)

    assert [len(p.contributions) for p in whole.predictions] == [3, 0]
    assert [len(p.contributions) for p in bare.predictions] == [0, 0]
    assert whole.served_at_us == 7


def test_request_data_reaches_the_predictor(client: Client) -> None:
    """Numbers beside the keys, a null as a null."""
    reply = client.predict("bearing_failure", asset_id=["a", "b"], load=[0.5, None])

    first, second = reply.predictions
    assert first.score == 0.5
    assert np.isnan(second.score)


def test_a_model_without_a_champion_is_not_found(client: Client) -> None:
    """The predictor's refusal reaches the caller with its remedy."""
    with pytest.raises(NotFoundError) as caught:
        client.predict("nothing", asset_id=["a"])

    assert caught.value.fix == "promote a version"
