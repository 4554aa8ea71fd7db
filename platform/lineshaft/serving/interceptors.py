"""Errors become gRPC statuses here, in one place; no error knows its transport code."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

from lineshaft.errors import (
    ConflictError,
    CorruptError,
    DefinitionError,
    EnvironmentFault,
    InputError,
    LineshaftError,
    NotFoundError,
    UnavailableError,
)

_LOG = logging.getLogger(__name__)

STATUS_OF: dict[type[LineshaftError], grpc.StatusCode] = {
    ConflictError: grpc.StatusCode.ABORTED,
    CorruptError: grpc.StatusCode.DATA_LOSS,
    DefinitionError: grpc.StatusCode.FAILED_PRECONDITION,
    EnvironmentFault: grpc.StatusCode.FAILED_PRECONDITION,
    InputError: grpc.StatusCode.INVALID_ARGUMENT,
    NotFoundError: grpc.StatusCode.NOT_FOUND,
    UnavailableError: grpc.StatusCode.UNAVAILABLE,
}
CODE_KEY, WHERE_KEY, FIX_KEY, ID_KEY = (
    "lineshaft-code",
    "lineshaft-where-bin",
    "lineshaft-fix-bin",
    "lineshaft-error-id",
)
"""Trailing metadata of a refused call: the error's code, place and remedy; of an unexpected one, its id in the log."""

Told = Callable[[str, str, float], None]


class ErrorInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc ships no types
    """Turn errors into statuses: ours with code and fix, unknown ones into INTERNAL with an id and nothing else."""

    def __init__(self, told: Told | None = None) -> None:
        """`told` is called after each call with its method, the name of its status, and the seconds it took."""
        self._told = told or _nobody
        self._wrapped: dict[str, Any] = {}  # once a method, not once a call

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any) -> Any:
        """Wrap the method's behaviour."""
        method = handler_call_details.method
        wrapped = self._wrapped.get(method)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None  # names that nobody serves are not remembered: there is no end to them
            wrapped = self._wrapped[method] = _wrapped(handler, method, self._told)
        return wrapped


def _wrapped(handler: Any, method: str, told: Told) -> Any:
    if handler.request_streaming and not handler.response_streaming:
        return handler  # none of ours is of this kind
    if handler.request_streaming:
        return grpc.stream_stream_rpc_method_handler(
            _guarded_stream(handler.stream_stream, method, told),
            handler.request_deserializer,
            handler.response_serializer,
        )
    if handler.response_streaming:
        return grpc.unary_stream_rpc_method_handler(
            _guarded_stream(handler.unary_stream, method, told),
            handler.request_deserializer,
            handler.response_serializer,
        )
    return grpc.unary_unary_rpc_method_handler(
        _guarded(handler.unary_unary, method, told), handler.request_deserializer, handler.response_serializer
    )


class _Edge:
    """One call at the edge of the process: its errors become statuses, and how it ended is told."""

    __slots__ = ("_context", "_method", "_start", "_told")

    def __init__(self, context: Any, method: str, told: Told) -> None:
        self._context, self._method, self._told = context, method, told
        self._start = time.perf_counter()

    async def __aenter__(self) -> None:
        """Begin."""

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            if isinstance(error, Exception) and not isinstance(error, grpc.aio.AbortError):
                await _abort(self._context, error, self._method)
        finally:
            self._told(self._method, _ending(error), time.perf_counter() - self._start)


def _guarded(behaviour: Callable[..., Awaitable[Any]], method: str, told: Told) -> Callable[..., Awaitable[Any]]:
    async def call(request: Any, context: Any) -> Any:
        async with _Edge(context, method, told):
            return await behaviour(request, context)

    return call


def _guarded_stream(behaviour: Callable[..., Any], method: str, told: Told) -> Callable[..., AsyncIterator[Any]]:
    async def call(request: Any, context: Any) -> AsyncIterator[Any]:
        async with _Edge(context, method, told):
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


def _nobody(_method: str, _code: str, _seconds: float) -> None:
    """Tell nobody."""


def status_of(error: Exception) -> Any:
    """Return the gRPC status of an error."""
    if not isinstance(error, LineshaftError):
        return grpc.StatusCode.INTERNAL
    return next((code for kind, code in STATUS_OF.items() if isinstance(error, kind)), grpc.StatusCode.UNKNOWN)


async def _abort(context: Any, error: Exception, method: str) -> None:
    if isinstance(error, LineshaftError):
        trailing = ((CODE_KEY, error.code), (WHERE_KEY, error.where.encode()), (FIX_KEY, error.fix.encode()))
        await context.abort(status_of(error), error.what, trailing)
    identity = noted(error, method)
    await context.abort(grpc.StatusCode.INTERNAL, f"unexpected error {identity}", ((ID_KEY, identity),))


def noted(error: Exception, method: str) -> str:
    """Write an error that nobody foresaw to the log; return the id that it has there, which is all a caller is told."""
    identity = uuid.uuid4().hex[:12]
    _LOG.error("unexpected error %s in %s", identity, method, exc_info=error)
    return identity
