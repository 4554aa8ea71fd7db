"""What becomes of what was held: released, with the rows that follow from it made anew, or discarded; who, and why.

Released rows are stored as they were made. Released blocks are written as they were received, and the rows of their
entities are computed again by the code that computes all rows; where a row was made without them it is replaced. So a
release ends with the bits that there would be, had nothing ever been held.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from lineshaft.clock import Clock
from lineshaft.errors import CheckNotRunError, CorruptError
from lineshaft.ops.jobs import COULD_NOT_RUN, Gate
from lineshaft.ops.landing import land
from lineshaft.ops.quarantine import (
    DISCARDED,
    REASON,
    RELEASED,
    Held,
    keep_aside,
    move_decided,
    quarantine_folder,
)
from lineshaft.ops.rebuild import rebuild
from lineshaft.ops.tables import keep_tables
from lineshaft.registry.catalog_values import Catalog
from lineshaft.specs import BLOCK_SCHEMA, Source, View, row_identity, row_schema
from lineshaft.stores.ports import OfflineStore, OnlineStore
from lineshaft.tiles.comparison import differing, sort_rows
from lineshaft.tiles.engine import Engine

_END_US = 2**61


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Somebody decided about a batch; each line's digest covers the one before, so none can be changed unseen."""

    act: str  # "released" or "discarded"
    batch: str
    what: str
    rows: int
    actor: str
    reason: str
    at_us: int
    stored: int = 0  # rows or blocks that were written
    replayed: int = 0  # rows of views that were made anew and differ from what was stored
    previous: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeper:
    """Decides about what is held. `gate` judges rows that follow from released blocks, as it judges all."""

    catalog: Catalog
    offline: OfflineStore
    online: OnlineStore
    work: Path
    tables: Path
    clock: Clock
    gate: Gate | None = None

    def release(self, held: Held, *, actor: str, reason: str) -> Decision:
        """Let a batch in after all; the decision is written down when all is done, and a release cut off is repeated.

        Raises `NotFoundError` where its view or source is not declared any more, and `CheckNotRunError` where rows that
        follow from it could not be checked: it is held still then, and can be released again.
        """
        table = held.table()
        rows = table.drop_columns([REASON])
        stored, replayed = rows.num_rows, 0
        if held.kind == "view":
            name, _, version = held.what.rpartition("@")
            stored = self._rows(self.catalog.view(name, version), rows, batch=held.path.stem)
        elif held.kind == "source":
            replayed = self._blocks(held, rows)
        elif held.kind == "table":
            keep_tables({held.name: rows}, self.tables)
        move_decided(held, RELEASED)
        return self._decided(held, RELEASED, actor=actor, reason=reason, stored=stored, replayed=replayed)

    def discard(self, held: Held, *, actor: str, reason: str) -> Decision:
        """Keep a batch out for good; the file stays, and the same batch held again is not asked about again."""
        move_decided(held, DISCARDED)
        return self._decided(held, DISCARDED, actor=actor, reason=reason)

    def _rows(self, view: View, rows: pa.Table, *, batch: str) -> int:
        """Store rows as they were made, offline and online."""
        fits = rows.select(row_schema(view).names).cast(row_schema(view))
        landed = land(view, fits, batch=f"released:{batch}", offline=self.offline, aside=self.work)
        if view.online and landed.good.num_rows:
            self.online.write(view, landed.good)
        return int(landed.good.num_rows)

    def _blocks(self, held: Held, blocks: pa.Table) -> int:
        """Write blocks as they were received, and make the rows of their entities anew."""
        views = [view for view in self.catalog.views() if view.source.name == held.name]
        source = views[0].source if views else Source(name=held.name, channels=(), units=())
        fits = blocks.select(BLOCK_SCHEMA.names).cast(BLOCK_SCHEMA)
        self.offline.write_blocks(source, fits, batch=f"released:{held.path.stem}")
        assets = sorted(set(blocks["asset_id"].to_pylist()))
        return sum(self.replay(view, assets, batch=f"replayed:{held.path.stem}") for view in views)

    def replay(self, view: View, assets: Sequence[str], *, batch: str) -> int:
        """Compute the rows of some assets again; put those that differ in the place of what is stored."""
        rows = computed(view, assets, self.offline)
        stored = pa.concat_tables([row_schema(view).empty_table(), *self.offline.read_rows(view, assets=list(assets))])
        fresh = unlike(view, rows, stored)
        if fresh.num_rows and self.gate is not None:
            verdict = self.gate(view, fresh)
            if verdict.outcome == COULD_NOT_RUN:
                what = f"the rows of {view.ref} that follow from what is released could not be checked"
                raise CheckNotRunError(what, fix="mend the checkpoint and release it again; it is held still")
            fresh = verdict.good
            keep_aside(verdict.quarantined, quarantine_folder(self.work, view), batch)
        if not fresh.num_rows:
            return 0
        self.offline.amend_rows(view, fresh, batch=f"{batch}:{view.ref}")
        if view.online:
            rebuild([view], self.offline, self.online)
        return int(fresh.num_rows)

    def _decided(
        self, held: Held, act: str, *, actor: str, reason: str, stored: int = 0, replayed: int = 0
    ) -> Decision:
        decision = Decision(
            act=act,
            batch=held.path.stem,
            what=held.what,
            rows=held.rows,
            actor=actor,
            reason=reason,
            at_us=self.clock.now_us(),
            stored=stored,
            replayed=replayed,
        )
        return write_down(decision, self.work)


