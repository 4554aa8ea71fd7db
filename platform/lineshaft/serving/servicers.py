"""The services of `proto/`: convert, call, convert.

Work that may have to wait runs on threads, so that no call waits behind another's store.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator
from concurrent.futures import Executor
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lineshaft.errors import InputError, LineshaftError
from lineshaft.ops.training_set import Chunk
from lineshaft.rpc.v1 import features_pb2, features_pb2_grpc, predictions_pb2, predictions_pb2_grpc
from lineshaft.serving import convert, request_ids
from lineshaft.serving.answers import Answers, budget_s, on
from lineshaft.serving.features import Plan, Plans, TrainingSetHandler, page
from lineshaft.serving.predict import Predictions

_MESSAGE_BYTES = 4 << 20
"""About the size of one streamed message: large enough to fill the wire, small enough for any client's limit."""


class Predicts(Protocol):
    """Whoever predicts: `lineshaft.serving.predict.Predictor`."""

    def predict(self, model: str, keys: pa.Table, *, at_us: NDArray[np.int64] | None = None) -> Predictions:
        """Return the champion's predictions for entities, as of now or of one time for each."""
        ...


class FeatureServicer(features_pb2_grpc.FeatureServiceServicer):
    """`lineshaft.rpc.v1.FeatureService`."""

    def __init__(self, *, plans: Plans, answers: Answers, training: TrainingSetHandler) -> None:
        self._plans = plans
        self._answers = answers
        self._training = training

    async def GetFeatures(self, request: Any, context: Any) -> Any:  # noqa: N802 - named by the proto
        """Return the newest feature values of many entities."""
        request_ids.begin(context.invocation_metadata())
        return await self._features_of(request, budget_s(self._answers.timeout_s, context.time_remaining()))

    async def StreamFeatures(self, requests: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Answer question after question; a refused one is answered by its refusal."""
        request_ids.begin(context.invocation_metadata())
        async for asked in requests:
            most_s = self._answers.timeout_s
            limit_s = min(most_s, asked.budget_us / 1e6) if asked.budget_us > 0 else most_s
            try:
                answer = await self._features_of(asked.request, limit_s)
            except LineshaftError as error:
                refusal = features_pb2.Refusal(code=error.code, what=error.what, where=error.where, fix=error.fix)
                yield features_pb2.StreamFeaturesResponse(number=asked.number, refusal=refusal)
            else:
                yield features_pb2.StreamFeaturesResponse(number=asked.number, response=answer)

    async def _features_of(self, request: Any, limit_s: float) -> features_pb2.GetFeaturesResponse:
        entities, at_us = convert.entities_from(request.entities), request.at_us or None
        return await self._answers.of(
            request.feature_service,
            entities,
            lambda served: convert.features_to(served, encoding=request.encoding),
            limit_s=limit_s,
            at_us=at_us,
        )

    async def GetTrainingSet(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Stream a training set, in the order of the entity rows."""
        chunks = self._training.get(
            request.feature_service,
            convert.arrow_from(request.entities),
            table_versions=dict(request.table_versions),
        )
        replies = _training_replies(chunks)
        try:
            while (reply := await on(self._answers.pool, lambda: next(replies, None))) is not None:
                yield reply
        finally:
            await on(self._answers.pool, replies.close)

    async def ListFeatureServices(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Return one page of feature services."""
        if request.page_size < 0:
            raise InputError(f"page_size is {request.page_size}", fix="give 0 or more")
        every = await on(self._answers.pool, self._plans.all)
        plans, token = page(every, size=request.page_size, token=request.page_token)
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
        request_ids.begin(context.invocation_metadata())
        budget_s(self._timeout_s, context.time_remaining())

        def work() -> predictions_pb2.PredictResponse:
            entities = convert.entities_from(request.entities).table
            at_us = np.full(entities.num_rows, request.at_us, np.int64) if request.at_us else None
            predictions = self._predictor.predict(request.model, entities, at_us=at_us)
            return convert.predictions_to(predictions, most=request.contributions)

        return await on(self._pool, work)


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
