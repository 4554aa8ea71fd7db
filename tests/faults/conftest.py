"""A real `lineshaft serve` in a process of its own, to be ill-treated, and a caller who means no harm."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import grpc
import numpy as np
import psutil
import pyarrow as pa
import pytest

from lineshaft.models.gate import Gate, Policy
from lineshaft.models.spec import ModelSpec
from lineshaft.ops.model_release import Origin, release
from lineshaft.serving.client import Client
from lineshaft.settings import Settings
from lineshaft.specs import Feature, OnDemandView, Service, ServiceView, Source, Status, View, row_schema
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.wiring import connect

NOW_US = 1_767_225_600_000_000
SOURCE = Source(name="s", channels=("x",), units=("g",))
PUMPS = View(
    name="pumps",
    source=SOURCE,
    entity_keys=(("asset_id", "string"), ("slot", "int64")),
    features=(
        Feature(name="rms"),
        Feature(name="starts", dtype="int64"),
        Feature(name="state", dtype="string"),
        Feature(name="raw", dtype="bytes"),
        Feature(name="open", dtype="bool"),
        Feature(name="seen", dtype="timestamp"),
        Feature(name="gain", dtype="float32"),
        Feature(name="count", dtype="int32"),
    ),
    ttl_us=3_600_000_000,
)
SITES = View(name="sites", source=SOURCE, entity_keys=(("asset_id", "string"),), features=(Feature(name="ambient"),))
SERVICE = Service(
    name="health",
    views=(
        ServiceView(view="pumps", version=PUMPS.version, features=PUMPS.feature_names),
        ServiceView(view="sites", version=SITES.version, features=("ambient",)),
    ),
)
PLAIN = Service(name="plain", views=(ServiceView(view="sites", version=SITES.version, features=("ambient",)),))
SPEC = ModelSpec(name="wear", task="binary", service="plain", features=("sites__ambient",), rounds=3)
FORBIDDEN = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DATA_LOSS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the catalogue is given."""

    generation: int = 0
    summary: str = "given"
    views: tuple[View, ...] = (PUMPS, SITES)
    on_demand: tuple[OnDemandView, ...] = ()
    services: tuple[Service, ...] = (SERVICE, PLAIN)
    transfers: frozenset[str] = frozenset()

    def checked(self) -> object:
        """Find no fault."""
        return self


def rows_of(view: View, columns: list[Any]) -> pa.Table:
    """Return rows of a view."""
    schema = row_schema(view)
    return pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


THERE: tuple[Any, ...] = (1.5, 2**60, "läuft", b"\x00\xff", True, NOW_US, 0.5, 7)
PUMP_ROWS = rows_of(
    PUMPS, [["p0", "p1"], [0, 1], [NOW_US - 9] * 2, [NOW_US - 5] * 2, *([value, None] for value in THERE)]
)
SITE_ROWS = rows_of(SITES, [["p0", "p1"], [NOW_US - 9] * 2, [NOW_US - 5] * 2, [20.5, 21.5]])


