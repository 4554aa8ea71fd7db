"""Commands that are jobs: each tells OpenLineage of itself, where the settings say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lineshaft.interop.openlineage import Lineage, Run
from lineshaft.wiring import Parts


@contextmanager
def told_of(parts: Parts, job: str) -> Iterator[Run]:
    """Tell of a job, and how it ended."""
    settings = parts.settings
    lineage = Lineage(settings.openlineage, namespace=f"lineshaft/{settings.project}", clock=parts.clock)
    try:
        with lineage.run(job) as run:
            yield run
    finally:
        lineage.close()
