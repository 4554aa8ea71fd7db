"""Champions as a server follows them: kept on disk for a start without the registry, and acknowledged to it."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from lineshaft.clock import Clock
from lineshaft.registry.kept import KeptTexts
from lineshaft.registry.models import ModelRegistry
from lineshaft.serving.acknowledging import Acknowledging
from lineshaft.serving.champions import Champions
from lineshaft.serving.known_champions import KnownChampions
from lineshaft.serving.standing import Standing


def followed(
    registry: ModelRegistry, environment: str, *, kept: KeptTexts, clock: Clock
) -> tuple[Champions, Acknowledging]:
    """Return who answers for each model of an environment, and what tells the registry so; close both."""
    known = KnownChampions(registry=registry, environment=environment, kept=kept)
    name = f"{socket.gethostname()}:{os.getpid()}"
    acknowledging = Acknowledging(acks=registry.acks, replica=name, environment=environment, clock=clock)

    def told(generation: int, standing: Mapping[str, Standing]) -> None:
        known.keep(standing)
        acknowledging.tell(generation, standing)

    return Champions(registry=registry, environment=environment, told=told, recall=known.recall), acknowledging
