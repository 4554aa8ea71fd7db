"""Blocks from the offline store into plain Parquet folders for a bounded job, split into runs that fit memory."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lineshaft.ops.inbox import write_blocks_file
from lineshaft.specs import BLOCK_SCHEMA, Source
from lineshaft.stores.ports import OfflineStore

SHARDS = 16
_FLUSH_BYTES = 32_000_000


@dataclass(slots=True)
class Shard:
    """The blocks of some of the assets: where they lie, how many, and a fingerprint that does not depend on order."""

    folder: Path
    blocks: int = 0
    fingerprint: int = 0
    _waiting: list[pa.Table] = field(default_factory=list)
    _bytes: int = 0
    _files: int = 0

    def add(self, blocks: pa.Table) -> None:
        """Take blocks."""
        self.blocks += blocks.num_rows
        self.fingerprint = (self.fingerprint + _fingerprint(blocks)) % 2**128
        self._waiting.append(blocks)
        self._bytes += blocks.nbytes
        if self._bytes > _FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what waits as one file, uncompressed: it is read once, at once."""
        if not self._waiting:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        table = pa.concat_tables(self._waiting)
        path = self.folder / f"blocks-{self._files:05d}.parquet"
        write_blocks_file(table, path)
        self._waiting, self._bytes, self._files = [], 0, self._files + 1


def stage_blocks(
    source: Source,
    *,
    offline: OfflineStore,
    folder: Path,
    assets: Sequence[str] = (),
    told: Callable[[int], None] = lambda _blocks: None,
) -> list[Shard]:
    """Copy a source's raw blocks into shards by asset; return those that hold any.

    One asset lies in one shard, so that shards can be computed one after the other.
    """
    shards = [Shard(folder=folder / f"shard-{number:02d}") for number in range(SHARDS)]
    for table in offline.read_blocks(source, assets=assets):
        names = pc.unique(table["asset_id"]).to_pylist()
        home = {name: zlib.crc32(name.encode()) % SHARDS for name in names}
        for number in sorted(set(home.values())):
            mine = pa.array([name for name in names if home[name] == number], pa.string())
            shards[number].add(table.filter(pc.is_in(table["asset_id"], value_set=mine)))
        told(table.num_rows)
    for shard in shards:
        shard.flush()
    return [shard for shard in shards if shard.blocks]


def runs(shards: Sequence[Shard], *, most_blocks: int) -> list[list[Shard]]:
    """Gather shards into runs of at most `most_blocks`; a larger shard is a run by itself."""
    out: list[list[Shard]] = []
    room = 0
    for shard in sorted(shards, key=lambda s: -s.blocks):
        if not out or shard.blocks > room:
            out.append([])
            room = most_blocks
        out[-1].append(shard)
        room -= shard.blocks
    return out


def _fingerprint(blocks: pa.Table) -> int:
    """Return a sum of hashes of blocks: the same in any order and any partition."""
    columns = [blocks[name].to_pylist() for name in BLOCK_SCHEMA.names]
    total = 0
    for record in zip(*columns, strict=True):
        digest = hashlib.blake2b(digest_size=16)
        for value in record:
            digest.update(value if isinstance(value, bytes) else repr(value).encode())
        total += int.from_bytes(digest.digest(), "little")
    return total


def most_blocks(width: int, *, tile_bytes: int) -> int:
    """Return how many blocks of `width` numbers a run may hold, given the bytes its tiles may take."""
    return int(np.ceil(tile_bytes / (8 * width + 200)))
