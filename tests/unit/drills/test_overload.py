"""What the drill of overload says of the calls it saw, and the callers that make them."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from lineshaft.drills.open_loop import HELD_BACK, Ended, drive
from lineshaft.drills.overload import report
from lineshaft.serving.restraint import Restraint

SLOW, REFUSED, SILENT = b"slow", b"refused", b"silent"
PATH = "/drill.Echo/Say"


def calls(*, ok: int = 0, refused: int = 0, silent: int = 0) -> list[Ended]:
    """Return calls that ended in the three ways there are."""
    return [
        *(Ended(code="OK", due_s=i / 100, took_s=0.010) for i in range(ok)),
        *(Ended(code="CANCELLED", due_s=i / 100, took_s=0.002) for i in range(refused)),
        *(Ended(code="DEADLINE_EXCEEDED", due_s=i / 100, took_s=1.0) for i in range(silent)),
    ]


def test_an_overload_is_summed_up() -> None:
    """Shares of the peak, times of those answered and of those refused, and who was told nothing."""
    found = report(calls(ok=60, refused=130, silent=10), calls(ok=50), peak_per_s=40.0, seconds=2.0)

    assert (found.peak_per_s, found.asked_per_s, found.answered_per_s, found.goodput) == (40, 100, 30, 0.75)
    assert (found.answered_p50_ms, found.answered_p99_ms) == (10.0, 10.0)
    assert (found.refused, found.refused_p50_ms, found.refused_p99_ms, found.unanswered) == (130, 2.0, 2.0, 10)
    assert found.recovered_after_s == 0.0
    assert found.broken() == []


@pytest.mark.parametrize("code", ["CANCELLED", "DEADLINE_EXCEEDED", "UNSENT"])
def test_it_has_recovered_when_the_last_call_was_not_answered(code: str) -> None:
    """Later than two seconds is a promise broken; so is an overload in which nothing was answered."""
    quiet = calls(ok=300)
    early, late = ([*quiet, Ended(code=code, due_s=at, took_s=0.1)] for at in (1.5, 2.5))

    assert report(calls(ok=1), early, peak_per_s=1.0, seconds=1.0).recovered_after_s == 1.5
    assert report(calls(ok=1), early, peak_per_s=1.0, seconds=1.0).broken() == []
    assert report(calls(ok=1), late, peak_per_s=1.0, seconds=1.0).broken() == [
        "all is answered again after 2.5 s, not 2"
    ]
    assert report(calls(refused=9), quiet, peak_per_s=1.0, seconds=1.0).broken() == ["nothing was answered"]


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    """Serve one method of gRPC's own library: it says the message again, or is slow, or refuses, or says nothing."""

    async def say(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        if request == SLOW:
            await asyncio.sleep(0.2)
        if request == SILENT:
            await asyncio.sleep(5.0)
        if request == REFUSED:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "come again")
        return request

    async def main() -> None:
        server = grpc.aio.server()
        method = grpc.unary_unary_rpc_method_handler(say)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("drill.Echo", {"Say": method}),))
        state["port"], state["loop"] = server.add_insecure_port("127.0.0.1:0"), asyncio.get_running_loop()
        state["over"] = asyncio.Event()
        await server.start()
        started.set()
        await state["over"].wait()
        await server.stop(0)

    state: dict[str, Any] = {}
    started = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    started.wait()
    yield f"127.0.0.1:{state['port']}"
    state["loop"].call_soon_threadsafe(state["over"].set)
    thread.join()


def test_calls_come_at_their_pace_whatever_becomes_of_others(echo: str) -> None:
    """Against gRPC's own server: each call's end is read from its frames, its time counted from when it was due."""
    messages = [b"hello" * 5000, SLOW, REFUSED, SILENT]

    ended = drive(echo, PATH, messages, rate=80.0, seconds=1.0, connections=3, timeout_s=0.6)

    by_kind = [sorted((call.due_s, call) for call in ended if round(call.due_s * 80) % 4 == kind) for kind in range(4)]
    assert [len(kind) for kind in by_kind] == [20] * 4
    assert [{call.code for _, call in kind} for kind in by_kind] == [
        {"OK"},
        {"OK"},
        {"RESOURCE_EXHAUSTED"},
        {"DEADLINE_EXCEEDED"},
    ]
    assert min(call.took_s for _, call in by_kind[1]) > 0.19
    assert min(call.took_s for _, call in by_kind[0]) < 0.1


def weary() -> Restraint:
    """Return a restraint that has seen two hundred refusals, in a second that does not pass."""
    restraint = Restraint(clock=lambda: 100.0)
    for _ in range(200):
        restraint.note(answered=False)
    return restraint


def test_callers_that_hold_back_send_few_after_many_refusals(echo: str) -> None:
    """What is not sent ends at once, and is told apart; answers let more be sent, refusals do not."""
    pace: dict[str, Any] = {"rate": 200.0, "seconds": 1.0, "connections": 1, "timeout_s": 20.0}

    answered, refused = (
        Counter(call.code for call in drive(echo, PATH, [message], restraint=weary, **pace))
        for message in (b"hello", REFUSED)
    )

    assert answered == {"OK": answered["OK"], HELD_BACK: 200 - answered["OK"]}
    assert 5 <= answered["OK"] <= 60
    assert refused == {"RESOURCE_EXHAUSTED": 6, HELD_BACK: 194}
