"""What several servers say of something they vote on: the latest vote counts, once most have spoken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, as_completed
from contextlib import suppress
from threading import Thread
from typing import TypeVar

from lineshaft.errors import UnavailableError

T = TypeVar("T")


def latest(asks: Sequence[Callable[[], tuple[int, T]]], *, budget_s: float) -> T:
    """Ask all at once, each for the number of a vote and what it decided.

    One that was cut off from the others may know the vote before only: most are waited for, as long as there is time.
    Raises `UnavailableError` where nobody answers in time, with what the first of those said who refused.

    >>> latest([lambda: (1, "left"), lambda: (2, "right")], budget_s=1.0)
    'right'
    """
    heard: list[tuple[int, T]] = []
    refused: list[UnavailableError] = []
    with suppress(TimeoutError):
        for answer in as_completed([_asked(ask) for ask in asks], timeout=budget_s):
            try:
                heard.append(answer.result())
            except UnavailableError as error:
                refused.append(error)
            if len(heard) > len(asks) // 2:
                break
    if not heard:
        raise refused[0] if refused else UnavailableError("nobody answers in time")
    return max(heard, key=lambda one: one[0])[1]


def _asked(ask: Callable[[], T]) -> Future[T]:
    answer: Future[T] = Future()

    def work() -> None:
        try:
            answer.set_result(ask())
        except Exception as error:  # noqa: BLE001 - handed to whoever waits
            answer.set_exception(error)

    Thread(target=work, name="vote", daemon=True).start()
    return answer
