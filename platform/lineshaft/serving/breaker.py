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
    >>> breaker.failed(), breaker.state, breaker.allows()
    (True, 'open', False)
    >>> now[0] = 1.0
    >>> breaker.allows(), breaker.allows()
    (True, False)
    >>> breaker.succeeded(), breaker.state
    (1.0, 'closed')
    """

    def __init__(self, *, most: int = 2, rest_s: float = 0.2, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._rest_s = rest_s
        self._clock = clock
        self._lock = threading.Lock()
        self._failures, self._since_s = 0, 0.0
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

    def succeeded(self) -> float | None:
        """Say that an answer came; return for how many seconds none had if this closes it, None otherwise."""
        if not self._failures:
            return None
        with self._lock:
            away_s = None if self._until_s is None else self._clock() - self._since_s
            self._failures, self._until_s, self._trying = 0, None, False
            return away_s

    def undecided(self) -> None:
        """Say that nothing was learnt: the caller had too little time."""
        with self._lock:
            self._trying = False

    def failed(self) -> bool:
        """Say that none came; tell whether this opens it."""
        with self._lock:
            now_s, closed = self._clock(), self._until_s is None
            if not self._failures:
                self._since_s = now_s
            self._failures += 1
            self._trying = False
            if self._failures < self._most:
                return False
            self._until_s = now_s + self._rest_s
            return closed
