"""The edge of the process: calls are let in or not, and errors become statuses, which no error knows of itself."""

from __future__ import annotations

import inspect
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from lineshaft.access.guard import CALLER, Guard
from lineshaft.errors import (
    ConflictError,
    CorruptError,
    DefinitionError,
    EnvironmentFault,
    ForbiddenError,
    InputError,
    LineshaftError,
    NotFoundError,
    RateError,
    UnauthenticatedError,
    UnavailableError,
)
from lineshaft.serving.calls import KEY, Call, Told, begin, current, told_to

_LOG = logging.getLogger(__name__)

STATUS_OF: dict[type[LineshaftError], grpc.StatusCode] = {
    ConflictError: grpc.StatusCode.ABORTED,
    CorruptError: grpc.StatusCode.DATA_LOSS,
    DefinitionError: grpc.StatusCode.FAILED_PRECONDITION,
    EnvironmentFault: grpc.StatusCode.FAILED_PRECONDITION,
    ForbiddenError: grpc.StatusCode.PERMISSION_DENIED,
    InputError: grpc.StatusCode.INVALID_ARGUMENT,
    NotFoundError: grpc.StatusCode.NOT_FOUND,
    RateError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    UnauthenticatedError: grpc.StatusCode.UNAUTHENTICATED,
    UnavailableError: grpc.StatusCode.UNAVAILABLE,
}
CODE_KEY, WHERE_KEY, FIX_KEY, ID_KEY = (
    "lineshaft-code",
    "lineshaft-where-bin",
    "lineshaft-fix-bin",
    "lineshaft-error-id",
)
"""Trailing metadata of a refused call: the error's code, place and remedy; of an unexpected one, its id in the log."""
RETRY_KEY = "grpc-retry-pushback-ms"
"""Trailing metadata of a call that came too soon: the time to wait, as gRPC's own retries understand it."""
UNEXPECTED = "unexpected"
"""What stands for a code where an error is none of ours."""

_MOST_TOLD = 1000


class EdgeInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc ships no types
    """Let calls in, and turn errors into statuses: ours with code and fix, others into INTERNAL with an id alone."""

    def __init__(self, told: Told | None = None, guard: Guard | None = None, *, most_streams: int = 16) -> None:
        """`told` is called after each call, with the name of its status and the seconds it took.

        Without a `guard` everybody is let in. With one, a request is not even read before its caller was. Beyond
        `most_streams` at once no stream is begun: they last, and would leave no room for single calls.
        """
        self._told = told or told_to(())
        self.calls, self.streams = Load(), Load(most=most_streams)
        self._guard = guard
        self._wrapped: dict[str, Any] = {}  # once a method, not once a call

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any) -> Any:
        """Wrap the method's behaviour."""
        method = handler_call_details.method
        wrapped = self._wrapped.get(method)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None  # names that nobody serves are not remembered: there is no end to them
            wrapped = self._wrapped[method] = self._around(handler, method)
        return wrapped

    def _around(self, handler: Any, method: str) -> Any:
        """Return a handler that answers as the one given does, at the edge."""
        kind = _KINDS[handler.request_streaming, handler.response_streaming]
        one, reads = not handler.request_streaming, handler.request_deserializer
        behaviour = _reading(getattr(handler, kind), reads, one=one) if reads is not None else getattr(handler, kind)
        if self._guard is not None:
            behaviour = _guarded(self._guard, method, behaviour)
        yields = handler.response_streaming and not inspect.iscoroutinefunction(getattr(handler, kind))
        if yields:
            behaviour = _edged_stream(behaviour, method, self._told, self.calls, self.streams)
        else:
            behaviour = _edged(behaviour, method, self._told, self.calls)
        return getattr(grpc, f"{kind}_rpc_method_handler")(behaviour, None, _writing(handler.response_serializer))


_KINDS = {
    (False, False): "unary_unary",
    (False, True): "unary_stream",
    (True, False): "stream_unary",
    (True, True): "stream_stream",
}


