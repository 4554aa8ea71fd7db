"""How often versions failed, and how often others stood in for them: what a metric says and an operator is told."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from lineshaft.registry.records import ModelVersion, Slot

_LOG = logging.getLogger(__name__)


class Failed(StrEnum):
    """How a version failed at a question."""

    CRASH = "crash"
    NO_NUMBER = "no_number"  # NaN, or endless
    INPUTS = "inputs"  # the features of a challenger or a shadow could not be had


_THEN = {
    Slot.CHAMPION: "the champion before it answers",
    Slot.CHALLENGER: "the champion's answer stands",
    Slot.SHADOW: "nobody waits for it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A version, what it did, and how it failed."""

    version: str
    slot: Slot
    kind: Failed

    @property
    def model(self) -> str:
        """Return the model that the version is of."""
        return self.version.rpartition("@")[0]


@dataclass(slots=True)
class Failures:
    """Counts questions that a version failed at, and rows that the champion before answered in its place."""

    failed: Counter[Failure] = field(default_factory=Counter)
    replaced: Counter[str] = field(default_factory=Counter)  # by model
    _counting: threading.Lock = field(default_factory=threading.Lock)

    def count(self, version: ModelVersion, slot: Slot, kind: Failed, error: Exception) -> None:
        """Count a failure; say so of the first, and of every hundredth after."""
        failure = Failure(version=version.ref, slot=slot, kind=kind)
        with self._counting:
            self.failed[failure] += 1
            times = self.failed[failure]
        if times % 100 == 1:
            _LOG.error("%s (failure %d as %s); %s", error, times, slot, _THEN[slot], exc_info=error)

    def counts(self) -> dict[Failure, int]:
        """Return how often each version failed in each way."""
        with self._counting:
            return dict(self.failed)

    def stood_in(self, model: str, rows: int) -> None:
        """Count rows that another than the champion answered."""
        with self._counting:
            self.replaced[model] += rows
