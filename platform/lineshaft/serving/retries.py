"""How often a client asks again: a little, and not at all when most calls fail."""

from __future__ import annotations

import threading


class RetryBudget:
    """Tokens as gRPC's retry throttling has them: a failure takes one, a success gives a tenth of one back.

    While at most half of them are left nothing is asked again, so that a server with too many callers gets no more.
    (gRPC proposal A6, client retries.)

    >>> budget = RetryBudget(tokens=2.0)
    >>> budget.failed(), budget.failed()
    (False, False)
    """

    def __init__(self, *, tokens: float = 10.0, earned: float = 0.1) -> None:
        self._most = tokens
        self._left = tokens
        self._earned = earned
        self._lock = threading.Lock()

    def failed(self) -> bool:
        """Note that a call was lost; tell whether it may be asked again."""
        with self._lock:
            self._left = max(self._left - 1.0, 0.0)
            return self._left > self._most / 2

    def succeeded(self) -> None:
        """Note that a call was answered."""
        if self._left < self._most:
            with self._lock:
                self._left = min(self._left + self._earned, self._most)
