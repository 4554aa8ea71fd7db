"""Who waits for which rows, in one event loop: woken when the online store says that one of them was written."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager, suppress

from lineshaft.errors import UnavailableError
from lineshaft.serving.features import Plan, wanted_of
from lineshaft.stores.ports import Changes, TellingStore
from lineshaft.tiles.keys import Keys

_LOG = logging.getLogger(__name__)
_BEAT_S = 1.0


class Waiter:
    """One who waits. What is told meanwhile is not lost: the next wait ends at once."""

    def __init__(self, stopped: asyncio.Event) -> None:
        self._stopped = stopped
        self._woken = asyncio.Event()
        self._told_s: float | None = None
        self.plan: Plan | None = None
        self.names: tuple[bytes, ...] = ()

    def look(self) -> None:
        """End the wait: nobody knows whether anything changed."""
        self._woken.set()

    def tell(self, now_s: float) -> None:
        """End the wait: a row was written. The first time counts."""
        self._told_s = now_s if self._told_s is None else self._told_s
        self._woken.set()

    def take(self) -> float | None:
        """Return when it was told that a row was written, by `perf_counter`, and begin anew; None where it was not."""
        told_s, self._told_s = self._told_s, None
        self._woken.clear()
        return told_s

    async def wait(self, *, least_s: float, most_s: float) -> None:
        """Wait `least_s`, then until woken, `most_s` in all; raises `UnavailableError` when the server stops."""
        if least_s > 0:
            await _until(self._stopped, least_s)
        await _until(self._woken, most_s - max(least_s, 0.0))
        if self._stopped.is_set():
            raise UnavailableError("the server stops", fix="watch again: another answers, or this one when it is back")


async def _until(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(max(seconds, 0.0)):
            await event.wait()


class ChangeBoard:
    """Waiters by the rows they watch, and while there are any, a connection on which the store tells of rows.

    A store that tells nothing, or is away, wakes nobody: who waits looks again after a while in any case.
    """

    def __init__(self, store: object, pool: Executor) -> None:
        self._store = store if isinstance(store, TellingStore) else None
        self._pool = pool
        self._waiters: set[Waiter] = set()
        self._by_name: dict[bytes, set[Waiter]] = {}
        self._changes: Changes | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._stopped = asyncio.Event()

    @property
    def told(self) -> bool:
        """Tell whether changes are told now."""
        return self._changes is not None

    @property
    def rows(self) -> int:
        """Return how many different rows are watched."""
        return len(self._by_name)

    @contextmanager
    def waiting(self) -> Iterator[Waiter]:
        """Add somebody who waits."""
        waiter = Waiter(self._stopped)
        self._waiters.add(waiter)
        if self._keeping is None and self._store is not None:
            self._keeping = asyncio.get_running_loop().create_task(self._keep(self._store))
        try:
            yield waiter
        finally:
            self._waiters.discard(waiter)
            self._strike(waiter)

    def watch(self, waiter: Waiter, plan: Plan, entities: Keys) -> None:
        """Wake somebody when one of these rows changes, and once now: it may have changed since it was read."""
        if waiter.plan is plan:
            return
        self._strike(waiter)
        waiter.plan = plan
        if self._store is None:
            return
        waiter.names = tuple(self._store.names(wanted_of(plan, entities)))
        for name in waiter.names:
            self._by_name.setdefault(name, set()).add(waiter)
        self._follow([waiter])
        waiter.look()

    async def stop(self) -> None:
        """End every wait, for good."""
        self._stopped.set()
        self._wake()
        if self._keeping is not None:
            await self._keeping

    def _strike(self, waiter: Waiter) -> None:
        for name in waiter.names:
            watching = self._by_name.get(name)
            if watching is not None:
                watching.discard(waiter)
                if not watching:
                    del self._by_name[name]
        waiter.names = ()

    async def _keep(self, store: TellingStore) -> None:
        """Keep a connection as long as somebody waits."""
        loop = asyncio.get_running_loop()
        while self._waiters and not self._stopped.is_set():
            try:
                if self._changes is None:
                    self._changes = await loop.run_in_executor(self._pool, store.changes)
                    loop.add_reader(self._changes.fileno(), self._read)
                    self._follow(self._waiters)
                else:
                    self._changes.beat()
            except UnavailableError as error:
                self._lose(error)
            await _until(self._stopped, _BEAT_S)
        self._hang_up()
        self._keeping = None

    def _follow(self, waiters: Iterable[Waiter]) -> None:
        views = {view.ref: view for waiter in waiters if waiter.plan is not None for view in waiter.plan.views}
        try:
            if self._changes is not None and views:
                self._changes.follow(views.values())
        except UnavailableError as error:
            self._lose(error)

    def _read(self) -> None:
        if self._changes is None:
            return
        try:
            names = self._changes.poll()
        except UnavailableError as error:
            self._lose(error)
            return
        if names is None:
            self._wake()
            return
        now_s = time.perf_counter()
        for name in names:
            for waiter in self._by_name.get(name, ()):
                waiter.tell(now_s)

    def _lose(self, error: UnavailableError) -> None:
        if self._changes is not None:
            _LOG.warning("changes of rows are not told any more: %s", error.what)
        self._hang_up()
        self._wake()

    def _hang_up(self) -> None:
        if self._changes is not None:
            asyncio.get_running_loop().remove_reader(self._changes.fileno())
            self._changes.close()
            self._changes = None

    def _wake(self) -> None:
        for waiter in self._waiters:
            waiter.look()
