"""Answer features, without knowing how the question came in."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lineshaft.access.guard import LOCAL, Caller
from lineshaft.clock import Clock
from lineshaft.errors import InputError, UnavailableError
from lineshaft.ops.training_set import Chunk, answer, entity_keys, training_set
from lineshaft.registry.catalog_values import Catalog
from lineshaft.serving.breaker import Breaker
from lineshaft.serving.references import service_of
from lineshaft.specs import Service, View
from lineshaft.stores.ports import Found, OfflineStore, OnlineStore, PromptStore, RememberingStore, Wanted
from lineshaft.stores.servers import PartlyAwayError
from lineshaft.tiles.answer import Answer
from lineshaft.tiles.buffers import repeated
from lineshaft.tiles.keys import Keys, table_of

_LOG = logging.getLogger(__name__)

MAX_ROWS = 10_000
"""Most entities of one request: what fits into a deadline, and keeps one caller from starving the others."""

MOST_AT_ONCE = 1000
"""Most entities that are answered without a thread: about 3 ms during which other calls wait."""

_LOST = (
    "the online store does not answer from now on: %s; callers get the rows last read, degraded, or UNAVAILABLE where "
    "none are known; it is asked again by itself"
)
_MOST_PINNED = 256
_MOST_MADE = 1024

Asked: TypeAlias = str | tuple[str, ...]
"""What a question is about: the name of a service, or references to features, each `view:feature`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A service made ready once: its views in the versions it pins, its join keys, its columns.

    `owned`, of features referred to: their views as they are worded today, for whose they are.
    """

    service: Service
    views: tuple[View, ...]
    versions: tuple[str, ...]
    join_keys: Mapping[str, str]  # name to dtype, over all views
    owned: tuple[View, ...] = ()

    @property
    def columns(self) -> list[str]:
        """Return the names of an answer's columns, in order."""
        stored = [f"{used.view}__{feature}" for used in self.service.views for feature in used.features]
        computed = [f"{demand.name}__{f.name}" for demand in self.service.on_demand for f in demand.features]
        return stored + computed


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """An answer, the plan it came from, the moment it is about, and whether older knowledge stood in.

    store_s: seconds that its rows took to come, from the server or from this process's memory; from `read_at_s` on, by
    `perf_counter`.
    """

    answer: Answer
    plan: Plan
    at_us: int
    degraded: bool = False
    store_s: float = 0.0
    read_at_s: float = 0.0


class ServedSink(Protocol):
    """Where answers are noted."""

    def append(
        self, served: Served, *, entities: pa.Table | Keys, found: Sequence[Found], at_us: NDArray[np.int64]
    ) -> None:
        """Note one answer and what it was made from, without waiting and without fail."""
        ...


