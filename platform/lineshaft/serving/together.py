"""Questions on a stream that are ready at the same time travel in one message, and so do their answers.

A message costs gRPC in Python more than a question of one row costs the server. Nothing waits for company: a question
that is alone is sent alone.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from lineshaft.rpc.v1.features_pb2 import StreamFeaturesRequest, StreamFeaturesResponse

MOST = 32
"""Most questions of one message: what is answered at a stretch while other calls wait."""

_MOST_READY = 4 * MOST
_LOOK_S = 0.1
_Item: TypeAlias = StreamFeaturesRequest | BaseException | None


def together(questions: Iterable[StreamFeaturesRequest], over: threading.Event) -> Iterator[StreamFeaturesRequest]:
    """Yield questions in order, those that are ready at once in one message, until there are no more or it is `over`.

    They are taken by a thread of their own, some ahead of what is sent; what taking them raises is raised here.
    """
    ready: queue.Queue[_Item] = queue.Queue(_MOST_READY)
    threading.Thread(target=_take, args=(questions, ready, over), name="questions", daemon=True).start()
    held: deque[_Item] = deque()
    while not over.is_set():
        first = held.popleft() if held else _waited_for(ready, over)
        if isinstance(first, BaseException):
            raise first
        if first is None:
            return
        for more in _at_hand(ready):
            if not isinstance(more, StreamFeaturesRequest):  # the end, which comes after what is sent now
                held.append(more)
                break
            first.also.append(more)
            if len(first.also) == MOST - 1:
                break
        yield first


def _take(questions: Iterable[StreamFeaturesRequest], ready: queue.Queue[_Item], over: threading.Event) -> None:
    """Put questions into the queue, then their end: None, or what taking them raised."""
    try:
        for question in questions:
            if not _put(question, ready, over):
                return
    except BaseException as error:  # noqa: BLE001 - raised where the questions are sent
        _put(error, ready, over)
    else:
        _put(None, ready, over)


def _put(one: _Item, ready: queue.Queue[_Item], over: threading.Event) -> bool:
    while not over.is_set():
        try:
            ready.put(one, timeout=_LOOK_S)
        except queue.Full:
            continue
        return True
    return False


def _waited_for(ready: queue.Queue[_Item], over: threading.Event) -> _Item:
    while not over.is_set():
        try:
            return ready.get(timeout=_LOOK_S)
        except queue.Empty:
            continue
    return None


def _at_hand(ready: queue.Queue[_Item]) -> Iterator[_Item]:
    while True:
        try:
            yield ready.get_nowait()
        except queue.Empty:
            return


def apart(messages: Iterable[StreamFeaturesResponse]) -> Iterator[StreamFeaturesResponse]:
    """Yield each answer by itself, in order."""
    for message in messages:
        yield message
        yield from message.also
