"""A model that answers now: what it was trained on, and so what nobody may take away under it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveModel:
    """A version that holds slots of an environment, with the views it pins and the columns it reads of them."""

    ref: str  # model@number
    slots: tuple[str, ...]
    service: str
    team: str
    views: Mapping[str, str]  # versions by name
    columns: tuple[str, ...]  # "view__feature"

    def reads(self, view: str) -> frozenset[str]:
        """Return the features of a view that it reads."""
        return frozenset(c.partition("__")[2] for c in self.columns if c.partition("__")[0] == view)

    def __str__(self) -> str:
        """Write it as a plan does."""
        return f"{self.ref} ({', '.join(self.slots)})"
