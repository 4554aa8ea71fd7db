"""Wait until servers serve what was decided, and say who is late."""

from __future__ import annotations

import time
from dataclasses import dataclass

from lineshaft.registry.models import ModelRegistry
from lineshaft.registry.records import Ack, Assignment

PATIENCE_S = 3.0
"""How long to wait: servers ask each half second, and a model loads in less than one."""
_LOOK_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Followers:
    """Which of the servers that are heard of answer by an assignment, and which do not yet."""

    following: tuple[Ack, ...]
    late: tuple[Ack, ...]


def followers(registry: ModelRegistry, made: Assignment, *, patience_s: float = PATIENCE_S) -> Followers:
    """Wait for all servers of the environment; return who follows, and after `patience_s` who does not."""
    generation = registry.generation(made.environment)
    end = time.monotonic() + patience_s
    while True:
        live = registry.acks.live(made.environment)
        late = tuple(ack for ack in live if not ack.follows(made, generation))
        if not late or time.monotonic() >= end:
            return Followers(following=tuple(ack for ack in live if ack not in late), late=late)
        time.sleep(_LOOK_S)
