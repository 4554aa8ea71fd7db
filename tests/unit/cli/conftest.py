"""A small home with data in both stores, and the command as a shell would run it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.cli import main
from lineshaft.ops.ingest import ingest
from lineshaft.registry.records import Candidate, ViewPin
from lineshaft.settings import Settings
from lineshaft.sources.blocks import blocks_table
from lineshaft.sources.catalogue import SOURCES
from lineshaft.sources.reading import Reading
from lineshaft.sources.tabular import utc_us
from lineshaft.specs import Feature, OnDemandView, Service, ServiceView, View
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.testing import small_candidate
from lineshaft.tiles.engine import Engine
from lineshaft.wiring import connect

MINUTE_US = 60_000_000
START_US = utc_us("2024-01-01")
PUMPS = View(
    name="pumps",
    source=SOURCES["vibration_blocks"],
    entity_keys=(("asset_id", "string"), ("position", "string")),
    features=(
        Feature(name="rms_1m", column="acceleration", function="rms", window_us=MINUTE_US),
        Feature(name="kurtosis_1m", column="acceleration", function="kurtosis", window_us=MINUTE_US),
    ),
    grace_us=5_000_000,
    ttl_us=10 * MINUTE_US,
    team="vibration",
)
HEALTH = Service(
    name="pump_health",
    views=(ServiceView(view="pumps", version=PUMPS.version, features=PUMPS.feature_names),),
    team="vibration",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the catalogue is given: an apply without a feature repository, and so without Feast."""

    generation: int = 0
    summary: str = "given"
    views: tuple[View, ...] = (PUMPS,)
    on_demand: tuple[OnDemandView, ...] = ()
    services: tuple[Service, ...] = (HEALTH,)
    transfers: frozenset[str] = frozenset()

    def checked(self) -> object:
        """Find no fault."""
        return self


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a filled home that all tests of commands share; its server runs on."""
    folder = tmp_path_factory.mktemp("home")
    with filled(folder):
        yield folder


@pytest.fixture
def own_home(tmp_path: Path) -> Iterator[Path]:
    """Return a filled home for one test alone."""
    with filled(tmp_path):
        yield tmp_path


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Fill a home: two pumps over three minutes, one rejected block, rows in both stores."""
    wave = np.tile([0.0, 3.0, 0.0, -3.0], (6, 1, 64))
    wave[3:] = 0.0  # pump-2 stands still: its kurtosis is undefined
    blocks = blocks_table(
        asset_id=["pump-1"] * 3 + ["pump-2"] * 3,
        position="de",
        starts_us=[START_US + minute * MINUTE_US for minute in (0, 1, 2)] * 2,
        samples=wave,
        rate_hz=256.0,
    )
    broken = blocks.slice(0, 1).set_column(5, "rate_hz", pa.array([-1.0])).cast(blocks.schema)
    settings = Settings(home=folder)
    with EmbeddedValkey(folder / "online"), connect(settings) as parts:  # commands find this server running
        parts.catalog.apply(Given(), actor="test")
        reading = Reading(blocks={"vibration_blocks": pa.concat_tables([blocks, broken])})
        ingest([reading], sources=SOURCES, offline=parts.offline, rejects=parts.rejects, label="test")
        engine = Engine(PUMPS)
        engine.add(blocks)
        rows = engine.advance(2**61)
        parts.offline.write_rows(PUMPS, rows, batch="test")
        parts.online.write(PUMPS, rows)
        yield


@pytest.fixture(scope="session")
def grinder() -> Candidate:
    """Return a model that may be registered, with figures that a gate passes."""
    return small_candidate(
        model="grinder",
        service="pump_health",
        pins=(ViewPin(view="pumps", version="1" * 12),),
        metrics={"rmse": 9.0, "rmse_low": 8.0, "rmse_high": 10.0, "baseline_rmse": 40.0, "test_groups": 30.0},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> Any:
        """Parse what it printed as JSON."""
        return json.loads(self.out)


Lineshaft = Callable[..., Said]


@pytest.fixture
def lineshaft(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Lineshaft:
    """Return the command as a shell would run it, on the home."""

    def run(*words: str, at: Path = home) -> Said:
        monkeypatch.setenv("LINESHAFT_HOME", str(at))
        monkeypatch.setattr(sys, "argv", ["lineshaft", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        printed = capsys.readouterr()
        return Said(code=int(end.value.code or 0), out=printed.out, err=printed.err)

    return run


@pytest.fixture(scope="session")
def pumps() -> View:
    """Return the view that the home holds rows of."""
    return PUMPS
