"""Watches: an answer at once, and another each time it changes, no faster than its reader reads or has agreed to."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from lineshaft.access.guard import Caller
from lineshaft.errors import InputError, RateError
from lineshaft.serving.answers import Answers
from lineshaft.serving.change_board import ChangeBoard, Waiter
from lineshaft.serving.features import Asked, Served
from lineshaft.tiles.answer import UNKNOWN_AGE_US, oldest_us
from lineshaft.tiles.keys import Keys

T = TypeVar("T")

MOST_WATCHED = 1000
"""Most entities of one watch: what is looked at without a thread."""
_TOLD_S, _UNTOLD_S, _DEGRADED_S = 1.0, 0.25, 0.2
"""How long nobody looks where changes are told, where they are not, and where the store is away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Least seconds between two answers, most seconds of silence; raises `InputError` for what is out of bounds."""

    least_s: float = 0.05
    silence_s: float = 5.0

    def __post_init__(self) -> None:
        """Check the bounds."""
        for what, value, least in (("between answers", self.least_s, 0.001), ("of silence", self.silence_s, 0.1)):
            if not least <= value <= 60.0:
                raise InputError(f"{value:g} s {what}", fix=f"give {least:g} to 60 seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """The one way to watch: looks are not counted nor logged, what is said is."""

    answers: Answers
    board: ChangeBoard

    async def of(
        self, asked: Asked, entities: Keys, convert: Callable[[Served], T], *, pace: Pace, caller: Caller
    ) -> AsyncIterator[T | None]:
        """Yield the answer about entities now and after each change, None where nothing was said for long.

        A change is another row, status, version or way of being known (`degraded`), not the passing of time. Nothing is
        queued: what changes while the reader is slow is in the next answer.
        """
        if entities.num_rows > MOST_WATCHED:
            what = f"{entities.num_rows} entities in one watch; the most is {MOST_WATCHED}"
            raise InputError(what, fix="watch in several streams, or ask")
        limit_s, looking = self.answers.timeout_s, _quiet(self.answers)
        with self.board.waiting() as waiter:
            said, said_s, answered_s = b"", time.monotonic(), 0.0
            while True:
                told_s = waiter.take()
                if told_s is None:
                    served = await looking.of(asked, entities, _as_is, limit_s=limit_s, caller=caller)
                if told_s is not None or state_of(served) != said:
                    caller = await _admitted(caller, waiter) if said else caller
                    served, reply = await self.answers.of(
                        asked, entities, lambda served: (served, convert(served)), limit_s=limit_s, caller=caller
                    )
                    state = state_of(served)
                    if state != said:
                        said, said_s = state, time.monotonic()
                        answered_s = said_s
                        self._count(served, told_s)
                        yield reply
                elif time.monotonic() - said_s >= pace.silence_s:
                    caller, said_s = await _admitted(caller, waiter), time.monotonic()
                    yield None
                self.board.watch(waiter, served.plan, entities)
                now_s = time.monotonic()
                rest_s = min(self._rest_s(served), said_s + pace.silence_s - now_s)
                await waiter.wait(least_s=answered_s + pace.least_s - now_s, most_s=max(rest_s, 0.001))

    def _rest_s(self, served: Served) -> float:
        """Return for how long nobody needs to look, unless something is told: until the next row becomes stale."""
        if served.degraded:
            return _DEGRADED_S
        rest_s = _TOLD_S if self.board.told else _UNTOLD_S
        for view in served.plan.views:
            limit_us, ages_us = oldest_us(view, served.plan.service.max_age_us), served.answer.age_us[view.name]
            if limit_us and (fresh := ages_us[(ages_us != UNKNOWN_AGE_US) & (ages_us <= limit_us)]).size:
                rest_s = min(rest_s, (limit_us - int(fresh.max()) + 1) / 1e6)
        return rest_s

    def _count(self, served: Served, told_s: float | None) -> None:
        if self.answers.metrics is not None:
            delay_s = None if told_s is None else time.perf_counter() - told_s
            self.answers.metrics.watched(served.plan.service.name, delay_s)


def state_of(served: Served) -> bytes:
    """Return a hash of what an answer says, apart from the moment it is about: 16 bytes, whatever its size."""
    answer = served.answer
    head = repr((served.plan.versions, answer.sheet.names, served.degraded))
    state = hashlib.blake2b(head.encode(), digest_size=16)
    state.update(answer.status.tobytes())
    for age_us in answer.age_us.values():
        state.update(np.where(age_us == UNKNOWN_AGE_US, age_us, served.at_us - age_us).tobytes())
    for block in answer.sheet.parts.blocks:
        values = block.values if block.valid is None else block.withheld(block.valid).values
        state.update(values.tobytes())
    for column in answer.sheet.parts.loose.values():
        state.update(repr(column.to_pylist()).encode())
    return state.digest()


def _quiet(answers: Answers) -> Answers:
    return replace(answers, features=replace(answers.features, log=None), metrics=None)


def _as_is(served: Served) -> Served:
    return served


async def _admitted(caller: Caller, waiter: Waiter) -> Caller:
    """Return who it is by now; one who is told too much for its rate is told later, of what is true then."""
    while True:
        try:
            return caller.again()
        except RateError as error:
            await waiter.wait(least_s=error.retry_ms / 1e3, most_s=0.0)