@dataclass(slots=True, kw_only=True)
class Plans:
    """Plans by what is asked; the catalogue is asked again after `refresh_s`, so `apply` shows without a restart.

    One caller asks, on a thread that may wait; the others go on with the plan they know. A catalogue that does not
    answer changes nothing: what was known is served on.
    """

    catalog: Catalog
    refresh_s: float = 5.0
    _asking: threading.Lock = field(default_factory=threading.Lock)
    _made: dict[Asked, tuple[float, Plan]] = field(default_factory=dict)
    _pinned: dict[int, Plan] = field(default_factory=dict)

    def of(self, asked: Asked) -> Plan:
        """Return the plan of a service or of references; raises `NotFoundError` for a name that there is not."""
        known = self.known(asked)
        if known is not None:
            return known
        made = self._made.get(asked)
        if made is None:
            return self._ask(asked, None)
        if not self._asking.acquire(blocking=False):
            return made[1]
        try:
            return self._ask(asked, made[1])
        except UnavailableError as error:
            _LOG.warning("definitions stay as they are: %s", error.what)
            self._made[asked] = time.monotonic() + self.refresh_s, made[1]
            return made[1]
        finally:
            self._asking.release()

    def known(self, asked: Asked) -> Plan | None:
        """Return a plan if the catalogue need not be asked for it, or is being asked by somebody else."""
        made = self._made.get(asked)
        return made[1] if made is not None and (made[0] > time.monotonic() or self._asking.locked()) else None

    def _ask(self, asked: Asked, before: Plan | None) -> Plan:
        service = self.catalog.service(asked) if isinstance(asked, str) else service_of(self.catalog, asked)
        made = self.make(service)  # also where the service is the same: a time to live makes no new version of a view
        if not isinstance(asked, str):
            made = replace(made, owned=tuple(self.catalog.view(view.name) for view in made.views))
        plan = before if before is not None and before == made else made  # codecs hang on the object
        if len(self._made) >= _MOST_MADE:  # references come in any number of combinations
            self._made.clear()
        self._made[asked] = time.monotonic() + self.refresh_s, plan
        return plan

    def all(self) -> list[Plan]:
        """Return the plan of every service, by name."""
        return [self.of(service.name) for service in self.catalog.services()]

    def pinned(self, service: Service) -> Plan:
        """Return the plan of a service as a model pins it, whatever the catalogue calls by its name today."""
        plan = self.held(service)
        if plan is None:
            if len(self._pinned) >= _MOST_PINNED:
                self._pinned.clear()
            plan = self._pinned[id(service)] = self.make(service)  # the plan holds the service: its id stays its own
        return plan

    def held(self, service: Service) -> Plan | None:
        """Return the plan of a service as a model pins it, if it was made before."""
        return self._pinned.get(id(service))

    def make(self, service: Service) -> Plan:
        """Make a service ready; raises `NotFoundError` when a view version of it is gone."""
        views = tuple(self.catalog.view(used.view, used.version) for used in service.views)
        join_keys = {name: dtype for view in views for name, dtype in view.entity_keys}
        versions = tuple(used.version for used in service.views)
        return Plan(service=service, views=views, versions=versions, join_keys=join_keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureHandler:
    """Answer a service from the online store: one round trip, then the same `answer()` as training sets."""

    plans: Plans
    online: OnlineStore
    clock: Clock
    max_rows: int = MAX_ROWS
    breaker: Breaker = field(default_factory=Breaker)
    patience_s: float = 0.02
    """A store that does not answer within less than this may be well."""
    log: ServedSink | None = None
    _prompt: PromptStore | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Look once, not once a call, whether the online store can be asked without a thread to wait on."""
        prompt = self.online if isinstance(self.online, PromptStore) else None
        object.__setattr__(self, "_prompt", prompt)

    def get(
        self,
        asked: Asked,
        entities: pa.Table | Keys,
        *,
        at_us: int | None = None,
        budget_s: float | None = None,
        caller: Caller = LOCAL,
    ) -> Served:
        """Return the newest values of what is asked for, for each entity row, in order, if the caller may read it.

        at_us: the moment ages and times to live are counted to; the present unless given. budget_s: the most time the
        online store may take. Where it cannot be asked, the rows last read by this process stand in, and the answer
        is `degraded`. Raises `NotFoundError`, `ForbiddenError`, `InputError`, or `UnavailableError` when no row is
        known either.
        """
        plan = self.plans.of(asked)
        must_read(caller, asked, plan)
        moment = self.clock.now_us() if at_us is None else at_us
        times = repeated(np.int64(moment), entities.num_rows)
        return self._serve(plan, entities, times, budget_s)

    def get_at_once(
        self,
        asked: Asked,
        entities: pa.Table | Keys,
        *,
        at_us: int | None = None,
        budget_s: float = 1.0,
        caller: Caller = LOCAL,
    ) -> Served | None:
        """Return what `get` returns if nothing has to be waited for; None where `get` is to be called, on a thread."""
        plan = self.plans.known(asked)
        if plan is None:
            return None
        must_read(caller, asked, plan)
        moment = self.clock.now_us() if at_us is None else at_us
        return self._at_once(plan, entities, repeated(np.int64(moment), entities.num_rows), budget_s)

    def attend(self) -> None:
        """Keep the online store ready for the next call; called many times a second, never waits."""
        if self._prompt is not None:
            self._prompt.attend()

    def answer(self, service: Service, keys: pa.Table | Keys, *, at_us: NDArray[np.int64]) -> Served:
        """Answer a service with the view versions it names: what a model pins.

        at_us: int64 microseconds, one for each entity row.
        """
        return self._serve(self.plans.pinned(service), keys, at_us, None)

    def answer_at_once(
        self, service: Service, keys: pa.Table | Keys, *, at_us: NDArray[np.int64], budget_s: float
    ) -> Served | None:
        """Return what `answer` returns if nothing has to be waited for; None where it is to be called, on a thread."""
        plan = self.plans.held(service)
        return None if plan is None else self._at_once(plan, keys, at_us, budget_s)

    def _at_once(
        self, plan: Plan, entities: pa.Table | Keys, at_us: NDArray[np.int64], budget_s: float
    ) -> Served | None:
        if entities.num_rows > MOST_AT_ONCE or self._prompt is None:
            return None
        if self.breaker.state != "closed":  # whoever tries does so on a thread
            budget_s = 0.0
        start = time.perf_counter()
        found = self._prompt.read_at_once(wanted_of(plan, entities), budget_s=budget_s)
        return None if found is None else self._served(plan, entities, found, at_us, read_at_s=start)

    def _serve(self, plan: Plan, entities: pa.Table | Keys, at_us: NDArray[np.int64], budget_s: float | None) -> Served:
        if entities.num_rows > self.max_rows:
            what = f"{entities.num_rows} entities in one request; the most is {self.max_rows}"
            raise InputError(what, fix="ask in several requests")
        wanted = wanted_of(plan, entities)
        start, degraded = time.perf_counter(), False
        try:
            found = self._read(wanted, budget_s)
        except UnavailableError:
            held = self.online.last_known(wanted) if isinstance(self.online, RememberingStore) else None
            if held is None:
                raise
            found, degraded = held, True
        return self._served(plan, entities, found, at_us, degraded=degraded, read_at_s=start)

    def _served(
        self,
        plan: Plan,
        entities: pa.Table | Keys,
        found: Sequence[Found],
        at_us: NDArray[np.int64],
        *,
        read_at_s: float,
        degraded: bool = False,
    ) -> Served:
        store_s = time.perf_counter() - read_at_s
        moment = int(at_us[0]) if len(at_us) else 0
        judged = answer(plan.service, plan.views, found, at_us, entities)
        served = Served(answer=judged, plan=plan, at_us=moment, degraded=degraded, store_s=store_s, read_at_s=read_at_s)
        if self.log is not None:
            self.log.append(served, entities=entities, found=found, at_us=at_us)
        return served

    def _read(self, wanted: Sequence[Wanted], budget_s: float | None) -> Sequence[Found]:
        """Ask the online store, unless it has just failed to answer; a short budget proves nothing about it."""
        if not self.breaker.allows():
            raise UnavailableError(
                "the online store did not answer a moment ago and is left alone for another",
                fix="check that its server runs; it is asked again by itself",
            )
        try:
            found = self.online.read(wanted, timeout_s=budget_s)
        except PartlyAwayError:  # of several servers; the store leaves alone those that do not answer
            self._answered()
            raise
        except UnavailableError as error:
            if budget_s is None or budget_s >= self.patience_s:
                if self.breaker.failed():
                    _LOG.warning(_LOST, error.what)
            else:
                self.breaker.undecided()
            raise
        except BaseException:
            self.breaker.undecided()
            raise
        self._answered()
        return found

    def _answered(self) -> None:
        """Let all ask the online store again; say so, once, if it had been given up."""
        if (away_s := self.breaker.succeeded()) is not None:
            _LOG.warning("the online store answers again, after %.1f s; answers are fresh", away_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSetHandler:
    """Answer a service from the offline store, at each entity row's own time."""

    plans: Plans
    offline: OfflineStore

    def get(
        self,
        service: str,
        entities: pa.Table,
        *,
        table_versions: Mapping[str, int] | None = None,
        caller: Caller = LOCAL,
    ) -> Iterator[tuple[Plan, Chunk]]:
        """Yield consecutive entity rows with their answers, in the order given, if the caller may read the service."""
        plan = self.plans.of(service)
        must_read(caller, service, plan)
        pins = dict(table_versions or {})
        for chunk in training_set(self.plans.catalog, self.offline, service, entities, versions=pins):
            yield plan, chunk


def must_read(caller: Caller, asked: Asked, plan: Plan) -> None:
    """Raise `ForbiddenError` unless the caller may read a service, or each view of features referred to."""
    if isinstance(asked, str):
        caller.must_read(plan.service)
        return
    for view in plan.owned or plan.views:
        caller.must_read(view)


def wanted_of(plan: Plan, entities: pa.Table | Keys) -> list[Wanted]:
    """Return what to ask the online store for; views keyed alike share their keys."""
    if isinstance(entities, Keys) and entities.numbers:
        _refuse_unread(plan, entities.numbers)
    wanted: list[Wanted] = []
    for view, used in zip(plan.views, plan.service.views, strict=True):
        for one in wanted:
            if one.view.entity_keys == view.entity_keys:
                keys = one.keys
                break
        else:
            fits = isinstance(entities, Keys) and entities.fit(view.entity_keys)
            keys = entities if fits else entity_keys(view, table_of(entities))
        wanted.append(Wanted(view=view, features=used.features, keys=keys))
    return wanted


def _refuse_unread(plan: Plan, numbers: Iterable[str]) -> None:
    """Raise `InputError` for numbers beside the keys that nothing asked for reads: they are not dropped in silence."""
    for name in numbers:
        if name in plan.join_keys:
            what = f"entity key {name!r} holds fractions, or nothing in some rows"
            raise InputError(what, fix="give every row its key: a text or a whole number")
        if name not in plan.service.request_fields:
            what = f"request data is given ({name}), and no on-demand feature asked for reads it"
            fields = ", ".join(plan.service.request_fields)
            raise InputError(what, fix=f"leave it out; {f'what is read is {fields}' if fields else 'nothing is read'}")


def page(plans: Sequence[Plan], *, size: int, token: str) -> tuple[list[Plan], str]:
    """Return one page of services, by name, and the token of the next; the token is the last name seen."""
    rest = sorted((plan for plan in plans if plan.service.name > token), key=lambda plan: plan.service.name)
    size = size or 100
    return rest[:size], rest[size - 1].service.name if len(rest) > size else ""
