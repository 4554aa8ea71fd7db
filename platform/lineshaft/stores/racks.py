"""Rows of several views held side by side, ready to be answered with: one look-up an entity, not one a view."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lineshaft.specs.rows import PRESENT
from lineshaft.stores.ports import FoundTogether
from lineshaft.tiles.buffers import repeated
from lineshaft.tiles.joined import Joined
from lineshaft.tiles.sheet import CODES, Block, Parts, Sheet

_WORDS = frozenset(dtype for dtype, code in CODES.items() if np.dtype(code).itemsize == 8)


class Rack:
    """The rows of some views that are keyed alike, one run of words of 8 bytes for each entity.

    The event times of the views, their known times, then the features, those of one type together. Held are entities
    of which every row is there and fresh and no whole number is null, of views whose numbers take 8 bytes: `most` at
    most, the one put first goes first.
    """

    def __init__(self, names: tuple[tuple[str, ...], ...], *, most: int) -> None:
        self._names = names
        self._every = tuple(name for own in names for name in own)
        self._most = most
        self._rows: dict[bytes, bytes] = {}
        self._with_nulls: set[bytes] = set()
        self._groups: list[tuple[str, tuple[int, ...], slice]] = []  # type, places in an answer, words

    def take(self, keys: Sequence[bytes]) -> FoundTogether | None:
        """Return the rows of keys; None unless all of them are held."""
        try:
            raw = b"".join(map(self._rows.__getitem__, keys))
        except KeyError:
            return None
        if not raw:
            return None
        n, views = len(keys), len(self._names)
        with_nulls = not self._with_nulls.isdisjoint(keys)
        words = np.frombuffer(raw, np.int64).reshape(n, -1).T
        times = words[: 2 * views].copy()
        blocks = []
        for dtype, places, own in self._groups:
            values = words[own].copy().view(CODES[dtype])
            valid: NDArray[np.bool_] | None = None
            if with_nulls and dtype == "float64":
                undefined = np.isnan(values)
                valid = ~undefined if undefined.any() else None
            blocks.append(Block(dtype=dtype, places=places, values=values, valid=valid))
        joined = Joined(
            sheet=Sheet(names=self._every, rows=n, parts=Parts(blocks=blocks)),
            status=repeated(PRESENT, views, n),
            event_us=times[:views],
            whole=True,
        )
        return FoundTogether(joined=joined, known_us=times[views:], names=self._names)

    def put(self, keys: Sequence[bytes], rows: Joined, known_us: NDArray[np.int64]) -> None:
        """Hold rows just read, those that can be held."""
        parts = rows.sheet.parts
        if parts.loose or not _WORDS.issuperset([block.dtype for block in parts.blocks]):
            return
        if not self._groups:
            self._lay_out(parts.blocks)
        held = (rows.status == PRESENT).all(axis=0)
        nulls = np.zeros(len(keys), bool)
        words = np.zeros((2 * len(self._names) + len(self._every), len(keys)), np.int64)
        words[: 2 * len(self._names)] = np.concatenate([rows.event_us, known_us])
        for dtype, places, own in self._groups:
            at = {place: word for word, place in enumerate(places, own.start)}
            for block in parts.blocks:
                if block.dtype == dtype:
                    values = block.values if block.valid is None else block.withheld(block.valid).values
                    words[[at[place] for place in block.places]] = values.view(np.int64)
                    if block.valid is not None and dtype == "float64":
                        nulls |= ~block.valid.all(axis=0)
                    elif block.valid is not None:
                        held &= block.valid.all(axis=0)
        whole, width = np.ascontiguousarray(words.T).tobytes(), 8 * len(words)
        for i in np.flatnonzero(held).tolist():
            self._rows[keys[i]] = whole[i * width : (i + 1) * width]
            (self._with_nulls.add if nulls[i] else self._with_nulls.discard)(keys[i])
        while len(self._rows) > self._most:
            oldest = next(iter(self._rows))
            del self._rows[oldest]
            self._with_nulls.discard(oldest)

    def doubt(self, keys: Sequence[bytes] | None = None) -> None:
        """Let go of entities, or of all: what is held of them may not be what the server holds."""
        if keys is None:
            self._rows.clear()
            self._with_nulls.clear()
            return
        for key in keys:
            self._rows.pop(key, None)

    def _lay_out(self, blocks: Sequence[Block]) -> None:
        places: dict[str, tuple[int, ...]] = {}
        for block in blocks:
            places[block.dtype] = (*places.get(block.dtype, ()), *block.places)
        start = 2 * len(self._names)
        for dtype, own in places.items():
            self._groups.append((dtype, own, slice(start, start + len(own))))
            start += len(own)
