"""A process of promoters: `race` has several promote at once, `kill` kills one again and again. Prints what was told.

Each promotion that returned is a line on standard output, its reason; that is what may never be lost.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

from lineshaft.clock import SystemClock
from lineshaft.errors import ConflictError
from lineshaft.registry.models import ModelRegistry, open_registry


def promote(registry: ModelRegistry, actor: str, reason: str) -> int:
    """Take the slot from whoever is seen there, again until it was taken; return how often another was faster."""
    lost = 0
    while True:
        held = registry.held("rul", "prod")
        number = 1 if held is None or held.number == 2 else 2
        try:
            registry.promote(
                "rul", number, environment="prod", actor=actor, reason=reason, expected=held.id if held else 0
            )
        except ConflictError:
            lost += 1
        else:
            os.write(1, f"{reason}\n".encode())  # unbuffered: said before a signal can come between
            return lost


def work(registry: ModelRegistry, name: str, edits: int) -> int:
    """Promote so many times; return how often another was faster."""
    return sum(promote(registry, name, f"{name}-{edit}") for edit in range(edits))


def opened(url: str, artifacts: str) -> ModelRegistry:
    """Open the registry: in the process that uses it, because connections do not survive a fork."""
    return open_registry(database_url=url, artifacts=Path(artifacts), clock=SystemClock())


def race(url: str, artifacts: str, edits: int, processes: int) -> None:
    """Let processes share the edits, and wait for all."""
    children = []
    for index in range(processes):
        child = os.fork()
        if not child:
            lost = work(opened(url, artifacts), f"p{index}", edits // processes)
            os.write(2, f"lost {lost}\n".encode())
            os._exit(0)
        children.append(child)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0


def kill(url: str, artifacts: str, kills: int, seed: int) -> None:
    """Start a promoter, kill it at any moment of its work, and the next."""
    dice = random.Random(seed)
    for index in range(kills):
        ready, at_work = os.pipe()
        child = os.fork()
        if not child:
            registry = opened(url, artifacts)
            work(registry, f"k{index}-first", 1)
            os.write(at_work, b".")
            work(registry, f"k{index}", 10**6)
        begun = time.monotonic()
        os.read(ready, 1)
        # As long as a few promotions take, on a machine as busy as this one is now.
        time.sleep(dice.uniform(0.0, 3.0) * (time.monotonic() - begun))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready)
        os.close(at_work)


if __name__ == "__main__":
    how, address, folder, first, second = sys.argv[1:]
    {"race": race, "kill": kill}[how](address, folder, int(first), int(second))
