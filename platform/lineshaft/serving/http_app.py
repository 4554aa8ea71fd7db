"""An ASGI application of routes: callers let in, bodies bounded, errors told in the words of a contract.

Every contract over HTTP is a mapping of routes; what stands here is said once for all of them.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import parse_qs

import grpc

from lineshaft.access.guard import LOCAL, Caller
from lineshaft.errors import InputError, LineshaftError, RateError, UnauthenticatedError
from lineshaft.serving.calls import KEY, Call, Told, begin, told_to
from lineshaft.serving.door import Door
from lineshaft.serving.interceptors import UNEXPECTED, noted, status_of
from lineshaft.serving.server import Limits

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
NOT_FOUND = _CODE.NOT_FOUND
"""The status of what is not there, for contracts that do not speak gRPC otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What came in: the parts of its path that the route leaves open, its query, its body, and who sends it."""

    caller: Caller = LOCAL
    open: Mapping[str, str]
    query: Mapping[str, Sequence[str]]
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What goes out: JSON, or bytes as they are."""

    code: grpc.StatusCode = _CODE.OK
    content: Any = None
    headers: Sequence[tuple[bytes, bytes]] = ()


Route: TypeAlias = Callable[[Request], Awaitable[Reply]]
Routes: TypeAlias = Mapping[str, Route]
"""By method and path, as rules have them: `GET /health`, `POST /v2/models/{model}/infer`, `GET /files/{rest:path}`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Why a request is not answered, before a contract has words for it."""

    what: str
    code: str = ""
    where: str = ""
    fix: str = ""
    status: grpc.StatusCode = _CODE.INTERNAL
    path: str = ""
    error: LineshaftError | None = None


Words: TypeAlias = Callable[[Refused], Any]
"""How a contract says that it refuses."""


def plain_words(refused: Refused) -> dict[str, str]:
    """Return a refusal as JSON that names what, where and how to mend it.

    >>> plain_words(Refused(what="no such view", code="LS-NOF"))
    {'detail': 'no such view', 'code': 'LS-NOF'}
    """
    more = {"code": refused.code, "where": refused.where, "fix": refused.fix}
    return {"detail": refused.what, **{key: text for key, text in more.items() if text}}


class HttpApp:
    """An ASGI application of routes. Every request comes in by `__call__`."""

    def __init__(
        self,
        routes: Routes,
        *,
        limits: Limits,
        door: Door,
        told: Told | None = None,
        words: Words = plain_words,
    ) -> None:
        self._guard, self._limits, self._words = door.guard, limits, words
        self._tell = told or told_to(())
        self.running = 0
        self._routes = {_place(name): (name, route) for name, route in routes.items()}

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        """Answer one request. Who makes it is asked before its body is read."""
        if scope["type"] != "http":
            return
        start, path = time.perf_counter(), scope["path"]
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        name, route, given = self._found(scope["method"], path)
        call = begin(name.partition(" ")[2] or path, headers)
        if route is None:
            refused = Refused(what=f"there is no {scope['method']} {path}", status=NOT_FOUND, path=path)
            known = any(_fits(place, path) is not None for _, place in self._routes)
            await _send(send, 405 if known else 404, self._words(refused))
            return
        request = Request(open=given, query=_query(scope), headers=dict(reversed(headers)))
        reply = await self._answered(name, route, request, scope, receive, call)
        named = [(KEY.encode(), call.id.encode("latin-1"))] if call.given or call.error else []
        await _send(send, HTTP_OF.get(reply.code, 500), reply.content, [*reply.headers, *named])
        self._tell(call, reply.code.name, time.perf_counter() - start)

    def _found(self, method: str, path: str) -> tuple[str, Route | None, Mapping[str, str]]:
        exact = self._routes.get((method, path))
        if exact is not None:
            return *exact, {}
        for (wanted, place), (name, route) in self._routes.items():
            given = _fits(place, path) if wanted == method else None
            if given is not None:
                return name, route, given
        return "", None, {}

    async def _answered(
        self, name: str, route: Route, request: Request, scope: Mapping[str, Any], receive: Any, call: Call
    ) -> Reply:
        if self.running >= self._limits.max_concurrent_calls:
            call.error = RateError.code
            what, fix = "too many calls at once", "ask again later"
            busy = Refused(what=what, fix=fix, status=_CODE.RESOURCE_EXHAUSTED, path=scope["path"])
            return Reply(code=busy.status, content=self._words(busy))
        self.running += 1
        try:
            caller = self._admitted(name, request, scope)
            body = await _body(receive, self._limits.max_message_bytes)
            asked = Request(caller=caller, open=request.open, query=request.query, headers=request.headers, body=body)
            return await route(asked)
        except LineshaftError as error:
            call.error = error.code
            told = Refused(
                what=error.what,
                code=error.code,
                where=error.where,
                fix=error.fix,
                status=status_of(error),
                path=scope["path"],
                error=error,
            )
            return Reply(code=told.status, content=self._words(told), headers=_hints(error))
        except Exception as error:  # noqa: BLE001 - noted, and told as an id
            call.error = UNEXPECTED
            told = Refused(what=f"unexpected error {noted(error, scope['path'])}", path=scope["path"])
            return Reply(code=_CODE.INTERNAL, content=self._words(told))
        finally:
            self.running -= 1

    def _admitted(self, name: str, request: Request, scope: Mapping[str, Any]) -> Caller:
        if self._guard is None:
            return LOCAL
        host, _ = scope.get("client") or ("", 0)
        return self._guard.admit(name, request.headers.get("authorization"), peer=f"http:{host}")


def json_object(body: bytes) -> dict[str, Any]:
    """Return a body that is a JSON object; raises `InputError` for any other."""
    try:
        request = json.loads(body.decode())
        if b"\\u" in body:  # half a surrogate pair is JSON, and no text
            json.dumps(request, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise InputError(f"the body is no JSON: {error}", fix="send a JSON object") from error
    if not isinstance(request, dict):
        raise InputError("the body is no JSON object", fix="send a JSON object")
    return request


def _query(scope: Mapping[str, Any]) -> dict[str, list[str]]:
    return parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)


def _place(name: str) -> tuple[str, str]:
    method, _, path = name.partition(" ")
    return method, path


def _fits(place: str, path: str) -> dict[str, str] | None:
    """Return what a path says where a route leaves it open; None where it is no path of the route.

    >>> _fits("/v2/models/{model}/infer", "/v2/models/rul/infer"), _fits("/f/{rest:path}", "/f/a/b")
    ({'model': 'rul'}, {'rest': 'a/b'})
    """
    wanted, found = place.split("/"), path.split("/")
    if wanted[-1].endswith(":path}") and len(found) >= len(wanted):
        found = [*found[: len(wanted) - 1], "/".join(found[len(wanted) - 1 :])]
    if len(wanted) != len(found):
        return None
    given = {}
    for one, text in zip(wanted, found, strict=True):
        if one.startswith("{") and text:
            given[one.strip("{}").partition(":")[0]] = text
        elif one != text:
            return None
    return given


def _hints(error: LineshaftError) -> list[tuple[bytes, bytes]]:
    """Return the headers by which HTTP says what to show, and when to come again."""
    if isinstance(error, RateError):
        return [(b"retry-after", str(math.ceil(error.retry_ms / 1000)).encode())]
    return [(b"www-authenticate", b"Bearer")] if isinstance(error, UnauthenticatedError) else []


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
    raw = isinstance(content, bytes)
    body = content if raw else json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
    kind = b"application/octet-stream" if raw else b"application/json"
    every = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": every})
    await send({"type": "http.response.body", "body": body})