@dataclass(slots=True)
class Target:
    """A real `lineshaft serve` with what stands behind it, and a client that means no harm."""

    process: subprocess.Popen[str]
    address: str
    http: str
    online: RedisOnlineStore
    channel: Any
    client: Client
    rows: tuple[tuple[View, pa.Table], ...] = ((PUMPS, PUMP_ROWS), (SITES, SITE_ROWS))
    seen: Counter[str] = field(default_factory=Counter)

    @property
    def memory(self) -> int:
        """Return the bytes the server holds."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def grown_since(self, before: int, *, most: int) -> int:
        """Return by how much the server grew, once it had time to write what it holds."""
        end = time.monotonic() + 15.0
        while (grown := self.memory - before) >= most and time.monotonic() < end:
            time.sleep(0.5)
        return grown

    def call(self, method: str, raw: bytes, **more: Any) -> bytes:
        """Make a call with bytes as they are; a status that says a fault of ours is a failure."""
        try:
            reply: bytes = self.channel.unary_unary(method)(raw, timeout=20.0, **more)
        except grpc.RpcError as error:
            self.note(method, error)
            return b""
        self.seen["OK"] += 1
        return reply

    def stream(self, method: str, *raws: bytes, streaming: bool, most: int | None = None) -> list[bytes]:
        """Make a call that is answered by a stream; hang up after `most` answers."""
        replies: list[bytes] = []
        try:
            asked = (
                self.channel.stream_stream(method)(iter(raws), timeout=20.0)
                if streaming
                else self.channel.unary_stream(method)(raws[0], timeout=20.0)
            )
            replies.extend(islice(asked, most))
            asked.cancel()
        except grpc.RpcError as error:
            self.note(method, error)
        else:
            self.seen["OK"] += 1
        return replies

    def post(self, path: str, body: bytes, method: str = "POST") -> tuple[int, bytes]:
        """Send a request to Feast's HTTP; return its status and body."""
        host, _, port = self.http.rpartition(":")
        link = http.client.HTTPConnection(host, int(port), timeout=20)
        try:
            link.request(method, path, body)
            reply = link.getresponse()
            return reply.status, reply.read()
        finally:
            link.close()

    def note(self, method: str, error: Any) -> None:
        """Count how a call was refused."""
        assert error.code() not in FORBIDDEN, f"{method}: {error.code()} {error.details()}"
        self.seen[error.code().name] += 1

    def healthy(self) -> float:
        """Ask as anybody asks; return how long the right answer took."""
        assert self.process.poll() is None, "the server has ended"
        start = time.monotonic()
        frame = self.client.features("health", {"asset_id": ["p0", "p1"], "slot": [0, 1]}, at_us=NOW_US, timeout_s=5.0)
        took = time.monotonic() - start
        assert frame.table["pumps__state"].to_pylist() == ["läuft", None]
        assert frame.table["sites__ambient"].to_pylist() == [20.5, 21.5]
        assert frame.statuses["pumps__rms"].tolist() == [Status.PRESENT, Status.NULL]
        return took


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Serve two pumps and a model from a process of its own."""
    home = tmp_path_factory.mktemp("hostile")
    with EmbeddedValkey(home / "online") as valkey:
        with connect(Settings(home=home)) as parts:
            parts.catalog.apply(Given(), actor="test")
            for view, rows in ((PUMPS, PUMP_ROWS), (SITES, SITE_ROWS)):
                parts.offline.write_rows(view, rows, batch="test")
                parts.online.write(view, rows)
            ambient = np.random.default_rng(1).normal(size=600)
            moments = pa.array(np.arange(600)).cast(pa.timestamp("us", tz="UTC"))
            assets = np.repeat([f"a{i:02d}" for i in range(30)], 20)
            table = pa.table(
                {
                    "asset_id": assets,
                    "event_time": moments,
                    "sites__ambient": ambient,
                    "label": (ambient > 0.5).astype(np.int8),
                }
            )
            origin = Origin(service=PLAIN, table_versions={"sites": 0}, actor="ann")
            gate = Gate(name="better", metric="pr_auc", op=">", vs="baseline", margin=0.05, min_groups=5)
            policy = Policy(name="better", gates=(gate,), auto=True)
            release(parts.registry, SPEC, table, origin=origin, policy=policy, environment="dev")
        ours = {"LINESHAFT_HOME": str(home), "LINESHAFT_REDIS_TIMEOUT_S": "2", "LINESHAFT_LOG_SERVED": "1"}
        ours |= {"LINESHAFT_GRPC_ADDRESS": "127.0.0.1:0", "LINESHAFT_HTTP_ADDRESS": "127.0.0.1:0"}
        environment = {**os.environ, **ours}  # noqa: TID251  a child's environment
        with (home / "errors.log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "lineshaft.cli", "serve"], env=environment, stderr=log, text=True
            )
        try:
            found = until(
                lambda: re.search(
                    r"serving on (\S+), Feast's HTTP on http:..([^ ,]+)",
                    " ".join((home / "errors.log").read_text(errors="replace").split()),
                )
            )
            with grpc.insecure_channel(found[1], CHANNEL) as channel, Client(found[1]) as client:
                online = RedisOnlineStore(valkey.url, project="dev", timeout_s=5.0)
                yield Target(process, found[1], found[2], online, channel, client)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
        valkey.shut_down()
        assert "Traceback" not in (home / "errors.log").read_text(errors="replace")


CHANNEL = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


def until(found: Callable[[], Any]) -> Any:
    """Return what is found within half a minute."""
    end = time.monotonic() + 30.0
    while not (result := found()) and time.monotonic() < end:
        time.sleep(0.05)
    assert result
    return result
