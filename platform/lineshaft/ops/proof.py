"""Run every path over the blocks that are there, and hold each against the oracle."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lineshaft.errors import UnavailableError
from lineshaft.ops.jobs import Inlet, Jobs, Stream, Target
from lineshaft.ops.rebuild import rebuild
from lineshaft.ops.verify import Check, check_offline, check_online, check_training, stored_blocks, truth
from lineshaft.specs import View
from lineshaft.stores.ports import OfflineStore, OnlineStore
from lineshaft.tiles.oracle import Comparison

HISTORY_SHARE = 0.5
LIVE_FILES = 8
LAG_US = 2_000_000
PATIENCE_S = 600.0


def prove_stored(
    views: Sequence[View],
    oracles: dict[str, pa.Table],
    *,
    offline: OfflineStore,
    online: OnlineStore,
    path: str,
    assets: Sequence[str] = (),
) -> Iterator[Check]:
    """Compare what is stored offline, read online and joined for training with the oracle."""
    for view in views:
        oracle = oracles[view.name]
        yield check_offline(view, offline, oracle, path=f"{path}, offline", assets=assets)
        yield check_online(view, online, oracle, path=f"{path}, online")
        yield check_training(view, offline, oracle)


def oracles_of(
    views: Sequence[View], offline: OfflineStore, *, assets: Sequence[str] = (), told: Callable[[str], None] = lambda _: None
) -> dict[str, pa.Table]:
    """Return the oracle's rows of each view, by name."""
    rows = {}
    for view in views:
        told(f"oracle: {view.name}")
        rows[view.name] = truth(view, offline, assets=assets)
    return rows


def run_stream(
    views: Sequence[View],
    oracles: dict[str, pa.Table],
    *,
    raw: OfflineStore,
    jobs: Jobs,
    target: Target,
    folder: Path,
    assets: Sequence[str] = (),
    told: Callable[[str], None] = lambda _: None,
) -> None:
    """Stream the stored blocks through the job as if they came now: half as history, half file by file in a live folder.

    The target's stores receive the rows. Raises `UnavailableError` when rows that are due do not come.
    """
    sources = {view.source.name: view for view in views}
    inlets, live = [], []
    for name, view in sources.items():
        blocks = stored_blocks(view, raw, assets=assets).sort_by("known_us")
        inlet = folder / name
        inlet.mkdir(parents=True, exist_ok=True)
        half = round(blocks.num_rows * HISTORY_SHARE)
        write_blocks(blocks.slice(0, half), inlet, "history")
        step = max(1, -(-(blocks.num_rows - half) // LIVE_FILES))
        live += [(inlet, blocks.slice(start, step), start) for start in range(half, blocks.num_rows, step)]
        inlets.append(Inlet(source=name, folder=inlet))
    with jobs.stream(views, inlets, target=target, lag_us=LAG_US) as stream:
        for number, (inlet, blocks, start) in enumerate(sorted(live, key=lambda item: item[2])):
            told(f"stream: live file {number + 1} of {len(live)}")
            write_blocks(blocks, inlet, f"live-{start:09d}")
        _await_rows(stream, sum(_due(view, oracles[view.name]) for view in views), told)
        told("stream: draining")
        stream.stop(drain=True)


def _due(view: View, oracle: pa.Table) -> int:
    """Count the row versions that a watermark which trails the newest receipt must have let out."""
    known_us = np.asarray(oracle["known_at"].cast(pa.int64()).to_numpy())
    newest = int(known_us.max(initial=0)) - view.tile_us - LAG_US
    return int((known_us <= newest).sum())


def _await_rows(stream: Stream, wanted: int, told: Callable[[str], None]) -> None:
    """Commit until the rows that are due have come."""
    deadline = time.monotonic() + PATIENCE_S
    while (seen := sum(stream.commit().rows.values())) < wanted:
        told(f"stream: {seen:,} of {wanted:,} rows due")
        if time.monotonic() > deadline:
            raise UnavailableError(f"the stream gave {seen:,} of {wanted:,} rows in {PATIENCE_S:.0f} s", fix="see its log")
        time.sleep(1.0)


def prove_rebuild(views: Sequence[View], *, offline: OfflineStore, online: OnlineStore) -> Iterator[Check]:
    """Empty the online store and rebuild it from offline: the bytes must be those of before."""
    for done in rebuild(views, offline, online):
        result = Comparison(
            rows=done.rows, values=0, missing=0, extra=0, differing=0 if done.before == done.after else done.rows
        )
        yield Check(path="online rebuilt", view=done.view, result=result)


def write_blocks(blocks: pa.Table, folder: Path, name: str) -> None:
    """Write blocks as a file that appears whole: hidden name first, then renamed."""
    if not blocks.num_rows:
        return
    part = folder / f".{name}.parquet"
    pq.write_table(blocks, part)
    part.rename(folder / f"{name}.parquet")


def entities_of(view: View, oracle: pa.Table) -> pa.Table:
    """Return the distinct entities of a view's rows, in the order met."""
    names = [name for name, _ in view.entity_keys]
    indexed = oracle.select(names).append_column("place", pa.array(np.arange(oracle.num_rows)))
    firsts = indexed.group_by(names).aggregate([("place", "min")])["place_min"]
    return oracle.select(names).take(pa.array(np.sort(firsts.to_numpy())))
