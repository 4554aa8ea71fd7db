"""What the doctor sees of an installation, well and with real faults."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from pydantic import SecretStr

from lineshaft.clock import ManualClock, SystemClock
from lineshaft.doctor.checks import examine
from lineshaft.doctor.parts import Parts
from lineshaft.ops.quarantine import keep_aside, quarantine_folder
from lineshaft.registry.catalog import SqlCatalog
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.registry.migrate import upgrade
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.server import Handlers, background_server
from lineshaft.settings import Settings
from lineshaft.specs import Feature, OnDemandView, Service, Source, View, row_schema
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.memory_online import MemoryOnlineStore
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.stores.redis_link import RedisLink

MINUTE_US = 60_000_000
NOW_US = 1_700_000_000_000_000
VIEW = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms"),),
    ttl_us=5 * MINUTE_US,
)


class Given:
    """What the catalogue is given."""

    generation = 0
    summary = "given"
    views: tuple[View, ...] = (VIEW,)
    on_demand: tuple[OnDemandView, ...] = ()
    services: tuple[Service, ...] = ()
    transfers: frozenset[str] = frozenset()

    def checked(self) -> object:
        """Find no fault."""
        return self


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    """Lay out an installation with one view, whose newest row is two minutes old, and a running online store."""
    with EmbeddedValkey(tmp_path / "valkey") as valkey:
        settings = Settings(home=tmp_path / "home", redis_url=SecretStr(valkey.url))
        upgrade(settings.database())
        SqlCatalog(settings.database(), project=settings.project).apply(Given(), actor="test")
        schema = row_schema(VIEW)
        arrays = [pa.array([c], f.type) for c, f in zip(("a", NOW_US, NOW_US, 4.0), schema, strict=True)]
        rows = pa.Table.from_arrays(arrays, schema=schema)
        DeltaOfflineStore(settings.offline_root()).write_rows(VIEW, rows, batch="one")
        RedisOnlineStore(valkey.url, project=settings.project).mark_filled()
        yield Parts(settings=settings, clock=ManualClock(time_us=NOW_US + 2 * MINUTE_US))
        valkey.shut_down()


def test_an_installation_that_is_well_passes(parts: Parts) -> None:
    """Each part is named with what there is to know of it."""
    well = replace(parts, clock=SystemClock())
    found = {check.__name__: check() for check in (well.catalogue, well.online, well.clocks, well.offline)}
    found |= {check.__name__: check() for check in (parts.freshness, parts.quarantine)}

    assert {name: finding.state for name, finding in found.items()} == dict.fromkeys(found, "ok")
    assert "1 views" in found["catalogue"].says
    for word in ("Valkey ", " ms", " MB", "noeviction", "filled"):
        assert word in found["online"].says
    assert "1 of 1 views" in found["offline"].says
    assert found["freshness"].says == "pumps 2 min"


def test_a_store_that_hangs_or_is_gone_fails_in_time(parts: Parts, tmp_path: Path) -> None:
    """A stopped process and no process at all; both checks that ask it."""
    valkey = EmbeddedValkey(tmp_path / "valkey")
    pid = valkey.pid or 0
    checks: dict[str, Callable[[], object]] = {"online": parts.online, "clock": parts.clocks}
    os.kill(pid, signal.SIGSTOP)
    start = time.monotonic()
    hung = examine(checks, patience_s=8.0)  # type: ignore[arg-type]
    assert time.monotonic() - start < 6.0
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.1)
    gone = examine(checks, patience_s=8.0)  # type: ignore[arg-type]

    for found in (*hung.values(), *gone.values()):
        assert found.state == "fail"
        assert found.fix


def test_a_store_that_throws_rows_away_is_told(parts: Parts, tmp_path: Path) -> None:
    """By its policy before it does; near its limit; and when it is empty and was not filled."""
    link = RedisLink(EmbeddedValkey(tmp_path / "valkey").url)

    def tell(*command: str) -> None:
        link.run(lambda session: session.call(*command), budget_s=1.0)

    tell("CONFIG", "SET", "maxmemory", "500mb")
    assert parts.online().state == "ok"
    tell("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    assert parts.online().state == "warn"
    assert "noeviction" in parts.online().fix
    tell("CONFIG", "SET", "maxmemory", "3mb")
    for number in range(40):
        tell("SET", f"x{number}", "x" * 100_000)
    assert parts.online().state == "fail"
    tell("CONFIG", "SET", "maxmemory-policy", "noeviction")
    tell("CONFIG", "RESETSTAT")
    assert "raise maxmemory" in parts.online().fix
    tell("FLUSHALL")
    assert "not filled" in parts.online().says


@pytest.mark.parametrize(("off_s", "state", "word"), [(0.2, "ok", ""), (5.0, "warn", "NTP"), (3600.0, "fail", "NTP")])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_clock_that_is_off_is_told(parts: Parts, off_s: float, state: str, word: str, sign: int) -> None:
    """Ahead of the store's or behind it."""
    now_us = SystemClock().now_us()
    found = replace(parts, clock=ManualClock(time_us=now_us + round(sign * off_s * 1e6))).clocks()

    assert found.state == state
    assert word in found.fix
    assert ("before" if sign > 0 else "behind") in found.says


