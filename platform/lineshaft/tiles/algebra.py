"""The algebra every feature is made of: `prepare`, `merge`, `finish`.

Laws, tested for every aggregator (`tests/unit/tiles/test_laws.py`):
identity: merge(empty, a) == a == merge(a, empty), bit for bit;
batching: prepare of a batch equals prepare of its rows one by one, bit for bit;
accuracy: merge of parts agrees with the whole to 1e-9 relative;
order: merge is applied to consecutive parts in time order, left to right, so that every path rounds alike.

NaN inside means undefined; it becomes null where rows leave the kernel. A merge of float numbers is not associative to
the last bit; equality of paths comes from the fixed order, not from the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Shared = TypeVar("Shared")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dense:
    """The blocks of a batch with equally many measured samples, their holes closed up.

    values: float64 (m, k), C-contiguous, all finite; index: int64 (m, k) or (1, k), the place of each sample in its
    block.
    """

    rows: slice | NDArray[np.intp]
    values: Floats
    index: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """A batch of equally long blocks of one channel.

    values: float64 (n_blocks, n), not finite (NaN, infinite) where not measured; start_us: int64 (n_blocks,);
    shaft_hz, full_scale: float64 (n_blocks,), NaN where unknown; orders: float64 (n_blocks, 4), BPFO, BPFI, BSF, FTF
    as multiples of shaft speed, NaN where no bearing is known. Derived arrays that several aggregators share are
    computed once and cached.
    """

    values: Floats
    rate_hz: float
    start_us: NDArray[np.int64]
    shaft_hz: Floats
    full_scale: Floats
    orders: Floats
    _shared: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

    def shared(self, key: Hashable, make: Callable[[], Shared]) -> Shared:
        """Return what `make` gives, made once per batch: one FFT for all spectral aggregators."""
        if key not in self._shared:
            self._shared[key] = make()
        result: Shared = self._shared[key]
        return result

    @cached_property
    def finite(self) -> NDArray[np.bool_] | None:
        """Mask of measured samples, or None where all are (the fast path)."""
        mask = np.isfinite(self.values)
        return None if bool(mask.all()) else mask

    @cached_property
    def whole(self) -> NDArray[np.bool_]:
        """Tell the blocks without a hole: (n_blocks,). Spectra are defined on these only."""
        if self.finite is None:
            return np.full(len(self.values), fill_value=self.values.shape[1] > 0)
        return np.asarray(self.finite.all(axis=1))

    @cached_property
    def whole_rows(self) -> slice | NDArray[np.intp]:
        """Index the whole blocks: a slice where all are (the fast path, no copy)."""
        return slice(None) if bool(self.whole.all()) else np.flatnonzero(self.whole)

    @cached_property
    def dense(self) -> tuple[Dense, ...]:
        """Group the blocks by how many samples they measured; blocks without any are left out.

        A kernel then sees plain full rows only, and what it does to one row never depends on the other rows.
        """
        blocks, n = self.values.shape
        if not blocks or not n:
            return ()
        if self.finite is None:
            values = np.ascontiguousarray(self.values)
            return (Dense(rows=slice(None), values=values, index=np.arange(n, dtype=np.int64)[None, :]),)
        counts = self.finite.sum(axis=1)
        return tuple(self._holes_closed(rows=np.flatnonzero(counts == k), k=int(k)) for k in np.unique(counts) if k)

    def _holes_closed(self, *, rows: NDArray[np.intp], k: int) -> Dense:
        """Return blocks that all measured `k` samples."""
        mask = np.isfinite(self.values[rows])
        index = np.nonzero(mask)[1].reshape(-1, k).astype(np.int64)
        return Dense(rows=rows, values=self.values[rows][mask].reshape(-1, k), index=index)


class Aggregator(Protocol):
    """A mergeable summary of one channel: `width` float64 numbers per tile."""

    @property
    def key(self) -> str:
        """Canonical text with every parameter, e.g. `moments` or `band[5000-15000Hz]`."""
        ...

    @property
    def version(self) -> int:
        """Raise by one whenever the numbers change: it is part of every view version."""
        ...

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the numbers, in order."""
        ...

    def prepare(self, samples: Samples) -> Floats:
        """Summarise each block: (n_blocks, width). A block without usable samples gives `empty()`."""
        ...

    def merge(self, left: Floats, right: Floats) -> Floats:
        """Summarise two consecutive parts, `left` the earlier: (..., width) each, elementwise over leading axes."""
        ...

    def empty(self) -> Floats:
        """Return the identity of merge: (width,)."""
        ...


State = Mapping[str, Floats]
"""Merged numbers by aggregator key: (..., width)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What finishing may know besides the merged numbers: the window's length in seconds."""

    window_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One catalogue entry: a feature function with its meaning.

    `needs` are the aggregators it reads, `finish(state, context)` returns (...,) values, NaN where undefined.
    `baseline_tiles` > 0: `finish` also gets, under `baseline:<key>`, the merged first N tiles of the entity.
    """

    name: str  # as written in a definition, parameters included: "band_power[5000-15000Hz]"
    unit: str  # a rule: "{unit}" is the channel's unit, "{unit}^2", "1", "Hz", ...
    formula: str
    source: str  # where the definition comes from, and which variant it is
    needs: tuple[Aggregator, ...]
    finish: Callable[[State, Context], Floats]
    version: int = 1
    baseline_tiles: int = 0
