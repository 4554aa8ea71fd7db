"""The online store in Redis or Valkey: one packed value per (project, view version, entity).

A key is eight characters that stand for project and view version (`lineshaft.stores.online_rows.prefix_of`), then the
entity (`lineshaft.tiles.packed_keys`); a value is `lineshaft.tiles.packing`. The hash `lineshaft:views` says in words
which eight characters stand for what.

Newer wins by (event_time, known_at) inside the server, so that replays and racing writers are harmless. Nothing here
is the truth: `lineshaft online rebuild` makes the same bytes again from the offline store.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import compress
from typing import Any

import pyarrow as pa

from lineshaft.errors import ConflictError, UnavailableError
from lineshaft.specs import View
from lineshaft.stores.emptied import Emptied
from lineshaft.stores.key_changes import KeyChanges
from lineshaft.stores.known_rows import KnownRows
from lineshaft.stores.links import servers_of
from lineshaft.stores.near_cache import Ask, NearCache
from lineshaft.stores.online_rows import codec_of, digest_of
from lineshaft.stores.ports import Found, Replaced, Wanted, Written
from lineshaft.stores.replacement import Swap, replace_rows
from lineshaft.stores.servers import PartlyAwayError, Servers

_LOG = logging.getLogger(__name__)
_WRITE_BATCH = 500
"""Rows of one script call: about 0.5 ms of the server's time, so that reads in between wait no longer."""
_VIEWS = "lineshaft:views"
_FILLED = "lineshaft:filled"
_AT_ONCE_S = 0.005
_SLOW_FOR_S = 0.1


