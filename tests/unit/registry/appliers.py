"""Processes that apply at once: each adds a view of its own to what it saw, again until it is in. Prints what was told.

All make their first plan before any applies it. An acknowledged apply is a line `won`, a refused one `lost` with what
the loser was told.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from lineshaft.errors import ConflictError
from lineshaft.registry.catalog import SqlCatalog
from lineshaft.specs import Feature, OnDemandView, Service, Source, View


@dataclass(frozen=True, kw_only=True)
class Given:
    """A plan made by hand: what is there, and one view more."""

    generation: int
    views: tuple[View, ...]
    summary: str
    on_demand: tuple[OnDemandView, ...] = ()
    services: tuple[Service, ...] = ()
    transfers: frozenset[str] = frozenset()

    def checked(self) -> None:
        """Find no fault."""


def view(name: str) -> View:
    """Return a small view."""
    return View(
        name=name,
        source=Source(name="readings", channels=("temperature",), units=("degC",)),
        entity_keys=(("asset_id", "string"),),
        features=(Feature(name="mean_1m", column="temperature", function="mean", window_us=60_000_000, unit="degC"),),
        team="process",
        owner="process@x",
    )


def planned(catalog: SqlCatalog, name: str) -> Given:
    """Plan to add a view to what is there."""
    present = catalog.snapshot()
    return Given(generation=present.generation, views=(*present.views(), view(name)), summary=f"new view {name}")


def work(url: str, name: str, ready: int, start: int) -> None:
    """Plan, say so, wait for all others, then apply until it is in."""
    catalog = SqlCatalog(url)
    plan = planned(catalog, name)
    os.write(ready, b".")
    os.read(start, 1)
    while True:
        try:
            catalog.apply(plan, actor=name)
        except ConflictError as error:
            os.write(1, f"lost {name} {error.what}\n".encode())
            plan = planned(catalog, name)
        else:
            os.write(1, f"won {name}\n".encode())
            return


def main(url: str, processes: int) -> None:
    """Start the processes, let them go at once, and wait for all."""
    (ready, told), (start, go) = os.pipe(), os.pipe()
    children = []
    for index in range(processes):
        child = os.fork()
        if not child:
            work(url, f"v{index}", told, start)
            os._exit(0)
        children.append(child)
    for _ in children:
        os.read(ready, 1)
    os.write(go, b"." * processes)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
