"""A hundred thousand vectors served by the product over its own history, and each made again from its offline store."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from lineshaft.serving.client import Client
from lineshaft.settings import Settings
from lineshaft.specs import Service, Status, View
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.stores.served_log import ServedLog
from lineshaft.wiring import Parts, connect

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parents[2]
VECTORS = 100_000
MOST_HELD = 30_000
STEPS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """A shell in the checkout, whose home is a temporary folder."""

    home: Path

    def environment(self) -> dict[str, str]:
        """Return a child's environment: ours, another home, free ports, everything served is logged."""
        ours = {"LINESHAFT_HOME": str(self.home), "LINESHAFT_REDIS_TIMEOUT_S": "5", "LINESHAFT_LOG_SERVED": "1"}
        ours |= {"LINESHAFT_GRPC_ADDRESS": "127.0.0.1:0", "LINESHAFT_METRICS_ADDRESS": "127.0.0.1:0"}
        return {**os.environ, **ours}  # noqa: TID251  a child's environment

    def run(self, *words: str, code: int = 0) -> Any:
        """Run a command that is to end with this code; return what it printed as JSON."""
        command = [str(Path(sys.executable).with_name("lineshaft")), *words, "--json"]
        done = subprocess.run(command, cwd=ROOT, env=self.environment(), capture_output=True, text=True, check=False)
        assert done.returncode == code, f"{words}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return json.loads(done.stdout)

    @contextmanager
    def serving(self) -> Iterator[tuple[str, str]]:
        """Run `lineshaft serve`; yield where it listens and shows its numbers; SIGTERM ends it."""
        command = [str(Path(sys.executable).with_name("lineshaft")), "serve"]
        with subprocess.Popen(command, cwd=ROOT, env=self.environment(), stderr=subprocess.PIPE, text=True) as process:
            try:
                assert process.stderr is not None
                said = re.search(r"serving on (\S+), metrics on (\S+)", " ".join(process.stderr.readline().split()))
                assert said is not None
                yield said[1], said[2]
            finally:
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 0


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """Return a shell on a home that the product has filled: declarations, two hours of a fleet, a Flink backfill."""
    shell = Shell(home=tmp_path_factory.mktemp("served_proof"))
    with EmbeddedValkey(shell.home / "online") as valkey:
        shell.run("apply")
        shell.run("simulate", "--assets", "8", "--hours", "2")
        shell.run("backfill")
        yield shell
        valkey.shut_down()


def history(parts: Parts, service: Service) -> list[tuple[View, pa.Table]]:
    """Return every row of a service's views, view by view."""
    views = [parts.catalog.view(used.view, used.version) for used in service.views]
    tables = [pa.concat_tables(list(parts.offline.read_rows(view))) for view in views]
    return list(zip(views, tables, strict=True))


HELD, LOST = 'lineshaft_log_held_rows{log="served"}', 'lineshaft_log_rows_total{log="served",outcome="lost"}'


def logged(metrics: str, sample: str) -> int:
    """Return a number of the served log, as the server tells it."""
    with urllib.request.urlopen(metrics) as reply:  # noqa: S310  a page of our own server
        text = reply.read().decode()
    found = re.search(rf"^{re.escape(sample)} (\S+)", text, flags=re.MULTILINE)
    assert found is not None, sample
    return int(float(found[1]))


def ask_along(client: Client, parts: Parts, service: Service, *, vectors: int, metrics: str, rnd: random.Random) -> int:
    """Live through the history: write each step's rows online, then ask for some of all entities; return how many."""
    rows = history(parts, service)
    widest = max(rows, key=lambda pair: len(pair[0].entity_keys))
    entities = widest[1].group_by([name for name, _ in widest[0].entity_keys]).aggregate([])
    times = np.concatenate([np.asarray(table["event_time"].cast(pa.int64())) for _, table in rows])
    ends = np.quantile(times, np.linspace(0, 1, STEPS + 1)[1:]).astype(np.int64).tolist()
    asked, begin = 0, int(times.min()) - 1
    for number, end in enumerate(ends):
        for view, table in rows:
            event = table["event_time"].cast(pa.int64())
            parts.online.write(view, table.filter(pc.and_(pc.greater(event, begin), pc.less_equal(event, end))))
        while asked < vectors * (number + 1) // STEPS:
            count = min(rnd.choice((1, 3, 60, 400)), vectors - asked)
            these = entities.take(pa.array(rnd.choices(range(entities.num_rows), k=count)))
            at_us = end + rnd.choice((0, 1, 30_000_000, 3_600_000_000, 400_000_000_000))
            client.features(service.name, these, at_us=at_us, timeout_s=30.0)
            asked += count
        while logged(metrics, HELD) > MOST_HELD:
            time.sleep(0.1)
        begin = end
    return asked


