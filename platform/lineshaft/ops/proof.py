"""Run every path over the blocks that are there, and hold each against the oracle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lineshaft.ops.jobs import Inlet, Jobs, Target
from lineshaft.ops.rebuild import rebuild
from lineshaft.ops.verify import Check, check_offline, check_online, check_training, stored_blocks, truth
from lineshaft.specs import View
from lineshaft.stores.ports import OfflineStore, OnlineStore
from lineshaft.tiles.oracle import Comparison

HISTORY_SHARE = 0.5
LIVE_FILES = 8


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
    *,
    raw: OfflineStore,
    jobs: Jobs,
    target: Target,
    folder: Path,
    assets: Sequence[str] = (),
    told: Callable[[str], None] = lambda _: None,
) -> None:
    """Stream the stored blocks through the job as if they came now: half as history, half file by file in a live folder.

    The target's stores receive the rows.
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
    with jobs.stream(views, inlets, target=target) as stream:
        for number, (inlet, blocks, start) in enumerate(sorted(live, key=lambda item: item[2])):
            told(f"stream: live file {number + 1} of {len(live)}")
            write_blocks(blocks, inlet, f"live-{start:09d}")
        stream.commit()
        told("stream: draining")
        stream.stop(drain=True)


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
