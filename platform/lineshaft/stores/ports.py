"""What a store promises. Real adapters and memory twins pass one behaviour suite (`tests/behaviours`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, overload, runtime_checkable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lineshaft.specs import Source, View
from lineshaft.tiles.joined import Joined
from lineshaft.tiles.keys import Keys
from lineshaft.tiles.sheet import Block, Parts, Sheet, beside


class Found:
    """What a store found for each asked-for entity, in the order asked.

    `rows` has `event_time`, `known_at` and the asked-for features, one row per entity, all null where nothing is.
    `status` (int8, one per entity) is PRESENT (a row is there), NOT_FOUND or CORRUPT; nulls, ttl and ages are
    judged by `lineshaft.tiles.answer`, the same way for both stores. `sheet` holds the same rows to compute with.
    """

    __slots__ = ("sheet", "status")

    def __init__(self, *, rows: pa.Table | Sheet, status: NDArray[np.int8]) -> None:
        self.sheet = Sheet.of(rows)
        self.status = status

    @property
    def rows(self) -> pa.Table:
        """Return the rows as an Arrow table."""
        return self.sheet.table


class FoundTogether(Sequence[Found]):
    """What a store found of several views for the same entities, side by side already; each by itself for who asks.

    Every row is there: `joined` is whole. `known_us` (int64, views x entities) is when each row became known; `names`
    are the features of each view.
    """

    def __init__(self, *, joined: Joined, known_us: NDArray[np.int64], names: tuple[tuple[str, ...], ...]) -> None:
        self.joined, self._known_us, self._names = joined, known_us, names

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, i: int) -> Found: ...
    @overload
    def __getitem__(self, i: slice) -> Sequence[Found]: ...
    def __getitem__(self, i: int | slice) -> Found | Sequence[Found]:
        if isinstance(i, slice):
            return [self[j] for j in range(*i.indices(len(self)))]
        names, start = self._names[i], sum(len(own) for own in self._names[:i])
        times = Block(dtype="timestamp", places=(0, 1), values=np.stack([self.joined.event_us[i], self._known_us[i]]))
        both = Sheet(names=("event_time", "known_at"), rows=self.joined.sheet.rows, parts=Parts(blocks=[times]))
        sheet = beside([(both.names, both), (names, self.joined.sheet.part(start, start + len(names)))])
        return Found(rows=sheet, status=self.joined.status[i])


class Wanted:
    """One view of a request: which features of which entities (the view's join keys). Made many times a second."""

    __slots__ = ("features", "keys", "view")

    def __init__(self, *, view: View, features: tuple[str, ...], keys: pa.Table | Keys) -> None:
        self.view, self.features, self.keys = view, features, keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of written rows: `kept` replaced what was there, `older` lost to a newer row."""

    kept: int
    older: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unneeded:
    """A file of a table that nothing needs any more."""

    path: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """What became of a view's rows: `before` were held, `rows` are now.

    Of these `changed` were not there or held other bytes; `removed` were there and are no more.
    """

    before: int
    rows: int
    changed: int
    removed: int


class OnlineStore(Protocol):
    """The newest row of each (view version, entity). A cache: it can be rebuilt from offline, byte for byte."""

    def write(self, view: View, rows: pa.Table) -> Written:
        """Keep each row (schema `row_schema(view)`) that is newer by (event_time, known_at) than the stored one."""
        ...

    def read(self, wanted: Sequence[Wanted], *, timeout_s: float | None = None) -> list[Found]:
        """Return what is there, for all views in one round trip.

        Raises `UnavailableError` when the server does not answer within the time given.
        """
        ...

    def remove(self, view: View, keys: pa.Table) -> int:
        """Forget entities of a view; return how many were there."""
        ...

    def clear(self, view: View) -> int:
        """Forget every entity of a view; return how many were there."""
        ...

    def replace(self, view: View, latest: Callable[[], Iterable[pa.Table]]) -> Replaced:
        """Hold what `latest` returns, whatever is there: older, newer or unreadable. No row that stays is ever missing.

        `latest` is called once, when what is held has been looked through: a row written after that, and newer, stays.
        """
        ...

    def scan(self, view: View) -> Iterator[pa.Table]:
        """Return every stored row of a view (join keys, times, features), in batches, in no order."""
        ...

    def digest(self, view: View) -> str:
        """Return a hash over all stored keys and bytes of a view, independent of order."""
        ...


@runtime_checkable
class PromptStore(Protocol):
    """An online store that can be asked without a thread to wait on."""

    def read_at_once(self, wanted: Sequence[Wanted], *, budget_s: float) -> Sequence[Found] | None:
        """Return what `read` returns if that takes a few milliseconds, and the budget, at most; else None.

        Without a budget only what is known without asking is returned.
        """
        ...

    def attend(self) -> None:
        """Do what makes the next read prompt; called many times a second, never waits."""
        ...


@runtime_checkable
class RememberingStore(Protocol):
    """An online store that knows what it was last told when the server cannot be asked."""

    def last_known(self, wanted: Sequence[Wanted]) -> list[Found] | None:
        """Return the rows last read by this process, UNAVAILABLE where there is none; None where it knows nothing."""
        ...


class Changes(Protocol):
    """A connection on which an online store says which rows were written. Every method may raise `UnavailableError`."""

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when something is said."""
        ...

    def follow(self, views: Iterable[View]) -> None:
        """Ask to be told of the rows of views, besides those followed already; `poll` tells when that has begun."""
        ...

    def poll(self) -> set[bytes] | None:
        """Return the names of rows that were written, removed or expired since the last time; None: any may be."""
        ...

    def beat(self) -> None:
        """Ask for a sign of life; fail where the one asked for before has not come."""
        ...

    def close(self) -> None:
        """Hang up."""
        ...


@runtime_checkable
class TellingStore(Protocol):
    """An online store that says which rows were written, so that who waits for one need not ask all the time."""

    def changes(self) -> Changes:
        """Return a new connection of that kind; raises `UnavailableError`."""
        ...

    def names(self, wanted: Sequence[Wanted]) -> list[bytes]:
        """Return what `Changes.poll` calls the rows wanted."""
        ...


@runtime_checkable
class Counting(Protocol):
    """An online store that counts where its rows came from."""

    def rows_read(self) -> tuple[int, int]:
        """Return how many rows came from this process's memory, and how many from the server."""
        ...


class OfflineStore(Protocol):
    """All blocks and all feature rows with their history, in versioned tables."""

    def write_blocks(self, source: Source, blocks: pa.Table, *, batch: str) -> int:
        """Append raw blocks (BLOCK_SCHEMA) once per `batch` name; return the table version."""
        ...

    def read_blocks(
        self, source: Source, *, start_us: int | None = None, end_us: int | None = None, assets: Sequence[str] = ()
    ) -> Iterator[pa.Table]:
        """Return raw blocks whose start lies in [start, end), in batches; no `assets` means all."""
        ...

    def stored(self, what: View | Source) -> int:
        """Return how many rows of a view, or blocks of a source, are there, by what the tables say of themselves."""
        ...

    def write_rows(self, view: View, rows: pa.Table, *, batch: str) -> int:
        """Append feature rows (`row_schema(view)`) once per `batch` name; return the table version."""
        ...

    def amend_rows(self, view: View, rows: pa.Table, *, batch: str) -> int:
        """Put rows in the place of those of the same identity, and add the others, once per `batch` name.

        Returns the table version; the versions before it still hold what they held.
        """
        ...

    def read_rows(
        self,
        view: View,
        *,
        features: Sequence[str] | None = None,
        start_us: int | None = None,
        end_us: int | None = None,
        assets: Sequence[str] = (),
        version: int | None = None,
    ) -> Iterator[pa.Table]:
        """Return feature rows with event_time in (start, end], in batches."""
        ...

    def latest(self, view: View, *, version: int | None = None) -> Iterator[pa.Table]:
        """Return the newest row of each entity by (event_time, known_at): what the online store must hold."""
        ...

    def as_of(
        self,
        wanted: Wanted,
        at_us: NDArray[np.int64],
        *,
        known_us: NDArray[np.int64] | None = None,
        version: int | None = None,
    ) -> Iterator[Found]:
        """Return, per entity row in order, the newest row with event_time <= at and known_at <= known (default at).

        Chunks of consecutive entity rows; memory stays bounded whatever their number.
        """
        ...

    def version(self, view: View) -> int:
        """Return the current table version of a view's rows; -1 when nothing was written."""
        ...

    def vacuum(
        self, what: View | Source, *, retention_hours: int, keep_versions: Sequence[int], delete: bool = False
    ) -> list[Unneeded]:
        """Return the files that neither the current version nor a kept one needs; with `delete`, they are gone then.

        Raises `ConflictError`, and deletes nothing, where a kept version is not whole or would not be.
        """
        ...
