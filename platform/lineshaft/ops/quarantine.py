"""What checkpoints held back: where it is kept, which of it is held back still, and what became of the rest.

Held are a view's feature rows, a source's raw blocks, a side table, and the rows for which a training set was refused.
Each batch is one file with a column `reason`; a decision moves it to `released/` or `discarded/` beside where it lay,
so that nothing is ever lost.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lineshaft.errors import InputError, NotFoundError
from lineshaft.ops.unstored import unstored
from lineshaft.specs import View, row_identity, row_schema
from lineshaft.stores.ports import OfflineStore
from lineshaft.stores.whole_files import write_whole

REASON = "reason"
HELD, RELEASED, DISCARDED = "held", "released", "discarded"
_ID = 12


def quarantine_folder(work: Path, what: View | str) -> Path:
    """Return where what is held of a view is kept, or of what `of_source` and the like name."""
    return work / "quarantine" / (what if isinstance(what, str) else what.ref)


def of_source(name: str) -> str:
    """Return how quarantine calls the blocks of a source."""
    return f"source.{name}"


def of_table(name: str) -> str:
    """Return how quarantine calls the rows of a side table."""
    return f"table.{name}"


def of_training(model: str) -> str:
    """Return how quarantine calls the rows for which a model's training set was refused."""
    return f"training.{model}"


def keep_aside(table: pa.Table, folder: Path, batch: str) -> str:
    """Keep rows under the batch's name: written again it is the same file, and one that was decided stays so.

    Returns "held", "released" or "discarded"; "" where there are no rows.
    """
    if not table.num_rows:
        return ""
    name = f"{hashlib.blake2b(batch.encode(), digest_size=12).hexdigest()}.parquet"
    for state in (RELEASED, DISCARDED):
        decided = folder / state / name
        if decided.exists() and pq.read_table(decided, partitioning=None).equals(table):
            return state
    write_whole(table, folder / name)
    return HELD


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A batch in quarantine: of what, since when, how many rows, and why."""

    id: str
    what: str  # "view@version", "source.NAME", "table.NAME" or "training.MODEL"
    rows: int
    reasons: tuple[tuple[str, int], ...]  # the most frequent first
    since_us: int
    path: Path

    @property
    def kind(self) -> str:
        """Return what is held: "view", "source", "table" or "training"."""
        return "view" if "@" in self.what else self.what.partition(".")[0]

    @property
    def name(self) -> str:
        """Return the name of the view, source, table or model."""
        return self.what.partition("@")[0] if self.kind == "view" else self.what.partition(".")[2]

    def table(self) -> pa.Table:
        """Return the rows, with their reasons."""
        return pq.read_table(self.path, partitioning=None)


def held_paths(work: Path) -> frozenset[Path]:
    """Return the file of every batch that waits for a decision."""
    return frozenset((work / "quarantine").glob("*/[!.]*.parquet"))


def held_batches(work: Path, *, but: frozenset[Path] = frozenset()) -> list[Held]:
    """Return every batch that waits for a decision, oldest first, without those whose files are named."""
    return sorted((_held(path) for path in held_paths(work) - but), key=lambda one: (one.since_us, one.id))


def find_held(work: Path, name: str) -> Held:
    """Return the one batch whose id begins so; raises `NotFoundError`, or `InputError` where there are several."""
    found = [one for one in held_batches(work) if one.path.stem.startswith(name)] if name else []
    if not found:
        raise NotFoundError(f"nothing in quarantine is called {name!r}", fix="see `lineshaft quarantine list`")
    if len(found) > 1:
        raise InputError(f"{len(found)} batches are called {name!r}…", fix=f"write more of it: {found[0].path.stem}")
    return found[0]


def move_decided(held: Held, state: str) -> Path:
    """Move a batch to those released or discarded; one of the same name that lay there is replaced."""
    path = held.path.parent / state / held.path.name
    path.parent.mkdir(exist_ok=True)
    held.path.replace(path)
    return path


def _held(path: Path) -> Held:
    reasons = Counter(pq.read_table(path, columns=[REASON], partitioning=None)[REASON].to_pylist())
    return Held(
        id=path.stem[:_ID],
        what=path.parent.name,
        rows=sum(reasons.values()),
        reasons=tuple(reasons.most_common()),
        since_us=path.stat().st_mtime_ns // 1000,
        path=path,
    )


def quarantined_rows(view: View, *, offline: OfflineStore, work: Path, assets: Sequence[str] = ()) -> pa.Table:
    """Return the rows held back or discarded that are not stored all the same, each once (`row_schema(view)`)."""
    schema = row_schema(view)
    files = list(_row_files(quarantine_folder(work, view)))
    if not files:
        return schema.empty_table()
    held = pa.concat_tables(pq.read_table(file, partitioning=None).select(schema.names).cast(schema) for file in files)
    if assets:
        held = held.filter(pc.is_in(held["asset_id"], value_set=pa.array(list(assets), pa.string())))
    return unstored(view, held, offline)


def _row_files(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.glob("[!.]*.parquet"))
    yield from sorted((folder / DISCARDED).glob("[!.]*.parquet"))


def divided(view: View, rows: pa.Table, held: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return (the rows that are not held back, those that are), told apart by key, event time and known time."""
    if not held.num_rows:
        return rows, rows.slice(0, 0)
    names = row_identity(view)
    places = rows.select(names).append_column("place", pa.array(np.arange(rows.num_rows)))
    hit = places.join(held.select(names), keys=names, join_type="left semi")["place"]
    aside = np.zeros(rows.num_rows, dtype=bool)
    aside[hit.to_numpy()] = True
    return rows.filter(pa.array(~aside)), rows.filter(pa.array(aside))
