"""Again and again: each time that a schedule wants, until stopped; one that fails is told of and the next comes.

The one loop of `train --every`, `drift check --every`, `drift report --every` and `land --every`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lineshaft.clock import Clock, moment
from lineshaft.errors import LineshaftError
from lineshaft.ops.schedule import Schedule

Row = Mapping[str, Any]
_LOOK_S = 30.0
"""How often the clock is looked at: it may be set, and a machine may sleep."""


def nightly(
    night: Callable[[int], Sequence[Row]],
    schedule: Schedule,
    *,
    last_us: int | None,
    clock: Clock,
    stopping: threading.Event,
    tell: Callable[[Row], None],
) -> None:
    """Call `night` with each moment that is due after `last_us`, and tell what came of it, a line at a time."""
    if last_us is None:
        last_us = schedule.first_us(clock.now_us())
    while not stopping.is_set():
        now_us = clock.now_us()
        due_us = schedule.latest_us(last_us, now_us)
        if due_us <= last_us:
            stopping.wait(min(_LOOK_S, (due_us + schedule.every_us - now_us) / 1e6))
            continue
        last_us = due_us
        try:
            said = night(due_us)
        except LineshaftError as error:
            said = [{"outcome": "failed", "detail": error.what, "fix": error.fix}]
        except Exception as error:  # noqa: BLE001 - whatever it is, the next night comes
            said = [{"outcome": "failed", "detail": f"{type(error).__name__}: {error}"}]
        at, following = clock.now_us(), due_us + schedule.every_us
        for one in said:
            tell({"due": moment(due_us), "at": moment(at), **one, "next": moment(max(following, at))})
