"""The online store's twin in memory: the same bytes, the same rule, no server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

import pyarrow as pa

from lineshaft.specs import View
from lineshaft.stores.online_rows import codec_of, digest_of
from lineshaft.stores.ports import Found, Replaced, Wanted, Written
from lineshaft.stores.replacement import Swap, replace_rows
from lineshaft.tiles.packing import TIMES

_SCHEMA = slice(0, TIMES.start)


class MemoryOnlineStore:
    """An `OnlineStore` in a dictionary, for tests and for the quick start."""

    def __init__(self) -> None:
        self._views: dict[str, dict[bytes, bytes]] = {}
        self._lock = threading.Lock()

    def write(self, view: View, rows: pa.Table) -> Written:
        """Keep each row that is newer by (event_time, known_at) than the stored one."""
        kept = 0
        for batch in codec_of(view).pack(rows, batch=1000):
            with self._lock:
                stored = self._views.setdefault(codec_of(view).ref, {})
                for key, value in batch.rows():
                    if wins(value, stored.get(key)):
                        stored[key] = value
                        kept += 1
        return Written(kept=kept, older=rows.num_rows - kept)

    def read(self, wanted: Sequence[Wanted], *, timeout_s: float | None = None) -> list[Found]:
        """Return what is there, for all views."""
        answers = []
        for one in wanted:
            codec = codec_of(one.view)
            answers.append(codec.unpack(self.values(one.view, codec.keys.encode(one.keys)), one.features))
        return answers

    def remove(self, view: View, keys: pa.Table) -> int:
        """Forget entities of a view; return how many were there."""
        with self._lock:
            stored = self._views.get(codec_of(view).ref, {})
            return sum(stored.pop(key, None) is not None for key in codec_of(view).keys.encode(keys))

    def clear(self, view: View) -> int:
        """Forget every entity of a view; return how many were there."""
        with self._lock:
            return len(self._views.pop(codec_of(view).ref, {}))

    def replace(self, view: View, latest: Callable[[], Iterable[pa.Table]]) -> Replaced:
        """Hold what `latest` returns, whatever is there; no row that stays is ever missing."""
        return replace_rows(view, latest, self)

    def scan(self, view: View) -> Iterator[pa.Table]:
        """Return every readable row of a view, in batches, in no order."""
        for part in self.entries(view):
            yield codec_of(view).table([key for key, _ in part], [value for _, value in part])[0]

    def digest(self, view: View) -> str:
        """Return a hash over all stored keys and bytes of a view, independent of order."""
        return digest_of(entry for entries in self.entries(view) for entry in entries)

    def entries(self, view: View) -> Iterator[list[tuple[bytes, bytes]]]:
        """Yield (entity key, value) of a view, in batches."""
        entries = list(self._views.get(codec_of(view).ref, {}).items())
        for at in range(0, len(entries), 1000):
            yield entries[at : at + 1000]

    def values(self, view: View, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the packed rows of entities."""
        stored = self._views.get(codec_of(view).ref, {})
        return [stored.get(key) for key in keys]

    def swap(self, view: View, swaps: Sequence[Swap]) -> int:
        """Make each swap whose old value is still there; return how many were made."""
        with self._lock:
            stored = self._views.setdefault(codec_of(view).ref, {})
            due = [swap for swap in swaps if stored.get(swap.key) == swap.old]
            for swap in due:
                if swap.new:
                    stored[swap.key] = swap.new
                else:
                    del stored[swap.key]
        return len(due)

    def overwrite(self, view: View, keys: pa.Table, value: bytes) -> None:
        """Plant bytes under keys as no writer would: how tests make stored rows corrupt."""
        with self._lock:
            stored = self._views.setdefault(codec_of(view).ref, {})
            stored.update(dict.fromkeys(codec_of(view).keys.encode(keys), value))


def wins(new: bytes, old: bytes | None) -> bool:
    """Say whether `new` replaces `old`: the rule of `newer_wins.lua`, in Python."""
    if old is None or len(old) < TIMES.stop or old[_SCHEMA] != new[_SCHEMA]:
        return True
    if old[TIMES] != new[TIMES]:
        return new[TIMES] > old[TIMES]
    return new > old
