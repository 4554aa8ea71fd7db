"""Raw blocks: the only form in which samples enter the platform.

A block is `n` consecutive samples of every channel of one source, taken at one rate at one position of one asset.
Blocks are atoms: no kernel looks across their borders, and a block belongs to the tile in which its END lies,
because a block is known only when it is complete.
"""

from __future__ import annotations

import pyarrow as pa

BLOCK_SCHEMA = pa.schema(
    [
        pa.field("asset_id", pa.string(), nullable=False),
        pa.field("position", pa.string(), nullable=False),  # "" where the source speaks of the whole asset
        pa.field("start_us", pa.int64(), nullable=False),  # event time of the first sample, microseconds UTC
        pa.field("known_us", pa.int64(), nullable=False),  # when the platform received it (>= end of the block)
        pa.field("sequence", pa.int64(), nullable=False),  # tells blocks with one start apart; 0 if unused
        pa.field("rate_hz", pa.float64(), nullable=False),
        pa.field("dtype", pa.string(), nullable=False),  # "f4" (waveforms) or "f8" (scalar readings)
        pa.field("payload", pa.binary(), nullable=False),  # little endian, channel-major: channels x n samples
        pa.field("shaft_hz", pa.float64()),  # shaft speed while the block was taken; null if unknown
        pa.field("bearing", pa.string()),  # geometry fitted: "n,d,D,angle_deg" (d, D in one unit); null if unknown
        pa.field("full_scale", pa.float64()),  # |x| at which the sensor clips; null if unknown
    ]
)
"""Arrow schema of raw blocks. NaN in the payload means "not measured"."""


def block_end_us(start_us: int, samples: int, rate_hz: float) -> int:
    """Return the end of a block: one sample period after its last sample.

    >>> block_end_us(0, 2560, 25600.0)
    100000
    """
    return start_us + round(samples * 1_000_000 / rate_hz)


def tile_end_us(end_us: int, tile_us: int) -> int:
    """Return the end of the aligned tile (T - tile, T] that holds a block ending at `end_us`.

    >>> tile_end_us(60_000_000, 60_000_000), tile_end_us(60_000_001, 60_000_000)
    (60000000, 120000000)
    """
    return -(-end_us // tile_us) * tile_us
