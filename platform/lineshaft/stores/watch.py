"""Something that others decide and that may change at any time: asked for again and again while it is used."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

_ASK_S = 1.0


class Watch(Generic[T]):
    """What was last heard, and whoever is to be told when it changes.

    Nobody waits at a steady pace: it is asked for anew, on a thread of its own, when half of `lease_s` is over. Whoever
    comes when all of it is over waits for the answer, for as long as he has; where none comes, what was last heard
    holds on.

    >>> heard = iter(["left", "right"])
    >>> watch = Watch(lambda _: next(heard), changed=print, lease_s=0.0)
    >>> watch.now(1.0)
    'left'
    >>> watch.heed(1.0)
    right
    """

    def __init__(self, ask: Callable[[float], T], *, changed: Callable[[T], None], lease_s: float = 1.0) -> None:
        self._ask = ask
        self._changed = changed
        self._lease_s = lease_s
        self._heard: T | None = None
        self._heard_s = -1e9
        self._asking: threading.Event | None = None
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self.error: Exception | None = None
        """Why the last question was not answered."""

    def heed(self, budget_s: float) -> None:
        """Make sure that what was heard is not older than the lease, if that can be known within the time given."""
        age_s = time.monotonic() - self._heard_s
        if age_s > self._lease_s / 2:
            answered = self._start()
            if age_s > self._lease_s:
                answered.wait(budget_s)

    def now(self, budget_s: float) -> T:
        """Return what was last heard, asked for again if that is long ago; raises `TimeoutError` where nothing was."""
        self.heed(budget_s)
        if self._heard is None:
            raise self.error.with_traceback(None) if self.error is not None else TimeoutError
        return self._heard

    def doubt(self) -> None:
        """Take what was heard as old: it turned out not to hold."""
        self._heard_s = -1e9

    def _start(self) -> threading.Event:
        """Ask on a thread of its own, unless that is being done; return what is set when it is over."""
        with self._lock:
            if self._pid != os.getpid():
                self._asking, self._pid = None, os.getpid()
            if self._asking is None:
                self._asking = threading.Event()
                threading.Thread(target=self._hear, args=(self._asking,), name="watch", daemon=True).start()
            return self._asking

    def _hear(self, answered: threading.Event) -> None:
        asked_s = time.monotonic()
        try:
            heard = self._ask(_ASK_S)
        except Exception as error:  # noqa: BLE001 - whoever waits is told
            self.error = error
        else:
            before, self._heard = self._heard, heard
            self._heard_s, self.error = asked_s, None
            if before is not None and before != heard:
                self._changed(heard)
        finally:
            with self._lock:
                self._asking = None
            answered.set()
