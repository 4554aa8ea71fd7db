"""What a client holds back while its server refuses more than it answers: a call that is not sent costs nothing.

A refusal takes the server a twentieth of what an answer takes or more, so that five times as many calls as it can
answer take a fifth of it or more. Callers that see refusals send twice as many calls as are answered, and a few:
enough to notice at once that there is room again. (Beyer et al., Site Reliability Engineering, ch. 21, adaptive
throttling; there by chance, here in turn.)
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_SENT_FOR_EACH_ANSWER = 2.0
_FREE = 10
"""Refusals of a second or two that hold nothing back: whoever asks rarely is always heard."""


class Restraint:
    """Counts how calls ended, in this second and the one before; threads may share it.

    clock: seconds that only go forward.

    >>> one = Restraint(clock=lambda: 0.0)
    >>> for _ in range(40): one.note(answered=False)
    >>> [one.admits() for _ in range(8)]
    [False, False, False, False, True, False, False, False]
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._second = 0
        self._ended, self._answered = [0, 0], [0, 0]  # this second, the one before
        self._due = 0.0

    def admits(self) -> bool:
        """Tell whether the next call is to be sent; one that is not counts as ended."""
        with self._lock:
            self._turn()
            share = (_SENT_FOR_EACH_ANSWER * sum(self._answered) + _FREE) / max(sum(self._ended), 1)
            if share >= 1.0:
                return True
            self._due += share
            if self._due >= 1.0:
                self._due -= 1.0
                return True
            self._ended[0] += 1
            return False

    def note(self, *, answered: bool) -> None:
        """Note that a call was answered, or refused for want of room."""
        with self._lock:
            self._turn()
            self._ended[0] += 1
            self._answered[0] += answered

    def _turn(self) -> None:
        second = int(self._clock())
        if second != self._second:
            for counts in (self._ended, self._answered):
                counts[:] = [0, counts[0] if second == self._second + 1 else 0]
            self._second = second
