"""Errors at the edge of the server: ours with their code and cure, unknown ones with an id and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import weakref
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from google.protobuf.message import DecodeError

from lineshaft import errors
from lineshaft.access.guard import CALLER, Guard
from lineshaft.access.principal import Principal, Role
from lineshaft.serving.calls import KEY
from lineshaft.serving.interceptors import (
    CODE_KEY,
    FIX_KEY,
    ID_KEY,
    RETRY_KEY,
    STATUS_OF,
    WHERE_KEY,
    EdgeInterceptor,
)

STATUS = grpc.StatusCode
SECRET = "password is hunter2"


class Context:
    """What grpc gives a handler: remembers how the call was ended."""

    def __init__(self, *metadata: tuple[str, str]) -> None:
        self.told: list[Any] = []
        self.metadata = metadata

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        """Return what the caller sent."""
        return self.metadata

    def set_code(self, code: Any) -> None:
        """Give the status."""
        self.told.append(code)

    def set_details(self, details: str) -> None:
        """Give the words."""
        self.told.append(details)

    def set_trailing_metadata(self, trailing: tuple[tuple[str, Any], ...]) -> None:
        """Give what comes last."""
        self.told.append(dict(trailing))


def handler(**behaviours: Any) -> Any:
    """Return a method's handler as grpc has it: one behaviour, and how messages are read and written."""
    plain: dict[str, Any] = dict.fromkeys(("unary_unary", "unary_stream", "stream_unary", "stream_stream"))
    kinds = {"request_streaming": False, "response_streaming": "unary_stream" in behaviours}
    serializers = {"request_deserializer": lambda request: request, "response_serializer": bytes}
    return SimpleNamespace(**{**plain, **kinds, **serializers, **behaviours})


async def wrapped(of: Any, *, interceptor: EdgeInterceptor | None = None, method: str = "/s/M") -> Any:
    """Return what the interceptor makes of a handler."""

    async def continuation(_details: Any) -> Any:
        return of

    details = SimpleNamespace(method=method)
    return await (interceptor or EdgeInterceptor()).intercept_service(continuation, details)


def outcome(error: Exception | None) -> tuple[Any, str, dict[str, Any]]:
    """Return how a call ends whose handler fails like this."""
    context = Context()

    async def behaviour(_request: Any, _context: Any) -> str:
        if error is not None:
            raise error
        return "answer"

    async def run() -> None:
        made = await wrapped(handler(unary_unary=behaviour))
        assert await made.unary_unary("request", context) == ("answer" if error is None else None)

    asyncio.run(run())
    code, details, trailing = context.told or (STATUS.OK, "", {})
    return code, details, trailing


EXPECTED = {
    errors.ConflictError: STATUS.ABORTED,
    errors.CorruptError: STATUS.DATA_LOSS,
    errors.DefinitionError: STATUS.FAILED_PRECONDITION,
    errors.EnvironmentFault: STATUS.FAILED_PRECONDITION,
    errors.ForbiddenError: STATUS.PERMISSION_DENIED,
    errors.InputError: STATUS.INVALID_ARGUMENT,
    errors.NotFoundError: STATUS.NOT_FOUND,
    errors.UnauthenticatedError: STATUS.UNAUTHENTICATED,
    errors.UnavailableError: STATUS.UNAVAILABLE,
    errors.LineshaftError: STATUS.UNKNOWN,
}


@pytest.mark.parametrize("kind", EXPECTED, ids=lambda kind: kind.__name__)
def test_an_error_of_ours_keeps_its_code_its_place_and_its_cure(kind: type[errors.LineshaftError]) -> None:
    """Each has one status; place and cure may hold any letters, so they travel as bytes."""
    code, details, trailing = outcome(kind("what", where="Prüfstand.csv:3", fix="do «this»"))

    assert (code, details) == (EXPECTED[kind], "what")
    assert len(trailing.pop(KEY)) == 32  # the call's name in the log
    assert trailing == {
        CODE_KEY: kind.code,
        WHERE_KEY: "Prüfstand.csv:3".encode(),
        FIX_KEY: "do «this»".encode(),
    }


def test_every_status_is_in_the_table_above() -> None:
    """A status changed in one place is noticed."""
    told_elsewhere = {errors.LineshaftError: STATUS.UNKNOWN, errors.RateError: STATUS.RESOURCE_EXHAUSTED}

    assert {**EXPECTED, **told_elsewhere} == {**STATUS_OF, errors.LineshaftError: STATUS.UNKNOWN}


def test_a_call_that_came_too_soon_is_told_when_to_come_again() -> None:
    """The time travels as gRPC's own retries read it, and in words."""
    code, _, trailing = outcome(errors.RateError("too often", retry_ms=120))

    assert code is STATUS.RESOURCE_EXHAUSTED
    assert trailing[RETRY_KEY] == "120"
    assert trailing[FIX_KEY] == b"ask again in 120 ms"


