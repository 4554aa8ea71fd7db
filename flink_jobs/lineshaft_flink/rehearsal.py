"""A small, ugly feed to rehearse a job with: late, repeated, replaced, refused and broken blocks, always the same.

The tests, the kill rehearsal and the benchmarks feed it; run it against a cluster of your own to see it recover.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from lineshaft.specs import BLOCK_SCHEMA, Feature, Source, View

MINUTE_US = 60_000_000
EPOCH_US = 1_700_000_040_000_000
"""A whole minute of November 2023: where the feed begins."""
SOURCE = Source(name="rehearsal", channels=("x", "y"), units=("g", "g"))
FUNCTIONS = ("mean", "std", "rms", "min", "max", "skewness", "kurtosis")


def rehearsal_view(
    name: str = "rehearsal", *, windows_us: tuple[int, ...] = (MINUTE_US, 5 * MINUTE_US), grace_us: int = 2_000_000
) -> View:
    """Return a view of basic statistics of both channels."""
    features = tuple(
        Feature(name=f"{column}_{function}_{window // 1_000_000}s", column=column, function=function, window_us=window)
        for column in SOURCE.channels
        for function in FUNCTIONS
        for window in windows_us
    )
    return View(
        name=name,
        source=SOURCE,
        entity_keys=(("asset_id", "string"), ("position", "string")),
        features=features,
        tile_us=MINUTE_US,
        grace_us=grace_us,
        lateness_us=10 * MINUTE_US,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """How much of it: `assets` machines, a block every `step_s` seconds of event time, for `minutes`."""

    assets: int = 4
    minutes: int = 12
    step_s: int = 5
    samples: int = 50
    seed: int = 7

    def blocks(self) -> pa.Table:
        """Return the blocks in order of receipt: 1 in 8 late, 1 in 20 sent twice, 1 in 50 replaced, a few refused."""
        generator = np.random.default_rng(self.seed)
        records = []
        for start_us in range(EPOCH_US, EPOCH_US + self.minutes * MINUTE_US, self.step_s * 1_000_000):
            for asset in range(self.assets):
                records += self._records(generator, asset=f"machine-{asset}", start_us=start_us)
        records.sort(key=lambda record: (record["known_us"], record["asset_id"], record["start_us"], record["payload"]))
        return pa.Table.from_pylist(records, schema=BLOCK_SCHEMA)

    def _records(self, generator: np.random.Generator, *, asset: str, start_us: int) -> list[dict[str, Any]]:
        delay_us = int(generator.integers(1_000, 900_000))
        if generator.random() < 1 / 8:
            delay_us = int(generator.integers(1, 180)) * 1_000_000
        if generator.random() < 1 / 200:
            delay_us = 11 * MINUTE_US  # later than the view allows: refused
        block = self._record(generator, asset=asset, start_us=start_us, delay_us=delay_us)
        out = [block]
        if generator.random() < 1 / 20:
            out.append({**block, "known_us": block["known_us"] + int(generator.integers(1, 120)) * 1_000_000})
        if generator.random() < 1 / 50:
            later_us = delay_us + int(generator.integers(1, 240)) * 1_000_000
            out.append(self._record(generator, asset=asset, start_us=start_us, delay_us=later_us))
        if generator.random() < 1 / 100:
            out.append({**block, "start_us": start_us + 1, "payload": b"\x00\x01\x02"})  # no whole sample: refused
        return out

    def _record(self, generator: np.random.Generator, *, asset: str, start_us: int, delay_us: int) -> dict[str, Any]:
        values = generator.standard_normal((len(SOURCE.channels), self.samples)).astype("<f4")
        return {
            "asset_id": asset,
            "position": "drive_end",
            "start_us": start_us,
            "known_us": start_us + 1_000_000 + delay_us,
            "sequence": 0,
            "rate_hz": float(self.samples),
            "dtype": "f4",
            "payload": values.tobytes(),
            "shaft_hz": None,
            "bearing": None,
            "full_scale": None,
        }
