"""What takes long to find out, found out beside the pages: a page shows what was found last, and says when that was."""

from __future__ import annotations

import contextvars
import logging
import math
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from lineshaft.clock import Clock
from lineshaft.errors import LineshaftError

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
_MOST_HELD = 400
_SHARE = 20
"""Looking again takes a twentieth of a core at most: who took a second is asked again after twenty."""


_WAITED_S: contextvars.ContextVar[list[float]] = contextvars.ContextVar("_WAITED_S")


def begin_page() -> None:
    """Let the looks of one page share one patience, from now on."""
    _WAITED_S.set([0.0])


def begin_without_waiting() -> None:
    """Let the looks of what follows begin, and wait for none."""
    _WAITED_S.set([math.inf])


@dataclass(frozen=True, slots=True, kw_only=True)
class Look(Generic[T]):
    """What was found and when; nothing yet while it is looked for the first time, or why it cannot be found."""

    value: T | None = None
    at_us: int | None = None
    error: LineshaftError | None = None
    due_us: int = 0

    @property
    def waiting(self) -> bool:
        """Tell whether nothing was found yet."""
        return self.value is None and self.error is None


class Looks:
    """Looks by their keys. A page waits for `patience_s` at most, and is told what was known before.

    >>> from lineshaft.clock import ManualClock
    >>> looks = Looks(ManualClock(time_us=5), patience_s=10)
    >>> looks.at("answer", lambda: 42).value
    42
    >>> looks.close()
    """

    def __init__(self, clock: Clock, *, patience_s: float = 0.15) -> None:
        self._clock, self._patience_s = clock, patience_s
        self._held: dict[Hashable, Look[Any]] = {}
        self._running: dict[Hashable, Future[None]] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="admin page looks")

    def at(self, key: Hashable, make: Callable[[], T], *, fresh_s: float = 5.0, patient: bool = True) -> Look[T]:
        """Return what `make` found, at most `fresh_s` old unless finding it takes long.

        patient: wait for it a little; otherwise return at once.
        """
        with self._lock:
            held = self._held.get(key)
            running = self._running.get(key)
            due = held is None or self._clock.now_us() >= held.due_us
            if due and running is None:
                running = self._pool.submit(self._look, key, make, fresh_s)
                self._running[key] = running
        if due and running is not None and patient:
            self._wait(running)
        return cast("Look[T]", self._held.get(key, Look()))

    def known(self, key: Hashable) -> Look[Any]:
        """Return what was found, without looking for it."""
        return self._held.get(key, Look())

    def forget(self, key: Hashable) -> None:
        """Look anew when somebody asks next: what was found has changed."""
        with self._lock:
            self._held.pop(key, None)

    def close(self) -> None:
        """Look for nothing more."""
        self._pool.shutdown(cancel_futures=True)

    def _wait(self, running: Future[None]) -> None:
        """Wait for as long as the page that asks has patience left."""
        waited = _WAITED_S.get([0.0])
        began = time.perf_counter()
        wait([running], timeout=max(0.0, self._patience_s - waited[0]))
        waited[0] += time.perf_counter() - began

    def _look(self, key: Hashable, make: Callable[[], Any], fresh_s: float) -> None:
        at_us, began = self._clock.now_us(), time.perf_counter()
        before = self._held.get(key, Look())
        try:
            value, error = make(), None
        except LineshaftError as fault:
            value, error = before.value, fault
        except Exception:  # noqa: BLE001 - a page must not wait for ever for what failed
            _LOG.exception("a look for %s failed", key)
            value, error = before.value, LineshaftError("this could not be read", fix="see the log of the admin page")
        pause_s = max(fresh_s, _SHARE * (time.perf_counter() - began))
        found = Look(value=value, at_us=at_us, error=error, due_us=at_us + round(pause_s * 1e6))
        with self._lock:
            self._held.pop(key, None)
            self._held[key] = found
            while len(self._held) > _MOST_HELD:
                self._held.pop(next(iter(self._held)))
            self._running.pop(key, None)
