"""Served answers held against the offline store: what agrees, what is late, what is missing, and what was changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lineshaft.clock import ManualClock
from lineshaft.errors import UnavailableError
from lineshaft.ops.served import Audit
from lineshaft.ops.served_tally import Tally
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.serving.features import FeatureHandler, Plans
from lineshaft.serving.served_log import ServedAnswers
from lineshaft.specs import (
    Feature,
    OnDemandFeature,
    OnDemandView,
    Service,
    ServiceView,
    Source,
    Status,
    View,
    row_schema,
)
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.memory_online import MemoryOnlineStore
from lineshaft.stores.ports import Found, Wanted
from lineshaft.stores.served_log import ServedLog
from lineshaft.tiles.keys import Keys

SECOND_US = 1_000_000
NOW_US = 1_767_225_600 * SECOND_US
SOURCE = Source(name="s", channels=("x",), units=("g",))
KEY = (("asset_id", "string"),)
PUMPS = View(name="pumps", source=SOURCE, entity_keys=KEY, features=(Feature(name="rms"),), ttl_us=3600 * SECOND_US)
SITES = View(name="sites", source=SOURCE, entity_keys=KEY, features=(Feature(name="ambient"),))
SERVICE = Service(
    name="health",
    views=(
        ServiceView(view="pumps", version=PUMPS.version, features=("rms",)),
        ServiceView(view="sites", version=SITES.version, features=("ambient",)),
    ),
    on_demand=(
        OnDemandView(
            name="judged",
            features=(OnDemandFeature(name="over", function="ratio", inputs=("pumps__rms", "sites__ambient")),),
        ),
    ),
)
ASSETS = ("p0", "p1", "p2")


def rows_of(view: View, values: Sequence[float], *, at_us: int) -> pa.Table:
    """Return a row of each asset, known a second after it was true."""
    schema = row_schema(view)
    columns = (ASSETS, [at_us] * len(ASSETS), [at_us + SECOND_US] * len(ASSETS), values)
    return pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


@dataclass
class Store(MemoryOnlineStore):
    """An online store that can be away, and remembers what it knew."""

    away: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    def read(self, wanted: Sequence[Wanted], *, timeout_s: float | None = None) -> list[Found]:
        """Read, unless away."""
        if self.away:
            raise UnavailableError("away")
        return super().read(wanted, timeout_s=timeout_s)

    def last_known(self, wanted: Sequence[Wanted]) -> list[Found] | None:
        """Return what is there all the same."""
        return super().read(wanted)


@dataclass
class Plant:
    """Two stores, a served log and a clock to move."""

    log: ServedLog
    clock: ManualClock = field(default_factory=lambda: ManualClock(time_us=NOW_US))
    online: Store = field(default_factory=Store)
    offline: MemoryOfflineStore = field(default_factory=MemoryOfflineStore)
    written: int = 0

    def write(self, view: View, *values: float, online: bool = True, offline: bool = True, ago_s: int = 60) -> pa.Table:
        """Write a row of each asset."""
        self.written += 1
        rows = rows_of(view, values, at_us=NOW_US - ago_s * SECOND_US + self.written)
        if online:
            self.online.write(view, rows)
        if offline:
            self.store(view, rows)
        return rows

    def store(self, view: View, rows: pa.Table) -> None:
        """Commit rows offline."""
        self.written += 1
        self.offline.write_rows(view, rows, batch=str(self.written))

    def serve(self, *requests: Sequence[str], share: float = 1.0, at_us: int | None = None) -> None:
        """Answer some requests and log them."""
        catalog = FixedCatalog(all_views=(PUMPS, SITES), all_services=(SERVICE,))
        sink = ServedAnswers(self.log, clock=self.clock, share=share, every_s=60.0)
        handler = FeatureHandler(plans=Plans(catalog=catalog), online=self.online, clock=self.clock, log=sink)
        for assets in requests:
            handler.get("health", Keys({"asset_id": list(assets)}), at_us=at_us)
        sink.behind.close()
        assert sink.behind.lost == 0

    def audit(self, **changes: Any) -> Tally:
        """Check all that is logged."""
        nothing = Audit(
            offline=self.offline, held=lambda view: row_schema(view).empty_table(), now_us=self.clock.now_us()
        )
        return sum((tally for _, tally in replace(nothing, **changes).check(self.log)), Tally())

    def rows(self) -> pa.Table:
        """Return all rows of the log."""
        return pa.concat_tables([table for recipe in self.log.recipes() for table in self.log.read(recipe)])


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    """Return a plant of three pumps on three sites."""
    plant = Plant(ServedLog(str(tmp_path)))
    plant.write(PUMPS, 1.0, 2.0, 3.0)
    plant.write(SITES, 20.0, 21.0, 22.0)
    return plant


def test_what_was_served_is_made_again(plant: Plant) -> None:
    """Rows that are there, rows that are not, and values computed of both: every one is compared."""
    plant.serve(ASSETS, ["p1"], ["nobody", "p2"])

    counts = plant.audit().counts()

    assert (counts.pop("vectors"), counts.pop("values")) == (6, 18)
    assert set(counts.values()) == {0}


def test_ages_count_to_the_moment_asked_about(plant: Plant) -> None:
    """Asked about a moment long after the rows they are stale; made again they are stale as well."""
    plant.serve(ASSETS, at_us=NOW_US + 7200 * SECOND_US)

    assert plant.audit().equal
    assert set(plant.rows()["statuses"].combine_chunks().field("pumps__rms").to_pylist()) == {Status.STALE}


def test_the_time_to_live_is_the_one_it_was_served_by(plant: Plant) -> None:
    """A view that gets another one later changes nothing about what was right when it was served."""
    plant.serve(ASSETS)
    (recipe,) = plant.log.recipes()

    assert recipe.views[0].ttl_us == PUMPS.ttl_us
    again = replace(recipe, views=(replace(PUMPS, ttl_us=1), SITES))
    audit = Audit(offline=plant.offline, held=lambda view: row_schema(view).empty_table(), now_us=NOW_US)
    assert audit.check_rows(again, plant.rows()).differing == 6  # and with that of today it would not be right


def test_one_value_that_differs_is_told_with_all_that_follows_from_it(plant: Plant) -> None:
    """Entity, feature, what was served, what is made of the row now; other entities agree."""
    plant.serve(ASSETS)
    plant.offline = MemoryOfflineStore()
    plant.store(PUMPS, rows_of(PUMPS, (1.0, 2.0000000000000004, 3.0), at_us=NOW_US - 60 * SECOND_US + 1))
    plant.store(SITES, rows_of(SITES, (20.0, 21.0, 22.0), at_us=NOW_US - 60 * SECOND_US + 3))

    tally = plant.audit()

    told = [(one.entity, one.feature, one.served, one.recomputed) for one in tally.mismatches]
    assert told[0] == ({"asset_id": "p1"}, "pumps__rms", "2.0", "2.0000000000000004")
    assert [feature for _, feature, _, _ in told] == ["pumps__rms", "judged__over"]
    assert (tally.equal, tally.differing, tally.missing) == (False, 2, 0)


def test_a_row_not_offline_yet_is_no_mismatch_until_it_should_be(plant: Plant) -> None:
    """Served before it is committed it waits; when it never comes it is missing; when it comes it agrees."""
    late = plant.write(PUMPS, 4.0, 5.0, 6.0, offline=False)
    plant.serve(ASSETS)

    waiting = plant.audit()
    assert (waiting.equal, waiting.waiting, waiting.values) == (True, 3, 3)  # one value each, of the other view
    plant.clock.advance(seconds=3601)
    never = plant.audit()
    assert (never.equal, never.missing, never.waiting) == (False, 3, 0)
    assert {one.feature for one in never.mismatches} == {"pumps (row)"}
    plant.store(PUMPS, late)
    there = plant.audit()
    assert (there.equal, there.waiting, there.values) == (True, 0, 9)


def test_a_row_that_was_passed_over_is_missing_at_once(plant: Plant) -> None:
    """Once the offline store knows later rows of an entity, an earlier one is not on its way any more."""
    plant.write(PUMPS, 4.0, 5.0, 6.0, offline=False)
    plant.serve(ASSETS)
    plant.write(PUMPS, 7.0, 8.0, 9.0)

    tally = plant.audit()

    assert (tally.missing, tally.waiting) == (3, 0)


def test_a_row_that_a_checkpoint_took_back_is_counted_apart(plant: Plant) -> None:
    """Served before it was checked, then quarantined: no mismatch, and not on its way either."""
    refused = plant.write(PUMPS, 4.0, 5.0, 6.0, offline=False)
    plant.serve(ASSETS)
    plant.clock.advance(seconds=3601)

    tally = plant.audit(held=lambda view: refused if view == PUMPS else row_schema(view).empty_table())

    assert (tally.equal, tally.quarantined, tally.waiting, tally.missing) == (True, 3, 0, 0)


def test_an_answer_behind_what_was_known_is_counted(plant: Plant) -> None:
    """A newer row lay offline when it was served and had not reached the online store: right, and late."""
    plant.serve(["p0"])
    plant.write(PUMPS, 4.0, 5.0, 6.0, online=False)
    plant.serve(["p1", "nobody"])
    plant.write(PUMPS, 7.0, 8.0, 9.0, online=False, ago_s=-100)  # not known yet when it was served

    tally = plant.audit()

    assert (tally.equal, tally.behind) == (True, 2)  # the first was served at the same moment of the clock


def test_degraded_answers_are_checked_against_the_row_they_claim(plant: Plant) -> None:
    """Rows served from memory while the store is away are looked up like any other, and never called late."""
    plant.online.away = True
    plant.write(PUMPS, 4.0, 5.0, 6.0, online=False)
    plant.serve(ASSETS)

    tally = plant.audit()

    assert (tally.equal, tally.degraded, tally.values, tally.behind) == (True, 3, 9, 0)


def test_mismatches_are_listed_up_to_a_limit_and_counted_beyond_it(plant: Plant) -> None:
    """Thirty differing values are a number, and as many lines as are wanted."""
    plant.serve(*[ASSETS] * 5)
    plant.offline = MemoryOfflineStore()
    plant.store(PUMPS, rows_of(PUMPS, (9.0, 9.0, 9.0), at_us=NOW_US - 60 * SECOND_US + 1))
    plant.store(SITES, rows_of(SITES, (20.0, 21.0, 22.0), at_us=NOW_US - 60 * SECOND_US + 3))

    tally = plant.audit(most=4)

    assert (len(tally.mismatches), tally.differing) == (4, 30)


def test_only_what_was_served_since_a_moment_is_checked(plant: Plant) -> None:
    """Earlier answers are left out; nothing logged yields nothing."""
    audit = Audit(offline=plant.offline, held=lambda view: row_schema(view).empty_table(), now_us=NOW_US)
    assert list(audit.check(plant.log)) == []
    for _ in range(2):
        plant.serve(["p0"])
        plant.clock.advance(seconds=60)

    ((_, tally),) = audit.check(plant.log, since_us=NOW_US + 1)

    assert tally.vectors == 1


def test_a_share_of_all_answers_is_logged(plant: Plant) -> None:
    """Half of four hundred answers, give or take; each whole or not at all."""
    plant.serve(*[["p0", "p1"]] * 400, share=0.5)

    rows = plant.rows()

    assert 140 < rows.num_rows / 2 < 260
    assert len(pc.unique(rows["request_id"])) == rows.num_rows / 2
