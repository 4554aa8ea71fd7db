"""Packed elements come back as they went in, and nothing else is taken for one."""

from __future__ import annotations

import numpy as np
import pytest

from lineshaft.errors import CorruptError
from lineshaft_flink.packing import RowBatch, TiledBlocks, packed_key


def test_tiled_blocks_come_back_to_the_bit() -> None:
    """Times, tiles with NaN of any payload, rejects and the key survive."""
    tiles = np.array([[1.0, np.nan], [-0.0, np.inf], [5e-324, 2.0]])
    blocks = TiledBlocks(
        key='["pump-1", "drive end"]',
        times=np.arange(15, dtype=np.int64).reshape(5, 3),
        tiles=tiles,
        rejects=[("pump-1", "", 1, 2, "bad_payload")],
    )
    packed = blocks.to_bytes()
    back = TiledBlocks.from_bytes(packed)
    assert packed_key(packed) == back.key == blocks.key
    assert back.tiles.tobytes() == tiles.tobytes()
    assert back.times.tolist() == blocks.times.tolist()
    assert list(back.rejects) == list(blocks.rejects)


def test_row_batches_are_cut_and_the_newest_row_is_found() -> None:
    """Newest is by tick, then by known time."""
    rows = RowBatch(
        tick_us=np.array([1, 3, 3, 2]), known_us=np.array([9, 4, 5, 9]), values=np.arange(8.0).reshape(4, 2)
    )
    assert rows.newest().values.tolist() == [[4.0, 5.0]]
    assert [len(part) for part in rows.chunks(3)] == [3, 1]
    assert RowBatch.from_bytes(rows.to_bytes()).values.tolist() == rows.values.tolist()


@pytest.mark.parametrize("kind", [TiledBlocks, RowBatch])
def test_other_bytes_are_refused(kind: type[TiledBlocks | RowBatch]) -> None:
    """Bytes of another kind raise an error of ours."""
    with pytest.raises(CorruptError):
        kind.from_bytes(b"XXXX" + bytes(60))