class RedisOnlineStore:
    """An `OnlineStore` on one Redis or Valkey server. Threads may share it.

    `timeout_s` bounds a read as a whole; `write_timeout_s` bounds each batch of a write, and each step of a scan. Of
    each view, `near_rows` rows at most are kept in this process for `read_at_once`; 0 keeps none. `kept` is where they
    outlive the process.
    """

    def __init__(
        self,
        url: str,
        *,
        project: str,
        timeout_s: float = 0.025,
        write_timeout_s: float = 10.0,
        near_rows: int = 100_000,
        kept: KnownRows | None = None,
    ) -> None:
        self._servers = servers_of(url, where=f"online store of project {project}")
        self._emptied = Emptied(partial(is_filled, self._servers, project, budget_s=timeout_s))
        self._near = (
            NearCache(self._servers, most_rows=near_rows, kept=kept, emptied=self._emptied) if near_rows else None
        )
        self._project = project
        self._timeout_s = timeout_s
        self._write_timeout_s = write_timeout_s
        self._slow_until = 0.0
        self._fetched = 0
        self._filled: set[bytes] = set()  # views that hold rows, as far as this process knows

    def write(self, view: View, rows: pa.Table) -> Written:
        """Keep each row that is newer by (event_time, known_at) than the stored one.

        At equal times the larger bytes stay; a row that is there already counts as `older`. Raises
        `UnavailableError`; what was written before it stays, and writing all again is harmless.
        """
        if not rows.num_rows:
            return Written(kept=0, older=0)
        prefix = self._prefix(view)

        first = prefix not in self._filled
        if first:
            with suppress(PartlyAwayError):  # the words are for people: rows on other servers do not wait for them
                self._introduce(view, prefix)
        batches = partial(codec_of(view).pack, rows, batch=_WRITE_BATCH)
        kept = self._servers.write(prefix, batches, first=first, step_s=self._write_timeout_s)
        self._changed()
        self._filled.add(prefix)
        return Written(kept=kept, older=rows.num_rows - kept)

    def read(self, wanted: Sequence[Wanted], *, timeout_s: float | None = None) -> list[Found]:
        """Return what is there, for all views in one round trip.

        Raises `UnavailableError` when the server does not answer within the time given.
        """
        found = self._read(self._asks(wanted), self._timeout_s if timeout_s is None else timeout_s)
        self._emptied.learn()
        return found

    def _read(self, asks: Sequence[Ask], budget_s: float) -> list[Found]:
        keys = [ask.prefix + key for ask in asks for key in ask.keys]
        try:
            values = self._servers.values(keys, budget_s=budget_s) if keys else []
            self._refuse_emptied(values)
        except PartlyAwayError as part:
            self._keep_part(asks, part)
            raise
        self._fetched += len(keys)
        answers, at = [], 0
        for ask in asks:
            answers.append(self._unpacked(ask, values[at : at + len(ask.keys)]))
            at += len(ask.keys)
        return answers

    def _refuse_emptied(self, values: list[bytes | None]) -> None:
        """Raise `PartlyAwayError` if the server was emptied: what it does not hold may be there all the same."""
        if self._near is None or None not in values:
            return
        self._near.attend()  # who was cut off, or heard of a flush, doubts
        if self._emptied():
            lost = UnavailableError(
                "the online store lost its rows and was not given all of them again",
                fix="wait until it is filled, or run lineshaft online rebuild",
            )
            raise PartlyAwayError(lost, values=values, away=[value is None for value in values])

    def _keep_part(self, asks: Sequence[Ask], part: PartlyAwayError) -> None:
        """Remember the rows that came: `last_known` has them beside those last read of servers that are away."""
        if self._near is None:
            return
        at = 0
        for ask in asks:
            came = [not away for away in part.away[at : at + len(ask.keys)]]
            values = list(compress(part.values[at : at + len(ask.keys)], came))
            part_of = Ask(
                codec=ask.codec, prefix=ask.prefix, keys=list(compress(ask.keys, came)), features=ask.features
            )
            self._near.remember(part_of, values)
            at += len(ask.keys)

    def _unpacked(self, ask: Ask, values: list[bytes | None]) -> Found:
        return ask.codec.unpack(values, ask.features) if self._near is None else self._near.remember(ask, values)

    def _near_of(self, asks: Sequence[Ask]) -> NearCache | None:
        """Return the cache if it can answer for the rows asked for: those without texts."""
        return None if any(ask.codec.rows.has_tail for ask in asks) else self._near

    def read_at_once(self, wanted: Sequence[Wanted], *, budget_s: float = _AT_ONCE_S) -> Sequence[Found] | None:
        """Return what `read` returns if the server is quick; None where it is slow or away.

        Rows that were read before and have not changed since are not asked for again. After a slow answer, or without
        a budget, they are all that is answered: whoever asks must not be held up each time.
        """
        asks = self._asks(wanted)
        near = self._near_of(asks)
        if budget_s <= 0 or time.monotonic() < self._slow_until:
            return near.standing(asks) if near is not None else None
        budget_s = min(budget_s, _AT_ONCE_S)
        try:
            held = near.read(asks, budget_s=budget_s) if near is not None else None
            return self._read(asks, budget_s) if held is None else held
        except UnavailableError:
            self._slow_until = time.monotonic() + _SLOW_FOR_S
            return None

    def attend(self) -> None:
        """Keep what is held known to be fresh; never waits. To be called many times a second."""
        if self._near is not None:
            self._near.attend()

    def last_known(self, wanted: Sequence[Wanted]) -> list[Found] | None:
        """Return the rows last read, UNAVAILABLE where there is none; None where nothing is known."""
        return self._near.known(self._asks(wanted)) if self._near is not None else None

    def keep_known(self) -> None:
        """Write the rows last read to disk, for a process that starts while the server is away."""
        self._emptied.learn()
        if self._near is not None:
            self._near.save()

    def changes(self) -> KeyChanges:
        """Return a connection on which the server says which rows were written; raises `UnavailableError`."""
        return KeyChanges(self._servers, prefix_of=self._prefix, changed=self._changed)

    def names(self, wanted: Sequence[Wanted]) -> list[bytes]:
        """Return the keys of the rows wanted, as `changes` names them."""
        return [ask.prefix + key for ask in self._asks(wanted) for key in ask.keys]

    def rows_read(self) -> tuple[int, int]:
        """Return how many rows came from this process's memory, and how many from the server."""
        held, fetched = (self._near.held, self._near.fetched) if self._near is not None else (0, 0)
        return held, fetched + self._fetched

    def remove(self, view: View, keys: pa.Table) -> int:
        """Forget entities of a view; return how many were there."""
        prefix = self._prefix(view)
        return self._unlink([prefix + key for key in codec_of(view).keys.encode(keys)])

    def clear(self, view: View) -> int:
        """Forget every entity of a view; return how many were there."""
        self._filled.discard(self._prefix(view))
        gone = sum(self._unlink(keys) for keys in self._keys(view))
        self._call("HDEL", _VIEWS, self._prefix(view))
        return gone

    def replace(self, view: View, latest: Callable[[], Iterable[pa.Table]]) -> Replaced:
        """Hold what `latest` returns, whatever is there; no row that stays is ever missing.

        Raises `UnavailableError`; what was replaced before it stays, and doing all again is harmless.
        """
        self._introduce(view, self._prefix(view))
        return replace_rows(view, latest, self)

    def scan(self, view: View) -> Iterator[pa.Table]:
        """Return every readable row of a view, in batches, in no order; unreadable ones are logged."""
        for entries in self.entries(view):
            table, lost = codec_of(view).table([key for key, _ in entries], [value for _, value in entries])
            if lost:
                _LOG.warning("%d stored rows of %s cannot be read; rebuild the online store", lost, view.ref)
            yield table

    def digest(self, view: View) -> str:
        """Return a hash over all stored keys and bytes of a view, independent of order."""
        return digest_of(entry for entries in self.entries(view) for entry in entries)

    def entries(self, view: View) -> Iterator[list[tuple[bytes, bytes]]]:
        """Yield (entity key, value) of a view, in batches; keys removed meanwhile are left out."""
        width = len(self._prefix(view))
        for keys in self._keys(view):
            values = self._servers.values(keys, budget_s=self._write_timeout_s)
            yield [(key[width:], value) for key, value in zip(keys, values, strict=True) if value is not None]

    def values(self, view: View, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the packed rows of entities, as the server has them."""
        prefix = self._prefix(view)
        return self._servers.values([prefix + key for key in keys], budget_s=self._write_timeout_s) if keys else []

    def swap(self, view: View, swaps: Sequence[Swap]) -> int:
        """Make each swap whose old value is still there; return how many were made."""
        if not swaps:
            return 0
        prefix = self._prefix(view)
        full = [swap._replace(key=prefix + swap.key) for swap in swaps]
        made = self._servers.swap(full, budget_s=self._write_timeout_s)
        self._changed()
        return made

    def filled(self) -> bool:
        """Tell whether `mark_filled` was called since the server started empty."""
        return is_filled(self._servers, self._project, budget_s=self._write_timeout_s)

    def mark_filled(self) -> None:
        """Say that the server holds all that this project has offline: until then what is not there may be missing.

        A process that read while the mark was there, and finds it gone, calls nothing missing until it is back.
        """
        self._call("SADD", _FILLED, self._project)
        self._emptied.filled()

    def overwrite(self, view: View, keys: pa.Table, value: bytes) -> None:
        """Plant bytes under keys as no writer would: how tests make stored rows corrupt."""
        prefix = self._prefix(view)
        for key in codec_of(view).keys.encode(keys):
            self._call("SET", prefix + key, value)
        self._changed()

    def ping(self, *, timeout_s: float | None = None) -> None:
        """Return when the server answers; raises `UnavailableError` otherwise."""
        budget_s = self._timeout_s if timeout_s is None else timeout_s
        self._servers.each(lambda session: session.call("PING"), budget_s=budget_s)

    def close(self) -> None:
        """Close idle connections."""
        if self._near is not None:
            self._near.forget()
        self._servers.close()

    def _asks(self, wanted: Sequence[Wanted]) -> list[Ask]:
        """Return what is wanted as keys; views keyed alike share theirs."""
        asks: list[Ask] = []
        for one in wanted:
            codec = codec_of(one.view)
            for other, ask in zip(wanted, asks, strict=False):
                if other.keys is one.keys and other.view.entity_keys == one.view.entity_keys:
                    encoded = ask.keys
                    break
            else:
                encoded = codec.keys.encode(one.keys)
            asks.append(Ask(codec=codec, prefix=codec.prefix(self._project), keys=encoded, features=one.features))
        return asks

    def _prefix(self, view: View) -> bytes:
        return codec_of(view).prefix(self._project)

    def _introduce(self, view: View, prefix: bytes) -> None:
        """Say in words what a prefix stands for; refuse one that stands for something else."""
        name = f"{self._project}/{view.ref}"
        if not self._call("HSETNX", _VIEWS, prefix, name):
            held = self._call("HGET", _VIEWS, prefix)
            if held not in (None, name.encode()):
                raise ConflictError(
                    f"{name} and {held.decode(errors='replace')} have the same short prefix {prefix.decode()}",
                    where="online store",
                    fix="rename the view, or use another project name or server",
                )

    def _unlink(self, keys: list[bytes]) -> int:
        if not keys:
            return 0
        gone = self._servers.unlink(keys, budget_s=self._write_timeout_s)
        self._changed()
        return gone

    def _changed(self) -> None:
        if self._near is not None:
            self._near.doubt()

    def _call(self, *command: bytes | str | int) -> Any:
        return self._servers.call(*command, budget_s=self._write_timeout_s)

    def _keys(self, view: View) -> Iterator[list[bytes]]:
        """Yield the full keys of a view, each once. The prefix is anchored: no other project's keys match."""
        pattern = self._prefix(view) + b"*"
        seen: set[bytes] = set()  # SCAN may name a key twice while the server's table grows
        for keys in self._servers.scan(pattern, step_s=self._write_timeout_s):
            fresh = list(dict.fromkeys(key for key in keys if key not in seen))
            seen.update(fresh)
            if fresh:
                yield fresh


def is_filled(servers: Servers, project: str, *, budget_s: float) -> bool:
    """Tell whether servers are marked as holding all that a project has offline."""
    return bool(servers.call("SISMEMBER", _FILLED, project, budget_s=budget_s))
