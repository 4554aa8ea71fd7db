"""Processes that apply at once: each adds a view of its own to all there is, again until it is in. Prints what came.

All make their first plan before any applies it; who loses plans again, three at a time, as people do who were told. An
acknowledged apply is a line `won`, a refused one `lost` with what the loser was told.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace

from lineshaft.definitions.diff import Plan, plan_changes
from lineshaft.definitions.reader import Definitions
from lineshaft.errors import ConflictError
from lineshaft.registry.catalog import SqlCatalog
from lineshaft.specs import Feature, Source, View

_AGAIN_AT_ONCE = 3


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


def planned(catalog: SqlCatalog, name: str) -> Plan:
    """Plan what somebody has who took in what others applied, and declares one view more.

    A plan of a generation that came after what was taken in would remove what came with it; it says so, and is dropped.
    """
    while True:
        present = catalog.snapshot()
        views = (*present.views(), replace(view(name), description=name))
        plan = plan_changes(Definitions(views=views, on_demand=(), services=()), catalog)
        if plan.generation == present.generation:
            return plan
        assert [one.verdict for one in plan.changes].count("removed") == plan.generation - present.generation


def work(url: str, name: str, *, ready: int, start: int, turns: tuple[int, int]) -> None:
    """Plan, say so, wait for all others, then apply until it is in."""
    catalog = SqlCatalog(url)
    plan, turn = planned(catalog, name), b""
    os.write(ready, b".")
    os.read(start, 1)
    while True:
        try:
            catalog.apply(plan, actor=name)
        except ConflictError as error:
            os.write(1, f"lost {name} {error.what}\n".encode())
            turn = turn or os.read(turns[0], 1)
            plan = planned(catalog, name)
        else:
            os.write(1, f"won {name}\n".encode())
            os.write(turns[1], turn)
            return


def main(url: str, processes: int) -> None:
    """Start the processes, let them go at once, and wait for all."""
    (ready, told), (start, go), turns = os.pipe(), os.pipe(), os.pipe()
    os.write(turns[1], b"." * _AGAIN_AT_ONCE)
    children = []
    for index in range(processes):
        child = os.fork()
        if not child:
            work(url, f"v{index}", ready=told, start=start, turns=turns)
            os._exit(0)
        children.append(child)
    for _ in children:
        os.read(ready, 1)
    os.write(go, b"." * processes)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
