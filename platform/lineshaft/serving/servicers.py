"""The services of `proto/`: convert, call, convert.

Work that may have to wait runs on threads, so that no call waits behind another's store.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

import numpy as np

from lineshaft.access.guard import Caller
from lineshaft.errors import InputError, LineshaftError, UnauthenticatedError
from lineshaft.ops.training_set import Chunk
from lineshaft.rpc.v1 import features_pb2, features_pb2_grpc, predictions_pb2_grpc
from lineshaft.serving import calls, convert, together, written
from lineshaft.serving.answers import Answers, budget_s, on
from lineshaft.serving.features import Plan, Plans, TrainingSetHandler, page
from lineshaft.serving.outside_arrow import entity_rows_from
from lineshaft.serving.predicting import Predicting
from lineshaft.serving.predictions import Question
from lineshaft.serving.watching import Pace, Watching

_AT_A_STRETCH = 4
"""Questions of one message that are answered before other calls have a turn."""
_MESSAGE_BYTES = 4 << 20
"""About the size of one streamed message: large enough to fill the wire, small enough for any client's limit."""


class FeatureServicer(features_pb2_grpc.FeatureServiceServicer):
    """`lineshaft.rpc.v1.FeatureService`."""

    def __init__(
        self,
        *,
        plans: Plans,
        answers: Answers,
        watching: Watching,
        training: TrainingSetHandler,
        caller: Callable[[], Caller],
    ) -> None:
        self._caller = caller
        self._watching = watching
        self._plans = plans
        self._answers = answers
        self._training = training

    async def GetFeatures(self, request: Any, context: Any) -> Any:  # noqa: N802 - named by the proto
        """Return the newest feature values of many entities."""
        limit_s = budget_s(self._answers.timeout_s, context.time_remaining())
        return await self._features_of(request, limit_s, self._caller())

    async def StreamFeatures(self, requests: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Answer question after question; a refused one is answered by its refusal, a lost identity ends the stream."""
        caller = self._caller()
        async for message in requests:
            first, others = await self._answer_to(message, caller), []
            for place, asked in enumerate(message.also, start=1):
                unfit = place >= together.MOST or asked.also
                others.append(await self._answer_to(asked, caller, unfit=bool(unfit)))
                if place % _AT_A_STRETCH == 0:
                    await asyncio.sleep(0)  # other calls have their turn
            yield written.with_others(first, others)

    async def _answer_to(self, asked: Any, caller: Caller, *, unfit: bool = False) -> bytes:
        """Return the answer to one question of a stream, or its refusal; a lost identity is raised."""
        most_s = self._answers.timeout_s
        limit_s = min(most_s, asked.budget_us / 1e6) if asked.budget_us > 0 else most_s
        try:
            caller = caller.again()
            if unfit:
                what = f"more than {together.MOST} questions in one message, or questions within them"
                raise InputError(what, fix="send the rest in another message")
            answer = await self._features_of(asked.request, limit_s, caller)
        except UnauthenticatedError:
            raise
        except LineshaftError as error:
            self._answers.refused(error)
            refusal = features_pb2.Refusal(code=error.code, what=error.what, where=error.where, fix=error.fix)
            raw: bytes = features_pb2.StreamFeaturesResponse(number=asked.number, refusal=refusal).SerializeToString()
            return raw
        return written.on_stream(asked.number, answer)

    async def WatchFeatures(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Answer once, then after each change; a message without an answer is a sign of life."""
        asked, given = request.request, {}
        if asked.at_us:
            raise InputError("a watch of a moment that is past", fix="leave at_us out: watches are about the present")
        if request.min_interval_us:
            given["least_s"] = request.min_interval_us / 1e6
        if request.heartbeat_us:
            given["silence_s"] = request.heartbeat_us / 1e6
        answers = self._watching.of(
            asked.feature_service,
            convert.entities_from(asked.entities, asked.request_data),
            lambda served: written.features(served, asked.encoding),
            pace=Pace(**given),
            caller=self._caller(),
        )
        async for answer in answers:
            yield b"" if answer is None else written.on_watch(answer)

    async def _features_of(self, request: Any, limit_s: float, caller: Caller) -> bytes:
        entities = convert.entities_from(request.entities, request.request_data)
        return await self._answers.of(
            request.feature_service,
            entities,
            lambda served: written.features(served, request.encoding),
            limit_s=limit_s,
            at_us=request.at_us or None,
            caller=caller,
        )

    async def GetTrainingSet(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Stream a training set, in the order of the entity rows."""
        entities = await on(self._answers.pool, lambda: entity_rows_from(request.entities))
        chunks = self._training.get(
            request.feature_service,
            entities,
            table_versions=dict(request.table_versions),
            caller=self._caller(),
        )
        replies = _training_replies(chunks)
        try:
            while (reply := await on(self._answers.pool, lambda: next(replies, None))) is not None:
                yield reply
        finally:
            await on(self._answers.pool, replies.close)

    async def ListFeatureServices(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Return one page of the feature services that the caller may read."""
        if request.page_size < 0:
            raise InputError(f"page_size is {request.page_size}", fix="give 0 or more")
        caller = self._caller()
        readable = [plan for plan in await on(self._answers.pool, self._plans.all) if caller.may_read(plan.service)]
        plans, token = page(readable, size=request.page_size, token=request.page_token)
        summaries = [convert.summary_to(plan) for plan in plans]
        return features_pb2.ListFeatureServicesResponse(feature_services=summaries, next_page_token=token)


class PredictionServicer(predictions_pb2_grpc.PredictionServiceServicer):
    """`lineshaft.rpc.v1.PredictionService`."""

    def __init__(self, *, predicting: Predicting, caller: Callable[[], Caller]) -> None:
        self._predicting, self._caller = predicting, caller

    async def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802 - named by the proto
        """Return one prediction for each entity, to those who may read the service that the model reads."""
        limit_s = budget_s(self._predicting.answers.timeout_s, context.time_remaining())
        most = request.contributions
        entities = convert.entities_from(request.entities, request.request_data)
        at_us = np.full(entities.num_rows, request.at_us, np.int64) if request.at_us else None
        question = Question(model=request.model, keys=entities, at_us=at_us, why=most != 0)
        return await self._predicting.of(
            question,
            lambda told: convert.predictions_to(told, most=most),
            limit_s=limit_s,
            caller=self._caller(),
        )


def _training_replies(chunks: Iterator[tuple[Plan, Chunk]]) -> Generator[features_pb2.GetTrainingSetResponse]:
    for plan, chunk in chunks:
        calls.current().feature_service = plan.service.name
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