def _reading(behaviour: Any, reads: Callable[[bytes], Any], *, one: bool) -> Callable[[Any, Any], Any]:
    """Return a behaviour that reads its own messages: gRPC would call bytes that are none a fault of the server."""

    def read(raw: bytes) -> Any:
        try:
            return reads(raw)
        except DecodeError as error:
            raise InputError("the request cannot be read", fix="send the message that the contract names") from error

    async def each(raws: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        async for raw in raws:
            yield read(raw)

    given = read if one else each
    return lambda raw, context: behaviour(given(raw), context)


def _writing(writes: Callable[[Any], bytes] | None) -> Callable[[Any], bytes] | None:
    """Return what writes messages, and lets those pass that are written already."""
    if writes is None:
        return None
    return lambda message: message if isinstance(message, bytes) else writes(message)


def _guarded(guard: Guard, method: str, behaviour: Any) -> Callable[[Any, Any], Any]:
    """Return a behaviour that first lets the caller in."""

    def call(request: Any, context: Any) -> Any:
        shown = next((value for key, value in context.invocation_metadata() if key == "authorization"), None)
        CALLER.set(guard.admit(method, shown, peer=context.peer()))
        return behaviour(request, context)

    return call


class Load:
    """How many there are at once, in one event loop; beyond `most` none is begun."""

    def __init__(self, *, most: int | None = None) -> None:
        self._most = most
        self.now = 0

    def __enter__(self) -> None:
        if self.now == self._most:
            raise RateError(f"there are {self._most} streams already", fix="ask in single calls, or again in a second")
        self.now += 1

    def __exit__(self, *_: object) -> None:
        self.now -= 1


class _Edge:
    """One call at the edge of the process: its errors become statuses, and how it ended is told."""

    __slots__ = ("_call", "_context", "_load", "_start", "_told")

    def __init__(self, context: Any, method: str, told: Told, load: Load) -> None:
        self._context, self._told, self._load = context, told, load
        self._start = time.perf_counter()
        self._call = begin(method, context.invocation_metadata())

    async def __aenter__(self) -> None:
        self._load.__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        try:
            if error is None and self._call.given:  # who names a call sees the name come back
                told = self._context.trailing_metadata() or ()
                self._context.set_trailing_metadata((*told, (KEY, self._call.given)))
            if not isinstance(error, Exception) or isinstance(error, grpc.aio.AbortError):
                return False
            _refuse(self._context, error, self._call)
            return True
        finally:
            self._load.__exit__()
            self._told(self._call, _ending(error), time.perf_counter() - self._start)


def _edged(
    behaviour: Callable[..., Awaitable[Any]], method: str, told: Told, load: Load
) -> Callable[..., Awaitable[Any]]:
    async def call(request: Any, context: Any) -> Any:
        async with _Edge(context, method, told, load):
            return await behaviour(request, context)

    return call


def _edged_stream(
    behaviour: Callable[..., Any], method: str, told: Told, load: Load, streams: Load
) -> Callable[..., AsyncIterator[Any]]:
    async def call(request: Any, context: Any) -> AsyncIterator[Any]:
        async with _Edge(context, method, told, load):
            current().lasting = True
            with streams:
                async for reply in behaviour(request, context):
                    yield reply

    return call


def _ending(error: BaseException | None) -> str:
    """Name how a call ended; one that the caller gave up ends by an exception that is no error."""
    if error is None:
        return "OK"
    if isinstance(error, grpc.aio.AbortError):
        return "ABORTED"
    return status_of(error).name if isinstance(error, Exception) else "CANCELLED"


def status_of(error: Exception) -> Any:
    """Return the gRPC status of an error."""
    if not isinstance(error, LineshaftError):
        return grpc.StatusCode.INTERNAL
    return next((code for kind, code in STATUS_OF.items() if isinstance(error, kind)), grpc.StatusCode.UNKNOWN)


def _refuse(context: Any, error: Exception, call: Call) -> None:
    """End a call with an error's status.

    Not by `context.abort`: gRPC keeps what that raises, and with it the frames and the request, until memory is swept.
    """
    call.error = error.code if isinstance(error, LineshaftError) else UNEXPECTED
    if isinstance(error, LineshaftError):
        what, where, fix = (_short(text) for text in (error.what, error.where, error.fix))
        trailing: tuple[tuple[str, str | bytes], ...] = ((CODE_KEY, error.code), (WHERE_KEY, where), (FIX_KEY, fix))
        if isinstance(error, RateError):
            trailing = (*trailing, (RETRY_KEY, str(error.retry_ms)))
        details = what.decode()
    else:
        identity = noted(error, call.method)
        details, trailing = f"unexpected error {identity}", ((ID_KEY, identity),)
    context.set_code(status_of(error))
    context.set_details(details)
    context.set_trailing_metadata((*trailing, (KEY, call.id)))


def _short(text: str) -> bytes:
    """Return the first thousand bytes of a text: a name of a megabyte fits into no trailer, and says no more."""
    whole = text.encode(errors="replace")
    return whole if len(whole) <= _MOST_TOLD else whole[:_MOST_TOLD].decode(errors="ignore").encode() + b" ..."


def noted(error: Exception, method: str) -> str:
    """Write an error that nobody foresaw to the log; return the id that it has there, which is all a caller is told."""
    identity = uuid.uuid4().hex[:12]
    _LOG.error("unexpected error %s in %s", identity, method, exc_info=error)
    return identity
