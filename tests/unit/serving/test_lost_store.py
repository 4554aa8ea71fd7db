"""The log of a server whose online store is lost and found: a line each, however many calls it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pytest

from lineshaft.clock import ManualClock
from lineshaft.errors import UnavailableError
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.serving.breaker import Breaker
from lineshaft.serving.features import FeatureHandler, Plans
from lineshaft.specs import Feature, Service, ServiceView, Source, View
from lineshaft.stores.memory_online import MemoryOnlineStore
from lineshaft.stores.ports import Found, Wanted

VIEW = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms"),),
)
SERVICE = Service(name="health", views=(ServiceView(view="pumps", version=VIEW.version, features=("rms",)),))
ASKED = pa.table({"asset_id": ["a"]})


class Leaving(MemoryOnlineStore):
    """Rows in memory, behind a line that can be cut."""

    cut = False

    def read(self, wanted: Sequence[Wanted], *, timeout_s: float | None = None) -> list[Found]:
        """Answer unless the line is cut."""
        if self.cut:
            raise UnavailableError("the line is cut")
        return super().read(wanted, timeout_s=timeout_s)


@dataclass
class Plant:
    """A handler on such a store, with a breaker whose seconds are set by hand."""

    now_s: float = 0.0
    store: Leaving = field(default_factory=Leaving)

    def __post_init__(self) -> None:
        """Make the handler."""
        plans = Plans(catalog=FixedCatalog(all_views=(VIEW,), all_services=(SERVICE,)), refresh_s=3600.0)
        breaker = Breaker(most=2, rest_s=0.2, clock=lambda: self.now_s)
        self.handler = FeatureHandler(plans=plans, online=self.store, clock=ManualClock(), breaker=breaker)

    def ask(self, times: int, *, every_s: float = 0.1) -> int:
        """Ask again and again; return how often that failed."""
        failed = 0
        for _ in range(times):
            self.now_s += every_s
            try:
                self.handler.get("health", ASKED)
            except UnavailableError:
                failed += 1
        return failed


def test_a_store_lost_and_found_is_two_lines_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """What callers get while it is away, and why; then for how long it was away, from the first call that failed."""
    plant = Plant()
    assert plant.ask(3) == 0
    plant.store.cut = True
    assert plant.ask(50) == 50
    lost = caplog.messages
    plant.store.cut = False
    plant.ask(10)

    assert len(lost) == 1
    assert "does not answer from now on: the line is cut; callers get the rows last read, degraded" in lost[0]
    assert caplog.messages[1:] == ["the online store answers again, after 5.0 s; answers are fresh"]
    assert {record.levelname for record in caplog.records} == {"WARNING"}


def test_a_call_that_failed_by_itself_is_no_loss(caplog: pytest.LogCaptureFixture) -> None:
    """One failure opens nothing, and nothing is told; each loss after that is told anew."""
    plant = Plant()
    for failures, lines in ((1, 0), (2, 2), (1, 2), (3, 4)):
        plant.store.cut = True
        plant.ask(failures, every_s=0.3)
        plant.store.cut = False
        plant.ask(1, every_s=0.3)
        assert len(caplog.messages) == lines
