"""A server answers about nobody before it listens, so that no first caller waits for what is done once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lineshaft.clock import ManualClock
from lineshaft.errors import UnavailableError
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.serving.features import FeatureHandler, Plans
from lineshaft.serving.warming import warm
from lineshaft.specs import Feature, Service, ServiceView, Source, View
from lineshaft.stores.memory_online import MemoryOnlineStore
from lineshaft.stores.ports import Found, Wanted

VIEW = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"), ("stage", "int64")),
    features=(Feature(name="rms"),),
)
SERVICES = tuple(
    Service(name=name, views=(ServiceView(view="pumps", version=VIEW.version, features=("rms",)),))
    for name in ("health", "wear")
)


class AwayCatalog(FixedCatalog):
    """A catalogue that does not answer."""

    def services(self) -> tuple[Service, ...]:
        """Answer nothing."""
        raise UnavailableError("the database does not answer", fix="wait")


class Noting(MemoryOnlineStore):
    """A store that counts its reads, or is away."""

    def __init__(self, *, away: bool = False) -> None:
        super().__init__()
        self.away, self.reads = away, 0

    def read(self, wanted: Sequence[Wanted], *, timeout_s: float | None = None) -> list[Found]:
        """Count, and answer if it is there."""
        self.reads += 1
        if self.away:
            raise UnavailableError("the store does not answer", fix="wait")
        return super().read(wanted, timeout_s=timeout_s)


@dataclass
class Noted:
    """What a log of served answers was told."""

    answers: list[Any] = field(default_factory=list)

    def append(self, served: Any, **_: Any) -> None:
        """Note one."""
        self.answers.append(served)


def handler(online: Noting, *, log: Noted | None = None, catalog: type[FixedCatalog] = FixedCatalog) -> FeatureHandler:
    """Return a handler of two services."""
    plans = Plans(catalog=catalog(all_views=(VIEW,), all_services=SERVICES), refresh_s=3600.0)
    return FeatureHandler(plans=plans, online=online, clock=ManualClock(1), log=log)


def test_every_service_is_answered_and_nothing_is_logged() -> None:
    """Plans are made and the store is read, for keys of every type; the log of served answers hears nothing."""
    online, log = Noting(), Noted()
    features = handler(online, log=log)

    assert warm(features) == 2
    assert online.reads >= 2
    assert all(features.plans.known(service.name) is not None for service in SERVICES)
    assert log.answers == []


def test_a_store_that_is_away_holds_no_start_up() -> None:
    """Each service is tried once, and the server starts all the same."""
    online = Noting(away=True)

    assert warm(handler(online)) == 0
    assert online.reads <= 2


def test_a_catalogue_that_is_away_holds_no_start_up() -> None:
    """Nothing is known to be answered, and that is said, not raised."""
    assert warm(handler(Noting(), catalog=AwayCatalog)) == 0


def test_many_services_take_no_longer_than_allowed() -> None:
    """Where the time is over, the rest is left to its callers."""
    online = Noting()

    assert warm(handler(online), most_s=0.0) == 0
    assert online.reads == 0