def test_a_catalogue_that_is_behind_or_empty_or_absent_is_told(parts: Parts, tmp_path: Path) -> None:
    """The remedy is the command that mends it, and looking makes no database."""
    behind = parts.settings.model_copy(update={"home": tmp_path / "behind"})
    behind.home.mkdir()
    upgrade(behind.database(), revision="0001")
    empty = parts.settings.model_copy(update={"project": "other"})
    absent = parts.settings.model_copy(update={"home": tmp_path / "absent"})

    found = [replace(parts, settings=one).catalogue() for one in (behind, empty, absent)]

    assert [one.state for one in found] == ["fail", "warn", "warn"]
    assert ["upgrade" in found[0].fix, "apply" in found[1].fix, "upgrade" in found[2].fix] == [True] * 3
    assert not (tmp_path / "absent" / "lineshaft.db").exists()


def test_stale_views_views_without_rows_and_rows_held_back_are_named(parts: Parts, tmp_path: Path) -> None:
    """A view that is fed no more, an offline store that is empty, a quarantine that is not."""
    stale = replace(parts, clock=ManualClock(time_us=NOW_US + 3 * 60 * MINUTE_US)).freshness()
    bare = replace(parts, settings=parts.settings.model_copy(update={"offline_url": str(tmp_path / "none")}))
    folder = quarantine_folder(parts.settings.home / "work", VIEW)
    assert parts.quarantine().state == "ok"
    arrays = [pa.array([c] * 3, f.type) for c, f in zip(("a", 1, 1, 4.0), row_schema(VIEW), strict=True)]
    keep_aside(
        pa.Table.from_arrays(arrays, schema=row_schema(VIEW)).append_column("reason", [["hot"] * 3]), folder, "b"
    )

    assert (stale.state, stale.says) == ("warn", "pumps 3 h")
    assert "pumps" in stale.fix
    assert (bare.offline().state, bare.freshness().says) == ("warn", "no rows")
    assert (parts.quarantine().state, parts.quarantine().says) == ("warn", "pumps 3 rows")


def test_a_server_is_asked_how_it_is(parts: Parts) -> None:
    """One that serves, nobody at all, and somebody who speaks another language."""
    plans = Plans(catalog=FixedCatalog(all_views=(VIEW,)))
    features = FeatureHandler(plans=plans, online=MemoryOnlineStore(), clock=SystemClock())
    training = TrainingSetHandler(plans=plans, offline=MemoryOfflineStore())

    def at(address: str) -> str:
        return replace(parts, settings=parts.settings.model_copy(update={"grpc_address": address})).server().state

    with background_server(Handlers(plans=plans, features=features, training=training)) as address:
        assert at(address) == "ok"
    assert at(address) == "warn"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert at(f"127.0.0.1:{silent.getsockname()[1]}") == "fail"


def test_an_embedded_store_that_does_not_run_is_not_started(tmp_path: Path) -> None:
    """Looking changes nothing."""
    parts = Parts(settings=Settings(home=tmp_path), clock=SystemClock())

    assert (parts.online().state, parts.clocks().state) == ("warn", "warn")
    assert EmbeddedValkey(tmp_path / "online").pid is None
