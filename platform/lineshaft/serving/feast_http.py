"""The HTTP port: Feast's contract, JSON in, JSON out, the answers of every other; and the Open Inference Protocol's."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from lineshaft.access.guard import Caller
from lineshaft.ops.pushes import Pushes
from lineshaft.ops.row_pushes import RowPushes
from lineshaft.serving.answers import Answers
from lineshaft.serving.calls import told_to
from lineshaft.serving.door import Door
from lineshaft.serving.feast_answers import feast_columns
from lineshaft.serving.feast_json import answer_json, pushed, question
from lineshaft.serving.features import Served
from lineshaft.serving.http_app import HttpApp, Refused, Reply, Request, Routes, plain_words
from lineshaft.serving.http_port import http_port
from lineshaft.serving.inference_http import ROOT, InferenceHttp, error_words
from lineshaft.serving.predicting import Predicting
from lineshaft.serving.server import Handlers, Limits

SETTING = "LINESHAFT_HTTP_ADDRESS"
DEGRADED_HEADER = b"lineshaft-degraded"
"""Header of an answer made of rows known earlier: Feast's JSON has no place for it."""


class FeastHttp:
    """Feast's routes."""

    def __init__(self, *, answers: Answers, pushes: Pushes | None = None, row_pushes: RowPushes | None = None) -> None:
        self._answers = answers
        self._pushes = pushes
        self._row_pushes = row_pushes

    @property
    def routes(self) -> Routes:
        """Return what is answered, by method and path."""
        return {
            "POST /get-online-features": self._features,
            "POST /push": self._push,
            "POST /write-to-online-store": self._write,
            "GET /health": self._health,
        }

    async def _features(self, request: Request) -> Reply:
        asked, entities, full_names = question(request.body)

        def convert(served: Served) -> Reply:
            columns = feast_columns(served, asked, entities, full_names=full_names)
            headers = [(DEGRADED_HEADER, b"true")] if served.degraded else []
            return Reply(content=answer_json(columns), headers=headers)

        return await self._answers.of(asked, entities, convert, limit_s=self._answers.timeout_s, caller=request.caller)

    async def _push(self, request: Request) -> Reply:
        return await self._taken(self._pushes, pushed(request.body, "push_source_name"), request.caller)

    async def _write(self, request: Request) -> Reply:
        return await self._taken(self._row_pushes, pushed(request.body, "feature_view_name"), request.caller)

    async def _taken(
        self, pushes: Pushes | RowPushes | None, given: tuple[str, dict[str, list[Any]]], caller: Caller
    ) -> Reply:
        taken = await self._answers.take(pushes, *given, caller=caller)
        content = {"accepted": taken.accepted, "rejected": dict(taken.rejected), "repeat": taken.repeat}
        return Reply(content=content)

    async def _health(self, _request: Request) -> Reply:
        return Reply(content={"status": "SERVING"})


def words(refused: Refused) -> dict[str, str]:
    """Return a refusal in the words of the contract that its path belongs to."""
    return error_words(refused) if f"{refused.path}/".startswith(f"{ROOT}/") else plain_words(refused)


@contextmanager
def feast_http(
    handlers: Handlers, address: str, *, limits: Limits | None = None, door: Door | None = None
) -> Iterator[str]:
    """Answer Feast's HTTP contract, and the Open Inference Protocol where something predicts; yield the address.

    Its port is filled in; for an empty one there is nothing.

    Raises `InputError` for an address that other machines can reach, unless the door is encrypted and guarded.
    """
    if not address:
        yield ""
        return
    entrance, bounds = door or Door(), limits or Limits()
    entrance.refuse_unguarded(address, setting=SETTING)
    with ThreadPoolExecutor(bounds.threads, thread_name_prefix="http") as pool:
        answers = Answers(
            features=handlers.features, pool=pool, timeout_s=bounds.store_timeout_s, metrics=handlers.metrics
        )
        feast = FeastHttp(answers=answers, pushes=handlers.pushes, row_pushes=handlers.row_pushes)
        routes = dict(feast.routes)
        if handlers.predictor is not None:
            predicting = Predicting(predictor=handlers.predictor, plans=handlers.plans, answers=answers)
            routes |= InferenceHttp(predicting=predicting).routes
        app = HttpApp(routes, limits=bounds, door=entrance, told=told_to(handlers.listeners), words=words)
        if handlers.metrics is not None:
            handlers.metrics.watch_limit("http_calls", lambda: app.running, most=bounds.max_concurrent_calls)
            handlers.metrics.watch_waiting("http", pool)
        with http_port(
            app, address, setting=SETTING, grace_s=bounds.grace_s, shared=bounds.shared_port, tls=entrance.tls
        ) as bound:
            yield bound
