"""Feast's HTTP contract: JSON in, JSON out, the answers of every other contract."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc

from lineshaft.access.guard import LOCAL, Caller
from lineshaft.errors import InputError, LineshaftError, RateError, UnauthenticatedError
from lineshaft.ops.pushes import Pushes
from lineshaft.ops.row_pushes import RowPushes
from lineshaft.serving.answers import Answers
from lineshaft.serving.calls import KEY, Call, Told, begin, told_to
from lineshaft.serving.door import Door
from lineshaft.serving.feast_answers import feast_columns
from lineshaft.serving.feast_json import answer_json, pushed, question
from lineshaft.serving.features import Served
from lineshaft.serving.http_port import http_port
from lineshaft.serving.interceptors import UNEXPECTED, noted, status_of
from lineshaft.serving.server import Handlers, Limits

SETTING = "LINESHAFT_HTTP_ADDRESS"
DEGRADED_HEADER = b"lineshaft-degraded"
"""Header of an answer made of rows known earlier: Feast's JSON has no place for it."""

_CODE = grpc.StatusCode
HTTP_OF: Mapping[grpc.StatusCode, int] = {
    _CODE.OK: 200,
    _CODE.INVALID_ARGUMENT: 400,
    _CODE.FAILED_PRECONDITION: 400,
    _CODE.UNAUTHENTICATED: 401,
    _CODE.PERMISSION_DENIED: 403,
    _CODE.NOT_FOUND: 404,
    _CODE.ABORTED: 409,
    _CODE.RESOURCE_EXHAUSTED: 429,
    _CODE.UNAVAILABLE: 503,
}
"""HTTP's numbers for gRPC's statuses; what is not listed is 500."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What goes out."""

    code: grpc.StatusCode = _CODE.OK
    content: Any = None
    headers: Sequence[tuple[bytes, bytes]] = ()


Route: TypeAlias = Callable[[bytes, Caller], Awaitable[Reply]]


