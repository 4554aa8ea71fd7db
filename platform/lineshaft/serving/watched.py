"""What a watcher reads: answers as they come, from one server after another, an error where none speaks any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc

from lineshaft.rpc.v1 import features_pb2

SILENCES = 3
"""How many silences as long as agreed on mean that a server is lost."""


def listened(call: Any, *, most_s: float) -> Iterator[features_pb2.GetFeaturesResponse]:
    """Yield the answers of a watch; ends it where the server says nothing for `most_s` while its reader waits."""
    listening = _Listening(call, most_s)
    try:
        while True:
            with listening:
                message = next(call, None)
            if message is None:
                return
            if message.HasField("response"):
                yield message.response
    finally:
        call.cancel()
        listening.close()


class _Listening:
    """Cancels a call that says nothing for too long; the time its reader spends with an answer does not count."""

    def __init__(self, call: Any, most_s: float) -> None:
        self._call, self._most_s = call, most_s
        self._since_s: float | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def __enter__(self) -> None:
        self._since_s = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._since_s = None

    def close(self) -> None:
        """End the thread."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(self._most_s / 4):
            since_s = self._since_s
            if since_s is not None and time.monotonic() - since_s > self._most_s:
                self._call.cancel()
                return


def may_go_on(error: Any) -> bool:
    """Tell whether a watch ended because its server stops or went away: another may answer."""
    return error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
