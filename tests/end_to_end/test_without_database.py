"""A server process that starts while the database is away answers features and predictions as it last knew them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from lineshaft.registry.records import Verdict, ViewPin
from lineshaft.serving.client import Client
from lineshaft.settings import Settings
from lineshaft.specs import Feature, OnDemandView, Service, ServiceView, Source, View, row_schema
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.testing import small_candidate
from lineshaft.wiring import connect

VIEW = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms"),),
)
SERVICE = Service(name="health", views=(ServiceView(view="pumps", version=VIEW.version, features=("rms",)),))
DETECTOR = b'{"detector":"distance","features":["pumps__rms"],"centre":[2.0],"covariance":[[1.0]]}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the catalogue is given."""

    generation: int = 0
    summary: str = "given"
    views: tuple[View, ...] = (VIEW,)
    on_demand: tuple[OnDemandView, ...] = ()
    services: tuple[Service, ...] = (SERVICE,)
    transfers: frozenset[str] = frozenset()

    def checked(self) -> object:
        """Find no fault."""
        return self


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Return a home with a row online, and a champion over it."""
    candidate = small_candidate(
        model="wear",
        task="anomaly",
        service=SERVICE.name,
        service_json=SERVICE.to_json(),
        features=("pumps__rms",),
        pins=(ViewPin(view="pumps", version=VIEW.version),),
        artifact=DETECTOR,
    )
    times = pa.array([50_000_000]).cast(pa.timestamp("us", tz="UTC"))
    with EmbeddedValkey(tmp_path / "online"):
        with connect(Settings(home=tmp_path)) as parts:
            parts.catalog.apply(Given(), actor="test")
            parts.online.write(VIEW, pa.table([["p0"], times, times, [4.5]], schema=row_schema(VIEW)))
            parts.registry.register(candidate, actor="ann")
            parts.registry.judge("wear", 1, Verdict(gate="bar", outcome="pass", detail=""), actor="gate")
            parts.registry.promote("wear", 1, environment="dev", actor="ann", reason="first")
        yield tmp_path


@contextmanager
def served(home: Path, **settings: str) -> Iterator[Client]:
    """Serve from a process of its own; stop it by a signal."""
    ours = {"LINESHAFT_HOME": str(home), "LINESHAFT_GRPC_ADDRESS": "127.0.0.1:0", "LINESHAFT_REDIS_TIMEOUT_S": "2"}
    environment = {**os.environ, **ours, **settings}  # noqa: TID251  a child's environment
    log = home / "serve.log"
    with log.open("w") as errors:
        process = subprocess.Popen([sys.executable, "-m", "lineshaft.cli", "serve"], env=environment, stderr=errors)
    try:
        end = time.monotonic() + 60
        while (found := re.search(r"serving on (\S+)", log.read_text())) is None:
            assert time.monotonic() < end, log.read_text()
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        with Client(found[1]) as client:
            yield client
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def test_a_restart_while_the_database_is_away_is_not_seen_by_callers(home: Path) -> None:
    """The same values, the same version and the same score, from a process that never reached the database."""
    asked = {"asset_id": ["p0", "nobody"]}
    found = []
    for settings in ({}, {"LINESHAFT_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}):
        with served(home, **settings) as client:
            frame = client.features("health", asked, timeout_s=10.0)
            reply = client.predict("wear", asset_id=["p0"], timeout_s=10.0)
        found.append((frame.table.to_pylist(), reply.model_version, [one.score for one in reply.predictions]))

    assert found[0] == found[1]
    assert found[1][1:] == ("wear@1", [2.5])
    assert "what it last said is served until it answers" in (home / "serve.log").read_text()
