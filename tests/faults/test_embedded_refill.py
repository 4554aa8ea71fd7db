"""An embedded server that lost its rows, or was cut off while it was filled, is filled by whoever comes next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest
import redis

from lineshaft.cli.repo import make_plan
from lineshaft.definitions.reader import read_repo
from lineshaft.errors import UnavailableError
from lineshaft.serving.client import Client
from lineshaft.serving.crew import reserved
from lineshaft.serving.frames import FeatureFrame
from lineshaft.settings import Settings
from lineshaft.specs import Status, row_schema
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.stores.ports import Wanted
from lineshaft.wiring import Parts, connect

# The server is meant to outlive whoever started it, which the interpreter warns of.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

AGAIN = "it is started again, and filled"
REPO = Path(__file__).parents[2] / "feature_repo"
VIEW = next(view for view in read_repo(REPO).views if view.name == "process_condition")


def row(parts: Parts) -> int:
    """Return the status of the one row that was stored."""
    wanted = Wanted(view=VIEW, features=VIEW.feature_names[:1], keys=keys())
    return int(parts.online.read([wanted], timeout_s=10.0)[0].status[0])


def keys() -> pa.Table:
    """Return the one entity."""
    return pa.table({name: ["line-1"] for name, _ in VIEW.entity_keys})


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    """Make a home whose offline store holds one row of an applied view."""
    own = Settings(home=tmp_path / "home", repo=REPO)
    with connect(own) as parts:
        parts.catalog.apply(make_plan(parts), actor="ann")
        schema = row_schema(VIEW)
        plain = [["line-1"] if field.name in dict(VIEW.entity_keys) else [1] for field in schema]
        table = pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(plain, schema, strict=True)], schema=schema)
        parts.offline.write_rows(VIEW, table, batch="one")
        parts.online.write(VIEW, table)
    yield own
    EmbeddedValkey(own.home / "online").shut_down()


@pytest.mark.parametrize("lost", ["all", "mark"])
def test_whoever_comes_next_fills_a_server_that_is_not_whole(settings: Settings, lost: str) -> None:
    """Emptied as by a restart, or cut off before the filling was done: the next command answers from offline's rows."""
    with connect(settings) as parts, redis.Redis.from_url(parts.redis_url) as raw:
        assert row(parts) == Status.PRESENT
        parts.online.remove(VIEW, keys())
        raw.delete("lineshaft:filled") if lost == "mark" else raw.flushall()
        with pytest.raises(UnavailableError, match="lost its rows"):  # nobody knows whether there is a row
            row(parts)

    with connect(settings) as parts:
        assert row(parts) == Status.PRESENT
        parts.online.remove(VIEW, keys())

    with connect(settings, keep_online=False) as parts:  # whole once, it is not filled again: what is gone is gone
        assert row(parts) == Status.NOT_FOUND


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_whose_embedded_store_dies_starts_it_again(settings: Settings, workers: int, tmp_path: Path) -> None:
    """Beneath `lineshaft serve` alone: what was read before is answered meanwhile, and soon all is fresh again."""
    pid = EmbeddedValkey(settings.home / "online").pid
    with served(settings, workers=workers, log=tmp_path / "log") as address, Client(address, timeout_s=5.0) as client:
        first = asked(client)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        frames = [asked(client)]
        while frames[-1].degraded or EmbeddedValkey(settings.home / "online").pid in (None, pid):
            assert len(frames) < 1000, "still degraded"
            time.sleep(0.01)
            frames.append(asked(client))
        end_s = time.monotonic() + 20.0
        while AGAIN not in (tmp_path / "log").read_text() and time.monotonic() < end_s:
            time.sleep(0.05)  # another worker may answer before the one that filled it has said so

    assert (tmp_path / "log").read_text().count(AGAIN) == 1
    assert not first.degraded
    for frame in frames:
        assert frame.table.equals(first.table)


def asked(client: Client) -> FeatureFrame:
    """Ask for the one entity."""
    return client.features("process_health", asset_id="line-1")


@contextmanager
def served(settings: Settings, *, workers: int, log: Path) -> Iterator[str]:
    """Run `lineshaft serve` on a home; yield its address."""
    with reserved("127.0.0.1:0", setting="LINESHAFT_GRPC_ADDRESS") as address:
        pass
    own = {"LINESHAFT_HOME": str(settings.home), "LINESHAFT_LOG_FORMAT": "text"}
    command = [sys.executable, "-m", "lineshaft.cli", "serve", "--address", address, "--workers", str(workers)]
    with log.open("wb") as output, subprocess.Popen(command, env={**os.environ, **own}, stderr=output) as server:  # noqa: TID251
        ready = b"serving on" if workers == 1 else b"%d workers serve on" % workers
        while ready not in log.read_bytes():  # one that comes later would start a store that is gone by itself
            assert server.poll() is None, log.read_text()
            time.sleep(0.05)
        yield address
        server.terminate()


def test_a_second_project_on_one_server_is_filled_for_itself(settings: Settings) -> None:
    """The mark is each project's own."""
    with connect(settings) as parts:
        assert parts.online.filled()

    with connect(settings.model_copy(update={"project": "other"}), keep_online=False) as parts:
        assert parts.online.filled()
        assert row(parts) == Status.NOT_FOUND
