"""Time handed in, so that no result depends on when it was computed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tell the present as int64 microseconds UTC."""

    def now_us(self) -> int:
        """Return microseconds since 1970-01-01 UTC."""
        ...


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The machine's own clock."""

    def now_us(self) -> int:
        """Return microseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1000


@dataclass(slots=True)
class ManualClock:
    """A clock that a test moves by hand.

    >>> clock = ManualClock(time_us=5); clock.advance(seconds=1); clock.now_us()
    1000005
    """

    time_us: int = 0

    def now_us(self) -> int:
        """Return the time it was set to."""
        return self.time_us

    def advance(self, *, seconds: float) -> None:
        """Move forward."""
        self.time_us += round(seconds * 1_000_000)


def moment(at_us: int) -> str:
    """Return a time as people read it.

    >>> moment(0)
    '1970-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(at_us / 1e6, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
