"""Run every path over the blocks that are there, and hold each against the oracle."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from lineshaft.errors import UnavailableError
from lineshaft.ops.inbox import write_blocks_file
from lineshaft.ops.jobs import Inlet, Jobs, Stream, Target
from lineshaft.ops.quarantine import divided
from lineshaft.ops.rebuild import fill
from lineshaft.ops.verify import Check, check_offline, check_online, check_training, stored_blocks
from lineshaft.sources.blocks import heartbeat_block
from lineshaft.specs import View
from lineshaft.stores.ports import OfflineStore, OnlineStore
from lineshaft.tiles.comparison import Comparison, compare_rows

HISTORY_SHARE = 0.5
LIVE_FILES = 3
LAG_US = 2_000_000
ROUNDING_US = 1_000_000  # watermarks count milliseconds
PATIENCE_S = 600.0
A_DAY_US = 86_400_000_000


def prove_stored(
    views: Sequence[View],
    oracles: dict[str, pa.Table],
    *,
    offline: OfflineStore,
    online: OnlineStore,
    path: str,
    assets: Sequence[str] = (),
    held: Mapping[str, pa.Table] | None = None,
) -> Iterator[Check]:
    """Compare what is stored offline, read online and joined for training with the oracle.

    held: rows in quarantine by view name. Of the oracle's rows they are compared by themselves, and no other path may
    know them.
    """
    for view in views:
        oracle = oracles[view.name]
        if held is not None and held[view.name].num_rows:
            oracle, aside = divided(view, oracle, held[view.name])
            result = compare_rows(view, held[view.name], aside)
            yield Check(path=f"{path}, quarantined", view=view.name, result=result, quarantined=True)
        yield check_offline(view, offline, oracle, path=f"{path}, offline", assets=assets)
        yield check_online(view, online, oracle, path=f"{path}, online")
        yield check_training(view, offline, oracle)


def run_stream(
    views: Sequence[View],
    oracles: dict[str, pa.Table],
    *,
    raw: OfflineStore,
    jobs: Jobs,
    target: Target,
    assets: Sequence[str] = (),
    told: Callable[[str], None] = lambda _: None,
    patience_s: float = PATIENCE_S,
) -> None:
    """Stream the stored blocks through the job as if they came now: half as history, half as live files.

    The target's stores receive the rows; the files lie in its work folder. Raises `UnavailableError` when rows are due
    and none has come for `patience_s`.
    """
    folder = target.work / "inbox"
    sources = {view.source.name: stored_blocks(view, raw, assets=assets).sort_by("known_us") for view in views}
    for name, blocks in sources.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        write_blocks_file(blocks.slice(0, _cut(blocks, 0)), folder / name / "history.parquet")
    inlets = [Inlet(source=name, folder=folder / name) for name in sources]
    with jobs.stream(views, inlets, target=target, lag_us=LAG_US) as stream:
        for number in range(LIVE_FILES):
            # A folder's files are taken up in any order: the next is written when the last has been answered.
            told(f"stream: live file {number + 1} of {LIVE_FILES}")
            for name, blocks in sources.items():
                start, stop = _cut(blocks, number), _cut(blocks, number + 1)
                write_blocks_file(blocks.slice(start, stop - start), folder / name / f"live-{number}.parquet")
            newest = {name: _newest_us(blocks, _cut(blocks, number + 1)) for name, blocks in sources.items()}
            due = sum(_due(oracles[view.name], newest[view.source.name]) for view in views)
            _await_rows(stream, due, told, patience_s)
        for view in views:  # no more will come: let time pass, so that every window closes
            end_us = _newest_us(sources[view.source.name], sources[view.source.name].num_rows) + A_DAY_US
            beat = heartbeat_block(source=view.source, end_us=end_us)
            write_blocks_file(beat, folder / view.source.name / "live-end.parquet")
        _await_rows(stream, sum(oracles[view.name].num_rows for view in views), told, patience_s)
        told("stream: stopping")
        stream.stop()


def _cut(blocks: pa.Table, number: int) -> int:
    """Return where live file `number` begins: the first share is history, the rest is cut evenly."""
    share = HISTORY_SHARE + (1 - HISTORY_SHARE) * number / LIVE_FILES
    rows: int = blocks.num_rows
    return round(rows * share)


def _newest_us(blocks: pa.Table, stop: int) -> int:
    """Return the newest receipt of the blocks before `stop`, which are in order of receipt."""
    return int(blocks["known_us"][stop - 1].as_py()) if stop else 0


def _due(oracle: pa.Table, newest_us: int) -> int:
    """Count the row versions that a watermark which trails the newest receipt must have let out."""
    known_us = np.asarray(oracle["known_at"].cast(pa.int64()).to_numpy())
    return int((known_us <= newest_us - LAG_US - ROUNDING_US).sum())


def _await_rows(stream: Stream, wanted: int, told: Callable[[str], None], patience_s: float) -> None:
    """Commit until the rows that are due have come."""
    moved, before = time.monotonic(), -1
    while (seen := sum(stream.commit().rows.values())) < wanted:
        told(f"stream: {seen:,} of {wanted:,} rows due")
        if seen > before:
            moved, before = time.monotonic(), seen
        elif time.monotonic() > moved + patience_s:
            what = f"the stream gave {seen:,} of {wanted:,} rows, and none for {patience_s:.0f} s"
            raise UnavailableError(what, fix="see its log")
        time.sleep(1.0)


def prove_rebuild(
    views: Sequence[View], *, offline: OfflineStore, online: OnlineStore, scratch: OnlineStore
) -> Iterator[Check]:
    """Fill `scratch` from offline, from nothing, view by view: its bytes must be those online, which stay untouched."""
    for view in views:
        scratch.clear(view)
        try:
            rows = fill([view], offline, scratch)
            same = scratch.digest(view) == online.digest(view)
        finally:
            scratch.clear(view)
        result = Comparison(rows=rows, values=0, missing=0, extra=0, differing=0 if same else max(rows, 1))
        yield Check(path="online rebuilt", view=view.name, result=result)


def entities_of(view: View, oracle: pa.Table) -> pa.Table:
    """Return the distinct entities of a view's rows, in the order met."""
    names = [name for name, _ in view.entity_keys]
    indexed = oracle.select(names).append_column("place", pa.array(np.arange(oracle.num_rows)))
    firsts = indexed.group_by(names).aggregate([("place", "min")])["place_min"]
    return oracle.select(names).take(pa.array(np.sort(firsts.to_numpy())))