class FeastHttp:
    """An ASGI application with Feast's routes. Every request comes in by `__call__`."""

    def __init__(
        self,
        *,
        answers: Answers,
        limits: Limits,
        door: Door,
        pushes: Pushes | None = None,
        row_pushes: RowPushes | None = None,
        told: Told | None = None,
    ) -> None:
        self._guard = door.guard
        self._answers = answers
        self._tell = told or told_to(())
        self._pushes = pushes
        self._row_pushes = row_pushes
        self._limits = limits
        self.running = 0
        self._routes: dict[tuple[str, str], Route] = {
            ("POST", "/get-online-features"): self._features,
            ("POST", "/push"): self._push,
            ("POST", "/write-to-online-store"): self._write,
            ("GET", "/health"): self._health,
        }

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        """Answer one request. Who makes it is asked before its body is read."""
        if scope["type"] != "http":
            return
        start, path = time.perf_counter(), scope["path"]
        call = begin(path, [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]])
        route = self._routes.get((scope["method"], path))
        if route is None:
            methods = [method for method, known in self._routes if known == path]
            await _send(send, 405 if methods else 404, _told(f"there is no {scope['method']} {path}"))
            return
        reply = await self._answered(route, scope, receive, call)
        named = [(KEY.encode(), call.id.encode("latin-1"))] if call.given or call.error else []
        await _send(send, HTTP_OF.get(reply.code, 500), reply.content, [*reply.headers, *named])
        self._tell(call, reply.code.name, time.perf_counter() - start)

    @property
    def routes(self) -> list[str]:
        """Return the names of its routes, as rules have them."""
        return [" ".join(route) for route in self._routes]

    def _admitted(self, scope: Mapping[str, Any]) -> Caller:
        if self._guard is None:
            return LOCAL
        shown = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"), None)
        host, _ = scope.get("client") or ("", 0)
        return self._guard.admit(f"{scope['method']} {scope['path']}", shown, peer=f"http:{host}")

    async def _answered(self, route: Route, scope: Mapping[str, Any], receive: Any, call: Call) -> Reply:
        if self.running >= self._limits.max_concurrent_calls:
            call.error = RateError.code
            return Reply(code=_CODE.RESOURCE_EXHAUSTED, content=_told("too many calls at once", fix="ask again later"))
        self.running += 1
        try:
            caller = self._admitted(scope)
            return await route(await _body(receive, self._limits.max_message_bytes), caller)
        except LineshaftError as error:
            call.error = error.code
            content = _told(error.what, code=error.code, where=error.where, fix=error.fix)
            return Reply(code=status_of(error), content=content, headers=_hints(error))
        except Exception as error:  # noqa: BLE001 - noted, and told as an id
            call.error = UNEXPECTED
            return Reply(code=_CODE.INTERNAL, content=_told(f"unexpected error {noted(error, scope['path'])}"))
        finally:
            self.running -= 1

    async def _features(self, body: bytes, caller: Caller) -> Reply:
        asked, entities, full_names = question(body)

        def convert(served: Served) -> Reply:
            columns = feast_columns(served, asked, entities, full_names=full_names)
            headers = [(DEGRADED_HEADER, b"true")] if served.degraded else []
            return Reply(content=answer_json(columns), headers=headers)

        return await self._answers.of(asked, entities, convert, limit_s=self._answers.timeout_s, caller=caller)

    async def _push(self, body: bytes, caller: Caller) -> Reply:
        return await self._taken(self._pushes, pushed(body, "push_source_name"), caller)

    async def _write(self, body: bytes, caller: Caller) -> Reply:
        return await self._taken(self._row_pushes, pushed(body, "feature_view_name"), caller)

    async def _taken(
        self, pushes: Pushes | RowPushes | None, given: tuple[str, dict[str, list[Any]]], caller: Caller
    ) -> Reply:
        taken = await self._answers.take(pushes, *given, caller=caller)
        content = {"accepted": taken.accepted, "rejected": dict(taken.rejected), "repeat": taken.repeat}
        return Reply(content=content)

    async def _health(self, _body: bytes, _caller: Caller) -> Reply:
        return Reply(content={"status": "SERVING"})


@contextmanager
def feast_http(
    handlers: Handlers, address: str, *, limits: Limits | None = None, door: Door | None = None
) -> Iterator[str]:
    """Answer Feast's HTTP contract; yield the address, its port filled in. Nothing for an empty one.

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
        app = FeastHttp(
            answers=answers,
            limits=bounds,
            door=entrance,
            pushes=handlers.pushes,
            row_pushes=handlers.row_pushes,
            told=told_to(handlers.listeners),
        )
        if handlers.metrics is not None:
            handlers.metrics.watch_limit("http_calls", lambda: app.running, most=bounds.max_concurrent_calls)
            handlers.metrics.watch_waiting("http", pool)
        with http_port(
            app, address, setting=SETTING, grace_s=bounds.grace_s, shared=bounds.shared_port, tls=entrance.tls
        ) as bound:
            yield bound


def _hints(error: LineshaftError) -> list[tuple[bytes, bytes]]:
    """Return the headers by which HTTP says what to show, and when to come again."""
    if isinstance(error, RateError):
        return [(b"retry-after", str(math.ceil(error.retry_ms / 1000)).encode())]
    return [(b"www-authenticate", b"Bearer")] if isinstance(error, UnauthenticatedError) else []


def _told(detail: str, **more: str) -> dict[str, str]:
    return {"detail": detail, **{key: text for key, text in more.items() if text}}


async def _body(receive: Any, most: int) -> bytes:
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        part = message.get("body", b"")
        parts.append(part)
        size += len(part)
        more = message.get("more_body", False)
        if size > most:
            raise InputError(f"the body is longer than {most} bytes", fix="ask in several requests")
    return b"".join(parts)


async def _send(send: Any, status: int, content: Any, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
    body = json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
    every = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": every})
    await send({"type": "http.response.body", "body": body})
