"""Questions of a stream that are ready travel together; what waits, ends or fails does so in its own order."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from lineshaft.rpc.v1.features_pb2 import StreamFeaturesRequest, StreamFeaturesResponse
from lineshaft.serving.together import MOST, apart, together


def questions(count: int) -> Iterator[StreamFeaturesRequest]:
    """Yield numbered questions."""
    for number in range(count):
        yield StreamFeaturesRequest(number=number)


def numbers(message: StreamFeaturesRequest) -> list[int]:
    """Return the numbers of a message's questions."""
    return [message.number, *(one.number for one in message.also)]


@pytest.mark.parametrize("count", [0, 1, 5, MOST, 200])
def test_every_question_is_sent_once_and_in_order(count: int) -> None:
    """However they fall together, and never more in one message than it may hold."""
    sent = []
    for message in together(questions(count), threading.Event()):
        sent.append(numbers(message))
        time.sleep(0.001)

    assert [number for message in sent for number in message] == list(range(count))
    assert all(len(message) <= MOST for message in sent)
    assert len(sent) < 200 or count < 200


def test_what_is_ready_travels_together() -> None:
    """While one message is on its way the next questions gather."""
    messages = together(questions(3 * MOST), threading.Event())
    next(messages)
    time.sleep(0.2)

    assert len(numbers(next(messages))) > 1


def test_a_question_alone_does_not_wait_for_company() -> None:
    """The next is asked for only after the answer to the last: each is sent by itself."""
    gate = threading.Semaphore(1)

    def one_at_a_time() -> Iterator[StreamFeaturesRequest]:
        for question in questions(5):
            assert gate.acquire(timeout=10.0)
            yield question

    sent = []
    for message in together(one_at_a_time(), threading.Event()):
        sent.append(numbers(message))
        gate.release()

    assert sent == [[0], [1], [2], [3], [4]]


def test_what_taking_questions_raises_comes_after_those_before_it() -> None:
    """A fault of the caller's own is the caller's to see, and loses no question before it."""

    def broken() -> Iterator[StreamFeaturesRequest]:
        yield from questions(3)
        raise LookupError("no more sensors")

    sent: list[int] = []

    def send() -> None:
        for message in together(broken(), threading.Event()):
            sent.extend(numbers(message))

    with pytest.raises(LookupError, match="no more sensors"):
        send()

    assert sent == [0, 1, 2]


def test_once_it_is_over_nothing_more_is_taken() -> None:
    """An endless supply ends with the stream, and its thread with it."""
    over, taken = threading.Event(), [0]

    def endless() -> Iterator[StreamFeaturesRequest]:
        while True:
            taken[0] += 1
            yield StreamFeaturesRequest(number=taken[0])

    messages = together(endless(), over)
    next(messages)
    over.set()

    assert list(messages) == []
    assert not any(thread.name == "questions" and _goes_on(thread) for thread in threading.enumerate())
    assert taken[0] < 10 * MOST


def _goes_on(thread: threading.Thread) -> bool:
    thread.join(5.0)
    return thread.is_alive()


def test_answers_that_came_together_are_told_apart() -> None:
    """Each by itself, in the order of the questions."""
    first = StreamFeaturesResponse(number=1, also=[StreamFeaturesResponse(number=n) for n in (2, 3)])

    assert [one.number for one in apart([first, StreamFeaturesResponse(number=4)])] == [1, 2, 3, 4]
