"""Whether a server that was full came back empty: then a row that is not there is not known to be missing."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from lineshaft.errors import UnavailableError

_AGAIN_S, _LEARN_S = 0.1, 5.0


class Emptied:
    """Remember whether the server was once said to be filled (`mark_filled`), and notice when that mark is gone.

    `marked` asks the server for the mark. A server that was never said to be filled is believed as it is. Threads may
    share it: at worst two of them ask.
    """

    def __init__(self, marked: Callable[[], bool], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._marked, self._clock = marked, clock
        self._once = self._sure = False
        self._again_s = self._learn_s = 0.0

    def doubt(self) -> None:
        """Ask again before the next row is called missing: the server was lost, or emptied."""
        self._sure, self._again_s = False, 0.0

    def filled(self) -> None:
        """Note that the mark was made just now."""
        self._once = self._sure = True

    def learn(self) -> None:
        """Ask for the mark now and then as long as it was not seen; a server that does not answer is asked again."""
        now_s = self._clock()
        if self._once or now_s < self._learn_s:
            return
        self._learn_s = now_s + _LEARN_S
        with suppress(UnavailableError):
            self._once = self._marked()

    def __call__(self) -> bool:
        """Return whether the server has lost its rows and was not given all of them again, as far as can be told."""
        if self._sure:
            return False
        now_s = self._clock()
        if now_s < self._again_s:
            return True
        try:
            marked = self._marked()
        except UnavailableError:  # of several servers the one that has the mark may be away: nobody knows
            return self._once
        self._once = self._once or marked
        self._sure = marked or not self._once
        self._again_s = now_s + _AGAIN_S
        return not self._sure
