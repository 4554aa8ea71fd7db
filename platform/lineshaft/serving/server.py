"""The gRPC server: one port, one event loop, explicit limits."""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from lineshaft.access.guard import Caller
from lineshaft.errors import EnvironmentFault, LineshaftError
from lineshaft.ops.pushes import Pushes
from lineshaft.ops.row_pushes import RowPushes
from lineshaft.rpc.v1 import features_pb2, features_pb2_grpc, predictions_pb2, predictions_pb2_grpc
from lineshaft.serving.answers import Answers
from lineshaft.serving.calls import Told, told_to
from lineshaft.serving.change_board import ChangeBoard
from lineshaft.serving.crew import READY
from lineshaft.serving.door import Door
from lineshaft.serving.feast_servicer import FeastServicer, services_of
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.inference_servicer import InferenceServicer, inference_service
from lineshaft.serving.interceptors import EdgeInterceptor
from lineshaft.serving.memory import Slack, share_heaps
from lineshaft.serving.predicting import Predicting, Predicts
from lineshaft.serving.servicers import FeatureServicer, PredictionServicer
from lineshaft.serving.watching import Watching

if TYPE_CHECKING:
    from lineshaft.serving.metrics import Metrics

_LOG = logging.getLogger(__name__)

_ANSWER_S, _ATTEND_S = 0.002, 0.04
"""Well within the time that rows held in memory count as fresh without a sign of life of their server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handlers:
    """What the server answers with. Without a predictor there is no `PredictionService`; without pushes none is taken.

    `start` is called on a thread before the server listens: what takes long must not happen in a first call.
    `upkeep` is called now and then on a thread, and once more after the last call was answered, `close` then alone:
    what is only held in memory is written. Who is in `told` is told of each call that ended, besides the metrics.
    """

    plans: Plans
    features: FeatureHandler
    training: TrainingSetHandler
    predictor: Predicts | None = None
    start: Callable[[], None] | None = None
    upkeep: Callable[[], None] | None = None
    close: Callable[[], None] | None = None
    metrics: Metrics | None = None
    pushes: Pushes | None = None
    row_pushes: RowPushes | None = None
    told: tuple[Told, ...] = ()

    @property
    def listeners(self) -> tuple[Told, ...]:
        """Return who is told of each call that ended."""
        return self.told if self.metrics is None else (*self.told, self.metrics.called)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one server takes on. What is beyond is refused at once: that costs far less than an answer nobody waits for.

    Beyond `max_concurrent_calls`, and of these `max_streams` streams, with RESOURCE_EXHAUSTED. Of calls that have come
    and were not looked at yet there are `max_waiting_calls` at most; from two thirds of that on gRPC cancels some, in
    its own threads.
    `shared_port` lets other processes listen on the same port; without a crew a second server there is a mistake.
    """

    store_timeout_s: float = 0.025
    max_message_bytes: int = 64 << 20
    max_concurrent_calls: int = 32
    max_streams: int = 16
    max_waiting_calls: int = 48
    threads: int = 16
    grace_s: float = 10.0
    upkeep_s: float = 10.0
    shared_port: bool = False


class Server:
    """A server in the running event loop."""

    def __init__(self, handlers: Handlers, *, limits: Limits | None = None, door: Door | None = None) -> None:
        self._limits = limits or Limits()
        self._door = door or Door()
        self._pool = ThreadPoolExecutor(self._limits.threads, thread_name_prefix="serving")
        self._health = health.aio.HealthServicer()
        edge = EdgeInterceptor(told_to(handlers.listeners), self._door.guard, most_streams=self._limits.max_streams)
        self._server = grpc.aio.server(
            interceptors=[edge],
            options=_options(self._limits),
            maximum_concurrent_rpcs=self._limits.max_concurrent_calls,
        )
        answers = Answers(
            features=handlers.features,
            pool=self._pool,
            timeout_s=self._limits.store_timeout_s,
            metrics=handlers.metrics,
        )
        self._board = ChangeBoard(handlers.features.online, self._pool)
        watching = Watching(answers=answers, board=self._board)
        self._names = add_services(
            self._server, handlers, answers=answers, watching=watching, caller=self._door.caller, alive=self._health
        )
        if handlers.metrics is not None:
            handlers.metrics.watch_limit("calls", lambda: edge.calls.now, most=self._limits.max_concurrent_calls)
            handlers.metrics.watch_limit("streams", lambda: edge.streams.now, most=self._limits.max_streams)
            handlers.metrics.watch_waiting("grpc", self._pool)
            handlers.metrics.watch_watches(self._board)
        self._begin, self._upkeep, self._close = handlers.start, handlers.upkeep, handlers.close
        self._attend = handlers.features.attend
        self._slack = Slack()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, address: str) -> str:
        """Listen on `host:port` or `unix:path` and return the address, its port filled in where it was 0.

        Raises `InputError` for an address that other machines could reach, unless the door is encrypted and guarded.
        """
        self._door.refuse_unguarded(address)
        if self._begin is not None:
            await asyncio.to_thread(self._begin)
        try:
            port = self._listen(address)
        except RuntimeError as error:
            what = f"cannot listen on {address}"
            raise EnvironmentFault(what, fix="stop what listens there, or set LINESHAFT_GRPC_ADDRESS") from error
        await self._server.start()
        for name in ("", *self._names):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        self._tasks = [asyncio.create_task(work()) for work in (self._keep, self._keep_ready)]
        return address if address.startswith("unix:") else f"{address.rpartition(':')[0]}:{port}"

    async def stop(self) -> None:
        """Say NOT_SERVING, take no more calls, finish those in flight within the grace, write what is held.

        Watches would never finish: they are told to go elsewhere.
        """
        await self._health.enter_graceful_shutdown()
        await self._board.stop()
        await self._server.stop(self._limits.grace_s)
        self._pool.shutdown(wait=False, cancel_futures=True)
        for task in self._tasks:
            task.cancel()
        await self._keep_once()
        if self._close is not None:
            await asyncio.to_thread(self._close)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._limits.upkeep_s)
            await self._keep_once()

    async def _keep_ready(self) -> None:
        while True:
            await asyncio.sleep(_ATTEND_S)
            self._attend()  # asks
            await asyncio.sleep(_ANSWER_S)
            self._attend()  # hears

    async def _keep_once(self) -> None:
        await asyncio.to_thread(self._slack.give_back)
        if self._upkeep is None:
            return
        try:
            await asyncio.to_thread(self._upkeep)
        except (LineshaftError, OSError):  # a disk that is full must not end serving
            _LOG.exception("upkeep failed; it is tried again in %.0f s", self._limits.upkeep_s)

    def _listen(self, address: str) -> int:
        tls = self._door.tls
        port: int = (
            self._server.add_insecure_port(address)
            if tls is None
            else self._server.add_secure_port(address, tls.credentials())
        )
        return port


