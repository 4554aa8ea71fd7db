"""What every planted fault goes through: real readers, the door with Great Expectations behind it, a raw store."""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lineshaft.clock import ManualClock
from lineshaft.errors import LineshaftError
from lineshaft.ops.ingest import Ingested, ingest
from lineshaft.ops.intake import Intake
from lineshaft.ops.training_set import fingerprint
from lineshaft.sources.catalogue import SOURCES
from lineshaft.sources.data_sets import read_data_set
from lineshaft.sources.reading import Reading
from lineshaft.sources.tabular import utc_us
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft_governance.plug import GovernanceParts

GOVERNANCE = Path(__file__).parents[3] / "governance"
NOW_US = utc_us("2026-11-22")
ACCOUNTS = {"clocks", "senders"}
"""Tables in which a reader says what it chose: nobody learns from them."""
OnBlocks = Callable[[pa.Table], pa.Table]


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What came of taking a folder in: the account, every stored block by what it holds, every table by its digest."""

    account: Ingested | None = None
    blocks: frozenset[str] = frozenset()
    tables: frozenset[str] = frozenset()
    error: str = ""

    def signs(self) -> Counter[str]:
        """Return everything that was said of the data, counted."""
        if self.account is None:
            return Counter({f"refused to read: {self.error}": 1})
        said = Counter({f"rejected: {reason}": n for reason, n in self.account.rejected.items()})
        said.update({f"held: {reason}": n for reason, n in self.account.held.items()})
        said.update({f"mended: {reason}": n for reason, n in self.account.notes.items()})
        return said


@dataclass(frozen=True, slots=True, kw_only=True)
class Caught:
    """One fault: where it was first seen, what was said, and how much of what it spoilt came into the store."""

    data: str
    fault: str
    where: str  # "read", "rejected", "held", "mended" or "nowhere"
    said: str
    leaks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Takes folders in, and compares what came of a spoilt one with what comes of the clean one."""

    checks: GovernanceParts
    folder: Path
    clean: dict[str, Taken] = field(default_factory=dict)
    found: list[Caught] = field(default_factory=list)

    def take_in(self, path: Path, data: str, *, spoil: OnBlocks | None = None, label: str = "") -> Taken:
        """Take a folder in through the door, into a store of its own."""
        offline = MemoryOfflineStore()
        work = self.folder / hashlib.blake2b(f"{path}{label}".encode(), digest_size=8).hexdigest()
        door = Intake(work=work, judge=self.checks.intake, now_us=NOW_US)
        try:
            readings = (_spoilt(reading, spoil) for reading in read_data_set(path, name=data))
            account = ingest(
                readings, sources=SOURCES, offline=offline, rejects=work / "rejects", label=data, door=door
            )
        except LineshaftError as error:
            return Taken(error=error.what)
        stored = [part for source in SOURCES.values() for part in offline.read_blocks(source)]
        blocks = frozenset(_content(row) for part in stored for row in part.to_pylist())
        tables = frozenset(
            f"{name} {fingerprint(table)}" for name, table in account.tables.items() if name not in ACCOUNTS
        )
        return Taken(account=account, blocks=blocks, tables=tables)

    def compare(self, fault: str, data: str, clean: Taken, spoilt: Taken) -> Caught:
        """Say where a fault was seen, and count what is in the store that the clean data has not."""
        more = spoilt.signs() - clean.signs()
        leaks = len(spoilt.blocks - clean.blocks) + len(spoilt.tables - clean.tables)
        order = {"refused": "read", "rejected": "rejected", "held": "held", "mended": "mended"}
        seen = [where for word, where in order.items() if any(sign.startswith(word) for sign in more)]
        said = "; ".join(f"{sign.partition(': ')[2]} ({n:,})" for sign, n in more.most_common(2))
        caught = Caught(data=data, fault=fault, where=seen[0] if seen else "nowhere", said=said, leaks=leaks)
        self.found.append(caught)
        return caught


def _spoilt(reading: Reading, spoil: OnBlocks | None) -> Reading:
    """Return a reading with its blocks changed, as a sensor would that sends them so."""
    if spoil is None:
        return reading
    return replace(reading, blocks={name: spoil(table) for name, table in reading.blocks.items()})


def _content(row: dict[str, Any]) -> str:
    """Return what a block is and holds; when it was received does not count."""
    held = hashlib.blake2b(row["payload"], digest_size=16).hexdigest()
    return "|".join(str(row[name]) for name in ("asset_id", "position", "start_us", "sequence", "rate_hz")) + held


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Open the shipped suites with one worker of Great Expectations; print the table of all faults at the end."""
    folder = tmp_path_factory.mktemp("planted")
    checks = GovernanceParts.open(policies=GOVERNANCE, folder=folder / "reports", clock=ManualClock(time_us=NOW_US))
    opened = Bench(checks=checks, folder=folder)
    yield opened
    checks.close()
    for one in opened.found:
        sys.stdout.write(f"| {one.data} | {one.fault} | {one.where} | {one.said[:110]} | {one.leaks} |\n")
