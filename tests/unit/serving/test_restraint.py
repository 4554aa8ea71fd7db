"""A client sends twice as many calls as are answered while its server refuses most, and all of them otherwise."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from lineshaft.errors import RateError, UnavailableError
from lineshaft.rpc.v1 import features_pb2_grpc
from lineshaft.serving.client import Client
from lineshaft.serving.interceptors import CODE_KEY
from lineshaft.serving.restraint import Restraint


@dataclass(slots=True)
class Hands:
    """A clock that stands still until it is moved."""

    now_s: float = 100.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self.now_s


def asked(restraint: Restraint, calls: int, *, room: int) -> tuple[int, int]:
    """Make calls of which a server answers the first `room`; return how many were sent, and how many answered."""
    sent = answered = 0
    for _ in range(calls):
        if restraint.admits():
            sent += 1
            answered += sent <= room
            restraint.note(answered=sent <= room)
    return sent, answered


def test_whoever_is_answered_is_never_held_back() -> None:
    """Nor are calls that have not ended yet: a burst is sent whole."""
    restraint = Restraint(clock=Hands())

    assert all(restraint.admits() for _ in range(1000))
    assert asked(restraint, 1000, room=1000) == (1000, 1000)


def test_a_few_refusals_hold_nothing_back() -> None:
    """Ten in a second are sent on, whatever becomes of them."""
    assert asked(Restraint(clock=Hands()), 10, room=0) == (10, 0)


def test_as_many_again_are_sent_as_are_answered() -> None:
    """Of five times as many calls as there is room for, the server sees twice as many and a few, and fills its room."""
    clock, sent, answered = Hands(), 0, 0
    restraint = Restraint(clock=clock)
    for second in range(12):
        clock.now_s = 100.0 + second
        if second == 2:
            sent = answered = 0  # by then it has seen what room there is
        for _ in range(100):
            of_turn = asked(restraint, 10, room=2)
            sent, answered = sent + of_turn[0], answered + of_turn[1]

    assert answered == pytest.approx(2000, rel=0.05)  # all that there was room for in ten seconds
    assert sent == pytest.approx(2 * 2000 + 10 * 10, rel=0.1)


def test_a_server_that_answers_nothing_is_still_asked_now_and_then() -> None:
    """Ten times a second or a little more, of a thousand."""
    clock, sent = Hands(), []
    restraint = Restraint(clock=clock)
    for second in range(5):
        clock.now_s = 100.0 + second
        sent.append(asked(restraint, 1000, room=0)[0])

    assert all(5 <= count <= 60 for count in sent), sent


@pytest.mark.parametrize(("later_s", "sent"), [(0.0, False), (2.0, True)])
def test_a_second_without_a_call_forgets(later_s: float, sent: bool) -> None:
    """What was more than a second before the one that has begun says nothing of now."""
    clock = Hands()
    restraint = Restraint(clock=clock)
    for _ in range(1000):
        restraint.note(answered=False)
    clock.now_s += later_s

    assert restraint.admits() is sent


Serving = Callable[[features_pb2_grpc.FeatureServiceServicer], AbstractContextManager[str]]


class Full(features_pb2_grpc.FeatureServiceServicer):
    """A server that refuses all calls."""

    def __init__(self, code: grpc.StatusCode, says: str, *, own: bool) -> None:
        self.calls = 0
        self._code, self._says, self._own = code, says, own

    def ListFeatureServices(self, request: Any, context: Any) -> Any:  # noqa: N802 - named by the proto
        """Refuse."""
        self.calls += 1
        context.set_trailing_metadata(((CODE_KEY, RateError.code),) if self._own else ())
        context.abort(self._code, self._says)


EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


def refusals(address: str, restraint: Restraint, *, calls: int) -> list[Exception]:
    """Return how calls of a client end that such a server refuses."""
    ended: list[Exception] = []
    with Client(address, restraint=restraint) as client:
        for _ in range(calls):
            with pytest.raises((RateError, UnavailableError)) as error:
                client.services()
            ended.append(error.value)
    return ended


@pytest.mark.parametrize(
    ("code", "own"), [(EXHAUSTED, True), (EXHAUSTED, False), (grpc.StatusCode.CANCELLED, False)], ids=str
)
def test_a_client_holds_back_what_would_be_refused(serving: Serving, code: grpc.StatusCode, *, own: bool) -> None:
    """Refused for want of room in the server's own words, by its limit, or by gRPC unseen: it is told in its place."""
    servicer = Full(code, "full", own=own)

    with serving(servicer) as address:
        ended = refusals(address, Restraint(clock=Hands()), calls=60)

    held = [error for error in ended if "not sent" in str(error)]
    assert all(isinstance(error, RateError) for error in held)
    assert len(held) >= 25
    assert servicer.calls <= 35


@pytest.mark.parametrize(
    ("code", "says"),
    [(EXHAUSTED, "CLIENT: Sent message larger than max"), (grpc.StatusCode.DEADLINE_EXCEEDED, "late")],
)
def test_what_says_nothing_of_room_holds_nothing_back(serving: Serving, code: grpc.StatusCode, says: str) -> None:
    """Messages that are too large, and calls that came too late, are sent on each time."""
    servicer = Full(code, says, own=False)

    with serving(servicer) as address:
        refusals(address, Restraint(clock=Hands()), calls=40)

    assert servicer.calls == 40
