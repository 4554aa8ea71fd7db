"""From a question to its answer in whatever form it goes out: at once where possible, on a thread where it may wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from lineshaft.access.guard import Caller
from lineshaft.errors import EnvironmentFault, InputError, LineshaftError, UnavailableError
from lineshaft.ops.pushes import Pushed, Pushes
from lineshaft.ops.row_pushes import RowPushes
from lineshaft.serving import calls
from lineshaft.serving.features import Asked, FeatureHandler, Served
from lineshaft.sources.pushed import Columns
from lineshaft.tiles.keys import Keys

if TYPE_CHECKING:
    from lineshaft.serving.metrics import Metrics

T = TypeVar("T")

_TARGETS = frozenset({"", "online", "offline", "online_and_offline"})
_RESERVE_S = 0.002
"""Kept back of a caller's deadline for converting and sending the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The one way in for every contract: `timeout_s` is the most the online store may take."""

    features: FeatureHandler
    pool: Executor
    timeout_s: float
    metrics: Metrics | None = None

    async def of(
        self,
        asked: Asked,
        entities: Keys,
        convert: Callable[[Served], T],
        *,
        limit_s: float,
        at_us: int | None = None,
        caller: Caller,
    ) -> T:
        """Return what is asked for of entities, counted and converted, if the caller may read it."""
        plan = self.features.plans.known(asked)
        if plan is not None:  # also of a call that fails it is known what it was about
            calls.current().feature_service = plan.service.name
        at_once = self.features.get_at_once(asked, entities, at_us=at_us, budget_s=limit_s, caller=caller)
        if at_once is not None:  # the usual case: a thread's turn costs more than the answer
            return convert(self._counted(at_once))

        def work() -> T:
            served = self.features.get(asked, entities, at_us=at_us, budget_s=limit_s, caller=caller)
            return convert(self._counted(served))

        return await on(self.pool, work)

    async def take(self, pushes: Pushes | RowPushes | None, source: str, columns: Columns, *, caller: Caller) -> Pushed:
        """Take a push in, if the caller may write there, and count it."""
        if pushes is None:
            raise EnvironmentFault("this server takes nothing in", fix="push to one started by `lineshaft serve`")
        taken = await on(self.pool, lambda: pushes.push(source, columns, caller=caller))
        if self.metrics is not None:
            self.metrics.pushed(taken)
        return taken

    def refused(self, error: LineshaftError) -> None:
        """Count a question of a stream that was refused."""
        if self.metrics is not None:
            self.metrics.refused(calls.current().method, error.code)

    def _counted(self, served: Served) -> Served:
        call = calls.current()
        call.feature_service, call.degraded = served.plan.service.name, served.degraded
        call.read_at_s, call.read_s = served.read_at_s, served.store_s
        if self.metrics is not None:
            self.metrics.served(served)
        return served


def refuse_unknown_target(to: str) -> None:
    """Raise `InputError` for a store that Feast has no word for; whichever is named, features come to both."""
    if to not in _TARGETS:
        raise InputError(f"there is no store {to!r}", fix=f"write one of {', '.join(sorted(_TARGETS - {''}))}")


async def on(pool: Executor, work: Callable[[], T]) -> T:
    """Do work that may have to wait on a thread, so that no call waits behind another's store."""
    return await asyncio.get_running_loop().run_in_executor(pool, copy_context().run, work)


def budget_s(timeout_s: float, remaining_s: float | None) -> float:
    """Return what the online store may take: its own limit, or what the caller's deadline leaves.

    Raises `UnavailableError` when nothing is left.
    """
    if remaining_s is None:
        return timeout_s
    left = min(timeout_s, remaining_s - _RESERVE_S)
    if left <= 0:
        raise UnavailableError("the caller's deadline has passed", fix="allow more time, or ask for fewer entities")
    return left
