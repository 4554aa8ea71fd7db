"""How often somebody may ask: a bucket for each, which fills at a steady rate."""

from __future__ import annotations

import time
from collections.abc import Callable

from lineshaft.errors import RateError

_MOST_HELD = 10_000


class Rates:
    """Buckets of `burst` calls that fill with `per_s` calls a second, one for each name.

    >>> moment = 0.0
    >>> rates = Rates(per_s=2.0, burst=1, now_s=lambda: moment)
    >>> rates.take("ana")
    >>> rates.take("ana")
    Traceback (most recent call last):
    lineshaft.errors.RateError: LS-RAT  more than 2 calls a second
      fix: ask again in 501 ms
    """

    def __init__(self, *, per_s: float, burst: int, now_s: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._burst, self._now_s = per_s, float(burst), now_s
        self._buckets: dict[str, tuple[float, float]] = {}  # what is left, and when that was

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, name: str) -> None:
        """Take one call; raises `RateError` where none is left, with the time until there is one."""
        now = self._now_s()
        left, since = self._buckets.get(name, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._per_s)
        if left < 1.0:
            wait_ms = int((1.0 - left) / self._per_s * 1000) + 1
            raise RateError(f"more than {self._per_s:g} calls a second", retry_ms=wait_ms)
        if len(self._buckets) >= _MOST_HELD:
            self._forget(now)
        self._buckets[name] = (left - 1.0, now)

    def _forget(self, now: float) -> None:
        """Drop the buckets that are full again: a new one is no different."""
        full_s = self._burst / self._per_s
        self._buckets = {name: held for name, held in self._buckets.items() if now - held[1] < full_s}
