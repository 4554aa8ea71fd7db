"""The oracle's rows of views, entity by entity, on as many processes as are given."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from lineshaft.specs import BLOCK_SCHEMA, View, row_schema
from lineshaft.stores.ports import OfflineStore
from lineshaft.tiles.comparison import sort_rows
from lineshaft.tiles.oracle import oracle_rows

READ_BYTES = 128_000_000
"""Blocks read at once: as many assets as fit, one at least."""

Told = Callable[[str], None]


def silence(_words: str) -> None:
    """Tell nobody."""


def oracles_of(
    views: Sequence[View],
    offline: OfflineStore,
    *,
    assets: Sequence[str] = (),
    workers: int = 1,
    told: Told = silence,
) -> dict[str, pa.Table]:
    """Return the oracle's rows of each view, by name; with more than one worker, on processes of their own."""
    if workers <= 1:
        return {view.name: _rows(view, offline, assets=assets, pool=None, workers=1, told=told) for view in views}
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return {
                view.name: _rows(view, offline, assets=assets, pool=pool, workers=workers, told=told) for view in views
            }
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def truth(view: View, offline: OfflineStore, *, assets: Sequence[str] = ()) -> pa.Table:
    """Return the oracle's rows of a view, from the raw blocks in the offline store."""
    return oracles_of([view], offline, assets=assets)[view.name]


def _rows(
    view: View, offline: OfflineStore, *, assets: Sequence[str], pool: Executor | None, workers: int, told: Told
) -> pa.Table:
    """Ask the oracle about one entity after the other; twice as many wait as there are workers, and no more."""
    counts, sizes = _census(view, offline, assets)
    total, done = sum(counts.values()), 0
    tables = [row_schema(view).empty_table()]
    told(f"oracle: {view.name}, {total:,} blocks")
    entities = _entities(view, offline, sizes)
    if pool is None:
        for blocks in entities:
            tables.append(oracle_rows(view, blocks))
            done += blocks.num_rows
            told(f"oracle: {view.name}, {done:,} of {total:,} blocks")
        return sort_rows(view, pa.concat_tables(tables))
    waiting: dict[Future[pa.Table], int] = {}
    while True:
        for blocks in islice(entities, 2 * workers - len(waiting)):
            waiting[pool.submit(oracle_rows, view, blocks)] = blocks.num_rows
        if not waiting:
            return sort_rows(view, pa.concat_tables(tables))
        for ready in wait(waiting, return_when=FIRST_COMPLETED).done:
            tables.append(ready.result())
            done += waiting.pop(ready)
            told(f"oracle: {view.name}, {done:,} of {total:,} blocks")


def _census(view: View, offline: OfflineStore, assets: Sequence[str]) -> tuple[Counter[str], Counter[str]]:
    """Count blocks and bytes of each asset."""
    counts, sizes = Counter[str](), Counter[str]()
    for table in offline.read_blocks(view.source, assets=assets):
        measured = pa.table({"asset_id": table["asset_id"], "size": pc.binary_length(table["payload"])})
        for row in measured.group_by("asset_id").aggregate([("size", "sum"), ("size", "count")]).to_pylist():
            counts[row["asset_id"]] += row["size_count"]
            sizes[row["asset_id"]] += row["size_sum"]
    return counts, sizes


def _entities(view: View, offline: OfflineStore, sizes: Counter[str]) -> Iterator[pa.Table]:
    """Yield each entity's blocks; memory holds those of a few assets."""
    names = [name for name, _ in view.entity_keys]
    for assets in _groups(sizes):
        blocks = pa.concat_tables([BLOCK_SCHEMA.empty_table(), *offline.read_blocks(view.source, assets=assets)])
        for key in blocks.group_by(names, use_threads=False).aggregate([]).to_pylist():
            mine = pc.equal(blocks[names[0]], key[names[0]])
            for name in names[1:]:
                mine = pc.and_(mine, pc.equal(blocks[name], key[name]))
            yield blocks.filter(mine).combine_chunks()


def _groups(sizes: Counter[str]) -> Iterator[list[str]]:
    """Gather assets until their bytes are enough for one read."""
    group: list[str] = []
    held = 0
    for asset in sorted(sizes):
        if group and held + sizes[asset] > READ_BYTES:
            yield group
            group, held = [], 0
        group.append(asset)
        held += sizes[asset]
    if group:
        yield group
