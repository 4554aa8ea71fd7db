"""Make what is held of a view online what offline says, row by row: at no moment is a row missing that stays.

Offline is the truth: what differs gives way, also where it is newer or cannot be read. But offline is asked after what
is held was looked through, so a row that a writer brings after that is no difference: it stays if it is newer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple, Protocol

import pyarrow as pa

from lineshaft.specs import View
from lineshaft.stores.online_rows import codec_of
from lineshaft.stores.ports import Replaced, Written

_BATCH = 500


class Swap(NamedTuple):
    """A value to take the place of another; an empty one removes the row."""

    key: bytes
    old: bytes
    new: bytes


class Held(Protocol):
    """What a view's packed rows can be asked and told, by the keys of its entities."""

    def entries(self, view: View) -> Iterator[list[tuple[bytes, bytes]]]:
        """Yield every key and its value, in batches."""
        ...

    def values(self, view: View, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of keys."""
        ...

    def swap(self, view: View, swaps: Sequence[Swap]) -> int:
        """Make each swap whose old value is still there; return how many were made."""
        ...

    def write(self, view: View, rows: pa.Table) -> Written:
        """Keep each row that is newer than the stored one."""
        ...


def replace_rows(view: View, latest: Callable[[], Iterable[pa.Table]], held: Held) -> Replaced:
    """Hold what `latest` returns and nothing else. Keeps the keys of the view in memory, with a hash of each value."""
    seen = {key: hash(value) for entries in held.entries(view) for key, value in entries}
    before, rows, changed = len(seen), 0, 0
    for table in latest():
        rows += table.num_rows
        for start in range(0, table.num_rows, _BATCH):
            changed += _replaced(view, table.slice(start, _BATCH), seen, held)
    removed, left = 0, iter(seen)
    while keys := list(islice(left, _BATCH)):
        now = zip(keys, held.values(view, keys), strict=True)
        swaps = [Swap(key, old, b"") for key, old in now if old is not None and hash(old) == seen[key]]
        removed += held.swap(view, swaps)
    return Replaced(before=before, rows=rows, changed=changed, removed=removed)


def _replaced(view: View, rows: pa.Table, seen: dict[bytes, int], held: Held) -> int:
    """Put some rows in their places; return how many were not there. Takes their keys out of `seen`."""
    codec = codec_of(view)
    keys = codec.keys.encode(rows)
    swaps, absent = [], False
    for key, new, old in zip(keys, codec.rows.encode(rows), held.values(view, keys), strict=True):
        known = seen.pop(key, None)
        if old is not None and hash(old) == known:
            if old != new:
                swaps.append(Swap(key, old, new))
        else:
            absent = True  # or written meanwhile
    swapped = held.swap(view, swaps)
    if absent or swapped < len(swaps):
        return swapped + held.write(view, rows).kept
    return swapped
