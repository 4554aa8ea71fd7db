"""A private instance: its own Valkey, catalogue and servers on ports of its own, with rows that tell their own truth.

Every value of a row is its event time in seconds plus the machine's number, so that whoever reads a value and its age
can tell whether it is right, without asking anybody.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from lineshaft.clock import SystemClock
from lineshaft.drills.wire import Wire
from lineshaft.errors import EnvironmentFault, LineshaftError
from lineshaft.registry.catalog import SqlCatalog
from lineshaft.registry.migrate import upgrade
from lineshaft.serving.crew import reserved
from lineshaft.settings import Settings
from lineshaft.specs import Feature, OnDemandView, Service, ServiceView, Source, View, row_schema
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.stores.online_redis import RedisOnlineStore

SECOND_US = 1_000_000
MACHINES = 200
EVERY_S = 0.5
"""How often the plant writes newer rows."""
_UP_S = 60.0
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PROJECT = "drill"
_SOURCE = Source(name="drill", channels=("x",), units=("g",), kind="rows")


def view_of(name: str) -> View:
    """Return one of the plant's views: twenty numbers a machine."""
    features = tuple(Feature(name=f"{name}_{i:02d}") for i in range(20))
    return View(name=name, source=_SOURCE, entity_keys=(("asset_id", "string"),), features=features)


VIEWS = tuple(view_of(name) for name in ("vibration", "process", "motor"))
SERVICE = Service(
    name="drill",
    views=tuple(ServiceView(view=v.name, version=v.version, features=v.feature_names) for v in VIEWS),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definitions:
    """The plant's definitions, as the catalogue takes them."""

    generation: int
    services: tuple[Service, ...] = (SERVICE,)
    views: tuple[View, ...] = VIEWS
    summary: str = "a drill"
    on_demand: tuple[OnDemandView, ...] = ()
    transfers: frozenset[str] = frozenset()

    def checked(self) -> object:
        """Find no fault."""
        return self


def machine(number: int) -> str:
    """Return a machine's name."""
    return f"machine-{number:04d}"


def rows_of(view: View, numbers: Sequence[int], *, event_us: int) -> pa.Table:
    """Return rows of machines at a time; each value is the time in seconds plus the machine's number."""
    schema = row_schema(view)
    times = pa.array(np.full(len(numbers), event_us)).cast(schema.field("event_time").type)
    value = pa.array(np.array(numbers, np.float64) + event_us / SECOND_US)
    arrays = [pa.array([machine(n) for n in numbers]), times, times, *([value] * len(view.features))]
    return pa.Table.from_arrays(arrays, schema=schema)


@dataclass(slots=True, kw_only=True)
class Plant:
    """What a drill may hurt: the Valkey process, the wire to it, the servers; and the writer, who goes on."""

    folder: Path
    wire: Wire
    address: str
    catalog: SqlCatalog
    server: subprocess.Popen[bytes]
    valkey: EmbeddedValkey
    store: RedisOnlineStore

    def workers(self) -> list[int]:
        """Return the ids of the processes that answer."""
        pid = self.server.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def footprint(self) -> tuple[float, int]:
        """Return what the largest worker holds: megabytes of memory, open descriptors."""
        held = [(0.0, 0)]
        for pid in self.workers():
            with suppress(OSError):
                pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                held.append((pages * _PAGE / 2**20, len(list(Path(f"/proc/{pid}/fd").iterdir()))))
        return max(megabytes for megabytes, _ in held), max(files for _, files in held)

    def signal_valkey(self, number: signal.Signals) -> None:
        """Send the Valkey a signal."""
        if self.valkey.pid is not None:
            os.kill(self.valkey.pid, number)

    def start_valkey(self) -> None:
        """Start the Valkey again with what it had written down, as one that is run with care does."""
        self.valkey.start()

    def apply(self) -> None:
        """Apply new definitions: the same service, described in other words."""
        seen = self.catalog.generation()
        worded = replace(SERVICE, description=f"the drill's service, generation {seen}")
        self.catalog.apply(Definitions(generation=seen, services=(worded,)), actor="drill")

    def corrupt(self, numbers: Sequence[int]) -> None:
        """Plant rubbish in the vibration rows of some machines."""
        keys = pa.table({"asset_id": [machine(n) for n in numbers]})
        self.store.overwrite(VIEWS[0], keys, b"rubbish")

    def forget(self, numbers: Sequence[int]) -> None:
        """Remove all rows of some machines."""
        keys = pa.table({"asset_id": [machine(n) for n in numbers]})
        for view in VIEWS:
            self.store.remove(view, keys)

    def write(self, numbers: Sequence[int] = range(MACHINES), *, ahead_s: float = 0.0) -> None:
        """Write the present's rows, or those of a clock that is ahead."""
        now_us = SystemClock().now_us() + round(ahead_s * SECOND_US)
        for view in VIEWS:
            self.store.write(view, rows_of(view, numbers, event_us=now_us))


@contextmanager
def plant_at(folder: Path, *, workers: int = 2) -> Iterator[Plant]:
    """Build a plant in a folder and run it; everything ends with it."""
    with ExitStack() as stack:
        home = folder / "home"
        home.mkdir(parents=True)
        settings = Settings(home=home, project=_PROJECT)
        upgrade(settings.database())
        catalog = SqlCatalog(settings.database(), project=_PROJECT)
        catalog.apply(Definitions(generation=0), actor="drill")
        valkey = stack.enter_context(EmbeddedValkey(folder / "valkey", durable=True))
        wire = stack.enter_context(Wire(valkey.socket_path))
        store = RedisOnlineStore(valkey.url, project=_PROJECT, near_rows=0)
        with reserved("127.0.0.1:0", setting="LINESHAFT_GRPC_ADDRESS") as address:
            pass  # free a moment ago: the server holds it from now on
        command = [sys.executable, "-m", "lineshaft.cli", "serve", "--address", address, "--workers", str(workers)]
        own = {"LINESHAFT_HOME": str(home), "LINESHAFT_REDIS_URL": wire.url, "LINESHAFT_PROJECT": _PROJECT}
        log = stack.enter_context((folder / "server.log").open("wb"))
        environment = {**os.environ, **own}  # noqa: TID251 - a copy for the child
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        plant = Plant(
            folder=folder, wire=wire, address=address, catalog=catalog, server=server, valkey=valkey, store=store
        )
        stack.callback(_end, plant)
        plant.write()
        _await(plant, workers)
        yield plant


@contextmanager
def kept_fresh(plant: Plant) -> Iterator[None]:
    """Write newer rows again and again, past the wire; what cannot be written now is written the next time."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(EVERY_S):
            with suppress(LineshaftError):
                plant.write()

    thread = threading.Thread(target=work, name="plant", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _await(plant: Plant, workers: int) -> None:
    said = f"{workers} workers serve" if workers > 1 else "serving on"
    log, end = plant.folder / "server.log", time.monotonic() + _UP_S
    while said not in log.read_text():
        if time.monotonic() > end:
            raise EnvironmentFault("the drill's server does not start", where=str(log), fix="read its log")
        time.sleep(0.05)


def _end(plant: Plant) -> None:
    plant.signal_valkey(signal.SIGCONT)
    plant.server.terminate()
    try:
        plant.server.wait(20.0)
    except subprocess.TimeoutExpired:
        plant.server.kill()
        plant.server.wait()
    plant.store.close()
    plant.catalog.close()