def computed(view: View, assets: Sequence[str], offline: OfflineStore) -> pa.Table:
    """Return the rows of some assets, from the raw blocks, by the code that the jobs run."""
    engine = Engine(view)
    for blocks in offline.read_blocks(view.source, assets=list(assets)):
        engine.add(blocks)
    return sort_rows(view, engine.advance(_END_US))


def unlike(view: View, rows: pa.Table, stored: pa.Table) -> pa.Table:
    """Return the rows that are not stored with the same bits."""
    names = row_identity(view)
    ours = rows.select(names).append_column("ours", pa.array(np.arange(rows.num_rows)))
    theirs = stored.select(names).append_column("theirs", pa.array(np.arange(stored.num_rows)))
    pairs = ours.join(theirs, keys=names, join_type="inner")
    mine, other = pairs["ours"].combine_chunks(), pairs["theirs"].combine_chunks()
    same = np.ones(len(pairs), dtype=bool)
    for name in view.feature_names:
        same &= ~differing(rows[name].take(mine), stored[name].take(other))
    fresh = np.ones(rows.num_rows, dtype=bool)
    fresh[mine.to_numpy()[same]] = False
    return rows.filter(pa.array(fresh))


def decisions(work: Path) -> list[Decision]:
    """Return every decision, oldest first.

    Raises
    ------
    CorruptError
        If a line was changed, taken out or put elsewhere since it was written.
    """
    path = _log(work)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found, previous = [], ""
    for number, line in enumerate(lines, start=1):
        decision = Decision(**json.loads(line))
        if decision.previous != previous or _seal(decision) != decision.digest:
            what = "a decision about quarantine was altered, or one before it is gone"
            raise CorruptError(what, where=f"{path}:{number}", fix="compare with a backup")
        previous = decision.digest
        found.append(decision)
    return found


def write_down(decision: Decision, work: Path) -> Decision:
    """Put a decision at the end of the log; return it sealed."""
    before = decisions(work)
    linked = replace(decision, previous=before[-1].digest if before else "")
    sealed = replace(linked, digest=_seal(linked))
    path = _log(work)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as log:
        log.write(json.dumps(asdict(sealed)) + "\n")
        log.flush()
        os.fsync(log.fileno())
    return sealed


def _seal(decision: Decision) -> str:
    fields = {name: value for name, value in asdict(decision).items() if name != "digest"}
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def _log(work: Path) -> Path:
    return work / "quarantine" / "decisions.jsonl"
