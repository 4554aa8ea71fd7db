"""The feature handler, without any transport."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.clock import ManualClock
from lineshaft.errors import InputError, NotFoundError, UnavailableError
from lineshaft.serving.features import FeatureHandler, Plans, page
from lineshaft.specs import Feature, OnDemandView, Service, ServiceView, Source, Status, View, row_schema
from lineshaft.stores.memory_online import MemoryOnlineStore

OLD = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms"),),
    ttl_us=100,
)
NEW = replace(OLD, tile_us=120_000_000)


def service(view: View, name: str = "health") -> Service:
    """Return a service over one version of the view."""
    return Service(name=name, views=(ServiceView(view="pumps", version=view.version, features=("rms",)),))


@dataclass
class MovingCatalog:
    """A catalogue whose services change under the server."""

    current: dict[str, Service] = field(default_factory=lambda: {"health": service(OLD)})
    asked: int = 0
    away: bool = False
    ttl_us: int | None = None
    reached: threading.Event = field(default_factory=threading.Event)
    hangs: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        """Answer at once until told otherwise."""
        self.hangs.set()

    def view(self, name: str, version: str | None = None) -> View:
        """Return the version asked for."""
        view = {view.version: view for view in (OLD, NEW)}[version or NEW.version]
        return view if self.ttl_us is None else replace(view, ttl_us=self.ttl_us)

    def views(self) -> Sequence[View]:
        """Return the current version."""
        return [NEW]

    def on_demand_views(self) -> Sequence[OnDemandView]:
        """Return none."""
        return ()

    def service(self, name: str) -> Service:
        """Return a service by name."""
        self.asked += 1
        if self.away:
            raise UnavailableError("the database does not answer", fix="wait")
        if not self.hangs.is_set():
            self.reached.set()
            self.hangs.wait(10.0)
        if name not in self.current:
            raise NotFoundError(f"no service {name}")
        return self.current[name]

    def services(self) -> Sequence[Service]:
        """Return every service."""
        return list(self.current.values())


def handler(*, refresh_s: float = 60.0) -> tuple[FeatureHandler, MovingCatalog]:
    """Return a handler over a store with one row of each version, written at time 1000."""
    store = MemoryOnlineStore()
    for view, rms in ((OLD, 1.0), (NEW, 2.0)):
        schema = row_schema(view)
        columns = (["a"], [1000], [1001], [rms])
        store.write(view, pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema))
    catalog = MovingCatalog()
    plans = Plans(catalog=catalog, refresh_s=refresh_s)
    return FeatureHandler(plans=plans, online=store, clock=ManualClock(time_us=1050)), catalog


ASSETS = pa.table({"asset_id": ["a", "b"]})


def test_age_and_staleness_are_judged_at_the_time_asked() -> None:
    """The present is the clock's unless the request names a moment; beyond the ttl the value is withheld."""
    features, _ = handler()

    now, later = features.get("health", ASSETS), features.get("health", ASSETS, at_us=1101)

    assert now.answer.columns["pumps__rms"].to_pylist() == [1.0, None]
    assert (now.at_us, now.answer.age_us["pumps"].tolist()) == (1050, [50, -1])
    assert later.answer.status[:, 0].tolist() == [Status.STALE, Status.NOT_FOUND]
    assert later.answer.columns["pumps__rms"].to_pylist() == [None, None]


def test_the_catalogue_is_not_asked_at_every_request() -> None:
    """A plan is made once and used again until it is due."""
    features, catalog = handler()

    for _ in range(10):
        features.get("health", ASSETS)

    assert catalog.asked == 1


def test_a_changed_service_is_followed() -> None:
    """After the refresh time a service's new views answer, without a restart."""
    features, catalog = handler(refresh_s=0.0)
    before = features.get("health", ASSETS)
    catalog.current["health"] = service(NEW)

    after = features.get("health", ASSETS)

    assert before.answer.columns["pumps__rms"][0].as_py() == 1.0
    assert after.answer.columns["pumps__rms"][0].as_py() == 2.0
    assert after.plan.versions == (NEW.version,)


def test_a_changed_time_to_live_is_followed() -> None:
    """It makes no new version of its view or service, and counts after the refresh time all the same."""
    features, catalog = handler(refresh_s=0.0)
    before = features.get("health", ASSETS, at_us=1090)
    same = features.get("health", ASSETS, at_us=1090)
    catalog.ttl_us = 50

    after = features.get("health", ASSETS, at_us=1090)

    assert before.plan is same.plan
    assert [int(served.answer.status[0, 0]) for served in (before, after)] == [Status.PRESENT, Status.STALE]
    assert after.plan.versions == before.plan.versions


def test_a_service_that_is_gone_is_gone() -> None:
    """A name that the catalogue no longer has is refused, known or not."""
    features, catalog = handler(refresh_s=0.0)
    features.get("health", ASSETS)
    catalog.current = {}

    with pytest.raises(NotFoundError):
        features.get("health", ASSETS)


def test_a_catalogue_that_does_not_answer_changes_nothing() -> None:
    """What was known is served on, and followed again when the catalogue is back; what was not known fails."""
    features, catalog = handler(refresh_s=0.0)
    features.get("health", ASSETS)
    catalog.away = True
    without = features.get("health", ASSETS)
    with pytest.raises(UnavailableError):
        features.get("never asked", ASSETS)
    catalog.away, catalog.current["health"] = False, service(NEW)

    again = features.get("health", ASSETS)

    assert without.plan.versions == (OLD.version,)
    assert again.plan.versions == (NEW.version,)


def test_a_catalogue_that_hangs_holds_up_one_caller() -> None:
    """While one waits for it, the others are answered at once with what is known."""
    features, catalog = handler(refresh_s=0.0)
    features.get("health", ASSETS)
    catalog.hangs.clear()
    waiting = threading.Thread(target=features.get, args=("health", ASSETS))
    waiting.start()
    assert catalog.reached.wait(5.0)

    others = [features.get("health", ASSETS).plan.versions for _ in range(5)]
    still = waiting.is_alive()
    catalog.hangs.set()
    waiting.join()

    assert others == [(OLD.version,)] * 5
    assert still


def test_a_pinned_service_is_answered_as_pinned() -> None:
    """What a model pins is answered whatever the catalogue calls by that name today."""
    features, catalog = handler()
    catalog.current = {}

    served = features.answer(service(OLD), ASSETS, at_us=np.array([1050, 1050]))

    assert served.answer.columns["pumps__rms"].to_pylist() == [1.0, None]
    assert served.degraded is False


def test_too_many_entities_are_refused() -> None:
    """One request cannot starve the others."""
    features, _ = handler()

    with pytest.raises(InputError, match="most is 1"):
        replace(features, max_rows=1).get("health", ASSETS)


def test_an_unknown_service_is_not_found() -> None:
    """The catalogue's error reaches the caller."""
    features, _ = handler()

    with pytest.raises(NotFoundError):
        features.get("nothing", ASSETS)


def test_pages_join_to_the_whole_list() -> None:
    """Services come by name, each once, whatever the page size."""
    features, catalog = handler()
    catalog.current = {name: service(OLD, name) for name in ("c", "a", "b", "e", "d")}
    plans = features.plans.all()

    for size in (1, 2, 5, 0):
        names: list[str] = []
        token = ""
        while True:
            part, token = page(plans, size=size, token=token)
            names += [plan.service.name for plan in part]
            if not token:
                break
        assert names == ["a", "b", "c", "d", "e"]
