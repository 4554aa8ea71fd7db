"""A view gets a feature while a live model reads the old version: Flink computes both, and both are served."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lineshaft.clock import ManualClock
from lineshaft.definitions.diff import Plan, plan_changes
from lineshaft.definitions.reader import Definitions
from lineshaft.ops.jobs import Target
from lineshaft.ops.verify import check_offline, check_online, newest
from lineshaft.registry.catalog import SqlCatalog
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.models import open_registry
from lineshaft.registry.records import Verdict, ViewPin
from lineshaft.serving.features import FeatureHandler, Plans
from lineshaft.sources.checks import validate_blocks
from lineshaft.specs import Service, ServiceView, View
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.testing import oracle_rows, small_candidate
from lineshaft_flink.launch import FlinkJobs
from lineshaft_flink.rehearsal import EPOCH_US, MINUTE_US, SOURCE, Rehearsal, rehearsal_view

pytestmark = pytest.mark.heavy


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Run a Valkey of our own."""
    with EmbeddedValkey(tmp_path / "valkey") as valkey:
        yield valkey.url


def service(view: View) -> Service:
    """Return a service of everything in a view."""
    used = ServiceView(view=view.name, version=view.version, features=view.feature_names)
    return Service(name="health", views=(used,), team="a", owner="a@x")


def planned(catalog: SqlCatalog, view: View) -> Plan:
    """Plan that there is this view, and a service of it."""
    return plan_changes(Definitions(views=(view,), on_demand=(), services=(service(view),)), catalog)


def test_both_versions_are_computed_and_served_to_the_oracles_bits(tmp_path: Path, server: str) -> None:
    """The additive change is let through, the breaking one is not; each version's rows are the oracle's everywhere."""
    old = replace(rehearsal_view("wear"), team="a", owner="a@x")
    added = tuple(replace(one, name=f"{one.name}_long", window_us=10 * MINUTE_US) for one in old.features[:2])
    new, broken = replace(old, features=(*old.features, *added)), replace(old, features=old.features[1:])
    database, clock = f"sqlite:///{tmp_path / 'catalogue.db'}", ManualClock(time_us=EPOCH_US + 13 * MINUTE_US)
    upgrade(database)
    catalog = SqlCatalog(database, project="prod", clock=clock)
    registry = open_registry(database_url=database, artifacts=tmp_path / "artifacts", clock=clock)
    catalog.apply(planned(catalog, old), actor="ana")
    columns = tuple(f"wear__{name}" for name in old.feature_names)
    pinned = small_candidate(
        model="rul", service="health", features=columns, pins=(ViewPin(view="wear", version=old.version),)
    )
    number = registry.register(pinned, actor="ana").number
    registry.judge("rul", number, Verdict(gate="bar", outcome="pass", detail=""), actor="gate")
    registry.promote("rul", number, environment="prod", actor="ben", reason="first")

    assert "LS-DEF-036" in {fault.code for fault in planned(catalog, broken).faults}
    additive = planned(catalog, new)
    assert additive.faults == ()
    catalog.apply(additive, actor="ana")
    both = catalog.computed()
    assert {view.ref for view in both} == {old.ref, new.ref}

    offline = DeltaOfflineStore(str(tmp_path / "offline"))
    blocks = validate_blocks(Rehearsal(assets=2).blocks(), SOURCE)[0]
    offline.write_blocks(SOURCE, blocks, batch="rehearsal")
    target = Target(offline=offline, redis_url=server, project="prod", work=tmp_path / "work")
    done = FlinkJobs(heap="768m").backfill(list(both), target=target)

    online = RedisOnlineStore(server, project="prod", timeout_s=5.0)
    features = FeatureHandler(plans=Plans(catalog=catalog), online=online, clock=clock)
    for view in both:
        truth = oracle_rows(view, blocks)
        assert done.rows[view.ref] == truth.num_rows > 2 * 12
        assert check_offline(view, offline, truth, path="offline").result.equal
        assert check_online(view, online, truth, path="online").result.equal
        last = newest(view, truth)
        references = tuple(f"{view.ref}:{name}" for name in view.feature_names)
        for asked in (references, "health") if view == new else (references,):
            answer = features.get(asked, last.select([name for name, _ in view.entity_keys])).answer
            for name in view.feature_names:
                assert answer.columns[f"wear__{name}"].to_pylist() == last[name].to_pylist(), (view.ref, name)
    online.close()
    registry.engine.dispose()
    catalog.close()