def test_a_kind_of_error_derived_from_ours_has_its_parents_status() -> None:
    """Whoever refines an error need not know of transports."""

    class Narrower(errors.NotFoundError):
        """A finer one."""

    assert outcome(Narrower("gone"))[0] is STATUS.NOT_FOUND


@pytest.mark.parametrize("error", [ValueError(SECRET), KeyError(SECRET), RuntimeError(SECRET)])
def test_an_unexpected_error_leaves_as_an_id_that_the_log_explains(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing of it goes to the caller; id, method and error stand in the log."""
    with caplog.at_level(logging.ERROR):
        code, details, trailing = outcome(error)

    (record,) = caplog.records
    assert code is STATUS.INTERNAL
    assert SECRET not in details + str(trailing)
    assert details == f"unexpected error {trailing[ID_KEY]}"
    assert len(trailing[ID_KEY]) == 12
    assert trailing[ID_KEY] in record.getMessage()
    assert "/s/M" in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_each_unexpected_error_has_an_id_of_its_own() -> None:
    """Two of them can be told apart in the log."""
    assert outcome(ValueError("a"))[2][ID_KEY] != outcome(ValueError("a"))[2][ID_KEY]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, "OK"),
        (errors.NotFoundError("gone"), "NOT_FOUND"),
        (ValueError(SECRET), "INTERNAL"),
        (grpc.aio.AbortError(), "ABORTED"),
        (asyncio.CancelledError(), "CANCELLED"),
    ],
    ids=["answered", "refused", "unexpected", "aborted", "given up"],
)
def test_how_a_call_ended_is_told_once(error: BaseException | None, code: str) -> None:
    """Also of a call that its caller gave up: it is not counted among the answered ones."""
    told: list[tuple[str, str]] = []

    async def behaviour(_request: Any, _context: Any) -> str:
        if error is not None:
            raise error
        return "answer"

    async def run() -> None:
        interceptor = EdgeInterceptor(lambda call, how, _seconds: told.append((call.method, how)))
        made = await wrapped(handler(unary_unary=behaviour), interceptor=interceptor)
        with contextlib.suppress(grpc.aio.AbortError, asyncio.CancelledError):
            await made.unary_unary("request", Context())

    asyncio.run(run())

    assert told == [("/s/M", code)]


def test_an_answer_passes_untouched() -> None:
    """No error, no change."""
    assert outcome(None)[0] is STATUS.OK


def test_a_call_already_ended_is_not_ended_again() -> None:
    """What a handler aborted by itself keeps its status."""
    context = Context()

    async def behaviour(_request: Any, _context: Any) -> str:
        raise grpc.aio.AbortError

    async def run() -> None:
        made = await wrapped(handler(unary_unary=behaviour))
        await made.unary_unary("request", context)

    with pytest.raises(grpc.aio.AbortError):
        asyncio.run(run())
    assert context.told == []


@pytest.mark.parametrize("error", [errors.CorruptError("half way"), ValueError(SECRET), grpc.aio.AbortError()])
def test_a_stream_that_fails_half_way_ends_with_the_errors_status(error: Exception) -> None:
    """What was sent was sent; then it ends as a single answer would."""
    context = Context()
    received: list[int] = []

    async def behaviour(_request: Any, _context: Any) -> AsyncIterator[int]:
        yield 1
        yield 2
        raise error

    async def run() -> None:
        made = await wrapped(handler(unary_stream=behaviour))
        parts = aiter(made.unary_stream("request", context))
        while True:
            received.append(await anext(parts))

    ends = grpc.aio.AbortError if isinstance(error, grpc.aio.AbortError) else StopAsyncIteration
    with pytest.raises(ends):
        asyncio.run(run())
    assert received == [1, 2]
    ended = {"CorruptError": [STATUS.DATA_LOSS], "ValueError": [STATUS.INTERNAL]}.get(type(error).__name__, [])
    assert context.told[:1] == ended


def test_a_method_is_wrapped_once_and_unknown_ones_are_not_remembered() -> None:
    """The same method gives the same wrapper; names that nobody serves would fill the memory."""

    async def run() -> None:
        interceptor = EdgeInterceptor()
        one = handler(unary_unary=lambda _request, _context: None)
        first = await wrapped(one, interceptor=interceptor, method="/s/A")
        assert await wrapped(handler(), interceptor=interceptor, method="/s/A") is first
        assert await wrapped(None, interceptor=interceptor, method="/s/B") is None
        assert await wrapped(one, interceptor=interceptor, method="/s/B") is not None
        assert first.request_deserializer is None
        assert [first.response_serializer(message) for message in ([1, 2], b"written already")] == [
            b"\x01\x02",
            b"written already",
        ]

    asyncio.run(run())


def test_bytes_that_are_no_message_are_the_callers_fault() -> None:
    """GRPC itself would answer INTERNAL or UNKNOWN; alone, before a stream of answers and within a stream."""

    def deserialize(raw: bytes) -> str:
        if raw == b"junk":
            raise DecodeError
        return raw.decode()

    async def each(*raws: bytes) -> AsyncIterator[bytes]:
        for raw in raws:
            yield raw

    async def behaviour(_request: Any, _context: Any) -> str:
        return "answer"

    async def echoes(requests: Any, _context: Any) -> AsyncIterator[str]:
        async for request in requests:
            yield request

    async def codes() -> list[Any]:
        one, other, third = Context(), Context(), Context()
        made = await wrapped(handler(unary_unary=behaviour, request_deserializer=deserialize))
        assert await made.unary_unary(b"junk", one) is None
        made = await wrapped(handler(unary_stream=echoes, request_deserializer=deserialize))
        assert [reply async for reply in made.unary_stream(b"junk", other)] == []
        streaming = {"request_streaming": True, "response_streaming": True, "request_deserializer": deserialize}
        made = await wrapped(handler(stream_stream=echoes, **streaming))
        assert [reply async for reply in made.stream_stream(each(b"sound", b"junk"), third)] == ["sound"]
        return [context.told[0] for context in (one, other, third)]

    assert asyncio.run(codes()) == [STATUS.INVALID_ARGUMENT] * 3


def test_a_long_name_in_an_error_is_cut() -> None:
    """Trailers have a limit, beyond which a caller would be told of that and not of the error."""
    code, details, trailing = outcome(errors.NotFoundError("ü" * 50_000, where="w" * 50_000, fix="f\ud800"))

    assert code is STATUS.NOT_FOUND
    assert details == "ü" * 500 + " ..."
    assert trailing[WHERE_KEY] == b"w" * 1000 + b" ..."
    assert trailing[FIX_KEY] == b"f?"


def test_a_refused_call_keeps_nothing_of_its_request() -> None:
    """When the call has ended its request is gone at once, not when memory is next swept."""
    alive = []

    class Request:
        """A request, however large."""

    async def behaviour(_request: Any, _context: Any) -> str:
        raise errors.InputError("no")

    async def run() -> None:
        made = await wrapped(handler(unary_unary=behaviour))
        alive.append(weakref.ref(request := Request()))
        await made.unary_unary(request, Context())

    gc.disable()
    asyncio.run(run())
    gone = alive[0]() is None
    gc.enable()
    assert gone


class Shown(Context):
    """What grpc gives a handler of a call that shows something."""

    def peer(self) -> str:
        """Return where it came from."""
        return "ipv4:10.0.0.7:1234"


class KnowsAna:
    """Takes one token, and writes nobody down."""

    def principal(self, secret: str) -> Principal:
        """Return Ana."""
        if secret != "lst_ana":
            raise errors.UnauthenticatedError("nobody knows this token")
        return Principal(name="ana", grants={"vibration": Role.READER})

    def note(self, **_: str) -> None:
        """Forget it."""


def test_a_request_is_not_read_before_its_caller_is_let_in() -> None:
    """A stranger's bytes never meet the parser; a caller's that are no message are an error of the caller."""
    read: list[bytes] = []

    def reads(request: bytes) -> str:
        read.append(request)
        if request == b"junk":
            raise DecodeError
        return request.decode()

    async def behaviour(request: str, _context: Any) -> tuple[str, str]:
        return request, CALLER.get().principal.name

    async def answer(request: bytes, *metadata: tuple[str, str]) -> Any:
        guard = Guard(tokens=KnowsAna(), denials=KnowsAna(), rules={"/s/M": Role.READER})
        one = handler(unary_unary=behaviour, request_deserializer=reads)
        made = await wrapped(one, interceptor=EdgeInterceptor(guard=guard))
        assert made.request_deserializer is None
        context = Shown(*metadata)
        answered = await made.unary_unary(request, context)
        return context.told[0] if context.told else answered

    ana = ("authorization", "Bearer lst_ana")
    assert asyncio.run(answer(b"a secret")) is STATUS.UNAUTHENTICATED
    assert asyncio.run(answer(b"a secret", ("authorization", "Bearer lst_eve"))) is STATUS.UNAUTHENTICATED
    assert read == []
    assert asyncio.run(answer(b"question", ("user-agent", "x"), ana)) == ("question", "ana")
    assert asyncio.run(answer(b"junk", ana)) is STATUS.INVALID_ARGUMENT


def test_streams_of_requests_are_guarded_like_others() -> None:
    """Many requests with one answer: no service of ours is of this kind, and one that were would have no other door."""

    async def behaviour(_requests: Any, _context: Any) -> str:
        return "answer"

    async def run() -> None:
        guard = Guard(tokens=KnowsAna(), denials=KnowsAna(), rules={})
        one = handler(request_streaming=True, stream_unary=behaviour)
        made = await wrapped(one, interceptor=EdgeInterceptor(guard=guard))
        context = Shown(("authorization", "Bearer lst_ana"))
        assert await made.stream_unary("requests", context) is None
        assert context.told[0] in (STATUS.PERMISSION_DENIED, STATUS.UNAUTHENTICATED)

    asyncio.run(run())
