"""Several real servers on one port: killed, ended and replaced under load, and no call notices."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pyarrow as pa
import pytest

from lineshaft.errors import EnvironmentFault, InputError
from lineshaft.serving.client import Client
from lineshaft.serving.crew import Crew, Start, reserved
from lineshaft.specs import Feature, Service, ServiceView, Source, View, row_schema
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.stores.online_redis import RedisOnlineStore

VIEW = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms"),),
)
SERVICE = Service(name="health", views=(ServiceView(view="pumps", version=VIEW.version, features=("rms",)),))
SETTING = "LINESHAFT_GRPC_ADDRESS"
WORKER = f"""
import sys
from lineshaft.clock import SystemClock
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.server import Handlers, Limits, serve
from lineshaft.specs import Service, View
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.online_redis import RedisOnlineStore

address, url, lifeline = sys.argv[1:]
view, service = View.from_json({VIEW.to_json()!r}), Service.from_json({SERVICE.to_json()!r})
plans = Plans(catalog=FixedCatalog(all_views=(view,), all_services=(service,)), refresh_s=3600.0)
online = RedisOnlineStore(url, project="dev", timeout_s=5.0)
features = FeatureHandler(plans=plans, online=online, clock=SystemClock())
training = TrainingSetHandler(plans=plans, offline=MemoryOfflineStore())
handlers = Handlers(plans=plans, features=features, training=training)
serve(handlers, address, limits=Limits(shared_port=True, store_timeout_s=5.0), lifeline=int(lifeline))
"""


def start(address: str, url: str) -> Start:
    """Return how to start a worker of these tests."""
    command = [sys.executable, "-c", WORKER, address, url]
    return Start(command=lambda _, lifeline: [*command, str(lifeline)], environment=lambda _: {})


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Start a Valkey that knows pump `a`."""
    with EmbeddedValkey(tmp_path / "online") as valkey:
        schema = row_schema(VIEW)
        arrays = [pa.array([c], f.type) for c, f in zip(("a", 1, 1, 4.0), schema, strict=True)]
        RedisOnlineStore(valkey.url, project="dev").write(VIEW, pa.Table.from_arrays(arrays, schema=schema))
        yield valkey.url
        valkey.shut_down()


@contextmanager
def running(crew: Crew) -> Iterator[None]:
    """Run a crew on a thread until the end."""
    up = threading.Event()
    thread = threading.Thread(target=crew.run, args=(up.set,))
    thread.start()
    try:
        assert up.wait(60.0)
        yield
    finally:
        crew.stop()
        thread.join()


