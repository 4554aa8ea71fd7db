"""Offline tables swept: files that no current row, no pinned training set and no retention needs are told, or deleted.

A model pins the version of each table that its training set was read from. These are asked of the registry, never of
the caller, so that nobody can forget one; and a table of which a pinned version is broken is not touched at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lineshaft.errors import LineshaftError
from lineshaft.registry.catalog import SqlCatalog
from lineshaft.specs import Source, View
from lineshaft.stores.ports import OfflineStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What there is to delete of a table, or was deleted; `refused` says why nothing was."""

    table: str
    pinned: tuple[int, ...]  # versions that models pin
    files: int = 0
    bytes: int = 0
    refused: str = ""


def sweep(catalog: SqlCatalog, offline: OfflineStore, *, retention_hours: int, delete: bool) -> list[Swept]:
    """Look through the tables of everything that was ever declared; with `delete`, delete what nothing needs."""
    found = []
    for table, what, pinned in _tables(catalog):
        try:
            gone = offline.vacuum(what, retention_hours=retention_hours, keep_versions=pinned, delete=delete)
        except LineshaftError as error:
            found.append(Swept(table=table, pinned=pinned, refused=error.what))
            continue
        found.append(Swept(table=table, pinned=pinned, files=len(gone), bytes=sum(one.size for one in gone)))
    return found


def _tables(catalog: SqlCatalog) -> Iterator[tuple[str, View | Source, tuple[int, ...]]]:
    """Yield the name of each table, what it is of, and the versions of it that models pin."""
    views = catalog.at(catalog.generation()).all_views
    for view in sorted(views, key=lambda one: one.ref):
        yield f"rows of {view.ref}", view, tuple(catalog.pinned_versions(view))
    sources = {view.source.name: view.source for view in views if view.source.kind == "blocks"}
    for name, source in sorted(sources.items()):
        yield f"blocks of {name}", source, ()