def served_row(home: Path, view: str) -> dict[str, Any]:
    """Return the row of a view that some logged answer was made from: its keys and times."""
    log = ServedLog(str(home / "offline"))
    recipe = next(recipe for recipe in log.recipes() if any(used.view == view for used in recipe.service.views))
    rows = next(log.read(recipe)).to_pylist()
    row = next(row for row in rows if row["views"][view]["found"] == Status.PRESENT)
    return {**row["keys"], "event_time": row["views"][view]["event_time"], "known_at": row["views"][view]["known_at"]}


def flip(file: Path, names: list[str], wanted: dict[str, Any]) -> bool:
    """Turn the last bit of a float64 in the first row that has these cells; tell whether there is one."""
    table = pq.read_table(file, partitioning=None)
    rows = table.to_pylist()
    for row in rows:
        cells = row.get("features", row)
        name = next((name for name in names if isinstance(cells[name], float)), None)
        if name is not None and all(row[key] == value for key, value in wanted.items()):
            cells[name] = float((np.array([cells[name]]).view(np.int64) ^ 1).view(np.float64)[0])
            pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), file)
            return True
    return False


def test_a_hundred_thousand_served_vectors_are_made_again_and_one_bit_is_found(shell: Shell) -> None:
    """Over every service of the repository and all of its history: 0 mismatches; then a bit here or there is one."""
    asked, began = 0, time.monotonic()
    with connect(Settings(home=shell.home, redis_timeout_s=5.0)) as parts:
        services = [
            service
            for service in parts.catalog.services()
            if all(parts.offline.version(parts.catalog.view(used.view, used.version)) >= 0 for used in service.views)
        ]
        for service in services:
            for used in service.views:
                parts.online.clear(parts.catalog.view(used.view, used.version))
        with shell.serving() as (address, metrics), Client(address) as client:
            for number, service in enumerate(services):
                share = VECTORS * (number + 1) // len(services) - asked
                asked += ask_along(client, parts, service, vectors=share, metrics=metrics, rnd=random.Random(number))
            assert logged(metrics, LOST) == 0
    served_s, began = time.monotonic() - began, time.monotonic()

    told = shell.run("verify", "served")

    checked_s = time.monotonic() - began
    total = {name: sum(row[name] for row in told["services"]) for name in told["services"][0] if name not in NAMES}
    sys.stdout.write(f"{json.dumps(total)} served in {served_s:.0f} s, checked in {checked_s:.0f} s\n")
    assert asked == VECTORS == total["vectors"]
    assert [total[name] for name in ("differing", "missing", "waiting", "quarantined")] == [0] * 4
    assert total["values"] > 10 * VECTORS
    assert told["mismatches"] == []

    for folder, names, wanted in planted(shell.home, services[0]):
        before = {path: path.read_bytes() for path in folder.rglob("part-*.parquet")}
        assert any(flip(path, names, wanted) for path in before)
        found = shell.run("verify", "served", "--most", "5", code=1)
        assert found["mismatches"]
        assert sum(row["missing"] for row in found["services"]) == 0
        for path, sound in before.items():
            path.write_bytes(sound)


NAMES = ("service", "recipe")


def planted(home: Path, service: Service) -> Iterator[tuple[Path, list[str], dict[str, Any]]]:
    """Yield the folders a bit is turned in, the columns it may be of, and of which row: the offline store, the log."""
    used = service.views[0]
    yield home / "offline" / "rows" / f"{used.view}.{used.version}", list(used.features), served_row(home, used.view)
    yield home / "offline" / "served", [f"{used.view}__{name}" for name in used.features], {}