@dataclass(slots=True)
class Load:
    """Callers that ask without a pause, each on a connection of its own, and what they got."""

    address: str
    right: int = 0
    wrong: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def _call(self) -> None:
        with Client(self.address) as client:
            while not self._over.is_set():
                try:
                    frame = client.features("health", asset_id=["a"], timeout_s=20.0)
                    assert frame.table["pumps__rms"].to_pylist() == [4.0]
                    self.right += 1
                except Exception as error:  # noqa: BLE001 - each is told by the test
                    self.wrong.append(repr(error))

    @contextmanager
    def going_on(self, callers: int = 3) -> Iterator[None]:
        """Call until the end."""
        threads = [threading.Thread(target=self._call) for _ in range(callers)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()


def until(done: Callable[[], bool], *, within_s: float = 60.0) -> bool:
    """Tell whether something becomes true in time."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if done():
            return True
        time.sleep(0.05)
    return False


def listening(crew: Crew, port: int) -> int:
    """Return how many workers listen on the port."""
    count = 0
    for pid in crew.pids:
        with suppress(psutil.Error):
            found = psutil.Process(pid).net_connections(kind="tcp")
            count += any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in found)
    return count


def test_ended_workers_are_replaced_and_no_call_fails(url: str) -> None:
    """Each worker in turn is asked to end while callers go on: every call is answered, and both are there again."""
    with reserved("127.0.0.1:0", setting=SETTING) as address:
        port, crew, load = int(address.rpartition(":")[2]), Crew(start(address, url), count=2), Load(address)
        with running(crew):
            before = crew.pids
            with load.going_on():
                for number in range(2):
                    assert until(lambda: load.right > 0 and listening(crew, port) == 2)
                    os.kill(crew.pids[number], signal.SIGTERM)
                    assert until(lambda number=number: crew.pids[number] != before[number])  # type: ignore[misc]
                assert until(lambda: listening(crew, port) == 2)

    assert load.wrong == []
    assert load.right > 0


def test_all_are_replaced_one_by_one_and_no_call_fails(url: str) -> None:
    """`replace` leaves none of the old workers, and callers notice nothing."""
    with reserved("127.0.0.1:0", setting=SETTING) as address:
        crew, load = Crew(start(address, url), count=2), Load(address)
        with running(crew):
            before = set(crew.pids)
            with load.going_on():
                crew.replace()
                assert until(lambda: not before & set(crew.pids))
                assert not any(psutil.pid_exists(pid) for pid in before if pid not in crew.pids) or until(
                    lambda: not any(psutil.pid_exists(pid) for pid in before)
                )

    assert load.wrong == []
    assert load.right > 0


def test_only_a_worker_that_falls_is_waited_for(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """One that was asked to end is started again at once, time after time; one that is killed young is not."""
    with reserved("127.0.0.1:0", setting=SETTING) as address:
        port, crew = int(address.rpartition(":")[2]), Crew(start(address, url), count=1)
        with running(crew):
            for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
                assert until(lambda: listening(crew, port) == 1)
                (before,) = crew.pids
                os.kill(before, number)
                assert until(lambda before=before: crew.pids != [before])  # type: ignore[misc]

    waits = [record.getMessage().rpartition("again in ")[2] for record in caplog.records if "ended" in record.msg]
    assert waits == ["0.0 s", "0.0 s", "0.5 s"]


def test_a_killed_worker_is_started_again(url: str) -> None:
    """After SIGKILL there are as many workers as before, and calls are answered."""
    with reserved("127.0.0.1:0", setting=SETTING) as address:
        port, crew = int(address.rpartition(":")[2]), Crew(start(address, url), count=2)
        with running(crew):
            victim = crew.pids[0]
            os.kill(victim, signal.SIGKILL)

            assert until(lambda: victim not in crew.pids and listening(crew, port) == 2)
            with Client(address) as client:
                assert client.features("health", asset_id=["a"]).table["pumps__rms"].to_pylist() == [4.0]


def test_no_worker_outlives_its_crew(url: str) -> None:
    """When the process that watches is killed, the workers stop by themselves."""
    crew = f"""
import sys
from lineshaft.serving.crew import Crew, Start
command = [sys.executable, "-c", {WORKER!r}, "127.0.0.1:0", {url!r}]
crew = Crew(Start(command=lambda _, lifeline: [*command, str(lifeline)], environment=lambda _: {{}}), count=2)
crew.run(lambda: print(*crew.pids, flush=True))
"""
    with subprocess.Popen([sys.executable, "-c", crew], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        parent.kill()

    assert len(pids) == 2
    assert until(lambda: not any(psutil.pid_exists(pid) for pid in pids))


def test_a_worker_that_never_comes_up_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    """The crew does not go on with fewer than it was asked for, and says where to look."""
    broken = Start(command=lambda _, __: [sys.executable, "-c", "raise SystemExit('no')"], environment=lambda _: {})

    with pytest.raises(EnvironmentFault, match="did not come up"):
        Crew(broken, count=1).run(lambda: None)

    assert "no" in capfd.readouterr().err


def test_a_port_in_use_is_refused() -> None:
    """Two crews on one port would share its calls unnoticed."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EnvironmentFault, match="cannot listen"), reserved(f"127.0.0.1:{port}", setting=SETTING):
            pass


def test_a_unix_socket_is_not_shared() -> None:
    """A path belongs to one process."""
    with pytest.raises(InputError, match="cannot share"), reserved("unix:/tmp/lineshaft", setting=SETTING):
        pass
