"""The services of `proto/`: convert, call, convert.

Work that may have to wait runs on threads, so that no call waits behind another's store.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import Executor
from typing import Any, Protocol, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lineshaft.errors import InputError, LineshaftError, UnavailableError
from lineshaft.ops.training_set import Chunk
from lineshaft.rpc.v1 import features_pb2, features_pb2_grpc, predictions_pb2, predictions_pb2_grpc
from lineshaft.serving import convert
from lineshaft.serving.features import FeatureHandler, Plan, Plans, Served, TrainingSetHandler, page
from lineshaft.serving.metrics import Metrics
from lineshaft.serving.predict import Predictions

T = TypeVar("T")

_MESSAGE_BYTES = 4 << 20
"""About the size of one streamed message: large enough to fill the wire, small enough for any client's limit."""
_RESERVE_S = 0.002
"""Kept back of a caller's deadline for converting and sending the answer."""


class Predicts(Protocol):
    """Whoever predicts: `lineshaft.serving.predict.Predictor`."""

    def predict(self, model: str, keys: pa.Table, *, at_us: NDArray[np.int64] | None = None) -> Predictions:
        """Return the champion's predictions for entities, as of now or of one time for each."""
        ...


class FeatureServicer(features_pb2_grpc.FeatureServiceServicer):
    """`lineshaft.rpc.v1.FeatureService`."""

    def __init__(
        self,
        *,
        plans: Plans,
        features: FeatureHandler,
        training: TrainingSetHandler,
        timeout_s: float,
        pool: Executor,
        metrics: Metrics | None = None,
    ) -> None:
        self._metrics = metrics
        self._plans = plans
        self._features = features
        self._training = training
        self._timeout_s = timeout_s
        self._pool = pool

    async def GetFeatures(self, request: Any, context: Any) -> Any:  # noqa: N802 - named by the proto
        """Return the newest feature values of many entities."""
        return await self._features_of(request, budget_s(self._timeout_s, context.time_remaining()))

    async def StreamFeatures(self, requests: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Answer question after question; a refused one is answered by its refusal."""
        async for asked in requests:
            limit_s = min(self._timeout_s, asked.budget_us / 1e6) if asked.budget_us > 0 else self._timeout_s
            try:
                answer = await self._features_of(asked.request, limit_s)
            except LineshaftError as error:
                refusal = features_pb2.Refusal(code=error.code, what=error.what, where=error.where, fix=error.fix)
                yield features_pb2.StreamFeaturesResponse(number=asked.number, refusal=refusal)
            else:
                yield features_pb2.StreamFeaturesResponse(number=asked.number, response=answer)

    async def _features_of(self, request: Any, limit_s: float) -> features_pb2.GetFeaturesResponse:
        entities, at_us = convert.entities_from(request.entities), request.at_us or None
        at_once = self._features.get_at_once(request.feature_service, entities, at_us=at_us, budget_s=limit_s)
        if at_once is not None:  # the usual case: a thread's turn costs more than the answer
            return self._answered(at_once, request.encoding)

        def work() -> features_pb2.GetFeaturesResponse:
            served = self._features.get(request.feature_service, entities, at_us=at_us, budget_s=limit_s)
            return self._answered(served, request.encoding)

        return await _on(self._pool, work)

    def _answered(self, served: Served, encoding: int) -> features_pb2.GetFeaturesResponse:
        if self._metrics is not None:
            self._metrics.served(served)
        return convert.features_to(served, encoding=encoding)

    async def GetTrainingSet(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Stream a training set, in the order of the entity rows."""
        chunks = self._training.get(
            request.feature_service,
            convert.arrow_from(request.entities),
            table_versions=dict(request.table_versions),
        )
        replies = _training_replies(chunks)
        try:
            while (reply := await _on(self._pool, lambda: next(replies, None))) is not None:
                yield reply
        finally:
            await _on(self._pool, replies.close)

    async def ListFeatureServices(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Return one page of feature services."""
        if request.page_size < 0:
            raise InputError(f"page_size is {request.page_size}", fix="give 0 or more")
        plans, token = page(await _on(self._pool, self._plans.all), size=request.page_size, token=request.page_token)
        summaries = [convert.summary_to(plan) for plan in plans]
        return features_pb2.ListFeatureServicesResponse(feature_services=summaries, next_page_token=token)


class PredictionServicer(predictions_pb2_grpc.PredictionServiceServicer):
    """`lineshaft.rpc.v1.PredictionService`."""

    def __init__(self, *, predictor: Predicts, timeout_s: float, pool: Executor) -> None:
        self._predictor = predictor
        self._timeout_s = timeout_s
        self._pool = pool

    async def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802 - named by the proto
        """Return one prediction for each entity."""
        budget_s(self._timeout_s, context.time_remaining())

        def work() -> predictions_pb2.PredictResponse:
            entities = convert.entities_from(request.entities).table
            at_us = np.full(entities.num_rows, request.at_us, np.int64) if request.at_us else None
            predictions = self._predictor.predict(request.model, entities, at_us=at_us)
            return convert.predictions_to(predictions, most=request.contributions)

        return await _on(self._pool, work)


def budget_s(timeout_s: float, remaining_s: float | None) -> float:
    """Return what the online store may take: its own limit, or what the caller's deadline leaves.

    Raises `UnavailableError` when nothing is left.
    """
    if remaining_s is None:
        return timeout_s
    left = min(timeout_s, remaining_s - _RESERVE_S)
    if left <= 0:
        raise UnavailableError("the caller's deadline has passed", fix="allow more time, or ask for fewer entities")
    return left


def _training_replies(chunks: Iterator[tuple[Plan, Chunk]]) -> Generator[features_pb2.GetTrainingSetResponse]:
    for plan, chunk in chunks:
        table = convert.withheld(chunk.table())
        step = max(1, table.num_rows * _MESSAGE_BYTES // max(table.nbytes, 1))
        for at in range(0, table.num_rows, step):
            stop = at + step
            yield features_pb2.GetTrainingSetResponse(
                batch=convert.arrow_to(table.slice(at, step)),
                columns=chunk.answer.sheet.names,
                statuses=convert.statuses_to(chunk.answer.sheet.names, chunk.answer.status[at:stop]),
                views=convert.views_to(
                    convert.versions_of(plan), {name: age[at:stop] for name, age in chunk.answer.age_us.items()}
                ),
            )


async def _on(pool: Executor, work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(pool, work)
