"""A circuit breaker: who did not answer is left alone for a moment, then asked by one caller, then by all again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal

State = Literal["closed", "open", "half-open"]


class Breaker:
    """Closed while all is well; open for `rest_s` after `most` failures in a row; then one caller tries.

    clock: seconds that only go forward.

    >>> now = [0.0]
    >>> breaker = Breaker(most=1, rest_s=1.0, clock=lambda: now[0])
    >>> breaker.failed(); breaker.state, breaker.allows()
    ('open', False)
    >>> now[0] = 1.0
    >>> breaker.allows(), breaker.allows()
    (True, False)
    >>> breaker.succeeded(); breaker.state
    'closed'
    """

    def __init__(self, *, most: int = 2, rest_s: float = 0.2, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._rest_s = rest_s
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._until_s: float | None = None
        self._trying = False

    @property
    def state(self) -> State:
        """Return what it does now."""
        if self._until_s is None:
            return "closed"
        return "open" if self._clock() < self._until_s else "half-open"

    def allows(self) -> bool:
        """Tell whether the caller may ask; who is allowed says afterwards what came of it."""
        if self._until_s is None:
            return True
        with self._lock:
            if self._trying or self.state != "half-open":
                return False
            self._trying = True
            return True

    def succeeded(self) -> None:
        """Say that an answer came."""
        if self._failures:
            with self._lock:
                self._failures, self._until_s, self._trying = 0, None, False

    def undecided(self) -> None:
        """Say that nothing was learnt: the caller had too little time."""
        with self._lock:
            self._trying = False

    def failed(self) -> None:
        """Say that none came."""
        with self._lock:
            self._failures += 1
            self._trying = False
            if self._failures >= self._most:
                self._until_s = self._clock() + self._rest_s