def add_services(
    server: Any,
    handlers: Handlers,
    *,
    answers: Answers,
    watching: Watching,
    caller: Callable[[], Caller],
    alive: Any,
) -> list[str]:
    """Give a server everything it answers; return the names of the services, but for those of gRPC's own."""
    plans = handlers.plans
    features = FeatureServicer(
        plans=plans, answers=answers, watching=watching, training=handlers.training, caller=caller
    )
    features_pb2_grpc.add_FeatureServiceServicer_to_server(features, server)
    names = [features_pb2.DESCRIPTOR.services_by_name["FeatureService"].full_name]
    if handlers.predictor is not None:
        predicting = Predicting(predictor=handlers.predictor, plans=plans, answers=answers)
        predictions = PredictionServicer(predicting=predicting, caller=caller)
        predictions_pb2_grpc.add_PredictionServiceServicer_to_server(predictions, server)
        names.append(predictions_pb2.DESCRIPTOR.services_by_name["PredictionService"].full_name)
        inference = InferenceServicer(predicting=predicting, caller=caller)
        server.add_generic_rpc_handlers((inference_service(inference),))
    health_pb2_grpc.add_HealthServicer_to_server(alive, server)
    reflection.enable_server_reflection((*names, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    pushes, row_pushes = handlers.pushes, handlers.row_pushes
    feast = services_of(FeastServicer(answers=answers, caller=caller, pushes=pushes, row_pushes=row_pushes))
    server.add_generic_rpc_handlers(tuple(feast.values()))
    return [*names, *feast]


def serve(
    handlers: Handlers,
    address: str,
    *,
    limits: Limits | None = None,
    door: Door | None = None,
    ready: Callable[[str], None] | None = None,
    lifeline: int | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then stop gracefully. `ready` is told the address once it listens.

    lifeline: a descriptor to a crew (`lineshaft.serving.crew`), which is told too; its end ends this server.
    """

    async def main() -> None:
        stopping, loop = asyncio.Event(), asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, stopping.set)
        if lifeline is not None:
            loop.add_reader(lifeline, stopping.set)  # nothing is ever said on it
        server = Server(handlers, limits=limits, door=door)

        def up(bound: str) -> None:
            (ready or _log_ready)(bound)
            if lifeline is not None:
                os.write(lifeline, READY)

        await _serve_until(stopping, server, address, up)

    share_heaps()
    with _runner() as runner:
        runner.run(main())


@contextmanager
def background_server(
    handlers: Handlers, address: str = "127.0.0.1:0", *, limits: Limits | None = None, door: Door | None = None
) -> Iterator[str]:
    """Serve from a thread of this process; yield the address and stop at the end."""
    started = threading.Event()
    state: dict[str, Any] = {}

    async def main() -> None:
        state["stopping"], state["loop"] = asyncio.Event(), asyncio.get_running_loop()

        def ready(bound: str) -> None:
            state["address"] = bound
            started.set()

        await _serve_until(state["stopping"], Server(handlers, limits=limits, door=door), address, ready)

    def run() -> None:
        try:
            with _runner() as runner:
                runner.run(main())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            state["error"] = error
        finally:
            started.set()

    thread = threading.Thread(target=run, name="grpc-server", daemon=True)
    thread.start()
    started.wait()
    if "address" not in state:
        raise state["error"]
    try:
        yield state["address"]
    finally:
        state["loop"].call_soon_threadsafe(state["stopping"].set)
        thread.join()


async def _serve_until(stopping: asyncio.Event, server: Server, address: str, ready: Callable[[str], None]) -> None:
    bound = await server.start(address)
    gc.collect()
    gc.freeze()  # what was imported stays: sweeping it again costs a request tens of milliseconds
    ready(bound)
    await stopping.wait()
    await server.stop()


def _options(limits: Limits) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", limits.max_message_bytes),
        ("grpc.max_send_message_length", limits.max_message_bytes),
        ("grpc.so_reuseport", int(limits.shared_port)),
        ("grpc.server.max_pending_requests", limits.max_waiting_calls * 2 // 3),
        ("grpc.server.max_pending_requests_hard_limit", limits.max_waiting_calls),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
    ]


def _runner() -> asyncio.Runner:
    """Return a runner on uvloop's event loop where that is installed."""
    try:
        return asyncio.Runner(loop_factory=importlib.import_module("uvloop").new_event_loop)
    except ImportError:
        return asyncio.Runner()


def _log_ready(address: str) -> None:
    _LOG.info("serving on %s", address)
