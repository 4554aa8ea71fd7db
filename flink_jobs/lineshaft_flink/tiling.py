"""Blocks to packed tiles, a batch at a time: the stateless half of the job, without Flink."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lineshaft.errors import DefinitionError
from lineshaft.sources.blocks import HEARTBEAT_ASSET, spans_us
from lineshaft.sources.checks import validate_blocks
from lineshaft.specs import BLOCK_SCHEMA, View
from lineshaft.tiles.plan import TilePlan
from lineshaft_flink.packing import Reject, TiledBlocks

_Key = tuple[Any, ...]
_Part = tuple[NDArray[np.int64], NDArray[np.float64], list[_Key], list[Reject]]
_PAYLOAD = BLOCK_SCHEMA.get_field_index("payload")
_SLICE_BYTES = 16_000_000
_ITEM_BYTES = {"f4": 4, "f8": 8}


class Tiling:
    """Turn batches of blocks of one feed into packed tiles, one element per entity in the batch.

    All views of a feed share source and entity keys. Raises `DefinitionError` where they do not.
    """

    def __init__(self, views: Sequence[View]) -> None:
        shapes = {(view.source, view.entity_keys) for view in views}
        if len(shapes) != 1:
            names = ", ".join(view.name for view in views)
            raise DefinitionError(
                f"views {names} do not share source and entity keys", fix="give each combination a feed of its own"
            )
        self.plans = [TilePlan.of(view) for view in views]
        self.source = views[0].source
        self.keys = [name for name, _ in views[0].entity_keys]

    def elements(self, blocks: pa.Table | Iterable[pa.Table]) -> list[bytes]:
        """Return packed tiles, one element per entity, never more than rows; heartbeats vanish.

        A batch may come in slices small enough for the processor's cache: it is faster, and changes no bit. A block
        that cannot be computed is listed among the rejects of the first element; it stops nothing.
        """
        slices = [blocks] if isinstance(blocks, pa.Table) else blocks
        parts = [self._part(part) for part in slices]
        times = np.concatenate([part[0] for part in parts], axis=1)
        tiles = np.concatenate([part[1] for part in parts])
        rejects = [reject for part in parts for reject in part[3]]
        packed = self._pack([key for part in parts for key in part[2]], times, tiles, rejects)
        if rejects and not packed:
            packed = [self._element("[]", times, tiles, rejects)]
        return packed

    def _part(self, blocks: pa.Table) -> _Part:
        """Return times, tiles, keys and rejects of one slice."""
        real = _is_block(blocks)
        good, refused = validate_blocks(blocks if pc.all(real).as_py() else blocks.filter(real), self.source)
        rejects: list[Reject] = [_reject(json.loads(text), reason) for text, reason in _refusals(refused)]
        tiles, good, unlucky = self._tiles(good)
        keys = list(zip(*(good[name].to_pylist() for name in self.keys), strict=True))
        return self._times(good), tiles, keys, [*rejects, *unlucky]

    def _tiles(self, blocks: pa.Table) -> tuple[np.ndarray[Any, Any], pa.Table, list[Reject]]:
        """Prepare all views side by side; blocks on which a kernel fails are set aside one by one."""
        try:
            return np.hstack([plan.prepare(blocks) for plan in self.plans]), blocks, []
        except Exception as error:  # noqa: BLE001  a kernel may fail on one block of thousands; the others go on
            if blocks.num_rows == 1:
                reason = f"kernel_failed: {type(error).__name__}: {error}"
                width = sum(plan.width for plan in self.plans)
                return np.empty((0, width)), blocks.slice(0, 0), [_reject(blocks.to_pylist()[0], reason)]
        half = blocks.num_rows // 2
        left, left_blocks, left_rejects = self._tiles(blocks.slice(0, half))
        right, right_blocks, right_rejects = self._tiles(blocks.slice(half))
        return (
            np.vstack([left, right]),
            pa.concat_tables([left_blocks, right_blocks]),
            [*left_rejects, *right_rejects],
        )

    def _pack(self, keys: Sequence[_Key], times: Any, tiles: Any, rejects: Sequence[Reject]) -> list[bytes]:
        """Return the elements; blocks of one entity keep their order, entities that of their first block."""
        numbers: dict[_Key, int] = {}
        whose = np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
        order = np.argsort(whose, kind="stable")
        times, tiles = times[:, order], tiles[order]
        stops = np.cumsum(np.bincount(whose, minlength=len(numbers))).tolist()
        packed: list[bytes] = []
        for key, start, stop in zip(numbers, [0, *stops], stops, strict=False):
            told = rejects if not packed else ()
            mine = slice(start, stop)
            packed.append(self._element(json.dumps(key), times[:, mine], tiles[mine], told))
        return packed

    @staticmethod
    def _element(key: str, times: Any, tiles: Any, rejects: Sequence[Reject]) -> bytes:
        return TiledBlocks(key=key, times=times, tiles=tiles, rejects=rejects).to_bytes()

    def _times(self, blocks: pa.Table) -> np.ndarray[Any, Any]:
        """Return int64 (5, n): start, end, sequence, known, lane."""
        channels = len(self.source.channels)
        start, known, sequence = (blocks[name].to_numpy() for name in ("start_us", "known_us", "sequence"))
        items = np.array([_ITEM_BYTES[dtype] for dtype in blocks["dtype"].to_pylist()], dtype=np.int64)
        sizes = pc.binary_length(blocks["payload"]).to_numpy()
        span = spans_us(sizes // items // channels, blocks["rate_hz"].to_numpy())
        lanes = np.zeros(len(blocks), dtype=np.int64)
        if "position" not in self.keys:
            lanes[:] = [zlib.crc32(position.encode()) for position in blocks["position"].to_pylist()]
        return np.stack([start, start + span, sequence, known, lanes])


def blocks_of(columns: Sequence[Any]) -> pa.Table:
    """Return columns (in the order of BLOCK_SCHEMA, NaN for null numbers) as a table of nullable columns."""
    return pa.concat_tables(slices_of(columns))


def slices_of(columns: Sequence[Any]) -> Iterator[pa.Table]:
    """Return columns as tables of a few megabytes of payload each."""
    payloads = columns[_PAYLOAD].to_numpy()
    heads = [
        None if place == _PAYLOAD else pa.array(column, field.type, from_pandas=True)
        for place, (column, field) in enumerate(zip(columns, BLOCK_SCHEMA, strict=True))
    ]
    step = max(32, _SLICE_BYTES // max(1, len(payloads[0] or b"") if len(payloads) else 1))
    for at in range(0, max(1, len(payloads)), step):
        payload = pa.array(payloads[at : at + step], pa.binary(), from_pandas=True)
        arrays = [payload if head is None else head.slice(at, step) for head in heads]
        yield pa.Table.from_arrays(arrays, names=BLOCK_SCHEMA.names)


def _is_block(blocks: pa.Table) -> pa.ChunkedArray:
    """Tell blocks from heartbeats, which hold no data and only let time pass."""
    return pc.fill_null(pc.not_equal(blocks["asset_id"], HEARTBEAT_ASSET), fill_value=True)


def _refusals(refused: pa.Table) -> list[tuple[str, str]]:
    return list(zip(refused["raw"].to_pylist(), refused["reason"].to_pylist(), strict=True))


def _reject(record: dict[str, Any], reason: str) -> Reject:
    start_us, known_us = (int(record.get(name) or 0) for name in ("start_us", "known_us"))
    return (str(record.get("asset_id") or ""), str(record.get("position") or ""), start_us, known_us, reason)
